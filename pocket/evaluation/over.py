"""Scores of several seeds taken together, query by query: how far would they move had other things been asked?"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pocket.evaluation.by_class import mean_of_seeds
from pocket.evaluation.intervals import bootstrap_mean
from pocket.runs.retrieval import MeanInterval, OverQueries, RetrievalReport


def over_queries(
    full: Sequence[RetrievalReport],
    condensed: Sequence[RetrievalReport],
    random: Sequence[RetrievalReport],
    labels: npt.NDArray[np.int64],
    groups: npt.NDArray[np.int64] | None = None,
) -> OverQueries:
    """Return the mAP of three alternatives with intervals over queries, and the paired differences.

    The AP of every query is averaged over the seeds first; then queries are drawn, those of one group together. So
    the interval is about what was photographed; how far seeds vary is another question (`pocket.runs.summarise`).

    Parameters
    ----------
    full, condensed, random : sequence of RetrievalReport
        One a seed, all of the same queries.
    labels : ndarray of int64, shape (Q,)
        Of the queries.
    groups : ndarray of int64, shape (Q,), optional
        Queries that do not vary independently.

    Raises
    ------
    ValueError
        If the reports are of different queries, or there is none.
    """
    sides = {"full": full, "condensed": condensed, "random": random}
    scores = {name: mean_of_seeds(reports, len(labels), name) for name, reports in sides.items()}
    scores["against_full"] = scores["condensed"] - scores["full"]
    scores["against_random"] = scores["condensed"] - scores["random"]
    seeds = len(condensed)
    return OverQueries(**{name: _interval(values, labels, groups, seeds) for name, values in scores.items()})


def _interval(
    values: npt.NDArray[np.float64],
    labels: npt.NDArray[np.int64],
    groups: npt.NDArray[np.int64] | None,
    seeds: int,
) -> MeanInterval:
    known = ~np.isnan(values)
    found = bootstrap_mean(values, groups)
    none = math.isnan(found.low)
    each = [float(np.mean(values[known & (labels == c)])) for c in np.unique(labels[known])]
    return MeanInterval(
        mean=math.fsum(values[known]) / int(known.sum()),
        low=None if none else found.low,
        high=None if none else found.high,
        macro=math.fsum(each) / len(each),
        queries=int(known.sum()),
        groups=None if groups is None else len(np.unique(groups[known])),
        seeds=seeds,
    )


__all__ = ["over_queries"]
