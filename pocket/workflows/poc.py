"""`pocket poc`: from a folder of images to a go / no-go report in one command, which goes on where it was stopped."""

from __future__ import annotations

import re
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from pocket.data import CondensedSet, DataRecord, RetrievalSplit, describe, photographs
from pocket.data.intake import CheckRecord, Findings, IntakeError, SplitRecord, list_images
from pocket.data.intake.names import shown
from pocket.evaluation import (
    DiagnosticReport,
    DiagnosticsRecord,
    HammingIndex,
    RetrievalComparison,
    diagnose,
    encode,
    over_queries,
    search_latency,
)
from pocket.hashing import HashModel, recalibrate
from pocket.presentation import poc_text
from pocket.presentation.brief import write_brief
from pocket.presentation.check_page import console_lines
from pocket.presentation.i18n import LANGUAGES, translator
from pocket.presentation.pdf import NoBrowserError, print_pdf
from pocket.presentation.roi_files import write_roi
from pocket.roi import RoiReport
from pocket.runs import ArtefactError, Run, open_run, provenance, write_bytes
from pocket.runs.lock import writing
from pocket.runs.paths import run_dir
from pocket.runs.poc import KeptCell, Plan, PocRecord
from pocket.runs.records import CondensationRecord, TrainingRecord, strongest_random
from pocket.runs.verification import note_changed
from pocket.workflows.check import UsageError, check
from pocket.workflows.measure import load_split
from pocket.workflows.poc_cells import Shelf, Spec
from pocket.workflows.poc_plan import Asked, estimate, measure_speed, plan_of
from pocket.workflows.suites import digest_of

Say = Callable[[str], None]
FULL, IEM, RANDOM = "full data", "IEM", "random subset"  # as notebook 04 calls them


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
        Show bars.
    say : callable
        Takes each line.

    Raises
    ------
    UsageError
        If the run's folder would lie inside ``path``, or ``groups`` is no file.
    ValueError
        If the run on disk was made of other images or with other settings.
    BusyError
        If another process is writing to the run.
    """
    asked, name = asked or Asked(), name or run_name(path)
    groups = _refuse_other_run(path, name, groups)
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
    checked = checked_images(path, run_dir(name), groups, lang, say)
    if checked.verdict == "stop":
        say(translator(lang)("poc.stop"))
        return Done(checked)
    plan = plan_of(checked, asked, device)
    run = planned_run(path, name, groups, plan)
    for line in poc_text.plan_lines(plan, checked, lang):
        say(line)
    split = quietly_loaded(run)
    data = describe(split)
    for line in poc_text.split_lines(split, data.repeated_queries, lang):
        say(line)
    shelf = Shelf(run, split, plan, device=device, progress=progress)
    record = _finished(shelf)
    if record is None:
        seconds = estimated(shelf, lang, say)
        run.save(data, "data.json")
        kept = shelf.make_all(lambda spec, one, place, count: say(poc_text.cell_line(one.cell, place, count, lang)))
        write_cells(shelf, kept)
        say(translator(lang)("poc.scoring"))
        write_retrieval(shelf)
        write_diagnostics(shelf)
        report = write_roi(run)
        write_briefs(run, pdf, say)
        record = finish(shelf, data, seconds, report)
    for line in poc_text.result_lines(run, lang):
        say(line)
    return Done(checked, run, record)


def run_name(path: Path) -> str:
    """Return a usable name for the run of a path: that of the folder or file."""
    text = re.sub(r"[^\w.-]+", "-", shown(path.resolve().stem if path.is_file() else path.resolve().name))
    return text.replace("..", "-").strip("-.")[:48] or "images"


def _refuse_other_run(path: Path, name: str, groups: Path | None) -> Path | None:
    """Refuse a run's folder inside the images, or one that holds a run of other images, before anything is written.

    Returns the table of groups, which a run that is there remembers.
    """
    folder, images = run_dir(name).resolve(), path.resolve()
    if folder.is_relative_to(images):
        raise UsageError(
            f"the report would be written to {folder}, inside the folder of images, which is never written to; start "
            "the command from another folder, or name one by POCKET_HOME"
        )
    if not (folder / "run.json").is_file():
        return groups
    before = Run.read(folder).settings
    if before.dataset != str(images):
        raise ValueError(
            f"run {name!r} was made of {before.dataset!r}, not of {str(images)!r}; take another name: --run NAME"
        )
    return groups or (Path(before.groups) if before.groups else None)


def checked_images(path: Path, out: Path, groups: Path | None, lang: str, say: Say) -> CheckRecord:
    """Check the images, or take the check that is there where neither images nor groups have changed since."""
    if groups is not None and not groups.is_file():
        raise UsageError(f"--groups {groups}: there is no such file")
    try:
        before, split = CheckRecord.load(out / "check.json"), SplitRecord.load(out / "split.json")
        listing = list_images(path, Findings(), groups)
        same = (split.key, split.groups_key) == (listing.key, listing.groups_key)
        if same and before.path == shown(path.resolve()) and (out / "check.html").is_file():
            for line in console_lines(before, lang):
                say(line)
            return before
    except (ArtefactError, IntakeError):
        pass
    return check(path, out=out, groups=groups, lang=lang, say=say).record


def planned_run(path: Path, name: str, groups: Path | None, plan: Plan) -> Run:
    """Open the run of a plan, or make it, and log what the check has left in its folder."""
    run = open_run(
        name,
        dataset=str(path.resolve()),
        groups=str(groups.resolve()) if groups else None,
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
    note_changed(run, [run.path(file) for file in ("check.json", "check.html", "split.json", "relabel.csv")])
    return run


def quietly_loaded(run: Run) -> RetrievalSplit:
    """Load the split that the check has made; what it leaves out is among the findings already."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return load_split(run.settings)


