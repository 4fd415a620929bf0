"""Copies of one image under different labels: never asked with, no things of their class, and told by name."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from bad_data_for_tests import clean_folder, noise, put
from test_check import checked, kinds, listed, parquet, run
from test_poc import QUICK

import pocket
from pocket.data.intake import CheckRecord, Findings, SplitRecord, list_images, store_split, take_in
from pocket.data.intake.splits import choose_queries
from pocket.presentation.brief_setting import setting_lines
from pocket.presentation.i18n import translator
from pocket.runs.retrieval import RetrievalComparison
from pocket.workflows.check import check
from pocket.workflows.poc import poc
from pocket.workflows.poc_images import images_of


def copied(root: Path, count: int, first: str = "dent", second: str = "free") -> list[str]:
    """Plant images under two labels; every other one is saved again, as a near copy."""
    names = []
    for i in range(count):
        put(root / first / f"x{i}.png", 900 + i)
        if i % 2:
            noise(900 + i).resize((80, 72)).save(root / second / f"y{i}.png")
        else:
            put(root / second / f"y{i}.png", 900 + i)
        names += [f"{first}/x{i}.png", f"{second}/y{i}.png"]
    return names


def test_they_are_named_one_by_one_kept_from_the_queries_and_no_things(tmp_path: Path, home: Path) -> None:
    root = clean_folder(tmp_path / "images", each=20)
    planted = copied(root, 30)
    code, said = run(root)
    out = home / "runs" / "check-images"
    record, split = CheckRecord.load(out / "check.json"), SplitRecord.load(out / "split.json")
    finding = next(f for f in record.findings if f.kind == "disputed")
    assert code == 0 and (finding.level, finding.count) == ("warn", 60)
    assert {one.name for one in finding.affected} == set(planted)
    assert dict(finding.affected[0].values) == {"label": "dent", "copy": "free/y0.png", "other": "free"}
    assert not set(planted) & set(split.query), "none asks"
    assert set(planted) <= set(split.train), "they are left where they lie"
    assert [(row.name, row.images, row.units) for row in record.classes] == [("dent", 50, 20), ("free", 50, 20)]
    assert record.units == 40
    page = (out / "check.html").read_text(encoding="utf-8")
    files = page[page.index("Images with a copy under another label") :]
    assert len(re.findall(r"<li>(?:dent|free)/", files[: files.index("</ul>")])) == 50 and "and 10 more" in files
    assert "labelled dent; its copy free/y0.png is labelled free" in said
    assert "複製のfree/y0.pngのラベルはfreeです" in run(root, "--lang", "ja")[1]


def test_they_lift_no_class_over_the_limit_of_five(tmp_path: Path, home: Path) -> None:
    root = clean_folder(tmp_path / "images", each=60)
    for i in range(20, 60):
        (root / "dent" / f"{i}.png").unlink()
    assert [row.query_units for row in checked(root, home).classes] == [4, 12]
    for i in range(30):
        (root / "dent" / f"again {i}.png").write_bytes((root / "free" / f"{i:02d}.png").read_bytes())
    record = checked(root, home)
    dent = record.classes[0]
    found = (dent.images, dent.units, dent.query, dent.query_units)
    assert found == (50, 20, 4, 4), "fifty images, but twenty things, a fifth of which asks as before"
    assert "dent" in kinds(record)["few_queries"]
    split = SplitRecord.load(home / "report" / "split.json")
    assert not [name for name in split.query if "again" in name]


def test_photographs_of_a_disputed_thing_stay_with_it(tmp_path: Path, home: Path) -> None:
    root = clean_folder(tmp_path / "images", each=20)
    (root / "free" / "copy.png").write_bytes((root / "dent" / "00.png").read_bytes())
    rows = "".join(f"dent/{i:02d}.png,part {i // 5}\n" for i in range(20))
    (root / "groups.csv").write_text("path,group\n" + rows, encoding="utf-8")
    record = checked(root, home)
    split = SplitRecord.load(home / "report" / "split.json")
    assert sorted(kinds(record)["disputed"]) == ["dent/00.png", "free/copy.png"]
    assert {f"dent/{i:02d}.png" for i in range(5)} <= set(split.train), "no thing stands on both sides"
    assert [row.units for row in record.classes] == [4, 20]
    assert record.units == 24


def test_one_thing_at_two_moments_is_no_copy_of_itself(tmp_path: Path, home: Path) -> None:
    """Near copies of one group: the defect shows on one photograph and not on the other."""
    root = clean_folder(tmp_path / "images")
    put(root / "dent" / "a.png", 700)
    noise(700).resize((80, 72)).save(root / "free" / "b.png")
    assert sorted(kinds(checked(root, home))["disputed"]) == ["dent/a.png", "free/b.png"]
    (root / "groups.csv").write_text("path,group\ndent/a.png,7\nfree/b.png,7\n", encoding="utf-8")
    record = checked(root, home)
    assert "disputed" not in kinds(record) and kinds(record)["group_disagrees"] == ["7"]
    assert [row.units for row in record.classes] == [13, 13] and record.units == 25, "one thing under two labels"
    page = (home / "report" / "check.html").read_text(encoding="utf-8")
    assert "In all there are 25 independent things" in page and "add up to 26" in page
    assert "合計すると26件" in run(root, "--lang", "ja")[1]


def test_a_class_of_nothing_else_is_not_asked_for_and_told(tmp_path: Path, home: Path) -> None:
    root = clean_folder(tmp_path / "images", each=20)
    for i in range(12):
        put(root / "rare" / f"{i}.png", 1000 + i)
        (root / "rare" / f"{i}.png").write_bytes((root / "dent" / f"{i:02d}.png").read_bytes())
    record = checked(root, home)
    rare = next(row for row in record.classes if row.name == "rare")
    assert (rare.images, rare.units, rare.query) == (12, 0, 0)
    assert kinds(record)["no_query"] == ["rare"] and "one_unit" not in kinds(record)


def test_of_a_list_that_came_split_they_are_left_out_and_of_parquet_reported(tmp_path: Path, home: Path) -> None:
    for i in range(20):
        put(tmp_path / "pics" / f"{i}.png", 500 + i)
    (tmp_path / "pics" / "18.png").write_bytes((tmp_path / "pics" / "19.png").read_bytes())
    rows = ["path,label,split", *(f"pics/{i}.png,{'ab'[i % 2]},{'train' if i < 10 else 'test'}" for i in range(20))]
    path = listed(tmp_path, rows)
    record = checked(path, home)
    assert kinds(record)["disputed"] == ["pics/18.png", "pics/19.png"] and "leak" not in kinds(record)
    assert SplitRecord.load(home / "report" / "split.json").kept_apart == ("pics/18.png", "pics/19.png")
    with pytest.warns(UserWarning, match="a copy has another label"):
        assert len(pocket.load(path).query) == 8
    images = [noise(600 + i) for i in range(10)]
    parquet(tmp_path / "set" / "train-0.parquet", [noise(i) for i in range(10)], [i % 2 for i in range(10)])
    parquet(tmp_path / "set" / "test-0.parquet", [*images, images[0]], [*(i % 2 for i in range(10)), 1])
    record = checked(tmp_path / "set", home)
    assert len(kinds(record)["disputed"]) == 2 and len(pocket.load(tmp_path / "set").query) == 11
    assert [(row.query, row.query_units) for row in record.classes] == [(5, 4), (6, 5)]


def test_halves_of_parquet_that_disagree_are_named_on_both_sides(tmp_path: Path, home: Path) -> None:
    train, test = [noise(i) for i in range(20)], [noise(600 + i) for i in range(10)]
    parquet(tmp_path / "set" / "train-0.parquet", [*train, train[4]], [*(i % 2 for i in range(20)), 1])
    copies = [train[0], train[2].resize((60, 54))]
    parquet(tmp_path / "set" / "test-0.parquet", [*test, *copies], [*(i % 2 for i in range(10)), 1, 1])
    record = checked(tmp_path / "set", home)
    ours, theirs = ["0 0.png", "2 2.png", "4 4.png", "20 20.png"], ["10 10.png", "11 11.png"]
    named = [f"{half}-0.parquet#{place}" for half, some in (("train", ours), ("test", theirs)) for place in some]
    assert kinds(record)["disputed"] == named
    assert len(kinds(record)["copies_disagree"]) == 3
    assert [(row.images, row.units) for row in record.classes] == [(15, 12), (18, 15)], "none is a thing of its class"


def test_a_barred_image_bars_its_unit() -> None:
    labels, units = np.repeat([0, 1], 20), np.arange(40) // 2
    barred = np.zeros(40, dtype=bool)
    barred[::4] = True
    query = choose_queries(labels, units, [f"{i}" for i in range(40)], barred=barred)
    assert query.any() and not np.isin(units[query], units[barred]).any()
    assert not choose_queries(labels, units, [f"{i}" for i in range(40)], barred=np.ones(40, dtype=bool)).any()


# --- splits of an earlier version --------------------------------------------------------------------------


def older_split(root: Path, planted: list[str]) -> SplitRecord:
    """Store a split as an earlier version drew it: it asks with disputed images, and knows neither fit nor things."""
    listing = list_images(root, Findings())
    intake = take_in(listing, Findings())
    made = intake.record
    asked = {*made.query, *planted}
    old = made.model_copy(
        update={
            "query": tuple(name for name in (*made.train, *made.query) if name in asked),
            "train": tuple(name for name in made.train if name not in asked),
            "things": None,
        }
    )
    store_split(intake)
    (place,) = (Path(path) for path in _stored())
    fields = json.loads(old.to_json())
    del fields["fit"], fields["things"]
    place.write_text(json.dumps(fields), encoding="utf-8")
    return old


def _stored() -> list[Path]:
    from pocket.runs.paths import cache_dir

    return list((cache_dir() / "splits").glob("*.json"))


def test_a_split_of_an_earlier_version_stays_valid_until_a_check_draws_it_anew_and_says_so(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POCKET_CACHE", str(tmp_path / "cache"))
    root = clean_folder(tmp_path / "images", each=20)
    planted = copied(root, 2)
    old = older_split(root, planted)
    query = {Path(file).relative_to(root).as_posix() for file in pocket.load(root).query.files}
    assert query == set(old.query) >= set(planted), "load takes what is there"
    record = checked(root, home)
    assert sorted(kinds(record)["withdrawn"]) == sorted(planted)
    query = {Path(file).relative_to(root).as_posix() for file in pocket.load(root).query.files}
    assert not query & set(planted)
    again = checked(root, home)
    assert "withdrawn" not in kinds(again) and again.split == record.split


def test_a_run_keeps_to_its_own_split_whatever_is_drawn_later(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POCKET_CACHE", str(tmp_path / "cache"))
    root = clean_folder(tmp_path / "images", classes=("dent", "free", "scratch"), each=12)
    found = poc(root, "own", asked=QUICK._replace(seeds=1), pdf=False, say=lambda _: None)
    assert found.run is not None
    before = images_of(found.run)
    kept = found.run.path("split.json")
    mine = SplitRecord.load(kept)
    swapped = mine.model_copy(update={"query": mine.train[:6], "train": (*mine.train[6:], *mine.query)})
    (place,) = _stored()
    swapped.save(place)
    assert pocket.load(root).query.files != before.query.files
    assert images_of(found.run).query.files == before.query.files


def test_a_run_of_an_earlier_version_goes_on_with_its_split_and_says_so(tmp_path: Path, home: Path) -> None:
    root = clean_folder(tmp_path / "images", each=12)
    said: list[str] = []
    found = poc(root, "own", asked=QUICK._replace(seeds=1), pdf=False, say=said.append)
    assert found.run is not None
    older = translator("en")("poc.older_split")
    assert f"  {older}" not in said
    kept = found.run.path("split.json")
    SplitRecord.load(kept).model_copy(update={"things": None}).save(kept)
    before = kept.read_bytes()
    poc(root, "own", asked=QUICK._replace(seeds=1), pdf=False, say=said.append)
    assert f"  {older}" in said and any("Already complete" in line for line in said)
    assert kept.read_bytes() == before


# --- one count ------------------------------------------------------------------------------------------------


def test_check_plan_and_brief_count_the_same_things(tmp_path: Path, home: Path) -> None:
    """Two groups that a copy joins are one thing: for the split, the check, the intervals and the brief."""
    root = clean_folder(tmp_path / "images", classes=("dent", "free"), each=24)
    for i in range(0, 24, 4):  # of each two groups, the last image of one lies in the other again
        (root / "dent" / f"{i + 2:02d}.png").write_bytes((root / "dent" / f"{i + 1:02d}.png").read_bytes())
    rows = "".join(f"{name}/{i:02d}.png,{name} {i // 2}\n" for name in ("dent", "free") for i in range(24))
    (root / "groups.csv").write_text("path,group\n" + rows, encoding="utf-8")
    said: list[str] = []
    found = poc(root, "own", asked=QUICK._replace(seeds=1), pdf=False, say=said.append)
    assert found.run is not None
    retrieval = RetrievalComparison.load(found.run.path("retrieval.json"))
    assert retrieval.by_class is not None and retrieval.over is not None
    counted = {row.name: row.query_units for row in found.check.classes}
    assert {score.name: score.things for score in retrieval.by_class.classes} == counted
    assert found.check.classes[0].units == 6 and found.check.classes[1].units == 12
    assert retrieval.over.full.groups == found.check.query_units == sum(counted.values())
    assert any(f"show {found.check.query_units} different things" in line for line in said)
    assert not any(translator("en")("poc.split_alone") in line for line in said)


def test_copies_make_things_without_a_table_of_groups_too(tmp_path: Path, home: Path) -> None:
    root = clean_folder(tmp_path / "images", each=12)
    for name in ("dent", "free"):
        for i in range(0, 12, 2):
            (root / name / f"{i + 1:02d}.png").write_bytes((root / name / f"{i:02d}.png").read_bytes())
    said: list[str] = []
    found = poc(root, "own", asked=QUICK._replace(seeds=1), pdf=False, say=said.append)
    assert found.run is not None
    split = images_of(found.run)
    assert split.query.independent is not None
    assert len(np.unique(split.query.independent)) == found.check.query_units == len(split.query) / 2
    assert any(translator("en")("poc.split_alone") in line for line in said), "groups were not given all the same"


def test_the_brief_names_them_among_the_disputed(tmp_path: Path, home: Path) -> None:
    root = clean_folder(tmp_path / "images", classes=("dent", "free", "scratch"), each=12)
    copied(root, 2)
    found = poc(root, "own", asked=QUICK._replace(seeds=1), pdf=False, say=lambda _: None)
    assert found.run is not None
    assert not [f for f in check(root, out=tmp_path / "out", say=lambda _: None).record.findings if f.kind == "leak"]
    for lang in ("en", "ja"):
        t = translator(lang)
        assert t("check.kind.disputed.what", count=4) in dict(setting_lines(found.run, lang))[t("brief.disputed")]


def test_where_every_image_is_disputed_nothing_can_be_asked(tmp_path: Path, home: Path) -> None:
    for i in range(6):
        for name in ("a", "b"):
            put(tmp_path / "images" / name / f"{i}.png", 700 + i)
    record = checked(tmp_path / "images", home)
    assert record.verdict == "stop" and len(kinds(record)["none_asks"]) == 12
    with pytest.raises(ValueError, match="no image can be searched with"):
        pocket.load(tmp_path / "images")


def test_many_copies_of_one_label_are_told_from_the_others(tmp_path: Path, home: Path) -> None:
    root = clean_folder(tmp_path / "images", each=20)
    first = root / "dent" / "00.png"
    for i in range(5):
        (root / "dent" / f"again-{i}.png").write_bytes(first.read_bytes())
    (root / "free" / "again.png").write_bytes(first.read_bytes())
    names = {f"dent/again-{i}.png" for i in range(5)} | {"dent/00.png", "free/again.png"}
    assert set(kinds(checked(root, home))["disputed"]) == names
