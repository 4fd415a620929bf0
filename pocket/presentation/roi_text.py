"""The numbers of an ROI report in words: one place, so that panel, brief and charts say the same."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from math import fsum
from typing import NamedTuple

from pocket.presentation.i18n import (
    about,
    currency_name,
    data_size,
    date,
    duration,
    exact,
    listed,
    millions,
    money,
    number,
    percent,
    plain,
    points,
    price,
    seeds_of,
    texts,
    translator,
    with_unit,
)
from pocket.roi import FAILED, SPECS, RoiInputs, RoiReport, ceiling
from pocket.roi.fields import HYBRID_SHARE, HYBRID_UNMEASURED
from pocket.roi.report import AlternativeName

SYMBOLS = {"go": "●", "pilot": "▲", "stop": "■"}
_LAST_FIGURE = re.compile(r"(.*?)([−\d][\d,.]*)(\D*)")


class Line(NamedTuple):
    """A label, its value and what the value means."""

    label: str
    value: str
    detail: str = ""


def input_value(name: str, value: float, inputs: RoiInputs, lang: str) -> str:
    """Return the value of one input with its unit."""
    t = translator(lang)
    if name == FAILED:
        return t("format.points", value=number(100 * value, 2, signed=True))
    unit = SPECS[name].unit
    if unit == "seconds":
        return duration(value, lang)
    if unit == "map":
        return number(value, 3)
    if unit == "number":
        return plain(value)
    if unit == "times":
        return t("format.times", value=plain(value))
    if unit == "bytes":
        return data_size(value, lang)
    if unit in ("yearly_rate", "share"):
        return percent(value, lang)
    if unit == "map_per_month":
        return with_unit(plain(100 * value), t("unit.points_per_month"))
    if unit == "share_per_point":
        return t("format.per_point", value=number(100 * value, 2))
    if unit == "currency":
        if abs(value) < 1000:  # as it was entered: 10, not 10.00
            return price(value, inputs.currency, lang)
        return money(value, inputs.currency, lang)
    return with_unit(plain(value), t(f"unit.{unit}", currency=currency_name(inputs.currency, lang)))


def input_range(name: str, low: float, high: float, inputs: RoiInputs, lang: str) -> str:
    """Return a range of one input, what its ends have in common written once."""
    first, last = (input_value(name, value, inputs, lang) for value in (low, high))
    ends = [_LAST_FIGURE.fullmatch(end) for end in (first, last)]
    if ends[0] and ends[1] and ends[0][1] == ends[1][1] and ends[0][3] == ends[1][3]:
        before, figure, after = ends[0].groups()
        seconds = name != FAILED and SPECS[name].unit == "seconds"
        if not before or not seconds:  # "3 min 0 – 30 s" would read as 3 minutes to 30 seconds
            first, last = before + figure, ends[1][2] + after
    return translator(lang)("format.range", low=first, high=last)


def note(name: str, inputs: RoiInputs, lang: str) -> str:
    """Return what is noted of the source of one input: ours in the reader's language, the user's as it was written."""
    noted, on = inputs.estimate(name).note, inputs.measured_on
    key = f"source_note.{noted}"
    words = {"device": on.device, "seeds": seeds_of(on.seeds, lang), "protocol": on.protocol} if on else {}
    return translator(lang)(key, **words) if key in texts(lang) else noted


def amounts(values: Iterable[float], currency: str, lang: str) -> Callable[[float], str]:
    """Return how a table that holds these amounts writes each of them: all in one unit, so that they can be compared.

    In full, since what lies close has to be told apart; in millions where the largest is of hundreds of them.
    """
    largest = max(map(abs, values), default=0.0)
    if largest < 1e8:
        return lambda value: exact(value, currency, lang)
    return lambda value: millions(value, currency, lang)


def npv_money(report: RoiReport, lang: str) -> Callable[[float], str]:
    """Return how the NPV and its range are written: in one unit, in full where that would hide the sign of one."""
    found, currency = report.outcomes, report.inputs.currency
    values = (report.npv, found.p10, found.p50, found.p90)
    largest = max(map(abs, values))

    def shown(value: float) -> str:
        return money(value, currency, lang, like=largest)

    hidden = any(round(value) and shown(value) == shown(0.0) for value in values)
    return (lambda value: exact(value, currency, lang)) if hidden else shown


def count(value: float) -> str:
    """Return a number of trainings: one decimal below 100, none above."""
    return number(value, 1 if value < 100 else 0)


def rough(value: float, lang: str) -> str:
    """Return a number of trainings that follows from assumptions: of many, only two figures."""
    return count(value) if value < 10_000 else about(value, lang)


def still_stop(report: RoiReport, lang: str) -> str:
    """Say why the decision to stop stays at the trainings that make the NPV zero; an empty text where it does not."""
    t, reason = translator(lang), report.trainings_needed_reason
    if report.decision.verdict != "stop" or report.trainings_needed_verdict != "stop":
        return ""
    return t(f"roi.still_{reason}", verdict=t("verdict.stop"))


def axes(report: RoiReport, lang: str, steps: int | None = None) -> list[Line]:
    """Return the three axes, quality once against all data and once against the random subset.

    ``steps`` are those of either training, where both take the same.
    """
    t, inputs, found = translator(lang), report.inputs, report.axes
    scale = inputs.workload_scale.base
    full, condensed = (
        duration(value * scale, lang) for value in (inputs.seconds_full.base, inputs.seconds_condensed.base)
    )
    effort = input_value("migration_days", found.migration_days, inputs, lang)
    cost = money(found.migration_cost, inputs.currency, lang)
    saved = percent(found.training_time_reduction, lang, 0)
    time = Line(t("axis.time"), saved, t("axis.time_detail", full=full, condensed=condensed))
    if equally_long(report):
        same = t("axis.time_equal", full=full) if steps is None else t("axis.time_equal_steps", steps=number(steps))
        time = Line(t("axis.time"), t("axis.time_none"), same)
    return [
        time,
        Line(t("axis.quality"), points(found.map_against_full, lang), t("axis.against_full")),
        Line(t("axis.quality"), points(found.map_against_random, lang), t("axis.against_random")),
        Line(t("axis.effort"), effort, t("axis.effort_detail", cost=cost)),
    ]


def equally_long(report: RoiReport) -> bool:
    """Return whether a training takes as long on all data as on the condensed set: then no number of them pays."""
    return report.inputs.seconds_full.base == report.inputs.seconds_condensed.base


def ceiling_line(report: RoiReport, lang: str) -> Line:
    """Return the most that could be saved, which is what all training on all data costs."""
    t, found = translator(lang), ceiling(report.inputs)
    price = money(found.hour, found.currency, lang)
    key = "roi.ceiling_help_deleted" if found.deleted else "roi.ceiling_help"
    help_ = t(key, months=found.months, trainings=plain(found.trainings), price=price)
    return Line(t("roi.ceiling"), money(found.amount, found.currency, lang), help_)


def key_figures(report: RoiReport, lang: str) -> list[Line]:
    """Return break-even, NPV, paybacks, IRR, range and the trainings that would be needed."""
    t, inputs, found = translator(lang), report.inputs, report.outcomes
    setting = t(
        "roi.npv_help",
        months=len(report.schedule) - 1,
        rate=percent(inputs.discount_rate.base, lang),
        tax=t(f"roi.{inputs.tax}"),
    )
    shown = npv_money(report, lang)
    low, middle, high = map(shown, (found.p10, found.p50, found.p90))
    spread = t("roi.range_value", low=low, high=high)
    needed = report.trainings_needed
    help_ = t("roi.equally_long") if equally_long(report) else _break_even_help(report, lang)
    return [
        Line(t("roi.break_even"), break_even(report, lang), help_),
        Line(t("roi.npv"), shown(report.npv), setting),
        Line(t("roi.payback"), _payback(report.payback, lang)),
        Line(t("roi.payback_discounted"), _payback(report.payback_discounted, lang)),
        Line(t("roi.irr"), _irr(report, lang)),
        Line(t("roi.range"), spread, t("roi.range_help", middle=middle, share=percent(found.p_negative, lang, 0))),
        trainings(report, lang),
        Line(
            t("roi.trainings_needed"),
            _never(report, lang) if needed is None else t("roi.trainings_value", total=rough(needed, lang)),
            still_stop(report, lang),
        ),
    ]


def trainings(report: RoiReport, lang: str) -> Line:
    """Return the trainings a month and what they are for."""
    t = translator(lang)
    names = {
        "retrainings": "retrainings_per_month",
        "trials": "search_trials_per_month",
        "comparisons": "comparisons_per_month",
        "lengths": "code_lengths",
        "methods": "hashing_methods",
        "seeds": "seeds",
    }
    parts = {key: plain(report.inputs.estimate(name).base) for key, name in names.items()}
    total = t("roi.trainings_value", total=plain(report.trainings_per_month))
    return Line(t("roi.trainings"), total, t("roi.trainings_help", **parts))


def better(report: RoiReport, lang: str) -> str:
    """Return a sentence that names alternatives worth more in money than the condensed set, or an empty text."""
    t, names = translator(lang), report.decision.better
    return t("roi.better", names=listed((t(f"alternative.{name}") for name in names), lang)) if names else ""


def alternatives(report: RoiReport, lang: str) -> tuple[list[str], list[list[str]]]:
    """Return heads and rows of a table of the alternatives: mAP, cost, NPV and on what they rest."""
    t, inputs = translator(lang), report.inputs
    amount = amounts((v for a in report.alternatives for v in (a.total, a.npv)), inputs.currency, lang)
    heads = [
        t("roi.alternative"),
        "mAP",
        t("roi.total", months=len(report.schedule) - 1),
        t("roi.npv"),
        t("roi.note"),
    ]
    rows = [
        [
            t(f"alternative.{found.name}"),
            number(found.map, 3),
            amount(found.total),
            amount(found.npv),
            _rests_on(found.name, inputs, lang),
        ]
        for found in report.alternatives
    ]
    return heads, rows


def _rests_on(name: AlternativeName, inputs: RoiInputs, lang: str) -> str:
    """Say on what an alternative's figures rest: measured ones, or some that were assumed or changed."""
    t = translator(lang)
    if name in ("full", "nothing"):
        return t(f"roi.note_{name}")
    if name == "hybrid":
        if inputs.map_hybrid.note == HYBRID_UNMEASURED:
            return t("roi.note_hybrid_assumed")
        used = ["seconds_condense", "seconds_condensed", "seconds_finetune", "map_hybrid", "map_full"]
        if all(inputs.estimate(key).source == "measured" for key in used) and inputs.real_share.note == HYBRID_SHARE:
            return t("roi.note_hybrid_measured", share=percent(inputs.real_share.base, lang, 0))
        return t("roi.note_changed")
    used = [f"seconds_{name}", f"map_{name}", "map_full", *(["seconds_condense"] if name == "condensed" else [])]
    measured = all(inputs.estimate(key).source == "measured" for key in used)
    return t("roi.note_measured" if measured else "roi.note_changed")


