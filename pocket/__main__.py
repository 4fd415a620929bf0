"""``python -m pocket`` does what the console script ``pocket`` does."""

from pocket.cli import main

main()
