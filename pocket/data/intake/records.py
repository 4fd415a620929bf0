"""``split.json`` and ``check.json``: what a check leaves behind."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt

from pocket.data.decoding import Fit
from pocket.data.intake.findings import Finding
from pocket.runs.artefacts import Part, Record
from pocket.runs.provenance import Provenance


class Size(Part):
    """The chosen size with what it was chosen by; see `pocket.data.intake.sizes.Chosen`."""

    resolution: PositiveInt
    channels: Literal[1, 3]
    why: Literal["small", "enough", "largest"]
    kept: float = Field(le=1)
    side: PositiveInt
    coloured: NonNegativeInt


class SplitRecord(Record):
    """Who is trained on and who asks, by name, so that it is made once and used by everything after.

    ``key`` and ``groups_key`` are of the listing that it was made for. ``given`` says that the images came split.
    ``fit`` and ``things`` are newer than the rest: a split without them is of an earlier kit, and stays what it was.
    """

    kind: ClassVar[str] = "split"
    version: ClassVar[int] = 2
    name: str
    key: str
    groups_key: str
    seed: int
    share: float
    given: bool
    size: Size
    fit: Fit = Field("crop", description="what is made of images that are not square")
    train: tuple[str, ...]
    database: tuple[str, ...] = Field((), description="searched, where that is not the train images")
    query: tuple[str, ...]
    unreadable: dict[str, str] = Field(default_factory=dict)
    single: tuple[str, ...] = Field((), description="classes left out for having fewer than two images")
    kept_apart: tuple[str, ...] = Field(
        (), description="given queries left out for having a copy on the other side, or under another label"
    )
    contents: dict[str, str] = Field(description="digest of each image's class and pixels")
    things: dict[str, str] | None = Field(
        None, description="what each image shows: groups as copies join them; images on their own are not in it"
    )


class ClassRow(Part):
    """Images of one class, as they can be used."""

    name: str
    images: NonNegativeInt
    units: NonNegativeInt = Field(
        description="different things: copies and photographs of one thing count once, images with a copy under "
        "another label not at all"
    )
    train: NonNegativeInt
    query: NonNegativeInt
    query_units: NonNegativeInt = Field(description="different things among the query images")
    ipc: NonNegativeInt = Field(description="suggested condensed images")
    inside: float | None = Field(
        None, ge=0, le=1, description="share of an image that lies in its central square, at the median"
    )


class Suspect(Part):
    """A label to review."""

    name: str
    label: str
    suggested: str
    margin: float = Field(ge=-1, le=0)


class CopySet(Part):
    """Images that are copies of each other."""

    names: tuple[str, ...]
    labels: tuple[str, ...]


class CheckRecord(Record):
    """``check.json``: everything that a check of images found."""

    kind: ClassVar[str] = "check"
    version: ClassVar[int] = 2
    path: str
    name: str
    verdict: Literal["pass", "warn", "stop"]
    findings: tuple[Finding, ...]
    images: NonNegativeInt = Field(description="found")
    usable: NonNegativeInt
    fit: Fit = Field("crop", description="what is made of images that are not square")
    classes: tuple[ClassRow, ...] = ()
    units: NonNegativeInt | None = Field(None, description="different things in all; one of several labels counts once")
    query_units: NonNegativeInt = Field(0, description="different things among the queries in all")
    modes: dict[str, NonNegativeInt] = Field(default_factory=dict)
    formats: dict[str, NonNegativeInt] = Field(default_factory=dict)
    sides: tuple[NonNegativeInt, ...] = Field((), description="shorter side in pixels: least, median, greatest")
    size: Size | None = None
    ratio: float | None = Field(None, description="share of each class that is suggested, where classes differ much")
    ipc: PositiveInt | None = Field(None, description="images of each class that are suggested, where they do not")
    split: str | None = Field(None, description="SHA-256 of the split's key, groups, train and query, in hex")
    split_given: bool = Field(False, description="the images came split")
    near_threshold: float | None = Field(None, description="correlation from which images count as near copies")
    exact: tuple[CopySet, ...] = ()
    near: tuple[CopySet, ...] = ()
    agreement: float | None = Field(None, ge=0, le=1, description="of a simple classifier with the labels")
    suspects: tuple[Suspect, ...] = ()
    seconds: NonNegativeFloat
    peak_mb: NonNegativeFloat | None
    provenance: Provenance
