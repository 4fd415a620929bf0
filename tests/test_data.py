"""Images in: named sets, folders as people have them, Parquet, downloads, and condensed sets on disk."""

from __future__ import annotations

import hashlib
import io
import json
import os
import struct
import zlib
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from sets_for_tests import image_set
from torch.nn import functional

from pocket.condensation import IEMConfig, condense
from pocket.data import CondensedSet, ImageSet, RetrievalSplit, describe, load, registry
from pocket.data import formation as grid
from pocket.data.condensed import CodeLabels
from pocket.data.decoding import decode_image
from pocket.data.readers import Encoded
from pocket.data.sources import PROTOCOLS
from pocket.runs import ArtefactError
from pocket.runs.paths import kit_dir


def save_image(path: Path, seed: int = 0, *, mode: str = "RGB", size: tuple[int, int] = (20, 20), **kw: Any) -> Path:
    """Write a noise image; the ending of the name is its format."""
    bands = {"L": (), "RGB": (3,), "RGBA": (4,)}[mode]
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], *bands), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **kw)
    return path


def class_folder(root: Path, *, classes: tuple[str, ...] = ("cats", "dogs"), each: int = 5, mode: str = "RGB") -> Path:
    """A folder with one sub-folder per class, PNG and JPEG in turn."""
    for c, name in enumerate(classes):
        for i in range(each):
            save_image(root / name / f"{i}.{('png', 'JPG', 'jpeg')[i % 3]}", 100 * c + i, mode=mode)
    return root


def total(split: RetrievalSplit) -> int:
    return len(split.train) + len(split.query)


# --- digits -----------------------------------------------------------------------------------------


def test_digits_are_the_committed_protocol() -> None:
    split = load("digits")
    assert split.protocol == "digits-v1"
    assert split.train.images.shape == (1437, 1, 16, 16)
    assert split.query.images.shape == (360, 1, 16, 16)
    assert split.database is split.train
    assert split.train.class_names == tuple("0123456789")
    assert not split.train.mirror
    assert split.query.counts.min() >= 34
    assert split.train.images.min() == 0
    assert split.train.images.max() == 255
    record = describe(split)
    assert (sum(record.train_counts), sum(record.query_counts)) == (1437, 360)
    assert record.fingerprint == split.train.fingerprint


def test_digits_queries_are_the_committed_list_whatever_the_seed() -> None:
    from sklearn.datasets import load_digits

    listed = json.loads((kit_dir("data") / "splits" / "digits-v1.json").read_text(encoding="utf-8"))["query"]
    np.random.seed(1)  # noqa: NPY002 (a global seed must not matter)
    first = load("digits")
    np.random.seed(2)  # noqa: NPY002
    second = load("digits")
    assert first.query.fingerprint == second.query.fingerprint
    assert first.train.fingerprint == second.train.fingerprint
    assert len(set(listed)) == 360
    np.testing.assert_array_equal(first.query.labels, load_digits().target[listed])


def test_resolution_changes_pixels_and_not_the_split() -> None:
    small, usual = load("digits", resolution=8), load("digits")
    assert small.train.images.shape == (1437, 1, 8, 8)
    np.testing.assert_array_equal(small.query.labels, usual.query.labels)
    assert small.train.fingerprint != usual.train.fingerprint
    for wrong in (7, 513):
        with pytest.raises(ValueError, match=f"resolution={wrong}: choose 8 to 512"):
            load("digits", resolution=wrong)


def test_train_per_class_keeps_the_same_images_every_time() -> None:
    few, again = load("digits", train_per_class=3), load("digits", train_per_class=3)
    assert few.train.counts.tolist() == [3] * 10
    assert few.train.fingerprint == again.train.fingerprint
    assert len(few.query) == 360
    with pytest.raises(ValueError, match=r"train_per_class=1000, but of 'digits' 0 has 1\d\d"):
        load("digits", train_per_class=1000)
    for wrong in (0, -5):
        with pytest.raises(ValueError, match=f"train_per_class={wrong}"):
            load("digits", train_per_class=wrong)


# --- folders ----------------------------------------------------------------------------------------


def test_unknown_name_says_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'mnits' is neither an image set that pocket knows") as caught:
        load("mnits")
    for name in registry():
        assert name in str(caught.value)
    with pytest.raises(ValueError, match="one sub-folder per class"):
        load(tmp_path / "nonexistent")
    with pytest.raises(ValueError, match="neither"):
        load(save_image(tmp_path / "a_file.png"))


