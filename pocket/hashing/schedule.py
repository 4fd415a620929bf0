"""How long, in what batches and at what rate a hash model is trained: on full data, on small sets, patiently."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Self

from pocket.data import CondensedSet, ImageSet
from pocket.hashing.augmentation import Augmentation
from pocket.runs.settings import check


@dataclass(frozen=True)
class TrainConfig:
    """How a hash model is trained: SGD with Nesterov momentum, one-cycle learning rate, last step taken.

    Parameters
    ----------
    steps : int
        Optimizer steps.
    batch : int
        Images a step.
    lr : float
        Peak learning rate, reached after a fifth of the steps.
    momentum : float
        Middle of its cycle: it falls by 0.05 below it while the learning rate rises, and is 0.05 above it elsewhere.
    weight_decay : float
    weight_codes : float
        Weight of ``1 - cos(V, stored code)``, which takes the place of the hashing loss for sets with code labels.
    augmentation : Augmentation
        Of single images. Flips happen only where the set says that mirrored images keep their class. The default
        warp serves small sets of every method alike: with half of it, random, DM and IEM lose 0.01 to 0.02 at 1
        image a class of digits and 0.00 to 0.01 on CIFAR-10, and gain 0.01 on Fashion-MNIST.
    cutmix : float
        Chance of a step that each image gets a rectangle of another one and a share of its label, as large as the
        rectangle (Yun et al., "CutMix", ICCV 2019). Sets with code labels have their own patchworks in any case. It
        serves classifiers (`published`), and hashing with hard labels not: Fashion-MNIST, 600 images a class, width 32,
        OrthoHash 32, seed 0, mAP of IEM / DM tiles / random tiles after 600 steps without 0.753 / 0.699 / 0.569, with
        chance 0.5 0.714 / 0.669 / 0.583; after 1,200 0.754 / 0.685 / 0.519 and 0.733 / 0.694 / 0.552.
    """

    steps: int = 300
    batch: int = 50
    lr: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4
    weight_codes: float = 4.0
    augmentation: Augmentation = field(default_factory=lambda: Augmentation(scale=0.1, rotate=10.0, shift=0.1))
    cutmix: float = 0.0

    def __post_init__(self) -> None:
        check(
            self,
            ("steps", self.steps >= 1, "1 or more"),
            ("batch", self.batch >= 1, "1 or more"),
            ("lr", self.lr > 0, "above 0"),
            ("momentum", 0 < self.momentum < 1, "between 0 and 1"),
            ("weight_decay", self.weight_decay >= 0, "0 or more"),
            ("weight_codes", self.weight_codes >= 0, "0 or more"),
            ("cutmix", 0 <= self.cutmix <= 1, "from 0 to 1"),
        )

    def settings(self) -> dict[str, Any]:
        """Return all that is set, as plain values; what came later is left out where it is off.

        Digests of it name what was measured, so that a new setting does not make old records strangers.
        """
        every = asdict(self)
        return every if self.cutmix else {name: value for name, value in every.items() if name != "cutmix"}

    @classmethod
    def small(cls, source_images: int = 0, stored: int = 0) -> Self:
        """Return the schedule of every small set of a task and a size, whatever the method that made it.

        Parameters
        ----------
        source_images : int
            Real images that the set stands for: 300 steps up to 5,000 of them, 600 beyond.
        stored : int
            Images of the set. From 500 on at least a quarter of the steps of full data, in its batches, and from 5,000
            on half of them: CIFAR-10, 500 random images in 2 x 2 tiles with codes, width 128, mAP 0.293 after 600
            steps of 50 and 0.450 after 1,200 of 128 (seed 0).
        """
        few = cls(steps=300 if source_images < 5000 else 600)
        if stored < 500:
            return few
        full = cls.full(source_images)
        return replace(few, batch=full.batch, steps=max(few.steps, full.steps // (4 if stored < 5000 else 2)))

    @classmethod
    def patient(cls, source_images: int, stored: int) -> Self:
        """Return a longer schedule for sets with code labels, up to as many steps as full data has.

        "A good teacher is patient" (Beyer et al., CVPR 2022): codes of ever other patchworks have more to teach than
        the steps of `small` take up. Trials with 10 images a class in 2 x 2 tiles at width 32, seed 0, mAP of IEM /
        random tiles: Fashion-MNIST with 600 images a class, and CIFAR-10 with 500. Full data has 1,200 steps of 128
        there, so that this schedule has 1,200, two fifths of the images that full data sees; 4,800 see 1.6 times as
        many:

        =================== ==================== ======================= ===============
        steps of 50 images  codes, Fashion-MNIST hard labels, the same   codes, CIFAR-10
        =================== ==================== ======================= ===============
        600                 0.806 / 0.783        0.734 / 0.569           0.323 / 0.292
        1,200               0.832 / 0.803        0.748 / 0.528           0.360 / 0.329
        2,400               0.852 / 0.824        0.743 / 0.519           0.405 / 0.385
        4,800               not tried            not tried               0.461 / 0.444
        full data           0.867                                        0.486
        =================== ==================== ======================= ===============

        Batches of 25 and 128 gave no more than 1,200 steps of 50 did with as many images seen, nor did three times
        as many patchworks; at 4,800 steps four times as many gave 0.473 on CIFAR-10. What this gains in quality it
        takes from the seconds that condensing saves, so students of less than 5,000 images see at most half of those
        that full data does, and 4,800 steps keep them far from that where full data is large. Trial on all 50,000
        images of CIFAR-10 at width 128, seed 0, by the teacher of the suite ``economy``: 600 / 4,800 steps IEM 0.421 /
        0.479, random tiles 0.316 / 0.411. From fewer than 5,000 images full data is trained in batches of 50 itself,
        and nothing would be saved: there and wherever half is no more than `small` has, the schedule is `small`.

        A set of 5,000 images and more is kept for its size and its quality, since condensing it saves few seconds, if
        any: patient students of it take as long as full data. All of CIFAR-10, codes, width 128, seed 0, 500 random
        images a class, whole / in 2 x 2 tiles: 0.678 / 0.576 after the 4,692 steps of `small`, 0.705 / 0.628 after
        full data's 9,384 (full data itself 0.765).

        Parameters
        ----------
        source_images : int
            Real images that the set stands for.
        stored : int
            Images of the set.
        """
        usual = cls.small(source_images, stored)
        if source_images < 5000:
            return usual
        full = cls.full(source_images)
        if stored >= 5000:
            return replace(usual, steps=full.steps)
        half = full.steps * full.batch // (2 * usual.batch)
        return replace(usual, steps=max(usual.steps, min(full.steps, 4800, half)))

    @classmethod
    def published(cls, stored: int, *, cutmix: bool = False) -> Self:
        """Return a schedule as long as that of DM as published, about 1,000 epochs of what is stored, or of IDC.

        Length and batches of up to 256 are those of Zhao and Bilen, "Dataset Condensation with Distribution Matching",
        WACV 2023, whose rate is 0.01; rate, cycle and augmentation are ours.
        Trials under a linear head, CIFAR-10, 10 whole images a class, width 128, seed 0: DM of 500 steps 0.449 with
        `small`, 0.468 with this one (at the rate of `small` 0.464, at 0.01 0.458); random images 0.308, 0.320.

        Parameters
        ----------
        stored : int
            Images of the set, 1 or more.
        cutmix : bool
            As the students of IDC (Kim et al., ICML 2022): half of the steps with CutMix, and 1,000 epochs of the
            views of 2 x 2 tiles, which are four times as many steps, for whole images too; DANCE (IJCAI 2024) trains
            longer still. Accuracy of IEM / DM in trials, CIFAR-10, 10 a class in 2 x 2 tiles, sets of 300 steps,
            width 64, seed 0:

            ================ ================= =================
            augmentation     1,000 steps       4,000 steps
            ================ ================= =================
            ours             0.502 / 0.479     not tried / 0.475
            ours, CutMix     0.561 / not tried not tried / 0.502
            ================ ================= =================
        """
        batches = math.ceil(stored / 256)
        plain = cls(steps=1000 * batches, batch=math.ceil(stored / batches), lr=0.02)
        return replace(plain, steps=4 * plain.steps, cutmix=0.5) if cutmix else plain

    @classmethod
    def full(cls, images: int, *, epochs: int | None = None) -> Self:
        """Return the full-data schedule: the fastest that was found near the plateau of its quality.

        12 epochs, 24 from 5,000 images on and then at least 1,200 steps, with mirrored images and the slightest shift.
        Full data needs less augmentation than ten images a class. Fashion-MNIST, 6,000 images, width 32, mAP on the
        train images: the warp of small sets 0.782 after 600 steps; after 1,200 shift 0.0625 0.848, 0.03 0.865, none
        0.887. CIFAR-10, 5,000 images, width 64, on the train images / on a database of unseen ones, after 1,200: 0.03
        0.587 / 0.398, none 0.603 / 0.388. Augmentation trades what is remembered for what carries over; 0.03 stands
        between, for all data sets: none would be 0.02 better where the database is the train images, and 0.01
        worse where it is not. Never fewer steps than `small`: full data must not be trained less than its own
        subsets. Larger sets take larger batches, which cost less an image. CIFAR-10, 50,000 images, width 128: 0.713
        after 12 epochs, 0.763 after 24, 0.799 after 48 (seed 0), and on a database of unseen images 0.687 and 0.702
        after 24 and 48: there it still remembers more, and twice the seconds buy a little that carries over.
        """
        batch, fewest, usual = (cls.batch, cls.steps, 12) if images < 5000 else (128, 1200, 24)
        steps = max(fewest, math.ceil(images / batch) * (epochs or usual))
        return cls(steps=steps, batch=batch, augmentation=Augmentation(shift=0.03))

    @classmethod
    def fine(cls) -> Self:
        """Return the schedule of `fine_tune`: a third of the steps of a small set, at a fifth of its learning rate."""
        return cls(steps=100, lr=0.02)

    @classmethod
    def rule(cls, images: ImageSet | CondensedSet) -> Self:
        """Return the schedule that `train` takes for a set: `full` for an `ImageSet`, else `small`."""
        return (
            cls.full(len(images)) if isinstance(images, ImageSet) else cls.small(images.card.source_images, len(images))
        )
