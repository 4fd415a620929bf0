"""The .xlsx with live formulae, computed again by LibreOffice: the oracle of the ROI model that finance uses."""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import zipfile
from pathlib import Path

import openpyxl
import pytest
from pypdf import PdfReader
from runs_for_tests import run  # noqa: F401 (fixture)

from pocket.presentation.i18n import LANGUAGES, date, translator
from pocket.presentation.workbook import workbook_bytes
from pocket.roi import SPECS, RoiInputs, Thresholds, compute
from pocket.runs import Run

SOFFICE = shutil.which("soffice")


@pytest.fixture
def inputs(run: Run) -> RoiInputs:  # noqa: F811
    return RoiInputs.from_run(run).with_base("workload_scale", 4000).with_base("kwh_price", 27)


def without_values(book: bytes) -> bytes:
    """Return a workbook whose formulae have lost their values, so that a program that shows them must compute them."""
    buffer, found = io.BytesIO(), 0
    with zipfile.ZipFile(io.BytesIO(book)) as old, zipfile.ZipFile(buffer, "w") as new:
        for name in old.namelist():
            text, count = re.subn(rb"</f><v>[^<]*</v>", b"</f>", old.read(name))
            new.writestr(name, text)
            found += count
    assert found > 121 * 8
    return buffer.getvalue()


def office(folder: Path, kind: str, *names: str) -> None:
    """Let LibreOffice open workbooks of a folder and store what it shows in the folder ``out``."""
    if SOFFICE is None:
        assert not os.environ.get("CI"), "LibreOffice is missing in CI"
        pytest.skip("no LibreOffice on this machine: apt-get install libreoffice-calc-nogui")
    call = [SOFFICE, f"-env:UserInstallation={(folder / 'profile').as_uri()}", "--headless", "--convert-to", kind]
    call += ["--outdir", str(folder / "out"), *(str(folder / f"{name}.xlsx") for name in names)]
    subprocess.run(call, check=True, capture_output=True, timeout=180)


def recalculated(folder: Path, books: dict[str, bytes]) -> dict[str, openpyxl.Workbook]:
    """Let LibreOffice open workbooks without values and store what it computes."""
    for name, data in books.items():
        (folder / f"{name}.xlsx").write_bytes(data)
    office(folder, "xlsx", *books)
    return {name: openpyxl.load_workbook(folder / "out" / f"{name}.xlsx", data_only=True) for name in books}


def no_training(inputs: RoiInputs) -> RoiInputs:
    for name in ("retrainings_per_month", "search_trials_per_month", "comparisons_per_month"):
        inputs = inputs.with_base(name, 0)
    return inputs


def of_each_reason(inputs: RoiInputs) -> dict[str, RoiInputs]:
    """Inputs that every limit of the decision bears on, each a little past its limit or just at it."""
    paying = inputs.with_base("workload_scale", 8e3).with_base("failure_cost", 100)
    report = compute(paying, draws=10)
    assert report.decision.verdict == "go"
    loss = paying.map_full.base - paying.map_condensed.base
    limits: dict[str, dict[str, float]] = {
        "npv_stop": {"go_npv": 2 * report.npv, "stop_npv": report.npv + 1},
        "npv_pilot": {"go_npv": report.npv + 1, "stop_npv": report.npv},
        "payback_pilot": {"go_payback_months": 1},
        "map_loss_pilot": {"go_map_loss": loss - 1e-9},
        "map_loss_stop": {"go_map_loss": loss - 2e-9, "stop_map_loss": loss - 1e-9},
        "all_met": {"go_map_loss": loss + 1e-9},
    }
    cases = {
        name: paying.model_copy(update={"thresholds": Thresholds.model_validate(changed)})
        for name, changed in limits.items()
    } | {"random_better": inputs.with_base("workload_scale", 1e5)}
    assert {name: compute(case, draws=10).decision.reason for name, case in cases.items()} == {n: n for n in cases}
    return cases