def test_a_folder_without_classes_says_how_to_lay_it_out(tmp_path: Path) -> None:
    save_image(tmp_path / "loose.png")
    (tmp_path / "no images here").mkdir()
    (tmp_path / "no images here" / "readme.txt").write_text("x", encoding="utf-8")
    with pytest.raises(ValueError, match=r"no class with at least two images.*sub-folder of their own") as caught:
        load(tmp_path)
    assert str(tmp_path) in str(caught.value)


def test_one_class_is_not_enough(tmp_path: Path) -> None:
    class_folder(tmp_path, classes=("cats",))
    with pytest.raises(ValueError, match=r"only the class 'cats'.*two classes or more"):
        load(tmp_path)


def test_a_class_of_one_image_is_left_out_with_a_warning(tmp_path: Path) -> None:
    save_image(class_folder(tmp_path) / "owls" / "only.png")
    with pytest.warns(UserWarning, match="single image were left out: owls"):
        split = load(tmp_path)
    assert split.train.class_names == ("cats", "dogs")
    assert total(split) == 10


def test_a_folder_per_class_is_split_by_class_the_same_way_every_time(tmp_path: Path) -> None:
    class_folder(tmp_path, classes=("うさぎ", "b-dogs"), each=10)
    split, again = load(tmp_path), load(str(tmp_path))
    assert split.protocol == "own-data"
    assert split.train.class_names == ("b-dogs", "うさぎ")
    assert split.train.name == tmp_path.name
    assert split.train.counts.tolist() == [8, 8]
    assert split.query.counts.tolist() == [2, 2]
    assert split.train.images.shape[1:] == (3, 32, 32)
    assert (split.train.fingerprint, split.query.fingerprint) == (again.train.fingerprint, again.query.fingerprint)
    assert describe(split).repeated_queries == 0
    assert not split.train.mirror
    assert load(tmp_path, resolution=8).query.images.shape == (4, 3, 8, 8)


def test_two_images_a_class_make_one_query_each(tmp_path: Path) -> None:
    split = load(class_folder(tmp_path, each=2))
    assert (split.train.counts.tolist(), split.query.counts.tolist()) == ([1, 1], [1, 1])


def test_large_images_get_64_pixels(tmp_path: Path) -> None:
    for i in range(8):
        save_image(tmp_path / "ab"[i % 2] / f"{i}.png", i, size=(90, 70))
    assert load(tmp_path).train.size == 64


def test_folders_below_a_class_belong_to_it(tmp_path: Path) -> None:
    class_folder(tmp_path)
    save_image(tmp_path / "cats" / "2024" / "may" / "deep.png", 500)
    split = load(tmp_path)
    assert split.train.class_names == ("cats", "dogs")
    assert total(split) == 11


def test_droppings_of_other_programs_are_ignored(tmp_path: Path) -> None:
    class_folder(tmp_path)
    for stray in (
        "cats/.hidden.png",
        "cats/._0.png",
        "cats/.ipynb_checkpoints/0.png",
        ".ipynb_checkpoints/0.png",
        ".ipynb_checkpoints/1.png",
        "__MACOSX/cats/0.png",
        "__MACOSX/cats/1.png",
        "dogs/__MACOSX/0.png",
    ):
        save_image(tmp_path / stray, 900)
    for stray in ("cats/Thumbs.db", "cats/notes.txt", "dogs/.DS_Store"):
        (tmp_path / stray).write_bytes(b"x")
    split = load(tmp_path)
    assert split.train.class_names == ("cats", "dogs")
    assert total(split) == 10


def test_unreadable_files_are_left_out_by_name(tmp_path: Path) -> None:
    class_folder(tmp_path, each=6)
    whole = save_image(tmp_path / "cats" / "torn.png", 1, size=(64, 64))
    whole.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    (tmp_path / "cats" / "empty.jpg").touch()
    (tmp_path / "dogs" / "words.png").write_text("not an image", encoding="utf-8")
    with pytest.warns(UserWarning) as caught:
        split = load(tmp_path)
    said = " ".join(str(w.message) for w in caught)
    for name in ("torn.png", "empty.jpg", "words.png"):
        assert name in said
    assert "unreadable images were left out" in said
    assert total(split) == 12
    assert (split.train.counts + split.query.counts).tolist() == [6, 6]


def test_a_folder_of_which_nothing_can_be_read(tmp_path: Path) -> None:
    for i in range(6):
        path = tmp_path / "ab"[i % 2] / f"{i}.png"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"broken")
    with pytest.warns(UserWarning, match="unreadable"), pytest.raises(ValueError, match="none of its 6 images"):
        load(tmp_path)


