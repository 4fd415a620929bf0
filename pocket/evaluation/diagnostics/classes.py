"""Rare classes, and whether all classes are served alike."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pocket.evaluation import metrics
from pocket.evaluation.codes import Codes
from pocket.evaluation.histograms import distance_histograms
from pocket.evaluation.report import mean_of
from pocket.runs.diagnostics import ClassBias, RareClasses
from pocket.runs.retrieval import RetrievalReport

SHARES = (1.0, 0.5, 0.2, 0.1, 0.05, 0.02)


def rare_classes(
    query: Codes,
    database: Codes,
    class_names: Sequence[str],
    *,
    shares: Sequence[float] = SHARES,
    draws: int = 3,
    seed: int = 0,
) -> RareClasses:
    """Thin every class of the database alone, and score its queries.

    Codes stay as they are: it answers how the search copes with a class that has few items to find, not how training
    copes with few to learn from.

    Parameters
    ----------
    query, database : Codes
        With labels, places in ``class_names``.
    class_names : sequence of str
    shares : sequence of float
        Between 0 (not itself) and 1.
    draws : int
        Random choices of the items kept; their scores are averaged.
    seed : int

    Raises
    ------
    ValueError
        If a share is out of range, labels are missing or no class stands on both sides.
    """
    if any(not 0 < share <= 1 for share in shares):
        raise ValueError(f"shares={tuple(shares)}: each must lie above 0 and at most at 1")
    if query.labels is None or database.labels is None:
        raise ValueError("rare classes need labels on both sides")
    total, relevant = distance_histograms(query.packed, query.labels, database.packed, database.labels)
    counts = np.bincount(database.labels, minlength=len(class_names))
    shown = np.array([c for c in np.unique(query.labels) if counts[c]])
    if not len(shown):
        raise ValueError("no class has queries and items in the database alike")
    # Place of each item in a random order of its class: the first share of them are kept.
    generator = np.random.default_rng(seed)
    rarest = shown[np.argsort(counts[shown], kind="stable")[: -(-len(shown) // 5)]]
    means, rare = np.zeros((2, len(shares)))
    for _ in range(draws):
        order = np.lexsort((generator.random(len(database)), database.labels))
        place = np.empty(len(database), dtype=np.int64)
        place[order] = np.arange(len(database)) - (np.cumsum(counts) - counts)[database.labels[order]]
        for i, share in enumerate(shares):
            kept = place < np.maximum(1, np.round(share * counts))[database.labels]
            few = distance_histograms(query.packed, query.labels, database.packed[kept], database.labels[kept])
            # The other classes' items stay: what is not relevant counts as before.
            ap = metrics.average_precision(total - relevant + few.relevant, few.relevant).expected
            by_class = {c: mean_of(ap[query.labels == c]) for c in shown}
            means[i] += np.mean(list(by_class.values())) / draws
            rare[i] += np.mean([by_class[c] for c in rarest]) / draws
    return RareClasses(
        shares=tuple(shares),
        map=tuple(means.tolist()),
        rarest=tuple(class_names[c] for c in rarest),
        rarest_map=tuple(rare.tolist()),
    )


def class_bias(report: RetrievalReport, reference: RetrievalReport | None = None) -> ClassBias:
    """Say which class is served worst, and how unevenly the losses lie.

    Parameters
    ----------
    report : RetrievalReport
    reference : RetrievalReport, optional
        Of the same queries under the full-data model.

    Raises
    ------
    ValueError
        If the reference has other classes.
    """
    scores = {name: ap for name, ap in zip(report.class_names, report.class_map, strict=True) if ap is not None}
    worst = min(scores, key=lambda name: scores[name])
    change = None
    if reference is not None:
        if reference.class_names != report.class_names:
            raise ValueError("the reference report is of other classes")
        theirs = dict(zip(reference.class_names, reference.class_map, strict=True))
        change = {name: ap - before for name, ap in scores.items() if (before := theirs[name]) is not None}
    return ClassBias(
        worst=worst,
        worst_map=scores[worst],
        gap=max(scores.values()) - scores[worst],
        gini=gini(1 - np.array(list(scores.values()))),
        against=change,
        worst_against=min(change, key=lambda name: change[name]) if change else None,
    )


def gini(values: npt.ArrayLike) -> float:
    """Return the Gini coefficient of values from 0: mean absolute difference of two, over twice the mean.

    ``sum_i (2i - n - 1) x_i / (n sum x)`` with x in rising order and i from 1: 0 if all are equal, (n - 1) / n if one
    has everything; 0 where all are 0.

    Examples
    --------
    >>> gini([1, 1, 1, 1]), gini([0, 0, 0, 1])
    (0.0, 0.75)
    """
    x = np.sort(np.asarray(values, dtype=np.float64))
    if not len(x) or not np.isfinite(x).all() or x[0] < -1e-12:
        raise ValueError("the Gini coefficient is of finite values from 0")
    x = x.clip(0, None)
    n = len(x)
    # Rounding must not take equal values below 0.
    return max(0.0, float((2 * np.arange(1, n + 1) - n - 1) @ x / (n * x.sum()))) if x.sum() else 0.0
