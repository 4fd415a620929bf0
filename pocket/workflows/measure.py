"""Train on a set, score the retrieval, and note what it cost: one `Cell`."""

from __future__ import annotations

import warnings
from pathlib import Path

from pocket.data import CondensedSet, ImageSet, RetrievalSplit, load
from pocket.data.intake import SplitRecord
from pocket.data.sources import LeftOutWarning, is_halves, load_own
from pocket.evaluation import RetrievalReport, evaluate
from pocket.hashing import HashModel, train
from pocket.runs import ArtefactError, Run, RunSettings
from pocket.runs.provenance import cpu_load
from pocket.runs.records import Cell


def load_split(settings: RunSettings, *, told: bool = False, split: SplitRecord | None = None) -> RetrievalSplit:
    """Load the image set that a run was asked for.

    Parameters
    ----------
    settings : RunSettings
    told : bool
        What it leaves out has been said before, so no warning.
    split : SplitRecord, optional
        The run's own, where it keeps one: its models were made by it, whatever was drawn for these images since.
    """
    with warnings.catch_warnings():
        if told:
            warnings.simplefilter("ignore", LeftOutWarning)
        if split is not None and not is_halves(Path(settings.dataset)):
            return load_own(
                Path(settings.dataset),
                settings.groups,
                resolution=settings.resolution,
                train_per_class=settings.train_per_class,
                fit=settings.fit,
                split=split,
            )
        return load(
            settings.dataset,
            resolution=settings.resolution,
            train_per_class=settings.train_per_class,
            groups=settings.groups,
            fit=settings.fit,
        )


def own_split(run: Run, *, told: bool = False) -> RetrievalSplit:
    """Load a run's images by its own split, where it keeps one that can be read; else as `load_split` does.

    Parameters
    ----------
    run : Run
    told : bool
        What it leaves out, or that its own split cannot be read, has been said before, so no warning.
    """
    split, kept = None, run.path("split.json")
    if kept.is_file():
        try:
            split = SplitRecord.load(kept)
        except ArtefactError as error:  # damaged, or of a version that held no contents
            if not told:
                warnings.warn(f"{error}; the images are taken as they are now", stacklevel=2)
    return load_split(run.settings, told=told, split=split)


def measure(
    split: RetrievalSplit,
    images: ImageSet | CondensedSet,
    settings: RunSettings,
    seed: int,
    *,
    progress: bool = False,
) -> tuple[Cell, HashModel, RetrievalReport]:
    """Train a hash model on ``images`` and evaluate it on the split's queries and database.

    Parameters
    ----------
    split : RetrievalSplit
    images : ImageSet or CondensedSet
        The split's own train images (method "full"), a condensed set or a random subset.
    settings : RunSettings
        Bits, hashing method and width.
    seed : int
        Of the training; the set has its own.
    progress : bool
        Show a bar while training.

    Returns
    -------
    cell : Cell
    model : HashModel
    report : RetrievalReport
    """
    model = train(images, settings.hashing, settings.bits, seed, width=settings.width, progress=progress)
    report = evaluate(model, split)
    return cell_of(split, images, model, report, seed), model, report


def cell_of(
    split: RetrievalSplit, images: ImageSet | CondensedSet, model: HashModel, report: RetrievalReport, seed: int
) -> Cell:
    """Note what a trained and evaluated model scored and what it cost, all stages of its set included."""
    spent = model.report
    assert spent is not None
    card = images.card if isinstance(images, CondensedSet) else None
    stored = images.stored_bytes if isinstance(images, CondensedSet) else images.images.nbytes
    return Cell(
        dataset=split.train.name,
        protocol=split.protocol,
        method=card.method if card else "full",
        ipc=card.ipc if card else 0,
        formation=card.formation if card else 1,
        code_labels=isinstance(images, CondensedSet) and images.codes,
        hashing=model.method,
        bits=model.bits,
        seed=seed,
        images=len(images),
        image_bytes=stored,
        steps=spent.steps,
        teacher_seconds=card.teacher_seconds if card else 0.0,
        pool_seconds=card.pool_seconds if card else 0.0,
        condense_seconds=card.condense_seconds if card else 0.0,
        train_seconds=spent.seconds,
        map=report.map,
        map_low=report.map_low,
        map_high=report.map_high,
        map_plain=report.map_plain,
        device=spent.device,
        load=cpu_load(),
    )
