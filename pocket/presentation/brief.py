"""The executive brief: one self-contained HTML page per language, made from a run's records."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from IPython.display import HTML
from jinja2 import Environment, PackageLoader, StrictUndefined

from pocket.presentation import brief_classes, brief_quality, roi_failed, roi_figures, roi_text, rollout
from pocket.presentation import brief_evidence as evidence
from pocket.presentation.brief_setting import random_name, random_text, setting_lines
from pocket.presentation.checklist import checklist, diagnosed, real_images
from pocket.presentation.glossary import glossary, occurring
from pocket.presentation.html import escape, png_uri, unbroken, visible
from pocket.presentation.i18n import colon, dated, duration, exact, listed, money, number, plain, sentences, translator
from pocket.presentation.meeting import labour_again, phrases
from pocket.presentation.roi_files import report_of
from pocket.roi import SPECS, RoiInputs, RoiReport, alternatives, ceiling, equal_steps
from pocket.runs import Run, write_text
from pocket.runs.audit import digest_of
from pocket.runs.commands import command
from pocket.runs.lock import writing
from pocket.runs.poc import is_trial

RISKS = {"quality": "ml", "drift": "ops", "cost": "finance", "privacy": "privacy", "lock": "it"}
# The first page is the whole decision: these of the key figures stand there, all others behind it.
FIRST_PAGE = ("roi.break_even", "roi.payback", "roi.npv", "roi.range")
_PAID = ("once", "monthly")
_EFFORT = ("migration", "monitoring", "lost_quality")
_EFFORT_INPUTS = ("migration_days", "engineer_day_rate", "monitoring_days_per_month", "failure_share_per_point")
NOT_SHOWN = ("labour", "running", "scale", "codes", "online", "device", "shift", "independent", "overlap")


def write_brief(run: Run, lang: str, report: RoiReport | None = None) -> Path:
    """Write ``brief.en.html`` or ``brief.ja.html`` into the run's folder.

    Parameters
    ----------
    run : Run
        A run with ``training.json`` and ``condensation.json``. What ``retrieval.json`` and ``diagnostics.json`` hold
        is told too; without them the page says "not measured".
    lang : {"en", "ja"}
        Language of the page.
    report : RoiReport, optional
        What to tell. By default the inputs of the run's ``roi.json`` with freshly read measurements, or
        the default assumptions where that file does not exist.

    Returns
    -------
    Path
        The page: inline style and pictures, no scripts, nothing loaded from elsewhere.

    Raises
    ------
    ValueError
        If the language is unknown, or the run lacks one of the alternatives.
    ArtefactError
        If a record of the run is missing or damaged.
    """
    t = translator(lang)
    path = run.path(f"brief.{lang}.html")
    environment = Environment(
        loader=PackageLoader("pocket.presentation"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template("brief.html.j2")
    with writing(run.folder):
        content = _content(run, report or report_of(run, lang), lang)
        # Made twice: what stands on the page decides which terms its last part explains.
        read = visible(page.render(t=t, glossary=[], **content))
        whole = page.render(t=t, glossary=occurring(glossary(lang), read), **content)
        write_text(path, unbroken(whole, dated(lang)))
        run.log("brief written", file=path.name, sha256=digest_of(path))
    return path


def inline(page: Path, height: int = 1500) -> HTML:
    """Return a written brief as a frame inside a notebook, shut off from the notebook's own page.

    Parameters
    ----------
    page : Path
        What `write_brief` returned.
    height : int
        Pixels that the frame takes.
    """
    source, lang = escape(page.read_text(encoding="utf-8")), page.stem.rpartition(".")[2]
    told = translator(lang)("brief.untrusted", name=page.name)
    # Of a notebook that it has not run itself, Jupyter shows neither frame nor style: then these words are read.
    return HTML(
        f'<style>.pocket-untrusted {{ display: none; }}</style><p class="pocket-untrusted">{escape(told)}</p>'
        f'<iframe srcdoc="{source}" sandbox title="{escape(page.name)}" '
        f'style="width:100%;height:{height}px;border:1px solid #cbd2d9"></iframe>'
    )


def _content(run: Run, report: RoiReport, lang: str) -> dict[str, Any]:
    cells = alternatives(run.folder, report.inputs.ipc or None)
    full, condensed, random = cells
    t, inputs, trial = translator(lang), report.inputs, is_trial(run)
    charts = [
        (png_uri(draw(report, lang)), alt(report, lang))
        for draw, alt in (
            (roi_figures.figure_break_even, roi_figures.alt_break_even),
            (roi_figures.figure_cash_flow, roi_figures.alt_cash_flow),
            (roi_figures.figure_fan, roi_figures.alt_fan),
            (roi_figures.figure_tornado, roi_figures.alt_tornado),
        )
    ]
    first, rest = _split(roi_text.key_figures(report, lang), {t(label) for label in FIRST_PAGE})
    lines, digest = evidence.audit_head(run)
    return {
        "lang": lang,
        "colon": colon(lang),
        "run": run,
        "report": report,
        "verdict": report.decision.verdict,
        "decision": roi_text.decision(report, lang),
        "advice": _advice(report, trial, lang),
        "flip": roi_text.flip(report, lang),
        "failed_flip": roi_failed.flip(report, lang),
        "failed": roi_failed.told(report, lang),
        "better": roi_text.better(report, lang),
        "quality": _quality(report, lang),
        "makeup": _makeup(report, lang),
        "axes": roi_text.axes(report, lang, equal_steps(full, condensed)),
        "spreads": brief_quality.spreads(run, report, cells, lang),
        "first": first,
        "rest": [*rest, roi_text.ceiling_line(report, lang), *roi_text.energy(report, lang)],
        "rule": _rule(report, lang),
        # Scaled up, equal trainings stay equal.
        "notes": [_range_note(report, lang), *([] if roi_text.equally_long(report) else [_scale(inputs, lang)])],
        "charts": charts,
        "evidence": [
            evidence.evidence_row(name, cells, lang)
            for name, cells in (
                (t("alternative.full"), full),
                (t("alternative.condensed"), condensed),
                (random_name(random, lang), random),
            )
        ],
        "difference": evidence.difference_text(condensed, random, lang),
        "warnings": brief_classes.warnings(run, lang),
        "saving_noise": (noise := evidence.saving_noise(full, condensed, lang)),
        "busy": evidence.busy_text([*full, *condensed, *random], lang),
        "saving_notes": [
            *([steps] if (steps := evidence.fewer_steps(inputs, full, condensed, lang)) else []),
            *_saving_notes(report, noise, lang),
        ],
        "over": evidence.over_queries_table(run, lang, random_name(random, lang)),
        "classes": brief_classes.class_table(run, lang),
        "teacher": t(
            f"brief.teacher_{'counted' if inputs.count_teacher else 'not_counted'}",
            seconds=duration(inputs.seconds_teacher.base, lang),
        ),
        "provenance": evidence.provenance_lines(run, condensed[0], lang) + setting_lines(run, lang),
        "evidence_text": sentences((t("brief.evidence_text"), random_text(random, lang)), lang),
        "costs": evidence.cost_table(report, lang),
        "rests_on": [(row[0], row[4]) for row in roi_text.alternatives(report, lang)[1]],
        "years": roi_text.years(report, lang),
        "risks": [
            (t(f"brief.risk_{key}"), t(f"brief.risk_{key}_response"), t(f"brief.owner_{owner}"))
            for key, owner in RISKS.items()
        ],
        "real_images": real_images(run, lang),
        "checklist_text": _checklist_text(run, report, lang),
        "checklist": checklist(run, report, lang),
        "rollout_text": rollout.introduction(report, lang, trial=trial),
        "stages": rollout.stages(report, lang, trial=trial),
        "rollout_saving": rollout.no_saving(report, lang, trial=trial),
        "kpi_text": t("kpi.text_trial" if trial else "kpi.text"),
        "kpis": rollout.kpis(run, report, full, condensed, lang),
        "phrases": phrases(run, report, condensed, random, lang),
        "not_shown": [t(f"brief.not_shown_{key}", **_labour(inputs, lang)) for key in NOT_SHOWN],
        "assumptions": [evidence.assumption_row(name, inputs, lang) for name in SPECS],
        "audit_text": t("audit.text", lines=number(lines)) if lines else t("audit.none"),
        "digest": digest if lines else "",
        "verify": command("audit", "verify", run.name, "--line", lines, "--digest", digest, lang=lang),
    }


def _split(lines: list[roi_text.Line], first: set[str]) -> tuple[list[roi_text.Line], list[roi_text.Line]]:
    """Part the lines whose labels stand on the first page from the others."""
    return [line for line in lines if line.label in first], [line for line in lines if line.label not in first]


def _advice(report: RoiReport, trial: bool, lang: str) -> str:
    """Return what to do next; after a trial on one's own images another one is no advice."""
    reason, verdict = report.decision.reason, report.decision.verdict
    key = "pilot_trial" if trial and verdict == "pilot" else verdict
    return translator(lang)(f"brief.next_{reason if reason in ('random_better', 'equally_long') else key}")


