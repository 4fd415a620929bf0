"""The executive brief: one self-contained HTML page per language, made from a run's records."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from IPython.display import HTML
from jinja2 import Environment, PackageLoader, StrictUndefined

from pocket.presentation import roi_figures, roi_text
from pocket.presentation.html import escape, png_uri
from pocket.presentation.i18n import data_size, duration, money, number, plain, points, translator
from pocket.roi import SPECS, RoiInputs, RoiReport, alternatives, compute
from pocket.runs import Run, write_text
from pocket.runs.audit import digest_of
from pocket.runs.records import Cell, TrainingRecord, summarise

RISKS = {"quality": "ml", "drift": "ops", "cost": "finance", "privacy": "privacy", "lock": "it"}
NOT_SHOWN = ("scale", "online", "device", "shift", "independent")


class EvidenceRow(NamedTuple):
    """One alternative as measured, in words."""

    name: str
    images: str
    size: str
    map: str
    train: str
    prepare: str
    condense: str
    seeds: str


def write_brief(run: Run, lang: str, report: RoiReport | None = None) -> Path:
    """Write ``brief.en.html`` or ``brief.ja.html`` into the run's folder.

    Parameters
    ----------
    run : Run
        A run with ``training.json`` and ``condensation.json``.
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
    write_text(path, page.render(t=t, **_content(run, report or _report_of(run), lang)))
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
    source = escape(page.read_text(encoding="utf-8"))
    return HTML(
        f'<iframe srcdoc="{source}" sandbox title="{escape(page.name)}" '
        f'style="width:100%;height:{height}px;border:1px solid #cbd2d9"></iframe>'
    )


def _report_of(run: Run) -> RoiReport:
    saved = run.path("roi.json")
    if saved.is_file():
        return compute(RoiReport.load(saved).inputs.remeasured(run))
    return compute(RoiInputs.from_run(run))


def _content(run: Run, report: RoiReport, lang: str) -> dict[str, Any]:
    full, condensed, random = alternatives(run.folder, report.inputs.ipc or None)
    t, inputs, key = translator(lang), report.inputs, report.decision.reason
    charts = [
        (png_uri(draw(report, lang)), alt(report, lang))
        for draw, alt in (
            (roi_figures.figure_break_even, roi_figures.alt_break_even),
            (roi_figures.figure_cash_flow, roi_figures.alt_cash_flow),
            (roi_figures.figure_tornado, roi_figures.alt_tornado),
        )
    ]
    return {
        "lang": lang,
        "run": run,
        "report": report,
        "verdict": report.decision.verdict,
        "decision": roi_text.decision(report, lang),
        "advice": t(f"brief.next_{key if key == 'random_better' else report.decision.verdict}"),
        "flip": roi_text.flip(report, lang),
        "axes": roi_text.axes(report, lang),
        "figures": roi_text.key_figures(report, lang),
        "energy": roi_text.energy(report, lang),
        "rule": _rule(report, lang),
        "scale": _scale(inputs, lang),
        "charts": charts,
        "evidence": [
            _evidence(name, cells, lang)
            for name, cells in (("full", full), ("condensed", condensed), ("random", random))
        ],
        "difference": _difference(condensed, random, lang),
        "teacher": t(
            f"brief.teacher_{'counted' if inputs.count_teacher else 'not_counted'}",
            seconds=duration(inputs.seconds_teacher.base, lang),
        ),
        "provenance": _provenance(run, condensed[0], lang),
        "costs": _costs(report, lang),
        "assumptions": [_assumption(name, inputs, lang) for name in SPECS],
        "risks": [
            (t(f"brief.risk_{key}"), t(f"brief.risk_{key}_response"), t(f"brief.owner_{owner}"))
            for key, owner in RISKS.items()
        ],
        "not_shown": [t(f"brief.not_shown_{key}") for key in NOT_SHOWN],
    }


def _rule(report: RoiReport, lang: str) -> str:
    limits, currency = report.inputs.thresholds, report.inputs.currency
    go, stop = (number(100 * loss, 1) for loss in (limits.go_map_loss, limits.stop_map_loss))
    t = translator(lang)
    return t(
        "brief.rule",
        go_npv=money(limits.go_npv, currency, lang),
        stop_npv=money(limits.stop_npv, currency, lang),
        months=limits.go_payback_months,
        go_loss=t("format.points", value=go),
        stop_loss=t("format.points", value=stop),
    )


