"""`pocket bench --suite search`: how fast codes are searched and scored, and how much is found."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from pocket.evaluation import Codes, HammingIndex, clustered_codes, evaluate_codes, search_latency, uniform_codes
from pocket.evaluation.engines import unique
from pocket.runs import results
from pocket.runs.provenance import peak_mb, provenance
from pocket.runs.results import SearchRow
from pocket.runs.threads import numba_fault

MAKERS: dict[str, Callable[[int, int], tuple[Codes, Codes]]] = {"clustered": clustered_codes, "uniform": uniform_codes}
SIZES = (10_000, 1_000_000, 10_000_000)
QUERIES = 1000
K = 100
K_STORE = 10
REPEATS = 5
SCORES = (10_000, 50_000)


def bench_search(
    *,
    time_limit: float | None = None,
    folder: Path | None = None,
    sizes: tuple[int, ...] = SIZES,
    scores: tuple[int, int] = SCORES,
    say: Callable[[str], None] = print,
) -> Path:
    """Measure what the table ``search.csv`` lacks.

    Bare FAISS and the flat index are measured in turn, several times: the ratio of the medians is what counts.

    Parameters
    ----------
    time_limit : float, optional
        Seconds after which no other set of codes is begun.
    folder : Path, optional
        Default: ``data/results`` of the kit.
    sizes : tuple of int
        Codes in the database.
    scores : (int, int)
        Queries and database of the scores.
    say : callable

    Returns
    -------
    Path
        The table. Calling again measures what is missing.
    """
    path = (folder or results.results_folder()) / "search.csv"
    rows = results.read_as(path, SearchRow)
    started = time.monotonic()
    todo: list[tuple[str, str, int, Callable[[], Iterator[SearchRow]]]] = [
        ("scores", "clustered", scores[1], lambda: _scores(*scores))
    ]
    todo += [
        ("indexes", codes, size, lambda codes=codes, size=size: _indexes(codes, size))  # type: ignore[misc]
        for size in sizes
        for codes in MAKERS
    ]
    for what, codes, size, measure in todo:
        done = {(row.k > 0, row.codes, row.database) for row in rows}
        if (what == "indexes", codes, size) in done:
            continue
        if time_limit is not None and time.monotonic() - started > time_limit:
            say(f"the time is up; what is measured is in {path}, the same command goes on from here")
            break
        say(f"{what} of {size:,} {codes} codes")
        found = []
        for row in measure():
            found.append(row)
            single = "" if row.p50_ms is None else f", one query {row.p50_ms:.2f} ms"
            say(
                f"  {row.what:22} {row.queries_per_second:>11,.0f} queries/s{single}, recall {row.recall:.4f}, "
                f"first {row.build_seconds:.2f} s {row.reason}"
            )
        rows += found
        results.write(path, rows, SearchRow)
    return path


def _row(**fields: Any) -> SearchRow:
    from numba import get_num_threads

    numba_fault()
    made = provenance("cpu")
    return SearchRow(
        **fields,
        threads=get_num_threads(),
        python=made.python,
        numpy=version("numpy"),
        faiss=made.packages.get("faiss-gpu") or made.packages.get("faiss-cpu") or "",
        commit=made.commit,
        created=made.created,
    )


def _repeated(*ways: Callable[[], object]) -> list[float]:
    """Return the median seconds of each way, all measured in turn; a first round warms up."""
    taken: list[list[float]] = [[] for _ in ways]
    for number in range(REPEATS + 1):
        for way, seconds in zip(ways, taken, strict=True):
            started = time.perf_counter()
            way()
            if number:
                seconds.append(time.perf_counter() - started)
    return [statistics.median(seconds) for seconds in taken]


def _indexes(name: str, size: int) -> Iterator[SearchRow]:
    """Measure bare FAISS, our indexes and the store on codes of one kind."""
    import faiss

    database, queries = MAKERS[name](size, QUERIES if size <= 1_000_000 else QUERIES // 5)
    known = {
        "codes": name,
        "database": size,
        "queries": len(queries),
        "bits": database.bits,
        "unique_share": len(unique(database.packed).packed) / size,
        "device": "cpu",
        "k": K,
    }

    started = time.perf_counter()
    bare = faiss.IndexBinaryFlat(database.bits)
    bare.add(database.packed)
    bare_seconds = time.perf_counter() - started
    built: dict[str, tuple[HammingIndex, float]] = {}
    for kind in ("flat", "unique", "ivf", "auto"):
        started = time.perf_counter()
        index = HammingIndex(database, kind, gpu=False)
        index.search(Codes(queries.packed[:1]), K)  # what is built on the first search
        built[kind] = index, time.perf_counter() - started
    ways: list[Callable[[], object]] = [lambda: bare.search(queries.packed, K)]
    ways += [lambda index=index: index.search(queries, K) for index, _ in built.values()]  # type: ignore[misc]
    seconds = _repeated(*ways)
    farthest = bare.search(queries.packed, K)[0][:, -1:]
    yield _row(what="FAISS IndexBinaryFlat", build_seconds=bare_seconds, batch_seconds=seconds[0], recall=1, **known)
    for (kind, (index, build)), batch in zip(built.items(), seconds[1:], strict=True):
        distances, ids = index.search(queries, K)
        one = search_latency(index, queries, K)
        yield _row(
            what=f"HammingIndex {kind}",
            kind=index.kind,
            reason=index.reason,
            build_seconds=build,
            batch_seconds=batch,
            p50_ms=one.p50_ms,
            p95_ms=one.p95_ms,
            p99_ms=one.p99_ms,
            recall=float(((distances <= farthest) & (ids >= 0)).mean()),
            **known,
        )
    if size <= 1_000_000:
        yield from _store(database, queries, known)


def _store(database: Codes, queries: Codes, known: dict[str, Any]) -> Iterator[SearchRow]:
    """Measure LanceDB, exact and in lists, in one batch and a query at a time."""
    from pocket.evaluation.store import CodeStore

    single = [Codes(packed[None]) for packed in queries.packed[:100]]
    farthest = HammingIndex(database, "flat", gpu=False).search(queries, K_STORE)[0][:100, -1:]
    with TemporaryDirectory() as folder:
        started = time.perf_counter()
        store = CodeStore.create(Path(folder) / "store", database)
        build = time.perf_counter() - started
        for exact in (True, False):
            started = time.perf_counter()
            if not exact:
                store.index()
            build += time.perf_counter() - started
            store.search(single[0], K_STORE, exact=exact)
            started = time.perf_counter()
            store.search(Codes(queries.packed[: len(single)]), K_STORE, exact=exact)
            batch = time.perf_counter() - started
            taken, near, names = [], [], []
            for query in single:
                started = time.perf_counter()
                distances, ids = store.search(query, K_STORE, exact=exact)
                taken.append(time.perf_counter() - started)
                near.append(distances[0])
                names.append(ids[0])
            p50, p95, p99 = np.percentile(np.array(taken) * 1e3, [50, 95, 99]).tolist()
            found = (np.stack(near) <= farthest) & (np.stack(names) >= 0)
            yield _row(
                what=f"CodeStore {'exact' if exact else 'indexed'}",
                kind="lists" if store.indexed and not exact else "exact",
                build_seconds=build,
                batch_seconds=batch,
                p50_ms=p50,
                p95_ms=p95,
                p99_ms=p99,
                recall=float(found.mean()),
                **known | {"queries": len(single), "k": K_STORE},
            )


def _scores(queries: int, database: int) -> Iterator[SearchRow]:
    """Measure all scores in a process of its own, in which nothing is compiled or allocated yet."""
    for engine in ("numba", "numpy"):
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            first, warm, added, share = pool.submit(_score, engine, queries, database).result()
        yield _row(
            what=f"scores ({engine})",
            codes="clustered",
            database=database,
            queries=queries,
            bits=64,
            k=0,
            unique_share=share,
            kind=engine,
            build_seconds=first,
            batch_seconds=warm,
            recall=1,
            added_mb=added,
            device="cpu",
        )


def _score(engine: str, queries: int, database: int) -> tuple[float, float, float, float]:
    """Return seconds of the first call, median seconds after it, MB that it added, and the share of distinct codes."""
    stored, asked = clustered_codes(database, queries)
    share = len(unique(stored.packed).packed) / database
    before = peak_mb() or 0.0
    taken = []
    for _ in range(REPEATS + 1):
        started = time.perf_counter()
        evaluate_codes(asked, stored, engine=engine)
        taken.append(time.perf_counter() - started)
    return taken[0], statistics.median(taken[1:]), (peak_mb() or 0.0) - before, share
