"""Scores class by class, each beside what a random order would score: is a class found at all?"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pocket.evaluation import metrics
from pocket.evaluation.intervals import bootstrap_mean
from pocket.evaluation.report import mean_of
from pocket.runs.retrieval import ByClass, ClassScore, RetrievalReport


def chance_level(relevant: npt.ArrayLike, items: int, at: int | None = None) -> metrics.Floats:
    """Return the expected AP of a random order, exactly: as if all items were tied (`average_precision`).

    It is above the share of relevant items, the more so the fewer items there are. Bestgen, "Exact expected average
    precision of the random baseline for system evaluation", Prague Bulletin of Mathematical Linguistics 103, 2015.

    Parameters
    ----------
    relevant : array_like of int, shape (Q,)
        Relevant items of each query.
    items : int
        All items that are searched.
    at : int, optional
        Cut-off rank; default all ranks.

    Returns
    -------
    ndarray, shape (Q,)
        NaN where nothing is relevant.

    Examples
    --------
    >>> chance_level([1, 2, 3], 3).round(3)
    array([0.611, 0.806, 1.   ])
    """
    counts = np.asarray(relevant, dtype=np.int64)[:, None]
    return metrics.average_precision(np.full_like(counts, items), counts, at, bounds=False).expected


def by_class(
    full: Sequence[RetrievalReport],
    condensed: Sequence[RetrievalReport],
    random: Sequence[RetrievalReport],
    labels: npt.NDArray[np.int64],
    searched: npt.NDArray[np.int64],
    groups: npt.NDArray[np.int64] | None = None,
) -> ByClass:
    """Return the mAP of three alternatives for the queries of each class, seeds averaged.

    Parameters
    ----------
    full, condensed, random : sequence of RetrievalReport
        One a seed, all of the same queries.
    labels, searched : ndarray of int64, shapes (Q,) and (N,)
        Classes of the queries and of the database.
    groups : ndarray of int64, shape (Q,), optional
        Queries of one group show the same thing; without groups each query shows another.

    Raises
    ------
    ValueError
        If the reports are of different queries, or there is none.
    """
    known = full[0].class_names if full else ()
    counts = np.bincount(searched, minlength=len(known))
    chance = chance_level(counts[labels], len(searched), full[0].at if full else None)
    scores = {
        name: mean_of_seeds(reports, len(labels), name)
        for name, reports in {"full": full, "condensed": condensed, "random": random}.items()
    }
    scored = ~np.isnan(chance)
    found = []
    for place in np.unique(labels[scored]).tolist():
        mine = labels == place
        own = None if groups is None else groups[mine]
        low = bootstrap_mean(scores["full"][mine], own).low
        found.append(
            ClassScore(
                name=known[place],
                queries=int(mine.sum()),
                things=int(mine.sum()) if own is None else len(np.unique(own)),
                database=int(counts[place]),
                chance=float(chance[mine][0]),
                full_low=None if math.isnan(low) else min(low, 1.0),
                **{name: mean_of(each[mine]) for name, each in scores.items()},
            )
        )
    return ByClass(chance=mean_of(chance[scored]), classes=tuple(found))


def mean_of_seeds(reports: Sequence[RetrievalReport], queries: int, name: str) -> metrics.Floats:
    """Return the AP of each query, mean over the reports; NaN where it has nothing to find.

    Raises
    ------
    ValueError
        If there is no report, or one is not of so many queries.
    """
    if not reports or {len(report.query_ap) for report in reports} != {queries}:
        raise ValueError(f"{name}: one report or more of the same {queries} queries is wanted")
    means: metrics.Floats = np.mean(
        [[np.nan if ap is None else ap for ap in report.query_ap] for report in reports], axis=0
    )
    return means
