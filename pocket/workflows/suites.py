"""What `pocket bench` measures: each suite is a list of cells, those worth most first."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import wraps
from typing import Any

from pocket.condensation.config import IEMConfig
from pocket.condensation.gradient import GradientConfig
from pocket.condensation.methods import effective
from pocket.hashing.augmentation import Augmentation
from pocket.hashing.schedule import TrainConfig
from pocket.presentation.benchmark import EXPERTS, TRANSFORMED
from pocket.workflows.cells import EQUAL_DISK, Spec

SEEDS = (0, 1, 2)
STEPS = {10: 1000, 50: 500, 500: 150, 1: 1000}  # of condensing at each size, for all of CIFAR-10
# Real images a class and step, as the rule has it: of digits and Fashion-MNIST, and of natural images. Reduced tasks of
# fewer images (CIFAR-10) or pixels (Imagenette) take FEW of natural images, too, for half the seconds.
FEW, MANY = 32, 256
# Siamese transforms of all six kinds that DM was published with, milder than there and all at once: the strengths are
# those of the ablation. Trial on all of CIFAR-10, 10 whole images a class, width 64, 1,000 steps with 128 real images,
# seed 0, by shift and mirroring / by these: linear head 0.460 / 0.478, hash models 0.208 / 0.218 with hard labels and
# 0.237 / 0.257 with codes.
EVERY = Augmentation(scale=0.1, rotate=10.0, shift=0.1, colour=0.5, cutout=0.4)
# Other students of Fashion-MNIST's sets with hard labels, for IEM's lead there depends on how students are trained:
# random tiles are at their best after fewer steps than `TrainConfig.small` has, IEM with less of a warp. Trial, seed 0,
# after 150, 300, 400, 600 steps: IEM 0.675, 0.728, 0.735, 0.744, random tiles 0.596, 0.610, 0.607, 0.568, whole images
# 0.611, 0.602, 0.602, 0.589. IEM after 400 and 600 steps, changed: 1,000 steps of condensing 0.726, 0.742, 128 real
# a class 0.732, 0.744, by experts 0.726, 0.740, `best` judged by three experts of 12 epochs 0.747, 0.748.
_FEWER = TrainConfig.small(6000, 100)
STUDENTS = {
    "400 steps": replace(_FEWER, steps=400),
    "400 steps, half the warp": replace(
        _FEWER, steps=400, augmentation=Augmentation(scale=0.05, rotate=5.0, shift=0.05)
    ),
    "400 steps of 100, shift": replace(_FEWER, steps=400, batch=100, augmentation=Augmentation(shift=0.0625)),
}


def _cells(base: Spec, ways: Iterable[dict[str, Any]], seeds: Iterable[int] = SEEDS) -> Iterator[Spec]:
    """Vary a base spec in every way, all seeds of one way together."""
    for way, seed in itertools.product(ways, seeds):
        yield replace(base, **way, seed=seed)


def _methods(
    ipc: int, steps: int, formation: int, *, lr: float = 0.05, real_batch: int = FEW, gradient: bool = True
) -> list[dict[str, Any]]:
    """Return every family at one size, each with hard labels: whole images and tiles where a method has both.

    IEM has the one formation and step size given; where it has whole images, the others are in 2 x 2 tiles as well. DM
    has siamese transforms of all kinds that it was published with, too.
    """
    tiles = max(2, formation)
    own = {"steps": steps, "real_batch": real_batch}
    dm, best = IEMConfig.dm(**own), IEMConfig.best(**own, formation=formation, lr=lr)
    ways: list[dict[str, Any]] = [
        {"method": "iem", "config": best},
        *({"method": "random", "config": IEMConfig.dm(formation=f)} for f in (1, tiles)),
        {"method": "iem", "variant": "paper", "config": IEMConfig.paper(**own, formation=tiles)},
        *({"method": "dm", "config": replace(dm, formation=f)} for f in (1, tiles)),
        *(
            {"method": "dm", "variant": TRANSFORMED, "config": replace(dm, formation=f, augmentation=EVERY)}
            for f in (1, tiles)
        ),
        *({"method": "herding", "config": IEMConfig.dm(formation=f)} for f in (1, tiles)),
        *({"method": "kcenter", "config": IEMConfig.dm(formation=f)} for f in (1, tiles)),
    ]
    if gradient:
        # Limited by IEM's seconds; the steps are more than these allow.
        ways += [
            {"method": "gradient", "config": GradientConfig.dc(steps=10 * steps), "like": best},
            {"method": "idc", "config": GradientConfig.idc(steps=10 * steps, formation=tiles), "like": best},
        ]
    ways += [
        {"method": "random", "variant": EQUAL_DISK, "config": IEMConfig.dm(formation=f), "like": best}
        for f in (1, tiles)
    ]
    return [way | {"ipc": ipc} for way in ways]


def _at_full_size(ipc: int, *, gradient: bool = False) -> list[dict[str, Any]]:
    """Return every family at one size for all of CIFAR-10 and a GPU: more images take fewer steps, and more memory.

    500 a class, a tenth of all there are, are whole images, which IEM moves less. Trials with codes, seed 0, mAP of
    random images / IEM by a step size of 0.02 / 0.05: 0.574 / 0.574 / 0.568 at width 64 after 60 steps by a teacher of
    0.586, 0.678 / 0.686 / not tried at width 128 after 150 by one of 0.765. With patient students and 3 seeds there is
    no gain left at this size: 0.707 of IEM, 0.708 of random images.
    """
    own = {"formation": 1, "lr": 0.02} if ipc == 500 else {"formation": 2}
    ways = _methods(ipc, STEPS[ipc], real_batch=MANY, gradient=gradient, **own)
    for way in ways:
        for key in ("config", "like"):
            if isinstance(way.get(key), IEMConfig):
                way[key] = replace(way[key], memory_gb=24.0)
    return ways


def _economical(ipc: int) -> list[dict[str, Any]]:
    """Return every family at one size by the teacher of `economy`, and in its few steps."""
    return [
        way | {"teacher_epochs": 6 if ipc < 50 else 12}
        for way in _methods(ipc, 300, 2, real_batch=MANY, gradient=False)
    ]


def _by_experts(ipc: int) -> dict[str, Any]:
    """Return IEM by experts at one size, the same with a GPU and without; a tenth of all images are whole ones."""
    config = IEMConfig.experts(steps=400, real_batch=MANY, memory_gb=8.0, formation=1 if ipc == 500 else 2)
    return {"method": "iem", "variant": EXPERTS, "ipc": ipc, "config": config}


def _with_codes(ways: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Give every way hard labels first, then codes."""
    for way in ways:
        yield way
        yield way | {"labels": True}