@pytest.mark.skipif(os.name != "posix", reason="making symlinks needs rights on other systems")
def test_links_are_followed_inside_the_folder_only(tmp_path: Path) -> None:
    root = class_folder(tmp_path / "mine", each=5)
    secret = save_image(tmp_path / "elsewhere" / "secret.png", 7)
    save_image(tmp_path / "elsewhere" / "more.png", 8)
    (root / "cats" / "out.png").symlink_to(secret)
    (root / "cats" / "inside.png").symlink_to(root / "cats" / "0.png")
    (root / "cats" / "dangling.png").symlink_to(root / "nowhere.png")
    (root / "cats" / "itself.png").symlink_to("itself.png")
    (root / "birds").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    split = load(root)
    assert split.train.class_names == ("cats", "dogs")
    assert total(split) == 11
    unseen = decode_image(secret, 32, 3).tobytes()
    assert unseen not in {image.tobytes() for half in (split.train, split.query) for image in half.images}


def test_the_folder_is_left_as_it_was(tmp_path: Path) -> None:
    root = class_folder(tmp_path / "mine")
    (root / "cats" / "bad.png").write_bytes(b"bad")

    def state() -> dict[str, tuple[str, int]]:
        return {
            str(p.relative_to(root)): (
                hashlib.sha256(p.read_bytes()).hexdigest() if p.is_file() else "",
                p.stat().st_mtime_ns,
            )
            for p in [root, *root.rglob("*")]
        }

    before = state()
    with pytest.warns(UserWarning, match="unreadable"):
        load(root)
    assert state() == before


# --- one image --------------------------------------------------------------------------------------


def encoded(image: Image.Image, form: str = "PNG", **kw: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **kw)
    return buffer.getvalue()


def test_grey_stays_one_channel(tmp_path: Path) -> None:
    assert load(class_folder(tmp_path, mode="L")).train.channels == 1
    save_image(tmp_path / "cats" / "colour.png", 3)
    assert load(tmp_path).query.channels == 3


def test_transparency_is_laid_over_white() -> None:
    rgba = np.zeros((16, 16, 4), dtype=np.uint8)
    rgba[:, 8:] = (200, 0, 0, 255)
    pixels = decode_image(encoded(Image.fromarray(rgba)), 16)
    assert pixels.shape == (3, 16, 16)
    assert (pixels[:, :, :8] == 255).all()
    assert (pixels[:, :, 8:] == np.array([200, 0, 0])[:, None, None]).all()
    palette = Image.fromarray(np.zeros((16, 16), dtype=np.uint8)).convert("P")
    assert (decode_image(encoded(palette, transparency=0), 16) == 255).all()


def test_16_bit_grey_is_scaled_by_its_range() -> None:
    ramp = np.tile(np.linspace(1000, 5000, 16).astype(np.uint16), (16, 1))
    pixels = decode_image(encoded(Image.fromarray(ramp)), 16)
    assert pixels.shape == (1, 16, 16)
    np.testing.assert_allclose(pixels[0, 0], np.linspace(0, 255, 16), atol=1)
    flat = decode_image(encoded(Image.fromarray(np.full((16, 16), 40000, dtype=np.uint16))), 16)
    assert len(np.unique(flat)) == 1


def test_what_is_no_photograph_is_refused() -> None:
    holes = np.full((16, 16), 7, dtype=np.float32)
    holes[3, 3] = np.nan
    with pytest.raises(ValueError, match="pixels that are not numbers"):
        decode_image(encoded(Image.fromarray(holes), "TIFF"), 16)
    for kind in ("EPS", "DDS"):
        with pytest.raises(ValueError, match="not a whole image"):
            decode_image(encoded(Image.new("RGB", (8, 8)), kind), 16)


def test_exif_rotation_is_applied() -> None:
    stored = np.zeros((32, 32), dtype=np.uint8)
    stored[:, 16:] = 255  # white on the right; to be shown turned 90 degrees clockwise: white below
    exif = Image.Exif()
    exif[0x0112] = 6
    shown = decode_image(encoded(Image.fromarray(stored), "JPEG", exif=exif, quality=95), 32)[0].astype(int)
    assert shown[:12].max() < 30
    assert shown[20:].min() > 225


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I", "F"])
def test_every_mode_becomes_grey_or_colour(mode: str) -> None:
    half = np.zeros((16, 16), dtype=np.uint8)
    half[:, 8:] = 255
    form = "TIFF" if mode in ("CMYK", "YCbCr", "I", "F") else "PNG"
    image = decode_image(encoded(Image.fromarray(half).convert(mode), form), 16, 3)
    assert image.shape == (3, 16, 16)
    assert image.dtype == np.uint8
    assert image[..., :8].max() <= 2
    assert image[..., 8:].min() >= 253


