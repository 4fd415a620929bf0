"""How long a search takes, one query at a time and in one batch."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from pocket.evaluation.codes import Codes
from pocket.runs.retrieval import Latency

if TYPE_CHECKING:
    from pocket.evaluation.search import HammingIndex


def search_latency(index: HammingIndex, queries: Codes, k: int = 10, *, singles: int = 200) -> Latency:
    """Time ``singles`` searches of one query each, and one search of all queries; a first search warms up.

    Parameters
    ----------
    index : HammingIndex
    queries : Codes
    k : int
        Neighbours to find.
    singles : int
        Timed single searches; queries are taken in turn.

    Returns
    -------
    Latency
    """
    if not len(queries) or singles < 1:
        raise ValueError(f"latency is timed on at least one query, not {min(len(queries), singles)}")
    one = [Codes(queries.packed[i % len(queries)][None]) for i in range(singles)]
    index.search(one[0], k)
    seconds = np.empty(singles)
    for i, query in enumerate(one):
        started = time.perf_counter()
        index.search(query, k)
        seconds[i] = time.perf_counter() - started
    started = time.perf_counter()
    index.search(queries, k)
    batch = time.perf_counter() - started
    p50, p95, p99 = np.percentile(seconds * 1e3, [50, 95, 99])
    return Latency(
        database=len(index),
        bits=index.bits,
        k=k,
        p50_ms=p50,
        p95_ms=p95,
        p99_ms=p99,
        batch_queries_per_second=len(queries) / batch,
        device="gpu" if index.on_gpu else "cpu",
    )
