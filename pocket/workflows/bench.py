"""`pocket bench`: measure the cells of a suite one by one, in order of worth, and go on where it stopped."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from shutil import rmtree

import numpy as np
import torch
from PIL import Image

from pocket.condensation import Pool, condense, make_pool
from pocket.condensation.config import IEMConfig
from pocket.condensation.gradient import GradientConfig
from pocket.condensation.methods import effective
from pocket.data import CondensedSet, ImageSet, RetrievalSplit, load
from pocket.evaluation import evaluate
from pocket.hashing import HashModel, label, train
from pocket.hashing.calibration import represent
from pocket.hashing.labelling import MIXES
from pocket.hashing.networks import default_width
from pocket.runs import results
from pocket.runs.paths import run_dir
from pocket.runs.provenance import peak_mb, provenance
from pocket.runs.results import Row
from pocket.workflows.cells import EQUAL_DISK, Spec, digest_of
from pocket.workflows.measure import cell_of
from pocket.workflows.suites import ONE_SIZE, SUITES


class OutOfTime(KeyboardInterrupt):
    """The time limit was reached; as after Ctrl-C, what is half done lies in a checkpoint."""


def bench(
    suite: str,
    *,
    reduced: bool | None = None,
    time_limit: float | None = None,
    folder: Path | None = None,
    device: str = "auto",
    only: str | None = None,
    seeds: Collection[int] | None = None,
    shared: int = 1,
    say: Callable[[str], None] = print,
) -> Path:
    """Measure the cells of a suite that the result table lacks.

    Parameters
    ----------
    suite : str
        A name in `pocket.workflows.suites.SUITES`.
    reduced : bool, optional
        The smaller task for two CPU cores, marked as such in every row. Default: where there is no GPU.
    time_limit : float, optional
        Seconds after which no more is begun; what a running condensation or training has done is kept.
    folder : Path, optional
        Where ``SUITE.csv`` and ``SUITE.parquet`` are. Default: ``data/results`` of the kit.
    device : str
    only : str, optional
        Measure cells of this method only.
    seeds : collection of int, optional
        Measure cells of these seeds only, so that others can be measured elsewhere.
    shared : int
        How many benches use the device at once, this one included. It is recorded: their seconds are not those of a
        device of one's own, and no break-even is told from them.
    say : callable
        Takes each line of progress.

    Returns
    -------
    Path
        The table, ``SUITE.csv``. Calling again goes on with what is missing.

    Raises
    ------
    ValueError
        If the suite or the method is unknown.
    """
    if suite not in SUITES:
        raise ValueError(f"unknown suite {suite!r}; choose one of {', '.join(SUITES)}")
    small = suite not in ONE_SIZE and (not torch.cuda.is_available() if reduced is None else reduced)
    specs = list(SUITES[suite](small))
    methods = list(dict.fromkeys(spec.method for spec in specs))
    if only not in (None, *methods):
        raise ValueError(f"suite {suite!r} has no method {only!r}; choose one of {', '.join(methods)}")
    if unknown := set(seeds or ()) - {spec.seed for spec in specs}:
        raise ValueError(f"suite {suite!r} has no seed {min(unknown)}; its seeds are {sorted({s.seed for s in specs})}")
    specs = [spec for spec in specs if only in (None, spec.method) and (seeds is None or spec.seed in seeds)]
    path = (folder or results.results_folder()) / f"{suite}.csv"
    current = {digest for size in (True, False) for spec in SUITES[suite](size) for digest in spec.digests()}
    rows = _current(path, current, say)
    bench = _Bench(suite, small, device, shared, rows, None if time_limit is None else time.monotonic() + time_limit)
    known = {row.settings for row in rows}
    missing = [spec for spec in specs if not spec.digests() <= known]
    say(f"suite {suite!r}{', reduced' if small else ''}: {len(specs)} cells, {len(specs) - len(missing)} known; {path}")
    if not missing:
        say("nothing to do: every cell is recorded there; measure anew into another folder with --results FOLDER")
    started = time.monotonic()
    try:
        for number, spec in enumerate(missing, start=1):
            bench.check_time()
            for row in bench.measure(spec):
                # One that was killed between its protocols is measured whole again: the earlier half gives way.
                rows[:] = [*(known for known in rows if known.settings != row.settings), row]
                results.write(path, rows)
                spent = time.monotonic() - started
                accuracy = "" if row.accuracy is None else f", accuracy {row.accuracy:.3f}"
                say(
                    f"[{number}/{len(missing)}] {spec.title} seed {spec.seed}, {row.protocol}: mAP {row.map:.4f}"
                    f"{accuracy}, made in {row.make_seconds:.0f} s, trained in {row.train_seconds:.0f} s; "
                    f"{spent / 60:.1f} min so far"
                )
    except KeyboardInterrupt as stop:
        why = "the time is up" if isinstance(stop, OutOfTime) else "stopped"
        say(f"{why}; what is measured is in {path}, the same command goes on from here")
        if not isinstance(stop, OutOfTime):
            raise
    return path


def _current(path: Path, settings: set[str], say: Callable[[str], None]) -> list[Row]:
    """Read a table, and set aside what has other settings: it would be averaged with newer rows of its name.

    What was set aside stays there; a row of it comes back once the suite has its settings again.
    """
    rows = results.read(path)
    aside = path.parent / "superseded" / path.name
    stored = results.read(aside)
    known = {row.settings for row in rows}
    back = [row for row in stored if row.settings in settings - known]
    if old := [row for row in rows if row.settings not in settings]:
        results.write(aside, [*(row for row in stored if row not in old), *old])
        say(f"{len(old)} rows were measured with settings that the suite no longer has: moved to {aside}")
    if back:
        say(f"{len(back)} rows of {aside} have settings that the suite has again: taken back")
    if old or back:
        rows = [*(row for row in rows if row.settings in settings), *back]
        results.write(path, rows)
    return rows


class _Bench:
    """What cells share while they are measured: splits, pools, teachers, condensed sets."""

    def __init__(
        self, suite: str, reduced: bool, device: str, shared: int, rows: list[Row], deadline: float | None
    ) -> None:
        self.suite, self.reduced, self.device, self.shared = suite, reduced, device, shared
        self.rows, self.deadline = rows, deadline
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

    def measure(self, spec: Spec) -> Iterator[Row]:
        """Make the set, train on it, and give a row for each protocol."""
        first = self.split(spec, spec.protocols[0])
        training, label_seconds = self.training_set(spec, first)
        model = self.model(spec, training)
        spent = model.report
        assert spent is not None
        small = training if isinstance(training, CondensedSet) else None
        steps = effective(spec.method, spec.config).get("steps", 0) if spec.config else 0
        disk_bytes = _disk_bytes(training)
        for protocol in spec.protocols:
            split = self.split(spec, protocol)
            started = time.perf_counter()
            report = evaluate(model, split, device=self.device)
            seconds = time.perf_counter() - started
            made = provenance(spent.device)
            cell = cell_of(split, training, model, report, spec.seed)
            known = cell.model_dump() | {"teacher_seconds": self.teacher_seconds(spec, small)}
            yield Row(
                **known,
                suite=self.suite,
                reduced=self.reduced,
                shared=self.shared,
                variant=spec.variant,
                patient=spec.patient,
                cutmix=spec.cutmix,
                teacher_epochs=spec.teacher_epochs,
                cell_ipc=spec.ipc,
                settings=spec.digest(protocol),
                train_images=len(split.train),
                resolution=split.train.size,
                backbone=spec.backbone,
                width=spec.width or default_width(split.train.size, spec.backbone),
                condense_steps=0 if isinstance(spec.config, GradientConfig) else steps,
                label_seconds=label_seconds,
                evaluate_seconds=seconds,
                disk_bytes=disk_bytes,
                accuracy=_accuracy(model, split, self.device) if spec.hashing == "linear" else None,
                peak_mb=peak_mb() or 0.0,
                threads=torch.get_num_threads(),
                python=made.python,
                torch=torch.__version__,
                commit=made.commit,
                created=made.created,
            )
        rmtree(self.begun(spec), ignore_errors=True)

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
        started = time.perf_counter()
        labelled = label(made, teacher, seed=spec.seed, device=self.device)
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

    def condensed(self, spec: Spec, split: RetrievalSplit) -> CondensedSet:
        """Return the set of a spec; it is made once and kept, since many cells train on it."""
        path = self.folder / "sets" / digest_of(spec.set_identity())
        if path.with_suffix(".json").is_file():
            return CondensedSet.load(path)
        config, ipc, (hashing, bits) = spec.config, spec.ipc, spec.condensing
        if isinstance(config, GradientConfig):
            config = replace(config, seconds=self.budget(spec))
        if spec.variant == EQUAL_DISK:
            ipc = self.same_bytes(spec, split)
        wants_pool = isinstance(config, IEMConfig) and config.networks != "random" and spec.method == "iem"
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
        keep = self.folder / "models" / f"{digest_of(spec.model_identity())}.safetensors"
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

    def begun(self, spec: Spec) -> Path:
        """Return where a training is kept until its model is saved, or its rows are written."""
        return self.folder / "models" / f"{digest_of(spec.model_identity())}.training"

    def budget(self, spec: Spec) -> float:
        """Return the seconds that IEM took for the same cell, which gradient matching is given too."""
        iem = self.of_iem(spec)
        return iem.teacher_seconds + iem.pool_seconds + iem.condense_seconds

    def same_bytes(self, spec: Spec, split: RetrievalSplit) -> int:
        """Return how many random images a class fill the disk bytes of IEM's set."""
        some = split.train.subset(split.train.pick(10, 0))
        each = _disk_bytes(some) / len(some) + (MIXES * spec.bits / 2 if spec.labels else 0)  # at four bits a value
        return max(1, int(self.of_iem(spec).disk_bytes / each / split.train.num_classes))

    def of_iem(self, spec: Spec) -> Row:
        """Return the row of the cell of IEM whose seconds or bytes a cell is given."""
        wanted = spec.digests_of_iem()
        for row in self.rows:
            if row.settings in wanted:
                return row
        raise ValueError(f"{spec.title}: it is given what IEM's set took, and IEM is not measured yet")


def _disk_bytes(images: ImageSet | CondensedSet) -> int:
    """Return what the images take as PNG files, with the code labels of a labelled set."""
    total = 0
    for image in images.images:
        file = io.BytesIO()
        Image.fromarray(image[0] if len(image) == 1 else image.transpose(1, 2, 0)).save(file, "PNG")
        total += file.tell()
    codes = images.stored_bytes - images.images.nbytes if isinstance(images, CondensedSet) else 0
    return total + codes


def _accuracy(model: HashModel, split: RetrievalSplit, device: str) -> float:
    """Return the share of queries that a linear head puts in their class."""
    logits = represent(model, split.query, device=device) @ model.targets.T
    return float(np.mean(logits.argmax(1).numpy() == split.query.labels))
