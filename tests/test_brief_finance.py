"""What a financial controller reads in the brief: where a saving comes from, limits, labour, and when saving begins."""

from __future__ import annotations

import re
from html import unescape

import pytest
from runs_for_tests import cell, run  # noqa: F401 (run is a fixture)

from pocket.presentation.brief import write_brief
from pocket.presentation.brief_evidence import evidence_row, fewer_steps
from pocket.presentation.html import visible
from pocket.presentation.i18n import LANGUAGES, at_most, duration, exact
from pocket.presentation.rollout import kpis, stages
from pocket.roi import RoiInputs, RoiReport, Thresholds, alternatives, compute
from pocket.runs import Run


def read(run: Run, lang: str, report: RoiReport | None = None) -> str:  # noqa: F811
    """Return what is read in the brief, white space as it is."""
    return unescape(visible(write_brief(run, lang, report).read_text(encoding="utf-8")))


def first_page(text: str, lang: str) -> str:
    return text[: text.index({"en": "In this brief", "ja": "目次"}[lang])]


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_first_page_says_what_of_the_saving_is_the_setting_of_fewer_steps(run: Run, lang: str) -> None:  # noqa: F811
    full, condensed, _ = alternatives(run.folder)
    report = compute(RoiInputs.from_run(run), draws=10)
    told = fewer_steps(report, full, condensed, lang)
    # 600 and 200 steps, 9.25 s and 3.0 s.
    assert all(figure in told for figure in ("600", "200", "67", "68")) and told in first_page(read(run, lang), lang)
    assert [evidence_row("", cells, lang).steps for cells in (full, condensed)] == ["600", "200"]
    assert fewer_steps(report, full, [cell("iem", 0, steps=600)], lang) == ""
    more = fewer_steps(report, full, [cell("iem", 0, steps=700)], lang)
    assert "700" in more and "67" not in more
    by_hand = compute(report.inputs.with_base("seconds_full", 20), draws=10)
    assert fewer_steps(by_hand, full, condensed, lang) == "", "nothing is known of the steps of those seconds"


def amounts(text: str) -> list[float]:
    """Return the amounts of yen in a text of either language."""
    written = re.findall(r"JPY\xa0([\d,.]*\d)|([\d,.]*\d)円", text)
    return [float((english or japanese).replace(",", "")) for english, japanese in written]


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("scale", [1, 37, 4000])
def test_no_limit_is_below_the_plan_and_each_names_what_it_holds(run: Run, lang: str, scale: float) -> None:  # noqa: F811
    report = compute(RoiInputs.from_run(run).with_base("workload_scale", scale), draws=10)
    full, condensed, _ = alternatives(run.folder)
    monthly = {name: report.alternative(name).monthly for name in ("full", "condensed")}  # type: ignore[arg-type]
    plan, beside = sum(monthly["condensed"].values()), monthly["full"]["training"] + monthly["full"]["energy"]
    assumed = monthly["condensed"]["lost_quality"]
    budget = stages(report, lang)[2].go
    limit, *named = amounts(budget)
    assert plan + beside <= limit < plan + beside + 1, "both trainings are paid in stage 3"
    assert named == [pytest.approx(beside, abs=0.5), pytest.approx(assumed, abs=0.5)]
    cost = next(kpi for kpi in kpis(run, report, full, condensed, lang) if amounts(kpi.target))
    (target,) = amounts(cost.target)
    assert plan <= target < plan + 1
    assert amounts(cost.how) == [pytest.approx(assumed, abs=0.5), pytest.approx(beside, abs=0.5)]


def test_limits_on_time_and_money_round_up() -> None:
    assert (at_most(30_099.2, "JPY", "ja"), at_most(30_099, "JPY", "ja")) == ("30,100円", "30,099円")
    assert (at_most(12.291, "JPY", "en"), at_most(2.001, "USD", "en")) == ("JPY\xa012.30", "USD\xa02.01")
    for seconds, shown in ((0.501, "0.51秒"), (10.21, "10.3秒"), (10.3, "10.3秒"), (59.92, "1分0秒"), (93.1, "1分34秒"),
                           (7201, "2時間1分"), (200_000, "2日8時間")):  # fmt: skip
        assert duration(seconds, "ja", up=True) == shown


def test_small_amounts_add_up_over_the_months() -> None:
    assert exact(14.749, "JPY", "ja") == "14.75円" and exact(87.4, "JPY", "ja") == "87.40円"
    assert exact(100.4, "JPY", "ja") == "100円" and exact(0, "JPY", "ja") == "0円"


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_limits_of_the_rule_are_not_rounded(run: Run, lang: str) -> None:  # noqa: F811
    limits = Thresholds.model_validate({"go_npv": 1_254_321, "stop_npv": -14_999})
    report = compute(RoiInputs.from_run(run).model_copy(update={"thresholds": limits}), draws=10)
    text = read(run, lang, report)
    assert text.count("1,254,321") >= 3 and text.count("−14,999") >= 2, "rule, stages and meeting"