def _patient(ways: Iterable[dict[str, Any]], mixes: int = 0) -> Iterator[dict[str, Any]]:
    """Give every way codes, of so many patchworks of each view, and the longer training that they reward."""
    for way in ways:
        yield way | {"labels": True, "patient": True, "mixes": mixes}


def _once(suite: Callable[[bool], Iterator[Spec]]) -> Callable[[bool], Iterator[Spec]]:
    """Let a suite name a cell again where it belongs in order: only the first mention counts."""

    @wraps(suite)
    def each(reduced: bool) -> Iterator[Spec]:
        seen: set[str] = set()
        for spec in suite(reduced):
            name = repr(spec.identity())
            if name not in seen:
                seen.add(name)
                yield spec

    return each


@_once
def mini(reduced: bool) -> Iterator[Spec]:
    """Digits and Fashion-MNIST on two CPU cores."""
    condensing = ("orthohash", 32)
    digits = Spec("digits", None, None, ("digits-v1",), "convnet", 32, 32, condensing=condensing)
    fashion = Spec("fashion_mnist", 600, None, ("holdout",), "convnet", 32, 32, condensing=condensing)
    yield from _cells(digits, [{}])
    yield from _cells(digits, _with_codes(_methods(10, 120, 2)))
    yield from _cells(fashion, [{}])
    yield from _cells(fashion, _with_codes(_methods(10, 300, 2)))
    yield from _cells(fashion, _patient(_methods(10, 300, 2)))
    for name, student in STUDENTS.items():
        yield from _cells(fashion, [way | {"variant": name, "student": student} for way in _methods(10, 300, 2)[:3]])
    yield from _cells(digits, _methods(1, 120, 2))
    for hashing in ("dpn", "csq", "dhd", "hashnet"):
        yield from _cells(replace(digits, hashing=hashing), [{}, *_methods(10, 120, 2)])