def result(book: openpyxl.Workbook) -> dict[str, tuple[object, ...]]:
    return {str(row[0]): row[1:6] for row in book.worksheets[1].iter_rows(min_row=5, values_only=True) if row[0]}


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_value_written_is_what_a_spreadsheet_computes(inputs: RoiInputs, lang: str, tmp_path: Path) -> None:
    cases = {
        "as_measured": inputs,
        "teacher_counted": inputs.model_copy(update={"count_teacher": not inputs.count_teacher}),
        "data_deleted": inputs.model_copy(update={"keep_full_data": False}),
        "no_interest": inputs.with_base("discount_rate", 0),
        "one_month": inputs.with_base("horizon_months", 1),
        "half_a_month": inputs.with_base("horizon_months", 36.5),
        "ten_years": inputs.with_base("horizon_months", 120),
        "all_fail": inputs.with_base("failure_share_per_point", 1),
        "falls_to_nothing": inputs.with_base("map_decay_per_month", 0.1),
        "never_pays": inputs.with_base("seconds_condensed", 20),
        "equally_long": inputs.with_base("seconds_condensed", inputs.seconds_full.base),
        "no_training": no_training(inputs),
        "overlap_beyond_horizon": inputs.with_base("horizon_months", 3).with_base("overlap_months", 8),
        **of_each_reason(inputs),
    }
    reports = {name: compute(case, draws=10) for name, case in cases.items()}
    written = {name: workbook_bytes(report, lang) for name, report in reports.items()}
    computed = recalculated(tmp_path, {name: without_values(book) for name, book in written.items()})
    for name, book in written.items():
        ours = openpyxl.load_workbook(io.BytesIO(book), data_only=True)
        for sheet in openpyxl.load_workbook(io.BytesIO(book)).worksheets:
            formulas = [cell.coordinate for row in sheet.iter_rows() for cell in row if cell.data_type == "f"]
            assert formulas, sheet.title
            for place in formulas:
                expected, found = ours[sheet.title][place].value, computed[name][sheet.title][place].value
                if not isinstance(expected, str):
                    expected = pytest.approx(expected, rel=1e-9, abs=1e-6)
                assert found == expected, (name, sheet.title, place)


def test_the_values_written_are_those_of_the_report(inputs: RoiInputs) -> None:
    report, t = compute(inputs, draws=10), translator("en")
    book = openpyxl.load_workbook(io.BytesIO(workbook_bytes(report, "en")), data_only=True)
    found = result(book)
    for place, alternative in enumerate(report.alternatives):
        for costs in (alternative.once, alternative.monthly):
            for key, value in costs.items():
                assert found[t(f"cost.{key}")][place] == pytest.approx(value), key
        assert found[t("cost.total")][place] == pytest.approx(alternative.total)
        assert found[t("roi.npv")][place] == pytest.approx(alternative.npv)
    assert found[t("workbook.npv_schedule")][1] == pytest.approx(report.npv)
    assert found[t("workbook.decision")][1] == t(f"verdict.{report.decision.verdict}")
    assert found[t("roi.break_even")][1] == pytest.approx(report.break_even.trainings)
    assert book.worksheets[0].cell(5 + len(SPECS) + 2, 2).value == pytest.approx(report.trainings_per_month)
    months = list(book.worksheets[2].iter_rows(min_row=5, max_col=7, values_only=True))
    assert len(months) == 121
    for period in report.schedule:
        assert months[period.month] == pytest.approx(tuple(period.model_dump().values()))


def test_the_formulae_are_alive(inputs: RoiInputs, tmp_path: Path) -> None:
    changed = {"retrainings_per_month": 900.0, "failure_cost": 7.0, "map_condensed": 0.5}
    book = openpyxl.load_workbook(io.BytesIO(workbook_bytes(compute(inputs, draws=10), "ja")))
    for name, value in changed.items():
        ((sheet, cell),) = book.defined_names[name].destinations
        book[sheet][cell.replace("$", "")] = value
    data = io.BytesIO()
    book.save(data)
    found = result(recalculated(tmp_path, {"changed": data.getvalue()})["changed"])
    for name, value in changed.items():
        inputs = inputs.with_base(name, value)
    assert found[translator("ja")("roi.npv")][1] == pytest.approx(compute(inputs, draws=10).npv, abs=1e-3)


def test_the_decision_follows_a_limit_that_is_changed_in_the_workbook(inputs: RoiInputs, tmp_path: Path) -> None:
    paying = of_each_reason(inputs)["all_met"]
    data, books = workbook_bytes(compute(paying, draws=10), "en"), {}
    for name, value in (("go_payback_months", 1), ("stop_map_loss", 0.001)):
        book = openpyxl.load_workbook(io.BytesIO(data))
        ((sheet, cell),) = book.defined_names[name].destinations
        book[sheet][cell.replace("$", "")] = value
        buffer = io.BytesIO()
        book.save(buffer)
        books[name] = buffer.getvalue()
    label = translator("en")("workbook.decision")
    assert result(openpyxl.load_workbook(io.BytesIO(data), data_only=True))[label][1] == "Go"
    found = {name: result(book)[label][1] for name, book in recalculated(tmp_path, books).items()}
    assert found == {"go_payback_months": "Pilot", "stop_map_loss": "Stop"}


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_yellow_cell_takes_what_the_model_takes_and_nothing_else(inputs: RoiInputs, lang: str) -> None:
    first = openpyxl.load_workbook(io.BytesIO(workbook_bytes(compute(inputs, draws=10), lang))).worksheets[0]
    yellow = {cell.coordinate for row in first.iter_rows() for cell in row if cell.fill.fgColor.rgb == "FFFFF7E0"}
    rules = {str(rule.sqref): rule for rule in first.data_validations.dataValidation}
    assert rules.keys() == yellow and len(yellow) == len(SPECS) + 2 + len(Thresholds.model_fields)
    names = {cell.replace("$", ""): name for name, cell in (
        (name, place) for name, found in first.parent.defined_names.items()
        for sheet, place in found.destinations if sheet == first.title
    )}  # fmt: skip
    t, limits = translator(lang), inputs.thresholds
    for place, rule in rules.items():
        name = names[place]
        low, high = (SPECS[name].minimum, SPECS[name].maximum) if name in SPECS else (0.0, 1.0)
        if name in Thresholds.model_fields:
            low, high = limits.allowed(name)
        for written, end in ((rule.formula1, low), (rule.formula2, high)):
            value = getattr(limits, written) if written in Thresholds.model_fields else float(written)
            assert value == end, (name, written)
        assert rule.showErrorMessage and rule.errorTitle == t("workbook.not_allowed") and len(rule.errorTitle) <= 32
        assert rule.error and len(rule.error) <= 255


