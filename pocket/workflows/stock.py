"""What the cells of `pocket bench` share while they are measured: splits, pools, teachers, condensed sets."""

from __future__ import annotations

import io
import time
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from shutil import rmtree

import numpy as np
import numpy.typing as npt
from PIL import Image

from pocket.condensation import Pool, condense, make_pool
from pocket.condensation.config import IEMConfig
from pocket.condensation.gradient import GradientConfig
from pocket.data import CondensedSet, ImageSet, RetrievalSplit, load
from pocket.data.formation import encode
from pocket.hashing import HashModel, label, train
from pocket.hashing.devices import pick_device, to_float
from pocket.hashing.fusion import prepare
from pocket.hashing.labelling import MIXES
from pocket.runs.paths import run_dir
from pocket.runs.results import Row
from pocket.workflows.cells import EQUAL_DISK, Spec, digest_of


class OutOfTime(KeyboardInterrupt):
    """The time limit was reached; as after Ctrl-C, what is half done lies in a checkpoint."""


class Stock:
    """Makes each part once, and keeps what is begun: the next call goes on with it.

    Parameters
    ----------
    device : str
    rows : list of Row
        What is measured by now, the list that the bench adds to: some sets are given what another cell took.
    deadline : float, optional
        Time of `time.monotonic` at which work stops.
    """

    def __init__(self, device: str, rows: list[Row], deadline: float | None) -> None:
        self.device, self.rows, self.deadline = device, rows, deadline
        self._splits: dict[object, RetrievalSplit] = {}
        self._pools: dict[object, Pool] = {}

    @cached_property
    def folder(self) -> Path:
        """Where condensed sets, models and checkpoints are kept between calls."""
        return run_dir("bench")

    def check_time(self, *_: object) -> None:
        """Stop where the time limit has passed."""
        if self.deadline is not None and time.monotonic() > self.deadline:
            raise OutOfTime

    def split(self, spec: Spec, protocol: str) -> RetrievalSplit:
        """Load a split once."""
        key = spec.dataset, spec.train_per_class, spec.resolution, protocol
        if key not in self._splits:
            self._splits[key] = load(
                spec.dataset, resolution=spec.resolution, train_per_class=spec.train_per_class, protocol=protocol
            )
            if (found := len(self._splits[key].train)) != spec.images:
                raise ValueError(
                    f"{spec.dataset!r} has {found:,} train images here, the suite is made for {spec.images:,}"
                )
        return self._splits[key]

    def training_set(self, spec: Spec, split: RetrievalSplit) -> tuple[ImageSet | CondensedSet, float]:
        """Return what is trained on, with code labels where the spec wants them, and the seconds labelling took."""
        if spec.method == "full":
            return split.train, 0.0
        made = self.condensed(spec, split)
        if not spec.labels:
            return made, 0.0
        teacher = self.teacher(spec, split, spec.hashing, spec.bits)
        prepare(pick_device(self.device), made.size, teacher.shape["backbone"])
        started = time.perf_counter()
        labelled = label(made, teacher, mixes=spec.mixes or MIXES, seed=spec.seed, device=self.device)
        return labelled, time.perf_counter() - started

    def teacher_seconds(self, spec: Spec, made: CondensedSet | None) -> float:
        """Return what the full-data models that a set used took; one that served twice counts once."""
        if made is None:
            return 0.0
        used = made.card.teacher_seconds
        if spec.labels and made.card.labels is not None:
            same = used and (spec.hashing, spec.bits) == spec.condensing
            used = used if same else used + made.card.labels.teacher_seconds
        return used

    def made_on(self, spec: Spec, made: CondensedSet | None) -> str:
        """Name the devices that a set and the full-data models that it used took seconds of: they may be kept ones."""
        if made is None:
            return ""
        found = {made.card.provenance.device} if spec.method != "random" else set()
        asked = [spec.condensing] if spec.taught else []
        asked += [(spec.hashing, spec.bits)] if spec.labels else []
        for hashing, bits in asked:
            kept = self.kept_at(replace(spec.of_teacher(), hashing=hashing, bits=bits))
            if kept.is_file() and (report := HashModel.load(kept).report):  # a set may have outlived its teacher
                found.add(report.device)
        return " and ".join(sorted(found))

    def condensed(self, spec: Spec, split: RetrievalSplit) -> CondensedSet:
        """Return the set of a spec; it is made once and kept, since many cells train on it."""
        path = self.set_at(spec)
        if path.with_suffix(".json").is_file():
            return CondensedSet.load(path)
        config, ipc, (hashing, bits) = spec.config, spec.ipc, spec.condensing
        if isinstance(config, GradientConfig):
            config = replace(config, seconds=self.budget(spec))
        if spec.variant == EQUAL_DISK:
            ipc = self.same_bytes(spec, split)
        wants_pool = isinstance(config, IEMConfig) and config.pooled and spec.method == "iem"
        made = condense(
            split.train,
            ipc,
            spec.method,
            bits=bits,
            hashing=hashing,
            seed=spec.seed,
            config=config,
            backbone=spec.backbone,
            width=spec.width,
            device=self.device,
            pool=self.pool(spec, split, config) if wants_pool and isinstance(config, IEMConfig) else None,
            teacher=self.teacher(spec, split, hashing, bits) if spec.taught else None,
            progress=True,
            watch=self.check_time,
            checkpoint=path.with_suffix(".checkpoint"),
        )
        made.save(path)
        return made

    def pool(self, spec: Spec, split: RetrievalSplit, config: IEMConfig) -> Pool:
        """Return the early-stage networks of a seed; every set counts their seconds as its own."""
        hashing, bits = spec.condensing
        key = spec.task(), spec.seed, hashing, bits, config.pool_size, config.pool_epochs
        if key not in self._pools:
            self._pools.clear()  # one seed at a time
            self._pools[key] = make_pool(
                split.train,
                config,
                bits=bits,
                hashing=hashing,
                backbone=spec.backbone,
                width=spec.width,
                seed=spec.seed,
                device=self.device,
                keep=self.folder / "pools" / digest_of(key),
                watch=self.check_time,
            )
        return self._pools[key]

    def teacher(self, spec: Spec, split: RetrievalSplit, hashing: str, bits: int) -> HashModel:
        """Return the full-data model of a seed: the very one that the cell "full" is measured on, or a weaker one."""
        return self.model(replace(spec.of_teacher(), hashing=hashing, bits=bits), split.train)

    def model(self, spec: Spec, training: ImageSet | CondensedSet) -> HashModel:
        """Train, or for full data load what was trained."""
        keep = self.kept_at(spec)
        if spec.method == "full" and keep.is_file():
            rmtree(self.begun(spec), ignore_errors=True)  # it may have been killed before it could do so
            return HashModel.load(keep)
        model = train(
            training,
            spec.hashing,
            spec.bits,
            spec.seed,
            backbone=spec.backbone,
            width=spec.width,
            config=spec.train if spec.method == "full" else spec.schedule,
            device=self.device,
            progress=True,
            watch=self.check_time,
            keep=self.begun(spec),
        )
        if spec.method == "full":
            model.save(keep)
            rmtree(self.begun(spec), ignore_errors=True)
        return model

    def half_done(self, spec: Spec) -> bool:
        """Whether a stopped call left a part of a cell: a set or a training of its own, or its teacher's training."""
        trainings = self.begun(spec), self.begun(spec.of_teacher())
        return any(folder.is_dir() for folder in trainings) or self.set_at(spec).with_suffix(".checkpoint").is_file()

    def set_at(self, spec: Spec) -> Path:
        """Return where a condensed set is kept, without the ends of its files' names."""
        return self.folder / "sets" / digest_of(spec.set_identity())

    def kept_at(self, spec: Spec) -> Path:
        """Return where a full-data model is kept."""
        return self.folder / "models" / f"{digest_of(spec.model_identity())}.safetensors"

    def begun(self, spec: Spec) -> Path:
        """Return where a training is kept until its model is saved, or its rows are written."""
        return self.folder / "models" / f"{digest_of(spec.model_identity())}.training"

    def budget(self, spec: Spec) -> float:
        """Return the seconds that IEM took for the same cell, which gradient matching is given too."""
        iem = self.of_iem(spec)
        return iem.teacher_seconds + iem.pool_seconds + iem.condense_seconds

    def same_bytes(self, spec: Spec, split: RetrievalSplit) -> int:
        """Return how many random images a class, or images of random tiles, fill the disk bytes of IEM's set."""
        assert spec.config is not None
        factor = spec.config.formation
        chosen = split.train.pick(10 * factor**2, 0, repeat=True)
        some = (encode(to_float(split.train.images[chosen]), factor) * 255).round().byte().numpy()
        codes = (spec.mixes or MIXES) * factor**2 * spec.bits / 2 if spec.labels else 0  # at four bits a value
        each = _png_bytes(some) / len(some) + codes
        return max(1, int(self.of_iem(spec).disk_bytes / each / split.train.num_classes))

    def of_iem(self, spec: Spec) -> Row:
        """Return the row of the cell of IEM whose seconds or bytes a cell is given."""
        wanted = spec.digests_of_iem()
        for row in self.rows:
            if row.settings in wanted:
                return row
        raise ValueError(f"{spec.title}: it is given what IEM's set took, and IEM is not measured yet")


def disk_bytes(images: ImageSet | CondensedSet) -> int:
    """Return what the images take as PNG files, with the code labels of a labelled set."""
    codes = images.stored_bytes - images.images.nbytes if isinstance(images, CondensedSet) else 0
    return _png_bytes(images.images) + codes


def _png_bytes(images: npt.NDArray[np.uint8]) -> int:
    """Return what images of shape (N, C, H, W) take as PNG files."""
    total = 0
    for image in images:
        file = io.BytesIO()
        Image.fromarray(image[0] if len(image) == 1 else image.transpose(1, 2, 0)).save(file, "PNG")
        total += file.tell()
    return total
