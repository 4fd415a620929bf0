"""Intervals of a mean score over queries. Those over seeds are in `pocket.runs.summarise`."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt


class Interval(NamedTuple):
    """Bounds of an interval."""

    low: float
    high: float


_AT_ONCE = 2**22  # drawn numbers held at a time


def bootstrap_mean(
    values: npt.ArrayLike,
    groups: npt.ArrayLike | None = None,
    *,
    level: float = 0.95,
    draws: int = 1000,
    seed: int = 0,
) -> Interval:
    """Percentile bootstrap of a mean: how far it would move had other queries been asked.

    Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13.

    Parameters
    ----------
    values : array_like, shape (Q,)
        A score a query, such as its AP; NaN (not defined for this query) is left out.
    groups : array_like, shape (Q,), optional
        Queries of one group, such as photographs of one part, are drawn together: they do not vary independently.
    level : float
        Between 0 and 1.
    draws : int
        Resamples.
    seed : int

    Returns
    -------
    Interval
        Two NaN where fewer than two independent values are left: nothing can be said.

    Raises
    ------
    ValueError
        If shapes differ, or level or draws are out of range.

    Examples
    --------
    >>> bootstrap_mean([0.5] * 10)
    Interval(low=0.5, high=0.5)
    """
    scores = np.asarray(values, dtype=np.float64)
    names = np.arange(len(scores)) if groups is None else np.asarray(groups)
    if scores.ndim != 1 or names.shape != scores.shape:
        raise ValueError(f"one score and one group a query are wanted, not shapes {scores.shape} and {names.shape}")
    if not 0 < level < 1 or draws < 1:
        raise ValueError(f"level={level}, draws={draws}: level lies between 0 and 1, draws is 1 or more")
    known = ~np.isnan(scores)
    _, member = np.unique(names[known], return_inverse=True)
    sums, counts = np.bincount(member, scores[known]), np.bincount(member)
    if len(counts) < 2:
        return Interval(np.nan, np.nan)
    alone = counts.max() == 1  # no groups: every draw has as many values
    random = np.random.default_rng([seed, 0xB007])
    means = np.empty(draws)
    step = max(1, _AT_ONCE // len(counts))
    for start in range(0, draws, step):
        drawn = random.integers(len(counts), size=(min(step, draws - start), len(counts)))
        size = len(counts) if alone else counts[drawn].sum(axis=1)
        means[start : start + step] = sums[drawn].sum(axis=1) / size
    return Interval(*np.quantile(means, [(1 - level) / 2, (1 + level) / 2]).tolist())
