"""The ROI schedule as an .xlsx workbook with live formulae: change an input there, and the NPV follows."""

from __future__ import annotations

import io
from typing import Any

from openpyxl import Workbook
from openpyxl.cell import Cell
from openpyxl.styles import Alignment, Font, PatternFill
from openpyxl.utils import get_column_letter
from openpyxl.workbook.defined_name import DefinedName

from pocket.presentation.i18n import currency_name, translator
from pocket.roi import SPECS, RoiReport

_HEAD, _INPUT = PatternFill("solid", fgColor="1F4E79"), PatternFill("solid", fgColor="FFF7E0")
_MONEY, _FIGURE, _SHARE = "#,##0;[Red]-#,##0", "#,##0.######", "0.0%"
_ALTERNATIVES = ("full", "condensed", "random", "hybrid", "nothing")
_COLUMNS = "BCDEF"
_MONTHS = int(SPECS["horizon_months"].maximum)
_HOURS = "workload_scale/3600"
_CONDENSING = f"(seconds_condense+count_teacher*seconds_teacher)*{_HOURS}"
_AGAIN = (
    "IF(trainings_per_month>0,(seconds_condense+count_teacher*seconds_teacher)*recondensations_per_year/12"
    "/MAX(trainings_per_month,1E-9),0)"
)
_POWER = "power_watts/1000*kwh_price"

# Each cost of each alternative, as `pocket.roi.economics` has it; what is missing is 0.
_STORED = {
    "full": "bytes_full",
    "condensed": "(keep_full_data*bytes_full+bytes_condensed)",
    "random": "IF(keep_full_data=1,bytes_full,bytes_condensed)",
    "hybrid": "(IF(keep_full_data=1,1,real_share)*bytes_full+bytes_condensed)",
    "nothing": "bytes_full",
}
_TRAININGS = "retrainings_per_month+search_trials_per_month+comparisons_per_month*code_lengths*hashing_methods*seeds"


def formulae(name: str, costs: str) -> tuple[dict[str, str], dict[str, str]]:
    """Return the formula of every cost that an alternative pays once, and of every one that it pays each month.

    ``costs`` is the range of cells with the monthly costs of doing nothing, which grow: its lost quality is their mean
    over the horizon, less storage.
    """
    storage = f"workload_scale*{_STORED[name]}/1E9*storage_price"
    if name == "nothing":
        return {}, {"storage": storage, "lost_quality": f"SUM({costs})/ROUND(horizon_months,0)-{storage}"}
    kind = "condensed" if name == "hybrid" else name
    training = f"trainings_per_month*seconds_{kind}*{_HOURS}"
    monthly = {"training": f"{training}*compute_price", "energy": f"{training}*{_POWER}", "storage": storage}
    if name == "full":
        return {}, monthly
    once = {"migration": "migration_days*engineer_day_rate"}
    monthly["monitoring"] = "monitoring_days_per_month*engineer_day_rate"
    monthly["lost_quality"] = _lost(f"MAX(map_full-map_{name},0)")
    if name == "random":
        return once, monthly
    once["condensing"] = f"{_CONDENSING}*(compute_price+{_POWER})"
    again = f"{_CONDENSING}*recondensations_per_year/12"
    monthly["energy"] += f"+{again}*{_POWER}"
    monthly["recondensing"] = f"{again}*compute_price"
    if name == "hybrid":
        tuning = f"finetunes_per_month*seconds_finetune*{_HOURS}"
        monthly["energy"] += f"+{tuning}*{_POWER}"
        monthly["finetuning"] = f"{tuning}*compute_price"
    return once, monthly


def _lost(loss: str) -> str:
    """Return the monthly cost of a loss of mAP."""
    return f"searches_per_month*MIN(failure_share_per_point*100*{loss},1)*failure_cost"


def workbook_bytes(report: RoiReport, lang: str, *, sample: bool = False) -> bytes:
    """Return the workbook as the bytes of an .xlsx file.

    Three sheets: the inputs, each a named cell to be changed; costs and result, which follow from them; and the cash
    flow month by month. No number but the inputs is written: a spreadsheet program computes the rest on opening.

    Parameters
    ----------
    report : RoiReport
    lang : {"en", "ja"}
    sample : bool
        Say on every sheet that these are sample data.
    """
    t, book = translator(lang), Workbook()
    book.calculation.fullCalcOnLoad = True
    sheets = book.active, book.create_sheet(), book.create_sheet()
    for sheet, title in zip(sheets, ("inputs", "result", "schedule"), strict=True):
        assert sheet is not None
        sheet.title = t(f"workbook.{title}")
        sheet.sheet_view.showGridLines = False
        sheet.page_setup.orientation, sheet.page_setup.fitToHeight = "landscape", 0
        sheet.sheet_properties.pageSetUpPr.fitToPage = True
        sheet["A1"] = t(f"workbook.{title}_title")
        sheet["A1"].font = Font(bold=True, size=14)
        sheet["A2"] = t("brief.sample") if sample else t(f"workbook.{title}_help")
        sheet["A2"].font = Font(color="B42318" if sample else "52606D", bold=sample)
    _inputs(book, sheets[0], report, lang)
    rows = _result(book, sheets[1], report, lang, sheets[2].title)
    _schedule(sheets[2], lang, sheets[1].title, rows)
    buffer = io.BytesIO()
    book.save(buffer)
    return buffer.getvalue()