def years(report: RoiReport, lang: str) -> tuple[list[str], list[list[str]]]:
    """Return heads and rows of a table of the fiscal years, the last row their total, whose last amount is the NPV.

    No rows where the inputs have no start.
    """
    t = translator(lang)
    found = report.years
    if not found:
        return [], []
    names = [t("roi.year_months", year=t("format.fiscal_year", year=y.year), months=y.months) for y in found]
    names.append(t("roi.years_total", months=sum(y.months for y in found)))
    columns: list[tuple[float, ...]] = [(y.full, y.condensed, y.net, y.discounted) for y in found]
    columns.append(tuple(map(fsum, zip(*columns, strict=True))))
    amount = amounts((value for row in columns for value in row), report.inputs.currency, lang)
    heads = [t(f"roi.{key}") for key in ("year", "cost_full", "cost_condensed", "saved", "saved_discounted")]
    return heads, [[name, *map(amount, row)] for name, row in zip(names, columns, strict=True)]


def break_even(report: RoiReport, lang: str) -> str:
    """Return the number of trainings with the month in which it is reached, or "never"."""
    t, found = translator(lang), report.break_even
    if found.trainings is None:
        return _never(report, lang)
    trainings = count(found.trainings)
    if found.date is None:
        return t("roi.break_even_value", count=trainings)
    return t("roi.break_even_when", count=trainings, date=date(found.date, lang))


