"""The parser that every command hangs on, and what commands share. Commands import what they need when called."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pocket.runs.run import Run

app = typer.Typer(
    help="Does condensing a training set pay for deep hashing retrieval? Start with: pocket tour",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

RunName = Annotated[str, typer.Option("--run", help="Name of the run: folder runs/NAME.")]
OwnRunName = Annotated[
    str | None, typer.Option("--run", help="Name of the run: folder runs/NAME. Default: tour, or the data set's name.")
]


def existing_run(name: str) -> Run:
    """Open a run, or say which ones there are."""
    from pocket.runs.paths import run_dir
    from pocket.runs.run import Run

    folder = run_dir(name)
    if not (folder / "run.json").is_file():
        known = sorted(path.parent.name for path in folder.parent.glob("*/run.json"))
        there = f"there is {', '.join(known)}" if known else "there is none yet"
        raise ValueError(f"no run {name!r} in {folder.parent}: {there}; pocket tour --run {name} makes it")
    return Run.read(folder)
