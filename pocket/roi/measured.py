"""What a run measured, read from its records: seconds, mAP and bytes of the three alternatives."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from datetime import date, datetime
from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict

from pocket.runs.provenance import BUSY
from pocket.runs.records import (
    Cell,
    CondensationRecord,
    OperationsRecord,
    TrainingRecord,
    select,
    strongest_random,
    summarise,
)
from pocket.runs.retrieval import FAILED_RANK, MODELS, RetrievalComparison

Range = tuple[float, float, float]
# Keys of notes, see `pocket.roi.fields.Estimate`.
EQUAL_STEPS, EQUAL_SETS, OVER_QUERIES, MEDIAN = "equal_steps", "equal_sets", "over_queries", "median"
# Times as long as the fastest from which equal work was disturbed; below a second they differ by chance.
SPREAD, LEAST_SECONDS = 1.5, 1.0


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


class FailedChange(BaseModel):
    """By how much more searches fail than with all data, as measured: differences of shares, fewer are negative.

    ``low`` and ``high`` are the condensed set's 95 % interval over ``seeds``, paired; of one seed there is none, and
    both are ``mean``. ``random`` is the mean of the random subset.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    low: float
    mean: float
    high: float
    random: float
    seeds: int


class Measured(NamedTuple):
    """Low, base and high of every measured input, with what they were measured on.

    ``teacher`` says whether a full-data model was used to condense; ``notes`` holds keys of notes on some figures.
    """

    dataset: str
    ipc: int
    start: date
    on: MeasuredOn
    figures: dict[str, Range]
    teacher: bool
    notes: dict[str, str]
    failed: FailedChange | None


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


def _equal_sets(condensed: list[Cell], random: list[Cell]) -> bool:
    """Return whether the condensed and the random set take the same steps on as many images: the same work."""
    return len({(cell.steps, cell.images) for cell in (*condensed, *random)}) == 1


def equal_steps(full: list[Cell], condensed: list[Cell]) -> int | None:
    """Return the steps of a training where full data and the condensed set take the same, else None.

    Then either costs the same, and a difference of the measured seconds is noise.
    """
    steps = {cell.steps for cell in (*full, *condensed)}
    return steps.pop() if len(steps) == 1 else None


class Disturbed(NamedTuple):
    """Signs that other work slowed the measuring down: the fastest and the slowest seconds of equal work where they lie
    too far apart (else None), and the load for each core where it was too high (else None).
    """

    seconds: tuple[float, float] | None
    load: float | None


def disturbed(cells: Iterable[Cell]) -> Disturbed | None:
    """Return the signs that other work disturbed what these cells measured; None: there are none.

    Equal work is the same steps on sets of the same size, and the condensing of sets of the same size.
    """
    known = list(cells)
    equal: dict[tuple[object, ...], list[float]] = {}
    for cell in known:
        size = cell.method == "full", cell.images, cell.formation, cell.device
        equal.setdefault((*size, cell.steps), []).append(cell.train_seconds)
        equal.setdefault((*size, cell.method), []).append(cell.pool_seconds + cell.condense_seconds)
    apart = [
        (min(seconds), max(seconds))
        for seconds in equal.values()
        if max(seconds) > SPREAD * min(seconds) and max(seconds) - min(seconds) > LEAST_SECONDS
    ]
    worst = max(apart, key=lambda pair: pair[1] / max(pair[0], 1e-9), default=None)
    load = max((cell.load for cell in known if cell.load is not None), default=0.0)
    return Disturbed(worst, load if load > BUSY else None) if worst or load > BUSY else None


def measure(folder: Path, ipc: int | None = None) -> Measured:
    """Return the measured inputs of the run in ``folder``; errors as for `alternatives`.

    Seconds are medians over seeds: one training that other work on the machine has slowed down does not move them.
    Where all trainings take the same steps, one time stands for all of them, without a range: drawn apart, their noise
    would look like a saving. So it does for the condensed and the random set where these take the same steps on as many
    images: the median over all of them, lest noise say which of the two is worth more.
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
    on = MeasuredOn(device=full[0].device, seeds=seeds, protocol=full[0].protocol)
    notes = dict.fromkeys([name for name in figures if name.startswith("seconds_")], MEDIAN) if seeds > 1 else {}
    if equal_steps(full, condensed):
        middle = figures["seconds_full"][1]
        names: tuple[str, ...] = ("seconds_full", "seconds_condensed", "seconds_random")
        figures |= dict.fromkeys(names, (middle, middle, middle))
        notes |= dict.fromkeys(names, EQUAL_STEPS)
    elif _equal_sets(condensed, random):
        middle = statistics.median(cell.train_seconds for cell in (*condensed, *random))
        names = ("seconds_condensed", "seconds_random")
        figures |= dict.fromkeys(names, (middle, middle, middle))
        notes |= dict.fromkeys(names, EQUAL_SETS)
    if wider := _over_queries(folder, figures):
        figures |= wider
        notes |= dict.fromkeys(wider, OVER_QUERIES)
    next_month = date(created.year + created.month // 12, created.month % 12 + 1, 1)
    used = any(cell.teacher_seconds > 0 for cell in condensed)
    return Measured(full[0].dataset, condensed[0].ipc, next_month, on, figures, used, notes, _failed(folder))


def _over_queries(folder: Path, figures: dict[str, Range]) -> dict[str, Range]:
    """Return mAP of the condensed and the random set with ranges that also hold the intervals over groups of queries.

    Those are of the differences, query by query, as `pocket poc` keeps them; empty where it has not.
    """
    path = folder / "retrieval.json"
    if not path.is_file() or (over := RetrievalComparison.load(path).over) is None:
        return {}
    full, condensed = figures["map_full"][1], figures["map_condensed"][1]
    ends = {
        "map_condensed": (full, over.against_full.low, over.against_full.high),
        "map_random": (condensed, _minus(over.against_random.high), _minus(over.against_random.low)),
    }
    return {
        name: (
            max(min(figures[name][0], beside + low), 0.0),
            figures[name][1],
            min(max(figures[name][2], beside + high), 1.0),
        )
        for name, (beside, low, high) in ends.items()
        if low is not None and high is not None
    }


def _failed(folder: Path) -> FailedChange | None:
    """Return the change of failed searches over all seeds, or of the first one where only that was kept; else None."""
    path = folder / "retrieval.json"
    if not path.is_file():
        return None
    found = RetrievalComparison.load(path)
    if found.failed is not None:
        full, condensed, random = found.failed.full, found.failed.condensed, found.failed.random
    else:
        hits = [found.models[name].hit_rate_at for name in MODELS if name in found.models]
        if len(hits) < len(MODELS) or not all(FAILED_RANK in rates for rates in hits):
            return None
        full, condensed, random = ((1 - rates[FAILED_RANK],) for rates in hits)
    mean, half_width, seeds = summarise(ours - theirs for ours, theirs in zip(condensed, full, strict=True))
    others = summarise(ours - theirs for ours, theirs in zip(random, full, strict=True)).mean
    return FailedChange(low=mean - half_width, mean=mean, high=mean + half_width, random=others, seeds=seeds)


def _minus(value: float | None) -> float | None:
    return None if value is None else -value


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
    return min(numbers), statistics.median(numbers), max(numbers)


def _interval(values: Iterable[float]) -> Range:
    mean, half_width, _ = summarise(values)
    return max(mean - half_width, 0.0), mean, min(mean + half_width, 1.0)