def _break_even_help(report: RoiReport, lang: str) -> str:
    """Return the range of the break-even, where it was drawn, and what a break-even is."""
    t, ends = translator(lang), report.outcomes.break_even
    if ends is None:
        return t("roi.break_even_help")
    # P90 of never is the highest there is, so that P10 can be never only where P90 is.
    # Whole ones: another seed of the draws moves the ends by more than a decimal.
    known = {name: number(end) for name, end in zip(("low", "high"), ends, strict=True) if end is not None}
    spread = t(f"roi.break_even_{('never', 'open', 'range')[len(known)]}", **known)
    return t("format.between").join((spread, t("roi.break_even_help")))


def decision(report: RoiReport, lang: str) -> Line:
    """Return the verdict with its symbol, and its reason."""
    t, found = translator(lang), report.decision
    verdict = f"{SYMBOLS[found.verdict]} {t(f'verdict.{found.verdict}')}"
    return Line(t("roi.decision"), verdict, t(f"reason.{found.reason}"))


def flip(report: RoiReport, lang: str) -> Line:
    """Return the nearest change of one input that would change the decision."""
    t, found = translator(lang), report.decision.flip
    if found is None:
        return Line(t("roi.flip_open"), t("roi.flip_none"))
    # The first value past the limit is near it: more digits would only pretend.
    base, value = (input_value(found.input, x, report.inputs, lang) for x in (found.base, found.value))
    verdict = t(f"verdict.{found.verdict}")
    return Line(
        t("roi.flip"),
        t("roi.flip_text", input=t(f"input.{found.input}"), base=base, value=value, verdict=verdict),
    )


def energy(report: RoiReport, lang: str) -> list[Line]:
    """Return electricity and CO2 over the horizon, both labelled as estimated."""
    t, e = translator(lang), report.energy
    rows = (("energy", e.kwh_full, e.kwh_condensed), ("co2", e.co2_kg_full, e.co2_kg_condensed))
    return [
        Line(
            t(f"roi.{key}"),
            t(f"roi.{key}_value", full=plain(float(f"{a:.3g}")), condensed=plain(float(f"{b:.3g}"))),
        )
        for key, a, b in rows
    ]


def _never(report: RoiReport, lang: str) -> str:
    return translator(lang)("roi.not_applicable" if equally_long(report) else "roi.never")


def _payback(months: int | None, lang: str) -> str:
    t = translator(lang)
    return t("roi.payback_none") if months is None else t("roi.payback_value", months=months)


def _irr(report: RoiReport, lang: str) -> str:
    t = translator(lang)
    if report.irr is None:
        return t(f"roi.{report.irr_reason}")
    return t("roi.irr_above") if report.irr > 10 else percent(report.irr, lang)
