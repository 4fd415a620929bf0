"""Searching for single images: `ImageSearch`, the explorer, the contact sheet and `pocket search`."""

from __future__ import annotations

import io
import warnings
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import pocket
from pocket.cli import app
from pocket.data import ImageSet, RetrievalSplit, photographs
from pocket.evaluation import ImageSearch, evaluate_codes
from pocket.presentation.explorer import contact_sheet, explorer, neighbours_html
from pocket.presentation.html import png_bytes
from pocket.runs.artefacts import ArtefactError
from pocket.workflows.search import model_files, search_images


@pytest.fixture(scope="module")
def split() -> RetrievalSplit:
    return pocket.load("digits")


@pytest.fixture(scope="module")
def model(split: RetrievalSplit) -> pocket.HashModel:
    return pocket.train(split.train, bits=16, width=8, config=pocket.TrainConfig(steps=60), seed=0)


@pytest.fixture(scope="module")
def searches(split: RetrievalSplit, model: pocket.HashModel) -> dict[str, ImageSearch]:
    return {"full data": ImageSearch(model, split.database)}


@pytest.fixture
def run(home: Path, model: pocket.HashModel) -> pocket.Run:
    made = pocket.open_run("mine", bits=16)
    model.save(made.path("models", "full_0.safetensors"))
    return made


def png(image: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image[0]).save(file, "png")
    return file.getvalue()


def test_it_searches_as_evaluate_does(
    split: RetrievalSplit, model: pocket.HashModel, searches: dict[str, ImageSearch]
) -> None:
    search = searches["full data"]
    report = evaluate_codes(search.encode(split.query), search.codes)
    assert report.map == pocket.evaluate(model, split).map
    for place in (0, 500):
        hits = search.nearest(split.database.images[place], k=5)
        assert hits[0].distance == 0
        assert [hit.distance for hit in hits] == sorted(hit.distance for hit in hits)
        assert hits[0].label == split.database.class_names[split.database.labels[hits[0].place]]
    assert len(search.nearest(split.query.images[0], k=10**6)) == len(split.database)


def test_images_of_another_shape_are_refused(searches: dict[str, ImageSearch]) -> None:
    with pytest.raises(ValueError, match=r"the model takes images of shape \(1, 16, 16\)"):
        searches["full data"].nearest(np.zeros((3, 16, 16), dtype=np.uint8))
    with pytest.raises(ValueError, match="k=0"):
        searches["full data"].nearest(np.zeros((1, 16, 16), dtype=np.uint8), k=0)


def test_what_is_shown_is_escaped(split: RetrievalSplit, model: pocket.HashModel) -> None:
    names = tuple(f"<b>{name}</b>" for name in split.database.class_names)
    few = ImageSet(split.database.images[:50], split.database.labels[:50], names, "few")
    page = neighbours_html({"<i>": ImageSearch(model, few)}, few.images[0], '"><script>', note="<u>")
    assert not {"<b>3", "<i>", "<script>", "<u>"} & {tag for tag in ("<b>3", "<i>", "<script>", "<u>") if tag in page}
    assert "&lt;b&gt;" in page


def test_the_explorer_follows_choice_and_upload(split: RetrievalSplit, searches: dict[str, ImageSearch]) -> None:
    shown = explorer(searches, split.query, [("query 3", 3), ("query 7", 7)], lambda q: f"note {q}", k=4)
    (choice, upload), view = shown.children[0].children, shown.children[1]
    assert "note 3" in view.value
    choice.value = 7
    assert "note 7" in view.value
    assert view.value.count("<img") == 1 + 4

    def give(name: str, content: bytes) -> None:
        about = {"name": name, "type": "", "size": len(content), "last_modified": datetime.now(UTC)}
        upload.value = (about | {"content": memoryview(content)},)

    give("mine.png", png(split.query.images[0]))
    assert 'alt="mine.png"' in view.value
    give("<b>.png", b"no image")
    assert "&lt;b&gt;.png: not a whole image" in view.value
    assert 'role="alert"' in view.value


def test_a_contact_sheet_says_in_words_what_it_shows(split: RetrievalSplit, searches: dict[str, ImageSearch]) -> None:
    figure, told = contact_sheet(searches, {"one": split.query.images[0], "two": split.query.images[1]}, k=3)
    assert len(figure.axes) == 2 * (1 + 3)
    assert told.count("under full data") == 2
    assert "distances" in told


