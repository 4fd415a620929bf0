"""``diagnostics.json``: what the diagnostics found, one part a question. No torch here: the brief reads it.

The functions that measure each part stand in `pocket.evaluation.diagnostics`, a file each.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from pocket.runs.artefacts import Part, Record
from pocket.runs.provenance import Provenance


class BitHealth(Part):
    """What K bits carry; a good hash has balanced, uncorrelated bits (Weiss, Torralba and Fergus, NIPS 2008)."""

    ones: tuple[float, ...] = Field(description="share of items in which each bit is 1; 0.5 is balanced")
    entropy: float = Field(ge=0, le=1, description="mean over bits of -p log2 p - (1 - p) log2(1 - p), in bits")
    constant_bits: int = Field(ge=0, description="bits that are the same in every item")
    correlation: float = Field(ge=0, le=1, description="mean absolute correlation over pairs of varying bits")
    correlation_worst: float = Field(ge=0, le=1, description="the largest of them")
    effective_bits: float = Field(
        ge=0, description="(sum e)^2 / sum e^2 over eigenvalues e of the bits' covariance: K if all are independent"
    )
    unique: float = Field(gt=0, le=1, description="different codes / items")
    collisions: float | None = Field(
        ge=0, le=1, description="share of items whose very code an item of another class has too; None without labels"
    )


class Neighbourhood(Part):
    """How far the neighbours under one model are those under another; 1 is all of them."""

    items: int = Field(gt=0, description="items compared, all pairs of them")
    k: int = Field(gt=0)
    overlap: float = Field(ge=0, le=1, description="share of the k nearest that both have in common")
    trustworthiness: float = Field(le=1, description="1: what is near now was near before")
    continuity: float = Field(le=1, description="1: what was near before is near now")
    cka: float = Field(ge=0, le=1, description="linear CKA of the continuous representations V")


class Diversity(Part):
    """A set of images against the real ones, in a model's Z. Compare with a random real subset of the same size."""

    items: int = Field(gt=0)
    k: int = Field(gt=0)
    coverage: float = Field(ge=0, le=1, description="share of real images with a synthetic one in their k-NN ball")
    density: float = Field(ge=0, description="mean number of real k-NN balls around a synthetic image, over k")
    spread_ratio: float | None = Field(
        ge=0, description="mean over classes of variance within, synthetic / real; None if each class has one image"
    )
    nearest: float = Field(
        ge=0,
        description="mean distance of real images to the nearest of the set, over their root mean square distance",
    )
    effective_rank: float = Field(ge=0, description="directions that the set's Z fills")


class Robustness(Part):
    """Expected mAP of corrupted queries, searched in the clean database."""

    severities: tuple[int, ...]
    clean: float = Field(ge=0, le=1, description="mAP of the same queries before")
    map: dict[str, tuple[float, ...]] = Field(description="by corruption, one a severity")
    mean: tuple[float, ...] = Field(description="over corruptions, one a severity")
    class_mean: dict[str, tuple[float, ...]] | None = Field(
        None, description="the same of each class's queries; None: not measured, by an older kit"
    )

    @property
    def worst(self) -> str:
        """The corruption that costs most at the highest severity measured."""
        return min(self.map, key=lambda name: self.map[name][-1])


class RareClasses(Part):
    """mAP of a class's queries as the database holds fewer of that class, each class thinned alone."""

    shares: tuple[float, ...] = Field(description="of the class's items that are kept; at least one is")
    map: tuple[float, ...] = Field(description="mean over all classes, one a share")
    rarest: tuple[str, ...] = Field(description="the fifth of the classes with the fewest items")
    rarest_map: tuple[float, ...] = Field(description="mean over those")


