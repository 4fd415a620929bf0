"""Seconds of a busy machine: one disturbed training sets no money, and what disturbed it is said."""

from __future__ import annotations

import os
import shutil
from html import unescape

import pytest
from runs_for_tests import SEEDS, cell, run  # noqa: F401 (run is a fixture)

from pocket.presentation import poc_text
from pocket.presentation.brief import write_brief
from pocket.presentation.brief_evidence import busy_text, over_what
from pocket.presentation.i18n import seeds_of, texts, translator
from pocket.presentation.roi_html import static_html
from pocket.presentation.roi_text import note
from pocket.roi import RoiInputs, alternatives, compute, disturbed
from pocket.runs import Run
from pocket.runs.paths import kit_dir
from pocket.runs.provenance import BUSY, TAKEN, cpu_load
from pocket.runs.records import Cell, CondensationRecord, TrainingRecord
from pocket.runs.retrieval import MeanInterval

LANGUAGES = ("en", "ja")


def with_full(run: Run, *cells: Cell) -> Run:  # noqa: F811
    """The run with these cells in place of its full-data models."""
    record = TrainingRecord.load(run.path("training.json"))
    others = [c for c in record.cells if c.method != "full"]
    run.save(record.model_copy(update={"cells": (*cells, *others)}), "training.json")
    return run


def slowed(factor: float = 20.0) -> list[Cell]:
    """Three trainings on all data, the last of which something else has slowed down."""
    return [cell("full", seed, train_seconds=9.0 * (factor if seed == 2 else 1)) for seed in SEEDS]


def test_one_disturbed_training_does_not_set_the_seconds(run: Run) -> None:  # noqa: F811
    calm = compute(RoiInputs.from_run(run), draws=10)
    with_full(run, *slowed())
    inputs = RoiInputs.from_run(run)
    assert (inputs.seconds_full.low, inputs.seconds_full.base, inputs.seconds_full.high) == (9.0, 9.0, 180.0)
    assert inputs.seconds_teacher.base == 9.0
    before, after = (each.alternative("full").total for each in (calm, compute(inputs, draws=10)))
    assert after == pytest.approx(before, rel=0.05), "a mean would have made it seven times as much"
    assert note("seconds_full", inputs, "en") == "measured on cpu: the median of 3 seeds"
    assert "中央値" in note("seconds_full", inputs, "ja")
    assert note("map_full", inputs, "en") == "measured on cpu, 3 seeds, protocol digits-v1"


def test_of_one_seed_there_is_no_median(run: Run) -> None:  # noqa: F811
    for name, kind in (("training.json", TrainingRecord), ("condensation.json", CondensationRecord)):
        record = kind.load(run.path(name))
        run.save(record.model_copy(update={"cells": tuple(c for c in record.cells if c.seed == 0)}), name)
    assert note("seconds_full", RoiInputs.from_run(run), "en") == "measured on cpu, 1 seed, protocol digits-v1"


def test_equal_work_that_took_unequally_long_is_a_sign_and_other_work_is_none() -> None:
    assert disturbed([cell(method, seed) for method in ("full", "iem", "random") for seed in SEEDS]) is None
    found = disturbed(slowed(1.6))
    assert found is not None and found.seconds == (9.0, pytest.approx(14.4)) and found.load is None
    assert disturbed(slowed(1.4)) is None
    longer = [cell("full", 0, train_seconds=9), cell("full", 1, train_seconds=90, steps=6000)]
    assert disturbed(longer) is None, "ten times the steps may take ten times as long"
    short = [cell("full", 0, train_seconds=0.1), cell("full", 1, train_seconds=0.3)]
    assert disturbed(short) is None, "of tenths of a second the first start is a large part"
    condensing = [cell("iem", 0, condense_seconds=20), cell("iem", 1, condense_seconds=60)]
    found = disturbed(condensing)
    assert found is not None and found.seconds == (22.2, 62.2), "pool and condensing together"


@pytest.mark.parametrize("lang", LANGUAGES)
def test_page_one_console_and_panel_say_that_the_machine_was_busy(run: Run, lang: str) -> None:  # noqa: F811
    def page_one() -> str:
        text = unescape(write_brief(run, lang).read_text(encoding="utf-8"))
        return text[text.index("<body") : text.index("<nav")]

    t = translator(lang)
    marks = [t(f"brief.busy_{kind}", fastest="|", slowest="|", load="|").split("|")[0] for kind in ("apart", "load")]
    assert not any(mark in page_one() for mark in marks), "nothing disturbed it"
    with_full(run, *slowed())
    told = busy_text([c for each in alternatives(run.folder) for c in each], lang)
    assert told.startswith(marks[0]) and ("3 min 0 s" if lang == "en" else "3分0秒") in told
    assert told in page_one()
    assert told in unescape(static_html(compute(RoiInputs.from_run(run), draws=10), lang, run))
    mine = compute(RoiInputs.from_run(run).with_base("seconds_full", 500), draws=10)
    assert told not in unescape(static_html(mine, lang, run)), "seconds of one's own are not those that were disturbed"
    with_full(run, *(cell("full", seed, load=2.6 if seed == 1 else 1.0) for seed in SEEDS))
    assert ("260\N{NO-BREAK SPACE}%" if lang == "en" else "260%") in page_one()
    with_full(run, *(cell("full", seed, load=BUSY) for seed in SEEDS))
    assert not any(mark in page_one() for mark in marks), "training by itself fills every core"


@pytest.mark.parametrize("lang", LANGUAGES)
def test_a_busy_machine_is_announced_before_anything_is_trained(lang: str) -> None:
    assert poc_text.busy_line(None, lang) == poc_text.busy_line(TAKEN, lang) == ""
    assert "Ctrl-C" in poc_text.busy_line(1.5, lang) and "150" in poc_text.busy_line(1.5, lang)


def test_load_is_that_of_the_system_for_each_core(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    monkeypatch.setattr(os, "getloadavg", lambda: (6.0, 1.0, 1.0), raising=False)
    assert cpu_load() == 1.5
    monkeypatch.delattr(os, "getloadavg")
    assert cpu_load() is None, "Windows does not say"


def test_a_cell_of_an_older_kit_knows_no_load() -> None:
    assert Cell.model_validate({k: v for k, v in cell("full", 0).model_dump().items() if k != "load"}).load is None


def test_the_console_says_how_to_measure_again(run: Run) -> None:  # noqa: F811
    shutil.copy(kit_dir("data") / "sample_run" / "retrieval.json", run.path("retrieval.json"))
    for slow in (False, True):
        with_full(run, *slowed(20.0 if slow else 1.0))
        run.save(compute(RoiInputs.from_run(run), draws=10), "roi.json")
        said = list(poc_text.outcome_lines(run, "en"))
        assert (translator("en")("poc.again") in said) is slow and any("busy machine" in line for line in said) is slow


def test_one_seed_is_written_in_the_singular() -> None:
    assert (seeds_of(1, "en"), seeds_of(3, "en"), seeds_of(1, "ja")) == ("1 seed", "3 seeds", "シード1個")
    one = MeanInterval(mean=0.5, low=0.4, high=0.6, macro=0.5, queries=40, groups=20, seeds=1)
    assert over_what(one, "en").endswith("show, one seed")
    assert over_what(one.model_copy(update={"seeds": 3}), "en").endswith("show, 3 seeds averaged")
    for text in texts("en").values():
        assert "} seeds" not in text or text == "{count} seeds" or "averaged" in text, text
