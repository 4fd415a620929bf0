"""The mini tour under papermill, as `make tour` runs it, and what it must find."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from pocket.data import load
from pocket.evaluation import DiagnosticsRecord, RetrievalComparison
from pocket.roi import RoiReport
from pocket.runs import Run
from pocket.runs.audit import digest_of, verify
from pocket.runs.records import CondensationRecord, TrainingRecord, select, strongest_random, summarise
from pocket.workflows.manifest import notebooks
from pocket.workflows.tour import TourRecord

pytestmark = pytest.mark.tour


def pocket(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"POCKET_HOME": str(home)}
    call = [sys.executable, "-m", "pocket", *words]
    return subprocess.run(call, capture_output=True, text=True, encoding="utf-8", env=environment, timeout=1500)


@pytest.fixture(scope="module")
def toured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    home = tmp_path_factory.mktemp("home")
    done = pocket(home, "tour", "--run", "mini")
    assert done.returncode == 0, done.stdout + done.stderr
    yield Run.read(home / "runs" / "mini")


def mean(cells: list) -> float:
    return summarise(cell.map for cell in cells).mean


def test_every_notebook_ran_within_twice_its_stated_time(toured: Run) -> None:
    record = TourRecord.load(toured.path("tour.json"))
    assert [n.number for n in record.notebooks] == [n.number for n in notebooks()]
    for notebook in record.notebooks:
        assert notebook.seconds <= 2 * 60 * notebook.stated_minutes, notebook
    assert record.peak_mb is None or record.peak_mb <= 2500


def test_every_artefact_of_the_manifest_is_there(toured: Run) -> None:
    for notebook in notebooks():
        for name in notebook.writes:
            folder = toured.folder.with_name(toured.name + notebook.beside)
            assert (folder / name).is_file(), name
        assert toured.path("notebooks", notebook.file).with_suffix(".html").is_file()
    assert toured.path("index.html").is_file()
    assert len(list(toured.path("condensed_png").rglob("*.png"))) == 100


def test_full_data_retrieves(toured: Run) -> None:
    full = select(TrainingRecord.load(toured.path("training.json")).cells, method="full")
    assert {cell.seed for cell in full} == {0, 1, 2}
    assert mean(full) >= 0.95


def test_iem_beats_the_stronger_random_subset(toured: Run) -> None:
    before = TrainingRecord.load(toured.path("training.json")).cells
    iem = select(CondensationRecord.load(toured.path("condensation.json")).cells, method="iem")
    one, ten = select(iem, ipc=1), select(iem, ipc=10)
    assert mean(one) >= mean(strongest_random(before, 1)) + 0.05
    assert mean(ten) > mean(strongest_random(before, 10))
    assert mean(ten) >= 0.93


def test_sets_are_compared_like_with_like(toured: Run) -> None:
    cells = [
        *TrainingRecord.load(toured.path("training.json")).cells,
        *CondensationRecord.load(toured.path("condensation.json")).cells,
    ]
    small = [cell for cell in cells if cell.method != "full"]
    assert {cell.method for cell in small} == {"random", "dm", "iem"}
    assert len({cell.steps for cell in small}) == 1
    for ipc in (1, 10):
        assert len({(cell.images, cell.image_bytes) for cell in select(small, ipc=ipc)}) == 1
    for cell in cells:
        assert cell.map_low <= cell.map <= cell.map_high
        assert cell.train_seconds > 0
        if cell.method in ("iem", "dm"):
            assert cell.condense_seconds > 0
        if cell.method == "iem":
            assert cell.teacher_seconds > 0


def test_the_ablation_covers_every_part_over_the_same_seeds(toured: Run) -> None:
    ablation = CondensationRecord.load(toured.path("condensation.json")).ablation
    assert len(ablation) == 6
    assert {len(row.maps) for row in ablation} == {3}


def test_retrieval_and_roi_follow_from_the_measured_cells(toured: Run) -> None:
    retrieval = RetrievalComparison.load(toured.path("retrieval.json"))
    full = select(TrainingRecord.load(toured.path("training.json")).cells, method="full", seed=0)[0]
    assert retrieval.models["full data"].map == pytest.approx(full.map, abs=1e-12)
    assert retrieval.models["IEM"].map > retrieval.models["random subset"].map
    roi = RoiReport.load(toured.path("roi.json"))
    assert math.isfinite(roi.npv)
    rows = toured.path("roi.csv").read_text(encoding="utf-8").splitlines()
    assert len(rows) == 1 + len(roi.schedule)
    for lang in ("en", "ja"):
        assert toured.path(f"roi.{lang}.xlsx").read_bytes()[:2] == b"PK"


def test_the_diagnostics_cover_all_models(toured: Run) -> None:
    found = DiagnosticsRecord.load(toured.path("diagnostics.json")).models
    assert set(found) == {"full data", "IEM", "random subset"}
    ours = found["IEM"]
    assert not ours.skipped
    assert ours.robustness.mean[-1] < ours.robustness.clean
    assert ours.anomalies is not None
    assert ours.anomalies.auroc > 0.8
    assert set(ours.missing) == set("0123456789")
    assert ours.drifted is not None
    assert ours.drifted.alarm


def test_searching_for_an_image_file(toured: Run, tmp_path: Path) -> None:
    query = load("digits").query
    Image.fromarray(query.images[0, 0]).resize((40, 40)).save(tmp_path / "mine.png")
    done = pocket(toured.folder.parent.parent, "search", "--run", "mini", "-k", "3", str(tmp_path / "mine.png"))
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines() if line.startswith(("  full ", "  iem "))]
    assert [line[:2] for line in lines] == [[model, rank] for model in ("full", "iem") for rank in "123"]
    assert lines[0][3] == query.class_names[query.labels[0]]
    assert Image.open(toured.path("search.png")).width > 300


def test_the_audit_log_holds_every_saved_file(toured: Run) -> None:
    lines, head = verify(toured.path("audit.jsonl"))
    assert (lines, head) == (toured.record.audit_lines, toured.record.audit_head)
    assert digest_of(toured.path("training.json")) in toured.path("audit.jsonl").read_text(encoding="utf-8")


def test_going_on_from_artefacts_on_disk(toured: Run) -> None:
    again = pocket(toured.folder.parent.parent, "tour", "--run", "mini", "--from", "08")
    assert again.returncode == 0, again.stdout + again.stderr
    left = [n for n in notebooks() if n.number >= "08"]
    assert f"[1/{len(left)}] 08" in again.stdout
    record = TourRecord.load(toured.path("tour.json"))
    assert [n.number for n in record.notebooks] == [n.number for n in notebooks()]


def test_a_failing_notebook_is_named_with_its_cell_and_error(toured: Run, tmp_path: Path) -> None:
    failed = pocket(tmp_path, "tour", "--run", "broken", "--from", "04")
    assert failed.returncode == 1
    message = failed.stderr
    assert "04_does_it_still_retrieve.ipynb, cell [" in message
    assert "ArtefactError" in message
    assert "condensation.json is missing" in message
    assert "to go on from here: pocket tour --run broken --from 04" in failed.stdout
    assert "Traceback" not in message


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--from", "99"), "choose one of 00, 01"),
        (("--profile", "huge"), "unknown profile 'huge'"),
        (("--run", "../away"), "run name '../away' is not usable"),
        (("--bits", "12"), "bits"),
    ],
)
def test_wrong_words_get_a_clear_line(tmp_path: Path, words: tuple[str, ...], expected: str) -> None:
    failed = pocket(tmp_path, "tour", *words)
    assert failed.returncode == (2 if words[0] == "--run" else 1)
    assert expected in failed.stderr
    assert "Traceback" not in failed.stderr
