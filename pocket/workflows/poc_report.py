"""What a proof of concept writes once its models are there: other commands' records, scores, diagnostics, briefs."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable
from contextlib import suppress

from pocket.data import CondensedSet, photographs
from pocket.evaluation import (
    DiagnosticReport,
    DiagnosticsRecord,
    HammingIndex,
    RetrievalComparison,
    by_class,
    diagnose,
    encode,
    over_queries,
    search_latency,
)
from pocket.hashing import HashModel, recalibrate
from pocket.presentation.brief import write_brief
from pocket.presentation.i18n import LANGUAGES, translator
from pocket.presentation.pdf import NoBrowserError, print_pdf
from pocket.presentation.roi_files import write_roi
from pocket.roi import RoiReport
from pocket.runs import ArtefactError, Run, provenance, write_bytes
from pocket.runs.poc import KeptCell, PlanRecord
from pocket.runs.records import CondensationRecord, TrainingRecord, strongest_random
from pocket.runs.retrieval import FAILED_RANK, MODELS, FailedSearches, RetrievalReport
from pocket.runs.verification import note_changed
from pocket.workflows.poc_cells import Shelf, Spec

FULL, IEM, RANDOM = MODELS


def write_cells(shelf: Shelf, kept: list[KeptCell]) -> None:
    """Write plan, ``training.json``, ``condensation.json``, the condensed set and the models that searching needs."""
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
    run.note(run.path("condensed_png"))
    others = tuple(cell for cell in cells if cell.method != "iem")
    run.save(PlanRecord(plan=shelf.plan), "plan.json")
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
    sides = reports[FULL], reports[IEM], reports[RANDOM]
    labels, groups = split.query.labels, split.query.independent
    found = RetrievalComparison(
        models={name: each[0] for name, each in reports.items()},
        latency=search_latency(index, encode(ours, split.query, device=shelf.device), k=min(FAILED_RANK, len(index))),
        over=over_queries(*sides, labels, groups),
        by_class=by_class(*sides, labels, split.database.labels, groups),
        failed=_failed(*sides, searched=len(split.database)),
        provenance=provenance(kept[0].cell.device),
    )
    shelf.run.save(found, "retrieval.json")
    return found


def _failed(
    full: list[RetrievalReport], condensed: list[RetrievalReport], random: list[RetrievalReport], searched: int
) -> FailedSearches | None:
    """Return the share of failed searches of each seed; None where fewer images are searched than a search looks at."""
    if searched < FAILED_RANK:
        return None
    full_missed, condensed_missed, random_missed = (
        tuple(1 - one.hit_rate_at[FAILED_RANK] for one in each) for each in (full, condensed, random)
    )
    return FailedSearches(rank=FAILED_RANK, full=full_missed, condensed=condensed_missed, random=random_missed)


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
        path = shelf.diagnosed(spec)
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


def readable(run: Run) -> bool:
    """Return whether the records that the outcome is told from are there, whole, and of this version of the kit."""
    with suppress(ArtefactError):
        PlanRecord.load(run.path("plan.json"))
        RoiReport.load(run.path("roi.json"))
        return RetrievalComparison.load(run.path("retrieval.json")).by_class is not None
    return False


def write_sums(run: Run, lang: str, say: Callable[[str], None]) -> RoiReport:
    """Write the ROI; a ``roi.json`` that cannot be read, of another version or damaged, is set aside and not lost."""
    path = run.path("roi.json")
    try:
        RoiReport.load(path)
    except ArtefactError:
        if path.is_file():
            kept = next(name for n in itertools.count(1) if not run.path(name := f"roi.kept-{n}.json").exists())
            run.note(path.replace(run.path(kept)))
            say(translator(lang)("poc.roi_kept", kept=kept))
    return write_roi(run)


def write_briefs(run: Run, pdf: bool, say: Callable[[str], None]) -> None:
    """Write the brief in both languages, on paper too where there is a browser."""
    for lang in LANGUAGES:
        page = write_brief(run, lang)
        try:
            if pdf:
                run.note(print_pdf(page))
        except NoBrowserError as error:
            say(str(error))
            pdf = False
