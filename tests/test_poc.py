"""`pocket poc`: from a folder to a brief in one command, which goes on to the same numbers wherever it was killed."""

from __future__ import annotations

import csv
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from runs_for_tests import SEEDS, cell, make_run
from sets_for_tests import image_set
from test_check import state
from typer.testing import CliRunner

from pocket.cli import app
from pocket.condensation import matching
from pocket.data import CondensedSet, ImageSet, RetrievalSplit
from pocket.data.intake import CheckRecord, SplitRecord
from pocket.data.summary import repeated_queries
from pocket.evaluation import DiagnosticsRecord, RetrievalComparison, bootstrap_mean, over_queries
from pocket.presentation.brief import write_brief
from pocket.presentation.brief_evidence import saving_noise
from pocket.presentation.i18n import translator
from pocket.presentation.poc_block import poc_block
from pocket.presentation.poc_text import split_lines
from pocket.roi import RoiReport
from pocket.runs import Run, results
from pocket.runs.poc import PocRecord, PublishedPoc
from pocket.runs.records import CondensationRecord, TrainingRecord
from pocket.runs.verification import verify_run
from pocket.workflows import publish
from pocket.workflows.measure import load_split
from pocket.workflows.poc import Done, poc
from pocket.workflows.poc_plan import Asked, nominal_seconds, plan_of

SIZES = (30, 20, 12)  # images of each class: groups of two, so that each has something to ask and to find
QUICK = Asked(seeds=2, bits=8, resolution=16, steps=(8, 3))


def folder_of_images(root: Path, *, grouped: bool = True) -> Path:
    """Write classes of unequal size as PNG files, two photographs of each thing, with groups.csv where wanted."""
    images = image_set(max(SIZES), size=24, seed=3)
    rows = []
    for c, count in enumerate(SIZES):
        mine = np.flatnonzero(images.labels == c)[:count]
        for place, i in enumerate(mine):
            path = root / images.class_names[c] / f"{place:02d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(images.images[i, 0]).save(path)
            rows.append((path.relative_to(root).as_posix(), f"{c}-{place // 2}"))
    if grouped:
        with (root / "groups.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([("path", "group"), *rows])
    return root


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Done, Path, list[str]]]:
    """One whole proof of concept, which most tests look at."""
    home = tmp_path_factory.mktemp("home")
    images = folder_of_images(tmp_path_factory.mktemp("data") / "parts")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("POCKET_HOME", str(home))
        before, said = state(images), []
        found = poc(images, "whole", asked=QUICK, pdf=False, say=said.append)
        assert state(images) == before, "something in the user's folder was changed"
        yield found, images, said


def run_of(found: tuple[Done, Path, list[str]]) -> Run:
    run = found[0].run
    assert run is not None
    return run


def scores(folder: Path) -> dict[str, object]:
    """Every score of a run's records, without seconds."""
    run = Run.read(folder)
    cells = (
        *TrainingRecord.load(run.path("training.json")).cells,
        *CondensationRecord.load(run.path("condensation.json")).cells,
    )
    retrieval = RetrievalComparison.load(run.path("retrieval.json"))
    record = PocRecord.load(run.path("poc.json"))
    return {
        "cells": [(c.method, c.formation, c.seed, c.map, c.map_low, c.map_high, c.map_plain) for c in cells],
        "retrieval": [report.model_dump() for report in retrieval.models.values()],
        "over": retrieval.over,
        "condensed": CondensedSet.load(run.path("condensed.safetensors")).images.tobytes(),
        "split": SplitRecord.load(run.path("split.json")),
        "plan": record.plan,
        "key": record.key,
        "maps": [RoiReport.load(run.path("roi.json")).inputs.estimate(f"map_{n}") for n in ("full", "condensed")],
    }


def leaves(value: object, name: str = "") -> dict[str, object]:
    """What stands at the ends of nested dicts and lists, by its path."""
    if isinstance(value, dict | list | tuple):
        parts = value.items() if isinstance(value, dict) else enumerate(value)
        return {path: leaf for key, part in parts for path, leaf in leaves(part, f"{name}/{key}").items()}
    return {name: value}


