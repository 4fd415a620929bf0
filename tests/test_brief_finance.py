"""What a financial controller reads in the brief: where a saving comes from, limits, labour, and when saving begins."""

from __future__ import annotations

import math
import re
from datetime import date
from html import unescape

import pytest
from runs_for_tests import cell, run  # noqa: F401 (run is a fixture)

from pocket.presentation.brief import write_brief
from pocket.presentation.brief_evidence import evidence_row, fewer_steps
from pocket.presentation.html import visible
from pocket.presentation.i18n import LANGUAGES, at_most, duration, exact
from pocket.presentation.rollout import kpis, no_saving, stages
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


def months_of(text: str, start: date) -> int:
    """Return how many months after ``start`` the month named in a Japanese text begins."""
    found = re.search(r"(\d{4})年(\d{1,2})月", text)
    assert found
    return (int(found[1]) - start.year) * 12 + int(found[2]) - start.month


@pytest.mark.parametrize("trial", [False, True])
@pytest.mark.parametrize("overlap", [None, 3, 4, 6.5])
def test_saving_begins_where_the_plan_switches_all_traffic(
    run: Run,  # noqa: F811
    overlap: float | None,
    trial: bool,
) -> None:
    inputs = RoiInputs.from_run(run)
    inputs = inputs if overlap is None else inputs.with_base("overlap_months", overlap)
    report, charged = compute(inputs, draws=10), inputs.overlap_months.base
    assert inputs.start is not None
    plan = stages(report, "ja", trial=trial)
    switch = months_of(plan[3].time, inputs.start)
    assert switch == math.ceil(charged), "the months that are charged are those before the switch"
    weeks = re.search(r"から(\d+)週間", plan[2].time)
    assert weeks and months_of(plan[2].time, inputs.start) + int(weeks[1]) / 4 == switch, "stage 3 ends there"
    # What the months before the switch save against all data is taken back at the start.
    full = report.alternative("full").monthly
    assert report.alternative("condensed").once["overlap"] == pytest.approx(
        charged * (full["training"] + full["energy"])
    )
    for lang in LANGUAGES:
        assert f"{charged:g}" in no_saving(report, lang, trial=trial)
        assert ("set that input" in no_saving(report, lang, trial=trial)) is False


@pytest.mark.parametrize("lang", LANGUAGES)
def test_an_overlap_shorter_than_the_plan_is_said(run: Run, lang: str) -> None:  # noqa: F811
    report = compute(RoiInputs.from_run(run).with_base("overlap_months", 1), draws=10)
    told = no_saving(report, lang)
    assert {"en": "set that input to 3", "ja": "3か月に直して"}[lang] in told and told in read(run, lang, report)
    agreed = compute(RoiInputs.from_run(run), draws=10)
    assert no_saving(agreed, lang) in read(run, lang, agreed) and "4" in no_saving(agreed, lang)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_labour_that_is_not_counted_is_said_with_what_it_would_cost(run: Run, lang: str) -> None:  # noqa: F811
    inputs = RoiInputs.from_run(run)
    text = read(run, lang)
    # 4 times a year at 60,000 a person-day.
    assert {"en": "add JPY\xa0240,000 a year", "ja": "年間24.0万円が加わります"}[lang] in text
    assert {"en": "and no people's time", "ja": "人手は含みません"}[lang] in text
    assert {"en": "Condensing again (machine time)", "ja": "再凝縮（計算時間）"}[lang] in text
    dear = compute(inputs.with_base("engineer_day_rate", 90_000).with_base("recondensations_per_year", 12), draws=10)
    assert {"en": "JPY\xa01.1 million a year", "ja": "1.1百万円"}[lang] in read(run, lang, dear).replace(
        "1.1\xa0m", "1.1 m"
    )
