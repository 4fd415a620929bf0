"""What the brief says of a proof of concept's own choices: what was cut, what was left out, what random means."""

from __future__ import annotations

from html import unescape
from pathlib import Path

import pytest
from runs_for_tests import SEEDS, cell, run  # noqa: F401 (run is a fixture)
from test_poc import folder_of_images

from pocket.data.intake import CheckRecord
from pocket.data.intake.findings import Finding
from pocket.presentation.brief import write_brief
from pocket.presentation.brief_setting import random_name, setting_lines
from pocket.presentation.html import visible
from pocket.presentation.i18n import number, translator
from pocket.presentation.meeting import phrases
from pocket.presentation.problems import problem_table
from pocket.presentation.rollout import PLAN, introduction, stages
from pocket.roi import RoiInputs, RoiReport, alternatives, compute
from pocket.runs import ArtefactError, Run
from pocket.runs.poc import Plan, PlanRecord, is_trial
from pocket.runs.records import TrainingRecord, select
from pocket.workflows.check import check
from pocket.workflows.poc_plan import Asked, plan_of


@pytest.fixture
def planned(run: Run, tmp_path: Path) -> tuple[Run, Plan, CheckRecord]:  # noqa: F811
    """The run beside the check of a folder with a damaged and an empty image, and a plan that was cut for time."""
    images = folder_of_images(tmp_path / "images")
    (images / "kind 0" / "damaged.png").write_bytes((images / "kind 0" / "00.png").read_bytes()[:60])
    (images / "kind 1" / "empty.png").write_bytes(b"")
    found = check(images, out=run.folder, say=lambda line: None).record
    plan = plan_of(found, Asked()).model_copy(
        update={"resolution": 16, "size_by": "budget", "condense_steps": 750, "usual_steps": 1000}
    )
    run.save(PlanRecord(plan=plan), "plan.json")
    return run, plan, found


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_what_was_cut_and_left_out_stands_in_the_brief(planned: tuple[Run, Plan, CheckRecord], lang: str) -> None:
    made, plan, found = planned
    t, lines = translator(lang), dict(setting_lines(made, lang))
    assert lines[t("brief.resolution")] == t("brief.resolution_budget", used=16, chosen=plan.chosen)
    assert "750" in lines[t("brief.condense_steps")] and "1,000" in lines[t("brief.condense_steps")]
    assert str(plan.width) in lines[t("brief.network")]
    assert lines[t("brief.cropped")] == t("check.cropped"), "these are square"
    assert str(plan.full_steps) in lines[t("brief.train_steps")]
    left = lines[t("brief.left_out")]
    assert found.images - found.usable == 2 and number(found.usable) in left and number(found.images) in left
    for kind in ("broken", "zero_bytes"):
        assert t(f"check.kind.{kind}.what", count=1) in left
    assert lines[t("brief.disputed")] == t("brief.none")
    doubt = Finding(kind="suspect_weak", level="note", count=67, values={"agreement": 0.7})
    made.save(found.model_copy(update={"findings": (*found.findings, doubt)}), "check.json")
    lines = dict(setting_lines(made, lang))
    assert lines[t("brief.disputed")] == t("check.kind.suspect_weak.what", count=67)
    unsure = Finding(kind="unjudged", level="note", count=1, values={"agreement": 71, "largest": 71})
    apart = Finding(kind="group_disagrees", level="warn", count=16)
    made.save(found.model_copy(update={"findings": (*found.findings, unsure, apart)}), "check.json")
    lines = dict(setting_lines(made, lang))
    said = lines[t("brief.disputed")]
    assert t("check.kind.group_disagrees.what", count=16) in said, "what could not be judged is not 'none'"
    assert t("check.kind.unjudged.what", agreement=71, largest=71) in said
    page = unescape(write_brief(made, lang).read_text(encoding="utf-8"))
    assert all(label in page and value in page for label, value in lines.items())
    assert lang == "en" or ";" not in visible(page) + problem_table(found, "ja"), "a Japanese text has none"