def estimated(shelf: Shelf, lang: str, say: Say) -> dict[str, float]:
    """Measure a few steps of what is not done yet, and say how long all of it will take."""
    t, missing = translator(lang), shelf.missing()
    say("")
    say(t("poc.measuring"))
    seconds = estimate(shelf.plan, measure_speed(shelf.split, shelf.plan, shelf.device), missing)
    for line in poc_text.estimate_lines(seconds, missing, len(shelf.specs), shelf.plan, lang):
        say(line)
    return seconds


def write_cells(shelf: Shelf, kept: list[KeptCell]) -> None:
    """Write ``training.json``, ``condensation.json``, the condensed set and the models that searching needs."""
    run, cells = shelf.run, [one.cell for one in kept]
    note_changed(run, [file for spec in shelf.specs for file in run.path("cells").glob(f"{shelf.place(spec).name}.*")])
    made = provenance(cells[0].device)
    condensed = [cell for cell in cells if cell.method == "iem"]
    for name, spec in chosen(shelf, kept).items():
        run.note(write_bytes(run.path("models", f"{name}.safetensors"), shelf.model_path(spec).read_bytes()))
    shown_set = CondensedSet.load(shelf.set_path(Spec("iem", shelf.plan.formation, shelf.plan.seeds[0])))
    run.note(shown_set.save(run.path("condensed.safetensors")), run.path("condensed.json"))
    shutil.rmtree(run.path("condensed_png"), ignore_errors=True)
    shown_set.export(run.path("condensed_png"))
    others = tuple(cell for cell in cells if cell.method != "iem")
    run.save(TrainingRecord(cells=others, provenance=made), "training.json")
    run.save(CondensationRecord(cells=tuple(condensed), provenance=made), "condensation.json")


def chosen(shelf: Shelf, kept: list[KeptCell]) -> dict[str, Spec]:
    """Return the models that a run keeps by name: full data of each seed, and of the first seed the two small sets."""
    plan, first = shelf.plan, shelf.plan.seeds[0]
    named = {f"full_{seed}": Spec("full", 1, seed) for seed in plan.seeds}
    return named | {
        "random": Spec("random", random_formation(kept), first),
        "iem": Spec("iem", plan.formation, first),
    }


def random_formation(kept: list[KeptCell]) -> int:
    """Return the tiles a side of the stronger random subset, with which the condensed set is compared."""
    cells = [one.cell for one in kept]
    return strongest_random(cells, max(cell.ipc for cell in cells))[0].formation


def _kept(shelf: Shelf) -> list[KeptCell]:
    return [shelf.get(spec)[0] for spec in shelf.specs]


