"""The records that the steps of a run hand to one another. No torch here: ROI and dashboard read them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import ClassVar, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, NonNegativeInt, PositiveInt

from pocket.runs.artefacts import Record
from pocket.runs.provenance import Provenance


class Cell(BaseModel):
    """One trained and evaluated model: the unit of every table and chart.

    ``method`` is ``"full"`` or the way the set was made (``"random"``, ``"dm"``, ``"iem"``). Seconds are
    wall-clock on ``device``; ``teacher_seconds``, ``pool_seconds`` and ``condense_seconds`` are what making the
    set took, where the teacher is a full-data model that it used.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    dataset: str
    protocol: str
    method: str
    ipc: NonNegativeInt = Field(description="stored images per class; 0 for full data")
    formation: PositiveInt = 1
    code_labels: bool = False
    hashing: str
    bits: PositiveInt
    seed: int
    images: PositiveInt = Field(description="stored images")
    image_bytes: NonNegativeInt = Field(description="stored pixels and code labels, uncompressed")
    steps: PositiveInt = Field(description="training steps")
    teacher_seconds: NonNegativeFloat = 0.0
    pool_seconds: NonNegativeFloat = 0.0
    condense_seconds: NonNegativeFloat = 0.0
    train_seconds: NonNegativeFloat
    map: float = Field(ge=0, le=1, description="expected mAP")
    map_low: float = Field(ge=0, le=1, description="pessimistic bound over ties")
    map_high: float = Field(ge=0, le=1, description="optimistic bound over ties")
    map_plain: float | None = Field(None, ge=0, le=1, description="expected mAP without head recalibration")
    device: str
    load: NonNegativeFloat | None = Field(
        None, description="what wanted the CPU, for each core, in the minute in which it was measured; None: unknown"
    )

    @property
    def make_seconds(self) -> float:
        """Seconds to make the set, all stages."""
        return self.teacher_seconds + self.pool_seconds + self.condense_seconds


class Cells(Record):
    """Base of the records that hold cells."""

    cells: tuple[Cell, ...]
    provenance: Provenance


class TrainingRecord(Cells):
    """``training.json`` (notebook 02): full data and random subsets."""

    kind: ClassVar[str] = "training"


class AblationRow(BaseModel):
    """IEM with one part changed, over the same seeds."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    variant: str
    maps: tuple[float, ...]
    condense_seconds: tuple[float, ...]


class CondensationRecord(Cells):
    """``condensation.json`` (notebook 03): condensed sets, and what each part of IEM is worth."""

    kind: ClassVar[str] = "condensation"
    ablation: tuple[AblationRow, ...] = ()


class HybridPoint(BaseModel):
    """A model of the condensed set, fine-tuned on a share of the real images, one seed; seconds on ``device``.

    ``map_real`` is that of a model trained on those real images alone, from scratch, with the steps of small sets.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    share: float = Field(ge=0, le=1, description="real images kept, of all train images; 0: the condensed set alone")
    real_images: NonNegativeInt
    seed: int
    map: float = Field(ge=0, le=1)
    map_real: float | None = Field(None, ge=0, le=1)
    tune_seconds: NonNegativeFloat
    device: str


class OperationsRecord(Record):
    """``operations.json`` (notebook 06): hybrid operation by the share of real images that is kept.

    ``share`` is the smallest that stays within ``loss`` (a fraction of mAP) of full data in the mean over seeds, or
    None where none does.
    """

    kind: ClassVar[str] = "operations"
    ipc: PositiveInt
    points: tuple[HybridPoint, ...]
    map_full: float = Field(ge=0, le=1)
    loss: float = Field(ge=0, le=1)
    provenance: Provenance

    def at(self, share: float) -> list[HybridPoint]:
        """Return the points of one share, one a seed."""
        return [point for point in self.points if point.share == share]

    @property
    def shares(self) -> list[float]:
        """The shares that were measured, in order."""
        return sorted({point.share for point in self.points})

    @property
    def share(self) -> float | None:
        """The smallest share that stays within the loss."""
        within = (s for s in self.shares if summarise(p.map for p in self.at(s)).mean >= self.map_full - self.loss)
        return next(within, None)


class Summary(NamedTuple):
    """Mean over seeds with the half-width of a 95 % interval (Student t; 0 for one seed)."""

    mean: float
    half_width: float
    seeds: int


# Two-sided 95 % quantiles of Student's t for 1 to 9 degrees of freedom; 1.96 beyond is within 15 %.
_T95 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)


def summarise(values: Iterable[float]) -> Summary:
    """Return mean and 95 % interval of ``values``.

    Raises
    ------
    ValueError
        If there is no value.
    """
    numbers = list(values)
    if not numbers:
        raise ValueError("nothing to summarise: no cell matches")
    mean = math.fsum(numbers) / len(numbers)
    if len(numbers) == 1:
        return Summary(mean, 0.0, 1)
    spread = math.sqrt(math.fsum((x - mean) ** 2 for x in numbers) / (len(numbers) - 1))
    freedom = len(numbers) - 1
    t = _T95[freedom - 1] if freedom <= len(_T95) else 1.96
    return Summary(mean, t * spread / math.sqrt(len(numbers)), len(numbers))


def select(cells: Iterable[Cell], **wanted: object) -> list[Cell]:
    """Return the cells whose fields equal ``wanted``, for example ``method="iem", ipc=1``."""
    return [cell for cell in cells if all(getattr(cell, key) == value for key, value in wanted.items())]


def strongest(cells: Iterable[Cell], method: str, ipc: int, *, code_labels: bool = False) -> list[Cell]:
    """Return the cells of a method in its stronger formation: whole images or tiles, by the better mean over seeds.

    The comparator of every claim: equal images and pixels, equal steps.

    Raises
    ------
    ValueError
        If the method was not measured at this size.
    """
    found = select(cells, method=method, ipc=ipc, code_labels=code_labels)
    kinds = {cell.formation for cell in found}
    if not kinds:
        raise ValueError(f"no {method} subset of {ipc} images a class was measured in this run")
    groups = [select(found, formation=formation) for formation in sorted(kinds)]
    return max(groups, key=lambda group: summarise(cell.map for cell in group).mean)


def strongest_random(cells: Iterable[Cell], ipc: int, *, code_labels: bool = False) -> list[Cell]:
    """Return the cells of the stronger random subset; see `strongest`."""
    return strongest(cells, "random", ipc, code_labels=code_labels)
