"""`pocket check`: every problem is named, nothing is changed, and the split does not leak."""

from __future__ import annotations

import csv
import json
import os
import unicodedata
import warnings
from collections import Counter
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bad_data_for_tests import NFC, clean_folder, noise, plant_everything, png_that_claims, put, state
from browser_for_tests import browser, screenshot  # noqa: F401 (fixture)
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from playwright.sync_api import Browser
from typer.testing import CliRunner

import pocket
from pocket.cli import app
from pocket.data.images import images_per_class
from pocket.data.intake import KINDS, CheckRecord, Findings, IntakeError, SplitRecord, list_images, take_in
from pocket.data.intake.copies import components, difference_hash, exact_copies, linked, near_copies
from pocket.data.intake.look import SIZES, Look, Trouble, look_at, look_at_all
from pocket.data.intake.names import alike, label_of, many_labels, misread, shown
from pocket.data.intake.sizes import choose_size
from pocket.data.intake.splits import choose_queries, folds_of
from pocket.data.intake.suspects import find_suspects
from pocket.presentation import i18n
from pocket.presentation.problems import folder_picker
from pocket.workflows.check import check


def run(*words: object) -> tuple[int, str]:
    """Call the command and return its exit code and what it said."""
    done = CliRunner().invoke(app, ["check", *map(str, words)])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.output


def checked(path: Path, home: Path, **options: Any) -> CheckRecord:
    return check(path, out=home / "report", say=lambda line: None, **options).record


def kinds(record: CheckRecord) -> dict[str, list[str]]:
    return {finding.kind: [one.name for one in finding.affected] for finding in record.findings}


# --- everything at once --------------------------------------------------------------------------------


def test_every_problem_at_once_is_named_and_the_check_goes_on(tmp_path: Path, home: Path) -> None:
    root = tmp_path / "images of ours"
    planted = plant_everything(root)
    before, outside = state(root), state(tmp_path / "elsewhere")
    code, said = run(root)
    assert code == 0, said
    assert state(root) == before, "something in the checked folder was changed"
    assert state(tmp_path / "elsewhere") == outside
    out = home / "runs" / "check-images-of-ours"
    assert {path.name for path in out.iterdir()} == {"check.html", "check.json", "split.json", "relabel.csv"}
    record = CheckRecord.load(out / "check.json")
    assert record.verdict == "warn"
    found = kinds(record)
    page = (out / "check.html").read_text(encoding="utf-8")
    t = i18n.translator("en")
    for kind, names in planted.items():
        assert set(names) <= set(found.get(kind, ())) if names else kind in found, (kind, names, found.get(kind))
        assert t(f"check.kind.{kind}.what", **_values(record, kind)) in said.replace("\n", "\n"), kind
        finding = next(f for f in record.findings if f.kind == kind)
        for one in finding.affected[:50]:
            assert _in_html(one.name) in page, (kind, one.name)
    unplanned = {"suspect", "suspect_weak", "unjudged", "near_chain"}
    assert set(found) - set(planted) <= unplanned, set(found) - set(planted)
    # Exactly these could not be used: eight broken, empty or too large, and the one image of its class.
    assert record.images - record.usable == 4 + 1 + 2 + 1
    classes = {row.name: row for row in record.classes}
    assert {NFC, "Scratch ", "scratch", "dent", "free", "ＦＲＥＥ", "one part"} <= set(classes)
    assert "single" not in classes
    assert classes[NFC].images == 24
    assert sum(row.images for row in record.classes) == record.usable
    assert record.size is not None and record.size.channels == 3

    split = SplitRecord.load(out / "split.json")
    assert len(split.train) + len(split.query) == record.usable
    assert not set(split.train) & set(split.query)
    for together in (["dent/00.png", "dent/copy.png"], ["free/02.png", "free/saved again.jpg"],
                     ["free/elsewhere.png", "scratch/03.png"], ["free/05.png", "scratch/05.png"],
                     *[[f"dent/{i:02d}.png" for i in range(k, k + 3)] for k in range(3, 18, 3)]):  # fmt: skip
        assert set(together) <= set(split.train) or set(together) <= set(split.query), together

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        loaded = pocket.load(root)
    told = " ".join(str(one.message) for one in caught)
    assert "torn.png" in told and "single" in told
    assert (len(loaded.train), len(loaded.query)) == (len(split.train), len(split.query))
    assert state(root) == before


def _values(record: CheckRecord, kind: str) -> dict[str, object]:
    finding = next(f for f in record.findings if f.kind == kind)
    told = {k: i18n.number(v) if isinstance(v, int) else v for k, v in finding.values.items()}
    return {**told, "count": i18n.number(finding.count)}


def _in_html(text: str) -> str:
    from markupsafe import escape

    return str(escape(text))


def test_japanese_decides_the_report_and_the_console(tmp_path: Path, home: Path) -> None:
    root = clean_folder(tmp_path / "images")
    (root / "dent" / "torn.png").write_bytes(b"no image")
    code, said = run(root, "--lang", "ja", "--strict")
    assert code == 3
    page = (home / "runs" / "check-images" / "check.html").read_text(encoding="utf-8")
    for text in ("破損または途中で切れた画像（除外）：1件", "元の場所からコピーするか、書き出し直してください。"):
        assert text in said
        assert text in page
    assert '<html lang="ja">' in page
    english = set(i18n.texts("en").values())
    assert not [line for line in said.splitlines() if line.strip() and line.strip() in english]


def test_every_kind_has_words_in_both_languages() -> None:
    for lang in i18n.LANGUAGES:
        keys = {key.split(".")[2] for key in i18n.texts(lang) if key.startswith("check.kind.")}
        assert keys == set(KINDS)


def test_a_clean_folder_passes(tmp_path: Path, home: Path) -> None:
    code, said = run(clean_folder(tmp_path / "images", each=60), "--strict")
    assert code == 0, said
    record = CheckRecord.load(home / "runs" / "check-images" / "check.json")
    assert (record.verdict, kinds(record)) == ("pass", {"confidential": []})
    assert (record.images, record.usable) == (120, 120)
    assert record.agreement is not None and record.agreement > 0.95
    assert [(row.name, row.images, row.train, row.query, row.query_units, row.ipc) for row in record.classes] == [
        ("dent", 60, 48, 12, 12, 10),
        ("free", 60, 48, 12, 12, 10),
    ]
    assert f"pocket poc {tmp_path / 'images'}" in (home / "runs" / "check-images" / "check.html").read_text(
        encoding="utf-8"
    )


def test_the_same_folder_gives_the_same_report_twice(tmp_path: Path, home: Path) -> None:
    root = tmp_path / "images"
    plant_everything(root)
    first, second = (checked(root, home).model_dump(exclude={"seconds", "peak_mb", "provenance"}) for _ in range(2))
    assert first == second


# --- exit codes, places ---------------------------------------------------------------------------------