def write_retrieval(shelf: Shelf) -> RetrievalComparison:
    """Write ``retrieval.json``: the models of the first seed, and all seeds together with intervals over groups."""
    kept, plan, split = _kept(shelf), shelf.plan, shelf.split
    formation = random_formation(kept)
    by_spec = dict(zip(shelf.specs, kept, strict=True))
    kinds = {FULL: ("full", 1), IEM: ("iem", plan.formation), RANDOM: ("random", formation)}
    reports = {
        name: [by_spec[Spec(method, tiles, seed)].report for seed in plan.seeds]
        for name, (method, tiles) in kinds.items()
    }
    model = HashModel.load(shelf.model_path(Spec("iem", plan.formation, plan.seeds[0])))
    ours = recalibrate(model, split.database, device=shelf.device)
    index = HammingIndex(encode(ours, split.database, device=shelf.device))
    found = RetrievalComparison(
        models={name: each[0] for name, each in reports.items()},
        latency=search_latency(index, encode(ours, split.query, device=shelf.device)),
        over=over_queries(reports[FULL], reports[IEM], reports[RANDOM], split.query.labels, split.query.independent),
        provenance=provenance(kept[0].cell.device),
    )
    shelf.run.save(found, "retrieval.json")
    return found


def write_diagnostics(shelf: Shelf) -> DiagnosticsRecord:
    """Write ``diagnostics.json``: the three models of the first seed from all sides; each report is kept, too."""
    kept, plan, split = _kept(shelf), shelf.plan, shelf.split
    specs = chosen(shelf, kept)
    named = {FULL: specs[f"full_{plan.seeds[0]}"], IEM: specs["iem"], RANDOM: specs["random"]}
    reference = HashModel.load(shelf.model_path(named[FULL]))
    condensed = CondensedSet.load(shelf.set_path(named[IEM]))
    strangers = photographs(split.query)
    found: dict[str, DiagnosticReport] = {}
    for name, spec in named.items():
        path = shelf.place(spec).with_suffix(".diagnostics.json")
        try:
            found[name] = DiagnosticReport.load(path)
        except ArtefactError:
            model = HashModel.load(shelf.model_path(spec))
            found[name] = diagnose(
                model,
                split,
                unknown=strangers,
                reference=reference if name == IEM else None,
                condensed=condensed if name == IEM else None,
                device=shelf.device,
            )
            shelf.run.note(found[name].save(path))
    record = DiagnosticsRecord(models=found, provenance=provenance(kept[0].cell.device))
    shelf.run.save(record, "diagnostics.json")
    return record


def write_briefs(run: Run, pdf: bool, say: Say) -> None:
    """Write the brief in both languages, on paper too where there is a browser."""
    for lang in LANGUAGES:
        page = write_brief(run, lang)
        try:
            if pdf:
                run.note(print_pdf(page))
        except NoBrowserError as error:
            say(str(error))
            pdf = False


def finish(shelf: Shelf, data: DataRecord, seconds: dict[str, float], report: RoiReport) -> PocRecord:
    """Write ``poc.json``, the last file: what was planned and estimated, and the verdict."""
    record = PocRecord(
        key=_key(shelf),
        plan=shelf.plan,
        estimated=seconds,
        verdict=report.decision.verdict,
        reason=report.decision.reason,
        repeated_queries=data.repeated_queries,
        shared_groups=poc_text.shared_groups(shelf.split),
        provenance=provenance(_kept(shelf)[0].cell.device),
    )
    shelf.run.save(record, "poc.json")
    return record


def _key(shelf: Shelf) -> str:
    """Return the digest of a plan and of all that it computes."""
    return digest_of({"plan": shelf.plan.model_dump(mode="json"), "cells": [shelf.key(s) for s in shelf.specs]})


def _finished(shelf: Shelf) -> PocRecord | None:
    """Return the record of a run that has come to its end for this very plan, and still has its brief."""
    try:
        record = PocRecord.load(shelf.run.path("poc.json"))
    except ArtefactError:
        return None
    whole = all(shelf.run.path(f"brief.{lang}.html").is_file() for lang in LANGUAGES)
    return record if record.key == _key(shelf) and whole else None
