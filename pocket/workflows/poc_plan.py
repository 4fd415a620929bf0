"""What `pocket poc` will do with a set of images, planned from the data, and how long it takes, measured on the go."""

from __future__ import annotations

import math
import time
import warnings
from contextlib import suppress
from dataclasses import replace
from functools import cache
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from pocket.condensation import IEMConfig, condense
from pocket.data import CondensedSet, RetrievalSplit, images_per_class
from pocket.data.decoding import Fit
from pocket.data.intake import CheckRecord
from pocket.data.intake.judge import RATIO
from pocket.data.intake.look import SIZES
from pocket.evaluation import evaluate
from pocket.evaluation.diagnostics import CORRUPTIONS, SEVERITIES
from pocket.hashing import HashModel, TrainConfig, train
from pocket.hashing.devices import pick_device
from pocket.runs import ArtefactError, Run
from pocket.runs.commands import BITS, SEEDS
from pocket.runs.poc import AskedRecord, Plan

SizedBy = Literal["imbalance", "few", "check", "asked"]
MINUTES = 15.0
WIDTH = 32
# Floating-point operations a second and seconds a step besides them, by which a plan is fitted into its minutes: of 2
# CPU cores and of one GPU, on the slow side. A rule of thumb and no clock, so that the same command plans the same.
_RATE = {"cpu": (3.0e10, 0.02), "cuda": (2.0e12, 0.01)}
# Planned before there are pixels to choose the real batch by; more of them would take their minutes from the steps.
_REAL_BATCH = 32
_STEPS = (1.0, 0.75, 0.5)  # of the usual steps of condensing, the most first
_REST = 90.0  # seconds for everything that is neither trained nor condensed
_KINDS = 4  # models a seed: full data, random whole and in tiles, condensed
DIAGNOSES = 3  # models that are diagnosed: of the first seed, one of each kind
_SAMPLE, _FEW_STEPS = 512, 20  # images and steps that the time is measured on


class Asked(NamedTuple):
    """What the caller wants otherwise than by default; None leaves it to the images."""

    seeds: int = SEEDS
    bits: int = BITS
    ipc: int | None = None
    ratio: float | None = None
    resolution: int | None = None
    minutes: float = MINUTES
    fit: Fit | None = None  # of images that are not square; None: as the run was made with, else "crop"
    steps: tuple[int, int] | None = None  # of training and of condensing: for a quick look

    def options(self) -> list[str]:
        """Return the options of `pocket poc` that ask for the same."""
        names = ("seeds", "bits", "ipc", "ratio", "resolution", "minutes")
        asked = {name: getattr(self, name) for name in names if getattr(self, name) != self._field_defaults[name]}
        return [word for name, value in asked.items() for word in (f"--{name}", f"{value:.12g}")]

    @classmethod
    def of(cls, plan: Plan) -> Asked:
        """Return what a plan was asked for, as far as it can be asked of `pocket poc`."""
        ipc, ratio = (plan.ipc, plan.ratio) if plan.sized_by == "asked" else (None, None)
        resolution = plan.resolution if plan.size_by == "asked" else None
        return cls(len(plan.seeds), plan.bits, ipc, ratio, resolution, plan.minutes)


