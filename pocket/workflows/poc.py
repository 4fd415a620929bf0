"""`pocket poc`: from a folder of images to a go / no-go report in one command, which goes on where it was stopped."""

from __future__ import annotations

import re
import statistics
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from pocket.data import DataRecord, RetrievalSplit, describe
from pocket.data.decoding import Fit
from pocket.data.intake import CheckRecord, SplitRecord
from pocket.data.intake.names import shown
from pocket.presentation import poc_text
from pocket.presentation.i18n import LANGUAGES, duration, number, translator
from pocket.presentation.roi_files import write_roi
from pocket.roi import RoiInputs, RoiReport
from pocket.runs import ArtefactError, Run, open_run, provenance
from pocket.runs.lock import writing
from pocket.runs.paths import run_dir
from pocket.runs.poc import KeptCell, Plan, PocRecord
from pocket.runs.provenance import cpu_load
from pocket.runs.verification import note_changed
from pocket.workflows.cells import digest_of
from pocket.workflows.check import UsageError, refuse_nowhere
from pocket.workflows.measure import own_split
from pocket.workflows.poc_cells import Shelf, Spec
from pocket.workflows.poc_images import checked_images
from pocket.workflows.poc_plan import Asked, estimate, keep_asked, measure_speed, plan_of
from pocket.workflows.poc_report import (
    IEM,
    readable,
    write_briefs,
    write_cells,
    write_diagnostics,
    write_retrieval,
    write_sums,
)

Say = Callable[[str], None]


class Done(NamedTuple):
    """What came of it. ``run`` and ``record`` are None where the check said stop."""

    check: CheckRecord
    run: Run | None = None
    record: PocRecord | None = None


def poc(
    path: Path,
    name: str | None = None,
    *,
    groups: Path | None = None,
    asked: Asked | None = None,
    lang: str = "en",
    pdf: bool = True,
    device: str = "auto",
    progress: bool = False,
    say: Say = print,
) -> Done:
    """Check, plan, train, condense, score, diagnose, do the sums, and write the brief; what is done is not done twice.

    Parameters
    ----------
    path : Path
        A folder with one sub-folder per class, a CSV list, or Parquet. It is read, never written to.
    name : str, optional
        The run, folder ``runs/NAME``. Default: the folder's name.
    groups : Path, optional
        A table ``path,group`` of images that show the same thing. Default: the folder's ``groups.csv``.
    asked : Asked, optional
        What is not to follow from the images.
    lang : {"en", "ja"}
        Of what is said; the brief is written in both.
    pdf : bool
        Print the brief, too, where there is a browser.
    device : str
    progress : bool
        Show bars, or now and then a line where stderr is no terminal.
    say : callable
        Takes each line.

    Raises
    ------
    UsageError
        If there is nothing at ``path``, the run's folder would lie inside it, or ``groups`` is no file.
    ValueError
        If the run on disk was made of other images or with other settings, or its images have changed since.
    BusyError
        If another process is writing to the run.
    """
    refuse_nowhere(path, lang)
    asked, name = asked or Asked(), name or run_name(path)
    groups, fit = _refuse_other_run(path, name, groups, asked.fit, lang)
    asked = asked._replace(fit=fit)
    with writing(run_dir(name)):
        return _made(path, name, groups, asked, lang=lang, pdf=pdf, device=device, progress=progress, say=say)


