"""The ROI schedule as an .xlsx workbook with live formulae: change an input there, and the NPV follows.

Every formula is written with what the model computes for it, so that previews, phones and Excel's protected view, which
compute nothing, show the same numbers.
"""

from __future__ import annotations

import io
import math
from collections.abc import Collection, Sequence
from typing import NamedTuple, get_args
from unicodedata import east_asian_width

import numpy as np
from numpy.typing import NDArray
from xlsxwriter import Workbook
from xlsxwriter.format import Format
from xlsxwriter.worksheet import Worksheet

from pocket.presentation import roi_text
from pocket.presentation import workbook_formulae as formulae
from pocket.presentation.i18n import currency_name, date, in_brackets, percent, plain, translator
from pocket.presentation.roi_form import shown
from pocket.roi import SPECS, RoiReport, finance
from pocket.roi.economics import base_values, doing_nothing
from pocket.roi.fields import MOST_MONEY
from pocket.roi.model import month_later
from pocket.roi.report import AlternativeName

_ALTERNATIVES: tuple[AlternativeName, ...] = get_args(AlternativeName)
_COLUMNS = "BCDEF"
_MONTHS = int(SPECS["horizon_months"].maximum)
_FIRST, _LAST = 5, 5 + _MONTHS  # rows of the schedule
_FIGURE, _PERCENT, _MONEY = "#,##0.######", "0.0##%", "#,##0;[Red]-#,##0"
_LINE = 15  # points
_TOP, _WRAPPED, _INPUT = {"valign": "top"}, {"valign": "top", "text_wrap": True}, {"bg_color": "#FFF7E0"}
_HEAD = {"bold": True, "font_color": "#FFFFFF", "bg_color": "#1F4E79", "text_wrap": True, "valign": "vcenter"}
_STYLES: dict[str, dict[str, object]] = {
    "title": {"bold": True, "font_size": 14},
    "help": {"font_color": "#52606D"},
    "sample": {"font_color": "#B42318", "bold": True},
    "head": _HEAD,
    "head_beside": {**_HEAD, "align": "left", "indent": 1},
    "head_figure": {**_HEAD, "align": "right"},
    "text": _WRAPPED,
    "line": {**_TOP},  # runs on into the empty cells beside it
    "beside": {**_WRAPPED, "align": "left", "indent": 1},  # so that a figure on its left does not touch it
    "input": {**_TOP, **_INPUT, "num_format": _FIGURE},
    "input_percent": {**_TOP, **_INPUT, "num_format": _PERCENT},
    "figure": {**_TOP, "num_format": _FIGURE},
    "figure_percent": {**_TOP, "num_format": _PERCENT},
    "money": {**_TOP, "num_format": _MONEY},
    "share": {**_TOP, "num_format": "0.0%"},
    "map": {**_TOP, "num_format": "0.0000"},
    "count": {**_TOP, "num_format": "#,##0.0"},
    "month": {**_TOP, "num_format": "0"},
    "small": {"num_format": "0.00;[Red]-0.00;0"},
    "verdict": {**_TOP, "bold": True, "align": "right"},
    "total": {**_WRAPPED, "num_format": _MONEY, "bold": True},
}


class Formula(NamedTuple):
    """A formula, and what the model computes for it."""

    text: str
    value: float | str


class _Pages(NamedTuple):
    """The workbook while it is written: its sheets and styles, the report and the language."""

    book: Workbook
    inputs: Worksheet
    result: Worksheet
    schedule: Worksheet
    styles: dict[str, Format]
    report: RoiReport
    lang: str

    def put(self, sheet: Worksheet, place: str, content: Formula | float | str, style: str = "text") -> None:
        """Write a cell; text that begins like a formula stays text."""
        shape = self.styles[style]
        if isinstance(content, Formula):
            sheet.write_formula(place, f"={content.text}", shape, content.value)
        elif isinstance(content, str):
            sheet.write_string(place, content, shape)
        else:
            sheet.write_number(place, content, shape)

    def head(self, sheet: Worksheet, words: Sequence[str], widths: Sequence[int], figures: Collection[int]) -> None:
        """Write the heads of the columns, repeated on every printed page; ``figures`` are those over figures."""
        for column, (word, width) in enumerate(zip(words, widths, strict=True)):
            style = "head_figure" if column in figures else "head_beside" if column else "head"
            sheet.write_string(3, column, word, self.styles[style])
            sheet.set_column(column, column, width)
        sheet.set_row(3, 2 * _LINE + 4)  # two lines: not every program fits a row to its text
        sheet.repeat_rows(3)
        sheet.freeze_panes(4, 1)

    def show_small(self, sheet: Worksheet, cells: str) -> None:
        """Show amounts below 100 with two decimals: what is small has to add up over months."""
        rule = {"type": "cell", "criteria": "between", "minimum": -99.995, "maximum": 99.995}
        sheet.conditional_format(cells, {**rule, "format": self.styles["small"]})

    def name(self, name: str, sheet: Worksheet, column: str, row: int) -> None:
        """Give a cell a name that formulae use."""
        self.book.define_name(name, f"={_quoted(sheet)}!${column}${row}")


