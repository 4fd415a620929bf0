"""Markdown that the READMEs are written in."""

from __future__ import annotations

from collections.abc import Sequence


def table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Return a table; what a line holds is text of ours, without the sign that parts its cells."""
    first, *others = ("| " + " | ".join(line) + " |" for line in (head, *lines))
    return "\n".join([first, "|---" * len(head) + "|", *others])


def folded(title: str, text: str) -> str:
    """Return what a reader unfolds by its title."""
    return f"<details><summary>{title}</summary>\n\n{text}\n\n</details>"
