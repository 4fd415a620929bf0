"""What a financial controller reads in the brief: where a saving comes from, limits, labour, and when saving begins."""

from __future__ import annotations

import csv
import math
import re
from datetime import date
from html import unescape
from pathlib import Path

import pytest
from runs_for_tests import cell, make_run, run  # noqa: F401 (run is a fixture)

from pocket.presentation import roi_html, roi_text
from pocket.presentation.brief import write_brief
from pocket.presentation.brief_evidence import evidence_row, fewer_steps
from pocket.presentation.html import visible
from pocket.presentation.i18n import LANGUAGES, at_most, duration, exact
from pocket.presentation.roi_files import write_roi
from pocket.presentation.rollout import kpis, no_saving, stages
from pocket.roi import RoiInputs, RoiReport, Thresholds, alternatives, compute
from pocket.runs import Run
from pocket.runs.records import TrainingRecord


def read(run: Run, lang: str, report: RoiReport | None = None) -> str:  # noqa: F811
    """Return what is read in the brief, white space as it is."""
    return unescape(visible(write_brief(run, lang, report).read_text(encoding="utf-8")))


def first_page(text: str, lang: str) -> str:
    return text[: text.index({"en": "In this brief", "ja": "目次"}[lang])]


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_first_page_says_what_of_the_saving_is_the_setting_of_fewer_steps(run: Run, lang: str) -> None:  # noqa: F811
    full, condensed, _ = alternatives(run.folder)
    report = compute(RoiInputs.from_run(run), draws=10)
    told = fewer_steps(report.inputs, full, condensed, lang)
    assert all(figure in told for figure in ("600", "200", "67")) and told in first_page(read(run, lang), lang)
    assert [evidence_row("", cells, lang).steps for cells in (full, condensed)] == ["600", "200"]
    assert fewer_steps(report.inputs, full, [cell("iem", 0, steps=600)], lang) == ""
    more = fewer_steps(report.inputs, full, [cell("iem", 0, steps=700)], lang)
    assert "700" in more and "67" not in more
    by_hand = compute(report.inputs.with_base("seconds_full", 20), draws=10)
    assert fewer_steps(by_hand.inputs, full, condensed, lang) == "", "nothing is known of the steps of those seconds"


def amounts(text: str) -> list[float]:
    """Return the amounts of yen in a text of either language."""
    written = re.findall(r"JPY\xa0([\d,.]*\d)|([\d,.]*\d)円", text)
    return [float((english or japanese).replace(",", "")) for english, japanese in written]


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("scale", [1, 37, 4000])
def test_no_limit_is_below_the_plan_and_each_names_what_it_holds(run: Run, lang: str, scale: float) -> None:  # noqa: F811
    inputs = RoiInputs.from_run(run).with_base("workload_scale", scale)
    allowing = Thresholds.model_validate({"go_npv": -1e12, "stop_npv": -1e12})
    report = compute(inputs.model_copy(update={"thresholds": allowing}), draws=10)
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


@pytest.mark.parametrize("lang", LANGUAGES)
def test_costs_that_do_not_pay_are_no_limit(run: Run, lang: str) -> None:  # noqa: F811
    report = compute(RoiInputs.from_run(run), draws=10)
    assert report.npv < report.inputs.thresholds.go_npv
    full, condensed, _ = alternatives(run.folder)
    (cost,) = [kpi for kpi in kpis(run, report, full, condensed, lang) if amounts(kpi.full)]
    assert not amounts(cost.target) and not amounts(stages(report, lang)[2].go)
    set_in = {"en": "set in stage 1", "ja": "第1段階"}[lang]
    assert set_in in cost.target and set_in in stages(report, lang)[2].go


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_first_page_says_what_the_npv_is_made_of(run: Run, lang: str) -> None:  # noqa: F811
    undiscounted = RoiInputs.from_run(run).with_base("discount_rate", 0)
    report = compute(undiscounted, draws=10)
    page = first_page(read(run, lang, report), lang)
    start = {"en": "NPV by part", "ja": "NPVの内訳"}[lang]
    (line,) = [line for line in page.splitlines() if start in line]
    found = [
        float(figure.replace(",", "").replace("−", "-"))
        for figure in re.findall(r"−?[\d,]+\.?\d*(?=円|[;,.] |\.$)", line)
    ]
    assert sum(found) == pytest.approx(report.npv, abs=len(found)), "without discounting the parts are the NPV"


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize(("loss", "said"), [(0.02, "go"), (0.08, "pilot"), (0.2, "stop")])
def test_the_loss_is_told_by_the_limit_that_it_meets(run: Run, lang: str, loss: float, said: str) -> None:  # noqa: F811
    inputs = RoiInputs.from_run(run)
    report = compute(inputs.with_base("map_condensed", inputs.map_full.base - loss), draws=10)
    page = first_page(read(run, lang, report), lang)
    told = {
        "go": ("within the 5.0", "満たしています"),
        "pilot": ("more than the 5.0", "満たしていません"),
        "stop": ("above the 15.0", "見送りの基準（15.0ポイント）を超えています"),
    }
    for case, texts in told.items():
        assert (texts[lang == "ja"] in page) == (case == said)


