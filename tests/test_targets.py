"""The table of targets: what is met, what is missed by a hair, and what was not measured."""

from __future__ import annotations

from typing import Any

import pytest
from test_bench import rows

from pocket.presentation import ahead, benchmark, targets
from pocket.runs.results import Row
from pocket.workflows.benchmark_block import benchmark_block

CIFAR: dict[str, Any] = {
    "dataset": "cifar10",
    "bits": 64,
    "width": 128,
    "train_images": 50_000,
    "reduced": False,
    "suite": "paper",
    "teacher_seconds": 10.0,
}


def on_cifar(method: str, *maps: float, protocol: str = targets.OFFICIAL, **changes: Any) -> list[Row]:
    return rows(method, *maps, **{**CIFAR, "protocol": protocol, **changes})


def iem(share: float, ipc: int, **changes: Any) -> list[Row]:
    return on_cifar("iem", share * 0.8, share * 0.8, ipc=ipc, cell_ipc=ipc, code_labels=True, **changes)


def full(**changes: Any) -> list[Row]:
    return on_cifar("full", 0.8, 0.8, ipc=0, cell_ipc=0, train_seconds=12.0, **{"teacher_seconds": 0.0, **changes})


def said(table: list[Row], start: str, suite: str = "paper", nth: int = 0) -> targets.Target:
    return [t for t in targets.targets({suite: table}) if t.what.startswith(start)][nth]


@pytest.mark.parametrize(("ipc", "least"), targets.SHARES.items())
def test_a_share_of_full_data_is_met_at_its_bound_and_missed_below_it(ipc: int, least: float) -> None:
    start = f"mAP / full-data mAP, CIFAR-10, {ipc} a class"
    assert said([*full(), *iem(least + 1e-4, ipc)], start).met is True
    missed = said([*full(), *iem(least - 1e-3, ipc), *iem(least - 0.1, ipc, patient=True)], start)
    assert missed.met is False
    assert missed.said == "missed"
    assert (missed.measured, missed.of) == (f"{least - 1e-3:.3f} ± 0.000 (two seeds)", f"IEM, {ipc} a class, codes")
    low, high = (
        [row.model_copy(update={"map": row.map + d}) for row in iem(least, ipc)[s:][:1]]
        for s, d in ((0, -0.01), (1, 0.012))
    )
    assert said([*full(), *low, *high], start).said == "met, within noise"
    assert said(iem(0.99, ipc), start).met is None, "without full data there is no share"
    assert said([*full(), *iem(0.99, ipc, variant="without V")], start).met is None
    assert said([*full(reduced=True), *iem(0.99, ipc, reduced=True)], start).met is None


def test_scores_are_paired_over_seeds_with_the_full_data_of_most_seeds() -> None:
    start = "mAP / full-data mAP, CIFAR-10, 10 "
    assert said([*full()[:1], *iem(0.7, 10)], start).measured == "0.700 (one seed)"
    economy = {"suite": "economy", "teacher_epochs": 6}
    cheap = [*full(suite="economy")[:1], *iem(0.7, 10, **economy)]
    found = targets.targets({"paper": [*full(), *iem(0.55, 10)], "economy": cheap})[0]
    assert found.measured == "0.700 ± 0.000 (two seeds)"
    assert found.of.startswith("IEM, 10 a class, codes of a 6-epoch teacher; full data of suite paper; ")
    assert found.of.endswith("with full data's own teacher 0.550 ± 0.000 (two seeds), missed")