def test_the_central_square_is_kept() -> None:
    wide = np.zeros((10, 30), dtype=np.uint8)
    wide[:, 10:20] = 255
    assert decode_image(encoded(Image.fromarray(wide)), 10).min() == 255


def png_of_size(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds hardly any data."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    data = zlib.compress(bytes(1000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("side", [9_500, 60_000])
def test_a_decompression_bomb_is_refused_before_it_is_decoded(tmp_path: Path, side: int) -> None:
    import tracemalloc

    bomb = png_of_size(side, side)
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"pixels"):
        decode_image(bomb, 32)
    assert tracemalloc.get_traced_memory()[1] < 20e6
    tracemalloc.stop()
    class_folder(tmp_path)
    (tmp_path / "cats" / "bomb.png").write_bytes(bomb)
    with pytest.warns(UserWarning, match=r"bomb\.png"):
        assert total(load(tmp_path)) == 10


@pytest.mark.parametrize("form", ["PNG", "JPEG", "TIFF", "GIF", "WEBP", "BMP"])
@pytest.mark.filterwarnings("ignore")
def test_damaged_bytes_give_an_image_or_a_value_error(form: str) -> None:
    rng = np.random.default_rng(0)
    whole = encoded(Image.fromarray(rng.integers(0, 256, (24, 24, 3), dtype=np.uint8)), form)
    refused = 0
    for trial in range(300):
        data = bytearray(whole)
        for position in rng.integers(0, min(len(data), 200 if trial % 2 else len(data)), rng.integers(1, 5)):
            data[position] = rng.integers(0, 256)
        if trial % 3 == 0:
            del data[rng.integers(0, len(data)) :]
        try:
            assert decode_image(bytes(data), 16, 3).shape == (3, 16, 16)
        except ValueError:
            refused += 1
    assert refused > 30


# --- Parquet and downloads --------------------------------------------------------------------------