def _made(
    path: Path,
    name: str,
    groups: Path | None,
    asked: Asked,
    *,
    lang: str,
    pdf: bool,
    device: str,
    progress: bool,
    say: Say,
) -> Done:
    """Do it, with the run held."""
    clock, before = Clock(whole=not _begun(run_dir(name))), cpu_load()  # before any work of ours
    fit = asked.fit or "crop"
    checked = checked_images(path, run_dir(name), groups, lang, say, ["--run", name, *asked.options()], fit)
    if checked.verdict == "stop":
        say(translator(lang)("poc.stop"))
        return Done(checked)
    clock.lap("check")
    plan = plan_of(checked, asked, device)
    run = planned_run(path, name, groups, plan, fit)
    for line in poc_text.plan_lines(plan, checked, lang):
        say(line)
    split = own_split(run, told=True)  # what it leaves out is among the findings
    data = describe(split)
    kept = SplitRecord.load(run.path("split.json"))
    for line in poc_text.split_lines(split, data.repeated_queries, lang, grouped=bool(kept.groups_key)):
        say(line)
    if kept.things is None:
        say("  " + translator(lang)("poc.older_split"))
    shelf = Shelf(run, split, plan, device=device, progress=progress, lang=lang)
    record = _finished(shelf)
    if record is None:
        # Of a call that goes on, the load may be what the one before has left.
        if clock.whole and (busy := poc_text.busy_line(before, lang)):
            say(busy)
        record = _done(shelf, data, clock, lang, pdf, say)
    else:
        say("")
        say(translator(lang)("poc.complete"))
    for line in poc_text.result_lines(run, lang):
        say(line)
    if record.took is not None:
        say(translator(lang)("poc.took", time=duration(sum(record.took.values()), lang)))
    elif "report" in clock.seconds:
        say(translator(lang)("poc.took_now", time=duration(sum(clock.seconds.values()), lang)))
    return Done(checked, run, record)


def _begun(folder: Path) -> bool:
    """Whether an earlier call has left anything: then what this one takes is not what all of it takes."""
    return any((folder / name).is_file() for name in ("check.json", "run.json"))


class Clock:
    """Seconds by stage: every moment since it was made belongs to one; ``whole``: no earlier call has begun it."""

    def __init__(self, *, whole: bool) -> None:
        self.whole = whole
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, stage: str) -> None:
        """Give a stage what has passed since the last lap."""
        now = time.perf_counter()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + now - self._last
        self._last = now


def _done(shelf: Shelf, data: DataRecord, clock: Clock, lang: str, pdf: bool, say: Say) -> PocRecord:
    """Estimate the time, make what is missing, and write every report."""
    run, t = shelf.run, translator(lang)
    # Models that are all there are only told anew: what they took, and what was said of it before, stays true.
    before = None if any(shelf.missing().values()) else _recorded(shelf)

    def told(spec: Spec, one: KeptCell, place: int, count: int) -> None:
        clock.lap(spec.method)
        say(poc_text.cell_line(one.cell, place, count, lang))

    expected = estimated(shelf, lang, say)
    for spec in shelf.specs:
        if step := shelf.step(spec):
            say(t("poc.goes_on", seed=spec.seed, step=number(step), steps=number(shelf.plan.condense_steps)))
    run.save(data, "data.json")
    clock.lap("plan")
    write_cells(shelf, shelf.make_all(told))
    say(t("poc.scoring"))
    write_retrieval(shelf)
    write_diagnostics(shelf)
    clock.lap("diagnostics")
    report = write_sums(run, lang, say)
    write_briefs(run, pdf, say)
    clock.lap("report")
    if before is not None:
        return finish(shelf, data, before.estimated, report, before.took)
    return finish(shelf, data, expected, report, clock.seconds if clock.whole else None)


def run_name(path: Path) -> str:
    """Return a usable name for the run of a path: that of the folder or file."""
    text = re.sub(r"[^\w.-]+", "-", shown(path.resolve().stem if path.is_file() else path.resolve().name))
    return text.replace("..", "-").strip("-.")[:48] or "images"


def _refuse_other_run(
    path: Path, name: str, groups: Path | None, fit: Fit | None, lang: str
) -> tuple[Path | None, Fit]:
    """Refuse a run's folder inside the images, or one that holds a run of other images, before anything is written.

    Returns the table of groups and what is made of images that are not square, which a run that is there remembers.
    """
    folder, images, t = run_dir(name).resolve(), path.resolve(), translator(lang)
    if folder.is_relative_to(images):
        raise UsageError(t("poc.inside", folder=folder))
    if not (folder / "run.json").is_file():
        return groups, fit or "crop"
    before = Run.read(folder).settings
    if before.dataset != str(images):
        raise ValueError(t("poc.other_images", run=name, before=before.dataset, images=images))
    if fit not in (None, before.fit):
        raise ValueError(t("poc.other_fit", run=name, before=before.fit, fit=fit))
    return groups or (Path(before.groups) if before.groups else None), before.fit


