"""The trainings that make the NPV zero, and what the decision would be there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from runs_for_tests import run  # noqa: F401 (fixture)

from pocket.presentation import meeting, roi_text
from pocket.presentation.i18n import LANGUAGES, about, translator
from pocket.roi import RoiInputs, RoiReport, Thresholds, alternatives, compute
from pocket.runs import Run


def cases(run: Run) -> dict[str, RoiInputs]:  # noqa: F811
    """Inputs that are a stop as entered, by what holds where the NPV is zero."""
    inputs = RoiInputs.from_run(run)
    dear = Thresholds.model_validate({"go_npv": 2e6, "stop_npv": 1e6})
    return {
        "payback_pilot": inputs,
        "random_better": inputs.with_base("map_random", inputs.map_condensed.base),
        "map_loss_stop": inputs.with_base("map_condensed", 0.7),
        "npv_stop": inputs.model_copy(update={"thresholds": dear}),
    }


def needed_line(report: RoiReport, lang: str) -> roi_text.Line:
    label = translator(lang)("roi.trainings_needed")
    return next(line for line in roi_text.key_figures(report, lang) if line.label == label)


@pytest.mark.parametrize("reason", ["payback_pilot", "random_better", "map_loss_stop", "npv_stop"])
def test_the_decision_at_the_trainings_needed_is_said_where_it_stays_stop(run: Run, reason: str) -> None:  # noqa: F811
    inputs = cases(run)[reason]
    report = compute(inputs, draws=10)
    assert report.decision.verdict == "stop" and report.trainings_needed is not None
    there = inputs.with_base("search_trials_per_month", 0).with_base("comparisons_per_month", 0)
    found = compute(there.with_base("retrainings_per_month", report.trainings_needed * (1 + 1e-6)), draws=10)
    assert 0 <= found.npv < 1e-3 * abs(report.npv)
    assert (report.trainings_needed_verdict, report.trainings_needed_reason) == (found.decision.verdict, reason)
    assert found.decision.reason == reason
    _, condensed, random = alternatives(run.folder)
    for lang in LANGUAGES:
        t, still = translator(lang), roi_text.still_stop(report, lang)
        answer = next(
            p for p in meeting.phrases(run, report, condensed, random, lang) if p.question == t("meeting.flip")
        )
        assert needed_line(report, lang).detail == still
        assert (still == "") == (reason == "payback_pilot")
        assert (
            (f"{still}{'。' if lang == 'ja' else '.'}" in answer.answer)
            if still
            else "the decision stays" not in (answer.answer)
        )
        assert not still or t("verdict.stop") in still
    if reason == "random_better":
        assert "無作為抽出のほうが有利なため、判定は見送りのままです" in roi_text.still_stop(report, "ja")


def test_what_is_not_stopped_now_does_not_stay_stopped(run: Run) -> None:  # noqa: F811
    report = compute(cases(run)["npv_stop"].with_base("workload_scale", 1e5).with_base("failure_cost", 1000), draws=10)
    assert report.decision.verdict != "stop" and report.trainings_needed_verdict == "stop"
    assert roi_text.still_stop(report, "en") == "" == needed_line(report, "en").detail


@pytest.mark.parametrize("lang", LANGUAGES)
def test_many_trainings_are_told_with_two_figures(run: Run, lang: str) -> None:  # noqa: F811
    report = compute(RoiInputs.from_run(run), draws=10)
    _, condensed, random = alternatives(run.folder)
    for count, said in (
        (2_512_345, {"en": "about 2.5\xa0million", "ja": "約250万"}),
        (25_123, {"en": "about 25,000", "ja": "約2.5万"}),
        (9_999.4, {"en": "9,999", "ja": "9,999"}),
    ):
        changed = report.model_copy(update={"trainings_needed": float(count)})
        answers = [phrase.answer for phrase in meeting.phrases(run, changed, condensed, random, lang)]
        assert any(said[lang] in answer for answer in answers) and said[lang] in needed_line(changed, lang).value
        assert count < 10_000 or not any(f"{count:,}" in answer for answer in answers)
    assert (about(1.26e9, "en"), about(1.26e9, "ja")) == ("about 1.3\xa0billion", "約13億")


def test_a_record_made_before_the_decision_there_was_kept_loads(run: Run, tmp_path: Path) -> None:  # noqa: F811
    report = compute(cases(run)["random_better"], draws=10)
    old = json.loads(report.to_json())
    del old["trainings_needed_verdict"], old["trainings_needed_reason"]
    (tmp_path / "roi.json").write_text(json.dumps(old), encoding="utf-8")
    loaded = RoiReport.load(tmp_path / "roi.json")
    assert (loaded.trainings_needed, loaded.trainings_needed_verdict) == (report.trainings_needed, None)
    assert roi_text.still_stop(loaded, "ja") == ""
