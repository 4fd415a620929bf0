"""What matching promises beside equal bits: one transform for both sides, a judge that judges, no wait in a step."""

from __future__ import annotations

import linecache
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sets_for_tests import image_set
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

import pocket
from pocket.condensation import make_pool, networks, sizes
from pocket.condensation.config import IEMConfig
from pocket.condensation.gradient import GradientConfig
from pocket.condensation.matching import views
from pocket.condensation.real import RealImages
from pocket.condensation.sizes import real_batch
from pocket.data import ImageSet
from pocket.data.formation import decode
from pocket.hashing import Augmentation, HashModel, TrainConfig, train
from pocket.hashing.devices import generator, to_float
from pocket.hashing.objectives import objective
from pocket.workflows.suites import FEW

IMAGES = image_set(per_class=24, mirror=True)
OPTIONS: dict[str, Any] = {"bits": 16, "width": 8, "device": "cpu"}
OURS = str(Path(pocket.__file__).parent)
STRONG = Augmentation(scale=0.2, rotate=15.0, shift=0.1, colour=0.5, cutout=0.5)


def losses(method: str, counts: int | list[int], config: IEMConfig, **more: object) -> list[float]:
    """Condense, and return the loss of each step."""
    seen: list[float] = []
    pocket.condense(
        IMAGES, counts, method, config=config, watch=lambda s: seen.append(float(s.loss)), **OPTIONS, **more
    )
    return seen[1:]


@pytest.mark.parametrize("weight_cov", [0.0, 1.0])
def test_real_and_synthetic_images_share_their_transform(weight_cov: float, monkeypatch: pytest.MonkeyPatch) -> None:
    config = IEMConfig.dm(steps=1, real_batch=4, weight_v=0.1, weight_cov=weight_cov, augmentation=STRONG)
    start = pocket.condense(IMAGES, 4, "random", config=IEMConfig.dm(), **OPTIONS)
    assert losses("dm", 4, config)[0] > 0
    monkeypatch.setattr(RealImages, "pixels", lambda self, rows: to_float(start.images))
    assert losses("dm", 4, config) == [0.0], "equal images under one transform have equal moments"


@pytest.fixture(scope="module")
def teacher() -> HashModel:
    return train(IMAGES, config=TrainConfig(steps=60, batch=24), **OPTIONS)


@pytest.mark.parametrize("formation", [1, 2])
def test_the_consistency_is_the_teachers_own_loss_of_the_views(formation: int, teacher: HashModel) -> None:
    made = pocket.condense(IMAGES, 2, "random", config=IEMConfig.dm(formation=formation), **OPTIONS)
    drawn = Augmentation().draw(IMAGES.num_classes, generator(torch.device("cpu"), 1))
    stored, labels = to_float(made.images), torch.tensor(made.labels)
    judge, config = teacher.eval(), IEMConfig.best(formation=formation)
    with torch.no_grad():
        _, _, loss = views(stored, labels, formation, Augmentation(), drawn, judge, judge, config)
    shown = decode(stored, formation)
    v, of = judge(shown), labels.repeat_interleave(formation**2)
    by_hand = objective("orthohash").loss(v, of, judge.targets, 1.0)
    assert float(loss) == pytest.approx(float(by_hand), rel=1e-5)
    wrong = objective("orthohash").loss(v, of.flip(0), judge.targets, 1.0)
    assert abs(float(wrong) - float(by_hand)) > 0.1, "labels matter"


def test_consistency_alone_makes_views_that_the_teacher_knows(teacher: HashModel) -> None:
    config = IEMConfig.best(steps=30, weight_z=0.0, weight_v=0.0, weight_hash=1.0)
    found = losses("iem", 2, config, teacher=teacher)
    assert found[-1] < 0.5 * found[0]


