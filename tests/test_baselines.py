"""Baselines: herding and k-center against slow references, gradient matching, and what all methods promise."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sets_for_tests import image_set

import pocket
from pocket.condensation.config import IEMConfig
from pocket.condensation.gradient import GradientConfig, _Learner, gradient_distance, gradient_matching
from pocket.condensation.matching import Matched, Step
from pocket.condensation.methods import Task
from pocket.condensation.real import RealImages
from pocket.condensation.selection import herd, herding, k_center, kcenter
from pocket.data import ImageSet
from pocket.hashing import HashModel
from pocket.hashing.devices import generator
from pocket.hashing.objectives import OBJECTIVES, objective
from pocket.runs.checkpoint import Checkpoint

DIGITS = pocket.load("digits").train
CPU = torch.device("cpu")
# Unequal classes: 60, 59, ... 51 images.
UNEQUAL = DIGITS.subset(np.concatenate([np.flatnonzero(DIGITS.labels == c)[: 60 - c] for c in range(10)]))
SELECT = IEMConfig.dm(pool_epochs=1)
TINY = {"steps": 5, "restart": 2, "inner_steps": 2, "real_batch": 8}
METHODS = {
    "herding": (herding, SELECT),
    "kcenter": (kcenter, SELECT),
    "dc": (gradient_matching, GradientConfig.dc(**TINY)),
    "idc": (gradient_matching, GradientConfig.idc(**TINY)),
}


def task(config: IEMConfig | GradientConfig, images: ImageSet = UNEQUAL, **changes) -> Task:
    common = {
        "counts": np.full(images.num_classes, changes.pop("ipc", 2)),
        "hashing": "orthohash",
        "bits": 16,
        "width": 8,
        "seed": 0,
    }
    nothing = {
        "backbone": "convnet",
        "device": "cpu",
        "pool": None,
        "teacher": None,
        "progress": False,
        "watch": None,
        "checkpoint": None,
    }
    common["formations"] = np.full(images.num_classes, config.formation)
    return Task(**{"images": images, "config": config} | common | nothing | changes)


def make(method: str, **changes) -> Matched:
    function, config = METHODS[method]
    return function(task(changes.pop("config", config), **changes))


def as_bytes(made: Matched) -> np.ndarray:
    return (made.images * 255).round().byte().numpy()


@pytest.mark.parametrize("method", METHODS)
def test_same_seed_same_bits_and_other_seed_other_bits(method: str) -> None:
    first, again, other = (make(method, seed=seed) for seed in (3, 3, 4))
    assert torch.equal(first.images, again.images)
    assert not torch.equal(first.images, other.images)
    assert first.images.shape == (20, 1, 16, 16)
    assert 0 <= first.images.min() < first.images.max() <= 1
    assert first.condense_seconds > 0
    assert (first.pool_seconds > 0) == (method in ("herding", "kcenter"))


@pytest.mark.parametrize("method", ["herding", "kcenter"])
def test_chosen_images_are_real_ones_of_their_class_and_all_different(method: str) -> None:
    made = as_bytes(make(method, ipc=5))
    assert len(np.unique(made, axis=0)) == 50
    for place, image in enumerate(made):
        of = UNEQUAL.labels[(UNEQUAL.images == image).all(axis=(1, 2, 3))]
        assert place // 5 in of


def test_tiles_hold_the_images_that_would_be_chosen_whole() -> None:
    whole = make("herding", ipc=4)
    tiled = make("herding", ipc=1, config=replace(SELECT, formation=2))
    assert tiled.images.shape == (10, 1, 16, 16)
    assert torch.equal(tiled.images, pocket.data.formation.encode(whole.images, 2))


@pytest.mark.parametrize("method", ["herding", "kcenter"])
def test_a_teacher_gives_the_embedding_and_no_pool_is_trained(method: str) -> None:
    teacher = HashModel(channels=1, size=16, num_classes=10, bits=16, width=8, seed=1).eval()
    made, again = (make(method, teacher=teacher, seed=seed) for seed in (0, 1))
    assert made.pool_seconds == 0
    assert torch.equal(made.images, again.images), "nothing is left to chance"
    assert not torch.equal(made.images, make(method).images)
    wrong = HashModel(channels=1, size=12, num_classes=10, bits=16, width=8)
    with pytest.raises(ValueError, match="the teacher takes images of 1 channels and 12 px"):
        make(method, teacher=wrong)


def slow_herd(x: np.ndarray, k: int) -> list[int]:
    """The definition, in whole numbers so that ties are ties: |t * total - n * (chosen + x)|^2 is smallest."""
    chosen: list[int] = []
    for turn in range(1, k + 1):
        rest = [i for i in range(len(x)) if i not in chosen]
        error = [((turn * x.sum(0) - len(x) * (x[chosen].sum(0) + x[i])) ** 2).sum() for i in rest]
        chosen.append(rest[int(np.argmin(error))])
    return chosen


def slow_k_center(x: np.ndarray, k: int) -> list[int]:
    chosen = [int(np.argmin([((x.sum(0) - len(x) * row) ** 2).sum() for row in x]))]
    while len(chosen) < k:
        rest = [i for i in range(len(x)) if i not in chosen]
        gap = [min(((x[i] - x[j]) ** 2).sum() for j in chosen) for i in rest]
        chosen.append(rest[int(np.argmax(gap))])
    return chosen


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    counts=st.lists(st.integers(3, 9), min_size=1, max_size=4),
    k=st.integers(1, 3),
    values=st.sampled_from([2, 4, 1000]),  # few values: many ties and doubles
    seed=st.integers(0, 10**6),
)
def test_selection_equals_the_slow_reference(counts: list[int], k: int, values: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.repeat(np.arange(len(counts)), counts))
    x = rng.integers(0, values, (len(labels), 3))
    for fast, slow in ((herd, slow_herd), (k_center, slow_k_center)):
        chosen = fast(torch.tensor(x).float(), torch.tensor(labels), len(counts), k).numpy()
        for c in range(len(counts)):
            rows = np.flatnonzero(labels == c)
            assert chosen[c].tolist() == rows[slow(x[rows], k)].tolist()


@pytest.mark.parametrize("choose", [herd, k_center])
def test_a_whole_class_can_be_taken_but_not_more(choose) -> None:
    x, labels = torch.ones(5, 2), torch.tensor([1, 0, 1, 0, 1])
    assert [sorted(row) for row in choose(x, labels, 2, 2).tolist()] == [[1, 3], [0, 2]]
    assert sorted(choose(x, labels, 2, 3)[1].tolist()) == [0, 2, 4], "the smaller class keeps none from the larger"
    assert sorted(choose(x, labels, 2, 3)[0][:2].tolist()) == [1, 3]
    with pytest.raises(ValueError, match="k=4: 1 row a class is chosen, up to 3"):
        choose(x, labels, 2, 4)
    with pytest.raises(ValueError, match="k=0"):
        choose(x, labels, 2, 0)


def test_herding_is_closer_to_the_mean_and_k_center_covers_better_than_chance() -> None:
    z = torch.tensor(UNEQUAL.images).flatten(1).double()
    labels = torch.tensor(UNEQUAL.labels)

    def mean_error(rows: torch.Tensor) -> float:
        return float(torch.stack([(z[r].mean(0) - z[labels == c].mean(0)).norm() for c, r in enumerate(rows)]).mean())

    def radius(rows: torch.Tensor) -> float:
        return float(
            torch.stack([torch.cdist(z[labels == c], z[r]).min(1)[0].max() for c, r in enumerate(rows)]).mean()
        )

    by_chance = [torch.tensor(UNEQUAL.pick(5, s)).view(10, 5) for s in range(5)]
    assert mean_error(herd(z, labels, 10, 5)) < min(map(mean_error, by_chance))
    assert radius(k_center(z, labels, 10, 5)) < min(map(radius, by_chance))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"augment": False},
        {"formation": 2},
        {"distance": "mse"},
        {"train_on": "real"},
        {"inner_steps": 0},
        {"restart": 1},
    ],
)
def test_gradients_come_closer_under_networks_never_seen(changes: dict) -> None:
    losses: list[float] = []
    config = replace(GradientConfig.dc(steps=24, lr=0.005, restart=4, inner_steps=1, real_batch=24), **changes)
    images = image_set(per_class=24)
    job = task(config, images, watch=lambda step: losses.append(float(step.loss)))
    made = gradient_matching(job).images
    assert len(losses) == 25
    assert np.isfinite(losses).all()

    whole = replace(config, augment=False)
    learner, classes = _Learner(task(whole, images, seed=99), whole, CPU), torch.arange(3)
    batch = RealImages(images, CPU).batch(50, generator(CPU, 1))

    def gap(stored: torch.Tensor) -> float:
        views, total = pocket.data.formation.decode(stored, config.formation), 0.0
        for number in range(12):
            learner.restart(number, batch)
            pair = [learner.class_gradients(x, classes, 0.0, differentiable=False) for x in (views, batch)]
            total += float(gradient_distance(*pair, config.distance))
        return total

    assert gap(made) < 0.97 * gap(job.random_start())


def test_per_class_gradients_equal_a_loop_over_classes() -> None:
    learner = _Learner(task(GradientConfig.dc()), GradientConfig.dc(), CPU)
    batch = RealImages(UNEQUAL, CPU).batch(4, generator(CPU, 0))
    learner.restart(0, batch)
    together = learner.class_gradients(batch, torch.arange(10), 0.5, differentiable=False)
    network = learner._network
    weights = [p for name, p in network.named_parameters() if p.dim() > 1 and name != "targets"]
    assert not network.training
    for c, part in enumerate(batch.split(4)):
        loss = objective("orthohash").loss(network(part), torch.full((4,), c), network.targets, 0.5)
        for ours, own in zip(together, torch.autograd.grad(loss, weights), strict=True):
            assert torch.allclose(ours[c], own, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("hashing", OBJECTIVES)
def test_every_hashing_loss_can_be_matched(hashing: str) -> None:
    made = gradient_matching(task(GradientConfig.idc(steps=3, real_batch=4), image_set(), hashing=hashing, ipc=1))
    assert made.images.isfinite().all()
    assert not torch.equal(made.images, task(GradientConfig.idc(), image_set(), ipc=1).random_start())


def test_gradient_distances_are_those_of_the_papers() -> None:
    rng = np.random.default_rng(0)
    a, b = ([rng.normal(size=shape) for shape in ((2, 3, 4), (2, 5, 2, 3, 3))] for _ in range(2))
    cosine, mse = 0.0, 0.0
    for x, y in zip(a, b, strict=True):
        for p, q in zip(x.reshape(-1, x[0, 0].size), y.reshape(-1, y[0, 0].size), strict=True):
            cosine += 1 - p @ q / np.linalg.norm(p) / np.linalg.norm(q)
            mse += ((p - q) ** 2).sum()
    tensors = [torch.tensor(x) for x in a], [torch.tensor(x) for x in b]
    assert float(gradient_distance(*tensors, "cosine")) == pytest.approx(cosine)
    assert float(gradient_distance(*tensors, "mse")) == pytest.approx(mse)
    assert float(gradient_distance(tensors[0], tensors[0], "cosine")) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(
    ("method", "stop_at", "backbone"),
    [
        ("dc", 1, "convnet"),
        ("dc", 2, "convnet"),
        ("dc", 2, "torchvision:resnet18"),  # with statistics of batches
        ("idc", 3, "convnet"),
        ("idc", 5, "convnet"),
    ],
)
def test_an_interrupted_run_goes_on_to_the_same_bits(tmp_path: Path, method: str, stop_at: int, backbone: str) -> None:
    own = {"config": replace(METHODS[method][1], restart=3), "backbone": backbone}
    changes = own | ({} if backbone == "convnet" else {"width": None, "images": image_set(), "ipc": 1})

    def stop(step: Step) -> None:
        if step.number == stop_at:
            raise KeyboardInterrupt

    def state() -> Checkpoint:
        return Checkpoint(tmp_path / "state.safetensors", {"task": method}, resume=True)

    seen: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        make(method, watch=stop, checkpoint=state(), **changes)
    resumed = make(method, watch=lambda step: seen.append(step.number), checkpoint=state(), **changes)
    assert torch.equal(resumed.images, make(method, **changes).images)
    assert seen[0] == (stop_at if stop_at > 1 else 0), "the update that was stopped is the next, within a network too"


def test_a_time_budget_ends_the_run() -> None:
    seen: list[int] = []
    config = GradientConfig.dc(**TINY | {"steps": 10**6, "seconds": 0.5})
    made = gradient_matching(task(config, watch=lambda step: seen.append(step.number)))
    assert 0.5 <= made.condense_seconds < 20
    assert 1 <= seen[-1] < 10**6


@pytest.mark.parametrize("method", METHODS)
def test_a_class_with_fewer_images_than_tiles_gives_each_again_and_an_empty_one_is_refused(method: str) -> None:
    few = UNEQUAL.subset(np.concatenate([np.flatnonzero(UNEQUAL.labels != 3), np.flatnonzero(UNEQUAL.labels == 3)[:7]]))
    assert len(make(method, images=few, ipc=7).images) == 70
    none = UNEQUAL.subset(np.flatnonzero(UNEQUAL.labels != 3))
    with pytest.raises(ValueError, match=f"images a class are wanted of .*{DIGITS.class_names[3]} has 0"):
        make(method, images=none, ipc=8)
    with pytest.raises(ValueError, match=f"has no image of {DIGITS.class_names[3]}"):
        pocket.condense(none, 1, "random")


def test_global_random_state_is_left_alone() -> None:
    before = torch.get_rng_state()
    for method in ("herding", "idc"):
        make(method)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: GradientConfig(lr=0), "lr=0: must be above 0"),
        (lambda: GradientConfig(steps=-1), "steps=-1: must be 0 or more"),
        (lambda: GradientConfig(formation=9), "formation=9: must be 1 to 8"),
        (lambda: GradientConfig(restart=0), "restart=0: must be 1 or more"),
        (lambda: GradientConfig(inner_steps=-1), "inner_steps=-1: must be 0 or more"),
        (lambda: GradientConfig(train_on="fake"), "train_on='fake': must be 'synthetic' or 'real'"),
        (lambda: GradientConfig.idc(distance="l1"), "distance='l1': must be 'cosine' or 'mse'"),
        (lambda: GradientConfig.dc(seconds=0), "seconds=0: must be above 0, or None"),
        (lambda: pocket.TrainConfig(momentum=0), "momentum=0: must be between 0 and 1"),
        (lambda: pocket.TrainConfig(steps=0), "steps=0: must be 1 or more"),
        (lambda: pocket.TrainConfig(cutmix=1.5), "cutmix=1.5: must be from 0 to 1"),
        (lambda: make("dc", config=SELECT), "gradient matching takes a GradientConfig, not IEMConfig"),
        (lambda: make("herding", config=GradientConfig()), "take an IEMConfig"),
    ],
)
def test_wrong_arguments_get_a_clear_error(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