def workbook_bytes(report: RoiReport, lang: str, *, sample: bool = False) -> bytes:
    """Return the workbook as the bytes of an .xlsx file.

    Three sheets: the inputs, each a named cell to be changed; costs and result, which follow from them; and the cash
    flow month by month. No number but the inputs is typed in: the rest are formulae with their values of ``report``.

    Parameters
    ----------
    report : RoiReport
    lang : {"en", "ja"}
    sample : bool
        Say on every sheet that these are sample data.
    """
    t, buffer = translator(lang), io.BytesIO()
    with Workbook(buffer, {"in_memory": True}) as book:
        book.set_properties({"title": t("workbook.inputs_title")})
        styles = {name: book.add_format(shape) for name, shape in _STYLES.items()}
        titles = ("inputs", "result", "schedule")
        inputs, result, schedule = sheets = [book.add_worksheet(t(f"workbook.{title}")) for title in titles]
        pages = _Pages(book, inputs, result, schedule, styles, report, lang)
        for sheet, title in zip(sheets, titles, strict=True):
            sheet.hide_gridlines(2)
            sheet.set_landscape()
            sheet.set_paper(9)  # A4
            sheet.fit_to_pages(1, 0)
            pages.put(sheet, "A1", t(f"workbook.{title}_title"), "title")
            if sample:
                pages.put(sheet, "A2", t("brief.sample"), "sample")
            pages.put(sheet, "A3" if sample else "A2", t(f"workbook.{title}_help"), "help")
        _inputs(pages)
        _schedule(pages, *_result(pages))
    return buffer.getvalue()


def _inputs(pages: _Pages) -> None:
    """Write every input with range, unit and source; its base is a named cell."""
    t, sheet, inputs = translator(pages.lang), pages.inputs, pages.report.inputs
    columns = {
        "brief.figure": 46,
        "roi.value": 16,
        "workbook.unit": 26,
        "workbook.low": 14,
        "workbook.high": 14,
        "brief.source": 14,
        "workbook.note": 90,
    }
    pages.head(sheet, [t(key) for key in columns], list(columns.values()), (1, 3, 4))
    wide = columns["brief.figure"], columns["workbook.note"]
    currency = currency_name(inputs.currency, pages.lang)
    row = _FIRST
    for name, spec in SPECS.items():
        e, label, note = inputs.estimate(name), t(f"input.{name}"), roi_text.note(name, inputs, pages.lang)
        written = shown(name).unit
        kind = "_percent" if written.startswith("percent") else ""  # a cell shows it so, whatever it holds
        pages.put(sheet, f"A{row}", label)
        pages.put(sheet, f"B{row}", e.base, f"input{kind}")
        pages.put(sheet, f"C{row}", t(f"unit.{written if kind else spec.unit}", currency=currency), "beside")
        pages.put(sheet, f"D{row}", e.low, f"figure{kind}")
        pages.put(sheet, f"E{row}", e.high, f"figure{kind}")
        pages.put(sheet, f"F{row}", t(f"tag.{e.source}"), "beside")
        pages.put(sheet, f"G{row}", note, "beside")
        sheet.set_row(row - 1, _LINE * max(_lines(label, wide[0]), _lines(note, wide[1])))
        pages.name(name, sheet, "B", row)
        ends = (percent(end, pages.lang) if kind else plain(end) for end in (spec.minimum, spec.maximum))
        _allow(pages, row, spec.minimum, spec.maximum, *ends)
        row += 1
    for name in ("count_teacher", "keep_full_data"):
        label = t(f"workbook.{name}")
        pages.put(sheet, f"A{row}", label)
        pages.put(sheet, f"B{row}", int(getattr(inputs, name)), "input")
        pages.put(sheet, f"C{row}", t("workbook.yes_no"), "beside")
        sheet.set_row(row - 1, _LINE * _lines(label, wide[0]))
        pages.name(name, sheet, "B", row)
        _allow(pages, row, 0, 1, "0", "1", whole=True)
        row += 1
    pages.put(sheet, f"A{row}", t("workbook.trainings_per_month"))
    pages.put(sheet, f"B{row}", Formula(formulae.TRAININGS, pages.report.trainings_per_month), "figure")
    pages.name("trainings_per_month", sheet, "B", row)
    _rule(pages, row + 2)


