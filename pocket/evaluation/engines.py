"""What searches a table of packed codes: FAISS over all of them, or over lists of neighbouring ones."""

from __future__ import annotations

import math
import time
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Packed = npt.NDArray[np.uint8]
Rows = npt.NDArray[np.int64]
Distances = npt.NDArray[np.int32]

GPU_LIMIT = 2048  # neighbours that FAISS finds on a GPU
_COUNTING_FROM = 10  # neighbours from which counting distances may be faster than keeping a heap
_TRIAL, _WORTH_A_TRIAL = 8, 256  # queries to try both on, and queries from which that is worth it


class Unique(NamedTuple):
    """Distinct codes, each with the rows that carry it: ``order[starts[u] : starts[u + 1]]``."""

    packed: Packed
    order: Rows
    starts: Rows

    @property
    def counts(self) -> Rows:
        """How many rows carry each code."""
        counts: Rows = np.diff(self.starts)
        return counts


def unique(packed: Packed) -> Unique:
    """Gather equal codes, in increasing order of their bytes."""
    padded = np.zeros((len(packed), -(-packed.shape[1] // 8) * 8), dtype=np.uint8)
    padded[:, : packed.shape[1]] = packed
    words = padded.view(">u8").astype(np.uint64)
    order = np.lexsort(words.T[::-1]) if words.shape[1] > 1 else np.argsort(words[:, 0], kind="stable")
    ranked = words[order]
    first = np.ones(len(packed), dtype=bool)
    first[1:] = (ranked[1:] != ranked[:-1]).any(axis=1)
    starts = np.flatnonzero(first)
    return Unique(packed[order[starts]], order, np.append(starts, len(packed)))


class Flat:
    """Every code is looked at: exact, on the CPU or a GPU.

    FAISS keeps the nearest in a heap, or counts all distances: with equal results, ids included. Counting took 0.7 of
    the heap's time on one processor and 1.3 on another, so the first large batch tries both on a few of its queries.
    """

    def __init__(self, packed: Packed, *, gpu: bool = False) -> None:
        import faiss

        self._heap: bool | None = None

        self._cpu: Any = faiss.IndexBinaryFlat(8 * packed.shape[1])
        self._cpu.add(np.ascontiguousarray(packed))
        # FAISS wraps the resources itself; its type stubs do not know that.
        self._gpu: Any = (
            faiss.index_binary_cpu_to_gpu(faiss.StandardGpuResources(), 0, self._cpu)  # type: ignore[arg-type]
            if gpu
            else None
        )

    def search(self, queries: Packed, k: int) -> tuple[Distances, Rows]:
        """Return distances and rows of the k nearest, shapes (Q, k)."""
        if self._heap is None and k >= _COUNTING_FROM and len(queries) >= _WORTH_A_TRIAL:
            self._heap = self._heap_is_faster(queries[:_TRIAL], k)
        self._cpu.use_heap = k < _COUNTING_FROM or self._heap is not False
        index = self._cpu if self._gpu is None or k > GPU_LIMIT else self._gpu
        distances, rows = index.search(queries, k)
        return distances, rows

    def _heap_is_faster(self, some: Packed, k: int) -> bool:
        taken = {True: math.inf, False: math.inf}
        for heap in (True, False, True, False):
            self._cpu.use_heap = heap
            started = time.perf_counter()
            self._cpu.search(some, k)
            taken[heap] = min(taken[heap], time.perf_counter() - started)
        return taken[True] <= taken[False]

    def within(self, queries: Packed, radius: int) -> tuple[Rows, Distances, Rows]:
        """Return the bounds of each query's answer, and distances and rows of all that lie within the radius."""
        bounds, distances, rows = self._cpu.range_search(queries, radius + 1)  # FAISS searches below, not within
        return bounds.astype(np.int64), distances.astype(np.int32), rows


class Lists(NamedTuple):
    """A partition of codes: the centre of each list, shape (L, K / 8), and the list of each code, shape (U,)."""

    centres: Packed
    member: Rows


def partition(packed: Packed, seed: int = 0) -> Lists:
    """Cluster codes by k-means over their bits, into about as many lists as the square root of their number."""
    import faiss

    lists = 2 ** max(4, round(math.log2(max(1, len(packed))) / 2))
    sample = np.random.default_rng(seed).permutation(len(packed))[: 64 * lists]
    quantizer: Any = faiss.IndexBinaryFlat(8 * packed.shape[1])
    index = faiss.IndexBinaryIVF(quantizer, 8 * packed.shape[1], lists)
    index.cp.niter, index.cp.seed = 10, seed + 1
    index.cp.min_points_per_centroid = 1
    index.train(np.ascontiguousarray(packed[sample]))
    centres = faiss.vector_to_array(quantizer.xb).reshape(lists, -1)
    return Lists(centres, assign(packed, centres))


def assign(packed: Packed, centres: Packed) -> Rows:
    """Return the nearest centre of each code, shape (U,)."""
    return np.ascontiguousarray(Flat(centres).search(np.ascontiguousarray(packed), 1)[1][:, 0])


class Ivf:
    """Only the codes in the lists whose centres are nearest to a query are looked at."""

    def __init__(self, packed: Packed, lists: Lists, probes: int) -> None:
        import faiss

        self._quantizer = faiss.IndexBinaryFlat(8 * packed.shape[1])
        self._quantizer.add(np.ascontiguousarray(lists.centres))
        # With its heap, the default: counting distances (use_heap off) finds nothing in lists, as of FAISS 1.15.1.
        index: Any = faiss.IndexBinaryIVF(self._quantizer, 8 * packed.shape[1], len(lists.centres))
        self._index = index
        self._index.is_trained = True
        codes, rows = np.ascontiguousarray(packed), np.arange(len(packed))
        pointers = (faiss.swig_ptr(array) for array in (codes, rows, np.ascontiguousarray(lists.member)))
        self._index.add_core(len(packed), *pointers)
        self.probes = probes

    def search(self, queries: Packed, k: int) -> tuple[Distances, Rows]:
        """Return distances and rows of the k nearest found, shapes (Q, k); row -1 where fewer were found."""
        self._index.nprobe = min(self.probes, self._index.nlist)
        distances, rows = self._index.search(queries, k)
        return distances, rows


def expanded(engine: Flat | Ivf, table: Unique, asked: Packed, k: int, bits: int) -> tuple[Distances, Rows]:
    """Search distinct codes, and give every row that carries one, up to k; see `HammingIndex.search`.

    Parameters
    ----------
    engine : Flat or Ivf
        Over the distinct codes of ``table``.
    table : Unique
    asked : ndarray of uint8
        Packed queries.
    k : int
    bits : int
        Code length.
    """
    near, found = engine.search(asked, min(k, len(table.packed)))
    counts = np.where(found >= 0, table.counts[found], 0)
    ends = np.minimum(np.cumsum(counts, axis=1), k)
    filled = ends[:, -1]
    taken = np.diff(ends, axis=1, prepend=0)
    distances = np.full((len(asked), k), bits + 1, dtype=np.int32)
    rows = np.full((len(asked), k), -1, dtype=np.int64)
    place = np.arange(k) < filled[:, None]
    distances[place] = np.repeat(near.ravel(), taken.ravel())
    inside = np.arange(taken.sum()) - np.repeat(np.cumsum(taken) - taken.ravel(), taken.ravel())
    rows[place] = table.order[np.repeat(table.starts[found.ravel()], taken.ravel()) + inside]
    return distances, rows