def planned_run(path: Path, name: str, groups: Path | None, plan: Plan, fit: Fit = "crop") -> Run:
    """Open the run of a plan, or make it, and log what the check has left in its folder."""
    run = open_run(
        name,
        dataset=str(path.resolve()),
        groups=str(groups.resolve()) if groups else None,
        fit=fit,
        resolution=plan.resolution,
        ipc=(max(plan.counts),),
        seeds=plan.seeds,
        bits=plan.bits,
        hashing=plan.hashing,
        width=plan.width,
    )
    for place in (run.folder, run.path("cells"), run.path("models")):
        for left in place.glob(".*.*"):  # temporary files of a process that was killed
            left.unlink(missing_ok=True)
    keep_asked(run, plan)
    files = ("check.json", "check.html", "split.json", "relabel.csv", "asked.json", "plan.json")
    note_changed(run, [run.path(file) for file in files])
    return run


def estimated(shelf: Shelf, lang: str, say: Say) -> dict[str, float]:
    """Measure a few steps of what is not done yet, and say how long all of it will take."""
    t, missing = translator(lang), shelf.missing()
    say("")
    say(t("poc.measuring"))
    speed = measure_speed(shelf.split, shelf.plan, shelf.device)
    seconds = estimate(shelf.plan, speed, missing, steps=shelf.steps_left(), diagnoses=shelf.diagnoses_left())
    for line in poc_text.estimate_lines(seconds, missing, len(shelf.specs), shelf.plan, lang):
        say(line)
    full = [kept.cell for spec in shelf.specs if spec.method == "full" and (kept := shelf.known(spec))]
    measured = not missing["full"]
    one = statistics.median(c.train_seconds for c in full) if measured else shelf.plan.full_steps * speed.full_step
    say(poc_text.ceiling_line(one, lang, _inputs_of(shelf.run), measured=measured))
    say("")
    return seconds


def _inputs_of(run: Run) -> RoiInputs | None:
    """Return the inputs that the brief will take: those of an earlier ``roi.json``, or None for our assumptions."""
    try:
        return RoiReport.load(run.path("roi.json")).inputs
    except ArtefactError:
        return None


def finish(
    shelf: Shelf,
    data: DataRecord,
    seconds: dict[str, float],
    report: RoiReport,
    took: dict[str, float] | None = None,
) -> PocRecord:
    """Write ``poc.json``, the last file: what was planned and estimated, what it took, and the verdict."""
    record = PocRecord(
        key=_key(shelf),
        plan=shelf.plan,
        estimated=seconds,
        took=took,
        verdict=report.decision.verdict,
        reason=report.decision.reason,
        repeated_queries=data.repeated_queries,
        shared_groups=poc_text.shared_groups(shelf.split),
        groups=_things(shelf.split),
        provenance=provenance(shelf.get(shelf.specs[0])[0].cell.device),
    )
    shelf.run.save(record, "poc.json")
    return record


def _things(split: RetrievalSplit) -> int:
    """Return how many different things the images show, those without a group each their own; 0 where none has any."""
    groups = [*split.train.groups, *split.query.groups]
    named = {*groups} - {""}
    return len(named) + groups.count("") if named else 0


def _key(shelf: Shelf) -> str:
    """Return the digest of a plan and of all that it computes."""
    return digest_of({"plan": shelf.plan.model_dump(mode="json"), "cells": [shelf.key(s) for s in shelf.specs]})


def _finished(shelf: Shelf) -> PocRecord | None:
    """Return the record of a run that has come to its end for this very plan, and still has its brief.

    What another version of the kit has written of it does not count: it is written anew, of the same models.
    """
    whole = readable(shelf.run) and all(shelf.run.path(f"brief.{lang}.html").is_file() for lang in LANGUAGES)
    return _recorded(shelf) if whole else None


def _recorded(shelf: Shelf) -> PocRecord | None:
    """Return the record of a run that has come to its end for this very plan."""
    with suppress(ArtefactError):
        record = PocRecord.load(shelf.run.path("poc.json"))
        return record if record.key == _key(shelf) else None
    return None


__all__ = [
    "IEM",
    "Done",
    "checked_images",
    "estimated",
    "finish",
    "own_split",
    "planned_run",
    "poc",
    "run_name",
    "write_briefs",
    "write_cells",
    "write_diagnostics",
    "write_retrieval",
    "write_roi",
]