def _rule(pages: _Pages, row: int) -> None:
    """Write the limits of the decision, each a named cell, and below them tax, currency and dates."""
    t, sheet, inputs = translator(pages.lang), pages.inputs, pages.report.inputs
    limits, currency = inputs.thresholds, currency_name(inputs.currency, pages.lang)
    # The limits bound one another, so that a cell is checked against the other's.
    between: dict[str, tuple[float | str, float | str]] = {
        "go_npv": ("=stop_npv", MOST_MONEY),
        "go_payback_months": (1, 120),
        "go_map_loss": (0, "=stop_map_loss"),
        "stop_npv": (-MOST_MONEY, "=go_npv"),
        "stop_map_loss": ("=go_map_loss", 1),
    }
    units = {"go_npv": "currency", "stop_npv": "currency", "go_payback_months": "months"}
    for name, (low, high) in between.items():
        pages.put(sheet, f"A{row}", t(f"input.{name}"))
        pages.put(sheet, f"B{row}", getattr(limits, name), "input")
        pages.put(sheet, f"C{row}", t(f"unit.{units.get(name, 'map')}", currency=currency), "beside")
        pages.name(name, sheet, "B", row)
        ends = (t(f"input.{end[1:]}") if isinstance(end, str) else plain(end) for end in (low, high))
        _allow(pages, row, low, high, *ends, whole=name == "go_payback_months")
        row += 1
    row += 1
    start = date(inputs.start, pages.lang) if inputs.start else t("brief.unknown")
    for key, text in (("tax", t(f"roi.{inputs.tax}")), ("currency", inputs.currency), ("start", start)):
        pages.put(sheet, f"A{row}", t(f"workbook.{key}"))
        pages.put(sheet, f"B{row}", text, "line")
        row += 1


def _allow(
    pages: _Pages, row: int, minimum: float | str, maximum: float | str, low: str, high: str, *, whole: bool = False
) -> None:
    """Let a cell of the inputs take what the model takes, and say so where something else is typed."""
    t = translator(pages.lang)
    pages.inputs.data_validation(
        f"B{row}",
        {
            "validate": "integer" if whole else "decimal",
            "criteria": "between",
            "minimum": minimum,
            "maximum": maximum,
            "ignore_blank": False,
            "error_title": t("workbook.not_allowed"),
            "error_message": t("workbook.allowed", low=low, high=high),
        },
    )


def _result(pages: _Pages) -> tuple[int, int]:
    """Write the costs of each alternative and what follows; return the rows of the sums, once and monthly."""
    t, sheet, report = translator(pages.lang), pages.result, pages.report
    unit, schedule = currency_name(report.inputs.currency, pages.lang), _quoted(pages.schedule)
    found = [report.alternative(name) for name in _ALTERNATIVES]
    heads = [in_brackets(t("brief.figure"), unit, pages.lang), *(t(f"alternative.{name}") for name in _ALTERNATIVES)]
    pages.head(sheet, heads, [46, 20, 22, 22, 22, 22], range(1, 6))
    parts = [formulae.costs(name, f"{schedule}!$H${_FIRST}:$H${_LAST}") for name in _ALTERNATIVES]
    row, sums = _FIRST, []
    for group, costs, words in (
        ("once", [a.once for a in found], [once for once, _ in parts]),
        ("monthly", [a.monthly for a in found], [monthly for _, monthly in parts]),
    ):
        first = row
        for key in dict.fromkeys(key for own in words for key in own):
            pages.put(sheet, f"A{row}", t(f"cost.{key}"))
            for column, own, values in zip(_COLUMNS, words, costs, strict=True):
                pages.put(sheet, f"{column}{row}", Formula(own.get(key, "0"), values.get(key, 0.0)), "money")
            row += 1
        texts = [f"SUM({column}{first}:{column}{row - 1})" for column in _COLUMNS]
        _totals(pages, row, t(f"cost.{group}"), texts, [sum(values.values()) for values in costs])
        sums.append(row)
        row += 2
    once, monthly = sums
    texts = [f"{column}{once}+{formulae.HORIZON}*{column}{monthly}" for column in _COLUMNS]
    _totals(pages, row, t("cost.total"), texts, [a.total for a in found])
    paid = f"*{formulae.annuity()}+$B${once}"
    texts = [f"($B${monthly}-{column}{monthly}){paid}-{column}{once}" for column in _COLUMNS[:-1]]
    texts.append(f"SUM({schedule}!I{_FIRST}:I{_LAST})")  # what doing nothing costs differs from month to month
    _totals(pages, row + 1, t("roi.npv"), texts, [a.npv for a in found])
    for column, name in zip(_COLUMNS, _ALTERNATIVES, strict=True):
        pages.name(f"total_{name}", sheet, column, row)
        pages.name(f"npv_{name}", sheet, column, row + 1)
    pages.name("result_npv", sheet, "C", row + 1)
    pages.show_small(sheet, f"B{_FIRST}:F{row + 1}")
    _measures(pages, row + 3, once, monthly)
    return once, monthly