class ClassBias(Part):
    """Whether some classes pay for the others. A class's loss is 1 - the mean AP of its queries."""

    worst: str
    worst_map: float = Field(ge=0, le=1)
    gap: float = Field(ge=0, le=1, description="best class's mean AP - worst class's")
    gini: float = Field(ge=0, le=1, description="of the losses: 0, all classes lose alike; near 1, one bears all")
    against: dict[str, float] | None = Field(
        description="by class, mean AP - that of the reference model: negative, the class lost; None without one"
    )
    worst_against: str | None = Field(description="the class that lost most against the reference")


class AnomalyDetection(Part):
    """How well the distance to the index tells unknown images from known ones."""

    k: int = Field(gt=0)
    known: int = Field(gt=0)
    unknown: int = Field(gt=0)
    auroc: float = Field(ge=0, le=1, description="chance that an unknown image lies farther than a known one; ties 1/2")
    fpr95: float = Field(ge=0, le=1, description="share of known images flagged where 95 % of the unknown are")
    known_distance: float = Field(ge=0, description="mean distance of known images, bits")
    unknown_distance: float = Field(ge=0, description="mean distance of unknown images, bits")


class Leakage(Part):
    """Distances to the nearest real image, against those of real images among themselves.

    Few near copies do not prove privacy: a synthetic image can give away what its class shares, and who was in the
    training set can be asked in other ways (membership inference), which this does not measure.
    """

    nearest: tuple[float, ...] = Field(repr=False, description="of each synthetic image, to its nearest real one")
    nearest_real: tuple[int, ...] = Field(repr=False, description="which real image that is, by place")
    real: int = Field(gt=0, description="real images that were searched")
    median: float = Field(ge=0, description="median of nearest")
    baseline: float = Field(ge=0, description="median distance of real images to their nearest other real one")
    chance: float = Field(
        0.01,
        gt=0,
        lt=1,
        description="share of real images that count as near copies of one another, by definition",
    )
    threshold: float = Field(ge=0, description="the distance below which an image counts as a near copy")
    near_copies: float = Field(ge=0, le=1, description="share of synthetic images below the threshold or at 0")


class Drift(Part):
    """One window of a stream, measured."""

    window: int = Field(gt=0)
    divergence: float = Field(ge=0, description="mean over bits of the Jensen-Shannon divergence of their shares, bits")
    divergence_limit: float
    distance_shift: float = Field(description="mean distance to the nearest code - that of the reference, bits")
    distance_limit: float
    false_alarm: float = Field(gt=0, lt=1, description="chance that a window without drift sets off the alarm")
    alarm: bool


class DiagnosticReport(Record):
    """What `diagnose` found. A section is None where what it needs was not given; ``skipped`` says what that is."""

    kind: ClassVar[str] = "diagnostics"
    version: ClassVar[int] = 2
    protocol: str
    bits: BitHealth = Field(description="of the database's codes")
    neighbours: Neighbourhood | None = Field(description="against the reference model, of the database")
    diversity: Diversity | None = Field(description="of the condensed set's training views in the model's Z")
    diversity_of_random: Diversity | None = Field(description="the same of as many random real images")
    robustness: Robustness
    rare: RareClasses
    anomalies: AnomalyDetection | None = Field(
        description="the unknown images against the queries of classes in the database"
    )
    missing: dict[str, float] = Field(description="by class, the AUROC of its queries once the database lacks it")
    bias: ClassBias
    leakage: Leakage | None = Field(description="of the condensed set's training views, in the model's Z")
    calm: Drift | None = Field(description="a window of queries that the monitor has not seen")
    drifted: Drift | None = Field(description="the same window after a corruption: the monitor should fire")
    drifted_by: str | None = Field(description="that corruption: the one that costs most mAP, at the highest severity")
    skipped: dict[str, str] = Field(description="section and why it is None")


class DiagnosticsRecord(Record):
    """``diagnostics.json`` (notebook 04): the report of each model, by name."""

    kind: ClassVar[str] = "diagnostics-comparison"
    version: ClassVar[int] = 1
    models: dict[str, DiagnosticReport]
    provenance: Provenance