def _saving_notes(report: RoiReport, noise: str, lang: str) -> list[str]:
    """Say on the first page that the saving of a training is noise, and the most it could come to where we stop."""
    # Equal steps are told by the axis above these notes.
    t, notes = translator(lang), [noise] if noise and not roi_text.equally_long(report) else []
    if report.decision.verdict == "stop":
        most = ceiling(report.inputs)
        amount = money(most.amount, most.currency, lang)
        key = "brief.ceiling_deleted" if most.deleted else "brief.ceiling"
        costs = {found.name: found.total for found in report.alternatives if found.name != "nothing"}
        told = [t(key, amount=amount, months=most.months)]
        if min(costs, key=lambda name: costs[name]) == "full":
            told.append(t("brief.stay"))
        notes.append(sentences(told, lang))
    return notes


def _quality(report: RoiReport, lang: str) -> str:
    """Return the loss of retrieval quality beside the limits that the decision sets on it."""
    limits, t = report.inputs.thresholds, translator(lang)
    loss = max(-report.axes.map_against_full, 0.0)
    shown = {"loss": loss, "go": limits.go_map_loss, "stop": limits.stop_map_loss}
    said = {name: t("format.points", value=number(100 * value, 1)) for name, value in shown.items()}
    verdict = "stop" if loss > limits.stop_map_loss else "pilot" if loss > limits.go_map_loss else "go"
    return t(f"brief.quality_{verdict}", **said)


