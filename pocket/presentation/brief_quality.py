"""How sure the differences of mAP on the first page are: their intervals, and how many seeds they rest on."""

from __future__ import annotations

from pocket.presentation.i18n import number, seeds_of, translator
from pocket.roi import RoiReport
from pocket.roi.measured import Alternatives
from pocket.runs import Run
from pocket.runs.records import Cell, summarise
from pocket.runs.retrieval import MeanInterval, RetrievalComparison


def spreads(run: Run, report: RoiReport, cells: Alternatives, lang: str) -> tuple[str, str]:
    """Return the interval of the condensed set's difference to all data and to the random subset, in points.

    Over groups of queries, or over single ones, where the run has kept these; else over seeds. Empty where a mAP was
    entered by hand: nothing is known of how sure that is.
    """
    path = run.path("retrieval.json")
    over = RetrievalComparison.load(path).over if path.is_file() else None
    differences = (over.against_full, over.against_random) if over else (None, None)
    sides = zip(("full", "random"), differences, strict=True)
    told = []
    for name, found in sides:
        measured = all(report.inputs.estimate(f"map_{side}").source == "measured" for side in ("condensed", name))
        told.append(_spread(cells.condensed, getattr(cells, name), found, lang) if measured else "")
    return told[0], told[1]


def _spread(ours: list[Cell], theirs: list[Cell], over: MeanInterval | None, lang: str) -> str:
    t = translator(lang)
    if over is not None and over.low is not None and over.high is not None:
        low, high = (number(100 * end, 1, signed=True) for end in (over.low, over.high))
        things = over.queries if over.groups is None else over.groups
        key = "axis.interval_queries" if over.groups is None else "axis.interval_groups"
        return t(key, low=low, high=high, things=number(things), seeds=seeds_of(over.seeds, lang))
    one, other = ({cell.seed: cell.map for cell in cells} for cells in (ours, theirs))
    if one.keys() != other.keys():
        return t("axis.interval_none")
    _, half_width, count = summarise(one[seed] - other[seed] for seed in one)
    if count == 1:
        return t("brief.one_seed")
    return t("axis.interval_seeds", half=number(100 * half_width, 1), seeds=seeds_of(count, lang))
