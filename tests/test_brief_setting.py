"""What the brief says of a proof of concept's own choices: what was cut, what was left out, what random means."""

from __future__ import annotations

from html import unescape
from pathlib import Path

import pytest
from runs_for_tests import SEEDS, cell, run  # noqa: F401 (run is a fixture)
from test_poc import folder_of_images

from pocket.data.intake import CheckRecord
from pocket.presentation.brief import write_brief
from pocket.presentation.brief_setting import random_name, setting_lines
from pocket.presentation.i18n import number, translator
from pocket.runs import ArtefactError, Run
from pocket.runs.poc import Plan, PlanRecord
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
    assert str(plan.full_steps) in lines[t("brief.train_steps")]
    left = lines[t("brief.left_out")]
    assert found.images - found.usable == 2 and number(found.usable) in left and number(found.images) in left
    for kind in ("broken", "zero_bytes"):
        assert t(f"check.kind.{kind}.what", count=1) in left
    assert lines[t("brief.disputed")] == t("brief.none")
    page = unescape(write_brief(made, lang).read_text(encoding="utf-8"))
    assert all(label in page and value in page for label, value in lines.items())


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