def write_parquet(
    folder: Path, part: str, images: ImageSet, *, names: bool = True, columns: str = "image label"
) -> Path:
    """Write image Parquet as Hugging Face does."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [
        {"bytes": encoded(Image.fromarray(x[0] if len(x) == 1 else x.transpose(1, 2, 0))), "path": f"{i}.png"}
        for i, x in enumerate(images.images)
    ]
    given = {"group": list(images.groups)} if images.groups else {}
    table = pa.table({"image": rows, "label": images.labels, **given}).select([*columns.split(), *given])
    if names:
        features = {"image": {"_type": "Image"}, "label": {"names": list(images.class_names), "_type": "ClassLabel"}}
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{part}-00000-of-00001.parquet"
    pq.write_table(table, path)
    return path


def test_image_parquet_round_trip_under_pocket_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train, test = image_set(6, size=32, channels=3), image_set(2, size=32, channels=3, seed=1)
    for part, half in (("train", train), ("test", test)):
        write_parquet(tmp_path / "cifar10", part, half)
    monkeypatch.setenv("POCKET_DATA", str(tmp_path))
    split = load("cifar10")
    assert split.protocol == "cifar10-official"
    assert split.train.name == "cifar10"
    assert split.train.mirror
    assert split.train.class_names == train.class_names
    np.testing.assert_array_equal(split.train.images, train.images)
    np.testing.assert_array_equal(split.train.labels, train.labels)
    np.testing.assert_array_equal(split.query.images, test.images)
    by_path = load(tmp_path / "cifar10")
    assert by_path.protocol == "holdout"
    assert not by_path.train.mirror
    assert by_path.train.fingerprint == split.train.fingerprint


def numbered(per_class: int, seed: int, classes: int = 10, first: int = 0) -> Encoded:
    """Images that are only numbers, place in their class + 10,000 * class, in one of the orders a copy may have."""
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(classes), per_class))
    sources = np.empty(len(labels), dtype=np.int64)
    for c in range(classes):
        sources[labels == c] = np.arange(per_class) + first + 10_000 * c
    return Encoded(sources.tolist(), labels, tuple(map(str, range(classes))))  # type: ignore[arg-type]


@pytest.mark.parametrize("order", [0, 1])
def test_an_unseen_database_holds_no_image_that_was_trained_on(order: int) -> None:
    train, test = numbered(5000, order), numbered(1000, order, first=5000)
    trained, database, query = PROTOCOLS["cifar10-unseen"](train, test)
    assert trained is train
    assert np.bincount(query.labels).tolist() == [100] * 10
    assert np.bincount(database.labels).tolist() == [900] * 10
    assert sorted([*query.sources, *database.sources]) == sorted(test.sources)
    # The very same images, whatever the order of the copy.
    assert sorted(query.sources)[:4] == [5001, 5027, 5036, 5038]


@pytest.mark.parametrize("order", [0, 1])
def test_protocol_one_trains_on_part_of_its_database(order: int) -> None:
    trained, database, query = PROTOCOLS["cifar10-I"](numbered(5000, order), numbered(1000, order, first=5000))
    assert np.bincount(query.labels).tolist() == [100] * 10
    assert np.bincount(trained.labels).tolist() == [500] * 10
    assert len(database.sources) == 59_000
    assert set(trained.sources) <= set(database.sources)
    assert not set(query.sources) & set(database.sources)
    assert sorted(query.sources)[:3] == [49, 95, 103]


def test_a_protocol_that_lists_images_wants_the_whole_set() -> None:
    with pytest.raises(ValueError, match=r"'cifar10-unseen' lists images of 10 classes of 1,000 .* here are \[5, 5\]"):
        PROTOCOLS["cifar10-unseen"](numbered(20, 0, classes=2), numbered(5, 0, classes=2))


def test_a_split_has_a_fingerprint_of_what_is_searched_and_asked() -> None:
    whole, few = load("digits"), load("digits", train_per_class=5)
    assert whole.fingerprint == load("digits").fingerprint
    assert whole.fingerprint != few.fingerprint, "fewer images are searched"
    assert replace(whole, train=few.train).fingerprint == whole.fingerprint


def test_an_unknown_protocol_is_refused() -> None:
    with pytest.raises(ValueError, match="no protocol 'cifar10-II'; choose one of cifar10-official, cifar10-unseen"):
        load("cifar10", protocol="cifar10-II")


def test_groups_come_along_in_parquet(tmp_path: Path) -> None:
    for part in ("train", "test"):
        images = image_set(4)
        groups = ("", *(f"{part} {i // 2}" for i in range(1, len(images))))
        write_parquet(tmp_path, part, replace(images, groups=groups))
    split = load(tmp_path)
    assert split.train.groups == ("", *(f"train {i // 2}" for i in range(1, 12)))
    assert split.query.groups[-1] == "test 5"
    assert len(np.unique(split.query.independent)) == 7, "an image without a group is one of its own"


def test_parquet_without_class_names_numbers_them(tmp_path: Path) -> None:
    for part in ("train", "test"):
        write_parquet(tmp_path, part, image_set(3), names=False)
    assert load(tmp_path).train.class_names == ("class 0", "class 1", "class 2")


def test_parquet_that_is_not_two_halves_of_images(tmp_path: Path) -> None:
    write_parquet(tmp_path / "a", "train", image_set(3))
    with pytest.raises(ValueError, match=r"no test-\*\.parquet"):
        load(tmp_path / "a")
    for column in ("image", "label"):
        path = write_parquet(tmp_path / column, "train", image_set(3), columns=column)
        with pytest.raises(ValueError, match="not image Parquet with the columns image and label") as caught:
            load(path.parent)
        assert str(path) in str(caught.value)
    write_parquet(tmp_path / "b", "test", image_set(3))
    (tmp_path / "b" / "train-0.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(ValueError, match="not image Parquet"):
        load(tmp_path / "b")
    write_parquet(tmp_path / "c", "train", image_set(3, classes=2))
    write_parquet(tmp_path / "c", "test", image_set(3, classes=3))
    with pytest.raises(ValueError, match="classes that the train file lacks"):
        load(tmp_path / "c")


def test_parquet_rows_without_bytes_are_left_out(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = write_parquet(tmp_path, "train", image_set(3))
    write_parquet(tmp_path, "test", image_set(3))
    table = pq.read_table(path)
    rows = table["image"].to_pylist()
    rows[4]["bytes"] = None
    pq.write_table(table.set_column(0, "image", pa.array(rows)), path)
    with pytest.warns(UserWarning, match="1 unreadable images were left out: image 4"):
        assert len(load(tmp_path).train) == 8


def test_a_failing_download_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    from torchvision import datasets

    with socket.socket() as free:  # a port that nobody listens on
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setattr(datasets.FashionMNIST, "mirrors", [f"http://127.0.0.1:{port}/"])
    monkeypatch.setenv("POCKET_CACHE", str(tmp_path))
    monkeypatch.delenv("POCKET_DATA", raising=False)
    for proxy in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(proxy, raising=False)
    for _ in range(2):  # the second try is not taken for a finished one
        with pytest.raises(ConnectionError, match="fashion_mnist could not be downloaded") as caught:
            load("fashion_mnist")
        for word in (str(tmp_path), "network", "POCKET_DATA", "fashion_mnist/train-*.parquet", "digits"):
            assert word in str(caught.value)


def real(name: str) -> RetrievalSplit:
    home = os.environ.get("POCKET_DATA")
    if not home or not sorted((Path(home) / name).glob("train-*.parquet")):
        pytest.skip(f"POCKET_DATA names no folder that holds {name}/train-*.parquet")
    return load(name, train_per_class=50)


@pytest.mark.parametrize(
    ("name", "shape", "protocol", "a_class"),
    [
        ("cifar10", (3, 32, 32), "cifar10-official", "airplane"),
        ("fashion_mnist", (1, 28, 28), "holdout", "Dress"),
    ],
)
def test_real_sets(name: str, shape: tuple[int, ...], protocol: str, a_class: str) -> None:
    split = real(name)
    assert split.protocol == protocol
    assert split.train.images.shape == (500, *shape)
    assert split.query.images.shape == (10_000, *shape)
    assert split.train.counts.tolist() == [50] * 10
    assert split.query.counts.tolist() == [1000] * 10
    assert a_class in split.train.class_names
    assert split.train.mirror
    assert 40 < split.query.images.mean() < 160


# --- what travels between the rooms ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"images": np.zeros((4, 1, 8, 8))}, "must be uint8.*float64"),
        ({"images": np.zeros((4, 8, 8), dtype=np.uint8)}, r"shape \(4, 8, 8\)"),
        ({"images": np.zeros((4, 2, 8, 8), dtype=np.uint8)}, r"1 or 3"),
        ({"labels": np.array([0, 1, 1])}, r"4 images but labels of shape \(3,\)"),
        ({"labels": np.array([0, 1, 2, 1])}, r"must lie in 0\.\.1, found 0\.\.2"),
        ({"labels": np.array([0, 1, -1, 1])}, r"found -1\.\.1"),
        ({"labels": np.array([0.0, 0.5, 1.0, 1.0])}, "whole numbers"),
    ],
)
def test_an_image_set_that_does_not_fit_is_refused(changes: dict[str, Any], says: str) -> None:
    good: dict[str, Any] = {
        "images": np.zeros((4, 1, 8, 8), dtype=np.uint8),
        "labels": np.array([0, 1, 1, 0]),
        "class_names": ("a", "b"),
        "name": "mine",
    }
    ImageSet(**good)
    with pytest.raises(ValueError, match=says) as caught:
        ImageSet(**(good | changes))
    assert "'mine'" in str(caught.value)


def test_an_image_set_is_frozen_and_knows_itself() -> None:
    images = image_set(4)
    with pytest.raises(ValueError, match="read-only"):
        images.images[0] = 0
    with pytest.raises(ValueError, match="read-only"):
        images.labels[0] = 0
    assert images.fingerprint == image_set(4).fingerprint
    changed = images.images.copy()
    changed[-1, -1, -1, -1] ^= 1
    assert ImageSet(changed, images.labels, images.class_names, "x").fingerprint != images.fingerprint
    assert ImageSet(images.images, images.labels, ("a", "b", "c"), "x").fingerprint != images.fingerprint
    moved = ImageSet(images.images, np.roll(images.labels, 1), images.class_names, "x")
    assert moved.fingerprint != images.fingerprint


def test_a_split_of_unlike_sets_is_refused() -> None:
    images = image_set(4)
    for other in (image_set(4, size=16), image_set(4, channels=3), image_set(4, classes=2)):
        with pytest.raises(ValueError, match="other classes or another image shape"):
            RetrievalSplit(images, images, other, "x")


def test_pick_draws_each_class_without_replacement() -> None:
    images = image_set(9)
    chosen = images.pick(4, 0)
    np.testing.assert_array_equal(images.labels[chosen], np.repeat([0, 1, 2], 4))
    assert len(set(chosen.tolist())) == 12
    np.testing.assert_array_equal(chosen, images.pick(4, 0))
    assert not np.array_equal(chosen, images.pick(4, 1))
    assert sorted(images.pick(9, 0).tolist()) == list(range(27))
    np.testing.assert_array_equal(images.subset(chosen).images, images.images[chosen])
    with pytest.raises(ValueError, match=r"10 images a class are wanted of 'patterns', but kind 0 has 9"):
        images.pick(10, 0)
    with pytest.raises(ValueError, match="ipc=0"):
        images.pick(0, 0)


def test_pick_reaches_every_image() -> None:
    images = image_set(5)
    seen = {i for seed in range(40) for i in images.pick(1, seed).tolist()}
    assert seen == set(range(15))


# --- condensed sets -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tiles() -> CondensedSet:
    return condense(image_set(8, size=12, channels=3), 2, "random", formation=2, seed=5)


def with_targets(made: CondensedSet) -> CondensedSet:
    targets = np.random.default_rng(0).integers(0, 256, size=(len(made) * 4 * 2, 4), dtype=np.uint8)
    drawn = {"mixes": 2, "seed": 0, "drawn_sha256": "0" * 64}
    labels = CodeLabels(method="orthohash", bits=8, teacher_seconds=1.0, teacher_fingerprint="abc", **drawn)
    codebook = np.ones((made.num_classes, 8), dtype=np.float16)
    card = made.card.model_copy(update={"labels": labels})
    return CondensedSet(made.images, made.labels, card, targets, codebook)


@pytest.mark.parametrize("targets", [False, True])
def test_a_condensed_set_comes_back_as_it_was(tiles: CondensedSet, tmp_path: Path, targets: bool) -> None:
    made = with_targets(tiles) if targets else tiles
    path = made.save(tmp_path / "set")
    assert {p.name for p in tmp_path.iterdir()} == {"set.safetensors", "set.json"}
    back = CondensedSet.load(path)
    np.testing.assert_array_equal(back.images, made.images)
    np.testing.assert_array_equal(back.labels, made.labels)
    assert (back.code_targets is None) == (not targets)
    if back.code_targets is not None and made.code_targets is not None:
        np.testing.assert_array_equal(back.code_targets, made.code_targets)
    assert back.stored_bytes == made.stored_bytes == 6 * 3 * 144 + ((24 + 2 * 3) * 8 if targets else 0)
    assert back.card.model_dump(exclude={"tensors_sha256"}) == made.card.model_dump(exclude={"tensors_sha256"})
    assert torch.equal(back.decode(), made.decode())


def test_decode_gives_every_tile_as_a_full_view(tiles: CondensedSet) -> None:
    views = tiles.decode()
    assert views.shape == (6 * 4, 3, 12, 12)
    assert views.dtype == torch.float32
    assert 0 <= float(views.min()) < float(views.max()) <= 1
    assert tiles.view_labels.tolist() == [0] * 8 + [1] * 8 + [2] * 8


def cut(path: Path) -> None:
    path.with_suffix(".safetensors").write_bytes(path.with_suffix(".safetensors").read_bytes()[:-9])


def flip(path: Path) -> None:
    data = bytearray(path.with_suffix(".safetensors").read_bytes())
    data[-20] ^= 1
    path.with_suffix(".safetensors").write_bytes(data)


def lose_card(path: Path) -> None:
    path.with_suffix(".json").unlink()


def lose_tensors(path: Path) -> None:
    path.with_suffix(".safetensors").unlink()


def swap(path: Path) -> None:
    other = condense(image_set(8, size=12, channels=3), 2, "random", formation=2, seed=6)
    saved = other.save(path.with_name("other"))
    saved.rename(path.with_suffix(".safetensors"))


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (cut, "damaged"),
        (flip, "not the file its card"),
        (lose_card, "missing"),
        (lose_tensors, "missing"),
        (swap, "not the file"),
    ],
)
def test_a_damaged_or_mismatched_pair_is_refused(
    tiles: CondensedSet, tmp_path: Path, damage: Callable[[Path], None], says: str
) -> None:
    path = tiles.save(tmp_path / "set")
    damage(path)
    with pytest.raises(ArtefactError, match=says):
        CondensedSet.load(path)


def test_a_condensed_set_that_does_not_fit_is_refused(tiles: CondensedSet) -> None:
    with pytest.raises(ValueError, match="labels"):
        CondensedSet(tiles.images, tiles.labels[:-1], tiles.card)
    with pytest.raises(ValueError, match=r"0\.\.2"):
        CondensedSet(tiles.images, tiles.labels + 1, tiles.card)
    with pytest.raises(ValueError, match="uint8"):
        CondensedSet(tiles.images.astype(np.float32), tiles.labels, tiles.card)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="come together, or not at all"):
        CondensedSet(tiles.images, tiles.labels, tiles.card, np.zeros((48, 4), dtype=np.uint8))
    with pytest.raises(ValueError, match=r"code targets of shape \(47, 4\) do not fit 6 images with 24 views"):
        replace(with_targets(tiles), code_targets=np.zeros((47, 4), dtype=np.uint8))


@pytest.mark.parametrize("channels", [1, 3])
def test_export_to_png(tmp_path: Path, channels: int) -> None:
    made = condense(image_set(8, size=12, channels=channels), 2, "random", formation=1)
    paths = made.export(tmp_path / "look")
    assert [p.parent.name for p in paths] == ["0_kind_0"] * 2 + ["1_kind_1"] * 2 + ["2_kind_2"] * 2
    for path, image in zip(paths, made.images, strict=True):
        pixels = np.asarray(Image.open(path))
        np.testing.assert_array_equal(pixels[None] if channels == 1 else pixels.transpose(2, 0, 1), image)
    with pytest.raises(ValueError, match="is not empty"):
        made.export(tmp_path / "look")


# --- formation ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("side", "factor"), [(32, 2), (28, 3), (11, 4)])
def test_tiles_are_enlarged_as_a_bilinear_resize_does(side: int, factor: int) -> None:
    images = torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(0))
    cuts = list(pairwise(grid.tile_edges(side, factor)))
    wanted = [
        functional.interpolate(image[None, :, top:bottom, left:right], size=(side, side), mode="bilinear")[0]
        for image in images
        for top, bottom in cuts
        for left, right in cuts
    ]
    torch.testing.assert_close(grid.decode(images, factor), torch.stack(wanted), atol=1e-6, rtol=0)


def test_images_of_different_formations_decode_as_each_would_alone() -> None:
    images, formation = torch.rand(5, 2, 12, 12), np.array([2, 1, 3, 2, 1])
    views = grid.decode(images, formation)
    alone = torch.cat([grid.decode(image[None], int(f)) for image, f in zip(images, formation, strict=True)])
    assert torch.equal(views, alone)
    parts = views.split((formation**2).tolist())
    back = torch.cat([grid.encode(part, int(f)) for part, f in zip(parts, formation, strict=True)])
    assert torch.equal(grid.encode(views, formation), back)
    assert torch.equal(grid.decode(images, np.full(5, 2)), grid.decode(images, 2))


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 300)), min_size=1, max_size=8), st.integers(1, 4))
def test_own_tiles_are_the_finest_that_repeat_no_image(classes: list[tuple[int, int]], most: int) -> None:
    stored, extra = np.array(classes).T
    real = stored + extra
    found = grid.own_tiles(stored, real, most)
    assert ((found >= 1) & (found <= most)).all()
    assert (stored * found**2 <= real).all()
    finer = stored * (found + 1) ** 2 > real
    assert (finer | (found == most)).all()


@pytest.mark.parametrize(("size", "factor"), [(12, 1), (12, 2), (12, 3), (28, 3), (13, 2), (16, 5)])
def test_decode_undoes_encode_on_constant_tiles(size: int, factor: int) -> None:
    shades = torch.linspace(0.1, 0.9, 2 * factor**2)
    views = shades[:, None, None, None].expand(-1, 3, size, size)
    stored = grid.encode(views, factor)
    assert stored.shape == (2, 3, size, size)
    torch.testing.assert_close(grid.decode(stored, factor), views.contiguous(), atol=1e-6, rtol=0)


def test_tiles_cover_an_image_whose_size_does_not_divide() -> None:
    assert grid.tile_edges(28, 3) == [0, 9, 19, 28]
    for size in range(8, 40):
        for factor in range(1, 6):
            edges = grid.tile_edges(size, factor)
            widths = np.diff(edges)
            assert (edges[0], edges[-1]) == (0, size)
            assert widths.max() - widths.min() <= 1


def test_tiles_stand_row_by_row() -> None:
    image = torch.zeros(1, 1, 12, 12)
    image[:, :, :6, 6:] = 1  # upper right: the second tile
    assert grid.decode(image, 2).mean(dim=(1, 2, 3)).tolist() == [0, 1, 0, 0]


@pytest.mark.parametrize(("size", "factor"), [(12, 2), (28, 3)])
def test_gradients_reach_every_stored_pixel(size: int, factor: int) -> None:
    stored = torch.rand(2, 1, size, size, requires_grad=True)
    grid.decode(stored, factor).square().sum().backward()
    assert stored.grad is not None
    assert (stored.grad.abs() > 0).all()


def test_a_random_subset_is_made_of_real_images() -> None:
    images = image_set(8)
    made = condense(images, 3, "random", formation=1, config=IEMConfig.dm())
    known = {x.tobytes(): y for x, y in zip(images.images, images.labels.tolist(), strict=True)}
    assert [known[x.tobytes()] for x in made.images] == made.labels.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
