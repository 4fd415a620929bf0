"""The files of the ROI: record, schedule and workbooks, always of one and the same report."""

from __future__ import annotations

from pocket.presentation.i18n import LANGUAGES, translator
from pocket.presentation.workbook import workbook_bytes
from pocket.roi import RoiInputs, RoiReport, compute, schedule_csv
from pocket.runs import ArtefactError, Run, write_bytes, write_text
from pocket.runs.commands import command_of


def report_of(run: Run, lang: str = "en") -> RoiReport:
    """Return the report of a run: the inputs of its ``roi.json`` with freshly read measurements, or the defaults.

    ``lang`` is of what is said of a run that is not finished.

    Raises
    ------
    ArtefactError
        If a record of the run is missing or damaged.
    ValueError
        If the run lacks one of the alternatives.
    """
    for file in ("training.json", "condensation.json"):
        if not run.path(file).is_file():
            go_on = command_of(run, lang)
            raise ArtefactError(translator(lang)("error.unfinished", run=run.name, file=file, command=go_on))
    saved = run.path("roi.json")
    return compute(RoiReport.load(saved).inputs.remeasured(run) if saved.is_file() else RoiInputs.from_run(run))


def write_roi(run: Run, report: RoiReport | None = None) -> RoiReport:
    """Write ``roi.json``, ``roi.csv`` and the workbooks, and return their report.

    Parameters
    ----------
    run : Run
    report : RoiReport, optional
        Default: `report_of` the run, so that figures changed in its panel stay.
    """
    found = (report or report_of(run)).model_copy(update={"sample": run.is_sample})
    run.save(found, "roi.json")
    run.note(write_text(run.path("roi.csv"), schedule_csv(found)))
    for lang in LANGUAGES:
        book = workbook_bytes(found, lang, sample=run.is_sample)
        run.note(write_bytes(run.path(f"roi.{lang}.xlsx"), book))
    return found