def plan_of(check: CheckRecord, asked: Asked, device: str = "auto") -> Plan:
    """Choose sizes, counts and steps for images that were checked.

    Parameters
    ----------
    check : CheckRecord
        With a verdict other than stop.
    asked : Asked
    device : str
        Its kind alone counts ("cpu" or "cuda").

    Raises
    ------
    ValueError
        If ``ipc`` and ``ratio`` are both given, or one is out of range.
    """
    assert check.size is not None
    train_counts = np.array([row.train for row in check.classes], dtype=np.int64)
    queries = sum(row.query for row in check.classes)
    ratio, ipc, sized_by = _sizes(check, asked, train_counts)
    counts = images_per_class(train_counts, ratio=ratio, ipc=ipc)
    counts = np.minimum(counts, train_counts)
    usual = IEMConfig.best()
    small = TrainConfig.small(int(train_counts.sum()), int(counts.sum()))
    full = TrainConfig.full(int(train_counts.sum()))
    plan = Plan(
        resolution=asked.resolution or check.size.resolution,
        chosen=check.size.resolution,
        size_by="asked" if asked.resolution else "check",
        class_names=tuple(row.name for row in check.classes),
        train=tuple(train_counts.tolist()),
        counts=tuple(counts.tolist()),
        queries=queries,
        sized_by=sized_by,
        ratio=ratio,
        ipc=ipc,
        formation=usual.formation,
        seeds=tuple(range(asked.seeds)),
        bits=asked.bits,
        hashing="orthohash",
        width=WIDTH,
        full_steps=asked.steps[0] if asked.steps else full.steps,
        small_steps=asked.steps[0] if asked.steps else small.steps,
        condense_steps=asked.steps[1] if asked.steps else usual.steps,
        usual_steps=asked.steps[1] if asked.steps else usual.steps,
        minutes=asked.minutes,
        fits=True,
    )
    return _fitted(plan, check.size.channels, pick_device(device).type, bool(asked.resolution))


def keep_asked(run: Run, plan: Plan) -> None:
    """Note in the run what was asked, before anything is made of it: a run that was stopped names its command."""
    asked, path = AskedRecord(options=tuple(Asked.of(plan).options())), run.path("asked.json")
    with suppress(ArtefactError):
        if AskedRecord.load(path) == asked:
            return
    asked.save(path)


def _sizes(check: CheckRecord, asked: Asked, train_counts: np.ndarray) -> tuple[float | None, int | None, SizedBy]:
    """Return the share or the number of condensed images of each class, and what decided it."""
    if asked.ipc is not None and asked.ratio is not None:
        raise ValueError("give either --ipc (condensed images of each class) or --ratio (a share of each class)")
    if asked.ipc is not None or asked.ratio is not None:
        return asked.ratio, asked.ipc, "asked"
    if check.ratio is not None:
        return check.ratio, None, "imbalance"
    least = int(train_counts[train_counts > 0].min())
    assert check.ipc is not None
    # As many condensed images as real ones would be no condensing at all.
    return (RATIO, None, "few") if check.ipc > RATIO * least else (None, check.ipc, "check")


def _fitted(plan: Plan, channels: int, kind: str, fixed: bool) -> Plan:
    """Take fewer steps of condensing, then smaller images, until the plan is within its minutes."""
    sizes = [plan.resolution, *(() if fixed else sorted((s for s in SIZES if s < plan.resolution), reverse=True))]
    tried = plan
    for size in sizes:
        for share in _STEPS:
            tried = plan.model_copy(
                update={
                    "resolution": size,
                    "size_by": plan.size_by if size == plan.resolution else "budget",
                    "condense_steps": max(1, round(share * plan.usual_steps)),
                }
            )
            if nominal_seconds(tried, channels, kind) <= 60 * plan.minutes:
                return tried
    return tried.model_copy(update={"fits": False})


def nominal_seconds(plan: Plan, channels: int, kind: str = "cpu") -> float:
    """Return the seconds of a plan by the operations that it takes, at a nominal speed: no clock is read."""
    rate, aside = _RATE.get(kind, _RATE["cpu"])
    each = image_operations(plan.resolution, channels, plan.width, plan.bits)
    views, classes = sum(plan.counts) * plan.formation**2, sum(n > 0 for n in plan.counts)
    # Forward and backward together take three times the forward.
    batches = plan.full_steps * full_config(plan).batch + 3 * plan.small_steps * small_config(plan).batch
    trained = 3.0 * each * batches
    # Real images forward; synthetic ones forward and backward, under the drawn network and under the teacher.
    condensed = plan.condense_steps * each * (_REAL_BATCH * classes + 6.0 * views)
    steps = plan.full_steps + 3 * plan.small_steps + plan.condense_steps
    encoded = 3.0 * each * min(plan.queries, 2000) * len(CORRUPTIONS) * len(SEVERITIES)
    return len(plan.seeds) * ((trained + condensed) / rate + steps * aside) + encoded / rate + _REST


