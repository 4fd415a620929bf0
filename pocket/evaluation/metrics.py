"""Retrieval scores that are exact under ties.

Hamming distances take only K + 1 values, so rankings of codes are full of ties, and a score that
breaks them by position in the file depends on the file. Everything here is computed from the two
histograms of a query (`distance_histograms`), and is the expectation over random order inside ties:
the order of the database cannot matter.
"""

from __future__ import annotations

import math
import operator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pocket.evaluation.histograms import Counts

Floats = npt.NDArray[np.float64]


class AveragePrecision(NamedTuple):
    """AP of each query: the expectation over random order inside ties, and its bounds; NaN where undefined."""

    expected: Floats
    low: Floats
    high: Floats


def cut_off(at: int | None) -> int | None:
    """Return a cut-off rank as it was given: a whole number from 1, or None for all ranks.

    Raises
    ------
    ValueError
        If it is anything else.
    """
    try:
        rank = None if at is None else operator.index(at)
    except TypeError:
        rank = 0
    if rank is not None and rank < 1:
        raise ValueError(f"at={at}: the cut-off rank must be a whole number from 1, or None for all ranks")
    return rank


def average_precision(
    total: Counts, relevant: Counts, at: int | Counts | None = None, *, bounds: bool = True
) -> AveragePrecision:
    r"""Average precision of each query under ties, exactly.

    For groups of equal distance in increasing order, with n items, r of them relevant, and N0 and R0
    counted before the group, the expectation over all orders inside the groups is

    ``AP = 1/R sum (r/n) [(R0 + 1) dH + (r - 1)/(n - 1) (t - (N0 + 1) dH)]``,
    ``dH = H(N0 + t) - H(N0)``,

    with H the harmonic numbers, t = n (or what the cut-off leaves of the last group) and the second
    term 0 where n = 1. The bounds put the relevant items of each group first, or last. McSherry and
    Najork, "Computing Information Retrieval Performance Measures Efficiently in the Presence of Tied
    Scores", ECIR 2008.

    Parameters
    ----------
    total, relevant : ndarray of int64, shape (Q, K + 1)
        From `distance_histograms`.
    at : int or ndarray of int64, shape (Q,), optional
        Cut-off rank, one for all queries or one each; None takes all ranks. R is then min(at, relevant items in
        the database). ``relevant.sum(axis=1)`` gives MAP@R (Musgrave et al., "A Metric Learning Reality Check",
        ECCV 2020).
    bounds : bool
        Without them ``low`` and ``high`` are NaN, in half the time.

    Returns
    -------
    AveragePrecision
        Three arrays of shape (Q,) in [0, 1]; NaN for a query that has no relevant item at all.

    Raises
    ------
    ValueError
        If ``at`` is below 1.
    """
    if not isinstance(at, np.ndarray):
        at = cut_off(at)
    n, r = total.astype(np.float64), relevant.astype(np.float64)
    upto = np.cumsum(total, axis=1)
    n0, r0 = upto - total, np.cumsum(relevant, axis=1) - relevant
    taken = _within(total, at)
    harmonic = np.concatenate([[0.0], np.cumsum(1 / np.arange(1, int(upto[:, -1].max(initial=0)) + 1))])

    def segment(first: Counts, length: Counts, hits: Counts) -> Floats:
        """Sum (hits + j) / (first + j) over j = 1 ... length: relevant items in an unbroken row."""
        return length + (hits - first) * (harmonic[first + length] - harmonic[first])

    rise = harmonic[n0 + taken] - harmonic[n0]
    share, pair = _ratio(r, n), _ratio(r - 1, np.maximum(n - 1, 0))
    expected = share * ((r0 + 1) * rise + pair * (taken - (n0 + 1) * rise))
    high = segment(n0, np.minimum(relevant, taken), r0) if bounds else expected * np.nan
    late = total - relevant  # the irrelevant items that go before the relevant ones
    low = segment(n0 + np.minimum(late, taken), np.maximum(taken - late, 0), r0) if bounds else high
    found = relevant.sum(axis=1).astype(np.float64)
    found[found == 0] = np.nan
    if at is not None:
        found = np.minimum(found, at)
    return AveragePrecision(*((part.sum(axis=1) / found) for part in (expected, low, high)))


def _within(total: Counts, at: int | Counts | None) -> Counts:
    """Return how many items of each group stand above the cut-off, shape (Q, K + 1)."""
    if at is None:
        return total
    limit = np.broadcast_to(at, len(total))[:, None]
    taken: Counts = np.clip(limit - (np.cumsum(total, axis=1) - total), 0, total)
    return taken


def _hits(total: Counts, relevant: Counts, k: int) -> Floats:
    """Return the expected number of relevant items among the first k, shape (Q,).

    Raises
    ------
    ValueError
        If k is below 1 or above the size of the database.
    """
    size = int(total[0].sum()) if len(total) else 0
    if not 1 <= k <= size:
        raise ValueError(f"k={k}: choose 1 to {size}, the size of the database")
    hits: Floats = (_ratio(relevant, total) * _within(total, k)).sum(axis=1)
    return hits