@pytest.mark.parametrize(("kind", "fewest", "most"), [("random", 16, 16), ("both", 2, 14), ("pool", 0, 0)])
def test_random_networks_are_new_at_every_step_and_both_kinds_take_turns(
    kind: str, fewest: int, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = networks.initialise
    seeds: list[int] = []

    def noted(model: HashModel, seed: int) -> None:
        seeds.append(seed)
        made(model, seed)

    monkeypatch.setattr(networks, "initialise", noted)
    losses("iem", 1, IEMConfig.paper(steps=16, networks=kind, pool_size=1, pool_epochs=1))
    assert fewest <= len(seeds) <= most
    assert len(set(seeds)) == len(seeds)


@pytest.mark.parametrize("kind", ["random", "pool"])
def test_the_pool_judges_by_its_finished_networks(kind: Any) -> None:
    config = IEMConfig(networks=kind, judge="pool", weight_hash=1.0, interpolate=True, pool_size=2, pool_epochs=1)
    pool = make_pool(IMAGES, config, **OPTIONS)
    cpu, shape = torch.device("cpu"), {"bits": 16, "width": 8}
    drawing = networks.Networks(IMAGES, pool, config, shape, seed=0, device=cpu)
    judged, finished = set(), {model.fingerprint for model in pool.models}
    for step in range(12):
        stage = drawing.draw(step, generator(cpu, 5, step))
        assert drawing.judge is not None
        assert not drawing.judge.training, "it judges as a finished network does"
        assert stage.fingerprint != drawing.judge.fingerprint
        judged.add(drawing.judge.fingerprint)
    assert judged == finished
    ends = replace(config, interpolate=False, perturb=(0.0, 0.0), networks="pool")
    drawing = networks.Networks(IMAGES, pool, ends, shape, seed=0, device=cpu)
    for step in range(6):
        stage = drawing.draw(step, generator(cpu, 5, step))
        assert drawing.judge is not None
        assert stage.fingerprint == drawing.judge.fingerprint, "it is the end of the very line"


def test_a_pool_that_judges_needs_no_teacher() -> None:
    config = IEMConfig.best(
        steps=30, weight_z=0.0, weight_v=0.0, weight_hash=1.0, judge="pool", pool_size=2, pool_epochs=20, real_batch=8
    )
    made = pocket.condense(IMAGES, 2, config=config, **OPTIONS)
    assert made.card.teacher_seconds == 0
    assert made.card.pool_seconds > 0
    assert made.card.config["judge"] == "pool"
    found = losses("iem", 2, config)
    assert np.mean(found[-4:]) < 0.7 * np.mean(found[:4]), "both networks come to know the views"


class _Waits(TorchDispatchMode):
    """Count, by the line of ours that asks, operations whose result a processor must wait for on a GPU."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        named, given = str(func), kwargs or {}
        waits = named.startswith(("aten._local_scalar_dense", "aten.nonzero", "aten.masked_select", "aten._unique"))
        if waits or (named == "aten.repeat_interleave.Tensor" and given.get("output_size") is None):
            stack = traceback.extract_stack()
            ours = next((frame for frame in reversed(stack) if frame.filename.startswith(OURS)), stack[0])
            line = linecache.getline(ours.filename, ours.lineno or 0)
            # On a CPU alone torch reads Adam's step, and looks at the labels of `one_hot`.
            if "optimizer.step" not in line and "one_hot(" not in line:
                self.asked[f"{ours.filename}:{ours.lineno} {named}"] += 1
        return func(*args, **given)


def _condensed(
    counts: int | list[int], config: IEMConfig | GradientConfig, model: HashModel | None
) -> Callable[[int], object]:
    method = "iem" if isinstance(config, IEMConfig) else "gradient"
    return lambda steps: pocket.condense(
        IMAGES, counts, method, config=replace(config, steps=steps), teacher=model, **OPTIONS
    )


@pytest.mark.parametrize(
    "what", ["IEM", "IEM as published", "IEM by experts", "unequal classes", "DC", "IDC within a budget", "training"]
)
def test_no_step_waits_for_the_device(what: str, teacher: HashModel) -> None:
    published = IEMConfig.paper(pool_size=1, pool_epochs=1, weight_cov=0.1)
    work: dict[str, Callable[[int], object]] = {
        "IEM": _condensed(2, IEMConfig.best(), teacher),
        "IEM as published": _condensed(2, published, teacher),
        "IEM by experts": _condensed(2, IEMConfig.experts(pool_size=2, pool_epochs=1), teacher),
        "unequal classes": _condensed([1, 2, 3], IEMConfig.best(weight_cov=0.1), teacher),
        "DC": _condensed(2, GradientConfig.dc(real_batch=8), None),
        "IDC within a budget": _condensed(2, GradientConfig.idc(real_batch=8, seconds=600.0), None),
        "training": lambda steps: train(IMAGES, config=TrainConfig(steps=steps, batch=8, cutmix=0.5), **OPTIONS),
    }
    few, many = _Waits(), _Waits()
    for mode, steps in (few, 2), (many, 7):
        with mode:
            work[what](steps)
    assert many.asked == few.asked


def test_a_wait_would_be_seen() -> None:
    def step(x: Tensor) -> None:
        x.sum().item()
        x.long().repeat_interleave(x.long())

    with _Waits() as mode:
        step(torch.ones(3))
    assert sum(mode.asked.values()) == 2


def _spread(classes: float, within: float, seed: int = 0) -> ImageSet:
    """Return images of three classes whose grey levels lie so far apart, each with noise of its own."""
    random = np.random.default_rng(seed)
    labels = np.arange(3).repeat(400)
    levels = 128 + classes * (labels - 1)[:, None, None, None] + within * random.standard_normal((1200, 1, 8, 8))
    return ImageSet(levels.round().clip(0, 255).astype(np.uint8), labels, ("a", "b", "c"), "levels")


@pytest.mark.parametrize(("classes", "within", "real"), [(20, 20, 32), (20, 40, 120), (20, 4, 32), (2, 40, 256)])
def test_the_real_batch_grows_as_classes_come_closer(classes: float, within: float, real: int) -> None:
    # Three levels in steps of d have the variance 2/3 d^2: 20 within / between = 30 (within / d)^2.
    assert real_batch(_spread(classes, within)) == pytest.approx(real, rel=0.03)


def test_neither_chunks_nor_size_nor_the_number_of_images_change_the_real_batch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    images = _spread(20, 40)
    whole = real_batch(images)
    larger = ImageSet(images.images.repeat(6, 2).repeat(6, 3), images.labels, images.class_names, "larger")
    assert larger.size == 48
    assert real_batch(larger) == whole
    monkeypatch.setattr(sizes, "_AT_ONCE", 7)
    assert real_batch(images) == whole
    uneven = images.subset(np.flatnonzero((images.labels != 2) | (np.arange(len(images)) % 4 == 0)))
    assert real_batch(uneven) == pytest.approx(whole, rel=0.1), "each class mean counts alike"


def test_equal_classes_take_the_largest_real_batch() -> None:
    same = ImageSet(np.zeros((4, 1, 8, 8), dtype=np.uint8), np.array([0, 0, 2, 2]), ("a", "none", "b"), "same")
    assert real_batch(same) == 256


def test_a_set_notes_the_real_batch_that_its_images_asked_for() -> None:
    made = pocket.condense(IMAGES, 1, "dm", config=IEMConfig.dm(steps=1), **OPTIONS)
    assert made.card.config["real_batch"] == real_batch(IMAGES)
    made = pocket.condense(IMAGES, 1, "dm", config=IEMConfig.dm(steps=1, real_batch=3), **OPTIONS)
    assert made.card.config["real_batch"] == 3


def test_the_benchmark_of_digits_takes_what_the_rule_would() -> None:
    assert real_batch(pocket.load("digits").train) == FEW