def test_a_plan_as_it_should_be_says_no_cut(planned: tuple[Run, Plan, CheckRecord]) -> None:
    made, plan, _ = planned
    whole = plan.model_copy(update={"resolution": plan.chosen, "size_by": "check", "condense_steps": 1000})
    made.save(PlanRecord(plan=whole), "plan.json")
    lines, t = dict(setting_lines(made, "en")), translator("en")
    assert lines[t("brief.condense_steps")] == "1,000"
    assert lines[t("brief.resolution")] == f"{plan.chosen} × {plan.chosen} pixels"
    made.path("plan.json").write_text("{", encoding="utf-8")
    with pytest.raises(ArtefactError, match=r"plan\.json"):
        setting_lines(made, "en")


def test_a_run_of_the_tour_has_neither(run: Run) -> None:  # noqa: F811
    assert setting_lines(run, "en") == []


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_a_random_subset_in_tiles_is_called_so(run: Run, lang: str) -> None:  # noqa: F811
    t = translator(lang)
    page = unescape(write_brief(run, lang).read_text(encoding="utf-8"))
    assert t("alternative.random_tiles") in page and t("brief.random_tiles", views=4) in page
    record = TrainingRecord.load(run.path("training.json"))
    whole = tuple(c for c in record.cells if c.formation == 1)
    run.save(record.model_copy(update={"cells": whole}), "training.json")
    page = unescape(write_brief(run, lang).read_text(encoding="utf-8"))
    assert t("alternative.random_tiles") not in page and t("brief.random_whole") in page
    tiles = [cell("random", seed, formation=2) for seed in SEEDS]
    assert random_name(tiles, lang) == t("alternative.random_tiles")
    assert random_name(select(whole, method="random"), lang) == t("alternative.random")


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_after_a_trial_the_roll_out_begins_with_the_shadow_run(
    planned: tuple[Run, Plan, CheckRecord], lang: str
) -> None:
    made, _, _ = planned
    t, report = translator(lang), compute(RoiInputs.from_run(made), draws=10)
    start = report.inputs.start
    assert start is not None
    before, after = stages(report, lang), stages(report, lang, trial=True)
    assert [stage.name for stage in before] == [stage.name for stage in after]
    assert after[0].time == t("rollout.done") and after[1].time == before[0].time, "it begins when the trial would have"
    assert len({stage.time for stage in after}) == 4
    for verdict, key in (("go", "go"), ("pilot", "pilot"), ("stop", "stop"), ("stop", "random_better")):
        decision = report.decision.model_copy(
            update={"verdict": verdict, "reason": key if key == "random_better" else "npv_stop"}
        )
        changed = report.model_copy(update={"decision": decision})
        page = unescape(write_brief(made, lang, changed).read_text(encoding="utf-8"))
        assert introduction(changed, lang, trial=True) == t(f"rollout.text_{key}_trial") in page
        assert t("kpi.text_trial") in page and t("kpi.text") not in page
        assert (t("brief.next_pilot_trial") in page) == (key == "pilot")
        last = told_of(made, changed, lang)
        if key != "stop":
            owner = t(f"brief.owner_{PLAN['shadow'].owner}")
            assert last == t(f"meeting.next_{key}_trial", **({} if key == "random_better" else {"owner": owner}))


def told_of(made: Run, report: RoiReport, lang: str) -> str:
    _, condensed, random = alternatives(made.folder)
    return phrases(made, report, condensed, random, lang)[-1].answer


def test_a_tour_is_no_trial(run: Run) -> None:  # noqa: F811
    assert not is_trial(run)
    page = unescape(write_brief(run, "en").read_text(encoding="utf-8"))
    assert translator("en")("rollout.done") not in page and translator("en")("rollout.text_stop") in page