def diagnostics(folder: Path) -> dict[str, object]:
    models = DiagnosticsRecord.load(folder / "diagnostics.json").models
    return leaves({name: report.model_dump() for name, report in models.items()})


def test_it_ends_with_everything_that_the_other_commands_read(done: tuple[Done, Path, list[str]]) -> None:
    run = run_of(done)
    for name in (
        "check.json", "check.html", "split.json", "data.json", "training.json", "condensation.json", "retrieval.json",
        "condensed.safetensors", "condensed.json", "diagnostics.json", "roi.json", "roi.csv", "roi.en.xlsx",
        "roi.ja.xlsx", "brief.en.html", "brief.ja.html", "poc.json", "models/full_0.safetensors",
        "models/full_1.safetensors", "models/iem.safetensors", "models/random.safetensors",
    ):  # fmt: skip
        assert run.path(name).is_file(), name
    assert verify_run(run.folder).problems == ()
    assert all(name.startswith("condensed_png/") for name in verify_run(run.folder).unlogged)
    record = done[0].record
    assert record is not None and record.verdict == RoiReport.load(run.path("roi.json")).decision.verdict


def test_it_says_plan_time_and_verdict(done: tuple[Done, Path, list[str]]) -> None:
    _, _, said = done
    text, t = "\n".join(said), translator("en")
    order = [t("poc.plan"), t("poc.measuring"), t("poc.stage_iem"), t("poc.total"), "[1/8] All data, seed 0"]
    places = [text.index(part) for part in order]
    assert places == sorted(places), "the time is said before the first model is trained"
    assert t("poc.no_leak") in text and "groups stay on one side" in text
    found = run_of(done).path("brief.en.html")
    assert f"Report: {found}" in text and "95 % intervals over" in text


def test_groups_never_straddle_and_intervals_are_over_them(done: tuple[Done, Path, list[str]]) -> None:
    run = run_of(done)
    split = load_split(run.settings)
    assert split.query.groups and not set(split.query.groups) & set(split.train.groups)
    found = RetrievalComparison.load(run.path("retrieval.json"))
    groups = len(set(split.query.groups))
    assert groups < len(split.query) and found.over is not None
    for report in found.models.values():
        assert report.groups == groups
        values = [np.nan if ap is None else ap for ap in report.query_ap]
        assert report.map_interval == bootstrap_mean(values, split.query.independent)
    for each in (found.over.full, found.over.condensed, found.over.random, found.over.against_random):
        assert (each.groups, each.queries, each.seeds) == (groups, len(split.query), 2)


def test_unequal_classes_give_unequal_sets_and_no_more_than_they_have(done: tuple[Done, Path, list[str]]) -> None:
    run = run_of(done)
    condensed = CondensedSet.load(run.path("condensed.safetensors"))
    counts, train = np.bincount(condensed.labels), load_split(run.settings).train.counts
    assert (counts == np.maximum(np.round(0.1 * train), 1)).all() and len(set(counts.tolist())) > 1
    assert (counts <= train).all()


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_the_brief_shows_intervals_over_groups(done: tuple[Done, Path, list[str]], lang: str) -> None:
    run = run_of(done)
    over = RetrievalComparison.load(run.path("retrieval.json")).over
    assert over is not None and over.full.low is not None and over.full.groups is not None
    text = run.path(f"brief.{lang}.html").read_text(encoding="utf-8")
    t = translator(lang)
    spread = t("brief.over_range", low=f"{over.full.low:.3f}", high=f"{over.full.high:.3f}")
    assert t("brief.over") in text and spread in text
    assert t("over.groups", groups=over.full.groups, queries=over.full.queries, seeds=2) in text