@cache
def image_operations(size: int, channels: int, width: int, bits: int) -> int:
    """Return the floating-point operations of one image's way through the network."""
    model = HashModel(channels=channels, size=size, num_classes=2, bits=bits, width=width).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.zeros(1, channels, size, size))
    return int(counter.get_total_flops())


def full_config(plan: Plan) -> TrainConfig:
    """Return how a plan trains on full data."""
    return replace(TrainConfig.full(sum(plan.train)), steps=plan.full_steps)


def small_config(plan: Plan) -> TrainConfig:
    """Return how a plan trains on every small set."""
    return replace(TrainConfig.small(sum(plan.train), sum(plan.counts)), steps=plan.small_steps)


def condense_config(plan: Plan) -> IEMConfig:
    """Return how a plan condenses."""
    return IEMConfig.best(steps=plan.condense_steps, formation=plan.formation, real_batch=_REAL_BATCH)


class Speed(NamedTuple):
    """Seconds measured on this machine: of a training step on full data and on a small set, of a step of condensing, of
    an image that is encoded, and of scoring one model.
    """

    full_step: float
    small_step: float
    condense_step: float
    image: float
    score: float


def measure_speed(split: RetrievalSplit, plan: Plan, device: str = "auto") -> Speed:
    """Train and condense for a few steps and throw the result away: what a step takes here and now."""
    some = split.train.subset(np.unique(np.linspace(0, len(split.train) - 1, _SAMPLE, dtype=np.int64)))

    def trained(config: TrainConfig, steps: int) -> tuple[float, HashModel]:
        config = replace(config, steps=steps)
        model = train(some, plan.hashing, plan.bits, 0, width=plan.width, config=config, device=device)
        assert model.report is not None
        return model.report.seconds, model

    def step_of(config: TrainConfig) -> tuple[float, HashModel]:
        seconds, model = trained(config, _FEW_STEPS)  # what is done once is shared out: rather too long than too short
        return seconds / _FEW_STEPS, model

    trained(small_config(plan), 2)  # the first steps of a process are slow
    full, model = step_of(full_config(plan))
    small = full if full_config(plan).batch == small_config(plan).batch else step_of(small_config(plan))[0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = [_short_set(split, plan, model, steps, device).card.condense_seconds for steps in (1, 3)]
    started = time.perf_counter()
    evaluate(model, split, device=device)
    score = time.perf_counter() - started
    step = max((made[1] - made[0]) / 2, made[1] / 6)
    return Speed(full, small, step, score / (len(split.query) + len(split.database)), score)


def _short_set(split: RetrievalSplit, plan: Plan, model: HashModel, steps: int, device: str) -> CondensedSet:
    return condense(
        split.train,
        plan.counts,
        bits=plan.bits,
        hashing=plan.hashing,
        config=replace(condense_config(plan), steps=steps),
        width=plan.width,
        teacher=model,
        device=device,
    )


def estimate(
    plan: Plan, speed: Speed, missing: dict[str, int], *, steps: int | None = None, diagnoses: int = DIAGNOSES
) -> dict[str, float]:
    """Return the seconds by stage of what is not done yet.

    Parameters
    ----------
    plan : Plan
    speed : Speed
    missing : dict
        How many models of each kind ("full", "random", "iem") are to be made.
    steps : int, optional
        Of condensing that are left, where some of those models were begun. Default: all of each.
    diagnoses : int
        How many models are still to be diagnosed.
    """
    steps = missing["iem"] * plan.condense_steps if steps is None else steps
    small = plan.small_steps * speed.small_step + speed.score
    corrupted = min(plan.queries, 2000) * len(CORRUPTIONS) * len(SEVERITIES)
    return {
        "full": missing["full"] * (plan.full_steps * speed.full_step + speed.score),
        "random": missing["random"] * small,
        "iem": steps * speed.condense_step + missing["iem"] * small,
        # Besides encoding, the images are corrupted, which takes about as long.
        "diagnostics": diagnoses * (2 * corrupted * speed.image + 5 * speed.score + 2),
        "report": 20.0,
    }


def longest(seconds: dict[str, float]) -> int:
    """Return the whole minutes that seconds by stage come to, rounded up."""
    return math.ceil(sum(seconds.values()) / 60)