@_once
def paper(reduced: bool) -> Iterator[Spec]:
    """CIFAR-10: methods x sizes x code lengths x hashing methods; reduced, all methods at 10 a class."""
    protocols = ("cifar10-official", "cifar10-unseen")
    if reduced:
        base = Spec("cifar10", 500, None, protocols, "convnet", 64, 64)
        ways = _methods(10, 1000, 2)
        yield from _cells(base, [{}])
        yield from _cells(base, _with_codes(ways[:3]))
        yield from _cells(base, _patient(ways[:3]))
        yield from _cells(base, _with_codes(ways[3:]))
        yield from _cells(base, _patient(ways[3:]))
        return
    base = Spec("cifar10", None, None, protocols, "convnet", 128, 64)
    table = {ipc: _at_full_size(ipc) for ipc in STEPS}
    experts = [_by_experts(ipc) for ipc in (10, 50, 500)]
    yield from _cells(base, [{}])
    for ipc in (10, 50):
        yield from _cells(base, _with_codes(table[ipc][:3]))
        yield from _cells(base, _patient(table[ipc][:3]))
    yield from _cells(base, _patient(table[500][:3]))
    # How far full data is from the plateau of its quality, by twice its schedule.
    yield from _cells(base, [{"variant": "48 epochs", "train": TrainConfig.full(base.images, epochs=48)}])
    # A patient student of 5,000 whole images sees each of the usual 20 patchworks of a view 12 times.
    yield from _cells(base, _patient(table[500][:2], mixes=80))
    yield from _cells(base, _patient(experts))
    yield from _cells(base, _with_codes(table[500][:3]))
    yield from _cells(base, _with_codes(table[10]))
    yield from _cells(base, _patient(table[10]))
    for ipc in (50, 500, 1):
        yield from _cells(base, _with_codes(table[ipc]))
    yield from _cells(base, _patient(table[50]))
    yield from _cells(base, _with_codes(experts))
    others = [
        replace(base, bits=bits, hashing=hashing)
        for bits, hashing in itertools.product((64, 32, 16), ("orthohash", "dpn", "csq", "dhd", "hashnet"))
    ]
    for other in others:
        yield from _cells(other, [{}])
        for ipc in (10, 50, 500, 1):
            yield from _cells(other, _with_codes(table[ipc][:3]))
    matched = {ipc: _at_full_size(ipc, gradient=True) for ipc in (10, 50, 1)}
    for ipc in matched:
        yield from _cells(base, _with_codes(matched[ipc]))
    for other in others:
        for ipc in (10, 50, 500, 1):
            yield from _cells(other, _with_codes(table[ipc]))
    for other in others:
        for ipc in matched:
            yield from _cells(other, _with_codes(matched[ipc]))


@_once
def economy(reduced: bool) -> Iterator[Spec]:
    """All of CIFAR-10, with and without a GPU: what pays soonest, by a teacher that is not finished.

    At 10 a class it has 6 epochs, a quarter of full data's, and reaches mAP 0.642 (seed 0; full data 0.770, 3 seeds);
    IEM has 300 steps, and the student is patient. Ten images a class pass on more of what a weak teacher knows, where
    full data is far above what they can teach: random tiles with its codes 0.316 (seed 0), with those of full data's
    own model 0.252 (3 seeds), after 600 steps of the student. Where they come near to full data it is not so. Trial on
    Fashion-MNIST, 600 images a class, width 32, seed 0, patient students of IEM / random tiles by a teacher of 1,200
    steps (full data's own, mAP 0.866) 0.830 / 0.800, of 600 (0.838) 0.818 / 0.800, of 300 (0.793) 0.785 / 0.763, of
    150 (0.738) 0.730 / 0.706. So at 50 a class the teacher has 12 epochs.
    """
    base = Spec("cifar10", None, None, ("cifar10-official", "cifar10-unseen"), "convnet", 128, 64)
    ways = {ipc: _economical(ipc) for ipc in (10, 50)}
    yield from _cells(base, _patient([ways[10][0], ways[10][2]]))
    yield from _cells(base, [{}])
    yield from _cells(base, _patient([ways[50][0], ways[50][2]]))
    yield from _cells(base, _patient(ways[10]))