def _no_permission(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.scandir

    def scandir(folder: Any) -> Any:
        if Path(folder) == path:
            raise PermissionError(13, "Permission denied", str(folder))
        return real(folder)

    monkeypatch.setattr(os, "scandir", scandir)


def test_what_cannot_be_used_stops_and_says_what_to_do(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    one = clean_folder(tmp_path / "one", classes=("dent",))
    loose = put(tmp_path / "loose" / "a.png").parent
    (loose / "labels.csv").write_text("path,label\na.png,x\n", encoding="utf-8")
    broken = tmp_path / "broken"
    for i in range(6):
        path = broken / "ab"[i % 2] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"broken")
    archive = tmp_path / "images.zip"
    archive.write_bytes(b"PK\3\4")
    picture = put(tmp_path / "picture.png")
    locked = clean_folder(tmp_path / "locked")
    table = tmp_path / "several.csv"
    table.write_text("path,label\n1.png,dent;scratch\n2.png,dent\n", encoding="utf-8")
    for i in (1, 2):
        put(tmp_path / f"{i}.png", i)
    _no_permission(locked, monkeypatch)
    for path, kind, word in (
        (empty, "empty", "The folder is empty"),
        (one, "one_class", "There is one class only"),
        (loose, "no_classes", "labels.csv"),
        (broken, "none_readable", "a/0.png"),
        (archive, "is_zip", "Unpack it"),
        (picture, "is_other_file", "no list of images"),
        (locked, "no_permission", "may not be read"),
        (table, "multi_label", "Several labels"),
    ):
        code, said = run(path, "--out", home / "reports" / kind)
        assert code == 4, said
        assert word in said
        record = CheckRecord.load(home / "reports" / kind / "check.json")
        assert record.verdict == "stop"
        assert record.findings[0].kind == kind
        assert record.findings[0].level == "stop"
        assert {p.name for p in (home / "reports" / kind).iterdir()} == {"check.html", "check.json"}
        japanese = i18n.translator("ja")(f"check.kind.{kind}.todo", **_values(record, kind))
        assert japanese in run(path, "--out", home / "reports" / kind, "--lang", "ja")[1]


def test_of_a_path_with_nothing_there_no_report_is_kept(tmp_path: Path, home: Path) -> None:
    long = tmp_path / ("x" * 300)
    for words in ([tmp_path / "nowhere"], [tmp_path / "nowhere", "--out", home / "report"], [long]):
        code, said = run(*words)
        assert code == 2 and "there is nothing at" in said and "wrote" not in said
        assert "confidential" not in said and "listing" not in said
    assert "には何もありません" in run(tmp_path / "nowhere", "--lang", "ja")[1]
    assert list(home.iterdir()) == []
    root = clean_folder(tmp_path / "images")
    assert run(root)[0] == 0
    before = state(home / "runs" / "check-images")
    root.rename(tmp_path / "moved")
    assert run(root)[0] == 2
    assert state(home / "runs" / "check-images") == before, "a drive that is not there takes no report away"


def test_a_folder_that_is_not_there_is_told_where_one_picks_it(tmp_path: Path, home: Path) -> None:
    def look(path: Path) -> str:
        check(path, say=lambda line: None)
        return "looked"

    box, _, button, view = folder_picker(tmp_path / "nowhere", look).children
    button.click()
    assert 'role="alert"' in view.value and "there is nothing at" in view.value
    box.value = str(clean_folder(tmp_path / "images"))
    button.click()
    assert view.value == "looked"


def test_a_stop_takes_away_the_split_of_the_check_before(tmp_path: Path, home: Path) -> None:
    import shutil

    root = clean_folder(tmp_path / "images")
    code, said = run(root, "--lang", "ja")
    assert code == 0 and "check.json, split.json（" in said, "no label is doubted: an empty list is not named"
    assert said.splitlines()[-1].endswith(f"pocket poc {root} --lang ja")
    shutil.rmtree(root / "dent")
    assert run(root)[0] == 4
    assert {p.name for p in (home / "runs" / "check-images").iterdir()} == {"check.html", "check.json"}


def test_the_page_goes_on_with_what_the_check_was_called_with(tmp_path: Path, home: Path) -> None:
    root = clean_folder(tmp_path / "our images")
    table = tmp_path / "same part.csv"
    table.write_text("path,group\ndent/00.png,a\ndent/01.png,a\n", encoding="utf-8")
    assert run(root, "--groups", table, "--lang", "ja", "--out", home / "report")[0] == 0
    page = unescape((home / "report" / "check.html").read_text(encoding="utf-8"))
    assert f"<code>pocket poc '{root}' --groups '{table}' --lang ja</code>" in page
    assert run(root, "--out", home / "report")[0] == 0
    page = unescape((home / "report" / "check.html").read_text(encoding="utf-8"))
    assert f"<code>pocket poc '{root}'</code>" in page


def test_usage_errors_exit_with_2_and_write_nothing(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = clean_folder(tmp_path / "images")
    before = state(root)
    assert run(root, "--lang", "fr")[0] == 2
    assert run(root, "--groups", tmp_path / "none.csv")[0] == 2
    assert run(root, "--out", root)[0] == 2
    assert run(root, "--out", root / "dent" / "report")[0] == 2
    assert run(root, "--out", root / "dent" / "00.png")[0] == 2
    assert run()[0] == 2
    if os.name == "posix":
        (tmp_path / "link").symlink_to(root, target_is_directory=True)
        assert run(root, "--out", tmp_path / "link" / "report")[0] == 2
    monkeypatch.setenv("POCKET_HOME", str(root))  # the default place lies inside, too
    code, said = run(root)
    assert code == 2
    assert "--out" in said
    assert state(root) == before
    assert not (home / "runs").exists()


def test_a_fault_of_ours_exits_with_1(tmp_path: Path, home: Path) -> None:
    import subprocess
    import sys

    root = clean_folder(tmp_path / "images", each=3)
    code = (
        "import sys, pocket.workflows.check as c\n"
        "def fail(*a, **k): raise ZeroDivisionError('planted')\n"
        "c.judge_images = fail\n"
        f"sys.argv = ['pocket', 'check', {str(root)!r}]\n"
        "from pocket.cli import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 1
    assert "planted" in done.stderr
    assert not (home / "runs").exists(), "half a report was written"


def test_ctrl_c_says_so_in_one_line(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pocket.data.intake.look as look

    root = clean_folder(tmp_path / "images")
    seen = []

    def interrupted(source: Any, **options: Any) -> Any:
        seen.append(source)
        raise KeyboardInterrupt

    monkeypatch.setattr(look, "look_at", interrupted)
    code, said = run(root)
    assert code == 130
    assert said.splitlines()[-1] == "pocket: stopped; nothing was written"
    assert seen
    assert not (home / "runs").exists()


def test_reports_of_folders_of_one_name_stand_beside_each_other(tmp_path: Path, home: Path) -> None:
    first, second = clean_folder(tmp_path / "a" / "images"), clean_folder(tmp_path / "b" / "images")
    for path in (first, second, first):
        assert run(path)[0] == 0
    runs = home / "runs"
    assert sorted(p.name for p in runs.iterdir()) == ["check-images", "check-images-2"]
    assert CheckRecord.load(runs / "check-images" / "check.json").path == str(first)
    assert CheckRecord.load(runs / "check-images-2" / "check.json").path == str(second)


def test_progress_tells_the_time_left(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pocket.workflows.check import _Progress

    said: list[str] = []
    now = iter([0.0, 20.0, 21.0, 40.0])
    monkeypatch.setattr("pocket.workflows.check.time.monotonic", lambda: next(now))
    progress = _Progress("ja", said.append)
    for done in (1000, 1050, 4000):
        progress(done, 5000)
    assert said == [
        "画像を確認しています：1,000 / 5,000枚、残り約1分20秒",
        "画像を確認しています：4,000 / 5,000枚、残り約10.0秒",
    ]


# --- single files ---------------------------------------------------------------------------------------


def test_a_file_that_may_not_be_read_is_named(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pocket.data.intake.look as look

    root = clean_folder(tmp_path / "images")
    real = look.opened

    def refusing(source: Any) -> Any:
        if isinstance(source, Path) and source.name == "03.png":
            raise PermissionError(13, "Permission denied")
        return real(source)

    monkeypatch.setattr(look, "opened", refusing)
    _no_permission(root / "free" / "locked", monkeypatch)
    put(root / "free" / "locked" / "0.png")
    record = checked(root, home)
    assert sorted(kinds(record)["locked"]) == ["dent/03.png", "free/03.png", "free/locked/"]
    assert record.usable == 22


def test_every_affected_file_is_in_the_json_and_the_first_50_on_the_page(tmp_path: Path, home: Path) -> None:
    root = clean_folder(tmp_path / "images")
    for i in range(70):
        (root / "dent" / f"broken {i:02d}.png").write_bytes(b"no")
    names = kinds(checked(root, home))["broken"]
    assert names == [f"dent/broken {i:02d}.png" for i in range(70)]
    page = (home / "report" / "check.html").read_text(encoding="utf-8")
    assert all((name in page) == (i < 50) for i, name in enumerate(names))
    assert "and 20 more" in page


def test_pixels_are_compared_whatever_the_format(tmp_path: Path) -> None:
    image = noise(1)
    paths = [tmp_path / name for name in ("a.png", "b.bmp", "c.tif", "d.jpg")]
    for path in paths:
        image.save(path)
    digests = [found.digest for path in paths if isinstance(found := look_at(path), Look)]
    assert digests[0] == digests[1] == digests[2] != digests[3]


def test_a_bomb_takes_no_memory_and_a_huge_jpeg_little(tmp_path: Path) -> None:
    import tracemalloc

    for side in (9_500, 60_000):
        tracemalloc.start()
        found = look_at(png_that_claims(side, side))
        assert isinstance(found, Trouble)
        assert found.kind == "too_large"
        assert tracemalloc.get_traced_memory()[1] < 5e6
        tracemalloc.stop()
    path = put(tmp_path / "huge.jpg", size=(5000, 4000))
    decoded: list[tuple[int, int]] = []
    real = Image.Image.resize

    def noting(self: Image.Image, *args: Any, **options: Any) -> Image.Image:
        decoded.append(self.size)
        return real(self, *args, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Image.Image, "resize", noting)
        found = look_at(path)
    assert isinstance(found, Look)
    assert (found.width, found.height) == (5000, 4000)
    assert 512 <= min(decoded[0]) < 1100, "it was decoded in full size"


def test_a_big_image_without_scales_is_brought_down_in_strips(tmp_path: Path) -> None:
    """Each mode, turned: the same as the whole image, converted and then scaled."""
    from pocket.data.decoding import decode_image

    side = 4100
    ramp = np.add.outer(np.arange(side), np.arange(side) * 2) / (3 * side)  # brightest below on the right
    grey = Image.fromarray((ramp * 255).astype(np.uint8))
    clear = grey.convert("RGBA")
    clear.putalpha(Image.new("L", grey.size, 128))
    turned = Image.Exif()
    turned[0x0112] = 3  # upside down
    for name, image, least, most in (
        ("grey", grey, 0, 255),
        ("deep", Image.fromarray((ramp * 9000 + 500).astype(np.uint16)), 0, 255),
        ("clear", clear, 127, 255),
        ("colour", grey.convert("RGB"), 0, 255),
    ):
        path = tmp_path / f"{name}.png"
        image.save(path, exif=turned, compress_level=1)
        small = decode_image(path, 64, 1)[0].astype(float)
        expected = least + (most - least) * np.add.outer(np.arange(64) + 0.5, 2 * np.arange(64) + 1)[::-1, ::-1] / 192
        assert np.abs(small - expected).max() < 3, name
        found = look_at(path)
        assert isinstance(found, Look)
        assert (found.width, found.turned) == (side, True)


def test_a_look_holds_few_images_at_a_time() -> None:
    opened = 0
    looked = 0

    def sources() -> Any:
        nonlocal opened
        for i in range(1000):
            opened += 1
            assert opened - looked < 600, "sources are read far ahead"
            yield np.full((8, 8), i % 256, dtype=np.uint8)

    def progress(done: int, count: int) -> None:
        nonlocal looked
        looked = done

    looks = look_at_all(sources(), 1000, progress)
    assert looked == 1000
    assert looks.thumbs[:300, 0, 0].tolist() == [i % 256 for i in range(300)]


@pytest.mark.filterwarnings("error")
def test_a_look_at_damaged_bytes_never_raises(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    import io

    whole = {}
    for form in ("PNG", "JPEG", "TIFF", "GIF", "WEBP", "BMP", "PPM"):
        buffer = io.BytesIO()
        noise(3).save(buffer, form)
        whole[form] = buffer.getvalue()
    sources: list[Any] = []
    for data in whole.values():
        for _ in range(60):
            bad = bytearray(data)
            for place in rng.integers(0, min(len(bad), 300), 4):
                bad[place] = rng.integers(0, 256)
            sources.append(bytes(bad[: rng.integers(1, len(bad))] if rng.random() < 0.4 else bad))
        sources.append(data)
    looks = look_at_all(sources, len(sources))
    assert len(looks.troubles) > 100
    assert all(t.kind in KINDS for t in looks.troubles.values())
    assert not set(range(60, len(sources), 61)) & set(looks.troubles)
    assert {t.fault for t in looks.troubles.values()} >= {"no_image", "cut_off", "damaged", "other"}


# --- lists, groups, Parquet -----------------------------------------------------------------------------


def listed(root: Path, lines: list[str], *, encoding: str = "utf-8", name: str = "list.csv") -> Path:
    path = root / name
    path.write_bytes("\n".join(lines).encode(encoding))
    return path


def some_images(root: Path, count: int = 20) -> Path:
    for i in range(count):
        put(root / "pics" / f"{i}.png", 500 + i)
    return root


def two_classes(count: int = 20, first: str = "良品", second: str = "キズ") -> list[str]:
    return [f"pics/{i}.png,{(first, second)[i % 2]}" for i in range(count)]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp932", "utf-16"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_list_is_read_in_the_encodings_that_spreadsheets_write(
    tmp_path: Path, home: Path, encoding: str, delimiter: str
) -> None:
    lines = [line.replace(",", delimiter) for line in ["path,label", *two_classes()]]
    record = checked(listed(some_images(tmp_path), lines, encoding=encoding), home)
    assert [(row.name, row.images) for row in record.classes] == [("キズ", 10), ("良品", 10)]
    assert ("decoded_table" in kinds(record)) == (encoding == "cp932")


def test_rows_that_cannot_be_used_are_named_by_their_line(tmp_path: Path, home: Path) -> None:
    root = some_images(tmp_path / "mine")
    put(tmp_path / "secret.png", 1)
    rows = ["label,Path,Split", *(f"{'ab'[i % 2]},pics/{i}.png,{'train' if i < 14 else 'test'}" for i in range(20))]
    bad = [
        "a,../secret.png,train",  # 22: climbs out
        f"a,{tmp_path / 'secret.png'},train",  # absolute
        "a,pics/none.png,train",
        ",pics/1.png,train",  # 25: no label
        "a,pics/2.png,somewhere",  # 26: unknown side
        "a,pics/2.png,train",  # 27: again
        "a,pics/3.png,train,more,cells",  # 28
        "b,pics\\3.png,train",  # 29: Windows' separators, again
        "a,pics/../../secret.png,train",
    ]
    if os.name == "posix":
        (root / "pics" / "link.png").symlink_to(tmp_path / "secret.png")
        bad.append("a,pics/link.png,train")
    record = checked(listed(root, [*rows, *bad]), home)
    found = kinds(record)
    outside = ["../secret.png", str(tmp_path / "secret.png"), "pics/../../secret.png"]
    assert found["outside"] == [*outside, *(["pics/link.png"] if os.name == "posix" else [])]
    assert found["missing"] == ["pics/none.png"]
    assert sorted(found["bad_row"]) == ["list.csv:25", "list.csv:26", "list.csv:28"]
    assert found["repeated_row"] == ["list.csv:27", "list.csv:29"]
    assert [(row.train, row.query) for row in record.classes] == [(7, 3), (7, 3)]
    assert record.split_given
    json.dumps(record.model_dump(mode="json"))


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_a_list_finds_files_in_either_form_of_unicode(tmp_path: Path, home: Path, form: Any) -> None:
    name = unicodedata.normalize("NFD" if form == "NFC" else "NFC", "ガラス")
    for i in range(6):
        put(tmp_path / f"{name}{i}.png", i)
    rows = [f"{unicodedata.normalize(form, 'ガラス')}{i}.png,{'ab'[i % 2]}" for i in range(6)]
    assert checked(listed(tmp_path, ["path,label", *rows]), home).usable == 6


@pytest.mark.parametrize(
    ("lines", "kind"),
    [
        (["path,label", "pics/0.png,dent;scratch", "pics/1.png,dent", "pics/2.png,scratch"], "multi_label"),
        (["path,label", "pics/0.png,dent|rust", "pics/1.png,rust|bent"], "multi_label"),
        (["path,label", 'pics/0.png,"dent,rust"', "pics/1.png,dent", "pics/2.png,rust"], "multi_label"),
        (["path,label", "pics/0.png,dent", "pics/0.png,rust", "pics/1.png,rust"], "multi_label"),
        (["path,labels", "pics/0.png,dent"], "multi_label"),
        (["file,category", "pics/0.png,dent"], "bad_manifest"),
        ([""], "bad_manifest"),
        (['path,label\n"pics/0.png,dent'], "bad_manifest"),
    ],
)
def test_lists_that_stop(tmp_path: Path, home: Path, lines: list[str], kind: str) -> None:
    path = listed(some_images(tmp_path, 4), lines)
    assert run(path, "--out", home / "report")[0] == 4
    assert CheckRecord.load(home / "report" / "check.json").findings[0].kind == kind
    with pytest.raises(IntakeError) as caught:
        pocket.load(path)
    assert str(path) in str(caught.value)


def test_names_with_commas_and_semicolons_are_not_several_labels() -> None:
    assert many_labels(["crane, bird", "crane, machine", "scratch; deep", "dent"]) == []
    assert many_labels(["Smith, John", "Smith, Anna"]) == []
    assert many_labels(["a;b", "b"]) == ["a;b"]


def test_a_list_in_no_known_encoding_says_so(tmp_path: Path, home: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_bytes(b"path,label\n\xff\xfe\xfa,\xa0\xff\n")
    assert run(path, "--out", home / "report")[0] == 4
    assert "UTF-8" in (home / "report" / "check.html").read_text(encoding="utf-8")


def test_queries_of_a_list_that_leak_are_named_and_left_out(tmp_path: Path, home: Path) -> None:
    root = some_images(tmp_path)
    (root / "pics" / "19.png").write_bytes((root / "pics" / "1.png").read_bytes())
    rows = ["path,label,split,group"]
    rows += [
        f"pics/{i}.png,{'ab'[i % 2]},{'train' if i < 12 else 'test'},{'g' if i in (0, 18) else ''}" for i in range(20)
    ]
    path = listed(root, rows)
    record = checked(path, home)
    assert kinds(record)["leak"] == ["pics/19.png"]
    assert kinds(record)["group_split"] == ["pics/18.png"]
    split = SplitRecord.load(home / "report" / "split.json")
    assert split.kept_apart == ("pics/18.png", "pics/19.png")
    with pytest.warns(UserWarning, match=r"2 queries were left out.*pics/18\.png, pics/19\.png"):
        loaded = pocket.load(path)
    assert (len(loaded.train), len(loaded.query), loaded.protocol) == (12, 6, "own-data")


def test_a_list_may_name_a_database_of_its_own(tmp_path: Path) -> None:
    rows = ["path,label,split"]
    rows += [f"pics/{i}.png,{'ab'[i % 2]},{('train', 'database', 'query')[i // 2 % 3]}" for i in range(18)]
    loaded = pocket.load(listed(some_images(tmp_path), rows))
    assert (len(loaded.train), len(loaded.database), len(loaded.query)) == (6, 6, 6)
    assert loaded.train.fingerprint != loaded.database.fingerprint


def test_groups_of_a_table_elsewhere(tmp_path: Path, home: Path) -> None:
    root = clean_folder(tmp_path / "images", each=20)
    table = listed(tmp_path, ["path,group", *(f"dent\\{i:02d}.png,part {i // 5}" for i in range(20))], name="parts.csv")
    record = checked(root, home, groups=table)
    assert kinds(record)["grouped"] == []
    assert [row.units for row in record.classes] == [4, 20]
    split = SplitRecord.load(home / "report" / "split.json")
    asked = {name for name in split.query if name.startswith("dent")}
    assert len(asked) == 5
    assert len({int(name[5:7]) // 5 for name in asked}) == 1
    # What loads these images later takes this split, though it is not told of the groups.
    loaded = pocket.load(root)
    names = {Path(file).relative_to(root).as_posix() for file in loaded.query.files}
    assert names == set(split.query)


def parquet(path: Path, images: list[Image.Image], labels: list[Any], **columns: list[Any]) -> Path:
    import io

    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = []
    for i, image in enumerate(images):
        buffer = io.BytesIO()
        image.save(buffer, "PNG")
        rows.append({"bytes": buffer.getvalue(), "path": f"{i}.png"})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"image": rows, "label": labels, **columns}), path)
    return path


def test_parquet_halves_are_checked_for_leaks(tmp_path: Path, home: Path) -> None:
    train = [noise(600 + i) for i in range(20)]
    test = [noise(700 + i) for i in range(9)] + [train[3].resize((60, 54))]
    groups = {"train": ["a"] * 2 + [None] * 18, "test": ["a"] + [None] * 9}
    for part, images in (("train", train), ("test", test)):
        labels = [i % 2 for i in range(len(images))]
        parquet(tmp_path / "set" / f"{part}-0.parquet", images, labels, group=groups[part])
    record = checked(tmp_path / "set", home)
    assert kinds(record)["leak"] == ["test-0.parquet#9 9.png"]
    assert kinds(record)["group_split"] == ["test-0.parquet#0 0.png"]
    assert [(row.name, row.train, row.query) for row in record.classes] == [("class 0", 10, 5), ("class 1", 10, 5)]
    assert pocket.load(tmp_path / "set").protocol == "holdout"


def test_one_parquet_file_is_split_here(tmp_path: Path, home: Path) -> None:
    labels = [("dent", "free")[i % 2] for i in range(20)]
    path = parquet(
        tmp_path / "all.parquet", [noise(800 + i) for i in range(20)], labels, group=[i // 4 for i in range(20)]
    )
    record = checked(path, home)
    assert [(row.name, row.images, row.units) for row in record.classes] == [("dent", 10, 5), ("free", 10, 5)]
    loaded = pocket.load(path)
    assert len(loaded.train) + len(loaded.query) == 20
    assert loaded.query.counts.min() >= 2


@pytest.mark.parametrize("wrong", ["half", "columns", "lists", "damaged"])
def test_parquet_that_stops(tmp_path: Path, home: Path, wrong: str) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = tmp_path / "set" / "train-0.parquet"
    if wrong == "lists":
        parquet(path, [noise(i) for i in range(4)], [[0], [1], [0, 1], [1]])
        parquet(path.with_name("test-0.parquet"), [noise(i) for i in range(4)], [[0], [1], [0, 1], [1]])
    else:
        parquet(path, [noise(i) for i in range(4)], [0, 1, 0, 1])
    if wrong == "columns":
        pq.write_table(pa.table({"picture": [1, 2]}), path.with_name("test-0.parquet"))
    if wrong == "damaged":
        path.with_name("test-0.parquet").write_bytes(b"PAR1 not really")
    assert run(tmp_path / "set", "--out", home / "report")[0] == 4
    kind = CheckRecord.load(home / "report" / "check.json").findings[0].kind
    assert kind == ("multi_label" if wrong == "lists" else "bad_parquet")


# --- names ------------------------------------------------------------------------------------------------


def test_class_names_that_look_alike_are_proposed_not_merged(tmp_path: Path, home: Path) -> None:
    names = ("Scratch", "scratch ", "SCRATCH", "dent", "ｄｅｎｔ", "no_dent", "no dent", "キズ", "ｷｽﾞ", "other")
    expected = {
        frozenset({"Scratch", "scratch ", "SCRATCH"}),
        frozenset({"dent", "ｄｅｎｔ"}),
        frozenset({"no_dent", "no dent"}),
        frozenset({"キズ", "ｷｽﾞ"}),
    }
    assert {frozenset(found) for found in alike(names)} == expected
    record = checked(clean_folder(tmp_path / "images", classes=names, each=3), home)
    assert len(kinds(record)["look_alike"]) == 4
    assert {row.name for row in record.classes} == set(names)


def test_names_in_shift_jis_are_read_and_misread_ones_proposed() -> None:
    raw = os.fsdecode("部品".encode("cp932"))
    assert label_of(raw) == ("部品", "cp932")
    assert shown(raw) == r"\x95\x94\x95i"
    shown(raw).encode("utf-8")
    garbled = "良品".encode("cp932").decode("cp437")
    assert misread(garbled) == "良品"
    assert misread("良品") is None
    assert misread("Müller") is None
    assert alike(["良品", garbled]) == [("良品", garbled)]


# --- copies -------------------------------------------------------------------------------------------------


def thumbs_of(images: list[Image.Image]) -> np.ndarray:
    return np.stack([np.asarray(i.resize((32, 32), Image.Resampling.BILINEAR).convert("L")) for i in images])


def none() -> np.ndarray:
    return np.empty((0, 2), dtype=np.int64)


def changed(image: Image.Image) -> dict[str, Image.Image]:
    import io

    from PIL import ImageEnhance

    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=60)
    return {
        "compressed": Image.open(buffer),
        "smaller": image.resize((image.width * 3 // 4, image.height * 3 // 4), Image.Resampling.BICUBIC),
        "brighter": ImageEnhance.Brightness(image).enhance(1.1),
        "flatter": ImageEnhance.Contrast(image).enhance(0.8),
    }


@pytest.mark.parametrize("change", ["compressed", "smaller", "brighter", "flatter"])
def test_near_copies_are_found_and_strangers_are_not(change: str) -> None:
    images = [noise(i, (64, 64)) for i in range(300)]
    thumbs = thumbs_of(images + [changed(image)[change] for image in images[:50]])
    found = near_copies(thumbs, np.ones(350, dtype=bool), none())
    pairs = {tuple(pair) for pair in found.pairs.tolist()}
    wanted = {(i, 300 + i) for i in range(50)}
    assert len(pairs & wanted) >= 48
    assert pairs <= wanted


def test_digits_that_resemble_each_other_are_no_copies() -> None:
    from sklearn.datasets import load_digits

    images = [Image.fromarray((x * 15.9).astype(np.uint8)) for x in load_digits().images]
    found = near_copies(thumbs_of(images), np.ones(len(images), dtype=bool), none())
    assert found.threshold > 0.98
    assert len(found.pairs) <= 10


def test_copies_are_told_set_by_set_with_labels_that_disagree(tmp_path: Path, home: Path) -> None:
    root = clean_folder(tmp_path / "images", classes=("dent", "free", "scratch"))
    for name in ("dent/a.png", "free/b.png", "scratch/c.png"):  # one image under three labels
        put(root / name, 700)
    for name in ("dent/d.png", "dent/e.bmp"):
        put(root / name, 701)
    noise(701).resize((80, 72)).save(root / "dent" / "f.png")
    for name in ("free/g.png", "scratch/h.jpg"):
        put(root / name, 702)
    for i in range(8):
        put(root / "scratch" / f"many {i}.png", 703)
    code, said = run(root)
    record = CheckRecord.load(home / "runs" / "check-images" / "check.json")
    found = kinds(record)
    assert code == 0
    many = " ＝ ".join(f"scratch/many {i}.png" for i in range(6)) + " … (+2)"
    assert found["exact_copy"] == ["dent/d.png ＝ dent/e.bmp", many]
    assert found["near_copy"] == ["dent/d.png ＝ dent/e.bmp ≈ dent/f.png"]
    assert found["copies_disagree"] == ["dent/a.png ＝ free/b.png ＝ scratch/c.png", "free/g.png ≈ scratch/h.jpg"]
    three = "dent/a.png ＝ free/b.png ＝ scratch/c.png  (labels dent, free, scratch: keep one and decide its class)"
    assert three in [line.strip() for line in said.splitlines()]
    assert "ラベルはdent, free, scratch" in run(root, "--lang", "ja")[1]
    assert {name for one in record.exact for name in one.names} >= {f"scratch/many {i}.png" for i in range(8)}


def test_photographs_of_one_thing_are_no_near_copies_but_those_of_two_things_are(tmp_path: Path, home: Path) -> None:
    root = clean_folder(tmp_path / "images")
    for i, side in enumerate((40, 60, 80)):
        noise(700, (side, side)).save(root / "dent" / f"part {i}.png")
    table = root / "groups.csv"
    same = "path,group\n" + "".join(f"dent/part {i}.png,17\n" for i in range(3))
    all_three = ["dent/part 0.png ≈ dent/part 1.png ≈ dent/part 2.png"]
    for text, told in (
        ("path,group\n", all_three),
        (same, None),
        (same.replace("2.png,17", "2.png,18"), all_three),  # the third is like the others, and another thing
    ):
        table.write_text(text, encoding="utf-8")
        record = checked(root, home)
        assert kinds(record).get("near_copy") == told
        assert len(record.near) == (told is not None)


def test_flat_images_are_no_near_copies_but_equal_ones_are_exact() -> None:
    flat = [Image.new("L", (40, 40), shade) for shade in (10, 10, 90, 200)]
    assert len(near_copies(thumbs_of(flat), np.ones(4, dtype=bool), none()).pairs) == 0
    digests = [found.digest for image in flat if isinstance(found := look_at(np.asarray(image)), Look)]
    assert exact_copies(digests).tolist() == [[0, 1]]
    assert exact_copies([b"", b"", b"a"]).tolist() == []


def test_many_images_of_one_kind_are_compared_in_time() -> None:
    """A fixed camera: hashes all alike, so that a list of all pairs would be long."""
    rng = np.random.default_rng(0)
    base = np.asarray(noise(1, (32, 32), "L")).astype(np.float64)
    thumbs = (base + rng.normal(0, 30, (3000, 32, 32))).clip(0, 255).astype(np.uint8)
    found = near_copies(thumbs, np.ones(3000, dtype=bool), none())
    assert len(found.pairs) <= 3000 * 32


def test_the_hash_knows_brightness_differences_to_the_left() -> None:
    ramp = np.tile(np.arange(32, dtype=np.uint8) * 7, (32, 1))
    assert difference_hash(np.stack([ramp, ramp[:, ::-1]])).tolist() == [[255] * 8, [0] * 8]


def test_links_join_into_parts() -> None:
    assert linked(["a", "", "b", "a", "", "b", "a"]).tolist() == [[0, 3], [2, 5], [0, 6]]
    part = components(5, np.array([[0, 3]]), np.array([[3, 4]]))
    assert part[0] == part[3] == part[4]
    assert len(set(part.tolist())) == 3


# --- splits ---------------------------------------------------------------------------------------------------


@given(
    units=st.lists(st.tuples(st.integers(1, 6), st.integers(0, 3), st.integers(0, 3)), min_size=2, max_size=60),
    seed=st.integers(0, 3),
)
@settings(max_examples=200, deadline=None)
def test_no_unit_straddles_and_every_class_keeps_something_to_train_on(
    units: list[tuple[int, int, int]], seed: int
) -> None:
    """Units of 1 to 6 images, whose images are of one or two classes."""
    number, labels = [], []
    for u, (size, first, second) in enumerate(units):
        for i in range(size):
            number.append(u)
            labels.append(first if i % 2 == 0 else second)
    unit, label = np.array(number), np.array(labels)
    names = [f"{i}.png" for i in range(len(unit))]
    query = choose_queries(label, unit, names, seed=seed)
    for u in np.unique(unit):
        assert len(set(query[unit == u].tolist())) == 1
    for c in np.unique(label):
        assert (~query[label == c]).any(), "a class has nothing to train on"
        alone = [u for u in np.unique(unit[label == c]) if set(label[unit == u].tolist()) == {c}]
        if len(alone) >= 2 and not any(set(label[unit == u].tolist()) != {c} for u in np.unique(unit[label == c])):
            assert query[label == c].any(), "a class of several units is not asked for"
    again = choose_queries(label, unit, names, seed=seed)
    np.testing.assert_array_equal(query, again)


def test_a_fifth_of_each_class_is_asked_with() -> None:
    label = np.repeat(np.arange(4), [1000, 100, 25, 2])
    query = choose_queries(label, np.arange(len(label)), [f"{i}" for i in range(len(label))])
    assert [int(query[label == c].sum()) for c in range(4)] == [200, 20, 5, 1]


def test_an_image_more_moves_few_others() -> None:
    label = np.repeat(np.arange(2), 500)
    names = [f"{i}" for i in range(1000)]
    before = choose_queries(label, np.arange(1000), names)
    after = choose_queries(np.append(label, [0] * 10), np.arange(1010), [*names, *(f"new {i}" for i in range(10))])
    assert (before != after[:1000]).sum() <= 10


def test_another_seed_draws_other_queries() -> None:
    label, names = np.repeat(np.arange(2), 100), [f"{i}" for i in range(200)]
    draws = {choose_queries(label, np.arange(200), names, seed=seed).tobytes() for seed in range(4)}
    assert len(draws) == 4
    with pytest.raises(ValueError, match="share=1"):
        choose_queries(label, np.arange(200), names, share=1)


def test_folds_hold_whole_units_and_even_classes() -> None:
    rng = np.random.default_rng(0)
    unit = rng.integers(0, 150, 600)
    label = unit % 3
    fold = folds_of(label, unit, [f"{i}" for i in range(600)])
    assert all(len(set(fold[unit == u].tolist())) == 1 for u in np.unique(unit))
    for c in range(3):
        counts = np.bincount(fold[label == c], minlength=5)
        assert counts.max() - counts.min() <= 8


def test_a_class_that_hangs_together_by_near_copies_is_split_all_the_same(tmp_path: Path, home: Path) -> None:
    root = clean_folder(tmp_path / "images", each=20)
    for i in range(1, 20):
        noise(0, (40 + i, 36 + i)).save(root / "dent" / f"{i:02d}.png")
    noise(0).save(root / "dent" / "00.png")
    record = checked(root, home)
    assert kinds(record)["near_chain"] == ["dent"]
    assert [(row.name, row.query) for row in record.classes] == [("dent", 4), ("free", 4)]


def test_a_class_of_one_group_stays_on_the_train_side(tmp_path: Path, home: Path) -> None:
    root = clean_folder(tmp_path / "images")
    (root / "groups.csv").write_text(
        "path,group\n" + "".join(f"dent/{i:02d}.png,a\n" for i in range(12)), encoding="utf-8"
    )
    record = checked(root, home)
    assert kinds(record)["one_unit"] == ["dent"]
    assert [(row.train, row.query) for row in record.classes] == [(12, 0), (10, 2)]
    assert pocket.load(root).query.counts.tolist() == [0, 2]


def test_a_split_is_kept_and_taken_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pocket.data.sources as sources

    root = clean_folder(tmp_path / "images")
    first = pocket.load(root)
    monkeypatch.setattr(sources, "take_in", lambda *a, **k: pytest.fail("the images were looked at again"))
    again = pocket.load(root)
    assert (first.query.files, first.train.files) == (again.query.files, again.train.files)
    monkeypatch.undo()
    put(root / "dent" / "one more.png", 99)
    assert len(pocket.load(root).train) + len(pocket.load(root).query) == 25


def test_a_check_takes_the_split_that_was_made_before(tmp_path: Path, home: Path) -> None:
    root = clean_folder(tmp_path / "images")
    findings = Findings()
    listing = list_images(root, findings)
    made = take_in(listing, findings).record
    swapped = made.model_copy(update={"query": made.train[:5], "train": (*made.train[5:], *made.query)})
    taken = take_in(listing, findings, before=swapped).record
    assert set(taken.query) == set(swapped.query)
    (root / "free" / "00.png").write_bytes((root / "dent" / "00.png").read_bytes())
    other = list_images(root, Findings())
    assert set(take_in(other, Findings(), before=swapped).record.query) != set(swapped.query), "of other images"


# --- sizes -------------------------------------------------------------------------------------------------------


def sized(count: int, size: tuple[int, int], *, detail: int = 9, mode: str = "RGB") -> Any:
    coarse = [np.random.default_rng(i).integers(0, 256, (detail, detail, 3), dtype=np.uint8) for i in range(count)]
    images = [Image.fromarray(c).resize(size, Image.Resampling.BICUBIC).convert(mode) for c in coarse]
    return choose_size(look_at_all([np.asarray(image) for image in images], count))


def test_the_size_follows_the_detail_and_never_enlarges() -> None:
    assert sized(20, (20, 20))[:3] == (32, 3, "small")
    assert sized(20, (300, 240), detail=6).resolution == 32
    middle = sized(20, (300, 240), detail=60)
    assert (middle.why, middle.channels) == ("enough", 3)
    assert 48 <= middle.resolution <= 96
    assert middle.kept >= 0.8
    fine = sized(20, (600, 600), detail=600)
    assert fine.resolution == SIZES[-1]
    assert sized(20, (100, 100), detail=100)[:3] == (96, 3, "small")
    assert sized(20, (300, 240), mode="L").channels == 1


def test_grey_pictures_in_colour_files_are_grey(tmp_path: Path, home: Path) -> None:
    for c, name in enumerate(("dent", "free")):
        for i in range(10):
            path = tmp_path / "images" / name / f"{i}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            noise(50 * c + i, mode="L").convert("RGB").save(path, quality=70)
    record = checked(tmp_path / "images", home)
    assert record.size is not None
    assert (record.size.channels, record.modes) == (1, {"RGB": 20})
    assert pocket.load(tmp_path / "images").train.channels == 1
    put(tmp_path / "images" / "dent" / "colour.png", 9)
    assert pocket.load(tmp_path / "images").train.channels == 3


def test_images_per_class_never_exceed_what_a_class_has() -> None:
    counts = [713, 23, 4, 1]
    assert images_per_class(counts, ipc=10).tolist() == [10, 10, 4, 1]
    assert images_per_class(counts, ratio=0.1).tolist() == [71, 2, 1, 1]
    assert images_per_class(counts, ratio=1).tolist() == counts
    for wrong in ({"ipc": 0}, {"ratio": 0}, {"ratio": 1.5}, {}, {"ipc": 1, "ratio": 0.1}):
        with pytest.raises(ValueError, match=r"ipc|ratio"):
            images_per_class(counts, **wrong)


def test_classes_with_few_independent_queries_are_named_with_what_they_lack(tmp_path: Path, home: Path) -> None:
    root = clean_folder(tmp_path / "images", classes=("dent", "free", "rare"), each=60)
    for i in range(10, 60):
        (root / "rare" / f"{i}.png").unlink()
    groups = "".join(f"dent/{i:02d}.png,part {i // 6}\n" for i in range(60))  # ten parts, photographed six times each
    (root / "groups.csv").write_text("path,group\n" + groups, encoding="utf-8")
    code, said = run(root)
    record = CheckRecord.load(home / "runs" / "check-images" / "check.json")
    assert (code, record.verdict) == (0, "warn")
    split = SplitRecord.load(home / "runs" / "check-images" / "split.json")
    parts = {int(name[5:7]) // 6 for name in split.query if name.startswith("dent")}
    assert [(row.name, row.units, row.query, row.query_units) for row in record.classes] == [
        ("dent", 10, 12, len(parts)),
        ("free", 60, 12, 12),
        ("rare", 10, 2, 2),
    ]
    finding = next(f for f in record.findings if f.kind == "few_queries")
    lacking = {one.name: one.values for one in finding.affected}
    assert finding.level == "warn" and len(parts) == 2
    # As many things again: one in five becomes a query.
    assert lacking == {name: {"images": n, "things": 2, "more": 15} for name, n in (("dent", 12), ("rare", 2))}
    assert record.query_units == 16
    page = (home / "runs" / "check-images" / "check.html").read_text(encoding="utf-8")
    for count in (12, 2):
        text = f"query images: {count}, of independent things: 2; things still lacking: about 15"
        assert text in said and text in page
    table = page[page.index('id="classes"') : page.index('id="size"')]
    assert "<td>60</td><td>10</td><td>48</td><td>12</td><td>2</td>" in table
    lines = [line.strip() for line in said.splitlines()]
    assert "dent: 60 images (10 independent); train 48, query 12 (2 independent)" in lines
    assert lines.index("free: 60 images (60 independent); train 48, query 12 (12 independent)") > max(
        i for i, line in enumerate(lines) if line.startswith(("dent:", "rare:"))
    ), "those with the fewest come first"
    assert "検索画像2枚、独立なもの2件。あと約15件必要です" in run(root, "--lang", "ja")[1]


def test_queries_that_came_with_the_images_lack_queries_not_five_times_as_many(tmp_path: Path, home: Path) -> None:
    rows = ["path,label,split", *(f"pics/{i}.png,{'ab'[i % 2]},{'test' if i < 6 else 'train'}" for i in range(20))]
    record = checked(listed(some_images(tmp_path), rows), home)
    finding = next(f for f in record.findings if f.kind == "few_queries")
    assert {one.name: one.values["more"] for one in finding.affected} == {"a": 2, "b": 2}


@pytest.mark.parametrize(("each", "few"), [(6, 3), (45, 18), (50, 20)])
def test_so_few_queries_that_no_decision_can_rest_on_them_are_said_beside_the_verdict(
    tmp_path: Path, home: Path, each: int, few: int
) -> None:
    """Below twenty in all; classes, copies and groups aside."""
    root = clean_folder(tmp_path / "images", classes=("dent", "free"), each=each)
    code, said = run(root)
    record = CheckRecord.load(home / "runs" / "check-images" / "check.json")
    page = (home / "runs" / "check-images" / "check.html").read_text(encoding="utf-8")
    box = page[page.index('<section class="decision') : page.index('id="findings"')]
    assert code == 0 and record.query_units in (few, few - 1)
    warned = few < 20
    assert ("few_in_all" in kinds(record)) == warned
    assert [("no decision can rest on" in text) for text in (said, box)] == [warned, warned]
    if warned:
        assert record.findings[0].kind == "few_in_all", "the first thing to read"
        assert record.findings[0].values["more"] == 5 * (20 - record.query_units), "one in five becomes a query"
        assert said.count("no decision can rest on") == 2, "and the last, beside the verdict"
        assert f"{record.query_units}件しかありません" in run(root, "--lang", "ja")[1]


def test_imbalance_suggests_a_share_of_each_class(tmp_path: Path, home: Path) -> None:
    root = clean_folder(tmp_path / "images", each=8)
    for i in range(100):
        put(root / "dent" / "more" / f"{i}.png", 2000 + i)
    record = checked(root, home)
    assert (record.ratio, record.ipc) == (0.1, None)
    assert [(row.name, row.train, row.ipc) for row in record.classes] == [("dent", 86, 9), ("free", 6, 1)]
    assert kinds(record)["tiny"] == ["free"]
    assert "imbalance" in kinds(record)
    page = (home / "report" / "check.html").read_text(encoding="utf-8")
    assert "ratio = 0.1" in page
    assert "pocket poc " in page, "it chooses the share by itself"


# --- labels to review -----------------------------------------------------------------------------------------------


def digits_folder(root: Path, wrong: int, seed: int = 0) -> set[str]:
    """Write real digits, some in another digit's folder; return the names of those."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    rng = np.random.default_rng(seed)
    labels = bunch.target.copy()
    moved = rng.choice(len(labels), wrong, replace=False)
    labels[moved] = (labels[moved] + rng.integers(1, 10, wrong)) % 10
    for i, (pixels, label) in enumerate(zip(bunch.images, labels, strict=True)):
        (root / str(label)).mkdir(parents=True, exist_ok=True)
        Image.fromarray((pixels * 15.9).astype(np.uint8)).save(root / str(label) / f"{i:04d}.png")
    return {f"{labels[i]}/{i:04d}.png" for i in moved}


def test_planted_wrong_labels_rank_near_the_top(tmp_path: Path, home: Path) -> None:
    planted = digits_folder(tmp_path / "digits", wrong=20)
    before = state(tmp_path / "digits")
    record = checked(tmp_path / "digits", home)
    assert state(tmp_path / "digits") == before
    with (home / "report" / "relabel.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    ranked = [row["path"] for row in rows]
    assert len(planted & set(ranked[:25])) >= 17
    assert len(planted & set(ranked)) >= 19
    assert len(ranked) < 60
    assert [int(row["rank"]) for row in rows] == list(range(1, len(rows) + 1))
    margins = [float(row["margin"]) for row in rows]
    assert margins == sorted(margins)
    assert all(row["label"] != row["suggested"] and row["path"].startswith(row["label"]) for row in rows)
    from sklearn.datasets import load_digits

    truth = {f"{row['label']}/{i:04d}.png": i for row in rows for i in [int(Path(row["path"]).stem)]}
    right = [
        load_digits().target[truth[row["path"]]] == int(row["suggested"]) for row in rows if row["path"] in planted
    ]
    assert np.mean(right) > 0.85
    assert record.agreement is not None and record.agreement > 0.95
    page = (home / "report" / "check.html").read_text(encoding="utf-8")
    assert page.count("<img src=") >= 25


def test_many_wrong_labels_give_a_short_list_of_hints_and_no_warning(tmp_path: Path, home: Path) -> None:
    planted = digits_folder(tmp_path / "digits", wrong=600)
    record = checked(tmp_path / "digits", home)
    assert record.agreement is not None and 0.5 < record.agreement < 0.8
    assert 10 < len(record.suspects) <= 90, "one in twenty"
    assert {"suspect", "suspect_weak", "unjudged"} & set(kinds(record)) == {"suspect_weak"}
    assert len(planted & {one.name for one in record.suspects}) > 80


@pytest.mark.parametrize("rare", [100, 20])
def test_a_classifier_no_better_than_the_largest_class_doubts_nobody(tmp_path: Path, home: Path, rare: int) -> None:
    """Noise: it agrees with half of the labels of equal classes, and with nine tenths of nine to one."""
    for i in range(200):
        put(tmp_path / "images" / "ab"[i < rare] / f"{i}.png", i)
    code, said = run(tmp_path / "images")
    out = home / "runs" / "check-images"
    record = CheckRecord.load(out / "check.json")
    assert record.agreement is not None and record.agreement > (0.8 if rare == 20 else 0.3)
    assert {"suspect", "suspect_weak", "unjudged"} & set(kinds(record)) == {"unjudged"}
    assert code == 0 and record.suspects == ()
    assert (out / "relabel.csv").read_text(encoding="utf-8-sig").count("\n") == 1
    assert 'id="suspects"' not in (out / "check.html").read_text(encoding="utf-8")
    assert f"agrees with {round(100 * record.agreement)} % of them, always naming the largest class with" in said


def test_copies_do_not_vouch_for_each_other() -> None:
    """Ten copies of a wrongly labelled image are doubted only if they lie in one fold."""
    rng = np.random.default_rng(0)
    patterns = rng.integers(0, 256, (2, 32, 32))
    labels = np.repeat([0, 1], 60)
    thumbs = (patterns[labels] + rng.normal(0, 20, (120, 32, 32))).clip(0, 255).astype(np.uint8)
    thumbs[50:60] = (patterns[1] + rng.normal(0, 20, (32, 32))).clip(0, 255)
    tints = np.zeros((120, 8, 8, 3), dtype=np.uint8)
    units = np.arange(120)
    units[50:60] = 50
    fold = folds_of(labels, units, [f"{i}" for i in range(120)])
    found = find_suspects(thumbs, tints, labels, fold)
    assert set(found.places.tolist()) == set(range(50, 60))
    assert set(found.suggested.tolist()) == {1}


# --- real sets ----------------------------------------------------------------------------------------


def test_the_inspection_line_is_seen_for_what_it_is(home: Path) -> None:
    folder = Path(os.environ.get("POCKET_DATA", "")) / "magnetic_tile"
    if not os.environ.get("POCKET_DATA") or not sorted(folder.glob("train-*.parquet")):
        pytest.skip("POCKET_DATA names no folder that holds magnetic_tile/train-*.parquet")
    record = checked(folder, home)
    assert Counter({row.name: row.images for row in record.classes}) == {
        "MT_Blowhole": 115,
        "MT_Break": 85,
        "MT_Crack": 57,
        "MT_Fray": 32,
        "MT_Free": 952,
        "MT_Uneven": 103,
    }
    found = kinds(record)
    assert len(found["group_disagrees"]) == 16, "as its data card counts them"
    assert "group_split" not in found
    assert {"imbalance", "near_copy", "unjudged"} <= set(found)
    assert record.suspects == (), "seven in ten are of one class, and the classifier does no better than to say so"
    assert record.size is not None and record.size.channels == 1
    assert record.ratio == 0.1


# --- the page in a browser ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    root = tmp_path_factory.mktemp("pages")
    plant_everything(root / "images")
    digits_folder(root / "digits", wrong=20)
    (root / "nothing").mkdir()
    made = {}
    for name, path, lang in (("en", "images", "en"), ("ja", "digits", "ja"), ("stop", "nothing", "ja")):
        check(root / path, out=root / name, lang=lang, say=lambda line: None)
        made[name] = root / name / "check.html"
    return made.__getitem__


@pytest.mark.browser
@pytest.mark.parametrize("name", ["en", "ja", "stop"])
@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_opens_offline_without_scripts_fits_and_is_accessible(
    browser: Browser,  # noqa: F811
    reports: Callable[[str], Path],
    name: str,
    width: int,
) -> None:
    from axe_playwright_python.sync_playwright import Axe

    context = browser.new_context(viewport={"width": width, "height": 800}, offline=True, java_script_enabled=False)
    page = context.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(reports(name).as_uri())
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    screenshot(page, f"check-{name}-{width}")
    context.close()
    page = browser.new_page(viewport={"width": width, "height": 800})
    page.goto(reports(name).as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("[...document.images].every(i => i.naturalWidth > 0 && i.alt)")
    assert page.evaluate("document.scripts.length") == 0
    found = Axe().run(page).response["violations"]
    assert [f["id"] for f in found if f["impact"] in ("moderate", "serious", "critical")] == []
    page.close()