def test_small_amounts_keep_their_decimals_and_every_sign(inputs: RoiInputs, tmp_path: Path) -> None:
    (tmp_path / "small.xlsx").write_bytes(
        workbook_bytes(compute(inputs.with_base("workload_scale", 1), draws=10), "en")
    )
    office(tmp_path, "pdf", "small")
    shown = " ".join(page.extract_text() for page in PdfReader(tmp_path / "out" / "small.pdf").pages).split()
    book = openpyxl.load_workbook(tmp_path / "small.xlsx", data_only=True)
    training, saved = result(book)["Training"][0], [book.worksheets[2][f"I{row}"].value for row in range(6, 12)]
    assert isinstance(training, float) and 10 < training < 99 and f"{training:.2f}" in shown
    assert any(-100 < value < -10 for value in saved)
    assert all(f"{value:.2f}" in shown for value in saved if abs(value) < 99)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_tax_currency_and_months_are_stated(inputs: RoiInputs, lang: str) -> None:
    book = openpyxl.load_workbook(io.BytesIO(workbook_bytes(compute(inputs, draws=10), lang)))
    t, start = translator(lang), inputs.start
    assert start is not None
    said = {row[0]: row[1] for row in book.worksheets[0].iter_rows(min_row=5, max_col=2, values_only=True)}
    assert said[t("workbook.tax")] == t("roi.excluded") and said[t("workbook.currency")] == "JPY"
    assert said[t("workbook.start")] == date(start, lang)
    months = [row[9] for row in book.worksheets[2].iter_rows(min_row=5, values_only=True)]
    assert months[0] == "–" and months[1] == date(start, lang)
    assert months[13] == date(start.replace(year=start.year + 1), lang)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_input_is_a_named_cell_and_text_is_never_a_formula(inputs: RoiInputs, lang: str) -> None:
    evil = inputs.compute_price.model_copy(update={"note": "=1+1"})
    report = compute(inputs.model_copy(update={"compute_price": evil}), draws=10)
    book = openpyxl.load_workbook(io.BytesIO(workbook_bytes(report, lang, sample=True)))
    t = translator(lang)
    assert set(SPECS) <= set(book.defined_names)
    for name in SPECS:
        ((sheet, cell),) = book.defined_names[name].destinations
        assert book[sheet][cell.replace("$", "")].value == pytest.approx(inputs.estimate(name).base)
    notes = [row[6] for row in book.worksheets[0].iter_rows(min_row=5) if row[6].value == "=1+1"]
    assert [cell.data_type for cell in notes] == ["s"]
    assert t("source_note.yours") in [row[6].value for row in book.worksheets[0].iter_rows(min_row=5)]
    assert all(sheet["A2"].value == t("brief.sample") for sheet in book.worksheets)
    typed = [c for row in book.worksheets[1].iter_rows(min_row=5, min_col=2) for c in row if c.value is not None]
    assert all(cell.data_type == "f" for cell in typed), "results are computed, not typed in"


@pytest.mark.parametrize("lang", LANGUAGES)
def test_heads_stand_over_their_figures_and_no_text_is_cut(inputs: RoiInputs, lang: str) -> None:
    book = openpyxl.load_workbook(io.BytesIO(workbook_bytes(compute(inputs, draws=10), lang, sample=True)))
    t, first = translator(lang), book.worksheets[0]
    for sheet, title in zip(book.worksheets, ("inputs", "result", "schedule"), strict=True):
        assert sheet["A3"].value == t(f"workbook.{title}_help"), "the mark of the sample takes no help away"
        for head in sheet[4]:
            over_figures = sheet.cell(5, head.column).data_type in ("n", "f")
            assert (head.alignment.horizontal == "right") == over_figures, head.value
    for row in first.iter_rows(min_row=5, max_row=4 + len(SPECS) + 2):
        for cell in row:
            if isinstance(cell.value, str):
                wide = sum(2 if ord(letter) > 0x2E80 else 1 for letter in cell.value)
                lines = (first.row_dimensions[cell.row].height or 15) // 15
                room = first.column_dimensions[cell.column_letter].width * lines
                assert wide <= room, cell.value
    ((_, place),) = book.defined_names["discount_rate"].destinations
    assert first[place.replace("$", "")].number_format.endswith("%")
    assert first[place.replace("$", "").replace("B", "C")].value == t("unit.percent_per_year")
