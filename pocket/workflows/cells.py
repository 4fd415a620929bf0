"""One cell of the benchmark: what is made, trained and searched, and the digest by which its row is known."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace

from pocket.condensation.config import IEMConfig
from pocket.condensation.methods import Config, asks_teacher, effective
from pocket.condensation.pool import early_training
from pocket.hashing.labelling import MIXES
from pocket.hashing.schedule import TrainConfig
from pocket.runs.results import by_teacher, of_patchworks

CLASSES = 10  # of every image set here
WHOLE = {"digits": 1437, "fashion_mnist": 60_000, "cifar10": 50_000, "imagenette": 3000}  # their train images
EQUAL_DISK = "equal disk"  # variant of random: as many images as fill the bytes of IEM's set as PNG files


@dataclass(frozen=True)
class Spec:
    """One cell to measure: a training set and how it is made, trained on and searched.

    Attributes
    ----------
    dataset, train_per_class, resolution
        As for `pocket.load`.
    protocols : tuple of str
        One model is trained, and scored under each.
    method, variant : str
        "full" or a name in `pocket.condensation.METHODS`; a variant differs from the method's own configuration.
    ipc : int
        Stored images a class; 0 for full data.
    config : IEMConfig or GradientConfig or None
        None for full data.
    labels : bool
        Train with code labels by the full-data model of the same seed.
    hashing, bits, backbone, width, seed
        Of the evaluated model; backbone and width also of the condensing networks.
    condensing : (str, int)
        Hashing method and code length of the condensing networks and their teacher: one set serves all.
    train : TrainConfig, optional
        Also of the teacher. Default: `TrainConfig.small`, and of full data `TrainConfig.full`.
    student : TrainConfig, optional
        Of the set's student alone: what a comparison owes to the usual schedule. The variant names it, and the set is
        the one without that variant.
    patient : bool
        Train on the set for longer: `TrainConfig.patient`, and under a linear head `TrainConfig.published`.
    cutmix : bool
        Of patient students under a linear head: `TrainConfig.published` with CutMix.
    teacher_epochs : int
        Epochs of the full-data model that makes the set and gives the codes; 0 for the very one that full data is
        measured on.
    mixes : int
        Patchworks of each view that have codes; 0 for as many as usual, `pocket.hashing.labelling.MIXES`.
    like : IEMConfig, optional
        The set may take the seconds, or fill the bytes, of IEM's set with this configuration.
    """

    dataset: str
    train_per_class: int | None
    resolution: int | None
    protocols: tuple[str, ...]
    backbone: str
    width: int | None
    bits: int
    method: str = "full"
    variant: str = ""
    ipc: int = 0
    config: Config | None = None
    labels: bool = False
    hashing: str = "orthohash"
    seed: int = 0
    condensing: tuple[str, int] = ("orthohash", 64)
    train: TrainConfig | None = None
    student: TrainConfig | None = None
    patient: bool = False
    cutmix: bool = False
    teacher_epochs: int = 0
    mixes: int = 0
    like: IEMConfig | None = None

    @property
    def title(self) -> str:
        """What the cell is called while it is measured."""
        named = f"{self.method} {self.variant}".strip()
        size = f", {self.ipc} a class, {getattr(self.config, 'formation', 1)}x{getattr(self.config, 'formation', 1)}"
        codes = f", codes{of_patchworks(self.mixes)}" if self.labels else ""
        taught = by_teacher(self.teacher_epochs, codes=self.labels)
        return (
            f"{self.dataset}: {named}{size if self.ipc else ''}{codes}{taught}"
            f"{', patient' if self.patient else ''}{', CutMix' if self.cutmix else ''}, "
            f"{self.hashing} {self.bits}"
        )

    def task(self) -> tuple[object, ...]:
        """Return what the images and networks are."""
        return self.dataset, self.train_per_class, self.resolution, self.backbone, self.width

    @property
    def taught(self) -> bool:
        """Whether the set is made with a trained full-data model."""
        return self.config is not None and asks_teacher(self.method, self.config)

    def quick(self) -> Spec:
        """Return the cell of the same set whose student has the usual schedule."""
        return replace(self, patient=False, cutmix=False, student=None)

    def of_iem(self) -> Spec:
        """Return IEM's cell whose seconds or bytes this one is given: with its codes, where they fill bytes too."""
        labels = self.labels and self.variant == EQUAL_DISK
        return replace(self.quick(), method="iem", variant="", config=self.like, like=None, labels=labels)

    def digests_of_iem(self) -> set[str]:
        """Return the digests of the rows that tell what IEM's set took: how long its student trains is all the same."""
        iem = self.of_iem()
        return iem.digests() | (set() if self.train else replace(iem, patient=True).digests())

    def set_identity(self) -> list[object]:
        """Return all that the training set depends on, labels aside."""
        config = None if self.config is None else effective(self.method, self.config)
        pooled = isinstance(self.config, IEMConfig) and self.method == "iem" and self.config.pooled
        early = early_training(self.images, 1).settings() if pooled else None
        like = None if self.like is None else self.of_iem().model_identity()
        teacher = self.teacher_schedule.settings() if self.taught else None
        made = [self.method, "" if self.student else self.variant, self.ipc, config, self.condensing, self.seed]
        return [*self.task(), *made, teacher, early, like]

    def model_identity(self) -> list[object]:
        """Return all that the trained model depends on."""
        schedule = (self.schedule if self.method != "full" else self.teacher_schedule).settings()
        teacher = self.teacher_schedule.settings() if self.labels else None
        return [*self.set_identity(), self.labels and (self.mixes or MIXES), self.hashing, self.bits, schedule, teacher]

    @property
    def images(self) -> int:
        """Real training images of the task: a rule that changes for other numbers leaves its cells as they are."""
        return WHOLE[self.dataset] if self.train_per_class is None else self.train_per_class * CLASSES

    @property
    def schedule(self) -> TrainConfig:
        """How a small set of the cell's size is trained on: one that fills equal bytes has the steps of IEM's."""
        if sum(map(bool, (self.train, self.student, self.patient))) > 1:
            raise ValueError(f"{self.title}: a cell has a schedule of its own, of its student's own or the patient one")
        stored = self.ipc * CLASSES
        long = self.patient and self.hashing == "linear"
        if self.cutmix and not long:
            raise ValueError(f"{self.title}: CutMix is for patient students under a linear head")
        if long:
            return TrainConfig.published(stored, cutmix=self.cutmix)
        rule = TrainConfig.patient if self.patient else TrainConfig.small
        return self.train or self.student or rule(self.images, stored)

    @property
    def teacher_schedule(self) -> TrainConfig:
        """How the full-data model is trained that teaches; without `teacher_epochs` it is the one evaluated, too."""
        if self.train and self.teacher_epochs:
            raise ValueError(f"{self.title}: a cell has a schedule of its own or a teacher of so many epochs")
        return self.train or TrainConfig.full(self.images, epochs=self.teacher_epochs or None)

    def of_teacher(self) -> Spec:
        """Return the full-data cell whose model makes the set, or gives the codes."""
        train = self.teacher_schedule if self.teacher_epochs else self.train
        plain = replace(self.quick(), method="full", variant="", ipc=0, config=None, like=None, labels=False, mixes=0)
        return replace(plain, train=train, teacher_epochs=0)

    def identity(self) -> list[object]:
        """Return all that a row depends on, the protocol aside."""
        return self.model_identity()

    def digest(self, protocol: str) -> str:
        """Return the digest of the row under a protocol: rows of equal digest are one cell."""
        return digest_of([self.identity(), protocol])

    def digests(self) -> set[str]:
        """Return the digest of each row that the cell gives: one a protocol."""
        return {self.digest(protocol) for protocol in self.protocols}


def digest_of(of: object) -> str:
    """Return a short digest of anything that JSON can hold."""
    return hashlib.sha256(json.dumps(of, sort_keys=True, default=str).encode()).hexdigest()[:16]