def _makeup(report: RoiReport, lang: str) -> str:
    """Say what the NPV is made of: effort and failed searches one by one, all that machines cost in one figure."""
    t, inputs, months = translator(lang), report.inputs, len(report.schedule) - 1
    ours, theirs = (report.alternative(name) for name in ("condensed", "full"))

    def more(part: str) -> float:
        """Return how much more of one component the condensed set costs over the horizon."""
        once, monthly = (getattr(ours, kind).get(part, 0.0) - getattr(theirs, kind).get(part, 0.0) for kind in _PAID)
        return once + months * monthly

    costs = {part: more(part) for part in _EFFORT}
    costs["machine"] = ours.total - theirs.total - sum(costs.values())
    shown = roi_text.amounts(costs.values(), inputs.currency, lang)
    signed = {part: f"{'+' if cost < 0 else ''}{shown(-cost)}" for part, cost in costs.items() if cost}
    parts = [t(f"brief.part_{part}", amount=amount) for part, amount in signed.items()]
    assumed = all(inputs.estimate(name).source == "assumption" for name in _EFFORT_INPUTS)
    return t("brief.makeup_assumed" if assumed else "brief.makeup", months=months, parts=listed(parts, lang))


def _labour(inputs: RoiInputs, lang: str) -> dict[str, str]:
    """Return how often one condenses again in a year, and the cost of a person-day each time, which no sum holds."""
    return {"times": plain(inputs.recondensations_per_year.base), "amount": labour_again(inputs, lang)}


def _checklist_text(run: Run, report: RoiReport, lang: str) -> str:
    t = translator(lang)
    if diagnosed(run) is None:
        return t("checklist.text_unmeasured")
    limit = number(100 * report.inputs.thresholds.go_map_loss, 1)
    return t("checklist.text", limit=t("format.points", value=limit))


def _range_note(report: RoiReport, lang: str) -> str:
    found = report.outcomes
    t, horizon = translator(lang), report.inputs.horizon_months
    middle = roi_text.npv_money(report, lang)(found.p50)
    told = t("brief.range_note", draws=number(found.draws), seed=found.seed, p50=middle)
    if horizon.low == horizon.high:
        return told
    ends = {"low": plain(horizon.low), "high": plain(horizon.high)}
    return told + t("brief.range_horizon", months=plain(horizon.base), **ends)


def _rule(report: RoiReport, lang: str) -> str:
    limits, currency = report.inputs.thresholds, report.inputs.currency
    go, stop = (number(100 * loss, 1) for loss in (limits.go_map_loss, limits.stop_map_loss))
    t = translator(lang)
    return t(
        "brief.rule",
        go_npv=exact(limits.go_npv, currency, lang),
        stop_npv=exact(limits.stop_npv, currency, lang),
        months=limits.go_payback_months,
        go_loss=t("format.points", value=go),
        stop_loss=t("format.points", value=stop),
    )


def _scale(inputs: RoiInputs, lang: str) -> str:
    t, scale = translator(lang), inputs.workload_scale.base
    return t("brief.scale_one") if scale == 1 else t("brief.scale_other", scale=plain(scale))
