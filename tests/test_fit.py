"""Images that are not square: cropped by default and said how much of them is lost, or padded whole, all along."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bad_data_for_tests import clean_folder, noise
from PIL import Image
from typer.testing import CliRunner

import pocket
from pocket.cli import app
from pocket.data import ImageSet
from pocket.data.decoding import decode_all, decode_image
from pocket.data.intake import CheckRecord, SplitRecord
from pocket.data.intake.look import SIZES, Look, look_at, look_at_all
from pocket.data.intake.sizes import choose_size
from pocket.presentation.brief_setting import setting_lines
from pocket.presentation.fit_text import fit_text
from pocket.presentation.i18n import translator
from pocket.presentation.poc_text import plan_lines
from pocket.runs import Run
from pocket.runs.run import RunSettings
from pocket.workflows.check import check
from pocket.workflows.poc import poc
from pocket.workflows.poc_images import images_of
from pocket.workflows.poc_plan import Asked, plan_of

QUICK = Asked(seeds=1, bits=8, resolution=16, steps=(6, 2))
SHARES = {"bar": 40, "plate": 75, "tile": 100}  # of an image, in per cent, inside its central square


def wide_images(root: Path, each: int = 10) -> Path:
    """Write classes of images 2.5 : 1, 4 : 3 and square, some of them upright."""
    for c, (name, share) in enumerate(SHARES.items()):
        for i in range(each):
            sides = (60, round(60 * share / 100))
            path = root / name / f"{i:02d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            noise(100 * c + i, sides if i % 2 else sides[::-1], "L").save(path)
    return root


def called(*words: object) -> tuple[int, str]:
    done = CliRunner().invoke(app, list(map(str, words)))
    if isinstance(done.exception, ValueError):
        return 1, str(done.exception)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.output


# --- decoding ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("upright", [False, True])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_padded_image_holds_all_of_it_and_goes_on_as_its_border_does(upright: bool, channels: int) -> None:
    wide = np.full((40, 160), 90, dtype=np.uint8)
    wide[10:30, 2:12] = 255  # a fault at the edge, off the border
    wide[:, 150:] = 10
    wide = wide.T if upright else wide
    shown = decode_image(wide, 32, channels, "pad")[0].astype(int)
    shown = shown.T if upright else shown
    assert decode_image(wide, 32, channels).max() < 100, "the central square has not seen it"
    assert shown.shape == (32, 32) and shown[14:18, :3].max() > 200
    assert (shown[:12] == 90).all() and (shown[20:] == 90).all(), "the median of its border, dark end or not"
    assert shown[12:20, 31].max() < 30, "the other end is there, too"


def test_colours_are_padded_channel_by_channel_and_small_images_are_enlarged() -> None:
    wide = np.zeros((4, 8, 3), dtype=np.uint8)
    wide[:] = (200, 100, 7)
    shown = decode_image(wide, 16, 3, "pad")
    assert [set(np.unique(channel)) for channel in shown] == [{200}, {100}, {7}]
    line = np.full((1, 400), 50, dtype=np.uint8)  # scaled, it would have no pixel in height
    assert decode_image(line, 16, 1, "pad").shape == (1, 16, 16)


def test_a_square_image_is_the_same_either_way_and_cropped_ones_are_as_they_were() -> None:
    square, wide = np.asarray(noise(1, (50, 50))), np.asarray(noise(2, (50, 30)))
    assert (decode_image(square, 16) == decode_image(square, 16, None, "pad")).all()
    digests = [hashlib.sha256(decode_image(image, 16).tobytes()).hexdigest()[:16] for image in (square, wide)]
    from PIL import ImageOps

    expected = [
        np.asarray(ImageOps.fit(Image.fromarray(image), (16, 16), method=Image.Resampling.BILINEAR)).transpose(2, 0, 1)
        for image in (square, wide)
    ]
    assert digests == [hashlib.sha256(image.tobytes()).hexdigest()[:16] for image in expected]
    images, bad = decode_all([square, wide, b"no"], 16, 3, "pad")
    assert (images[1] == decode_image(wide, 16, 3, "pad")).all() and list(bad) == [2]
    with pytest.raises(ValueError, match="fit='stretch': choose one of crop, pad"):
        decode_image(wide, 16, 3, "stretch")  # type: ignore[arg-type]


def test_a_set_knows_its_fit_and_its_fingerprint_does_not() -> None:
    images, labels = np.zeros((2, 1, 8, 8), dtype=np.uint8), np.array([0, 1])
    cropped, padded = (ImageSet(images, labels, ("a", "b"), "set", fit=fit) for fit in ("crop", "pad"))  # type: ignore[arg-type]
    assert ImageSet(images, labels, ("a", "b"), "set").fit == "crop"
    assert cropped.fingerprint == padded.fingerprint and padded.subset([1]).fit == "pad"


def test_the_size_is_chosen_by_what_will_be_seen() -> None:
    """Detail that a square of 64 keeps of the centre takes a longer side of 128 and more where all is to be seen."""
    fine = [np.asarray(noise(i, (90, 90), "L").resize((400, 100), Image.Resampling.BICUBIC)) for i in range(20)]
    cropped, padded = (choose_size(look_at_all(fine, 20, fit=fit)) for fit in ("crop", "pad"))  # type: ignore[arg-type]
    assert (cropped.side, padded.side) == (100, 400)
    found = [look_at(fine[0], detail=True, fit=fit) for fit in ("crop", "pad")]  # type: ignore[arg-type]
    assert all(isinstance(one, Look) and one.kept is not None and len(one.kept) == len(SIZES) for one in found)
    assert isinstance(found[0], Look) and isinstance(found[1], Look) and found[0].kept != found[1].kept
    assert (look_at_all(fine[:3], 3).inside == 0.25).all()


# --- the check -------------------------------------------------------------------------------------------


def test_the_check_warns_of_classes_that_lose_much_and_says_how_much_of_each(tmp_path: Path, home: Path) -> None:
    root = wide_images(tmp_path / "images")
    code, said = called("check", root)
    record = CheckRecord.load(home / "runs" / "check-images" / "check.json")
    finding = next(f for f in record.findings if f.kind == "cropped")
    assert code == 0 and finding.level == "warn" and record.fit == "crop"
    assert [(one.name, one.values) for one in finding.affected] == [("bar", {"kept": 40})], "4 : 3 is let pass"
    assert {row.name: round(100 * (row.inside or 0)) for row in record.classes} == SHARES
    assert "bar  (half of the images keep 40 % or less)" in said and "--fit pad" in said
    page = (home / "runs" / "check-images" / "check.html").read_text(encoding="utf-8")
    assert "<td>40\N{NO-BREAK SPACE}%</td>" in page and "bar 40\N{NO-BREAK SPACE}%, plate 75\N{NO-BREAK SPACE}%" in page
    japanese = called("check", root, "--lang", "ja")[1]
    assert "半数の画像で、残る割合が40%以下です" in japanese and "bar 40%、plate 75%、tile 100%" in japanese


def test_with_padding_nothing_is_lost_and_the_next_command_says_so(tmp_path: Path, home: Path) -> None:
    root = wide_images(tmp_path / "images")
    code, said = called("check", root, "--fit", "pad")
    out = home / "runs" / "check-images"
    record, page = CheckRecord.load(out / "check.json"), (out / "check.html").read_text(encoding="utf-8")
    assert code == 0 and record.fit == "pad" and "cropped" not in {f.kind for f in record.findings}
    assert said.splitlines()[-1].endswith(f"pocket poc {root} --fit pad")
    assert f"pocket poc {root} --fit pad</code>" in page and translator("en")("check.padded") in page
    assert translator("en")("check.inside") not in page and record.size is not None and record.size.side == 60
    assert SplitRecord.load(out / "split.json").fit == "pad"
    assert pocket.load(root).query.fit == "pad", "what the check was given"
    assert (pocket.load(root, fit="crop").query.fit, pocket.load(root, fit="crop").database.fit) == ("crop", "crop")
    assert called("check", root, "--fit", "stretch")[0] == called("poc", root, "--fit", "stretch")[0] == 2
    with pytest.raises(ValueError, match="choose one of crop, pad"):
        pocket.load(root, fit="stretch")  # type: ignore[arg-type]


def test_plan_and_brief_say_what_is_seen(tmp_path: Path, home: Path) -> None:
    root = wide_images(tmp_path / "images")
    for fit, lang, text in (
        ("crop", "en", "bar 40\N{NO-BREAK SPACE}%, plate 75\N{NO-BREAK SPACE}%, tile 100\N{NO-BREAK SPACE}%"),
        ("crop", "ja", "bar 40%、plate 75%、tile 100%"),
        ("pad", "en", translator("en")("check.padded")),
        ("pad", "ja", translator("ja")("check.padded")),
    ):
        record = check(root, out=tmp_path / fit, fit=fit, say=lambda _: None).record  # type: ignore[arg-type]
        for asked in (Asked(), Asked(resolution=24)):
            assert text in "\n".join(plan_lines(plan_of(record, asked), record, lang))
        assert text in fit_text(record, lang)
    rows = tuple(row.model_copy(update={"inside": None}) for row in record.classes)
    older = record.model_copy(update={"fit": "crop", "classes": rows})
    assert fit_text(older, "en") == translator("en")("check.cropped"), "an older check has not measured it"


# --- a run keeps to what it was made with ------------------------------------------------------------------


@pytest.fixture(scope="module")
def padded(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """One quick proof of concept on padded images."""
    home = tmp_path_factory.mktemp("home")
    images = wide_images(tmp_path_factory.mktemp("data") / "parts")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("POCKET_HOME", str(home))
        found = poc(images, "whole", asked=QUICK._replace(fit="pad"), pdf=False, say=lambda _: None)
        assert found.run is not None
        yield found.run, images


def test_a_run_on_padded_images_pads_what_it_is_asked_for(padded: tuple[Run, Path]) -> None:
    run, images = padded
    assert run.settings.fit == "pad"
    split = images_of(run)
    one = images / "bar" / "00.png"
    assert split.database.fit == split.query.fit == "pad"
    whole = decode_image(one, 16, 1, "pad")
    everywhere = np.concatenate([split.database.images, split.query.images])
    assert (everywhere == whole).all(axis=(1, 2, 3)).any()
    code, said = called("search", one, "--run", "whole", "-k", "3")
    assert code == 0, said
    assert "padded to a square as a whole" in said
    train = {Path(file).name for file in split.train.files if "bar" in file}
    assert (translator("en")("search.trained") in said) == (one.name in train)
    known = next(Path(file) for file in split.train.files if "/bar/" in file)
    assert translator("en")("search.trained") in called("search", known, "--run", "whole", "-k", "3")[1]
    assert called("explain", "--query", "0", "--run", "whole", "-k", "3")[0] == 0
    assert dict(setting_lines(run, "ja"))[translator("ja")("brief.cropped")] == translator("ja")("check.padded")


def test_the_same_command_goes_on_with_the_runs_fit_and_another_is_refused(padded: tuple[Run, Path]) -> None:
    run, images = padded
    before = {path: path.read_bytes() for path in run.folder.glob("*.json")}
    said: list[str] = []
    poc(images, "whole", asked=QUICK, pdf=False, say=said.append)
    assert any("Already complete" in line for line in said)
    code, refused = called("poc", images, "--run", "whole", "--fit", "crop")
    assert code == 1 and "was made with --fit pad, not crop" in refused
    assert {path: path.read_bytes() for path in run.folder.glob("*.json")} == before
    check(images, say=lambda _: None)  # of cropped ones: the stored split now says crop
    assert pocket.load(images).query.fit == "crop" and images_of(run).query.fit == "pad"


def test_a_run_and_a_split_of_an_older_kit_are_cropped(tmp_path: Path, home: Path) -> None:
    assert RunSettings().fit == "crop"
    root = clean_folder(tmp_path / "images")
    check(root, out=tmp_path / "out", say=lambda _: None)
    kept = tmp_path / "out" / "split.json"
    fields = json.loads(kept.read_text(encoding="utf-8"))
    for newer in ("fit", "things"):
        del fields[newer]
    kept.write_text(json.dumps(fields), encoding="utf-8")
    older = SplitRecord.load(kept)
    assert (older.fit, older.things) == ("crop", None)


def test_the_explorer_brings_an_uploaded_image_to_the_sets_fit(padded: tuple[Run, Path]) -> None:
    from pocket.evaluation import ImageSearch
    from pocket.hashing import HashModel
    from pocket.presentation.explorer import explorer, neighbours_html
    from pocket.workflows.search import model_files

    run, images = padded
    split = images_of(run)
    search = ImageSearch(HashModel.load(model_files(run)["full"]), split.database)
    box = explorer({"full": search}, split.query, [("query 0", 0)], lambda _: "", k=2)
    upload = box.children[0].children[1]
    content = (images / "bar" / "01.png").read_bytes()
    upload.value = (
        {
            "name": "bar.png",
            "type": "image/png",
            "size": len(content),
            "content": content,
            "last_modified": datetime.now(tz=UTC),
        },
    )
    shown = box.children[1].value
    note = "your image, padded to a square as a whole and brought to 16 x 16 pixels"
    assert shown == neighbours_html({"full": search}, decode_image(content, 16, 1, "pad"), "bar.png", k=2, note=note)


def test_a_tour_of_ones_own_images_takes_it(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = wide_images(tmp_path / "images")
    # The notebooks themselves are the matter of tests/test_tour.py; `pocket.workflows.tour` by name is the function.
    monkeypatch.setattr(import_module("pocket.workflows.tour"), "_toured", lambda run, first, say: run.folder)
    code, said = called("tour", "--dataset", root, "--fit", "pad", "--run", "own")
    assert code == 0, said
    assert Run.read(home / "runs" / "own").settings.fit == "pad"
    assert called("tour", "--dataset", root, "--fit", "round")[0] == 2
    refused = called("tour", "--dataset", root, "--fit", "crop", "--run", "own")
    assert refused[0] == 1 and "fit='pad', not 'crop'" in refused[1]
