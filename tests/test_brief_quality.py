"""Page 1 says how sure its differences of mAP are."""

from __future__ import annotations

import os
import shutil
from html import unescape

import pytest
from pypdf import PdfReader
from runs_for_tests import run  # noqa: F401 (a fixture)
from test_brief import plain

from pocket.presentation.brief import write_brief
from pocket.presentation.brief_quality import spreads
from pocket.presentation.i18n import translator
from pocket.presentation.pdf import find_browser, print_pdf
from pocket.roi import RoiInputs, RoiReport, alternatives, compute
from pocket.runs import Run
from pocket.runs.paths import kit_dir
from pocket.runs.records import CondensationRecord, TrainingRecord, summarise
from pocket.runs.retrieval import ByClass, ClassScore, MeanInterval, OverQueries, RetrievalComparison

COUNTS = (17, 23, 24)  # classes of a table that ends a little beyond a sheet, so that a row or two would stand alone
LANGUAGES = ("en", "ja")


def told(run: Run, lang: str, report: RoiReport | None = None) -> tuple[str, str]:  # noqa: F811
    report = report or compute(RoiInputs.from_run(run), draws=10)
    found = spreads(run, report, alternatives(run.folder), lang)
    text = unescape(write_brief(run, lang, report).read_text(encoding="utf-8"))
    page_one = text[text.index('id="axes"') : text.index('id="key"')]
    assert all(each in page_one for each in found)
    return found


def asked_over(run: Run, groups: int | None, low: float | None, high: float | None) -> None:  # noqa: F811
    """Give the run differences with these intervals over groups, or over single queries."""

    def interval(mean: float, shift: float) -> MeanInterval:
        ends = (None, None) if low is None or high is None else (low + shift, high + shift)
        return MeanInterval(mean=mean, low=ends[0], high=ends[1], macro=mean, queries=261, groups=groups, seeds=3)

    shutil.copy(kit_dir("data") / "sample_run" / "retrieval.json", run.path("retrieval.json"))
    whole = interval(0.9, 0.5)
    over = OverQueries(
        full=whole, condensed=whole, random=whole, against_full=interval(-0.03, 0), against_random=interval(0.03, 0.06)
    )
    kept = RetrievalComparison.load(run.path("retrieval.json"))
    run.save(kept.model_copy(update={"over": over}), "retrieval.json")


@pytest.mark.parametrize("lang", LANGUAGES)
def test_intervals_are_over_groups_where_the_run_has_kept_them(run: Run, lang: str) -> None:  # noqa: F811
    asked_over(run, 42, -0.061, 0.004)
    full, random = told(run, lang)
    for figure in ("−6.1", "+0.4", "42", "3"):
        assert figure in full
    assert "−0.1" in random and "+6.4" in random
    asked_over(run, None, -0.061, 0.004)
    assert "261" in told(run, lang)[0], "single queries are named, too"


@pytest.mark.parametrize("lang", LANGUAGES)
def test_without_them_they_are_over_seeds_and_of_one_seed_there_is_none(run: Run, lang: str) -> None:  # noqa: F811
    cells, t = alternatives(run.folder), translator(lang)
    for name, found in zip(("full", "random"), told(run, lang), strict=True):
        others = {cell.seed: cell.map for cell in getattr(cells, name)}
        half_width = summarise(cell.map - others[cell.seed] for cell in cells.condensed).half_width
        assert (
            f"±\xa0{100 * half_width:.1f} (95\xa0%, 3 seeds)" in found
            or f"±{100 * half_width:.1f}（シード3個）" in found
        )
    asked_over(run, 42, None, None)
    assert told(run, lang)[0].startswith(t("axis.interval_seeds", half="|", seeds="").split("|")[0])
    for name, kind in (("training.json", TrainingRecord), ("condensation.json", CondensationRecord)):
        record = kind.load(run.path(name))
        run.save(record.model_copy(update={"cells": tuple(c for c in record.cells if c.seed == 0)}), name)
    assert told(run, lang) == (t("brief.one_seed"), t("brief.one_seed"))


def test_a_score_entered_by_hand_has_no_interval(run: Run) -> None:  # noqa: F811
    mine = compute(RoiInputs.from_run(run).with_base("map_full", 0.98), draws=10)
    full, random = told(run, "en", mine)
    assert full == "" and random.startswith("±\xa0")


@pytest.mark.browser
def test_no_row_of_a_table_stands_alone_on_a_sheet(run: Run) -> None:  # noqa: F811
    if find_browser() is None:
        assert not os.environ.get("CI"), "Chromium is missing in CI"
        pytest.skip("no Chromium on this machine: apt-get install chromium")
    for count in COUNTS:
        names = [f"kind{i:02}x" for i in range(count)]
        with_classes(run, names)
        sheets = [plain(s.extract_text()) for s in PdfReader(print_pdf(write_brief(run, "en"))).pages]
        begin = next(i for i, sheet in enumerate(sheets) if plain(translator("en")("brief.assumptions_text")) in sheet)
        rows = [sum(name in sheet for name in names) for sheet in sheets[1:begin]]
        assert sum(rows) == count and all(many == 0 or many >= 3 for many in rows), rows


def with_classes(run: Run, names: list[str]) -> None:  # noqa: F811
    """Give the run scores of so many classes."""
    shutil.copy(kit_dir("data") / "sample_run" / "retrieval.json", run.path("retrieval.json"))
    one = {"queries": 20, "things": 20, "database": 50, "chance": 0.1, "full": 0.9, "condensed": 0.9, "random": 0.8}
    classes = tuple(ClassScore.model_validate(one | {"name": name, "full_low": 0.8}) for name in names)
    kept = RetrievalComparison.load(run.path("retrieval.json"))
    run.save(kept.model_copy(update={"by_class": ByClass(chance=0.1, classes=classes)}), "retrieval.json")
