"""Which images of one's own a run is of: its split, its groups, its fit, whatever is checked or drawn afterwards."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest
from bad_data_for_tests import clean_folder

from pocket.data.intake import SplitRecord
from pocket.runs import Run
from pocket.workflows.check import check
from pocket.workflows.poc_images import images_of
from pocket.workflows.tour import tour


@pytest.fixture(autouse=True)
def no_notebooks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The notebooks themselves are the matter of tests/test_tour.py; `pocket.workflows.tour` by name is the function."""
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