def test_limits_on_time_and_money_round_up() -> None:
    assert (at_most(30_099.2, "JPY", "ja"), at_most(30_099, "JPY", "ja")) == ("30,100円", "30,099円")
    assert (at_most(12.291, "JPY", "en"), at_most(2.001, "USD", "en")) == ("JPY\xa012.30", "USD\xa02.01")
    for seconds, shown in ((0.501, "0.51秒"), (10.21, "10.3秒"), (10.3, "10.3秒"), (59.92, "1分0秒"), (93.1, "1分34秒"),
                           (7201, "2時間1分"), (200_000, "2日8時間")):  # fmt: skip
        assert duration(seconds, "ja", up=True) == shown


def test_small_amounts_add_up_over_the_months() -> None:
    assert exact(14.749, "JPY", "ja") == "14.75円" and exact(87.4, "JPY", "ja") == "87.40円"
    assert exact(100.4, "JPY", "ja") == "100円" and exact(0, "JPY", "ja") == "0円"
    assert exact(58.998, "JPY", "ja") == "59円", "whole yen stand beside whole yen"


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


def test_no_more_months_are_said_to_be_charged_than_are(run: Run) -> None:  # noqa: F811
    report = compute(RoiInputs.from_run(run).with_base("overlap_months", 8).with_base("horizon_months", 6), draws=10)
    assert "for these 6 months" in no_saving(report, "en")


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


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_range_of_the_break_even_stands_on_the_first_page(run: Run, lang: str) -> None:  # noqa: F811
    report = compute(RoiInputs.from_run(run))
    ends = report.outcomes.break_even
    assert ends is not None and ends[0] is not None and ends[1] is not None
    assert report.break_even.trainings is not None and ends[0] < report.break_even.trainings < ends[1]
    low, high = (f"{end:.0f}" for end in ends if end is not None)
    shown = {"en": f"P10 to P90: {low} to {high}", "ja": f"P10〜P90：{low}〜{high}回"}
    drawn = {
        "en": "(seed 0) from triangular distributions",
        "ja": "三角分布により独立に変動させた2,000回の試算（乱数シード0）",
    }
    text = read(run, lang, report)
    assert shown[lang] in first_page(text, lang) and drawn[lang] in text


def test_a_break_even_that_some_draws_never_reach_is_open_or_never(run: Run) -> None:  # noqa: F811
    inputs = RoiInputs.from_run(run)
    near = inputs.with_base("seconds_condensed", 8.9)
    some = compute(near.with_end("seconds_condensed", "low", 8.6).with_end("seconds_condensed", "high", 12))
    assert some.outcomes.break_even is not None and some.outcomes.break_even[0] is not None
    assert some.outcomes.break_even[1] is None
    help_ = roi_text.key_figures(some, "en")[0].detail
    assert help_.startswith(f"P10: {some.outcomes.break_even[0]:.0f}, P90: never; ")
    slower = compute(inputs.with_base("seconds_condensed", 20))
    assert slower.outcomes.break_even == (None, None)
    assert roi_text.key_figures(slower, "ja")[0].detail.startswith("P10〜P90：いずれも回収できません／")
    old = slower.model_copy(update={"outcomes": slower.outcomes.model_copy(update={"break_even": None})})
    assert "P90" not in roi_text.key_figures(old, "en")[0].detail, "a record made before it was counted"


@pytest.mark.parametrize("lang", LANGUAGES)
def test_quality_and_its_limits_stand_beside_the_verdict(run: Run, lang: str) -> None:  # noqa: F811
    text = unescape(write_brief(run, lang).read_text(encoding="utf-8"))
    decision = text[text.index('class="decision"') : text.index('id="axes"')]
    assert all(f"{figure}{' points' if lang == 'en' else 'ポイント'}" in decision for figure in ("2.6", "5.0"))


