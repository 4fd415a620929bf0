"""Retrieval scores that are exact under ties.

Hamming distances take only K + 1 values, so rankings of codes are full of ties, and a score that
breaks them by position in the file depends on the file. Everything here is computed from two
histograms a query (items at each distance, relevant items at each distance): no sort, no distance
matrix, and the order of the database cannot matter.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_BLOCK_BYTES = 64 * 2**20


class AveragePrecision(NamedTuple):
    """AP of each query: the expectation over random order inside ties, and its bounds; NaN where undefined."""

    expected: Floats
    low: Floats
    high: Floats


def distance_histograms(
    query: npt.NDArray[np.uint8],
    query_labels: npt.NDArray[np.int64],
    database: npt.NDArray[np.uint8],
    database_labels: npt.NDArray[np.int64],
) -> tuple[Counts, Counts]:
    """Count, for each query, database items and relevant ones at every Hamming distance.

    Parameters
    ----------
    query, database : ndarray of uint8, shapes (Q, K / 8) and (N, K / 8)
        Packed codes.
    query_labels, database_labels : ndarray of int64, shapes (Q,) and (N,)
        An item is relevant to a query of the same label.

    Returns
    -------
    total, relevant : ndarray of int64, shape (Q, K + 1)
    """
    bits = 8 * query.shape[1]
    total = np.zeros((len(query), bits + 1), dtype=np.int64)
    relevant = np.zeros_like(total)
    words_q, words_d = _words(query), _words(database)
    block = max(1, _BLOCK_BYTES // max(1, 16 * len(database)))
    for start in range(0, len(query), block):
        rows = slice(start, start + block)
        count = len(words_q[rows])
        distance = np.zeros((count, len(database)), dtype=np.int64)
        for q, d in zip(words_q[rows].T, words_d.T, strict=True):
            distance += np.bitwise_count(q[:, None] ^ d)
        distance += (np.arange(count) * (bits + 1))[:, None]
        same = query_labels[rows, None] == database_labels
        size = count * (bits + 1)
        total[rows] = np.bincount(distance.ravel(), minlength=size).reshape(count, -1)
        relevant[rows] = np.bincount(distance[same], minlength=size).reshape(count, -1)
    return total, relevant


def _words(packed: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint64]:
    """View packed bytes as 64-bit words, padded with zeros: shape (N, ceil(K / 64))."""
    padded = np.zeros((len(packed), -(-packed.shape[1] // 8) * 8), dtype=np.uint8)
    padded[:, : packed.shape[1]] = packed
    return padded.view(np.uint64)


def average_precision(total: Counts, relevant: Counts, at: int | None = None) -> AveragePrecision:
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
    at : int, optional
        Cut-off rank; None takes all ranks. R is then min(at, relevant items in the database).

    Returns
    -------
    AveragePrecision
        Three arrays of shape (Q,) in [0, 1]; NaN for a query that has no relevant item at all.

    Raises
    ------
    ValueError
        If ``at`` is below 1.
    """
    if at is not None and at < 1:
        raise ValueError(f"at={at}: the cut-off rank must be 1 or more, or None for all ranks")
    n, r = total.astype(np.float64), relevant.astype(np.float64)
    upto = np.cumsum(total, axis=1)
    n0, r0 = upto - total, np.cumsum(relevant, axis=1) - relevant
    taken = total if at is None else np.clip(at - n0, 0, total)
    harmonic = np.concatenate([[0.0], np.cumsum(1 / np.arange(1, int(upto[:, -1].max(initial=0)) + 1))])

    def segment(first: Counts, length: Counts, hits: Counts) -> Floats:
        """Sum (hits + j) / (first + j) over j = 1 ... length: relevant items in an unbroken row."""
        return length + (hits - first) * (harmonic[first + length] - harmonic[first])

    rise = harmonic[n0 + taken] - harmonic[n0]
    share = np.divide(r, n, out=np.zeros_like(r), where=n > 0)
    pair = np.divide(r - 1, n - 1, out=np.zeros_like(r), where=n > 1)
    expected = share * ((r0 + 1) * rise + pair * (taken - (n0 + 1) * rise))
    high = segment(n0, np.minimum(relevant, taken), r0)
    late = total - relevant  # the irrelevant items that go before the relevant ones
    low = segment(n0 + np.minimum(late, taken), np.maximum(taken - late, 0), r0)
    found = relevant.sum(axis=1).astype(np.float64)
    found[found == 0] = np.nan
    if at is not None:
        found = np.minimum(found, at)
    return AveragePrecision(*((part.sum(axis=1) / found) for part in (expected, low, high)))


def precision_at(total: Counts, relevant: Counts, k: int) -> Floats:
    """Return the expected share of relevant items among the first k, shape (Q,).

    Ties at the k-th place count by the share of relevant items among them.

    Raises
    ------
    ValueError
        If k is below 1 or above the size of the database.
    """
    size = int(total[0].sum()) if len(total) else 0
    if not 1 <= k <= size:
        raise ValueError(f"k={k}: choose 1 to {size}, the size of the database")
    before = np.cumsum(total, axis=1) - total
    taken = np.clip(k - before, 0, total)
    share = np.divide(relevant, total, out=np.zeros(total.shape), where=total > 0)
    return (share * taken).sum(axis=1) / k


def precision_recall(total: Counts, relevant: Counts) -> tuple[Floats, Floats]:
    """Return precision and recall at every Hamming radius 0 ... K, over all queries together, shapes (K + 1,).

    A radius takes whole groups of ties, so the curve is exact. Precision is 1 where nothing is within
    the radius yet.
    """
    items, hits = np.cumsum(total.sum(axis=0)), np.cumsum(relevant.sum(axis=0))
    precision = np.divide(hits, items, out=np.ones(len(items)), where=items > 0)
    return precision, hits / max(1, hits[-1])
