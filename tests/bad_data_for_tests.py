"""Folders with every problem that images of one's own have been seen to have, planted by name."""

from __future__ import annotations

import hashlib
import os
import struct
import unicodedata
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

NFC, NFD = (unicodedata.normalize(form, "ガラス") for form in ("NFC", "NFD"))
SHIFT_JIS = os.fsdecode("部品".encode("cp932"))


def noise(seed: int, size: tuple[int, int] = (40, 36), mode: str = "RGB") -> Image.Image:
    """An image of coarse noise, like no other: copies of it survive compression, strangers do not resemble it."""
    bands = {"L": 1, "RGB": 3, "RGBA": 4}[mode]
    coarse = np.random.default_rng([seed, 5]).integers(0, 256, (9, 10, bands), dtype=np.uint8)
    return Image.fromarray(coarse[..., 0] if bands == 1 else coarse, mode).resize(size, Image.Resampling.BICUBIC)


def put(path: Path, seed: int = 0, *, mode: str = "RGB", size: tuple[int, int] = (40, 36), **kw: Any) -> Path:
    """Write a noise image; the ending of the name is its format."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise(seed, size, mode).save(path, **kw)
    return path


def png_that_claims(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds hardly any data."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )


def clean_folder(root: Path, *, classes: tuple[str, ...] = ("dent", "free"), each: int = 12) -> Path:
    """A folder with nothing wrong: one sub-folder per class, each class of its own brightness."""
    for c, name in enumerate(classes):
        for i in range(each):
            path = root / name / f"{i:02d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            shade = noise(1000 * c + i).point(lambda v, c=c: v // 2 + 120 * (c % 2))
            shade.save(path)
    return root


def _cut(path: Path, share: float = 0.5) -> None:
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])


def plant_everything(root: Path) -> dict[str, list[str]]:
    """Fill a folder with every problem that a folder of classes can have.

    Returns
    -------
    dict of str to list of str
        Of each kind of finding, the names that it has to list (at least; none: it has to be there).
    """
    clean_folder(root, classes=("dent", "free", "scratch"), each=24)
    planted: dict[str, list[str]] = {}

    def mark(kind: str, *names: str) -> None:
        planted.setdefault(kind, []).extend(names)

    # Left behind by programs.
    put(root / "dent" / ".hidden.png", 1)
    put(root / "dent" / ".ipynb_checkpoints" / "00-checkpoint.png", 2)
    put(root / ".ipynb_checkpoints" / "a.png", 3)
    put(root / "__MACOSX" / "dent" / "._00.png", 4)
    (root / "free" / "Thumbs.db").write_bytes(b"x")
    mark("ignored", "dent/.hidden.png", "dent/.ipynb_checkpoints/", ".ipynb_checkpoints/", "__MACOSX/")
    mark("ignored", "free/Thumbs.db")

    # Files that are no images, or not where they should be.
    (root / "dent" / "notes.txt").write_text("words", encoding="utf-8")
    mark("other_file", "dent/notes.txt")
    put(root / "loose.png", 5)
    mark("loose", "loose.png")
    (root / "nothing here").mkdir()
    mark("empty_class", "nothing here/")
    with zipfile.ZipFile(root / "free" / "more.zip", "w") as archive:
        archive.writestr("inside.zip", b"")
    mark("archive", "free/more.zip")
    (root / "free" / "phone.HEIC").write_bytes(b"\0\0\0\x18ftypheic")
    mark("unsupported", "free/phone.HEIC")
    noise(6).save(root / "free" / "camera.dat", "JPEG")
    mark("hidden_image", "free/camera.dat")

    # Images that cannot be read.
    _cut(put(root / "dent" / "torn.png", 7))
    _cut(put(root / "dent" / "torn.jpg", 8))
    _cut(put(root / "dent" / "torn at the end.jpg", 9), 0.97)
    (root / "dent" / "words.png").write_text("not an image", encoding="utf-8")
    mark("broken", "dent/torn.png", "dent/torn.jpg", "dent/torn at the end.jpg", "dent/words.png")
    (root / "free" / "nothing.jpg").touch()
    mark("zero_bytes", "free/nothing.jpg")
    (root / "free" / "bomb.png").write_bytes(png_that_claims(60_000, 60_000))
    (root / "free" / "smaller bomb.png").write_bytes(png_that_claims(9_500, 9_500))
    mark("too_large", "free/bomb.png", "free/smaller bomb.png")

    # Images that are read with care.
    noise(10).save(root / "dent" / "named wrongly.jpg", "PNG")
    mark("wrong_ending", "dent/named wrongly.jpg")
    put(root / "scratch" / "huge.jpg", 11, size=(2600, 1700))
    mark("large", "scratch/huge.jpg")
    deep = (np.asarray(noise(12, mode="L")).astype(np.uint16) * 37) + 900
    Image.fromarray(deep).save(root / "scratch" / "deep.png")
    mark("deep", "scratch/deep.png")
    noise(13).quantize(64).save(root / "scratch" / "palette.png")
    mark("palette", "scratch/palette.png")
    noise(14).convert("CMYK").save(root / "scratch" / "print.jpg")
    mark("cmyk", "scratch/print.jpg")
    put(root / "scratch" / "glass.png", 15, mode="RGBA")
    mark("transparent", "scratch/glass.png")
    noise(16, mode="L").convert("1").save(root / "scratch" / "fax.png")
    mark("other_mode", "scratch/fax.png")
    put(root / "scratch" / "grey.png", 17, mode="L")
    turned = Image.Exif()
    turned[0x0112] = 6
    put(root / "scratch" / "turned.jpg", 18, exif=turned)
    mark("rotated", "scratch/turned.jpg")
    noise(19).save(root / "scratch" / "moving.gif", save_all=True, append_images=[noise(20)])
    noise(21).save(root / "scratch" / "pages.tif", save_all=True, append_images=[noise(22)])
    mark("several_frames", "scratch/moving.gif", "scratch/pages.tif")

    # Names.
    for i in range(12):
        put(root / NFC / f"{i}.png", 100 + i)
        put(root / NFD / f"d{i}.png", 120 + i)
        put(root / "Scratch " / f"{i}.png", 140 + i)
        put(root / "ＦＲＥＥ" / f"{i}.png", 160 + i)
    mark("normalised", f"{NFD}/")
    mark("joined", NFC)
    mark("look_alike", "“Scratch ” | “scratch”", "“free” | “ＦＲＥＥ”")
    if _takes_any_bytes(root):
        for i in range(10):
            put(root / SHIFT_JIS / f"{i}.png", 180 + i)
        mark("decoded_name", r"\x95\x94\x95i/")  # as its bytes are, where they are no UTF-8

    # Copies, groups.
    (root / "dent" / "copy.png").write_bytes((root / "dent" / "00.png").read_bytes())
    Image.open(root / "dent" / "01.png").save(root / "dent" / "same pixels.bmp")
    mark("exact_copy", "dent/00.png ＝ dent/copy.png", "dent/01.png ＝ dent/same pixels.bmp")
    again = Image.open(root / "free" / "02.png")
    again.resize((80, 72)).save(root / "free" / "saved again.jpg", quality=85)
    mark("near_copy", "free/02.png ≈ free/saved again.jpg")
    (root / "free" / "elsewhere.png").write_bytes((root / "scratch" / "03.png").read_bytes())
    mark("copies_disagree", "free/elsewhere.png ＝ scratch/03.png")
    mark("disputed", "free/elsewhere.png", "scratch/03.png")
    rows = ["path,group", *(f"dent/{i:02d}.png,part {i // 3}" for i in range(2, 20))]
    rows += ["free/05.png,mixed", "scratch/05.png,mixed", "dent/not there.png,part 9", ",part 9"]
    rows += [f"one part/{i}.png,only" for i in range(3)]
    (root / "groups.csv").write_text("\n".join(rows) + "\n", encoding="utf-8-sig")
    mark("grouped")
    mark("ungrouped", "free/00.png")
    mark("group_unmatched", "groups.csv:22")
    mark("bad_row", "groups.csv:23")
    mark("group_disagrees", "mixed")

    # Classes.
    put(root / "single" / "0.png", 200)
    mark("single", "single")
    for i in range(3):
        put(root / "one part" / f"{i}.png", 210 + i, size=(80, 36))
    mark("cropped", "one part")
    mark("tiny", "one part")
    mark("one_unit", "one part")
    mark("few_queries", "one part", "dent")
    for i in range(60):
        put(root / "free" / "2024" / "may" / f"{i}.png", 300 + i)
    mark("imbalance")
    mark("confidential")

    # Links.
    if os.name == "posix":
        secret = put(root.parent / "elsewhere" / "secret.png", 400)
        (root / "dent" / "secret.png").symlink_to(secret)
        (root / "other folder").symlink_to(secret.parent, target_is_directory=True)
        (root / "dent" / "nowhere.png").symlink_to("gone.png")
        (root / "dent" / "itself.png").symlink_to("itself.png")
        (root / "dent" / "round").symlink_to("..", target_is_directory=True)
        mark("outside", "dent/secret.png", "other folder")
        mark("broken_link", "dent/nowhere.png", "dent/itself.png", "dent/round")
    return planted


def _takes_any_bytes(root: Path) -> bool:
    """Whether file names may be any bytes here (Linux), or have to be Unicode (macOS, Windows)."""
    try:
        (root / SHIFT_JIS).mkdir()
    except (OSError, UnicodeError):
        return False
    return True


def state(root: Path) -> dict[str, tuple[str, int, int]]:
    """Digest, time and rights of everything in a folder, links not followed."""
    found = {}
    for path in [root, *sorted(root.rglob("*"))]:
        status = path.lstat()
        if path.is_symlink():
            held = str(path.readlink())
        else:
            held = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        found[str(path.relative_to(root))] = (held, status.st_mtime_ns, status.st_mode)
    return found
