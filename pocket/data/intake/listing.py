"""What images there are, before any is decoded: one `Listing`, whatever they lie in."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from pocket.data.decoding import Source

# What cameras and scanners write and the kit reads, with the endings that go with each format.
ENDINGS = {
    ".png": "PNG",
    ".apng": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".jpe": "JPEG",
    ".jfif": "JPEG",
    ".bmp": "BMP",
    ".dib": "BMP",
    ".gif": "GIF",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".webp": "WEBP",
    ".ppm": "PPM",
    ".pgm": "PPM",
    ".pbm": "PPM",
}


class Opener(Protocol):
    """Gives images as they come, in order."""

    def __call__(self, positions: Sequence[int] | None = None) -> Iterator[Source]:
        """Yield the images at ``positions`` (ascending), or all."""


@dataclass(frozen=True)
class Listing:
    """The images of a folder, a list or Parquet, not decoded.

    Attributes
    ----------
    root : Path
        What was given.
    name : str
        What the set is called.
    names : tuple of str
        Of each image: its path below the root, or its row. They are distinct.
    labels : ndarray of int64, shape (N,)
    class_names : tuple of str
        Sorted, in Unicode's composed form (NFC).
    groups : tuple of str
        What shows the same thing, such as several photographs of one part; ``""`` for an image on its own.
    sides : tuple of str
        ``"train"``, ``"query"`` or ``"database"`` of each image where the source splits them, else empty.
    stamps : tuple of str
        What changes when an image's file does: size and time.
    open : Opener
    own_groups : bool
        Whether groups were given at all.
    from_table : bool
        Whether a CSV list named the images.
    """

    root: Path
    name: str
    names: tuple[str, ...]
    labels: npt.NDArray[np.int64]
    class_names: tuple[str, ...]
    groups: tuple[str, ...]
    sides: tuple[str, ...]
    stamps: tuple[str, ...]
    open: Opener
    own_groups: bool = False
    from_table: bool = False

    def __len__(self) -> int:
        return len(self.names)

    @property
    def key(self) -> str:
        """SHA-256 over names, classes, given sides and stamps, in hex: what a split that was made once is kept by."""
        digest = hashlib.sha256(repr((self.class_names, self.sides)).encode("utf-8", "surrogatepass"))
        for name, label, stamp in zip(self.names, self.labels.tolist(), self.stamps, strict=True):
            digest.update(f"{name}\0{label}\0{stamp}\n".encode("utf-8", "surrogatepass"))
        return digest.hexdigest()

    @property
    def groups_key(self) -> str:
        """SHA-256 over the groups, in hex; ``""`` where none were given."""
        if not self.own_groups:
            return ""
        return hashlib.sha256("\n".join(self.groups).encode("utf-8", "surrogatepass")).hexdigest()


def labelled(texts: Sequence[str]) -> tuple[npt.NDArray[np.int64], tuple[str, ...]]:
    """Number labels by their sorted names.

    Returns
    -------
    labels : ndarray of int64, shape (N,)
    class_names : tuple of str
    """
    names = sorted(set(texts))
    place = {name: i for i, name in enumerate(names)}
    return np.array([place[text] for text in texts], dtype=np.int64), tuple(names)


def open_paths(paths: Sequence[Path]) -> Opener:
    """Return an opener of files."""

    def opener(positions: Sequence[int] | None = None) -> Iterator[Source]:
        return iter(paths) if positions is None else (paths[i] for i in positions)

    return opener
