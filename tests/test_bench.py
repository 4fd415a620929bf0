"""The benchmark: the table on disk, going on where it stopped, and what is claimed from it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest
from typer.testing import CliRunner

from pocket.cli import app
from pocket.cli.making import Suite
from pocket.condensation.config import IEMConfig
from pocket.condensation.gradient import GradientConfig
from pocket.data import load
from pocket.hashing import HashModel, TrainConfig
from pocket.hashing.labelling import MIXES
from pocket.presentation import ahead, benchmark, crosscheck, frontier
from pocket.presentation.benchmark import Teaching
from pocket.runs import ArtefactError, checkpoint, results
from pocket.runs.checkpoint import Checkpoint
from pocket.runs.results import Row
from pocket.workflows import suites
from pocket.workflows.bench import bench
from pocket.workflows.cells import CLASSES, WHOLE, Spec, digest_of
from pocket.workflows.stock import OutOfTime
from pocket.workflows.suites import SUITES

ROW = Row(
    dataset="digits", protocol="digits-v1", method="iem", ipc=10, formation=2, hashing="orthohash", bits=32, seed=0,
    images=100, image_bytes=25600, steps=300, teacher_seconds=3.0, pool_seconds=2.0, condense_seconds=10.0,
    train_seconds=2.0, map=0.95, map_low=0.94, map_high=0.96, map_plain=0.94, device="cpu", suite="mini", reduced=True,
    settings="aa", cell_ipc=10, train_images=1437, resolution=16, backbone="convnet", width=32, evaluate_seconds=0.5,
    disk_bytes=30000, peak_mb=900, threads=2, python="3.11", torch="2.15", commit="abc",
    created="2026-11-23T00:00:00+00:00",
)  # fmt: skip


def rows(method: str, *maps: float, **changes: object) -> list[Row]:
    return [
        ROW.model_copy(update={"method": method, "seed": seed, "map": value, "settings": f"{method}{seed}", **changes})
        for seed, value in enumerate(maps)
    ]


def test_the_table_survives_the_disk_in_both_forms(tmp_path: Path) -> None:
    from pyarrow import parquet

    path = tmp_path / "mini.csv"
    table = [ROW, ROW.model_copy(update={"seed": 1, "variant": 'a, "quoted" one\n', "map": 0.1 + 0.2, "accuracy": 0.5})]
    results.write(path, table)
    assert results.read(path) == table
    assert parquet.read_table(path.with_suffix(".parquet")).to_pylist() == [row.model_dump() for row in table]
    assert results.read(tmp_path / "other.csv") == []


def test_a_damaged_table_names_its_line(tmp_path: Path) -> None:
    path = tmp_path / "mini.csv"
    results.write(path, [ROW, ROW])
    path.write_text(path.read_text(encoding="utf-8").replace(",0.95,", ",95,", 1), encoding="utf-8")
    with pytest.raises(ArtefactError, match=r"mini.csv, line 2, map: .*less than or equal to 1"):
        results.read(path)


def test_ahead_in_all_cells_means_what_the_protocol_says() -> None:
    table = [*rows("iem", 0.9, 0.92, 0.91), *rows("random", 0.8, 0.81, 0.82), *rows("dm", 0.91, 0.90, 0.90)]
    table += rows("random", 0.84, 0.84, 0.84, formation=1)
    found = ahead.comparisons(benchmark.groups(table))
    by = {c.theirs.method: c for c in found}
    assert by["random"].theirs.formation == 1, "random stands in its stronger form"
    assert by["random"].gap.mean == pytest.approx(0.07)
    assert by["dm"].ahead
    assert not by["dm"].behind
    assert ahead.verdict(found).endswith(
        "(1 significantly), significantly behind in none: ahead in all cells, against random and DM alone."
    )
    assert {line[3]: line[-1] for line in ahead.table_rows(found)} == {
        "random": "ahead",
        "DM tiles": "within noise",
    }
    beaten = [*table, *rows("kcenter", 0.95, 0.97, 0.96)]
    found = ahead.comparisons(benchmark.groups(beaten))
    (line,) = (line for line in ahead.table_rows(found) if line[3].startswith("k-center"))
    assert len(line) == len(ahead.HEAD)
    assert line[1:3] + line[4:] == ("10 a class", "0.910", "0.960", "-0.050 ± 0.000", "behind")
    assert "ahead in 2 of 3 comparisons (1 significantly) and significantly behind in 1 (k-center" in ahead.verdict(
        found
    )
    assert (
        "which takes 95 % ahead and none significantly behind, against random, k-center and DM alone."
        in ahead.verdict(found)
    )
    (behind,) = (c for c in found if c.behind)
    task = behind.ours.task
    cells = [
        behind._replace(ours=behind.ours._replace(task=task._replace(bits=bits, protocol=protocol)))
        for bits in (8, 16, 32, 48)
        for protocol in (task.protocol, "unseen")
    ]
    told = ahead.verdict(cells)
    assert "significantly behind in 4 (k-center tiles on digits in 4): not ahead" in told, "many are counted by rival"
    assert told.endswith("The same models under unseen: ahead in 0 of 4, significantly behind in 4.")


def test_codes_are_compared_with_codes_and_tasks_are_kept_apart() -> None:
    table = [
        *rows("iem", 0.9, code_labels=True),
        *rows("random", 0.8),
        *rows("random", 0.95, bits=64, code_labels=True),
    ]
    assert ahead.comparisons(benchmark.groups(table)) == []


def test_sets_of_equal_bytes_are_grouped_by_their_cell() -> None:
    one = rows("random", 0.5, 0.6, variant="equal disk", cell_ipc=1)
    ten = rows("random", 0.8, 0.9, variant="equal disk", cell_ipc=10)
    table = [row.model_copy(update={"ipc": ipc}) for row, ipc in zip([*one, *ten], (1, 2, 11, 10), strict=True)]
    assert [(g.ipc, g.map.mean) for g in benchmark.groups(table)] == [(2, 0.55), (11, pytest.approx(0.85))]


def test_break_even_by_hand() -> None:
    whole = rows(
        "full", 0.99, 0.99, ipc=0, train_seconds=8.0, teacher_seconds=0.0, pool_seconds=0.0, condense_seconds=0.0
    )
    groups = benchmark.groups([*whole, *rows("iem", 0.9, 0.9)])
    full, iem = groups
    assert full.method == "full"
    assert benchmark.break_even(iem, full, teacher=True) == pytest.approx((3 + 2 + 10) / (8 - 2))
    assert benchmark.break_even(iem, full, teacher=False) == pytest.approx(12 / 6)
    assert benchmark.break_even(iem, replace_rows(full, train_seconds=2.0), teacher=True) is None
    lines = dict(zip(benchmark.HEAD, benchmark.table_rows(groups)[1], strict=True))
    assert lines["break-even, trainings"] == "2.5"
    assert lines["of full"] == "90.9%"


def test_a_saving_that_does_not_stand_out_of_its_noise_is_no_break_even() -> None:
    free = {"teacher_seconds": 0.0, "pool_seconds": 0.0, "condense_seconds": 0.0}
    whole = rows("full", 0.99, 0.98, 0.99, ipc=0, **free)
    table = [row.model_copy(update={"train_seconds": s}) for row, s in zip(whole, (1.9, 2.3, 1.8), strict=True)]
    full, iem, random = benchmark.groups([*table, *rows("iem", 0.9, 0.9, 0.91), *rows("random", 0.5, 0.5, 0.5, **free)])
    assert benchmark.pays_after(iem, full) == "within noise"
    slower = replace_rows(full, train_seconds=5.0)
    assert benchmark.pays_after(iem, slower) == "5.0"
    assert benchmark.pays_after(random, slower) == "0.0"
    assert benchmark.pays_after(iem, replace_rows(full, train_seconds=1.0)) == "never"
    (told,) = benchmark.answers([slower, iem], iem.task)
    assert told.endswith(
        "0.083 less than full data; 15 s to make, 3.0 s saved a training: these seconds come back after 5.0 trainings."
    )
    assert "mAP 0.903 (no other family was measured so), " in told
    (told,) = benchmark.answers([slower, iem, random], iem.task)
    assert "mAP 0.903 (best other: random tiles, 0.500), " in told
    assert "as many steps" not in told
    large = {"images": 5000, "steps": 900}
    (told,) = benchmark.answers([replace_rows(slower, **large), replace_rows(iem, **large)], iem.task)
    assert "3.0 s saved a training, which has as many steps of as many images as on full data: these" in told
    (told,) = benchmark.answers([slower, replace_rows(iem, condense_seconds=0.0, teacher_seconds=0.0)], iem.task)
    assert told.endswith("2 s to make, 3.0 s saved a training: these seconds come back within the first training.")


def test_no_break_even_is_told_from_a_shared_device() -> None:
    free = {"teacher_seconds": 0.0, "pool_seconds": 0.0, "condense_seconds": 0.0}
    alone = rows("full", 0.99, 0.99, ipc=0, train_seconds=8.0, **free)
    for full_shared, iem_shared in ((3, 1), (1, 3)):
        full, iem = benchmark.groups(
            [r.model_copy(update={"shared": full_shared}) for r in alone]
            + [r.model_copy(update={"shared": n}) for r, n in zip(rows("iem", 0.9, 0.9), (1, iem_shared), strict=True)]
        )
        assert benchmark.pays_after(iem, full) == "shared device"
        (told,) = benchmark.answers([full, iem], iem.task)
        assert "the device was shared" in told
    assert "saved" not in told
    assert frontier.unbeaten([full, iem]) == [full]


def test_no_break_even_is_told_between_two_devices() -> None:
    free = {"teacher_seconds": 0.0, "pool_seconds": 0.0, "condense_seconds": 0.0}
    whole = rows("full", 0.99, 0.99, ipc=0, train_seconds=8.0, **free)
    own, other = rows("random", 0.8, 0.8, **free), rows("iem", 0.9, 0.9, device="cpu, bf16")
    full, iem, random = benchmark.groups([*whole, *own, *other])
    assert benchmark.pays_after(random, full) == "0.0"
    assert benchmark.pays_after(iem, full) == "other device", "another precision is another one, too"
    (told,) = benchmark.answers([full, iem], iem.task)
    assert told.endswith(
        "15 s to make and 2 s to train on, on cpu, bf16: whether they come back is not known, for full data "
        "had another device, precision or threads."
    )
    assert frontier.unbeaten([full, iem, random]) == [random, full], "of the device of most"
    (mixed,) = benchmark.groups([rows("iem", 0.9)[0], other[1]])
    assert mixed.device == "cpu and cpu, bf16"
    assert benchmark.pays_after(mixed, full) == "other device"
    told = benchmark.describe([full, iem, mixed])
    assert told.endswith("protocol digits-v1, cpu, 2 threads and cpu, bf16, 2 threads"), "a table names all its devices"
    threads, kept = benchmark.groups([*rows("dm", 0.8, threads=1, **free), *rows("iem", 0.9, made_on="cpu, bf16")])
    assert benchmark.pays_after(threads, full) == "other device", "of one thread"
    assert benchmark.pays_after(kept, full) == "other device", "its set is of another one, and was kept"
    assert frontier.timed_alike([full, threads, kept, random]) == [full, random]
    on_gpu = {"device": "a GPU, bf16", "made_on": "a GPU, bf16"}
    whole, small = (
        benchmark.groups(rows(method, 0.9, 0.9, threads=n, ipc=ipc, **free, **on_gpu))[0]
        for method, n, ipc in (("full", 5, 0), ("random", 8, 10))
    )
    assert benchmark.pays_after(small, whole) != "other device", "a GPU's seconds are not of the threads"


@pytest.mark.parametrize("suite", SUITES)
def test_every_recorded_row_is_of_its_suite_as_it_stands(suite: str) -> None:
    recorded = results.read(results.results_folder() / f"{suite}.csv")
    small, whole = ({d for spec in SUITES[suite](size) for d in spec.digests()} for size in (True, False))
    assert recorded
    assert {row.settings for row in recorded} <= small | whole, "set aside what has other settings: pocket bench does"
    assert all(row.reduced is (row.settings not in whole) for row in recorded), "what both tasks have is not reduced"
    assert len({row.settings for row in recorded}) == len(recorded)


def test_a_linear_head_stands_beside_what_is_published() -> None:
    def checked(method: str, accuracy: float, **changes: Any) -> list[results.Row]:
        told = {"reduced": False, **changes}
        return [row.model_copy(update={"accuracy": accuracy}) for row in rows(method, 0.2, 0.2, **told)]

    told = crosscheck.lines(
        [
            *checked("dm", 0.44, formation=1, condense_steps=2000),
            *checked("dm", 0.47, formation=1, patient=True),
            *checked("dm", 0.43, formation=1, condense_steps=1000, reduced=True),
            *checked("iem", 0.61, patient=True, cutmix=True, teacher_epochs=6, condense_steps=300),
            *checked("dm", 0.51, formation=1, patient=True, cutmix=True),
            *checked("iem", 0.64, variant="experts", condense_steps=400),
            *checked("dm", 0.5),
            *checked("dm", 0.46, formation=1, patient=True, variant=benchmark.TRANSFORMED),
            *checked("iem", 0.5, variant="paper"),
            *rows("random", 0.1),
        ]
    )
    few = "± 0.0 % (two seeds)"
    assert [
        line for line in told if line.startswith("- DM, 10 a class: ") and f"44.0 {few}; DM as published 48.9%" in line
    ]
    assert "patient students are trained as long as those of DM as published, 1,000 epochs" in told[0]
    assert "those with CutMix four times as long" in told[0]
    assert [line for line in told if ", CutMix: accuracy 51.0" in line and "as published" not in line]
    assert [line for line in told if ", patient: accuracy 47.0 ± 0.0 % (two seeds); DM as published 48.9%" in line]
    assert [line for line in told if "DM (with every transform), 10 a class" in line and "; DM as published" in line]
    assert [
        line
        for line in told
        if f", 10 a class, made with a 6-epoch teacher, patient, CutMix: accuracy 61.0 {few}; DANCE" in line
    ]
    assert [line for line in told if line.startswith(f"- IEM (experts), 10 a class: accuracy 64.0 {few}; DANCE")]
    alone = [line for line in told if "43.0 ± 0.0 % (two seeds)" in line and "1,000 steps of condensing" in line]
    assert len(alone) == 1, "the reduced task stands apart"
    assert alone[0].startswith("- DM, 10 a class, reduced task: ")
    assert alone[0].endswith(" of training; cpu)")
    assert [line for line in told if line.startswith("- DM tiles,") and "as published" not in line]
    assert [line for line in told if line.startswith("- IEM as published") and "DANCE" not in line]
    assert not any("random" in line for line in told), "it has no accuracy"
    better = [row.model_copy(update={"map": 0.1}) for row in checked("random", 0.6)]
    first, second = crosscheck.lines([*checked("dm", 0.5), *better])[2:]
    assert "60.0" in first and "50.0" in second, "accuracy ranks them, not mAP"
    assert crosscheck.lines(rows("dm", 0.2)) == []
    assert crosscheck.measured(rows("dm", 0.2)) == []
    (line,) = crosscheck.table_rows(crosscheck.measured(checked("dm", 0.44, formation=1, condense_steps=2000)))
    assert len(line) == len(crosscheck.HEAD)
    assert line == ("DM, 10 a class", "44.0 ± 0.0 % (two seeds)", "DM 48.9%", "2,000", "300", "cpu")
    assert "patient" not in crosscheck.lines(checked("dm", 0.44))[0]
    assert "CutMix" not in crosscheck.lines(checked("dm", 0.44, patient=True))[0]
    assert "accuracy 30.0 % (one seed) (" in crosscheck.lines(checked("random", 0.3)[:1])[-1]


def test_what_was_recorded_on_each_device_is_counted_apart() -> None:
    table = [*rows("dm", 0.4, 0.5), *rows("iem", 0.6, reduced=False, device="NVIDIA H200, bf16")]
    assert benchmark.recorded_on(table) == "2 rows, reduced task, cpu; 1 row, NVIDIA H200, bf16"
    assert benchmark.recorded_on([]) == ""


def test_the_sources_own_iem_is_named_and_judged_apart() -> None:
    table = [*rows("iem", 0.9), *rows("iem", 0.7, variant="paper"), *rows("iem", 0.6, variant="paper, without V")]
    table += [*rows("random", 0.8), *rows("random", 0.85, variant="equal disk", ipc=12)]
    found = benchmark.groups(table)
    names = [g.name for g in found]
    assert {"IEM, 10 a class", "IEM as published, 10 a class"} < set(names)
    assert "IEM as published (without V), 10 a class" in names
    assert [c.ahead for c in ahead.comparisons(found)] == [True]
    assert [c.ahead for c in ahead.comparisons(found, benchmark.PUBLISHED)] == [False]
    (equal,) = ahead.equal_disk(found)
    assert equal.gap.mean == pytest.approx(0.05)
    whole = rows("random", 0.88, variant="equal disk", ipc=14, formation=1)
    (equal,) = ahead.equal_disk(benchmark.groups([*table, *whole]))
    assert (equal.theirs.formation, equal.gap.mean) == (1, pytest.approx(0.02)), "the stronger form"
    shown = benchmark.strongest_forms(found, found[0].task, 10, teaching=Teaching(codes=False, patient=False))
    assert [g.name.split(",")[0] for g in shown][:2] == ["IEM", "random tiles (equal disk)"]


def test_dm_stands_in_its_strongest_form_whatever_its_transforms() -> None:
    table = [*rows("iem", 0.9, 0.9), *rows("dm", 0.8, 0.8), *rows("dm", 0.7, 0.7, formation=1)]
    strong = {"variant": benchmark.TRANSFORMED, "formation": 1}
    for score, gap in ((0.85, 0.05), (0.75, 0.1)):
        (found,) = ahead.comparisons(benchmark.groups([*table, *rows("dm", score, score, **strong)]))
        assert found.gap.mean == pytest.approx(gap)
    assert [c.gap.mean for c in ahead.comparisons(benchmark.groups([*table, *rows("dm", 0.95, variant="other")]))] == [
        pytest.approx(0.1)
    ]
    (fewer,) = ahead.comparisons(benchmark.groups([*table, *rows("dm", 0.89, **strong)]))
    assert (fewer.gap.seeds, fewer.gap.mean) == (2, pytest.approx(0.1)), (
        "one seed has no interval: it does not stand in yet"
    )
    table = [*rows("iem", 0.9, 0.9, 0.9), *rows("dm", 0.7, 0.7, 0.7), *rows("dm", 0.85, 0.85, **strong)]
    (two,) = ahead.comparisons(benchmark.groups(table))
    assert (two.gap.seeds, two.gap.mean) == (2, pytest.approx(0.05)), "a stronger form of fewer seeds is no less strong"


@pytest.mark.parametrize("name", ["mini", "paper", "imagenette", "economy", "classification"])
@pytest.mark.parametrize("reduced", [True, False])
def test_dm_has_every_transform_as_well_in_every_cell(name: str, reduced: bool) -> None:
    usual: set[str] = set()
    transformed: set[str] = set()
    for spec in SUITES[name](reduced):
        if spec.method == "dm":
            assert isinstance(spec.config, IEMConfig)
            plain = replace(spec, variant="", config=replace(spec.config, augmentation=IEMConfig.dm().augmentation))
            strong = spec.config.augmentation == suites.EVERY
            assert strong is (spec.variant == benchmark.TRANSFORMED)
            (transformed if strong else usual).add(str(plain))
    assert usual == transformed
    assert usual


def test_experts_are_judged_as_a_version_and_not_as_a_part_of_the_ablation() -> None:
    table = [*rows("iem", 0.9, 0.9), *rows("iem", 0.8, 0.8, variant=benchmark.EXPERTS), *rows("dm", 0.85, 0.85)]
    found = benchmark.groups(table)
    assert ahead.parts(found) == []
    (experts,) = ahead.comparisons(found, benchmark.EXPERTS)
    assert experts.gap.mean == pytest.approx(-0.05)
    assert ahead.verdict([experts]).startswith("IEM (experts) is ahead in 0 of 1 comparisons")


def test_each_part_is_held_against_the_whole_method_that_it_belongs_to() -> None:
    table = [*rows("iem", 0.9, 0.91), *rows("iem", 0.8, 0.815, variant="without V")]
    table += [*rows("iem", 0.7, 0.71, variant="paper"), *rows("iem", 0.6, 0.8, variant="paper, without V")]
    table += [*rows("iem", 0.81, 0.815, variant="paper, formation 3", formation=3), *rows("random", 0.5, 0.5)]
    table += rows("iem", 0.1, 0.1, ipc=1, cell_ipc=1, variant="without V")
    found = ahead.parts(benchmark.groups(table))
    few = " (two seeds)"
    assert [tuple(cell.replace(few, "") for cell in line) for line in ahead.parts_rows(found)] == [
        ("IEM, 10 a class", "0.905 ± 0.064", "–", ""),
        ("IEM (without V), 10 a class", "0.807 ± 0.095", "-0.098 ± 0.032", "worse"),
        ("IEM as published, 10 a class", "0.705 ± 0.064", "–", ""),
        ("IEM as published (without V), 10 a class", "0.700 ± 1.271", "-0.005 ± 1.207", "within noise"),
        ("IEM as published (formation 3), 10 a class", "0.812 ± 0.032", "+0.108 ± 0.032", "better"),
    ]
    assert few in ahead.parts_rows(found)[0][1]
    assert ahead.parts_verdict(found).replace(few, "") == (
        "Worse than IEM: without V (-0.098 ± 0.032); better: nothing; the others are within noise. Worse than IEM as "
        "published: nothing; better: formation 3 (+0.108 ± 0.032); the others are within noise."
    )


def test_a_patient_student_is_held_against_patient_ones_alone() -> None:
    codes, patient = {"code_labels": True}, {"code_labels": True, "patient": True}
    table = [*rows("full", 0.9, ipc=0, formation=1), *rows("iem", 0.7), *rows("random", 0.6)]
    table += [*rows("iem", 0.75, **codes), *rows("random", 0.7, **codes)]
    table += [*rows("iem", 0.8, **patient), *rows("random", 0.82, **patient)]
    table += rows("random", 0.72, variant="equal disk", ipc=12, **codes)
    table += rows("random", 0.83, variant="equal disk", ipc=12, **patient)
    found = benchmark.groups(table)
    assert len(found) == 9
    assert [c.gap.mean for c in ahead.equal_disk(found)] == [pytest.approx(0.03), pytest.approx(-0.03)]
    assert "in 2 of 3 comparisons (0 significantly), 1 of them of patient students" in ahead.verdict(
        ahead.comparisons(found)
    )
    told = {c.ours.name: c.gap.mean for c in ahead.comparisons(found)}
    assert told == {
        "IEM, 10 a class": pytest.approx(0.1),
        "IEM, 10 a class, codes": pytest.approx(0.05),
        "IEM, 10 a class, codes, patient": pytest.approx(-0.02),
    }
    shown = benchmark.strongest_forms(found, found[1].task, 10, teaching=Teaching(codes=True, patient=True))
    assert [g.name for g in shown if g.ipc] == [
        "random tiles (equal disk), 12 a class, codes, patient",
        "random tiles, 10 a class, codes, patient",
        "IEM, 10 a class, codes, patient",
    ]


def test_codes_of_a_weaker_teacher_are_held_against_its_codes_alone() -> None:
    codes, weaker = {"code_labels": True, "patient": True}, {"code_labels": True, "patient": True, "teacher_epochs": 6}
    table = [*rows("full", 0.9, ipc=0, formation=1), *rows("random", 0.5, teacher_epochs=6, teacher_seconds=0.0)]
    table += [*rows("iem", 0.7, **codes), *rows("random", 0.8, **codes)]
    table += [*rows("iem", 0.75, **weaker), *rows("random", 0.72, **weaker)]
    found = benchmark.groups(table)
    told = {c.ours.name: c.gap.mean for c in ahead.comparisons(found)}
    assert told == {
        "IEM, 10 a class, codes, patient": pytest.approx(-0.1),
        "IEM, 10 a class, codes of a 6-epoch teacher, patient": pytest.approx(0.03),
    }
    (hard,) = (group for group in found if group.ipc and not group.labels)
    assert hard.teaching == Teaching(codes=False, patient=False), "its labels are nobody's"
    made, *_ = benchmark.groups(rows("iem", 0.6, teacher_epochs=6, teacher_seconds=5.0))
    assert made.teaching == Teaching(codes=False, patient=False, epochs=6), "its images are the teacher's"
    assert ahead.comparisons([made, hard]) == []


def test_a_cell_that_the_whole_task_has_as_well_is_not_reduced(
    tiny_suite: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def some(reduced: bool) -> Iterator[Spec]:
        (random,) = (s for s in tiny(reduced) if (s.method, s.variant, s.hashing) == ("random", "", "orthohash"))
        yield random
        yield replace(random, ipc=2 if reduced else 3)

    monkeypatch.setitem(SUITES, "tiny", some)
    table = results.read(bench("tiny", reduced=True, folder=tiny_suite, device="cpu", say=lambda line: None))
    assert [(row.ipc, row.reduced) for row in table] == [(1, False), (2, True)]


def test_codes_of_more_patchworks_are_cells_of_their_own(tiny_suite: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def two(reduced: bool) -> Iterator[Spec]:
        (usual,) = (s for s in tiny(reduced) if s.method == "iem" and s.labels)
        yield usual
        yield replace(usual, mixes=MIXES + 3)
        yield replace(usual, method="random", config=IEMConfig.dm(), mixes=MIXES + 3)

    usual, more, _ = two(True)
    assert replace(usual, mixes=MIXES).identity() == usual.identity() != more.identity()
    assert more.set_identity() == usual.set_identity(), "one set serves both"
    monkeypatch.setitem(SUITES, "tiny", two)
    table = results.read(bench("tiny", folder=tiny_suite, device="cpu", say=lambda line: None))
    assert [row.mixes for row in table] == [0, MIXES + 3, MIXES + 3]
    views = CLASSES * 2**2  # one stored image a class
    assert table[1].image_bytes - table[0].image_bytes == 3 * views * usual.bits // 2, "four bits a value"
    found = benchmark.groups(table)
    assert {g.name for g in found} == {
        "IEM, 1 a class, codes",
        "IEM, 1 a class, codes of 23 patchworks",
        "random, 1 a class, codes of 23 patchworks",
    }
    (alike,) = ahead.comparisons(found)
    assert (alike.ours.mixes, alike.theirs.mixes) == (23, 23)


def test_students_with_cutmix_are_held_against_such_students_alone() -> None:
    mixed = {"patient": True, "cutmix": True}
    table = [*rows("iem", 0.7, patient=True), *rows("random", 0.6, patient=True)]
    table += [*rows("iem", 0.8, **mixed), *rows("random", 0.65, **mixed)]
    told = {c.ours.name: c.gap.mean for c in ahead.comparisons(benchmark.groups(table))}
    assert told == {
        "IEM, 10 a class, patient": pytest.approx(0.1),
        "IEM, 10 a class, patient, CutMix": pytest.approx(0.15),
    }


def replace_rows(group: benchmark.Group, **changes: object) -> benchmark.Group:
    return group._replace(rows=tuple(row.model_copy(update=changes) for row in group.rows))


def test_the_frontier_is_what_none_beats_at_its_price() -> None:
    cheap = {"teacher_seconds": 0.0, "pool_seconds": 0.0, "condense_seconds": 0.0}
    table = [*rows("iem", 0.9, 0.91), *rows("idc", 0.8, 0.82), *rows("random", 0.7, 0.72, **cheap)]
    groups = benchmark.groups(table)
    assert [g.method for g in frontier.unbeaten(groups)] == ["random", "iem"]
    drawn = frontier.figure(groups, "digits")
    (axis,) = drawn.axes
    assert [text.get_text() for text in axis.texts] == ["1", "2"]
    assert drawn.get_supxlabel() == "On the line: 1 random tiles, 10 a class; 2 IEM, 10 a class"
    assert {text.get_text() for text in axis.get_legend().get_texts()} == {"IEM", "IDC", "random"}
    assert frontier.told(groups) == "Not beaten at their price: random tiles, 10 a class; IEM, 10 a class."
    elsewhere = rows("dm", 0.99, 0.99, shared=2)
    said = frontier.told(benchmark.groups([*rows("random", 0.95, 0.95, **cheap), *table[:4], *elsewhere]))
    assert "other ways give more for less. Left out, measured on another device or a shared one: DM tiles, 10" in said
    assert frontier.told(benchmark.groups(elsewhere)).startswith("No seconds can be compared")


def test_a_frontier_within_a_decade_has_ticks_all_along() -> None:
    spans = ((1000.0, 1900.0), (9.0, 60.0))
    for low, high in spans:
        table = [*rows("random", 0.7, condense_seconds=low), *rows("iem", 0.9, condense_seconds=high)]
        axis = frontier.figure(benchmark.groups(table), "digits").axes[0]
        left, right = axis.get_xlim()
        assert sum(left <= tick <= right for tick in axis.get_xticks()) >= 4


def test_the_ticks_of_a_wide_frontier_stand_apart() -> None:
    table = [*rows("random", 0.7, condense_seconds=12.0), *rows("iem", 0.9, condense_seconds=1100.0)]
    drawn = frontier.figure(benchmark.groups(table), "digits")
    drawn.draw_without_rendering()
    left, right = sorted(drawn.axes[0].get_xlim())
    ticks = [
        tick for tick in drawn.axes[0].xaxis.get_ticklabels(which="both") if left <= tick.get_position()[0] <= right
    ]
    boxes = [tick.get_window_extent() for tick in ticks if tick.get_text()]
    assert len(boxes) >= 4
    assert all(a.x1 < b.x0 for a, b in itertools.pairwise(sorted(boxes, key=lambda box: box.x0)))


def test_the_gap_of_a_single_seed_is_said_to_be_one() -> None:
    (alone,) = ahead.comparisons(benchmark.groups([*rows("iem", 0.9), *rows("random", 0.8)]))
    assert benchmark.interval(alone.gap, "+") == "+0.100 (one seed)"
    (two,) = ahead.comparisons(benchmark.groups([*rows("iem", 0.9, 0.9), *rows("random", 0.8, 0.8)]))
    assert benchmark.interval(two.gap, "+") == "+0.100 ± 0.000 (two seeds)"


@pytest.mark.parametrize("name", sorted(SUITES))
@pytest.mark.parametrize("reduced", [True, False])
def test_suites_hold_no_cell_twice_and_have_what_they_build_on_first(name: str, reduced: bool) -> None:
    specs = list(SUITES[name](reduced))
    identities = [str(spec.identity()) for spec in specs]
    assert len(set(identities)) == len(identities)
    for seed in suites.SEEDS:
        mine = [spec for spec in specs if spec.seed == seed]
        given = [spec.digests() for spec in mine]
        needs_iem = [i for i, s in enumerate(mine) if s.method in ("gradient", "idc") or s.variant == "equal disk"]
        for place in needs_iem:
            wanted = mine[place]
            known = wanted.digests_of_iem()
            earlier = [spec for spec, digests in zip(mine[:place], given, strict=False) if digests & known]
            assert {(spec.method, spec.dataset, spec.ipc) for spec in earlier} == {("iem", wanted.dataset, wanted.ipc)}


def tiny(reduced: bool) -> Iterator[Spec]:
    base = Spec(
        "digits",
        16,
        12,
        ("digits-v1",),
        "convnet",
        8,
        16,
        ipc=1,
        train=TrainConfig(steps=4, batch=16),
        condensing=("orthohash", 16),
    )  # real images, the smallest networks
    yield replace(base, ipc=0)
    iem = IEMConfig.best(steps=3, real_batch=4)
    for way in (
        {"method": "iem", "config": iem},
        {"method": "iem", "config": iem, "labels": True},
        {"method": "random", "config": IEMConfig.dm()},
        {"method": "kcenter", "config": IEMConfig.dm()},
        {"method": "gradient", "config": GradientConfig.dc(steps=2, real_batch=4), "like": iem},
        {"method": "random", "variant": "equal disk", "config": IEMConfig.dm(), "like": iem},
        {"method": "random", "variant": "equal disk", "config": IEMConfig.dm(formation=2), "like": iem, "labels": True},
    ):
        yield replace(base, **way)
    yield replace(base, method="random", config=IEMConfig.dm(), hashing="linear")


@pytest.fixture
def tiny_suite(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("POCKET_HOME", str(tmp_path / "home"))
    monkeypatch.setitem(SUITES, "tiny", tiny)
    return tmp_path / "results"


def test_bench_measures_every_cell_and_goes_on_where_it_stopped(tiny_suite: Path) -> None:
    said: list[str] = []
    path = bench("tiny", folder=tiny_suite, device="cpu", say=said.append)
    table = results.read(path)
    assert [(r.method, r.variant, r.code_labels, r.hashing) for r in table] == [
        ("full", "", False, "orthohash"),
        ("iem", "", False, "orthohash"),
        ("iem", "", True, "orthohash"),
        ("random", "", False, "orthohash"),
        ("kcenter", "", False, "orthohash"),
        ("gradient", "", False, "orthohash"),
        ("random", "equal disk", False, "orthohash"),
        ("random", "equal disk", True, "orthohash"),
        ("random", "", False, "linear"),
    ]
    full, iem, labelled, random, kcenter, gradient, equal, tiles, linear = table
    assert iem.teacher_seconds > 0
    assert iem.pool_seconds == 0, "its networks are random ones"
    assert labelled.image_bytes == iem.image_bytes + 16 * (MIXES * 4 * 10 // 2 + 2 * 10), "codes and a codebook"
    assert labelled.label_seconds > 0
    assert kcenter.teacher_seconds == full.train_seconds, "it looks through the full-data model"
    assert random.teacher_seconds == 0
    assert equal.disk_bytes <= iem.disk_bytes * 1.1
    assert equal.images >= random.images
    assert tiles.formation == 2
    assert tiles.disk_bytes <= labelled.disk_bytes * 1.1
    assert (full.made_on, random.made_on, iem.made_on, kcenter.made_on, tiles.made_on) == ("", "", "cpu", "cpu", "cpu")
    assert linear.accuracy is not None
    assert all(0 < r.map <= 1 and r.map_plain and r.threads and r.commit != "" for r in table)
    assert gradient.condense_seconds > 0
    before = path.read_bytes()
    bench("tiny", folder=tiny_suite, device="cpu", say=said.append)
    assert path.read_bytes() == before, "what is known is not measured again"
    assert "9 cells, 9 known" in said[-2]
    assert "nothing to do" in said[-1]
    with pytest.raises(ValueError, match="no method 'dc'; choose one of full, iem, random, kcenter, gradient"):
        bench("tiny", folder=tiny_suite, device="cpu", only="dc")
    results.write(path, table[:3])  # as if it had been stopped there
    bench("tiny", folder=tiny_suite, device="cpu", say=said.append)
    again = results.read(path)
    assert [r.map for r in again[:5]] == [r.map for r in table[:5]], "equal settings, equal results"


def test_a_row_says_how_its_student_was_trained(tiny_suite: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def short(stored: int, *, cutmix: bool = False) -> TrainConfig:
        return TrainConfig(steps=4, batch=stored, cutmix=0.5 if cutmix else 0.0)

    def two(reduced: bool) -> Iterator[Spec]:
        patient = replace(list(tiny(reduced))[-1], train=None, patient=True)
        yield patient
        yield replace(patient, cutmix=True)

    monkeypatch.setattr(TrainConfig, "published", short)
    monkeypatch.setitem(SUITES, "tiny", two)
    plain, mixed = results.read(bench("tiny", folder=tiny_suite, device="cpu"))
    assert (plain.patient, plain.cutmix, mixed.patient, mixed.cutmix) == (True, False, True, True)
    assert plain.map != mixed.map


def test_a_cell_that_was_killed_between_its_protocols_leaves_no_row_twice(
    tiny_suite: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def one(reduced: bool) -> Iterator[Spec]:
        yield next(iter(tiny(reduced)))

    monkeypatch.setitem(SUITES, "tiny", one)
    path = bench("tiny", folder=tiny_suite, device="cpu")
    (row,) = results.read(path)
    both = {row.settings, "of the other protocol"}
    monkeypatch.setattr("pocket.workflows.cells.Spec.digests", lambda _: both)
    bench("tiny", folder=tiny_suite, device="cpu")
    assert [r.settings for r in results.read(path)] == [row.settings]


def test_rows_of_settings_that_the_suite_no_longer_has_are_moved_aside(tiny_suite: Path) -> None:
    path = tiny_suite / "tiny.csv"
    results.write(path, rows("iem", 0.1, 0.2))
    said: list[str] = []
    for _ in range(2):  # what lies aside already stays there
        bench("tiny", folder=tiny_suite, device="cpu", only="full", say=said.append)
        results.write(path, [*results.read(path), *rows("dm", 0.3)])
    assert [r.method for r in results.read(path)] == ["full", "dm"]
    assert [r.method for r in results.read(tiny_suite / "superseded" / "tiny.csv")] == ["iem", "iem", "dm"]
    assert said[0].startswith("2 rows were measured with settings that the suite no longer has: moved to ")


def test_rows_come_back_with_their_settings(tiny_suite: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = bench("tiny", folder=tiny_suite, device="cpu", only="full", say=lambda line: None)
    before = path.read_bytes()
    monkeypatch.setitem(SUITES, "tiny", lambda reduced: (replace(spec, bits=24) for spec in tiny(reduced)))
    bench("tiny", folder=tiny_suite, device="cpu", time_limit=0.0, say=lambda line: None)
    assert results.read(path) == []
    monkeypatch.setitem(SUITES, "tiny", tiny)
    said: list[str] = []
    bench("tiny", folder=tiny_suite, device="cpu", time_limit=0.0, say=said.append)
    assert path.read_bytes() == before
    assert "taken back" in said[0]


def test_what_a_set_is_given_belongs_to_its_settings() -> None:
    cells = {(spec.method, spec.variant): spec for spec in SUITES["mini"](False) if spec.ipc == 10}
    other = IEMConfig.best(steps=7)
    for name in (("gradient", ""), ("idc", ""), ("random", "equal disk")):
        assert replace(cells[name], like=other).identity() != cells[name].identity()
    whole = replace(cells["random", ""], config=IEMConfig.dm())
    assert replace(whole, config=IEMConfig.dm(steps=7)).identity() == whole.identity(), "it takes no steps"


@pytest.mark.parametrize(
    ("suite", "reduced", "images"), [("mini", False, 1437), ("paper", True, 5000), ("paper", False, 50_000)]
)
def test_the_schedule_of_its_own_number_of_images_belongs_to_the_settings(
    suite: str, reduced: bool, images: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = next(iter(SUITES[suite](reduced)))
    assert full.images == images
    before, rule = full.identity(), TrainConfig.full
    for changed, same in ((images, False), (images + 1, True)):
        monkeypatch.setattr(
            TrainConfig,
            "full",
            staticmethod(lambda n, at=changed, epochs=None: replace(rule(n), steps=7) if n == at else rule(n)),
        )
        assert (full.identity() == before) is same


def test_what_the_suites_say_of_the_image_sets_is_true() -> None:
    digits = load("digits").train
    assert (len(digits), digits.num_classes) == (WHOLE["digits"], CLASSES)


def test_larger_sets_are_trained_longer_and_equal_disk_as_long_as_iem() -> None:
    cells = {
        (s.method, s.variant, s.ipc): s.schedule
        for s in SUITES["paper"](False)
        if s.ipc and s.bits == 64 and not s.patient
    }
    assert (cells["iem", "", 10].steps, cells["iem", "", 10].batch) == (600, 50)
    assert cells["iem", "", 50].steps == cells["dm", "", 50].steps == TrainConfig.full(50_000).steps // 4
    assert cells["iem", "", 500].steps == TrainConfig.full(50_000).steps // 2
    for ipc in (10, 50, 500):
        assert cells["random", "equal disk", ipc] == cells["iem", "", ipc]
    assert TrainConfig.small(1437, 1000).steps == 300, "never fewer than a smaller set of the same task"


def test_patient_cells_differ_from_others_in_their_schedule_alone() -> None:
    for name, reduced in (("mini", True), ("paper", True), ("paper", False)):
        cells = list(SUITES[name](reduced))
        known = {str(spec.identity()) for spec in cells}
        patient = [spec for spec in cells if spec.patient]
        assert {spec.method for spec in patient} >= {"iem", "random", "dm", "herding", "kcenter"}
        for spec in patient:
            assert spec.labels, "hard labels have nothing more to teach"
            assert str(replace(spec, patient=False, mixes=0).identity()) in known
            assert replace(spec, patient=False).set_identity() == spec.set_identity()
            quick = replace(spec, patient=False).schedule
            assert spec.schedule == replace(quick, steps=TrainConfig.patient(spec.images, spec.ipc * CLASSES).steps)
            assert spec.schedule.steps > quick.steps
            assert spec.title.split(", ")[-2] == "patient"


def test_the_cross_check_has_students_trained_as_long_as_published_ones_and_quick_ones() -> None:
    for reduced in (True, False):
        cells = [spec for spec in SUITES["classification"](reduced) if spec.ipc]
        mixed, patient, quick = (
            [s for s in cells if (s.cutmix, s.patient) == kind and not s.teacher_epochs]
            for kind in ((True, True), (False, True), (False, False))
        )
        assert {str(spec.quick().identity()) for spec in mixed} == {str(spec.identity()) for spec in quick}
        assert [spec.quick() for spec in patient] == quick
        assert cells[-len(quick) :] == quick
        for spec in mixed + patient:
            assert spec.schedule == TrainConfig.published(10 * spec.ipc, cutmix=spec.cutmix)
            assert spec.set_identity() == spec.quick().set_identity()
        untaught = patient[: 12 * len(suites.SEEDS)]  # DM with either transforms, and random, whole and in tiles
        assert {spec.method for spec in untaught} == {"dm", "random"}
        assert not any(spec.taught for spec in untaught), "they need no teacher"
        with pytest.raises(ValueError, match="a schedule of its own, of its student's own or the patient one"):
            replace(untaught[0], train=TrainConfig()).identity()
        for spec in (replace(mixed[0], patient=False), replace(mixed[0], hashing="orthohash")):
            with pytest.raises(ValueError, match="CutMix is for patient students under a linear head"):
                spec.identity()


def test_the_cross_check_begins_with_the_sets_of_economy() -> None:
    known = {str(s.set_identity()) for s in SUITES["economy"](True) if s.method == "iem" and not s.variant}
    for reduced in (True, False):
        first = [spec for spec in SUITES["classification"](reduced) if spec.cutmix][: len(suites.SEEDS)]
        assert {str(spec.set_identity()) for spec in first} <= known
        assert all(spec.title.endswith(", made with a 6-epoch teacher, patient, CutMix, linear 64") for spec in first)
        cells = list(SUITES["classification"](reduced))
        taught = [spec for spec in cells if spec.cutmix and spec.teacher_epochs]
        assert {str(spec.set_identity()) for spec in taught} == known, "at 10 and at 50 a class"
        assert {(spec.ipc, spec.teacher_epochs) for spec in taught} == {(10, 6), (50, 12)}
        leading = cells[: 4 * len(suites.SEEDS)]
        assert {(spec.method, spec.ipc) for spec in leading} == set(itertools.product(("iem", "random"), (10, 50)))
        assert {spec.teacher_epochs for spec in leading if spec.method == "random"} == {0}, "nothing is taught"


def test_iem_by_experts_is_one_set_for_codes_and_for_the_cross_check_with_a_gpu_and_without() -> None:
    def of(name: str, reduced: bool) -> dict[tuple[int, int], list[Spec]]:
        found: dict[tuple[int, int], list[Spec]] = {}
        for spec in SUITES[name](reduced):
            if spec.variant == benchmark.EXPERTS:
                found.setdefault((spec.ipc, spec.seed), []).append(spec)
        return found

    checked, coded = of("classification", True), of("paper", False)
    assert checked == of("classification", False)
    assert {ipc for ipc, _ in checked} == {10, 50}
    assert {ipc for ipc, _ in coded} == {10, 50, 500}
    for key, specs in checked.items():
        sets = {str(spec.set_identity()) for spec in [*specs, *coded[key]]}
        assert len(sets) == 1, "it is made once"
        assert not any(spec.taught for spec in specs), "its pool judges"
    assert all(isinstance(s.config, IEMConfig) and s.config.formation == 1 for s in coded[500, 0])


def test_economy_is_taught_by_a_model_of_a_quarter_or_half_of_the_epochs() -> None:
    cells = list(SUITES["economy"](True))
    assert cells == list(SUITES["economy"](False)), "the same task with a GPU and without"
    full = next(spec for spec in cells if spec.method == "full")
    for spec in (spec for spec in cells if spec.ipc):
        usual, teacher = replace(spec, teacher_epochs=0), spec.of_teacher()
        assert usual.of_teacher().identity() == full.identity() or usual.seed != full.seed
        assert teacher.method == "full"
        assert teacher.train is not None
        epochs, share = {10: (6, 4), 50: (12, 2)}[spec.ipc]
        assert teacher.train == TrainConfig.full(50_000, epochs=epochs)
        assert share * teacher.train.steps == TrainConfig.full(50_000).steps
        assert spec.identity() != usual.identity()
        assert (spec.set_identity() != usual.set_identity()) is (spec.taught or spec.like is not None)
        assert f", codes of a {epochs}-epoch teacher, patient, " in spec.title
    with pytest.raises(ValueError, match="a schedule of its own or a teacher of so many epochs"):
        replace(spec, train=TrainConfig(), patient=False).identity()


def test_a_weaker_teacher_makes_the_set_and_gives_the_codes(tiny_suite: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def short(images: int, epochs: int | None = None) -> TrainConfig:
        return TrainConfig(steps=epochs or 4, batch=16)

    def two(reduced: bool) -> Iterator[Spec]:
        config = IEMConfig.best(steps=2, real_batch=4)
        (iem,) = (s for s in tiny(reduced) if s.method == "iem" and s.labels)
        for epochs in (1, 0):
            yield replace(iem, train=None, teacher_epochs=epochs, config=config)

    monkeypatch.setattr(TrainConfig, "full", short)
    monkeypatch.setitem(SUITES, "tiny", two)
    weaker, usual = results.read(bench("tiny", folder=tiny_suite, device="cpu", say=lambda line: None))
    assert (weaker.teacher_epochs, usual.teacher_epochs) == (1, 0)
    models = {
        spec.teacher_epochs: HashModel.load(
            tiny_suite.parent / f"home/runs/bench/models/{digest_of(spec.of_teacher().model_identity())}.safetensors"
        )
        for spec in two(True)
    }
    taught = {epochs: model.report for epochs, model in models.items()}
    for row, steps in ((weaker, 1), (usual, 4)):
        report = taught[row.teacher_epochs]
        assert report is not None
        assert report.steps == steps
        assert row.teacher_seconds == report.seconds, "it made the set and gave the codes, and counts once"


def test_another_student_is_another_cell_on_the_same_set() -> None:
    cells = [spec for spec in SUITES["mini"](False) if spec.student]
    for spec in cells:
        usual = replace(spec.quick(), variant="")
        assert spec.student == spec.schedule != usual.schedule
        assert spec.set_identity() == usual.set_identity()
        assert not spec.digests() & usual.digests()
        assert spec.of_teacher() == usual.of_teacher()
    assert {spec.variant for spec in cells} == set(suites.STUDENTS)
    with pytest.raises(ValueError, match="its student's own or the patient one"):
        replace(cells[0], patient=True).identity()


def test_a_changed_schedule_makes_new_cells_of_all_that_it_trains(monkeypatch: pytest.MonkeyPatch) -> None:
    def named() -> dict[tuple[str, bool], object]:
        return {(spec.method, spec.labels): spec.identity() for spec in SUITES["mini"](False) if not spec.variant}

    before = named()
    monkeypatch.setattr(TrainConfig, "full", classmethod(lambda cls, images, epochs=None: cls(steps=7)))
    after = named()
    taught = {key for key in before if before[key] != after[key]}
    assert ("random", False) not in taught
    assert {("full", False), ("random", True), ("iem", False), ("herding", False)} <= taught


def test_the_time_limit_stops_between_and_inside_cells(tiny_suite: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    path = bench("tiny", folder=tiny_suite, device="cpu", time_limit=0.0, say=said.append)
    assert results.read(path) == []
    assert said[-1].startswith("the time is up; no cell is finished yet, what is half done is kept")
    assert not any("half done, and it goes on" in line for line in said)
    straight = results.read(bench("tiny", folder=tiny_suite / "straight", device="cpu", only="iem"))
    # Time runs out again and again, in trainings and in condensing: what is done by then is gone on with.
    monkeypatch.setenv("POCKET_HOME", str(tiny_suite.parent / "another home"))
    assert Checkpoint.__init__.__kwdefaults__ is not None
    monkeypatch.setitem(Checkpoint.__init__.__kwdefaults__, "every", 0.0)
    monkeypatch.setattr(checkpoint, "_SHARE", float("inf"))
    calls = itertools.count(1)

    def limited(self: object, *_: object) -> None:
        if next(calls) % 6 == 0:
            raise OutOfTime

    monkeypatch.setattr("pocket.workflows.stock.Stock.check_time", limited)
    runs = 0
    while len(results.read(path)) < len(straight) and runs < 50:
        bench("tiny", folder=tiny_suite, device="cpu", only="iem", say=said.append)
        runs += 1
    assert runs > 3
    assert any(line.startswith("an earlier call left the first of them half done") for line in said)
    assert [row.map for row in results.read(path)] == [row.map for row in straight]
    assert not list((tiny_suite.parent / "another home").rglob("*.training"))


def test_seeds_are_measured_apart_and_sharing_is_recorded(tiny_suite: Path) -> None:
    with pytest.raises(ValueError, match=r"no seed 7; its seeds are \[0\]"):
        bench("tiny", folder=tiny_suite, device="cpu", seeds=[7])
    path = bench("tiny", folder=tiny_suite, device="cpu", seeds=[0], shared=2, say=lambda _: None)
    assert {(row.seed, row.shared) for row in results.read(path)} == {(0, 2)}


def test_the_command_offers_every_suite() -> None:
    assert set(get_args(Suite)) == {*SUITES, "search"}
    found = CliRunner().invoke(app, ["bench", "--suite", "huge"])
    assert found.exit_code == 2
    assert "'huge' is not one of 'mini'" in " ".join(found.output.split())


def test_only_one_method_and_unknown_names(tiny_suite: Path) -> None:
    with pytest.raises(ValueError, match="unknown suite 'huge'; choose one of mini, paper"):
        bench("huge", folder=tiny_suite)
    with pytest.raises(ValueError, match="IEM is not measured yet"):
        bench("tiny", folder=tiny_suite, device="cpu", only="gradient", say=lambda line: None)
    tiny_suite.mkdir(exist_ok=True)
    (tiny_suite / "a file").touch()
    with pytest.raises(ValueError, match="a file is a file; results are kept in a folder"):
        bench("tiny", folder=tiny_suite / "a file", device="cpu")


def test_the_command_line_goes_through(tiny_suite: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SUITES, "mini", tiny)
    found = CliRunner().invoke(app, ["bench", "--only", "full", "--results", str(tiny_suite)])
    assert found.exit_code == 0, found.output
    assert "mAP" in found.output
    assert [r.method for r in results.read(tiny_suite / "mini.csv")] == ["full"]


def test_an_image_set_is_shown_by_its_whole_task_and_by_the_reduced_one() -> None:
    whole = benchmark.groups(rows("iem", 0.5, reduced=False))
    other = {"reduced": True, "width": 16}
    reduced = benchmark.groups(row for m in ("dm", "random", "iem") for row in rows(m, 0.4, **other))
    assert len({group.task for group in (*whole, *reduced)}) == 2
    assert benchmark.main_tasks([*reduced, *whole]) == [whole[0].task, reduced[0].task]
    assert benchmark.main_tasks(reduced) == [reduced[0].task]
