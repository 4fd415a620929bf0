"""Two histograms a query: items, and relevant items, at every Hamming distance.

All scores follow from them, without a sort and without a distance matrix, so that neither the order of the
database nor the order of the work can matter: they are whole numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pocket.runs.threads import numba_fault

Counts = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]

_BLOCK_BYTES = 64 * 2**20
_AT_ONCE = 4096  # distances that stay in the nearest cache
ENGINES = ("auto", "numba", "numpy")


class Histograms(NamedTuple):
    """``total[q, d]`` items at distance d of query q, ``relevant[q, d]`` of them relevant; int64 (Q, K + 1)."""

    total: Counts
    relevant: Counts


def distance_histograms(
    query: npt.NDArray[np.uint8],
    query_labels: npt.NDArray[np.int64],
    database: npt.NDArray[np.uint8],
    database_labels: npt.NDArray[np.int64],
    *,
    engine: str = "auto",
) -> Histograms:
    """Count, for each query, database items and relevant ones at every Hamming distance.

    Parameters
    ----------
    query, database : ndarray of uint8, shapes (Q, K / 8) and (N, K / 8)
        Packed codes.
    query_labels, database_labels : ndarray of int64, shapes (Q,) and (N,)
        An item is relevant to a query of the same label.
    engine : str
        "numba" (all threads; compiled once a process, in some seconds), "numpy" (one thread, several times
        slower), or "auto": numba where it is installed and the work is worth compiling for. All give equal counts.

    Returns
    -------
    Histograms
        Memory beyond it does not grow with Q x N.

    Raises
    ------
    ValueError
        If the engine is unknown.
    """
    if engine not in ENGINES:
        raise ValueError(f"unknown engine {engine!r}; choose one of {', '.join(ENGINES)}")
    if engine == "auto":
        # NumPy takes about 6 ns a pair, compiling about 2 s.
        engine = "numba" if len(query) * len(database) > 3e8 and find_spec("numba") else "numpy"
    # Sorted by class, each item is counted once: what a query's own class adds is what is relevant.
    order = np.argsort(database_labels, kind="stable")
    names, starts = np.unique(database_labels[order], return_index=True)
    own = np.searchsorted(names, query_labels)
    own[(own == len(names)) | (names[np.minimum(own, len(names) - 1)] != query_labels)] = -1
    bounds = np.append(starts, len(database)).astype(np.int64)
    counted = Histograms(*np.zeros((2, len(query), 8 * query.shape[1] + 1), dtype=np.int64))
    count = _compiled(wide=8 * query.shape[1] > 255) if engine == "numba" else _count_by_blocks
    count(_words(query), np.ascontiguousarray(_words(database[order]).T), bounds, own.astype(np.int64), *counted)
    return counted


def _words(packed: npt.NDArray[np.uint8]) -> Words:
    """View packed bytes as 64-bit words, padded with zeros: shape (N, ceil(K / 64))."""
    padded = np.zeros((len(packed), -(-packed.shape[1] // 8) * 8), dtype=np.uint8)
    padded[:, : packed.shape[1]] = packed
    return padded.view(np.uint64)


def _count_by_blocks(
    query: Words, database: Words, bounds: Counts, own: Counts, total: Counts, relevant: Counts
) -> None:
    """Fill the histograms with NumPy: a block of queries against a block of the database at a time."""
    bins = total.shape[1]
    columns = 2**16
    rows = max(1, _BLOCK_BYTES // (16 * min(columns, max(1, database.shape[1]))))
    for top in range(0, len(query), rows):
        block = query[top : top + rows]
        offset = (np.arange(len(block)) * bins)[:, None]
        for number, (first, last) in enumerate(pairwise(bounds)):
            found = np.zeros((len(block), bins), dtype=np.int64)
            for left in range(first, last, columns):
                items = database[:, left : min(left + columns, last)]
                distance = np.zeros((len(block), items.shape[1]), dtype=np.int64)
                for q, d in zip(block.T, items, strict=True):
                    distance += np.bitwise_count(q[:, None] ^ d)
                found += np.bincount((distance + offset).ravel(), minlength=found.size).reshape(found.shape)
            total[top : top + rows] += found
            mine = own[top : top + rows] == number
            relevant[top : top + rows][mine] = found[mine]


@cache
def _compiled(*, wide: bool) -> Callable[..., None]:
    """Compile the count for all threads, a query each; not kept on disk, since numba's cache is made of pickles.

    Distances from 256 on do not fit a byte: ``wide`` counts them in two.
    """
    import numba

    numba_fault()  # starts the threads
    small = np.uint16 if wide else np.uint8

    m1, m2 = np.uint64(0x5555555555555555), np.uint64(0x3333333333333333)
    m4, ones = np.uint64(0x0F0F0F0F0F0F0F0F), np.uint64(0x0101010101010101)
    one, two, four, top = np.uint64(1), np.uint64(2), np.uint64(4), np.uint64(56)

    @numba.njit(inline="always")
    def ones_in(x: np.uint64) -> np.uint64:
        # Counted in pairs, fours and bytes: compilers know it as one instruction, and use vectors.
        x = x - ((x >> one) & m1)
        x = (x & m2) + ((x >> two) & m2)
        x = (x + (x >> four)) & m4
        return (x * ones) >> top

    def count(query: Words, database: Words, bounds: Counts, own: Counts, total: Counts, relevant: Counts) -> None:
        bins = total.shape[1]
        for i in numba.prange(len(query)):
            distance = np.empty(_AT_ONCE, dtype=small)
            # Four histograms in turn: neighbours often share a bin, and adding to it twice would wait for memory.
            found = np.zeros((4, bins), dtype=np.uint32)
            for number in range(len(bounds) - 1):
                found[:] = 0
                for first in range(bounds[number], bounds[number + 1], _AT_ONCE):
                    items = min(_AT_ONCE, bounds[number + 1] - first)
                    distance[:items] = 0
                    for word in range(len(database)):
                        for j in range(items):
                            distance[j] += small(ones_in(query[i, word] ^ database[word, first + j]))
                    for j in range(0, items - 3, 4):
                        found[0, distance[j]] += np.uint32(1)
                        found[1, distance[j + 1]] += np.uint32(1)
                        found[2, distance[j + 2]] += np.uint32(1)
                        found[3, distance[j + 3]] += np.uint32(1)
                    for j in range(items // 4 * 4, items):
                        found[0, distance[j]] += np.uint32(1)
                for k in range(bins):
                    here = np.int64(found[0, k]) + found[1, k] + found[2, k] + found[3, k]
                    total[i, k] += here
                    if number == own[i]:
                        relevant[i, k] = here

    compiled: Callable[..., None] = numba.njit(parallel=True)(count)
    return compiled
