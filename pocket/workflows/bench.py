"""`pocket bench`: measure the cells of a suite one by one, in order of worth, and go on where it stopped."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from shutil import rmtree

import numpy as np
import torch

from pocket.condensation.gradient import GradientConfig
from pocket.condensation.methods import effective
from pocket.data import CondensedSet, RetrievalSplit
from pocket.evaluation import evaluate
from pocket.hashing import HashModel
from pocket.hashing.calibration import represent
from pocket.hashing.devices import pick_device
from pocket.hashing.fusion import prepare
from pocket.hashing.networks import default_width
from pocket.runs import results
from pocket.runs.provenance import peak_mb, provenance
from pocket.runs.results import Row
from pocket.workflows.cells import Spec
from pocket.workflows.measure import cell_of
from pocket.workflows.stock import OutOfTime, Stock, disk_bytes
from pocket.workflows.suites import ONE_SIZE, SUITES


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
        The smaller task for two CPU cores, marked as such in every row that the whole task has not. Default: where
        there is no GPU.
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
        If the suite, the method or a seed is unknown, or ``folder`` is a file.
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
    if path.parent.exists() and not path.parent.is_dir():
        raise ValueError(f"{path.parent} is a file; results are kept in a folder: name another one")
    every, whole = ({d for spec in SUITES[suite](size) for d in spec.digests()} for size in (True, False))
    rows = _current(path, every | whole, say)
    stock = Stock(device, rows, None if time_limit is None else time.monotonic() + time_limit)
    known = {row.settings for row in rows}
    missing = [spec for spec in specs if not spec.digests() <= known]
    say(f"suite {suite!r}{', reduced' if small else ''}: {len(specs)} cells, {len(specs) - len(missing)} known; {path}")
    if missing and stock.half_done(missing[0]):
        say(f"an earlier call left the first of them half done, and it goes on from there: {missing[0].title}")
    if not missing:
        say("nothing to do: every cell is recorded there; measure anew into another folder with --results FOLDER")
    started = time.monotonic()
    try:
        for number, spec in enumerate(missing, start=1):
            stock.check_time()
            for row in _measure(spec, stock, suite=suite, reduced=not spec.digests() <= whole, shared=shared):
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
        done = f"what is measured is in {path}" if path.exists() else "no cell is finished yet"
        say(f"{why}; {done}, what is half done is kept, and the same command goes on from here")
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


def _measure(spec: Spec, stock: Stock, *, suite: str, reduced: bool, shared: int) -> Iterator[Row]:
    """Make the set, train on it, and give a row for each protocol."""
    first = stock.split(spec, spec.protocols[0])
    training, label_seconds = stock.training_set(spec, first)
    model = stock.model(spec, training)
    spent = model.report
    assert spent is not None
    small = training if isinstance(training, CondensedSet) else None
    steps = effective(spec.method, spec.config).get("steps", 0) if spec.config else 0
    size, made_on = disk_bytes(training), stock.made_on(spec, small)
    prepare(pick_device(stock.device), model.shape["size"], model.shape["backbone"])
    for protocol in spec.protocols:
        split = stock.split(spec, protocol)
        started = time.perf_counter()
        report = evaluate(model, split, device=stock.device)
        seconds = time.perf_counter() - started
        made = provenance(spent.device)
        cell = cell_of(split, training, model, report, spec.seed)
        known = cell.model_dump() | {"teacher_seconds": stock.teacher_seconds(spec, small)}
        yield Row(
            **known,
            suite=suite,
            reduced=reduced,
            shared=shared,
            variant=spec.variant,
            patient=spec.patient,
            cutmix=spec.cutmix,
            teacher_epochs=spec.teacher_epochs,
            mixes=spec.mixes,
            cell_ipc=spec.ipc,
            settings=spec.digest(protocol),
            train_images=len(split.train),
            resolution=split.train.size,
            backbone=spec.backbone,
            width=spec.width or default_width(split.train.size, spec.backbone),
            condense_steps=0 if isinstance(spec.config, GradientConfig) else steps,
            label_seconds=label_seconds,
            evaluate_seconds=seconds,
            disk_bytes=size,
            made_on=made_on,
            accuracy=_accuracy(model, split, stock.device) if spec.hashing == "linear" else None,
            peak_mb=peak_mb() or 0.0,
            threads=torch.get_num_threads(),
            python=made.python,
            torch=torch.__version__,
            commit=made.commit,
            created=made.created,
        )
    rmtree(stock.begun(spec), ignore_errors=True)


def _accuracy(model: HashModel, split: RetrievalSplit, device: str) -> float:
    """Return the share of queries that a linear head puts in their class."""
    logits = represent(model, split.query, device=device) @ model.targets.T
    return float(np.mean(logits.argmax(1).numpy() == split.query.labels))
