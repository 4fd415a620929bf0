"""``poc.json``: what a proof of concept on one's own images planned, what it took and what it found. No torch here."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from pocket.runs.artefacts import Part, Record
from pocket.runs.provenance import Provenance
from pocket.runs.records import Cell
from pocket.runs.retrieval import OverQueries, RetrievalReport
from pocket.runs.run import Run


class Plan(Part):
    """What a proof of concept does with a set of images. It follows from the images and what was asked, never from a
    clock: the same command plans the same again.
    """

    resolution: PositiveInt
    chosen: PositiveInt = Field(description="pixels a side that the check chose")
    size_by: Literal["check", "budget", "asked"]
    class_names: tuple[str, ...]
    train: tuple[NonNegativeInt, ...] = Field(description="train images of each class")
    counts: tuple[NonNegativeInt, ...] = Field(description="condensed images of each class")
    queries: NonNegativeInt
    sized_by: Literal["imbalance", "few", "check", "asked"]
    ratio: float | None = Field(None, gt=0, le=1)
    ipc: PositiveInt | None = None
    formation: PositiveInt
    seeds: tuple[NonNegativeInt, ...]
    bits: PositiveInt
    hashing: str
    width: PositiveInt
    full_steps: PositiveInt
    small_steps: PositiveInt
    condense_steps: NonNegativeInt
    usual_steps: NonNegativeInt = Field(description="of condensing, without a limit to the time")
    minutes: PositiveFloat = Field(description="that it is planned for, on 2 CPU cores or one GPU")
    fits: bool = Field(description="whether the plan is within them by the rule of thumb that planned it")


class PlanRecord(Record):
    """``plan.json``, written with the cells that it led to: the brief tells what was cut for time."""

    kind: ClassVar[str] = "poc-plan"
    plan: Plan


class AskedRecord(Record):
    """``asked.json``: the options that a proof of concept was called with last, so that its command can be named."""

    kind: ClassVar[str] = "poc-asked"
    options: tuple[str, ...]


def is_trial(run: Run) -> bool:
    """Return whether a run is a proof of concept on someone's own images: the first stage of a roll-out, done."""
    return run.path("plan.json").is_file() or run.path("poc.json").is_file()


class KeptCell(Record):
    """One trained and scored model as it lies in ``cells/``: what a proof of concept does not do twice.

    ``key`` is a digest of all that it depends on.
    """

    kind: ClassVar[str] = "kept-cell"
    key: str
    cell: Cell
    report: RetrievalReport
    model_sha256: str


class PocRecord(Record):
    """``poc.json``, the last file of a proof of concept."""

    kind: ClassVar[str] = "poc"
    key: str = Field(description="digest of the plan and of all that was computed")
    plan: Plan
    estimated: dict[str, NonNegativeFloat] = Field(description="seconds by stage, as said before it began")
    took: dict[str, NonNegativeFloat] | None = Field(
        None, description="seconds by stage, where one call did all of it; None where it went on from an earlier one"
    )
    verdict: Literal["go", "pilot", "stop"]
    reason: str
    repeated_queries: NonNegativeInt = Field(description="queries that are pixel for pixel in the database")
    shared_groups: NonNegativeInt = Field(description="groups with images among the queries and the database")
    groups: NonNegativeInt = Field(
        0, description="different things among all images that are used; 0 where neither groups nor copies join any"
    )
    provenance: Provenance


class PublishedPoc(Record):
    """``data/results/poc_NAME.json``: a proof of concept that one call did from end to end, to be shown to others.

    It names no path: whose images these are, and where they lay, is nobody's business.
    """

    kind: ClassVar[str] = "published-poc"
    name: str
    about: str = Field(pattern=r"^[^\n<>`|]+$", description="what the images are, in one line without markup")
    images: PositiveInt = Field(description="that can be used")
    largest_class: PositiveInt
    groups: NonNegativeInt
    plan: Plan
    estimated: dict[str, NonNegativeFloat]
    took: dict[str, NonNegativeFloat]
    over: OverQueries
    outcome: tuple[str, ...] = Field(min_length=1, description="what the command said of it, in English")
    provenance: Provenance
