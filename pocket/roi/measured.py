"""What a run measured, read from its records: seconds, mAP and bytes of the three alternatives."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from pathlib import Path
from typing import NamedTuple

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


class Measured(NamedTuple):
    """Low, base and high of every measured input, with what they were measured on.

    ``teacher`` says whether a full-data model was used to condense; ``notes`` replace ``note`` for single figures.
    """

    dataset: str
    ipc: int
    start: date
    note: str
    figures: dict[str, Range]
    teacher: bool
    notes: dict[str, str]


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


def equal_steps(full: list[Cell], condensed: list[Cell]) -> int | None:
    """Return the steps of a training where full data and the condensed set take the same, else None.

    Then either costs the same, and a difference of the measured seconds is noise.
    """
    steps = {cell.steps for cell in (*full, *condensed)}
    return steps.pop() if len(steps) == 1 else None


def measure(folder: Path, ipc: int | None = None) -> Measured:
    """Return the measured inputs of the run in ``folder``; errors as for `alternatives`.

    Where all trainings take the same steps, one time stands for all of them, without a range: drawn apart, their noise
    would look like a saving.
    """
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
    note = f"measured on {full[0].device}, {seeds} seeds, protocol {full[0].protocol}"
    notes: dict[str, str] = {}
    if steps := equal_steps(full, condensed):
        mean, names = figures["seconds_full"][1], ("seconds_full", "seconds_condensed", "seconds_random")
        figures |= dict.fromkeys(names, (mean, mean, mean))
        notes = dict.fromkeys(names, f"{note}; mean of the full-data models, since all trainings take {steps} steps")
    next_month = date(created.year + created.month // 12, created.month % 12 + 1, 1)
    used = any(cell.teacher_seconds > 0 for cell in condensed)
    return Measured(full[0].dataset, condensed[0].ipc, next_month, note, figures, used, notes)


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
