"""``retrieval.json``: how well models retrieve, and how fast the search is. No torch here: the brief reads it.

`pocket.evaluation.evaluate` and `pocket.evaluation.search_latency` measure it.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, NonNegativeInt, PositiveInt

from pocket.runs.artefacts import Record
from pocket.runs.provenance import Provenance

RADIUS = 2


class Latency(BaseModel):
    """Milliseconds of single searches at three percentiles, and queries a second in one batch."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    database: PositiveInt
    bits: PositiveInt
    k: PositiveInt
    p50_ms: NonNegativeFloat
    p95_ms: NonNegativeFloat
    p99_ms: NonNegativeFloat
    batch_queries_per_second: NonNegativeFloat
    device: str


class RetrievalReport(Record):
    """Retrieval quality of one set of codes. All shares lie in 0 ... 1.

    ``map`` is the expectation over random order inside ties; the true score of any one ordering lies in
    ``map_low`` ... ``map_high``. The mean is over the queries that have a relevant item in the database;
    how many have none stands in ``queries_without_relevant``.
    """

    kind: ClassVar[str] = "retrieval"
    version: ClassVar[int] = 3
    protocol: str
    split: str | None = Field(
        default=None, description="fingerprint of the images that were searched and asked with; None of codes alone"
    )
    bits: PositiveInt
    at: PositiveInt | None = Field(None, description="cut-off rank; None is all ranks")
    denominator: str = Field(description="what the sum of precisions is divided by")
    queries: PositiveInt
    database: PositiveInt
    queries_without_relevant: NonNegativeInt
    map: float = Field(ge=0, le=1)
    map_low: float = Field(ge=0, le=1)
    map_high: float = Field(ge=0, le=1)
    map_plain: float | None = Field(
        default=None, ge=0, le=1, description="map before the head was recalibrated; None where it was not"
    )
    map_interval: tuple[float, float] | None = Field(
        description="95 % bootstrap interval of map over queries; None where fewer than 2 queries are scored"
    )
    map_at_r: float = Field(
        ge=0, le=1, description="expected MAP@R: each query cut at the number of its relevant items"
    )
    ndcg: float = Field(ge=0, le=1, description="expected NDCG, of ranks up to `at`")
    macro_map: float = Field(ge=0, le=1, description="mean over classes of their queries' mean AP")
    class_names: tuple[str, ...]
    class_map: tuple[float | None, ...] = Field(description="mean AP of each class's queries; None without any")
    precision_at: dict[int, float] = Field(description="expected precision at these ranks, of all queries")
    recall_at: dict[int, float] = Field(description="expected share of the relevant items within these ranks")
    hit_rate_at: dict[int, float] = Field(
        description="chance of a relevant item within these ranks (metric learning's recall@k), of all queries"
    )
    precision_within: float = Field(
        ge=0, le=1, description=f"mean precision within Hamming radius {RADIUS}, 0 for queries that find nothing"
    )
    radius_precision: tuple[float, ...] = Field(description="precision within Hamming radius 0 ... bits")
    radius_recall: tuple[float, ...]
    query_ap: tuple[float | None, ...] = Field(repr=False, description="expected AP of each query")

    def worst(self, count: int) -> list[int]:
        """Return the positions of the queries with the lowest AP, worst first."""
        scored = [(ap, i) for i, ap in enumerate(self.query_ap) if ap is not None]
        return [i for _, i in sorted(scored)[:count]]


class RetrievalComparison(Record):
    """``retrieval.json`` (notebook 04): the same queries under several models, and the search's speed."""

    kind: ClassVar[str] = "retrieval-comparison"
    version: ClassVar[int] = 3
    models: dict[str, RetrievalReport]
    latency: Latency
    provenance: Provenance