def test_full_data_that_was_trained_for_longer_stands_beside_and_is_not_the_measure() -> None:
    longer = on_cifar("full", 0.9, 0.9, ipc=0, cell_ipc=0, train_seconds=24.0, teacher_seconds=0.0, variant="48 epochs")
    found = said([*longer, *full(), *iem(0.61, 10)], "mAP / full-data mAP, CIFAR-10, 10 ")
    assert found.measured == "0.610 ± 0.000 (two seeds)"
    assert found.of == "IEM, 10 a class, codes; of full data (48 epochs) 0.542 ± 0.000 (two seeds)"
    groups = benchmark.groups([*longer, *full()])
    whole = benchmark.full_data(groups, groups[0].task)
    assert whole and whole.name == "full data"
    assert [benchmark.pays_after(group, whole) for group in groups] == ["–", "–"]
    elsewhere = benchmark.groups([row.model_copy(update={"device": "cpu"}) for row in longer])
    assert benchmark.pays_after(elsewhere[0], benchmark.groups(full(device="cuda"))[0]) == "other device"
    assert said([*longer, *iem(0.61, 10)], "mAP / full-data mAP, CIFAR-10, 10 ").met is None


def test_unseen_images_are_held_against_the_same_sets_on_seen_ones() -> None:
    unseen = {"protocol": targets.UNSEEN}
    table = [*full(), *full(**unseen), *iem(0.6, 10), *iem(0.7, 10, **unseen), *iem(0.8, 50), *iem(0.79, 50, **unseen)]
    found = said(table, "the same share")
    assert (found.measured, found.met) == ("in 1 of 2 sets", False)
    assert said(table[:-2], "the same share").measured == "in 1 of 1 sets"


def test_break_even_counts_only_of_a_set_that_is_good_enough() -> None:
    start = "break-even"
    # 22 s of making, the trainings 10 s shorter: 2.2 trainings.
    found = said([*full(), *iem(0.61, 10)], start)
    assert (found.measured, found.of) == (
        "2.2 trainings",
        "IEM, 10 a class, codes, with a share of 0.610; none of 50 or 500 a class has both",
    )
    assert said([*full(), *iem(0.59, 10)], start).met is None
    # 4 s shorter: 5.5 trainings; 2 s shorter: 11.
    assert said([*full(), *iem(0.61, 10, train_seconds=8.0)], start).met is True
    assert said([*full(), *iem(0.61, 10, train_seconds=10.0)], start).met is False
    assert said([*full(), *iem(0.61, 10, shared=2)], start).met is None


def test_seconds_and_memory_have_bounds() -> None:
    assert said(on_cifar("iem", 0.3, condense_seconds=40.0), "IEM, CIFAR-10").met is True
    assert said(on_cifar("iem", 0.3, condense_seconds=60.0), "IEM, CIFAR-10").met is False
    assert said(rows("iem", 0.1, resolution=224, peak_mb=7900), "peak memory", "memory").met is True
    assert said(rows("iem", 0.1, resolution=224, peak_mb=8100), "peak memory", "memory").measured == "8.1 GB"
    assert said(rows("iem", 0.1, resolution=224, peak_mb=8100), "peak memory", "memory").met is False


def test_a_linear_head_is_held_against_what_is_published() -> None:
    def checked(method: str, accuracy: float, **changes: Any) -> list[Row]:
        return on_cifar(method, 0.2, suite="classification", accuracy=accuracy, **changes)

    start = "DM, linear head, CIFAR-10, 10 "
    table = [*checked("dm", 0.46, formation=1), *checked("dm", 0.47, formation=2)]
    found = said(table, start, "classification")
    assert (found.met, found.measured, found.of) == (True, "46.0 % (one seed)", "DM, 10 a class"), (
        "tiles were not published"
    )
    assert said(checked("dm", 0.458, formation=1), start, "classification").met is False
    experts = checked("iem", 0.651, variant=benchmark.EXPERTS)
    assert said(experts, "IEM, linear head, CIFAR-10, 10 ", "classification").met is True
    assert said(experts, "IEM, linear head, CIFAR-10, 50 ", "classification").met is None