@pytest.mark.parametrize("lang", LANGUAGES)
def test_tax_mean_and_commit_are_named(run: Run, lang: str) -> None:  # noqa: F811
    record = TrainingRecord.load(run.path("training.json"))
    made = record.provenance.model_copy(update={"commit": "0123456789ab+"})
    run.save(record.model_copy(update={"provenance": made}), "training.json")
    text = read(run, lang)
    tax = {"en": "consumption tax excluded, before corporate income tax", "ja": "消費税抜き、法人税等考慮前"}[lang]
    assert text.count(tax) == 2, "beside the NPV and above the fiscal years"
    assert {"en": "the mean over the horizon", "ja": "対象期間の平均です"}[lang] in text
    aside = {"en": " (with uncommitted changes)", "ja": "（未コミットの変更を含みます）"}
    assert f"0123456789ab+{aside[lang]}" in text


@pytest.mark.parametrize("lang", LANGUAGES)
def test_no_date_and_no_interval_breaks_over_lines(run: Run, lang: str) -> None:  # noqa: F811
    page = write_brief(run, lang).read_text(encoding="utf-8").split("<body")[1]
    texts = [part for i, part in enumerate(re.split(r"(<[^>]*>)", page)) if i % 2 == 0]
    tags = [part for i, part in enumerate(re.split(r"(<[^>]*>)", page)) if i % 2]
    day = {"en": r"\b[A-Z][a-z]+ 20\d\d\b", "ja": r"20\d\d年\d+月|\d+週間"}[lang]
    held = [texts[i] for i in range(1, len(texts)) if tags[i - 1] == '<span class="kept">']
    found = [re.search(day, text) for text in texts]
    assert len(held) >= 5 and all(text in held for text, date in zip(texts, found, strict=True) if date)
    assert all(re.search(day, text) for text in held)
    assert not re.search(r"± (?=\d)|\d ±|95 % int|\(95 %", page), "these hold no-break spaces"
    assert ".kept { white-space: nowrap; }" in run.path(f"brief.{lang}.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_fiscal_years_are_summed_up_to_the_npv(run: Run, lang: str) -> None:  # noqa: F811
    report = compute(RoiInputs.from_run(run), draws=10)
    heads, rows = roi_text.years(report, lang)
    assert heads[3] == {"en": "Saving (negative: added cost)", "ja": "削減額（マイナスは費用増）"}[lang]
    *years, total = rows
    assert len(years) == len(report.years) and total[0] == {"en": "Total (36 months)", "ja": "合計（36か月）"}[lang]
    full, condensed = (report.alternative(name).total for name in ("full", "condensed"))  # type: ignore[arg-type]
    sums = full, condensed, full - condensed, report.npv
    assert total[1:] == [exact(value, "JPY", lang) for value in sums]
    for place in range(1, 5):
        assert sum(amount_of(row[place]) for row in years) == pytest.approx(amount_of(total[place]), abs=2)
    panel = roi_html.outcome_html(report, lang)
    assert panel.count("<tr class=total>") == 1
    for page in (visible(panel), visible(write_brief(run, lang, report).read_text(encoding="utf-8"))):
        found = re.sub(r"\s+", "", unescape(page))
        assert re.sub(r"\s+", "", "".join(total)) in found and re.sub(r"\s+", "", heads[3]) in found


def amount_of(text: str) -> float:
    return float(re.sub(r"[^\d.−]", "", text).replace("−", "-"))


def test_without_a_start_there_are_no_fiscal_years_to_sum_up(run: Run) -> None:  # noqa: F811
    report = compute(RoiInputs.from_run(run).with_setting(start=None), draws=10)
    assert roi_text.years(report, "en") == ([], [])


@pytest.mark.parametrize("sample", [False, True])
def test_record_and_schedule_carry_mark_and_currency(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sample: bool
) -> None:
    monkeypatch.setenv("POCKET_HOME", str(tmp_path))
    made = make_run(sample=sample)
    report = write_roi(made)
    assert RoiReport.load(made.path("roi.json")).sample is sample and report.inputs.currency == "JPY"
    with made.path("roi.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(report.schedule)
    assert {(row["currency"], row["data"]) for row in rows} == {("JPY", "sample" if sample else "own")}
    assert [float(row["net"]) for row in rows] == [period.net for period in report.schedule]
