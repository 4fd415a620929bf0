"""A small folder of images to try the own-data notebook on: real handwritten digits, with two problems planted."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
from PIL import Image

from pocket.data.readers import read_digits
from pocket.runs import write_bytes, write_text

_DIGITS = {"zero": 0, "three": 3, "six": 6}
_EACH = 10  # digits a class, each photographed twice
_SIDE = 16


def sample_folder(folder: Path) -> Path:
    """Write 60 images of three classes, ``groups.csv`` and two problems, where they are not there yet.

    Every digit is there twice, the second time darker and a pixel aside, as if photographed again: ``groups.csv`` names
    these pairs. The two problems: a file that was cut off, and a copy of an image in the folder of another class.

    Parameters
    ----------
    folder : Path

    Returns
    -------
    Path
        The folder.
    """
    whole, _ = read_digits()
    rows = [("path", "group")]
    for name, digit in _DIGITS.items():
        for place, i in enumerate(np.flatnonzero(whole.labels == digit)[:_EACH]):
            first = np.asarray(whole.sources[i])
            again = (0.75 * np.roll(first, 1, axis=1)).astype(np.uint8)
            for view, pixels in (("a", first), ("b", again)):
                file = f"{name}/{place:02d}{view}.png"
                _write(folder / file, _png(pixels))
                rows.append((file, f"{name} {place:02d}"))
    cut_off = _png(np.asarray(whole.sources[0]))
    _write(folder / "six" / "cut_off.png", cut_off[: len(cut_off) // 2])
    _write(folder / "three" / "copy_of_a_six.png", (folder / "six" / "00a.png").read_bytes())
    table = io.StringIO(newline="")
    csv.writer(table, lineterminator="\n").writerows(rows)
    if not (folder / "groups.csv").is_file():
        write_text(folder / "groups.csv", table.getvalue())
    return folder


def _write(path: Path, data: bytes) -> None:
    if not path.is_file():
        write_bytes(path, data)


def _png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).resize((_SIDE, _SIDE), Image.Resampling.BICUBIC).save(buffer, "PNG")
    return buffer.getvalue()