def _measures(pages: _Pages, row: int, once: int, monthly: int) -> None:
    """Write the decision, the NPV once more from the schedule, the measured axes and the break-even.

    ``once`` and ``monthly`` are the rows of the sums.
    """
    t, report = translator(pages.lang), pages.report
    never, equal, trainings = t("roi.never"), t("roi.not_applicable"), report.break_even.trainings
    shown = (equal if roi_text.equally_long(report) else never) if trainings is None else trainings
    from_schedule = f"SUM({_quoted(pages.schedule)}!E{_FIRST}:E{_LAST})"
    words = {verdict: t(f"verdict.{verdict}") for verdict in ("go", "pilot", "stop")}
    decided = formulae.verdict(f"$B${monthly}-$C${monthly}", f"$C${once}", words)
    for key, text, value, style in (
        ("workbook.decision", decided, words[report.decision.verdict], "verdict"),
        ("workbook.npv_schedule", from_schedule, report.npv, "money"),
        ("axis.time", "1-seconds_condensed/seconds_full", report.axes.training_time_reduction, "share"),
        ("axis.quality", "map_condensed-map_full", report.axes.map_against_full, "map"),
        ("roi.break_even", formulae.break_even(never, equal), shown, "count"),
    ):
        pages.put(pages.result, f"A{row}", t(key))
        pages.put(pages.result, f"C{row}", Formula(text, value), style)
        row += 1


def _schedule(pages: _Pages, once: int, monthly: int) -> None:
    """Write month 0 to the longest horizon; months beyond the one entered are 0."""
    t, sheet, result = translator(pages.lang), pages.schedule, _quoted(pages.result)
    keys = ("month", "full", "condensed", "net", "discounted", "cumulative", "cumulative_discounted", "nothing")
    heads = [t(f"workbook.{key}") for key in (*keys, "nothing_saved", "date")]
    pages.head(sheet, heads, [10, 20, 20, 20, 20, 20, 24, 22, 26, 18], range(9))
    start = pages.report.inputs.start
    pages.show_small(sheet, f"B{_FIRST}:I{_LAST}")
    nothing = formulae.storage("nothing")
    for month, values in enumerate(_months(pages.report).tolist()):
        row = _FIRST + month
        within = f"A{row}<={formulae.HORIZON}"
        paid = [f"IF({within},{result}!{c}{monthly},0)" if month else f"{result}!{c}{once}" for c in "BC"]
        fallen = formulae.lost_quality(f"MIN(A{row}*map_decay_per_month,map_full)")
        texts = [
            *paid,
            f"B{row}-C{row}",
            formulae.discounted(f"D{row}", f"A{row}"),
            f"D{row}" + (f"+F{row - 1}" if month else ""),
            f"E{row}" + (f"+G{row - 1}" if month else ""),
            f"IF(AND(A{row}>0,{within}),{nothing}+{fallen},0)",
            formulae.discounted(f"(B{row}-H{row})", f"A{row}"),
        ]
        pages.put(sheet, f"A{row}", month, "month")
        for column, text, value in zip("BCDEFGHI", texts, values, strict=True):
            pages.put(sheet, f"{column}{row}", Formula(text, value), "money")
        pages.put(sheet, f"J{row}", date(month_later(start, month), pages.lang) if start and month else "–", "beside")


def _months(report: RoiReport) -> NDArray[np.float64]:
    """Return the values of the columns B to I, shape (121, 8): the report's, and beyond its horizon no more flows."""
    months = len(report.schedule) - 1
    flows = [
        [getattr(period, name) for period in report.schedule] for name in ("full", "condensed", "net", "discounted")
    ]
    stored, lost = doing_nothing(base_values(report.inputs), months)
    nothing = [0.0, *(stored + lost).tolist()]
    saved = finance.discounted(np.subtract(flows[0], nothing).tolist(), report.inputs.discount_rate.base)
    full, condensed, net, present, *last = np.pad(np.array([*flows, nothing, saved]), ((0, 0), (0, _MONTHS - months)))
    return np.stack([full, condensed, net, present, np.cumsum(net), np.cumsum(present), *last], axis=1)


def _totals(pages: _Pages, row: int, label: str, texts: Sequence[str], values: Sequence[float]) -> None:
    pages.put(pages.result, f"A{row}", label, "total")
    for column, text, value in zip(_COLUMNS, texts, values, strict=True):
        pages.put(pages.result, f"{column}{row}", Formula(text, value), "total")


def _lines(text: str, width: int) -> int:
    """Return the lines that a text takes in a column as wide as so many digits; a Japanese letter takes two."""
    return math.ceil(sum(2.1 if east_asian_width(letter) in "WF" else 1 for letter in text) / width) or 1


def _quoted(sheet: Worksheet) -> str:
    return "'" + sheet.get_name().replace("'", "''") + "'"