def test_photographs_take_the_shape_of_any_set(split: RetrievalSplit) -> None:
    grey = photographs(split.query, 20, seed=1)
    assert grey.images.shape == (20, 1, 16, 16)
    assert (grey.images == photographs(split.query, 20, seed=1).images).all()
    assert len(np.unique(grey.images.reshape(20, -1), axis=0)) == 20
    colour = ImageSet(np.zeros((1, 3, 24, 24), dtype=np.uint8), np.zeros(1, dtype=int), ("a",), "colour")
    assert photographs(colour, 2).images.shape == (2, 3, 24, 24)
    with pytest.raises(ValueError, match="count=0"):
        photographs(split.query, 0)


def test_search_writes_a_table_and_a_sheet(run: pocket.Run, split: RetrievalSplit, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "same.png").write_bytes(png(split.query.images[0]))
    before = (tmp_path / "a" / "same.png").read_bytes()
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8 nonsense")
    said: list[str] = []
    paths = [tmp_path / "a" / "same.png", tmp_path / "b" / "same.png", tmp_path / "broken.jpg", tmp_path / "none.png"]
    sheet, unreadable = search_images(run, paths, models=["full"], k=3, say=said.append)
    assert sheet == run.path("search.png")
    assert Image.open(sheet).format == "PNG"
    assert len([line for line in said if line.startswith("  full ")]) == 6
    assert [line.split("\n")[1] for line in said if line.startswith("\n")] == ["same.png", "same.png (2)"]
    assert [line.split(": ", 1)[1][:21] for line in unreadable] == ["there is no such file", "not a whole image (no"]
    with pytest.raises(ValueError, match="対応する形式の画像として認識できません"):
        search_images(run, [tmp_path / "broken.jpg"], models=["full"], lang="ja", say=said.append)
    assert before == (tmp_path / "a" / "same.png").read_bytes()
    first = sheet.read_bytes()
    other, _ = search_images(run, [sheet], models=["FULL"], k=20, say=said.append)
    assert other == run.path("search-2.png"), "nothing is written over, least of all what was asked for"
    assert sheet.read_bytes() == first
    assert "the sheet shows the first 16 of each" in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"models": ["full", "iem"]}, r"run 'mine' has kept no model iem: it has full; pocket tour --run mine"),
        ({"k": 0, "models": ["full"]}, "k=0: find 1 to 100 images"),
        ({"k": 5000, "models": ["full"]}, "k=5000"),
        ({"paths": ["."], "models": ["full"]}, "this is a folder"),
        ({"paths": ["x" * 300 + ".png"], "models": ["full"]}, "File name too long"),
        ({"out": "there.png", "models": ["full"]}, "what exists is not written over"),
        ({"out": "new.jpg", "models": ["full"]}, "ends in .png"),
        ({"paths": ["nowhere.png"], "models": ["full"]}, "nowhere.png: there is no such file"),
        ({"paths": ["a.png", "b.png"], "models": ["full"], "lang": "ja"}, r"a.png: ファイルがありません／.*b.png"),
        ({"k": 0, "models": ["full"], "lang": "ja"}, "1〜100枚を指定してください"),
        ({"models": ["iem"], "lang": "ja"}, "モデル iem はありません（保存済みのモデル：full）"),
        ({"out": "there.png/new.png", "models": ["full"]}, "name a place for it, --out FILE.png"),
    ],
)
def test_search_refuses_with_a_reason(
    run: pocket.Run, split: RetrievalSplit, tmp_path: Path, arguments: dict, message: str
) -> None:
    there = tmp_path / "there.png"
    there.write_bytes(png(split.query.images[0]))
    paths = [tmp_path / name for name in arguments.pop("paths", ["there.png"])]
    if "out" in arguments:
        arguments["out"] = tmp_path / arguments["out"]
    with pytest.raises((ValueError, ArtefactError), match=message):
        search_images(run, paths, **arguments)
    assert there.read_bytes() == png(split.query.images[0])


def test_a_stranger_is_called_one(run: pocket.Run, split: RetrievalSplit, tmp_path: Path) -> None:
    (tmp_path / "known.png").write_bytes(png(split.database.images[0]))
    said: list[str] = []
    search_images(run, [tmp_path / "known.png"], models=["full"], say=said.append)
    assert not [line for line in said if "is unsure" in line]
    assert [line for line in said if "was trained on" in line], "a perfect answer that proves nothing"
    (tmp_path / "asked.png").write_bytes(png(split.query.images[0]))
    unseen: list[str] = []
    search_images(run, [tmp_path / "asked.png"], models=["full"], say=unseen.append)
    assert not [line for line in unseen if "was trained on" in line]
    search = ImageSearch(pocket.HashModel.load(str(run.path("models", "full_0.safetensors"))), split.database)
    usual = search.usual_distance(split.query)
    nearest = np.array([search.nearest(image, 1)[0].distance for image in split.query.images])
    assert np.mean(nearest <= usual) >= 0.95 > np.mean(nearest <= usual - 1)