def test_small_sets_have_targets_of_their_own() -> None:
    table = [*rows("full", 1.0, ipc=0, cell_ipc=0), *rows("iem", 0.98), *rows("random", 0.7)]
    assert said(table, "mAP / full-data mAP, digits", "mini").measured == "0.980 (one seed)"
    assert said(table, "seconds to make that set", "mini").measured == "15.0 s"
    fashion = {"dataset": "fashion_mnist"}
    hard = [*rows("full", 1.0, ipc=0, cell_ipc=0, **fashion), *rows("iem", 0.74, **fashion)]
    hard += rows("random", 0.6, formation=1, **fashion)
    assert said(hard, "IEM / random", "mini").met is True
    assert said([*hard, *rows("random", 0.62, formation=2, **fashion)], "IEM / random", "mini").met is False
    assert not [t for t in targets.targets({"mini": hard}) if "students" in t.what]
    fewer = {"variant": "400 steps", **fashion}
    other = [
        *hard,
        *rows("iem", 0.72, **fewer),
        *rows("random", 0.5, **fewer),
        *rows("random", 0.61, **fewer, formation=1),
    ]
    assert said(other, "IEM / random", "mini").met is True
    found = said(other, "the same, students", "mini")
    assert (found.what, found.measured, found.met) == ("the same, students of 400 steps", "1.180 (one seed)", False)
    codes = [*hard, *rows("iem", 0.96, code_labels=True, **fashion)]
    weaker, stronger = (rows("random", m, code_labels=True, **fashion) for m in (0.9, 0.97))
    assert said([*codes, *weaker], "mAP / full-data mAP with codes", "mini").met is True
    assert said([*codes, *stronger], "mAP / full-data mAP with codes", "mini").met is False


def test_ahead_is_counted_suite_by_suite() -> None:
    table = [*rows("iem", 0.9, 0.9), *rows("random", 0.8, 0.8)]
    found = said(table, "IEM ahead", "mini")
    assert (found.what, found.measured, found.met) == (
        "IEM ahead of every family, suite mini, reduced task",
        "1 of 1 measured",
        True,
    )
    assert (found.said, found.of) == ("met", "against random alone")
    (unfinished,) = (t for t in targets.targets({"mini": table}, {("mini", True)}) if t.what == found.what)
    assert unfinished.said == "met so far"
    assert said([*table, *rows("dm", 0.95, 0.95)], "IEM ahead", "mini").said == "missed"


def test_models_under_two_protocols_count_once() -> None:
    unseen = {"protocol": targets.UNSEEN}
    table = [*on_cifar("iem", 0.7, 0.7), *on_cifar("random", 0.71, 0.70)]
    table += [*on_cifar("iem", 0.6, 0.6, **unseen), *on_cifar("random", 0.5, 0.5, **unseen)]
    found = said(table, "IEM ahead")
    assert (found.measured, found.met) == ("0 of 1 measured", False)
    told = ahead.verdict(ahead.comparisons(benchmark.groups(table)))
    assert "ahead in 0 of 1 comparisons" in told
    assert told.endswith("against random alone. The same models under cifar10-unseen: ahead in 1 of 1.")
    table += [*on_cifar("iem", 0.9, 0.9, ipc=50, cell_ipc=50), *on_cifar("dm", 0.8, 0.8, ipc=50, cell_ipc=50)]
    assert said(table, "IEM ahead").of == "against random with 10 a class; DM with 50 a class"
    every = [row for rival in ahead.RIVALS for row in on_cifar(rival, 0.5, 0.5)]
    assert ahead.against(ahead.comparisons(benchmark.groups([*on_cifar("iem", 0.7, 0.7), *every]))) == ""


def test_what_is_missed_says_what_was_tried_and_what_is_met_does_not() -> None:
    found = targets.targets({"paper": [*full(), *iem(0.99, 10), *iem(0.9, 500)]})
    (told,) = targets.limits(found)
    assert told.startswith("mAP / full-data mAP, CIFAR-10, 500 a class: tried: ")
    assert targets.limits(targets.targets({})) == []
    assert all(each.met is None for each in targets.targets({}))
    assert all(len(line) == len(targets.HEAD) for line in targets.table_rows(found))


def test_every_missed_target_of_the_recorded_results_has_its_limits_told() -> None:
    block = benchmark_block()
    missed = [line.split("|")[1].strip() for line in block.splitlines() if "| missed" in line]
    told = block.partition("what limits it:")[2].partition("\n**")[0]
    assert all(what in told for what in missed), "a missed target without a word about it"
