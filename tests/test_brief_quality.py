"""Page 1 says how sure its differences of mAP are."""

from __future__ import annotations

import shutil
from html import unescape

import pytest
from runs_for_tests import run  # noqa: F401 (a fixture)

from pocket.presentation.brief import write_brief
from pocket.presentation.brief_quality import spreads
from pocket.presentation.i18n import translator
from pocket.roi import RoiInputs, RoiReport, alternatives, compute
from pocket.runs import Run
from pocket.runs.paths import kit_dir
from pocket.runs.records import CondensationRecord, TrainingRecord, summarise
from pocket.runs.retrieval import MeanInterval, OverQueries, RetrievalComparison

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
        assert f"± {100 * half_width:.1f} (95 %, 3 seeds)" in found or f"±{100 * half_width:.1f}（シード3個）" in found
    asked_over(run, 42, None, None)
    assert told(run, lang)[0].startswith(t("axis.interval_seeds", half="|", seeds="").split("|")[0])
    for name, kind in (("training.json", TrainingRecord), ("condensation.json", CondensationRecord)):
        record = kind.load(run.path(name))
        run.save(record.model_copy(update={"cells": tuple(c for c in record.cells if c.seed == 0)}), name)
    assert told(run, lang) == (t("brief.one_seed"), t("brief.one_seed"))


def test_a_score_entered_by_hand_has_no_interval(run: Run) -> None:  # noqa: F811
    mine = compute(RoiInputs.from_run(run).with_base("map_full", 0.98), draws=10)
    full, random = told(run, "en", mine)
    assert full == "" and random.startswith("± ")
