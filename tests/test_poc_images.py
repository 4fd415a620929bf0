"""Which images of one's own a run is of: its split, its groups, its fit, whatever is checked or drawn afterwards."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from typing import Any

import nbformat
import pytest
from bad_data_for_tests import clean_folder, noise
from test_fit import wide_images

import pocket
from pocket.data.intake import Findings, SplitRecord, keeping, list_images, stored_split
from pocket.presentation.i18n import translator
from pocket.runs import Run
from pocket.runs.paths import cache_dir
from pocket.workflows.check import check
from pocket.workflows.manifest import notebooks
from pocket.workflows.measure import load_split, own_split
from pocket.workflows.poc_images import checked_images, images_of
from pocket.workflows.tour import tour


@pytest.fixture(autouse=True)
def no_notebooks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the notebooks to tests/test_tour.py; `pocket.workflows.tour` by name is the function."""
    monkeypatch.setattr(import_module("pocket.workflows.tour"), "_toured", lambda run, first, say: run.folder)


def pairs(root: Path, table: Path) -> Path:
    """Write a table by which each two images of a folder of 12 a class show one thing."""
    rows = "".join(f"{name}/{i:02d}.png,{name} {i // 2}\n" for name in ("dent", "free") for i in range(12))
    table.write_text("path,group\n" + rows, encoding="utf-8")
    return table


def test_a_tour_keeps_to_the_split_by_groups_that_a_check_has_made(tmp_path: Path, home: Path) -> None:
    root, said = clean_folder(tmp_path / "images", each=12), []
    check(root, groups=pairs(root, tmp_path / "g.csv"), say=lambda _: None)
    tour("own", dataset=str(root), say=said.append)
    run = Run.read(home / "runs" / "own")
    kept = SplitRecord.load(run.path("split.json"))
    sides = {name: {Path(one).as_posix() for one in getattr(kept, name)} for name in ("train", "query")}
    assert all(
        (f"dent/{i:02d}.png" in sides["train"]) == (f"dent/{i + 1:02d}.png" in sides["train"]) for i in (0, 2, 4)
    )
    tour("own", first="04", say=said.append)
    assert len(images_of(run, say=said.append).query) == len(kept.query) and said == []
    pairs(root, root / "groups.csv")
    with pytest.raises(ValueError, match="groups of the images"):
        tour("own", first="04", say=said.append)