def _ratio(part: npt.NDArray[np.generic], whole: npt.NDArray[np.generic], otherwise: float = 0.0) -> Floats:
    """Divide, and give ``otherwise`` where the whole is 0."""
    return np.divide(part, whole, out=np.full(np.shape(whole), otherwise), where=whole != 0)


def precision_at(total: Counts, relevant: Counts, k: int) -> Floats:
    """Return the expected share of relevant items among the first k, shape (Q,).

    Raises
    ------
    ValueError
        If k is below 1 or above the size of the database.
    """
    return _hits(total, relevant, k) / k


def recall_at(total: Counts, relevant: Counts, k: int) -> Floats:
    """Return the expected share of a query's relevant items that the first k hold, shape (Q,); NaN without any.

    Metric learning calls *recall@k* what is `hit_rate_at` here.

    Raises
    ------
    ValueError
        If k is below 1 or above the size of the database.
    """
    return _ratio(_hits(total, relevant, k), relevant.sum(axis=1), np.nan)


def hit_rate_at(total: Counts, relevant: Counts, k: int) -> Floats:
    """Return the chance that the first k hold a relevant item, shape (Q,); metric learning's *recall@k*.

    Certain where a whole group above the cut-off holds one; in the group that the cut-off divides, t of n items
    are drawn without replacement, r of which are relevant: ``1 - C(n - r, t) / C(n, t)``.

    Raises
    ------
    ValueError
        If k is below 1 or above the size of the database.
    """
    from scipy.special import gammaln

    _hits(total, relevant, k)  # checks k
    taken = _within(total, k)
    certain = ((taken == total) & (relevant > 0)).any(axis=1)
    row = np.arange(len(total))
    last = (taken > 0).cumsum(axis=1).argmax(axis=1)  # the last group that is at least begun
    n, r, t = total[row, last], relevant[row, last], taken[row, last]
    rest = n - r - t  # irrelevant items below the cut-off
    with np.errstate(invalid="ignore"):
        log_miss = gammaln(n - r + 1) - gammaln(np.maximum(rest, 0) + 1) + gammaln(n - t + 1) - gammaln(n + 1)
    return np.where(certain | (rest < 0), 1.0, np.where(r > 0, -np.expm1(log_miss), 0.0))


def ndcg(total: Counts, relevant: Counts, at: int | None = None) -> Floats:
    """Return the expected normalised discounted cumulative gain of each query, shape (Q,); NaN without relevant items.

    A relevant item at rank i gains ``1 / log2(i + 1)``; the sum is divided by that of the best order. Järvelin and
    Kekäläinen, "Cumulated gain-based evaluation of IR techniques", TOIS 2002; tied items share their gain, as in
    `sklearn.metrics.ndcg_score`.

    Parameters
    ----------
    total, relevant : ndarray of int64, shape (Q, K + 1)
    at : int, optional
        Cut-off rank; None takes all ranks.
    """
    size = int(total.sum(axis=1).max(initial=0))
    # log2 of NumPy differs in its last bit from processor to processor, log2 of the C library does not.
    gain = np.fromiter((1 / math.log2(rank + 1) for rank in range(1, size + 1)), dtype=np.float64, count=size)
    discount = np.concatenate([[0.0], np.cumsum(gain)])
    before = np.cumsum(total, axis=1) - total
    gained = discount[before + _within(total, at)] - discount[before]
    found = relevant.sum(axis=1)
    best = discount[found if at is None else np.minimum(found, at)]
    return _ratio((_ratio(relevant, total) * gained).sum(axis=1), best, np.nan)


def precision_within(total: Counts, relevant: Counts, radius: int) -> Floats:
    """Return the share of relevant items within a Hamming radius (inclusive), shape (Q,); 0 where nothing is within.

    The field's convention for "precision within Hamming radius 2": an empty answer counts as a failed one.

    Raises
    ------
    ValueError
        If the radius is not 0 to K.
    """
    bits = total.shape[1] - 1
    if not 0 <= radius <= bits:
        raise ValueError(f"radius={radius}: choose 0 to {bits}, the code length")
    return _ratio(relevant[:, : radius + 1].sum(axis=1), total[:, : radius + 1].sum(axis=1))


def precision_recall(total: Counts, relevant: Counts) -> tuple[Floats, Floats]:
    """Return precision and recall at every Hamming radius 0 ... K, over all queries together, shapes (K + 1,).

    A radius takes whole groups of ties, so the curve is exact. Precision is 1 where nothing is within
    the radius yet.
    """
    items, hits = np.cumsum(total.sum(axis=0)), np.cumsum(relevant.sum(axis=0))
    precision = np.divide(hits, items, out=np.ones(len(items)), where=items > 0)
    return precision, hits / max(1, hits[-1])
