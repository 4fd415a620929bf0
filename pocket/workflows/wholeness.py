"""How much of a suite is recorded: rows by their digests against those that its cells would give."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache

from pocket.runs.results import Row
from pocket.workflows.cells import Spec
from pocket.workflows.suites import SUITES


def missing(suite: str, reduced: bool, rows: Iterable[Row]) -> tuple[int, int]:
    """Return how many rows of a suite's whole or reduced task are not recorded, and how many it has."""
    wanted = _digests(SUITES[suite], reduced)
    return len(wanted - {row.settings for row in rows}), len(wanted)


def unfinished(recorded: Mapping[str, Sequence[Row]]) -> set[tuple[str, bool]]:
    """Return the suites, each with whether it is the reduced task, that are recorded in part."""
    found = {(suite, row.reduced) for suite, rows in recorded.items() for row in rows}
    return {(suite, reduced) for suite, reduced in found if missing(suite, reduced, recorded[suite])[0]}


@cache  # thousands of cells in the largest, asked for again and again
def _digests(cells: Callable[[bool], Iterator[Spec]], reduced: bool) -> frozenset[str]:
    return frozenset(digest for spec in cells(reduced) for digest in spec.digests())
