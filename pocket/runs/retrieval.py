"""``retrieval.json``: how well models retrieve, and how fast the search is. No torch here: the brief reads it.

`pocket.evaluation.evaluate` and `pocket.evaluation.search_latency` measure it.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, NonNegativeInt, PositiveInt

from pocket.runs.artefacts import Record
from pocket.runs.provenance import Provenance

RADIUS = 2
# Independent queries below which no decision can rest on a score. Bootstrap intervals that claim 95 % hold the true
# mean of APs (drawn from beta distributions) in 83 to 87 % of cases at 5 queries, 90 % at 10, 92 % at 20; and at 20
# they still reach 0.1 to 0.14 to either side.
ENOUGH_QUERIES = 20
MODELS = "full data", "IEM", "random subset"  # as ``retrieval.json`` names them
FAILED_RANK = 10  # a search has failed that finds no match among so many hits
FEW_THINGS = 5  # of a class among the queries: with fewer its mAP is known to 0.2 or so to either side
CLEARLY = 0.1  # of the way from chance to 1, from which a class is found at all


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
    groups: PositiveInt | None = Field(
        default=None,
        description="groups that map_interval draws whole, since their queries show the same; None: single queries",
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


class MeanInterval(BaseModel):
    """A mean over queries of what the seeds have on average, with its 95 % bootstrap interval.

    The interval says how far the mean would move had other things been photographed; None where nothing can be said.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    mean: float = Field(ge=-1, le=1)
    low: float | None
    high: float | None
    macro: float = Field(ge=-1, le=1, description="mean with every class weighed equally")
    queries: PositiveInt
    groups: PositiveInt | None = Field(description="groups that are drawn whole; None: single queries are drawn")
    seeds: PositiveInt

    @property
    def things(self) -> int:
        """Different things that the queries show, each counted once, also where it has several labels."""
        return self.queries if self.groups is None else self.groups

    @property
    def sign(self) -> int:
        """1 where the interval lies above 0, -1 where it lies below, else 0."""
        if self.low is None or self.high is None:
            return 0
        return 1 if self.low > 0 else -1 if self.high < 0 else 0


class OverQueries(BaseModel):
    """mAP of the three alternatives, and what the condensed set has more than the others, query by query."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    full: MeanInterval
    condensed: MeanInterval
    random: MeanInterval
    against_full: MeanInterval
    against_random: MeanInterval


class ClassScore(BaseModel):
    """mAP of one class's queries under the three alternatives, seeds averaged, beside that of a random order."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    name: str
    queries: PositiveInt
    things: PositiveInt = Field(description="different things that the queries show: groups, or single queries")
    database: PositiveInt = Field(description="images of the class that are searched")
    chance: float = Field(ge=0, le=1, description="expected mAP of a random order")
    full: float = Field(ge=0, le=1)
    condensed: float = Field(ge=0, le=1)
    random: float = Field(ge=0, le=1)
    full_low: float | None = Field(description="lower end of full's 95 % interval over things; None: only one thing")

    @property
    def judged(self) -> bool:
        """Whether the class has so many things among the queries that its mAP says something."""
        return self.things >= FEW_THINGS

    @property
    def found(self) -> bool:
        """Whether the model of all images finds the class: clearly better than a random order would.

        Its interval lies above chance, and it has gone `CLEARLY` of the way from chance to 1: where it has not, no
        smaller set can show a loss.
        """
        clear = self.full - self.chance >= CLEARLY * (1 - self.chance)
        return clear and (self.full_low is None or self.full_low > self.chance)


class ByClass(BaseModel):
    """Each class that is asked for and can be found; ``chance`` is the mAP of a random order over all their queries."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    chance: float = Field(ge=0, le=1)
    classes: tuple[ClassScore, ...]

    @property
    def unfound(self) -> tuple[ClassScore, ...]:
        """The classes that even the model of all images hardly finds."""
        return tuple(score for score in self.classes if score.judged and not score.found)

    @property
    def unjudged(self) -> tuple[ClassScore, ...]:
        """The classes with too few things among the queries to judge them."""
        return tuple(score for score in self.classes if not score.judged)


class FailedSearches(BaseModel):
    """Share of queries without a match among the first ``rank`` hits, one a seed, the same seeds in the same order."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    rank: PositiveInt
    full: tuple[float, ...] = Field(min_length=1)
    condensed: tuple[float, ...] = Field(min_length=1)
    random: tuple[float, ...] = Field(min_length=1)


class RetrievalComparison(Record):
    """``retrieval.json`` (notebook 04): the same queries under several models, and the search's speed.

    ``models`` are those of the first seed; ``over``, ``by_class`` and ``failed`` are of all seeds, where they
    were kept (`pocket poc`).
    """

    kind: ClassVar[str] = "retrieval-comparison"
    version: ClassVar[int] = 3
    models: dict[str, RetrievalReport]
    latency: Latency
    over: OverQueries | None = None
    by_class: ByClass | None = None
    failed: FailedSearches | None = None
    provenance: Provenance