def _inputs(book: Workbook, sheet: Any, report: RoiReport, lang: str) -> None:
    """Write every input with range, unit and source; its base is a named cell."""
    t, inputs = translator(lang), report.inputs
    heads = (
        "brief.figure",
        "roi.value",
        "workbook.unit",
        "workbook.low",
        "workbook.high",
        "brief.source",
        "workbook.note",
    )
    _head(sheet, 4, [t(key) for key in heads], [46, 16, 22, 14, 14, 14, 60])
    unit_words = currency_name(inputs.currency, lang)
    for row, name in enumerate(SPECS, start=5):
        e = inputs.estimate(name)
        unit = t(f"unit.{SPECS[name].unit}", currency=unit_words)
        for column, value in enumerate((t(f"input.{name}"), e.base, unit, e.low, e.high, t(f"tag.{e.source}"), e.note)):
            _write(sheet.cell(row, 1 + column), value, _FIGURE if isinstance(value, float) else None)
        _name(book, sheet, name, row)
    row = 5 + len(SPECS)
    for offset, (name, on) in enumerate(
        (("count_teacher", inputs.count_teacher), ("keep_full_data", inputs.keep_full_data))
    ):
        _write(sheet.cell(row + offset, 1), t(f"workbook.{name}"))
        _write(sheet.cell(row + offset, 2), int(on))
        _write(sheet.cell(row + offset, 3), t("workbook.yes_no"))
        _name(book, sheet, name, row + offset)
    row += 2
    _write(sheet.cell(row, 1), t("workbook.trainings_per_month"))
    _write(sheet.cell(row, 2), f"={_TRAININGS}", _FIGURE)
    _refer(book, sheet, "trainings_per_month", f"$B${row}")
    sheet.freeze_panes = "B5"


def _name(book: Workbook, sheet: Any, name: str, row: int) -> None:
    cell = sheet.cell(row, 2)
    cell.fill, cell.number_format = _INPUT, _FIGURE
    _refer(book, sheet, name, f"$B${row}")


def _refer(book: Workbook, sheet: Any, name: str, place: str) -> None:
    """Give a cell a name that formulae use."""
    book.defined_names[name] = DefinedName(name, attr_text=f"{_quoted(sheet.title)}!{place}")


