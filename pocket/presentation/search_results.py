"""What the table of the suite ``search`` says: indexes against bare FAISS, the store against its exact search."""

from __future__ import annotations

from collections.abc import Sequence

from pocket.runs.results import SearchRow

HEAD = (
    "codes",
    "index",
    "queries/s",
    "× the yardstick",
    "one query, ms (p50 / p95 / p99)",
    "recall",
    "s to build",
    "chosen",
)
_YARDSTICKS = ("FAISS IndexBinaryFlat", "CodeStore exact")


def score_lines(rows: Sequence[SearchRow]) -> list[str]:
    """Return a sentence for each way to score: how long all scores take, and what memory."""
    return [
        f"{row.what}: {row.queries:,} queries x {row.database:,} codes x {row.bits} bits, all scores: "
        f"{row.batch_seconds:.2f} s, {row.build_seconds:.1f} s on a first call, {row.added_mb or 0:.0f} MB above the "
        f"codes ({row.threads} threads)"
        for row in rows
        if not row.k
    ]


def index_lines(rows: Sequence[SearchRow], *, least: int = 0) -> list[tuple[str, ...]]:
    """Return one line of text an index, in the order of `HEAD`, for databases of ``least`` codes or more.

    The yardstick of an index is bare FAISS on the same codes, and that of the store in lists its own exact search.
    """
    lines: list[tuple[str, ...]] = []
    for row in rows:
        if not row.k or row.database < least:
            continue
        name = _YARDSTICKS[row.what.startswith("CodeStore")]
        wanted = name, row.codes, row.database, row.k
        yardstick = next((r for r in rows if (r.what, r.codes, r.database, r.k) == wanted), None)
        ratio = row.queries_per_second / yardstick.queries_per_second if yardstick else None
        single = (row.p50_ms, row.p95_ms, row.p99_ms)
        lines.append(
            (
                f"{row.database:,} {row.codes} ({row.unique_share:.0%} distinct)",
                f"{row.what}, k = {row.k}",
                f"{row.queries_per_second:,.0f}",
                "–" if ratio is None else "1" if row is yardstick else f"{ratio:.2f}",
                " / ".join(f"{value:.2f}" for value in single if value is not None) or "–",
                f"{row.recall:.4f}",
                f"{row.build_seconds:.1f}",
                f"{row.kind}: {row.reason}" if row.reason and row.reason != "chosen by name" else row.kind or "–",
            )
        )
    return lines