@_once
def imagenette(reduced: bool) -> Iterator[Spec]:
    """Imagenette: reduced at 48 px with a narrow ConvNet, else at 224 px with ResNetAP-10 and formation 3."""
    if reduced:
        base = Spec("imagenette", None, 48, ("holdout",), "convnet", 32, 64)
        ways = _methods(10, 300, 2, gradient=False)
    else:
        base = Spec("imagenette", None, 224, ("holdout",), "resnetap10", 64, 64)
        ways = _methods(10, 1000, 3, real_batch=MANY, gradient=False)
    yield from _cells(base, [{}])
    yield from _cells(base, _with_codes(ways[:3]))
    yield from _cells(base, _with_codes(ways[3:]))


PARTS: dict[str, dict[str, Any]] = {
    "without hash consistency": {"weight_hash": 0.0},
    "without Z": {"weight_z": 0.0},
    "without V": {"weight_v": 0.0},
    "without perturbation": {"perturb": (0.0, 0.0)},
    "random networks": {"networks": "random"},
    "early-stage networks": {"networks": "pool"},
    "networks of both kinds": {"networks": "both"},
    "without formation": {"formation": 1},
    "formation 3": {"formation": 3},
    "without siamese augmentation": {"augment": False},
    "interpolated weights": {"interpolate": True},
    "covariance of V": {"weight_cov": 0.1},
    "cached real statistics": {"cache": 50},
    "without annealing": {"anneal": False},
}
_SHIFT = IEMConfig().augmentation
TRANSFORMS: dict[str, dict[str, Any]] = {
    "with scale": {"augmentation": replace(_SHIFT, scale=0.1)},
    "with rotation": {"augmentation": replace(_SHIFT, rotate=10.0)},
    "with scale, rotation and more shift": {"augmentation": Augmentation(scale=0.1, rotate=10.0, shift=0.1)},
    "with colour": {"augmentation": replace(_SHIFT, colour=0.5)},
    "with cutout": {"augmentation": replace(_SHIFT, cutout=0.4)},
    TRANSFORMED: {"augmentation": EVERY},
}


@_once
def ablation(reduced: bool) -> Iterator[Spec]:
    """What each part of IEM is worth: the source's method and ours, each without one part."""
    if reduced:
        condensing = ("orthohash", 32)
        base = Spec("fashion_mnist", 600, None, ("holdout",), "convnet", 32, 32, ipc=10, condensing=condensing)
        own = {"steps": 300, "real_batch": FEW}
    else:
        base = Spec("cifar10", None, None, ("cifar10-official",), "convnet", 128, 64, ipc=10)
        own = {"steps": STEPS[10], "real_batch": MANY}
    best, source = IEMConfig.best(**own), IEMConfig.paper(**own)
    ways = [{"method": "iem", "variant": "", "config": best}, {"method": "iem", "variant": "paper", "config": source}]
    for whole, prefix in ((best, ""), (source, "paper, ")):
        for name, part in (PARTS | TRANSFORMS).items():
            without = replace(whole, **part)
            if effective("iem", without) != effective("iem", whole):  # random networks have no pool to change
                ways.append({"method": "iem", "variant": prefix + name, "config": without})
    yield from _cells(base, ways)


