"""What a run measured, read from its records: seconds, mAP and bytes of the three alternatives."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict

from pocket.runs.records import (
    Cell,
    CondensationRecord,
    OperationsRecord,
    TrainingRecord,
    select,
    strongest_random,
    summarise,
)

Range = tuple[float, float, float]


class Alternatives(NamedTuple):
    """The cells (one per seed) of full data, the condensed set and the random subset of the same size."""

    full: list[Cell]
    condensed: list[Cell]
    random: list[Cell]


class MeasuredOn(BaseModel):
    """Where measured figures come from: the device, how many seeds, and the protocol."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    device: str
    seeds: int
    protocol: str


class Measured(NamedTuple):
    """Low, base and high of every measured input, with what they were measured on.

    ``teacher`` says whether a full-data model was used to condense.
    """

    dataset: str
    ipc: int
    start: date
    on: MeasuredOn
    figures: dict[str, Range]
    teacher: bool


def alternatives(folder: Path, ipc: int | None = None) -> Alternatives:
    """Return the cells of the three alternatives of the run in ``folder`` (hard labels).

    Raises
    ------
    ArtefactError
        If ``training.json`` or ``condensation.json`` is missing or damaged.
    ValueError
        If the run has no full-data model, or no condensed or random set of ``ipc`` images a class.
    """
    records = (
        TrainingRecord.load(folder / "training.json"),
        CondensationRecord.load(folder / "condensation.json"),
    )
    cells = list(dict.fromkeys(cell for record in records for cell in record.cells))
    condensed = select(cells, method="iem", code_labels=False)
    sizes = sorted({cell.ipc for cell in condensed})
    if not sizes:
        raise ValueError(f"{folder / 'condensation.json'} holds no set made by method 'iem' with hard labels")
    chosen = sizes[-1] if ipc is None else ipc
    if chosen not in sizes:
        raise ValueError(f"ipc = {ipc!r} was not condensed in this run; choose one of {', '.join(map(str, sizes))}")
    condensed = select(condensed, ipc=chosen)
    # One formation is one method: the finest is IEM's own, and choosing by score would favour it.
    condensed = select(condensed, formation=max(cell.formation for cell in condensed))
    full = select(cells, method="full", code_labels=False)
    if not full:
        raise ValueError(f"{folder / 'training.json'} holds no model trained on full data (method 'full')")
    found = Alternatives(full, condensed, strongest_random(cells, chosen))
    settings = {(c.dataset, c.protocol, c.hashing, c.bits) for group in found for c in group}
    if len(settings) > 1:
        raise ValueError(f"the cells of {folder} are not comparable: {sorted(settings)}; run the steps again")
    return found


def measure(folder: Path, ipc: int | None = None) -> Measured:
    """Return the measured inputs of the run in ``folder``; errors as for `alternatives`."""
    full, condensed, random = alternatives(folder, ipc)
    made = TrainingRecord.load(folder / "training.json").provenance
    created = datetime.fromisoformat(made.created).date()
    figures: dict[str, Range] = {
        "seconds_full": _extremes(cell.train_seconds for cell in full),
        "seconds_condense": _extremes(cell.pool_seconds + cell.condense_seconds for cell in condensed),
        "seconds_teacher": _extremes(cell.train_seconds for cell in full),
        "seconds_condensed": _extremes(cell.train_seconds for cell in condensed),
        "seconds_random": _extremes(cell.train_seconds for cell in random),
        "map_full": _interval(cell.map for cell in full),
        "map_condensed": _interval(cell.map for cell in condensed),
        "map_random": _interval(cell.map for cell in random),
        "bytes_full": _extremes(cell.image_bytes for cell in full),
        "bytes_condensed": _extremes(cell.image_bytes for cell in condensed),
    }
    figures |= _hybrid(folder, condensed[0].ipc)
    seeds = len({cell.seed for cell in condensed})
    on = MeasuredOn(device=full[0].device, seeds=seeds, protocol=full[0].protocol)
    next_month = date(created.year + created.month // 12, created.month % 12 + 1, 1)
    used = any(cell.teacher_seconds > 0 for cell in condensed)
    return Measured(full[0].dataset, condensed[0].ipc, next_month, on, figures, used)


def _hybrid(folder: Path, ipc: int) -> dict[str, Range]:
    """Return what hybrid operation measured, at the smallest share of real images within the loss, else the most.

    Empty where the run has not measured it.
    """
    path = folder / "operations.json"
    if not path.is_file() or (found := OperationsRecord.load(path)).ipc != ipc:
        return {}
    tuned = [share for share in found.shares if share > 0]
    if not tuned:
        return {}
    share = max(found.share if found.share is not None else tuned[-1], tuned[0])
    points = found.at(share)
    return {
        "map_hybrid": _interval(point.map for point in points),
        "seconds_finetune": _extremes(point.tune_seconds for point in points),
        "real_share": (share, share, share),
    }


def _extremes(values: Iterable[float]) -> Range:
    numbers = list(values)
    return min(numbers), min(max(summarise(numbers).mean, min(numbers)), max(numbers)), max(numbers)


def _interval(values: Iterable[float]) -> Range:
    mean, half_width, _ = summarise(values)
    return max(mean - half_width, 0.0), mean, min(mean + half_width, 1.0)