def _scale(inputs: RoiInputs, lang: str) -> str:
    t, scale = translator(lang), inputs.workload_scale.base
    return t("brief.scale_one") if scale == 1 else t("brief.scale_other", scale=plain(scale))


def _evidence(name: str, cells: list[Cell], lang: str) -> EvidenceRow:
    t = translator(lang)

    def seconds(values: Iterable[float]) -> str:
        mean, half_width, count = summarise(values)
        if not mean:
            return t("brief.none")
        return duration(mean, lang) + (f" ± {number(half_width, 1)}" if count > 1 and mean < 60 else "")

    mean, half_width, count = summarise(cell.map for cell in cells)
    spread = f" ± {number(half_width, 3)}" if count > 1 else f" ({t('brief.one_seed')})"
    return EvidenceRow(
        name=t(f"alternative.{name}"),
        images=number(cells[0].images),
        size=data_size(cells[0].image_bytes, lang),
        map=number(mean, 3) + spread,
        train=seconds(cell.train_seconds for cell in cells),
        prepare=seconds(cell.teacher_seconds + cell.pool_seconds for cell in cells),
        condense=seconds(cell.condense_seconds for cell in cells),
        seeds=str(count),
    )


def _difference(condensed: list[Cell], random: list[Cell], lang: str) -> str:
    """Return the paired difference: the same seed shares initialisation and codebook."""
    t = translator(lang)
    ours, theirs = ({cell.seed: cell.map for cell in cells} for cells in (condensed, random))
    if ours.keys() != theirs.keys():
        return t("brief.difference_unpaired")
    mean, half_width, count = summarise(ours[seed] - theirs[seed] for seed in ours)
    spread = f" ± {number(100 * half_width, 1)}" if count > 1 else f" ({t('brief.one_seed')})"
    text = t("brief.difference", value=points(mean, lang) + spread)
    unclear = count > 1 and abs(mean) <= half_width
    return f"{text} {t('brief.difference_zero')}" if unclear else text


def _provenance(run: Run, cell: Cell, lang: str) -> list[tuple[str, str]]:
    t = translator(lang)
    made = TrainingRecord.load(run.path("training.json")).provenance
    return [
        (t("brief.dataset"), cell.dataset),
        (t("brief.protocol"), cell.protocol),
        (t("brief.hashing"), f"{cell.hashing}, {t('brief.bits', bits=cell.bits)}"),
        (t("brief.ipc"), str(cell.ipc)),
        (t("brief.device"), cell.device),
        (t("brief.commit"), made.commit or t("brief.unknown")),
        (t("brief.made"), made.created[:10]),
    ]


def _costs(report: RoiReport, lang: str) -> dict[str, Any]:
    """Return the table of costs: one row per component, one column per alternative."""
    t, currency = translator(lang), report.inputs.currency
    months = round(report.inputs.horizon_months.base)
    columns = report.alternatives

    def row(label: str, values: list[float]) -> list[str]:
        return [label, *(money(value, currency, lang) for value in values)]

    once = list(dict.fromkeys(key for a in columns for key in a.once))
    monthly = list(dict.fromkeys(key for a in columns for key in a.monthly))
    return {
        "head": [t(f"alternative.{a.name}") for a in columns],
        "once": [row(t(f"cost.{key}"), [a.once.get(key, 0.0) for a in columns]) for key in once],
        "monthly": [row(t(f"cost.{key}"), [a.monthly.get(key, 0.0) for a in columns]) for key in monthly],
        "total": [
            row(t("cost.total"), [a.total for a in columns]),
            row(t("roi.npv"), [a.npv for a in columns]),
        ],
        "text": t("brief.compare_text", months=months),
    }


def _assumption(name: str, inputs: RoiInputs, lang: str) -> tuple[str, str, str, str]:
    t, e = translator(lang), inputs.estimate(name)
    base = roi_text.input_value(name, e.base, inputs, lang)
    spread = "–" if e.low == e.high else roi_text.input_range(name, e.low, e.high, inputs, lang)
    source = t(f"tag.{e.source}")
    if e.source == "price":
        source += f": {e.note}"
    return t(f"input.{name}"), base, spread, source
