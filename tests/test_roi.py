"""The ROI model against hand-made cases, properties and numpy_financial."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from datetime import date
from functools import cache
from pathlib import Path

import numpy as np
import numpy_financial
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from runs_for_tests import cell, make_run, run  # noqa: F401 (run is a fixture)

from pocket.presentation import roi_text
from pocket.presentation.i18n import translator
from pocket.presentation.poc_text import ceiling_line
from pocket.roi import (
    SPECS,
    Estimate,
    InputError,
    RoiInputs,
    RoiReport,
    Thresholds,
    ceiling,
    ceiling_at,
    compute,
    differences,
    finance,
    load_scenario,
    monte_carlo,
    save_scenario,
    scenario_names,
)
from pocket.roi.uncertainty import _triangular
from pocket.runs import ArtefactError, Record, Run, provenance
from pocket.runs.paths import kit_dir
from pocket.runs.records import CondensationRecord, TrainingRecord
from pocket.runs.retrieval import MeanInterval, OverQueries, RetrievalComparison

MEASURED = {
    "seconds_full": (9.0, 9.25, 9.5),
    "seconds_condense": (23, 24, 25),
    "seconds_teacher": (9.0, 9.25, 9.5),
    "seconds_condensed": (2.9, 3.0, 3.1),
    "seconds_random": (2.8, 2.8, 2.9),
    "map_full": (0.97, 0.97, 0.97),
    "map_condensed": (0.92, 0.945, 0.96),
    "map_random": (0.9, 0.91, 0.92),
    "seconds_finetune": (2.9, 3.0, 3.1),
    "map_hybrid": (0.94, 0.955, 0.965),
    "bytes_full": (368e3, 368e3, 368e3),
    "bytes_condensed": (26e3, 26e3, 26e3),
}
CURRENCY_FIELDS = [name for name, spec in SPECS.items() if spec.unit.startswith("currency")]
amounts = st.floats(-1e6, 1e6, allow_nan=False)


def estimate(name: str, low: float, base: float, high: float) -> Estimate:
    return Estimate(low=low, base=base, high=high, unit=SPECS[name].unit)


@cache
def example() -> RoiInputs:
    return RoiInputs.model_validate({name: estimate(name, *values) for name, values in MEASURED.items()})


def changed(inputs: RoiInputs, **bases: float) -> RoiInputs:
    for name, value in bases.items():
        inputs = inputs.with_base(name, value)
    return inputs


def paying() -> RoiInputs:
    """Large enough to pay, and with failures dear enough that a random subset is worth less."""
    return changed(example(), workload_scale=5000, searches_per_month=1e6, failure_cost=10).model_copy(
        update={"thresholds": Thresholds.model_validate({"go_payback_months": 60})}
    )


@given(st.lists(amounts, min_size=1, max_size=60), st.floats(0, 0.9))
def test_npv_agrees_with_numpy_financial(flows: list[float], rate: float) -> None:
    expected = numpy_financial.npv((1 + rate) ** (1 / 12) - 1, flows)
    assert math.isclose(finance.npv(flows, rate), expected, rel_tol=1e-9, abs_tol=1e-6)


@given(st.floats(1, 1e5), st.floats(1, 1e5), st.integers(2, 60))
def test_irr_makes_the_npv_zero_and_agrees_with_numpy_financial(paid: float, earned: float, months: int) -> None:
    flows = [-paid] + [earned] * months
    found = finance.irr(flows)
    if found.yearly is None:
        assert found.reason == "out_of_range"
        return
    monthly = finance.monthly_rate(found.yearly)
    weights = (1 + monthly) ** -np.arange(months + 1)
    assert abs(np.dot(flows, weights)) < 1e-6 * np.dot(np.abs(flows), weights)
    oracle = numpy_financial.irr(flows)
    if -0.2 < monthly < 0.5 and math.isfinite(oracle):
        assert math.isclose(monthly, oracle, rel_tol=1e-6, abs_tol=1e-8)


@pytest.mark.parametrize(
    ("flows", "reason"),
    [
        ([1.0, 2.0], "no_sign_change"),
        ([0.0, 0.0], "no_sign_change"),
        ([-1.0, 5.0, -6.0], "several_sign_changes"),
    ],
)
def test_irr_says_why_there_is_none(flows: list[float], reason: str) -> None:
    assert finance.irr(flows) == (None, reason)


@given(st.lists(amounts, min_size=1, max_size=40))
def test_discounting_at_zero_changes_nothing(flows: list[float]) -> None:
    assert math.isclose(finance.npv(flows, 0.0), math.fsum(flows), abs_tol=1e-6)
    assert finance.payback(flows, 0.0) == finance.payback(flows)


def test_payback_counts_an_exact_repayment() -> None:
    assert finance.payback([-0.3, 0.1, 0.1, 0.1]) == 3
    assert finance.payback([-100.0, 50.0, 50.0], 0.1) is None


@given(st.floats(0, 1e6), st.floats(0, 1e6), st.floats(0, 1e6))
def test_break_even_is_where_the_costs_meet(one_off: float, full: float, condensed: float) -> None:
    found = finance.break_even(one_off, full, condensed)
    if full <= condensed:
        assert found is None
    elif found is not None:
        assert math.isclose(found * full, one_off + found * condensed, rel_tol=1e-6, abs_tol=1e-6)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: finance.npv([], 0.1), "flows has shape"),
        (lambda: finance.npv([1.0, math.nan], 0.1), r"flows\[1\]"),
        (lambda: finance.npv([1.0], -1.0), "yearly = -1.0 is outside the allowed range"),
        (lambda: finance.break_even(-1, 2, 1), "one_off = -1 is outside"),
        (lambda: monte_carlo(example(), draws=0), "draws = 0 is outside the allowed range 1 to"),
        (lambda: example().with_base("nope", 1), "unknown input 'nope'"),
    ],
)
def test_bad_arguments_are_named(call: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call()  # type: ignore[operator]


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_money_is_conserved(data: st.DataObject) -> None:
    inputs = example()
    for name in (
        "retrainings_per_month",
        "comparisons_per_month",
        "code_lengths",
        "migration_days",
        "recondensations_per_year",
        "failure_cost",
        "horizon_months",
    ):
        top = min(SPECS[name].maximum, 1000)
        inputs = inputs.with_base(name, data.draw(st.integers(int(SPECS[name].minimum), int(top)), name))
    report = compute(inputs, draws=10)
    full, condensed = report.alternative("full"), report.alternative("condensed")
    size = max(full.total, condensed.total, 1.0)
    assert len(report.schedule) == inputs.horizon_months.base + 1
    for one in report.alternatives:
        # Doing nothing loses more every month; its monthly cost is the mean.
        parts = sum(one.once.values()) + inputs.horizon_months.base * sum(one.monthly.values())
        assert math.isclose(parts, one.total, rel_tol=1e-9)
    net = math.fsum(period.net for period in report.schedule)
    assert abs(net - (full.total - condensed.total)) < 1e-9 * size
    assert abs(report.schedule[-1].cumulative_discounted - report.npv) < 1e-9 * size
    assert abs(condensed.npv - report.npv) < 1e-9 * size
    assert full.npv == 0


@settings(max_examples=30, deadline=None)
@given(st.floats(0.01, 10))
def test_another_currency_scales_money_and_nothing_else(factor: float) -> None:
    before = paying()
    after = before
    for name in CURRENCY_FIELDS:
        after = after.with_base(name, before.estimate(name).base * factor)
    old, new = compute(before, draws=10), compute(after, draws=10)
    assert math.isclose(new.npv, old.npv * factor, rel_tol=1e-9)
    assert (new.payback, new.break_even) == (old.payback, old.break_even)
    assert new.decision.verdict == old.decision.verdict


@pytest.mark.parametrize(("seconds", "reason"), [(9.25, "equally_long"), (9.3, "no_saving")])
def test_no_faster_training_never_pays(seconds: float, reason: str) -> None:
    report = compute(changed(example(), seconds_condensed=seconds))
    assert report.break_even.trainings is None
    assert report.trainings_needed is None
    assert (report.payback, report.payback_discounted, report.irr) == (None, None, None)
    assert (report.decision.verdict, report.decision.reason) == ("stop", reason)


def equal_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slower: float) -> Run:
    """A run whose trainings all take 300 steps, and whose clock favours one side: full data takes ``slower`` times."""
    monkeypatch.setenv("POCKET_HOME", str(tmp_path))
    made = make_run()
    for name, kind in (("training.json", TrainingRecord), ("condensation.json", CondensationRecord)):
        record = kind.load(made.path(name))
        cells = tuple(
            c.model_copy(update={"steps": 300, "train_seconds": (3 + c.seed) * (slower if c.method == "full" else 1)})
            for c in record.cells
        )
        made.save(record.model_copy(update={"cells": cells}), name)
    return made


@pytest.mark.parametrize("slower", [0.8, 1.25])
def test_equal_steps_save_nothing_whatever_the_clock_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slower: float
) -> None:
    inputs = RoiInputs.from_run(equal_run(tmp_path, monkeypatch, slower))
    for name in ("seconds_full", "seconds_condensed", "seconds_random"):
        found = inputs.estimate(name)
        assert found.low == found.base == found.high == pytest.approx(4 * slower)
        assert (found.source, found.note) == ("measured", "equal_steps")
    assert inputs.map_full.note == "measured"
    report = compute(inputs.with_base("workload_scale", 1e6))
    assert (report.decision.verdict, report.decision.reason, report.decision.flip) == ("stop", "equally_long", None)
    assert report.axes.training_time_reduction == 0 and report.break_even.trainings is None
    assert report.outcomes.p_negative == 1, "no draw lets noise pay, however large the training"
    assert not {"seconds_full", "seconds_condensed", "seconds_random"} & {row.input for row in report.tornado}


def random_run(run: Run, **changes: object) -> RoiInputs:  # noqa: F811
    """The inputs of the run with other trainings of the random subset, tiles: condensed ones take 2.9, 3.0 and 3.1."""
    cells = [cell("full", seed) for seed in (0, 1, 2)]
    cells += [cell("random", seed, formation=2, map=0.912, **changes) for seed in (0, 1, 2)]
    run.save(TrainingRecord(cells=tuple(cells), provenance=provenance()), "training.json")
    return RoiInputs.from_run(run)


@pytest.mark.parametrize("seconds", [2.0, 4.0])
def test_one_time_stands_for_equal_small_sets_whatever_the_clock_says(run: Run, seconds: float) -> None:  # noqa: F811
    inputs, names = random_run(run, train_seconds=seconds), ("seconds_condensed", "seconds_random")
    middle = (2.9 + 2.0) / 2 if seconds < 3 else (3.1 + 4.0) / 2
    for name in names:
        found = inputs.estimate(name)
        assert found.low == found.base == found.high == pytest.approx(middle)
        assert (found.source, found.note) == ("measured", "equal_sets")
        assert all("{" not in roi_text.note(name, inputs, lang) for lang in ("en", "ja"))
    assert inputs.seconds_full.low < inputs.seconds_full.high, "full data take more steps: their time is their own"
    report = compute(changed(inputs, workload_scale=1e6), draws=10)
    monthly = [report.alternative(name).monthly["training"] for name in ("condensed", "random")]  # type: ignore[arg-type]
    assert monthly[0] == monthly[1]
    assert not set(names) & {row.input for row in report.tornado}
    assert report.decision.flip is None or report.decision.flip.input not in names


@pytest.mark.parametrize("changes", [{"steps": 210}, {"images": 99}])
def test_unequal_trainings_are_taken_as_measured(run: Run, changes: dict[str, object]) -> None:  # noqa: F811
    inputs = random_run(run, train_seconds=2.8, **changes)
    found = inputs.seconds_full, inputs.seconds_condensed, inputs.seconds_random
    assert [e.base for e in found] == pytest.approx([9.25, 3.0, 2.8])
    assert [e.note for e in found] == ["median"] * 3
    assert found[0].low < found[0].high and found[1].low < found[1].high


@pytest.mark.parametrize("seconds", [9.25, 9.3])
def test_where_no_training_gets_shorter_the_verdict_never_contradicts_the_money(seconds: float) -> None:
    inputs = changed(example(), seconds_condensed=seconds, map_condensed=0.9, map_full=0.9, map_random=0.5)
    inputs = changed(inputs, bytes_full=1e15, bytes_condensed=1e9, failure_cost=100)
    kept, deleted = (compute(inputs.with_setting(keep_full_data=keep), draws=10) for keep in (True, False))
    assert kept.npv < 0 and kept.decision.reason in ("equally_long", "no_saving")
    assert deleted.npv > 0 and (deleted.decision.verdict, deleted.decision.reason) == ("go", "all_met")


def test_no_more_can_be_saved_than_training_on_all_data_costs() -> None:
    inputs = changed(example(), workload_scale=5000, kwh_price=30)
    full = compute(inputs, draws=10).alternative("full")
    most = ceiling(inputs)
    assert most.amount == pytest.approx(36 * (full.monthly["training"] + full.monthly["energy"]))
    free = changed(inputs, seconds_condensed=1e-3, seconds_condense=0, map_condensed=inputs.map_full.base)
    free = changed(
        free,
        migration_days=0,
        monitoring_days_per_month=0,
        discount_rate=0,
        recondensations_per_year=0,
        overlap_months=0,
    )
    assert 0.99 * most.amount < compute(free, draws=10).npv <= most.amount
    deleted = free.with_setting(keep_full_data=False).with_base("bytes_full", 1e12).with_base("bytes_condensed", 0)
    more = ceiling(deleted)
    assert more.deleted and not most.deleted
    assert most.amount < compute(deleted, draws=10).npv <= more.amount, "storage that ends is saved, too"
    default = ceiling_at(9.25)
    assert default.amount == pytest.approx(36 * 50 * 9.25 / 3600 * 500) == pytest.approx(ceiling(example()).amount)


def test_the_plan_and_the_brief_mean_the_same_ceiling(run: Run) -> None:  # noqa: F811
    inputs = RoiInputs.from_run(run)
    seconds = inputs.seconds_full.base
    assert ceiling_at(seconds).amount == pytest.approx(ceiling(inputs).amount), "of the same seconds the same figure"
    assert ceiling_at(2 * seconds).amount == pytest.approx(2 * ceiling(inputs).amount), "they differ by these alone"
    mine = inputs.with_base("compute_price", 700).with_base("workload_scale", 40).with_setting(keep_full_data=False)
    assert ceiling_at(seconds, mine) == ceiling(mine), "a plan takes the figures that were entered before it"
    assert ceiling_at(seconds, mine).seconds == pytest.approx(40 * seconds)
    entered = mine.with_base("seconds_full", 500)
    assert ceiling_at(seconds, entered) == ceiling(entered), "seconds entered by hand count in the brief, too"
    for lang in ("en", "ja"):
        line = ceiling_line(seconds, lang, mine, measured=True)
        assert roi_text.ceiling_line(compute(mine, draws=10), lang).value in line
        assert translator(lang)("poc.ceiling_storage") in line
        assert translator(lang)("poc.ceiling_storage") not in ceiling_line(seconds, lang)


def test_the_measured_mini_run_does_not_pay_and_says_what_would() -> None:
    report = compute(example())
    assert report.decision.verdict == "stop"
    assert report.trainings_needed is not None
    only = changed(
        example(), search_trials_per_month=0, comparisons_per_month=0, retrainings_per_month=report.trainings_needed
    )
    at_zero = compute(only, draws=10)
    assert at_zero.trainings_per_month == pytest.approx(report.trainings_needed)
    assert abs(at_zero.npv) < 1e-6 * abs(report.npv)


def test_break_even_counts_the_teacher_only_where_asked() -> None:
    without = compute(example(), draws=10).break_even.trainings
    counted = compute(example().model_copy(update={"count_teacher": True}), draws=10).break_even.trainings
    # Four re-condensations a year over 50 trainings a month take from what each training saves.
    assert without == pytest.approx(24 / (6.25 - 24 * 4 / 12 / 50))
    assert counted == pytest.approx(33.25 / (6.25 - 33.25 * 4 / 12 / 50))
    rare = changed(example(), recondensations_per_year=12, search_trials_per_month=0, comparisons_per_month=0)
    assert compute(changed(rare, retrainings_per_month=1), draws=10).break_even.trainings is None, "24 s to save 6.25"


def test_decision_changes_at_the_flip_and_not_before() -> None:
    report = compute(paying())
    assert report.decision.verdict == "go"
    flip = report.decision.flip
    assert flip is not None
    inputs = report.inputs
    assert compute(inputs.with_base(flip.input, flip.value), draws=10).decision.verdict == flip.verdict != "go"
    nearly = flip.base + (flip.value - flip.base) * 0.99
    assert compute(inputs.with_base(flip.input, nearly), draws=10).decision.verdict == "go"


@pytest.mark.parametrize(
    ("bases", "verdict", "reason"),
    [
        ({"map_condensed": 0.7}, "stop", "map_loss_stop"),
        ({"map_condensed": 0.90}, "stop", "random_better"),
        ({"migration_days": 9000}, "stop", "npv_stop"),
    ],
)
def test_reasons(bases: dict[str, float], verdict: str, reason: str) -> None:
    found = compute(changed(paying(), **bases), draws=10).decision
    assert (found.verdict, found.reason) == (verdict, reason)


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        ({"go_map_loss": 0.01}, "map_loss_pilot"),
        ({"go_npv": 1e9}, "npv_pilot"),
        ({"go_payback_months": 1}, "payback_pilot"),
    ],
)
def test_between_the_limits_is_a_pilot(limits: dict[str, float], reason: str) -> None:
    thresholds = Thresholds.model_validate(limits)
    found = compute(paying().model_copy(update={"thresholds": thresholds}), draws=10).decision
    assert (found.verdict, found.reason) == ("pilot", reason)


def test_tornado_rows_are_what_compute_gives_at_the_ends() -> None:
    report = compute(paying())
    row = report.tornado[0]
    assert abs(row.npv_high - row.npv_low) == max(abs(r.npv_high - r.npv_low) for r in report.tornado)
    assert compute(report.inputs.with_base(row.input, row.high), draws=10).npv == pytest.approx(row.npv_high)


def test_range_of_outcomes_is_seeded_and_ordered() -> None:
    first, again, other = (monte_carlo(paying(), 500, seed) for seed in (1, 1, 2))
    assert first == again != other
    assert first.p10 <= first.p50 <= first.p90
    assert 0 <= first.p_negative <= 1


@pytest.mark.parametrize("name", SPECS)
def test_every_input_refuses_what_is_out_of_range(name: str) -> None:
    spec = SPECS[name]
    for value in (spec.minimum - 1, spec.maximum * 2 + 1, math.nan):
        with pytest.raises(InputError, match=f"{name} = .* is outside the allowed range") as caught:
            example().with_base(name, value)
        assert (caught.value.field, caught.value.minimum, caught.value.maximum) == (
            name,
            spec.minimum,
            spec.maximum,
        )
    bad = example().model_dump() | {name: {**example().estimate(name).model_dump(), "low": spec.minimum - 1}}
    with pytest.raises(ValueError, match=f"{name} = .* is outside the allowed range"):
        RoiInputs.model_validate(bad)


def test_other_currency_needs_its_own_prices() -> None:
    measured = {name: example().estimate(name) for name in MEASURED}
    with pytest.raises(ValueError, match="the default prices are in JPY; set compute_price"):
        RoiInputs.model_validate(measured | {"currency": "USD"})
    with pytest.raises(ValueError, match="three letters"):
        RoiInputs.model_validate(measured | {"currency": "yen"})


def test_thresholds_must_be_ordered() -> None:
    with pytest.raises(ValueError, match=r"stop_npv = 5 is outside the allowed range: go_npv \(1\) or less"):
        Thresholds.model_validate({"go_npv": 1, "stop_npv": 5})
    with pytest.raises(ValueError, match="stop_map_loss"):
        Thresholds.model_validate({"go_map_loss": 0.2, "stop_map_loss": 0.1})


def test_inputs_come_from_the_records_of_the_run(run: Run) -> None:  # noqa: F811
    inputs = RoiInputs.from_run(run)
    assert (inputs.ipc, inputs.dataset) == (10, "digits")
    assert inputs.seconds_condense.base == pytest.approx(2.2 + 22)
    assert (inputs.seconds_full.low, inputs.seconds_full.high) == (9.0, 9.5)
    assert inputs.map_random.base == pytest.approx(0.917), "the stronger random subset is the comparator"
    assert inputs.map_condensed.low < inputs.map_condensed.base < inputs.map_condensed.high
    unmeasured = {"seconds_finetune", "map_hybrid"}
    assert {inputs.estimate(name).source for name in MEASURED.keys() - unmeasured} == {"measured"}
    assert {inputs.estimate(name).source for name in unmeasured} == {"assumption"}, "hybrid operation was not run"
    assert inputs.map_hybrid.base == inputs.map_condensed.base, "no gain is assumed where none was measured"
    assert {e.source for name, s in SPECS.items() if s.group != "measured" and (e := inputs.estimate(name))} == {
        "assumption"
    }
    assert RoiInputs.from_run(run.folder) == RoiInputs.from_run(str(run.folder)) == inputs
    with pytest.raises(ValueError, match=r"ipc = 7 was not condensed in this run; choose one of 1, 10"):
        RoiInputs.from_run(run, ipc=7)
    with pytest.raises(ValueError, match="no random subset of 1 images"):
        RoiInputs.from_run(run, ipc=1)


def test_remeasured_keeps_what_the_user_set(run: Run) -> None:  # noqa: F811
    mine = RoiInputs.from_run(run).with_base("seconds_full", 100).with_base("failure_cost", 7)
    fresh = [cell("iem", seed, condense_seconds=50) for seed in (0, 1, 2)]
    run.save(CondensationRecord(cells=tuple(fresh), provenance=provenance()), "condensation.json")
    again = mine.remeasured(run)
    assert again.seconds_condense.base == pytest.approx(52.2)
    assert (again.seconds_full.base, again.failure_cost.base) == (100, 7)


def test_cells_of_different_settings_are_refused(run: Run) -> None:  # noqa: F811
    mixed = (*TrainingRecord.load(run.path("training.json")).cells, cell("full", 9, dataset="other"))
    run.save(TrainingRecord(cells=mixed, provenance=provenance()), "training.json")
    with pytest.raises(ValueError, match="not comparable"):
        RoiInputs.from_run(run)


def test_trainings_are_retraining_search_and_comparisons() -> None:
    inputs = changed(
        example(), retrainings_per_month=2, search_trials_per_month=5, comparisons_per_month=0.5, code_lengths=4,
        hashing_methods=3, seeds=2,
    )  # fmt: skip
    report = compute(inputs, draws=10)
    assert report.trainings_per_month == pytest.approx(2 + 5 + 0.5 * 4 * 3 * 2)
    assert report.alternative("full").monthly["training"] == pytest.approx(19 * 9.25 / 3600 * 500)


def test_the_hybrid_is_the_condensed_set_and_its_fine_tuning() -> None:
    same = changed(paying(), map_hybrid=paying().map_condensed.base)
    report = compute(same, draws=10)
    condensed, hybrid = report.alternative("condensed"), report.alternative("hybrid")
    tuning = 4 * 3.0 * 5000 / 3600 * 500
    assert hybrid.monthly.pop("finetuning") == pytest.approx(tuning)
    assert (hybrid.once, hybrid.monthly) == (condensed.once, condensed.monthly)
    assert compute(changed(same, finetunes_per_month=0), draws=10).alternative("hybrid").npv == pytest.approx(
        report.npv
    )
    better = compute(changed(same, map_hybrid=0.97, finetunes_per_month=0), draws=10)
    assert better.alternative("hybrid").npv > better.npv > 0
    assert "hybrid" in better.decision.better
    without = compute(same.with_setting(keep_full_data=False), draws=10)
    kept = without.alternative("hybrid").monthly["storage"] - without.alternative("condensed").monthly["storage"]
    assert kept == pytest.approx(5000 * 0.05 * 368e3 / 1e9 * 4), "the real images that fine-tuning needs are kept"


def test_the_overlap_of_the_roll_out_is_paid_once_by_all_that_replaces_full_data() -> None:
    none = compute(changed(paying(), overlap_months=0, kwh_price=27), draws=10)
    some = compute(changed(none.inputs, overlap_months=2.5), draws=10)
    full = none.alternative("full").monthly
    paid = 2.5 * (full["training"] + full["energy"])
    assert paid > 0
    for name in ("condensed", "random", "hybrid"):
        before, after = none.alternative(name), some.alternative(name)
        assert after.once["overlap"] == pytest.approx(paid) and before.once["overlap"] == 0
        assert after.npv == pytest.approx(before.npv - paid) and after.monthly == before.monthly
    assert some.alternative("full") == none.alternative("full")
    assert some.npv == pytest.approx(none.npv - paid)
    assert some.break_even == none.break_even, "it repays the making of the set, in machine time"
    hours = 2.5 * some.trainings_per_month * 9.25 / 3600 * 5000
    assert some.energy.kwh_condensed == pytest.approx(none.energy.kwh_condensed + hours * 0.3)


def test_no_more_overlap_is_paid_than_the_horizon_holds() -> None:
    whole, beyond = (
        compute(changed(paying(), horizon_months=6, overlap_months=months), draws=10) for months in (6, 60)
    )
    assert whole.alternative("condensed").once["overlap"] > 0
    assert [a.once for a in beyond.alternatives] == [a.once for a in whole.alternatives]
    assert (beyond.npv, beyond.energy) == (whole.npv, whole.energy)


@pytest.mark.parametrize(("overlap", "month"), [(0, date(2027, 2, 1)), (4, date(2027, 6, 1)), (2.5, date(2027, 5, 1))])
def test_the_date_of_the_break_even_counts_from_the_switch(overlap: float, month: date) -> None:
    few = changed(example(), search_trials_per_month=0, comparisons_per_month=0, recondensations_per_year=0)
    # 24 s are repaid by 3.84 trainings of 6.25 s less; with 2.5 a month that is in the second month that saves.
    inputs = changed(few, retrainings_per_month=2.5, overlap_months=overlap).with_setting(start=date(2027, 1, 1))
    found = compute(inputs, draws=10).break_even
    assert (found.trainings, found.months) == pytest.approx((3.84, 1.536)), "the overlap changes none of them"
    assert found.date == month


def test_doing_nothing_costs_a_quality_that_falls_month_by_month() -> None:
    inputs = changed(paying(), horizon_months=3, map_decay_per_month=0.01, discount_rate=0)
    nothing = compute(inputs, draws=10).alternative("nothing")
    lost = [1e6 * 0.001 * points * 10 for points in (1, 2, 3)]
    storage = 5000 * 368e3 / 1e9 * 4
    assert nothing.total == pytest.approx(sum(lost) + 3 * storage)
    assert nothing.map == pytest.approx(0.94)
    full = compute(inputs, draws=10).alternative("full")
    assert nothing.npv == pytest.approx(full.total - nothing.total)
    never_worse = compute(changed(inputs, map_decay_per_month=0), draws=10)
    assert never_worse.alternative("nothing").map == pytest.approx(0.97)
    assert "nothing" in never_worse.decision.better, "the report says where not training at all is worth more"


def test_fiscal_years_hold_every_month_once() -> None:
    inputs = paying().with_setting(start=date(2026, 12, 1))
    report = compute(inputs, draws=10)
    assert [(year.year, year.months) for year in report.years] == [(2026, 4), (2027, 12), (2028, 12), (2029, 8)]
    for name in ("full", "condensed", "net", "discounted"):
        total = math.fsum(getattr(period, name) for period in report.schedule)
        assert math.fsum(getattr(year, name) for year in report.years) == pytest.approx(total)
    calendar = compute(inputs.with_setting(fiscal_year_month=1), draws=10).years
    assert [(year.year, year.months) for year in calendar] == [(2026, 1), (2027, 12), (2028, 12), (2029, 11)]
    march = compute(inputs.with_setting(start=date(2027, 3, 1)), draws=10).years
    assert (march[0].year, march[0].months) == (2026, 1)
    assert compute(example(), draws=10).years == (), "without a start there are no dates"


def test_the_default_ranges_hold_the_base_of_the_sample_between_p10_and_p90() -> None:
    report = compute(RoiInputs.from_run(kit_dir("data") / "sample_run"))
    assert report.outcomes.p10 < report.npv < report.outcomes.p90


def test_the_fan_ends_in_the_range_of_outcomes() -> None:
    fixed = paying().model_copy(
        update={"horizon_months": paying().with_end("horizon_months", "high", 36).horizon_months}
    )
    fixed = fixed.with_end("horizon_months", "low", 36)
    found = monte_carlo(fixed, 2000)
    first, last = found.fan[0], found.fan[-1]
    assert (first.month, last.month) == (0, 36)
    assert (last.p10, last.p50, last.p90) == pytest.approx((found.p10, found.p50, found.p90))
    assert all(point.p10 <= point.p50 <= point.p90 for point in found.fan)
    assert first.p90 <= 0, "month 0 holds what is paid once"


@pytest.mark.parametrize("months", [24, 36])
def test_the_fan_ends_at_the_horizon_that_was_entered(months: int) -> None:
    inputs = paying().with_base("horizon_months", months)
    assert inputs.horizon_months.high > months
    report = compute(inputs, draws=200)
    assert report.outcomes.fan[-1].month == months == len(report.schedule) - 1


def test_limits_and_ends_are_changed_within_what_the_others_leave() -> None:
    inputs = example().with_end("migration_days", "high", 12).with_threshold("go_npv", 1e6)
    assert inputs.migration_days.high == 12 and inputs.thresholds.go_npv == 1e6
    assert inputs.migration_days.base == example().migration_days.base
    for call, field, low, high in (
        (lambda: inputs.with_end("migration_days", "low", 11), "migration_days", 0, 10),
        (lambda: inputs.with_threshold("stop_npv", 2e6), "stop_npv", -1e15, 1e6),
        (lambda: inputs.with_threshold("stop_map_loss", 0.01), "stop_map_loss", 0.05, 1),
        (lambda: inputs.with_threshold("go_payback_months", 0), "go_payback_months", 1, 120),
    ):
        with pytest.raises(InputError) as caught:
            call()
        assert (caught.value.field, caught.value.minimum, caught.value.maximum) == (field, low, high)
    with pytest.raises(ValueError, match="unknown threshold 'nope'"):
        inputs.with_threshold("nope", 1)
    with pytest.raises(ValueError, match="unknown setting currency"):
        inputs.with_setting(currency="EUR")


def test_a_price_names_vendor_and_date() -> None:
    with pytest.raises(ValueError, match="must name the vendor and the date"):
        Estimate(low=1, base=1, high=1, unit="watts", source="price", note="the usual")


def test_scenarios_are_saved_loaded_and_compared(tmp_path: Path) -> None:
    base, dear = example(), changed(example(), compute_price=900)
    save_scenario(tmp_path, "今期", base)
    save_scenario(tmp_path, "dear GPU", dear)
    assert scenario_names(tmp_path) == ["dear GPU", "今期"]
    assert load_scenario(tmp_path, "今期") == base
    assert differences({"a": base, "b": dear}) == {"compute_price": (500, 900)}
    for bad in ("../up", "a/b", "", " a", ".hidden", "x" * 61, "a\nb"):
        with pytest.raises(ValueError, match="cannot name a scenario"):
            save_scenario(tmp_path, bad, base)
    with pytest.raises(ArtefactError, match="is missing"):
        load_scenario(tmp_path, "other")
    assert {path.name for path in tmp_path.iterdir()} == {"今期.roi.json", "dear GPU.roi.json"}


def test_fixing_one_input_leaves_the_draws_of_the_others_alone() -> None:
    fixed = paying().with_end("real_share", "low", 0.05).with_end("real_share", "high", 0.05)
    assert monte_carlo(fixed, 500) == monte_carlo(paying(), 500), "the hybrid's share is no input of this NPV"


def test_draws_follow_their_triangle() -> None:
    drawn = _triangular(estimate("migration_days", 5, 10, 30), np.random.default_rng(0).random(200_000))
    assert drawn.min() >= 5 and drawn.max() <= 30
    assert drawn.mean() == pytest.approx((5 + 10 + 30) / 3, rel=0.005)
    assert np.mean(drawn < 10) == pytest.approx((10 - 5) / 25, abs=0.005)
    assert np.var(drawn) == pytest.approx((25 + 100 + 900 - 50 - 150 - 300) / 18, rel=0.01)


def test_half_a_month_is_rounded_as_a_spreadsheet_does() -> None:
    assert len(compute(changed(example(), horizon_months=36.5), draws=10).schedule) == 38
    assert len(compute(changed(example(), horizon_months=37.5), draws=10).schedule) == 39


def test_a_value_that_passes_through_a_bound_keeps_its_range(run: Run) -> None:  # noqa: F811
    inputs = RoiInputs.from_run(run)
    first = inputs.map_condensed
    cut = inputs.with_base("map_condensed", 1.0)
    assert cut.with_base("map_condensed", first.base).map_condensed.high != first.high
    again = cut.with_base("map_condensed", first.base, of=first).map_condensed
    assert (again.low, again.high) == pytest.approx((first.low, first.high))


def test_what_the_user_said_of_the_hybrid_stays(run: Run) -> None:  # noqa: F811
    mine = RoiInputs.from_run(run).with_base("real_share", 0.3).with_base("seconds_finetune", 600)
    again = mine.remeasured(run)
    assert (again.real_share.base, again.seconds_finetune.base) == (0.3, 600)


def test_report_survives_the_disk(tmp_path: Path) -> None:
    report = compute(paying())
    assert RoiReport.load(report.save(tmp_path / "roi.json")) == report
    assert json.loads(report.to_json())["kind"] == "roi"


@pytest.mark.parametrize("record", [RoiInputs, RoiReport])
def test_a_record_of_an_older_version_is_refused(record: type[Record], tmp_path: Path) -> None:
    path = (compute(paying(), draws=10) if record is RoiReport else paying()).save(tmp_path / "old.json")
    path.write_text(path.read_text(encoding="utf-8").replace('"version": 3', '"version": 2', 1), encoding="utf-8")
    with pytest.raises(ArtefactError, match=f"version 2, but '{record.kind}' version 3 is wanted"):
        record.load(path)


def test_roi_and_panel_need_no_torch() -> None:
    code = "import sys, pocket.roi, pocket.presentation.roi_panel; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_made_run_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POCKET_HOME", str(tmp_path))
    assert make_run("second", sample=True).is_sample


def test_ranges_hold_the_intervals_over_what_was_photographed(run: Run) -> None:  # noqa: F811
    plain = RoiInputs.from_run(run)

    def mean_interval(mean: float, low: float | None, high: float | None) -> MeanInterval:
        return MeanInterval(mean=mean, low=low, high=high, macro=mean, queries=40, groups=20, seeds=3)

    def over(against_full: MeanInterval, against_random: MeanInterval) -> RoiInputs:
        kept = RetrievalComparison.load(kit_dir("data") / "sample_run" / "retrieval.json")
        whole = mean_interval(0.5, 0.4, 0.6)
        scores = OverQueries(
            full=whole, condensed=whole, random=whole, against_full=against_full, against_random=against_random
        )
        kept.model_copy(update={"over": scores}).save(run.path("retrieval.json"))
        return RoiInputs.from_run(run)

    wide = over(mean_interval(-0.1, -0.3, 0.1), mean_interval(0.05, -0.2, 0.3))
    full, ours, theirs = plain.map_full.base, wide.map_condensed, wide.map_random
    assert ours.base == plain.map_condensed.base and theirs.base == plain.map_random.base
    assert ours.low == pytest.approx(full - 0.3) and ours.high == pytest.approx(min(full + 0.1, 1))
    assert theirs.low == pytest.approx(ours.base - 0.3) and theirs.high == pytest.approx(min(ours.base + 0.2, 1))
    assert {ours.note, theirs.note} == {"over_queries"} and wide.map_full == plain.map_full
    silent = over(mean_interval(-0.1, None, None), mean_interval(0.05, None, None))
    assert silent.map_condensed == plain.map_condensed and silent.map_random == plain.map_random
