"""The charts of an ROI report, as matplotlib figures: the static twins of the panel."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from textwrap import wrap
from typing import Any

import matplotlib
import numpy as np
from cycler import cycler
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from pocket.presentation.i18n import currency_name, listed, money, number, translator
from pocket.presentation.roi_text import count, input_range
from pocket.roi import RoiReport

BLUE, ORANGE, INK, GREY = "#1f4e79", "#b45309", "#1f2933", "#7b8794"


@cache
def japanese_font() -> str:
    """Return the path of the packaged Japanese font.

    Importing ``matplotlib_fontja`` changes the font of every figure of the process, so only its file is used.
    """
    spec = importlib.util.find_spec("matplotlib_fontja")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("the package matplotlib-fontja is missing; install it with: pip install .")
    return str(Path(spec.origin).parent / "fonts" / "ipaexg.ttf")


@cache
def font_family(lang: str) -> str:
    """Return the name of the font family for a language, known to matplotlib."""
    translator(lang)
    if lang == "en":
        return "DejaVu Sans"
    font_manager.fontManager.addfont(japanese_font())
    return font_manager.FontProperties(fname=japanese_font()).get_name()


@contextmanager
def figure_style(lang: str) -> Iterator[str]:
    """Style of our charts while one is built; gives the font family. Nothing stays changed afterwards."""
    family = font_family(lang)
    settings: Any = {
        "font.family": [family, font_family("ja")],  # names of files may be Japanese in English charts
        "font.size": 9,
        "text.parse_math": False,  # names of files and classes may hold a dollar sign
        "axes.titlesize": 10,
        "axes.titlelocation": "left",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.edgecolor": GREY,
        "text.color": INK,
        "axes.labelcolor": INK,
        "xtick.color": INK,
        "ytick.color": INK,
        "axes.prop_cycle": cycler(color=[BLUE, ORANGE]),
    }
    with matplotlib.rc_context(settings):
        yield family


def figure_break_even(report: RoiReport, lang: str) -> Figure:
    """Cumulative cost of machine time by number of trainings, for all data and the condensed set.

    The lines cross at the break-even, or the title line says that they never do.
    """
    t, inputs = translator(lang), report.inputs
    v = {name: inputs.estimate(name).base for name in ("seconds_full", "seconds_condensed", "seconds_condense")}
    once = v["seconds_condense"] + (inputs.seconds_teacher.base if inputs.count_teacher else 0.0)
    again = once * inputs.recondensations_per_year.base / 12 / (report.trainings_per_month or math.inf)
    hour = inputs.compute_price.base + inputs.power_watts.base / 1000 * inputs.kwh_price.base
    price = hour * inputs.workload_scale.base / 3600
    crossing = report.break_even.trainings
    end = max(2.5 * crossing, 4.0) if crossing is not None else 10.0
    trainings = np.array([0.0, end])
    with figure_style(lang) as family:
        figure, axes = _canvas(t("figure.break_even_title"))
        full, condensed = (
            trainings * v["seconds_full"] * price,
            (once + trainings * (v["seconds_condensed"] + again)) * price,
        )
        axes.plot(trainings, full, "-", label=t("alternative.full"), linewidth=2)
        axes.plot(trainings, condensed, "--", label=t("alternative.condensed"), linewidth=2)
        if crossing is None:
            axes.text(0.97, 0.06, t("figure.break_even_never"), transform=axes.transAxes, ha="right")
        else:
            cost = crossing * v["seconds_full"] * price
            axes.plot([crossing], [cost], "o", color=INK, markersize=6)
            axes.annotate(
                t("figure.break_even_at", count=count(crossing)),
                (crossing, cost),
                (10, -14),
                textcoords="offset points",
            )
        axes.set_xlabel(t("figure.trainings"))
        axes.set_xlim(0, end)
        axes.set_ylim(0, None)
        unit = _money_axis(axes, float(max(full[-1], condensed[-1])), inputs.currency, lang, "y")
        axes.set_ylabel(t("figure.cost", unit=unit))
        axes.legend(frameon=False, loc="upper left")
        axes.tick_params(labelfontfamily=family)
    return figure


def alt_break_even(report: RoiReport, lang: str) -> str:
    """Alternative text of `figure_break_even`."""
    t, crossing = translator(lang), report.break_even.trainings
    never = t("figure.break_even_never")
    result = never if crossing is None else t("figure.break_even_at", count=count(crossing))
    return t("figure.break_even_alt", result=result)


def figure_cash_flow(report: RoiReport, lang: str) -> Figure:
    """Cumulative saving against all data by month, simple and discounted, with the payback."""
    t, periods = translator(lang), report.schedule
    months = [period.month for period in periods]
    simple = [period.cumulative for period in periods]
    present = [period.cumulative_discounted for period in periods]
    with figure_style(lang) as family:
        figure, axes = _canvas(t("figure.cash_flow_title"))
        axes.axhline(0, color=GREY, linewidth=0.8)
        axes.plot(months, simple, "-", label=t("figure.simple"), linewidth=2)
        axes.plot(months, present, "--", label=t("figure.discounted"), linewidth=2)
        if report.payback is not None:
            at = simple[report.payback]
            axes.plot([report.payback], [at], "o", color=INK, markersize=6)
            text = t("figure.payback_at", month=report.payback)
            late = report.payback > months[-1] / 2  # beside a late one there is no room on the right
            offset, side = ((-8, 6), "right") if late else ((8, -14), "left")
            axes.annotate(text, (report.payback, at), offset, textcoords="offset points", ha=side)
        axes.set_xlabel(t("figure.month"))
        axes.set_xlim(0, months[-1])
        largest = max(abs(value) for value in simple + present)
        unit = _money_axis(axes, largest, report.inputs.currency, lang, "y")
        axes.set_ylabel(unit)
        _legend_below(axes)
        axes.tick_params(labelfontfamily=family)
    return figure


def alt_cash_flow(report: RoiReport, lang: str) -> str:
    """Alternative text of `figure_cash_flow`."""
    t, month = translator(lang), report.payback
    result = t("figure.payback_none") if month is None else t("figure.payback_at", month=month)
    start, end = (money(report.schedule[at].cumulative, report.inputs.currency, lang) for at in (0, -1))
    return t("figure.cash_flow_alt", start=start, end=end, result=result)


def figure_fan(report: RoiReport, lang: str) -> Figure:
    """Cumulative discounted saving by month over the Monte Carlo draws: P10 to P90, and the median."""
    t, found = translator(lang), report.outcomes
    months = [point.month for point in found.fan]
    low, middle, high = ([getattr(point, name) for point in found.fan] for name in ("p10", "p50", "p90"))
    with figure_style(lang) as family:
        figure, axes = _canvas(t("figure.fan_title"))
        axes.axhline(0, color=GREY, linewidth=0.8)
        band = t("figure.fan_band", draws=number(found.draws))
        axes.fill_between(months, low, high, color=BLUE, alpha=0.18, linewidth=0, label=band)
        for edge in (low, high):
            axes.plot(months, edge, ":", color=BLUE, linewidth=1)
        axes.plot(months, middle, "-", color=BLUE, linewidth=2, label=t("figure.fan_middle"))
        axes.set_xlabel(t("figure.month"))
        axes.set_xlim(0, max(months[-1], 1))
        unit = _money_axis(axes, max(abs(value) for value in low + high), report.inputs.currency, lang, "y")
        axes.set_ylabel(unit)
        _legend_below(axes)
        axes.tick_params(labelfontfamily=family)
    return figure


def alt_fan(report: RoiReport, lang: str) -> str:
    """Alternative text of `figure_fan`."""
    last = report.outcomes.fan[-1]
    low, middle, high = (money(value, report.inputs.currency, lang) for value in (last.p10, last.p50, last.p90))
    return translator(lang)("figure.fan_alt", month=last.month, low=low, middle=middle, high=high)


def figure_tornado(report: RoiReport, lang: str, rows: int = 8) -> Figure:
    """Range of the NPV per input, widest first; the ``rows`` widest.

    Raises
    ------
    ValueError
        If ``rows`` is below 1.
    """
    if rows < 1:
        raise ValueError(f"rows = {rows!r} is outside the allowed range: 1 or more")
    t, inputs, shown = translator(lang), report.inputs, report.tornado[:rows]
    with figure_style(lang) as family:
        figure, axes = _canvas(t("figure.tornado_title"), height=0.9 + 0.42 * max(len(shown), 3))
        if not shown:
            axes.text(0.5, 0.5, t("figure.tornado_empty"), transform=axes.transAxes, ha="center")
            axes.set_axis_off()
            return figure
        places = np.arange(len(shown))
        for end, color, hatch in (("low", BLUE, ""), ("high", ORANGE, "////")):
            widths = [getattr(row, f"npv_{end}") - report.npv for row in shown]
            axes.barh(
                places, widths, left=report.npv, height=0.55, color=color if not hatch else "white",
                edgecolor=color, hatch=hatch, label=t(f"figure.at_{end}"),
            )  # fmt: skip
        axes.axvline(report.npv, color=INK, linewidth=1)
        widest = 20 if lang == "ja" else 31  # letters of a line
        labels = [
            "\n".join(
                (
                    *wrap(t(f"input.{row.input}"), widest, break_on_hyphens=False),
                    input_range(row.input, row.low, row.high, inputs, lang),
                )
            )
            for row in shown
        ]
        axes.set_yticks(places, labels, fontsize=7.5)
        axes.invert_yaxis()
        axes.spines["left"].set_visible(False)
        axes.tick_params(axis="y", length=0)
        largest = max(max(abs(row.npv_low), abs(row.npv_high)) for row in shown)
        axes.margins(x=0.06)
        unit = _money_axis(axes, largest, inputs.currency, lang, "x")
        axes.set_xlabel(t("figure.tornado_axis", unit=unit))
        _legend_below(axes)
        axes.tick_params(labelfontfamily=family)
    return figure


def alt_tornado(report: RoiReport, lang: str) -> str:
    """Alternative text of `figure_tornado`."""
    t = translator(lang)
    if not report.tornado:
        return t("figure.tornado_empty")
    names = listed((t(f"input.{row.input}") for row in report.tornado[:3]), lang)
    return t("figure.tornado_alt", inputs=names)


def _canvas(title: str, height: float = 2.5) -> tuple[Figure, Axes]:
    # Narrow on purpose: shown at the width of a phone, or of half a sheet, nine points are still readable.
    figure = Figure(figsize=(4.4, height), layout="constrained")
    figure.suptitle(title, x=0.02, ha="left", fontsize=10.5, fontweight="normal")
    return figure, figure.add_subplot()


def _legend_below(axes: Axes) -> None:
    """Put the legend under the chart, where it hides nothing whatever the figures are."""
    figure, known = axes.get_figure(root=True), axes.get_legend_handles_labels()
    assert figure is not None
    figure.legend(*known, frameon=False, loc="outside lower center", ncols=2)


def _money_axis(axes: Axes, largest: float, currency: str, lang: str, which: str) -> str:
    """Label an axis, all of it drawn by now, in the unit that fits ``largest``; return the unit's name."""
    steps = ((1e6, "百万"), (1e4, "万")) if lang == "ja" else ((1e9, " billion"), (1e6, " million"), (1e3, " thousand"))
    divisor, word = next(((size, name) for size, name in steps if largest >= size), (1.0, ""))
    yen = currency_name(currency, lang)
    unit = f"{word}{yen}" if lang == "ja" else f"{yen}{word}"
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_locator(MaxNLocator(4 if which == "x" else 6))
    ticks = axis.get_majorticklocs() / divisor
    digits = next((d for d in range(3) if np.allclose(ticks, ticks.round(d), rtol=0, atol=1e-9)), 3)
    axis.set_major_formatter(FuncFormatter(lambda value, _: number(value / divisor, digits)))
    return unit