def _result(book: Workbook, sheet: Any, report: RoiReport, lang: str, schedule: str) -> tuple[int, int]:
    """Write the costs of each alternative and what follows; return the rows of the sums, once and monthly."""
    t = translator(lang)
    unit = currency_name(report.inputs.currency, lang)
    _head(
        sheet,
        4,
        [f"{t('brief.figure')} ({unit})", *(t(f"alternative.{name}") for name in _ALTERNATIVES)],
        [46, 20, 22, 22, 22, 22],
    )
    last = 5 + _MONTHS
    parts = {name: formulae(name, f"{_quoted(schedule)}!$H$5:$H${last}") for name in _ALTERNATIVES}
    row, sums = 5, []
    for which, group in enumerate(("once", "monthly")):
        keys = list(dict.fromkeys(key for name in _ALTERNATIVES for key in parts[name][which]))
        first = row
        for key in keys:
            _write(sheet.cell(row, 1), t(f"cost.{key}"))
            for column, name in enumerate(_ALTERNATIVES, start=2):
                _write(sheet.cell(row, column), f"={parts[name][which].get(key, '0')}", _MONEY)
            row += 1
        _total(sheet, row, t(f"cost.{group}"), [f"=SUM({c}{first}:{c}{row - 1})" for c in _COLUMNS])
        sums.append(row)
        row += 2
    once, monthly = sums
    _total(sheet, row, t("cost.total"), [f"={c}{once}+ROUND(horizon_months,0)*{c}{monthly}" for c in _COLUMNS])
    rate = "((1+discount_rate)^(1/12)-1)"
    annuity = f"IF(discount_rate=0,ROUND(horizon_months,0),(1-(1+{rate})^-ROUND(horizon_months,0))/{rate})"
    saved = [f"=($B${monthly}-{c}{monthly})*{annuity}+$B${once}-{c}{once}" for c in _COLUMNS[:-1]]
    saved.append(f"=SUM({_quoted(schedule)}!I5:I{last})")  # what doing nothing costs differs from month to month
    _total(sheet, row + 1, t("roi.npv"), saved)
    for offset, (key, formula, shape) in enumerate(
        (
            ("workbook.npv_schedule", f"=SUM({_quoted(schedule)}!E5:E{last})", _MONEY),
            ("axis.time", "=1-seconds_condensed/seconds_full", _SHARE),
            ("axis.quality", "=map_condensed-map_full", "0.0000"),
            (
                "roi.break_even",
                f"=IF(seconds_full-seconds_condensed>{_AGAIN},(seconds_condense+count_teacher*seconds_teacher)/"
                f'(seconds_full-seconds_condensed-{_AGAIN}),"{t("roi.never")}")',
                _FIGURE,
            ),
        ),
        start=row + 3,
    ):
        _write(sheet.cell(offset, 1), t(key))
        _write(sheet.cell(offset, 3), formula, shape)
    for letter, name in zip(_COLUMNS, _ALTERNATIVES, strict=True):
        _refer(book, sheet, f"npv_{name}", f"${letter}${row + 1}")
        _refer(book, sheet, f"total_{name}", f"${letter}${row}")
    _refer(book, sheet, "result_npv", f"$C${row + 1}")
    sheet.freeze_panes = "B5"
    return once, monthly


def _schedule(sheet: Any, lang: str, result: str, sums: tuple[int, int]) -> None:
    """Write month 0 to the longest horizon; months beyond the one entered are 0."""
    t, place = translator(lang), _quoted(result)
    once, monthly = sums
    keys = ("month", "full", "condensed", "net", "discounted", "cumulative", "cumulative_discounted", "nothing")
    heads = [*(t(f"workbook.{key}") for key in keys), f"{t('alternative.nothing')}: {t('workbook.discounted')}"]
    _head(sheet, 4, heads, [10, 20, 20, 20, 20, 20, 24, 22, 26])
    stored = formulae("nothing", "")[1]["storage"]
    for month in range(_MONTHS + 1):
        row = 5 + month
        paid = [
            f"={place}!{c}{once}" if not month else f"=IF(A{row}<=ROUND(horizon_months,0),{place}!{c}{monthly},0)"
            for c in "BC"
        ]
        before = f"+{{}}{row - 1}" if month else ""
        fallen = _lost(f"MIN(A{row}*map_decay_per_month,map_full)")
        formulas: list[int | str] = [
            month,
            *paid,
            f"=B{row}-C{row}",
            f"=D{row}/(1+discount_rate)^(A{row}/12)",
            f"=D{row}{before.format('F')}",
            f"=E{row}{before.format('G')}",
            f"=IF(AND(A{row}>0,A{row}<=ROUND(horizon_months,0)),{stored}+{fallen},0)",
            f"=(B{row}-H{row})/(1+discount_rate)^(A{row}/12)",
        ]
        for column, value in enumerate(formulas, start=1):
            _write(sheet.cell(row, column), value, "0" if column == 1 else _MONEY)
    sheet.freeze_panes = "B5"


def _write(cell: Cell, value: object, shape: str | None = None) -> None:
    """Write a value; text that begins like a formula stays text unless it is one of ours."""
    cell.value = value
    if isinstance(value, str) and shape is None:
        cell.data_type = "s"
        cell.alignment = Alignment(wrap_text=True, vertical="top")
    if shape:
        cell.number_format = shape


def _head(sheet: Any, row: int, words: list[str], widths: list[int]) -> None:
    for column, (word, width) in enumerate(zip(words, widths, strict=True), start=1):
        cell = sheet.cell(row, column, word)
        cell.font, cell.fill = Font(bold=True, color="FFFFFF"), _HEAD
        cell.alignment = Alignment(wrap_text=True, vertical="center")
        sheet.column_dimensions[get_column_letter(column)].width = width


def _total(sheet: Any, row: int, label: str, formulas: list[str]) -> None:
    for column, value in enumerate((label, *formulas), start=1):
        _write(sheet.cell(row, column), value, _MONEY if column > 1 else None)
        sheet.cell(row, column).font = Font(bold=True)


def _quoted(title: str) -> str:
    return "'" + title.replace("'", "''") + "'"