def test_a_tour_of_an_older_kit_whose_split_is_by_a_table_of_a_check_goes_on(tmp_path: Path, home: Path) -> None:
    root, said = clean_folder(tmp_path / "images", each=12), []
    check(root, groups=pairs(root, tmp_path / "g.csv"), say=lambda _: None)
    tour("own", dataset=str(root), say=said.append)
    run = Run.read(home / "runs" / "own")
    of_check = stored_split(list_images(root, Findings()))
    assert of_check is not None and of_check.groups_key
    run.save(of_check, "split.json")  # as it was noted then, with the groups of the check
    before = run.path("split.json").read_bytes()
    for again in (lambda: None, lambda: [os.utime(file) for file in root.rglob("*.png")]):
        again()  # the same images at another time are looked at
        tour("own", first="04", say=said.append)
        assert images_of(run, say=said.append).query.files == own_split(run).query.files
    assert run.path("split.json").read_bytes() == before and said == []
    assert own_split(run).query.independent is not None, "its things stand in the split"
    pairs(root, root / "groups.csv").write_text("path,group\ndent/00.png,x\ndent/01.png,x\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"groups of the images.*a run of their own: --run own-2"):
        tour("own", first="04", say=said.append)


def sources(number: str) -> list[str]:
    """Return the code cells of a notebook."""
    (notebook,) = (n for n in notebooks() if n.number == number)
    return [cell.source for cell in nbformat.read(notebook.path, as_version=4).cells if cell.cell_type == "code"]


def redraw() -> None:
    """Let others ask in the split that is kept for these images, as a later check may."""
    (place,) = (cache_dir() / "splits").glob("*.json")
    mine = SplitRecord.load(place)
    swapped = {"query": mine.train[:4], "train": (*mine.train[4:], *mine.query)}
    mine.model_copy(update=swapped).save(place)


@pytest.mark.parametrize("number", ["00", "01", "02", "03", "04", "06"])
def test_notebooks_of_a_run_load_its_own_split(
    number: str, tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POCKET_CACHE", str(tmp_path / "cache"))
    root = clean_folder(tmp_path / "images", each=12)
    tour("own", dataset=str(root), say=lambda _: None)
    run = Run.read(home / "runs" / "own")
    mine = own_split(run).query.files
    redraw()
    assert load_split(run.settings).query.files != mine
    (line,) = (line for source in sources(number) for line in source.splitlines() if line.startswith("split"))
    (imported,) = (one for source in sources(number) for one in source.splitlines() if "pocket.workflows import" in one)
    loaded: dict[str, Any] = {"run": run, "settings": run.settings}
    exec(f"{imported}\n{line}", loaded)
    assert loaded["split"].query.files == mine


def test_a_run_whose_split_cannot_be_read_goes_on_with_the_images_as_they_are(tmp_path: Path, home: Path) -> None:
    root, said = clean_folder(tmp_path / "images", each=12), []
    tour("own", dataset=str(root), say=said.append)
    run = Run.read(home / "runs" / "own")
    for damaged in ("{", '{"kind": "split", "version": 1}'):
        run.path("split.json").write_text(damaged, encoding="utf-8")
        assert len(images_of(run, say=said.append).query) == 4
        assert "could not be compared" in said.pop()
        with pytest.warns(UserWarning, match="split.json.*as they are now"):
            own_split(run)


def test_notebook_07_carries_the_fit_and_says_what_was_not_grouped(
    tmp_path: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = wide_images(tmp_path / "images")
    for c in ("bar", "tile"):
        (root / c / "01.png").write_bytes((root / c / "00.png").read_bytes())  # things without a table of groups
    cells = sources("07")
    to_the_plan = cells[: 1 + next(i for i, source in enumerate(cells) if "split_lines" in source)]
    for fit in ("pad", "crop"):
        known: dict[str, Any] = {"__name__": "notebook"}
        exec(to_the_plan[0], known)
        assert known["FIT"] == "crop"
        known.update(RUN=fit, FOLDER=str(root), FIT=fit)
        for source in to_the_plan[1:]:
            exec(source, known)
        assert known["split"].train.fit == known["checked"].fit == Run.read(home / "runs" / f"{fit}-own").settings.fit
        assert known["split"].train.fit == fit
        assert translator("en")("poc.split_alone") in capsys.readouterr().out


def test_a_run_of_another_fit_is_refused_before_anything_is_written(tmp_path: Path, home: Path) -> None:
    root, out = wide_images(tmp_path / "images"), home / "runs" / "own"
    tour("own", dataset=str(root), say=lambda _: None)
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    for lang, told in (("en", "was made with --fit crop, not pad"), ("ja", "--fit crop で作成")):
        with pytest.raises(ValueError, match=told):
            checked_images(root, out, None, lang, lambda _: None, fit="pad")
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


def test_a_split_that_was_kept_for_another_fit_lends_its_sides_and_not_its_size(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of strips eight times as long as wide, whole images need more pixels than their central squares."""
    root = tmp_path / "images"
    for c, name in enumerate(("dent", "free")):
        (root / name).mkdir(parents=True)
        for i in range(12):
            noise(100 * c + i, (400, 50)).save(root / name / f"{i:02d}.png")
    cropped = check(root, out=tmp_path / "crop", say=lambda _: None).record
    stored = SplitRecord.load(tmp_path / "crop" / "split.json")
    sizes = {fit: pocket.load(root, fit=fit).query.size for fit in ("crop", "pad")}
    tour("own", dataset=str(root), fit="pad", say=lambda _: None)
    kept = SplitRecord.load(home / "runs" / "own" / "split.json")
    fresh = check(root, out=tmp_path / "pad", fit="pad", say=lambda _: None).record
    assert cropped.size is not None and fresh.size is not None
    assert cropped.size.resolution < fresh.size.resolution
    assert sizes == {"crop": cropped.size.resolution, "pad": fresh.size.resolution}
    assert (kept.fit, kept.size, kept.query, kept.train) == ("pad", fresh.size, stored.query, stored.train)
    monkeypatch.setattr(keeping, "look_at_all", None)  # what was looked at once for this fit is not looked at again
    assert pocket.load(root, fit="pad").query.size == fresh.size.resolution
    loaded = own_split(Run.read(home / "runs" / "own"))
    assert (loaded.query.fit, loaded.query.size) == ("pad", fresh.size.resolution)


def test_a_tour_of_images_that_cannot_be_used_leaves_no_run(tmp_path: Path, home: Path) -> None:
    root, runs = clean_folder(tmp_path / "images", classes=("dent",)), home / "runs"
    (runs / "notes").mkdir(parents=True)
    (runs / "notes" / "mine.txt").write_text("kept", encoding="utf-8")
    for name in ("own", "notes"):
        with pytest.raises(ValueError, match="only the class 'dent'"):
            tour(name, dataset=str(root), say=lambda _: None)
    assert not (runs / "own").exists() and [file.name for file in (runs / "notes").iterdir()] == ["mine.txt"]
    clean_folder(root)
    tour("own", dataset=str(root), fit="pad", say=lambda _: None)
    before = {path: path.read_bytes() for path in (runs / "own").rglob("*") if path.is_file()}
    (root / "free" / "00.png").unlink()
    with pytest.raises(ValueError, match="1 removed"):
        tour("own", say=lambda _: None)
    assert {path: path.read_bytes() for path in (runs / "own").rglob("*") if path.is_file()} == before