def test_seconds_that_are_noise_are_called_so(done: tuple[Done, Path, list[str]]) -> None:
    full, ours = ([cell(method, seed) for seed in SEEDS] for method in ("full", "iem"))
    t = translator("en")
    assert saving_noise(full, ours, "en") == "", "9.3 s against 3.0 s is no noise"
    uneven = [c.model_copy(update={"train_seconds": s}) for c, s in zip(ours, (2.0, 9.0, 16.0), strict=True)]
    assert "within the noise" in saving_noise(full, uneven, "en")
    equal = [c.model_copy(update={"steps": full[0].steps}) for c in ours]
    assert saving_noise(full, equal, "en") == t("brief.saving_equal", steps=full[0].steps)
    _, _, said = done
    assert t("brief.saving_equal", steps=8) in said
    assert t("brief.saving_equal", steps=8) in run_of(done).path("brief.en.html").read_text(encoding="utf-8")


def test_a_run_without_such_intervals_has_a_brief_without_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POCKET_HOME", str(tmp_path))
    text = write_brief(make_run(), "en").read_text(encoding="utf-8")
    assert translator("en")("brief.over") not in text


def test_the_same_command_again_trains_nothing(
    done: tuple[Done, Path, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    found, images, _ = done
    run = run_of(done)
    monkeypatch.setenv("POCKET_HOME", str(run.folder.parent.parent))
    before = state(run.folder)
    said: list[str] = []
    again = poc(images, "whole", asked=QUICK, pdf=False, say=said.append)
    assert again.record == found.record
    assert state(run.folder) == before
    assert not any("trained in" in line for line in said) and any("mAP (low" in line for line in said)
    assert said[0].startswith("The check that is there still holds") and said[0].endswith("check.html")
    assert said[1:3] == ["", translator("en")("poc.plan")], "of the check there is one line with its page"
    assert not any(line.startswith(("[", "    ->")) for line in said)


def test_other_images_or_settings_are_refused(
    done: tuple[Done, Path, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, images, _ = done
    run = run_of(done)
    monkeypatch.setenv("POCKET_HOME", str(run.folder.parent.parent))
    before = state(run.folder)
    with pytest.raises(ValueError, match="was made of"):
        poc(folder_of_images(tmp_path / "others"), "whole", asked=QUICK, say=lambda line: None)
    with pytest.raises(ValueError, match="resolution=16, not 24"):
        poc(images, "whole", asked=QUICK._replace(resolution=24), say=lambda line: None)
    assert state(run.folder) == before


def test_images_that_have_changed_are_announced_and_nothing_is_lost(
    done: tuple[Done, Path, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, images, _ = done
    run = run_of(done)
    monkeypatch.setenv("POCKET_HOME", str(run.folder.parent.parent))
    kept = shutil.copytree(images, tmp_path / "kept")
    before = state(run.folder)

    def again(lang: str = "en") -> list[str]:
        said: list[str] = []
        poc(images, "whole", asked=QUICK, pdf=False, lang=lang, say=said.append)
        return said

    try:
        Image.new("L", (24, 24), 9).save(images / "kind 0" / "new.png")
        (images / "kind 1" / "00.png").write_bytes((images / "kind 0" / "00.png").read_bytes())
        (images / "kind 1" / "02.png").unlink()
        (images / "kind 2" / "03.png").unlink()
        with pytest.raises(
            ValueError, match=r"1 added, 2 removed, 1 changed \(such as kind 0/new.png\).*--run whole-2"
        ):
            again()
        with pytest.raises(ValueError, match="追加1枚、削除2枚、変更1枚"):
            again("ja")
        shutil.rmtree(images)
        with pytest.raises(ValueError, match="no longer there as they were"):
            again()
        shutil.copytree(kept, images)
        (images / "groups.csv").write_text("path,group\nkind 0/00.png,one\nkind 0/01.png,one\n", encoding="utf-8")
        with pytest.raises(ValueError, match="groups of the images"):
            again()
        assert state(run.folder) == before
    finally:
        shutil.rmtree(images, ignore_errors=True)
        shutil.copytree(kept, images, copy_function=shutil.copyfile)  # the same images at another time
    said = again()
    assert not any("trained in" in line for line in said), "images that were only copied anew are the same"
    assert verify_run(run.folder).problems == ()


def test_a_condensing_that_goes_on_says_where(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    images, said = folder_of_images(tmp_path / "images"), []
    whole, calls = matching.distance, []

    def pressed(*words: object) -> object:
        calls.append(words)
        if len(calls) == 4 + 3:  # after the four steps that the time is measured on, in the third of the real ones
            raise KeyboardInterrupt
        return whole(*words)  # type: ignore[arg-type]

    asked = QUICK._replace(seeds=1, steps=(8, 5))
    with monkeypatch.context() as patch:
        patch.setattr(matching, "distance", pressed)
        with pytest.raises(KeyboardInterrupt):
            poc(images, "stopped", asked=asked, pdf=False, say=lambda line: None)
    done = poc(images, "stopped", asked=asked, pdf=False, lang="ja", progress=True, say=said.append)
    assert said.count(translator("ja")("poc.goes_on", seed=0, step=2, steps=5)) == 1
    assert "step 2 of 5" in translator("en")("poc.goes_on", seed=0, step=2, steps=5)
    bars = capsys.readouterr().err
    assert "凝縮：シード0" in bars and "学習：" in bars and "condensing" not in bars and "training" not in bars
    assert done.record is not None and done.record.took is None
    assert not list((home / "runs" / "stopped").rglob("*.checkpoint"))


# --- published ------------------------------------------------------------------------------------------


def test_every_second_of_one_call_belongs_to_a_stage(done: tuple[Done, Path, list[str]]) -> None:
    record = done[0].record
    assert record is not None and record.took is not None
    assert list(record.took) == ["check", "plan", "full", "random", "iem", "diagnostics", "report"]
    assert min(record.took.values()) > 0
    cells = TrainingRecord.load(run_of(done).path("training.json")).cells
    for method in ("full", "random"):
        assert record.took[method] >= sum(cell.train_seconds for cell in cells if cell.method == method)


def test_a_run_is_published_from_its_records_alone(
    done: tuple[Done, Path, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, images, _ = done
    run = run_of(done)
    monkeypatch.setenv("POCKET_HOME", str(run.folder.parent.parent))
    monkeypatch.setattr(publish, "kit_dir", lambda part: tmp_path / part)
    monkeypatch.setattr(results, "results_folder", lambda: tmp_path / "results")
    readme = tmp_path / "README.md"
    readme.write_text("before\n", encoding="utf-8")
    with pytest.raises(ValueError, match="lacks the markers <!-- poc_whole -->"):
        publish.publish_poc("whole", "Coarse patterns")
    assert not (tmp_path / "results").exists()
    readme.write_text("before\n<!-- poc_whole -->\n<!-- /poc_whole -->\nafter\n", encoding="utf-8")
    record = PublishedPoc.load(publish.publish_poc("whole", "Coarse patterns"))
    block = poc_block(record)
    assert readme.read_text(encoding="utf-8") == f"before\n<!-- poc_whole -->\n{block}\n<!-- /poc_whole -->\nafter\n"
    assert f"{sum(SIZES)} images, {sum(SIZES) // 2} groups, 3 classes, the largest with {max(SIZES)}" in block
    over = RetrievalComparison.load(run.path("retrieval.json")).over
    assert over is not None and f"condensed {over.condensed.mean:.3f} (" in block
    assert str(images.parent) not in record.to_json(), "it says nothing of where the images lay"
    with pytest.raises(ValueError, match="about"):
        publish.publish_poc("whole", "<script>")
    assert found.record is not None
    again = tmp_path / "again" / "runs" / "again"
    shutil.copytree(run.folder, again)
    found.record.model_copy(update={"took": None}).save(again / "poc.json")
    monkeypatch.setenv("POCKET_HOME", str(tmp_path / "again"))
    with pytest.raises(ValueError, match="was done in several calls"):
        publish.publish_poc("again", "Coarse patterns")
    assert readme.read_text(encoding="utf-8").count(block) == 1


# --- killed ---------------------------------------------------------------------------------------------

_SCRIPT = """
import sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from pocket.workflows.poc import poc
from pocket.workflows.poc_plan import Asked
poc(Path(sys.argv[1]), "killed", asked=Asked(seeds=2, bits=8, resolution=16, steps=(8, 3)), pdf=False)
"""


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL on Windows")
def test_killed_at_any_moment_it_ends_with_the_same_numbers(done: tuple[Done, Path, list[str]], tmp_path: Path) -> None:
    _, images, _ = done
    folder = tmp_path / "runs" / "killed"
    environment = os.environ | {"POCKET_HOME": str(tmp_path), "MPLBACKEND": "agg"}
    moments = (
        "split.json",
        "cells/full-1-0-*.model.safetensors",  # the model is there, its record is not
        "cells/iem-*-0-*.set.safetensors",  # half of the condensed set, without its card
        "training.json",
        "brief.en.html",
    )
    for moment in moments:
        process = subprocess.Popen(
            [sys.executable, "-c", _SCRIPT, str(images)], env=environment, stdout=subprocess.DEVNULL
        )
        until = time.monotonic() + 120
        while not any(folder.glob(moment)) and process.poll() is None and time.monotonic() < until:
            time.sleep(0.002)
        killed = process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert killed, f"it ended before {moment}"
        assert not (folder / "poc.json").exists()
    subprocess.run([sys.executable, "-c", _SCRIPT, str(images)], env=environment, check=True, stdout=subprocess.DEVNULL)
    assert scores(folder) == scores(run_of(done).folder)
    # Scores, sets and split above are equal to the bit. Something in the diagnostics was not on one machine of several,
    # for a reason not yet found: their floats are held to be the same within 1e-6.
    resumed, whole = diagnostics(folder), diagnostics(run_of(done).folder)
    assert resumed.keys() == whole.keys()
    numbers = {name: value for name, value in whole.items() if isinstance(value, float)}
    assert {name: resumed.pop(name) for name in numbers} == pytest.approx(numbers, rel=1e-6, abs=1e-9)
    assert resumed == {name: value for name, value in whole.items() if name not in numbers}
    assert PocRecord.load(folder / "poc.json").took is None, "what the last call took is not what all of it takes"
    assert verify_run(folder).problems == ()
    assert not list(folder.rglob(".*")), "what a killed process has left half-written is cleared away"


# --- exit codes, places -----------------------------------------------------------------------------------


def called(*words: object) -> tuple[int, str]:
    found = CliRunner().invoke(app, ["poc", *map(str, words)])
    if found.exception is not None and not isinstance(found.exception, SystemExit):
        raise found.exception
    return found.exit_code, found.output


def test_a_stop_of_the_check_ends_it_with_4(tmp_path: Path, home: Path) -> None:
    (tmp_path / "images" / "only").mkdir(parents=True)
    for i in range(3):
        Image.new("L", (32, 32), 60 * i).save(tmp_path / "images" / "only" / f"{i}.png")
    code, said = called(tmp_path / "images", "--run", "stopped")
    assert code == 4
    assert translator("en")("poc.stop") in said and "sub-folder" in said
    assert CheckRecord.load(home / "runs" / "stopped" / "check.json").verdict == "stop"
    assert not (home / "runs" / "stopped" / "run.json").exists()


def test_calls_that_cannot_be_meant_end_with_2(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = folder_of_images(tmp_path / "images")
    assert called(images, "--ipc", 1, "--ratio", 0.1)[0] == 2
    assert called(images, "--groups", tmp_path / "none.csv")[0] == 2
    assert called(images, "--lang", "fr")[0] == 2
    monkeypatch.setenv("POCKET_HOME", str(images))
    before = state(images)
    code, said = called(images)
    assert code == 2 and "POCKET_HOME" in said
    assert state(images) == before


# --- the plan -------------------------------------------------------------------------------------------


def check_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **changes: object) -> CheckRecord:
    from pocket.workflows.check import check

    monkeypatch.setenv("POCKET_HOME", str(tmp_path))
    found = check(folder_of_images(tmp_path / "images"), say=lambda line: None).record
    return found.model_copy(update=changes)


def test_the_plan_follows_from_the_images_and_from_what_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = check_of(tmp_path, monkeypatch)
    plan = plan_of(found, Asked())
    assert (plan.sized_by, plan.ratio, plan.fits) == ("few", 0.1, True)
    assert plan == plan_of(found, Asked()), "no clock: the same images give the same plan"
    asked = plan_of(found, Asked(ipc=11, resolution=24, seeds=1, bits=16))
    least = min(row.train for row in found.classes)
    assert asked.counts == tuple(min(11, row.train) for row in found.classes) and least < 11
    assert (asked.resolution, asked.size_by, asked.seeds, asked.bits) == (24, "asked", (0,), 16)
    uneven = plan_of(found.model_copy(update={"ratio": 0.1, "ipc": None}), Asked())
    assert (uneven.sized_by, uneven.ratio) == ("imbalance", 0.1)
    with pytest.raises(ValueError, match="--ratio"):
        plan_of(found, Asked(ipc=1, ratio=0.1))


def test_little_time_gives_fewer_steps_and_then_smaller_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = check_of(tmp_path, monkeypatch)
    assert found.size is not None
    large = found.model_copy(update={"size": found.size.model_copy(update={"resolution": 96})})
    plans = [plan_of(large, Asked(minutes=minutes)) for minutes in (600, 30, 8, 1)]
    assert (plans[0].resolution, plans[0].condense_steps) == (96, plans[0].usual_steps)
    spent = [nominal_seconds(plan, large.size.channels if large.size else 1) for plan in plans]
    assert spent == sorted(spent, reverse=True)
    assert plans[-1].resolution < 96 and plans[-1].size_by == "budget" and not plans[-1].fits
    assert plan_of(large, Asked(minutes=1, resolution=96)).resolution == 96, "what is asked for stays"


# --- scores of several seeds ------------------------------------------------------------------------------


def test_over_queries_takes_seeds_first_and_draws_groups(done: tuple[Done, Path, list[str]]) -> None:
    report = next(iter(RetrievalComparison.load(run_of(done).path("retrieval.json")).models.values()))
    better = report.model_copy(update={"query_ap": (0.9, 0.8, None, 0.7)})
    worse = report.model_copy(update={"query_ap": (0.5, 0.6, None, 0.3)})
    labels, groups = np.array([0, 0, 1, 1]), np.array([0, 0, 1, 2])
    found = over_queries([better, worse], [worse, worse], [worse, better], labels, groups)
    assert found.full.mean == pytest.approx((0.7 + 0.7 + 0.5) / 3) and found.full.macro == pytest.approx(0.6)
    assert (found.full.queries, found.full.groups, found.full.seeds) == (3, 2, 2)
    assert found.against_random.mean == pytest.approx((-0.2 - 0.1 - 0.2) / 3) and found.against_random.sign == -1
    assert found.against_full.mean == pytest.approx(found.condensed.mean - found.full.mean)
    alone = over_queries([better], [worse], [worse], labels)
    assert alone.full.groups is None and alone.against_random.sign == 0
    with pytest.raises(ValueError, match="same 4 queries"):
        over_queries([better], [], [worse], labels)


def test_a_leak_and_missing_groups_are_said() -> None:
    images, t = image_set(4, classes=2), translator("en")

    def told(train: ImageSet, query: ImageSet) -> str:
        split = RetrievalSplit(train, train, query, "own-data")
        return "\n".join(split_lines(split, repeated_queries(split), "en"))

    train, query = images.subset([0, 1, 2, 3]), images.subset([4, 5])
    assert t("poc.no_leak") in told(train, query) and t("poc.split_alone") in told(train, query)
    assert t("poc.leak", copies=1, groups=0) in told(train, images.subset([3, 5]))
    shared = replace(train, groups=("a", "b", "", "")), replace(query, groups=("b", ""))
    assert t("poc.leak", copies=0, groups=1) in told(*shared) and t("poc.split_alone") not in told(*shared)


def test_images_on_their_own_are_groups_of_their_own() -> None:
    images = image_set(2, classes=2)
    assert images.independent is None
    grouped = ImageSet(images.images, images.labels, images.class_names, "grouped", groups=("a", "", "a", ""))
    assert grouped.independent is not None and grouped.independent.tolist() == [0, 1, 0, 2]
    assert grouped.subset([2, 3]).groups == ("a", "")
    with pytest.raises(ValueError, match="groups of 1"):
        ImageSet(images.images, images.labels, images.class_names, "grouped", groups=("a",))