@_once
def classification(reduced: bool) -> Iterator[Spec]:
    """A linear head on CIFAR-10, to hold our DM and IEM against the numbers published for classification.

    Those are of all 50,000 images and width 128, so the reduced task has them too, and differs in the steps of
    condensing (1,000; else `STEPS`) and in the memory that a step may take, as a CPU has less. Students that are
    trained as those of published sets stand before quick ones: with CutMix as those of IDC, then as long as those of
    DM. Of each kind DM and random subsets lead, with all seeds: they need no model trained on all images, which takes
    a CPU an hour. Before all of them stand IEM's sets of `economy`, which a CPU can make, and random tiles, and IEM by
    experts (`IEMConfig.experts`, which has the trials that led to it).

    What might make these sets better was tried at seed 0 in bfloat16. DM, 50 whole images a class, width 64, 300 steps,
    32 real images a class and step: 0.501, and 0.466 with a step size of 0.05 in place of 0.02. With every transform,
    500 steps, 64 real images, students without CutMix: 0.533, and 0.529 with 0.01, 0.514 with 0.003. IEM with 256 of
    them at width 128, students with CutMix: 10 a class, 500 steps, 0.613, and 0.594 with consistency weighted 0.1 in
    place of 0.3, 0.568 with random and early-stage networks by turns, these between their start and 6 epochs; 50 a
    class, 250 steps, students of 6,000: 0.647 with a step size of 0.05 and of 0.02, 0.656 with consistency weighted 1.

    Stronger augmentation of the student was tried as well, width 64, 10 a class, 2,000 steps with CutMix, seed 0: of
    experts 0.629, with colour 0.637, with cutout 0.620, with both and a stronger warp 0.615; of another set of experts
    0.621, with colour 0.627; of `best` 0.590, with colour 0.589. Of DM with every transform, 1,000 steps without
    CutMix, 0.454, and 0.441 with colour, cutout and a stronger warp. So students keep the warp alone.
    """
    base = Spec("cifar10", None, None, ("cifar10-official",), "convnet", 128, 64, hashing="linear")
    few = {ipc: _methods(ipc, 1000, 2, real_batch=MANY, gradient=False) for ipc in (10, 50)}
    sizes = [few[ipc] if reduced else _at_full_size(ipc) for ipc in few]
    experts = [_by_experts(ipc) for ipc in few]
    ways = [*(way for size in sizes for way in size if way.get("variant") != EQUAL_DISK), *experts]
    untaught = [way for method in ("dm", "random") for way in ways if way["method"] == method]
    mixed = replace(base, patient=True, cutmix=True)
    for taught, _, random, *_ in map(_economical, (10, 50)):
        yield from _cells(mixed, [taught, random | {"teacher_epochs": 0}])
    yield from _cells(mixed, experts)
    for own in (mixed, replace(base, patient=True), base):
        yield from _cells(own, untaught)
        for seed in SEEDS:
            yield from _cells(base, [{}], (seed,))
            yield from _cells(own, ways, (seed,))


@_once
def memory(reduced: bool) -> Iterator[Spec]:
    """ResNetAP-10 at 224 px, 10 a class in 3 x 3 tiles, a single step: only ``peak_mb`` is of interest.

    It is the most that the process took by then: IEM's, which has a teacher as well, is of both where one call
    measures both.
    """
    base = Spec("imagenette", 100, 224, ("holdout",), "resnetap10", 64, 64, train=TrainConfig(steps=2, batch=16))
    own = {"steps": 1, "formation": 3, "real_batch": MANY}
    ways = [{"method": "dm", "config": IEMConfig.dm(**own)}, {"method": "iem", "config": IEMConfig.best(**own)}]
    yield from _cells(base, [way | {"variant": "one step", "ipc": 10} for way in ways], seeds=(0,))


ONE_SIZE = ("mini", "economy", "memory")  # the same task with a GPU and without

SUITES: dict[str, Callable[[bool], Iterator[Spec]]] = {
    "mini": mini,
    "paper": paper,
    "economy": economy,
    "imagenette": imagenette,
    "ablation": ablation,
    "classification": classification,
    "memory": memory,
}