def test_names_with_a_dollar_or_in_japanese_are_drawn(split: RetrievalSplit, searches: dict[str, ImageSearch]) -> None:
    figure, _ = contact_sheet(
        searches, {"price_$5_$.png": split.query.images[0], "数字の七.png": split.query.images[1]}
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert png_bytes(figure)[:4] == b"\x89PNG"


def test_a_sheet_speaks_the_language_asked_for(split: RetrievalSplit, searches: dict[str, ImageSearch]) -> None:
    image = {"七": split.query.images[0]}
    figure, told = contact_sheet(searches, image, k=2, labels={"七": "none of these"}, lang="ja")
    captions = [text.get_text() for axis in figure.axes for text in axis.texts]
    assert "検索画像" in captions and any("\n距離" in caption for caption in captions)
    assert not any("distance" in caption or "asked" in caption for caption in captions)
    assert told.startswith("七、モデル ") and "（2枚中2枚が別のクラス）、距離" in told and ";" not in told


def test_images_of_another_class_are_marked(split: RetrievalSplit, searches: dict[str, ImageSearch]) -> None:
    image = {"it": split.query.images[0]}
    right = split.query.class_names[split.query.labels[0]]
    _, told = contact_sheet(searches, image, k=4, labels={"it": right})
    assert "0 of 4 of another class" in told
    figure, told = contact_sheet(searches, image, k=4, labels={"it": "none of these"})
    assert "4 of 4 of another class" in told
    assert sum(len(axis.patches) for axis in figure.axes) == 4
    assert sum(text.get_text().startswith("× ") for axis in figure.axes for text in axis.texts) == 4


def test_found_images_of_a_folder_have_their_files(home: Path, tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    for name, level in (("dark", 40), ("light", 200)):
        (tmp_path / "mine" / name).mkdir(parents=True)
        for i in range(5):
            pixels = (level + generator.integers(-20, 20, (20, 20))).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "mine" / name / f"{i}.png")
    (tmp_path / "mine" / "dark" / "torn.png").write_bytes(b"torn")
    with pytest.warns(UserWarning, match="unreadable"):
        split = pocket.load(tmp_path / "mine")
    model = pocket.train(split.train, bits=8, width=8, config=pocket.TrainConfig(steps=5), seed=0)
    for hit in ImageSearch(model, split.database).nearest(split.query.images[0], k=3):
        shown = Image.open(hit.file)
        assert Path(hit.file).parent.name == hit.label
        assert (
            np.asarray(shown.resize((32, 32), Image.Resampling.BILINEAR)) == split.database.images[hit.place]
        ).mean() > 0.9
    assert len(split.train.subset([1, 0]).files) == 2
    with pytest.raises(ValueError, match="the names of 1 files"):
        ImageSet(split.train.images, split.train.labels, split.train.class_names, "x", files=("one",))


def columns(text: str) -> int:
    return sum(1 if character.isascii() else 2 for character in text)


def test_the_command(run: pocket.Run, split: RetrievalSplit, tmp_path: Path) -> None:
    (tmp_path / "mine.png").write_bytes(png(split.query.images[0]))
    words = ["search", "--run", "mine", "--model", "full", "-k", "2", str(tmp_path / "mine.png")]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert "wrote" in done.output
    japanese = CliRunner().invoke(app, [*words, "--lang", "ja"])
    assert "search-2.png に書き出しました" in japanese.output and "中央の正方形" in japanese.output
    assert "wrote" not in japanese.output
    head, line = (next(x for x in japanese.output.splitlines() if x.startswith(w)) for w in ("  モデル", "  full "))
    assert columns(head[: head.index("距離") + 2]) == 25 and line[15:25].strip().isdigit() and line[25] == " "
    partly = CliRunner().invoke(app, [*words, str(tmp_path / "gone.png")])
    assert partly.exit_code == 1
    assert "gone.png: there is no such file" in partly.output
    assert model_files(run).keys() == {"full"}
    with pytest.raises(ValueError, match=r"no run 'other' in .*: there is mine; pocket tour --run other makes it"):
        CliRunner().invoke(app, ["search", "--run", "other", str(tmp_path / "mine.png")], catch_exceptions=False)
