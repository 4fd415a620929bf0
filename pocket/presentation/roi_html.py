"""An ROI report as HTML tables: what the panel shows, and its static twin on paper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files

from pocket.presentation import roi_failed, roi_text
from pocket.presentation.html import escape, table
from pocket.presentation.i18n import colon, currency_name, money, plain, translator, with_unit
from pocket.presentation.roi_caution import MeasuredSaving
from pocket.presentation.roi_form import LIMITS, shown
from pocket.roi import RoiInputs, RoiReport, compute, differences
from pocket.runs import Run


def headline(report: RoiReport, lang: str) -> str:
    """Return the outcome in one plain sentence, for those who listen to the page."""
    return translator(lang)(
        "panel.outcome_short",
        decision=roi_text.decision(report, lang).value,
        npv=money(report.npv, report.inputs.currency, lang),
        break_even=roi_text.break_even(report, lang),
    )


def top_html(report: RoiReport, lang: str, caution: str = "") -> str:
    """Return the decision and the three axes, and below them a caution where there is one."""
    t = translator(lang)
    decision, flip = roi_text.decision(report, lang), roi_text.flip(report, lang)
    lines = [decision.detail, f"{flip.label}{colon(lang)}{flip.value}", roi_text.better(report, lang)]
    lines.insert(2, roi_failed.flip(report, lang))
    told = "".join(f"<p>{escape(line)}</p>" for line in lines if line)
    time, *quality, effort = roi_text.axes(report, lang)
    axes = "".join(_axis(lines) for lines in ([time], quality, [effort]))
    return (
        f"<div class='decision {report.decision.verdict}'><h3>{escape(decision.label)}</h3>"
        f"<p class='verdict'>{escape(decision.value)}</p>{told}</div>"
        f"<h3>{escape(t('axis.title'))}</h3><ol class='axes'>{axes}</ol>"
        + (f"<p class='caution'>{escape(caution)}</p>" if caution else "")
    )


def _axis(lines: Sequence[roi_text.Line]) -> str:
    """Return one axis: its name once, and each of its figures."""
    figures = "".join(
        f"<div><p class='number'>{escape(line.value)}</p><p class='detail'>{escape(line.detail)}</p></div>"
        for line in lines
    )
    return f"<li><h4>{escape(lines[0].label)}</h4><div class='figures'>{figures}</div></li>"


def outcome_html(report: RoiReport, lang: str) -> str:
    """Return key figures, alternatives and fiscal years as escaped tables."""
    t = translator(lang)
    lines = [*roi_text.key_figures(report, lang), *roi_text.energy(report, lang)]
    tax = t(f"roi.{report.inputs.tax}")
    parts = [
        table((t("roi.measure"), t("roi.value"), t("roi.meaning")), lines, t("panel.outcome")),
        _stacked(*roi_text.alternatives(report, lang), t("roi.alternatives")),
    ]
    if report.years:
        parts.append(_stacked(*roi_text.years(report, lang), t("roi.years", tax=tax), total=True))
    return "".join(parts)


def static_html(report: RoiReport, lang: str, run: Run | None = None) -> str:
    """Return all of it with its style: the panel's twin for paper and for pages without live widgets.

    With the ``run`` that was measured, it says where the seconds saved are noise.
    """
    style = files("pocket.presentation").joinpath("static", "roi_panel.css").read_text(encoding="utf-8")
    caution = MeasuredSaving.of(run, report.inputs.ipc).caution(report.inputs, lang) if run else ""
    inner = top_html(report, lang, caution) + outcome_html(report, lang)
    return f'<style>{style}</style><div class="pocket-roi" lang="{escape(lang)}">{inner}</div>'


def compare_html(scenarios: Mapping[str, RoiInputs], lang: str) -> str:
    """Return scenarios side by side: their outcome, and every input in which they differ."""
    t = translator(lang)
    reports = {name: compute(inputs) for name, inputs in scenarios.items()}
    lines = {name: [roi_text.decision(r, lang), *roi_text.key_figures(r, lang)] for name, r in reports.items()}
    labels = [line.label for line in next(iter(lines.values()), [])]
    rows = [[label, *(column[i].value for column in lines.values())] for i, label in enumerate(labels)]
    for name, bases in differences(scenarios).items():
        values = zip(bases, scenarios.values(), strict=True)
        rows.append([t(f"input.{name}"), *(roi_text.input_value(name, base, own, lang) for base, own in values)])
    for name in ("count_teacher", "keep_full_data"):
        chosen = [getattr(inputs, name) for inputs in scenarios.values()]
        if len(set(chosen)) > 1:
            rows.append([t(f"workbook.{name}"), *(t(f"panel.{'yes' if on else 'no'}") for on in chosen)])
    limits = [inputs.thresholds.model_dump() for inputs in scenarios.values()]
    for name in LIMITS:
        if len({limit[name] for limit in limits}) > 1:
            unit, times = shown(name)
            currencies = [currency_name(inputs.currency, lang) for inputs in scenarios.values()]
            written = [
                with_unit(plain(limit[name] * times), t(f"unit.{unit}", currency=currency))
                for limit, currency in zip(limits, currencies, strict=True)
            ]
            rows.append([t(f"input.{name}"), *written])
    return _stacked([t("roi.measure"), *scenarios], rows, t("panel.compare"))


def _stacked(heads: Sequence[str], rows: Sequence[Sequence[str]], caption: str, *, total: bool = False) -> str:
    """Return a table whose rows become blocks on a phone: each cell carries the name of its column.

    ``total`` marks the last row as the sum of the others.
    """
    top = "".join(f'<th scope="col">{escape(head)}</th>' for head in heads)
    body = "".join(
        f'<tr{" class=total" if total and row is rows[-1] else ""}><th scope="row">{escape(row[0])}</th>'
        + "".join(f'<td data-label="{escape(h)}">{escape(c)}</td>' for h, c in zip(heads[1:], row[1:], strict=True))
        + "</tr>"
        for row in rows
    )
    return (
        f'<table class="stack"><caption>{escape(caption)}</caption>'
        f"<thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"
    )
