"""One look at every image: is it whole, what is it like, and a thumbnail of it to compare and judge by."""

from __future__ import annotations

import hashlib
import os
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from pocket.data.decoding import LARGE_PIXELS, TURNED, Fit, Source, fault_of, opened, to_8_bit

THUMB = 32  # pixels a side, grey
TINT = 8  # pixels a side, colour
SIZES = (32, 48, 64, 96, 128, 192, 256)

_CHUNK = 32  # images a task: fewer would cost more than they take
_DETAIL_EVERY = 200  # images of which the detail is measured, evenly spread

Progress = Callable[[int, int], None]


class Trouble(NamedTuple):
    """Why an image cannot be used: a kind of `findings.KINDS`, the reader's own words, and which of `FAULTS` it is."""

    kind: str
    detail: str
    fault: str


class Look(NamedTuple):
    """What one image is like; ``mode`` is Pillow's, ``kept`` the share of its contrast that each of `SIZES` keeps."""

    width: int
    height: int
    mode: str
    format: str
    transparent: bool
    turned: bool
    frames: bool
    digest: bytes
    thumb: npt.NDArray[np.uint8]
    tint: npt.NDArray[np.uint8]
    kept: tuple[float, ...] | None


@dataclass(frozen=True)
class Looks:
    """What all images are like; rows of images that cannot be used are zero.

    Attributes
    ----------
    troubles : dict of int to Trouble
        Position and reason of each image that cannot be used.
    sizes : ndarray of int32, shape (N, 2)
        Width and height in pixels, as stored.
    digests : tuple of bytes
        Of each image's decoded pixels: equal for exact copies, whatever file format they lie in.
    thumbs : ndarray of uint8, shape (N, 32, 32)
    tints : ndarray of uint8, shape (N, 8, 8, 3)
    modes, formats : tuple of str
        Pillow's names.
    transparent, turned, frames : ndarray of bool, shape (N,)
        Has transparency; is to be turned by its EXIF data; holds more than one frame or page.
    kept : ndarray of float32, shape (some, len(SIZES))
        Of some images: the share of contrast that each size keeps.
    fit : {"crop", "pad"}
        Of what it keeps it: of the central square, or of the whole image.
    """

    troubles: dict[int, Trouble]
    sizes: npt.NDArray[np.int32]
    digests: tuple[bytes, ...]
    thumbs: npt.NDArray[np.uint8]
    tints: npt.NDArray[np.uint8]
    modes: tuple[str, ...]
    formats: tuple[str, ...]
    transparent: npt.NDArray[np.bool_]
    turned: npt.NDArray[np.bool_]
    frames: npt.NDArray[np.bool_]
    kept: npt.NDArray[np.float32]
    fit: Fit = "crop"

    @property
    def good(self) -> npt.NDArray[np.bool_]:
        """Which images can be used, shape (N,)."""
        mask = np.ones(len(self.digests), dtype=bool)
        mask[list(self.troubles)] = False
        return mask

    @property
    def inside(self) -> npt.NDArray[np.float64]:
        """The share of each image that lies in its central square, shape (N,): 1 where it is square."""
        return self.sizes.min(axis=1) / np.maximum(self.sizes.max(axis=1), 1)

    @property
    def large(self) -> npt.NDArray[np.bool_]:
        """Which images are decoded at a reduced scale if their format allows it, shape (N,)."""
        return self.sizes.prod(axis=1, dtype=np.int64) > LARGE_PIXELS


def look_at(source: Source, *, detail: bool = False, fit: Fit = "crop") -> Look | Trouble:
    """Decode one image in full and note what it is like.

    Parameters
    ----------
    source : bytes, Path or ndarray of uint8
    detail : bool
        Measure what smaller sizes would keep of it, too.
    fit : {"crop", "pad"}
        Of its central square, or of the whole.
    """
    if isinstance(source, bytes) and not source:
        return Trouble("zero_bytes", "", "zero_bytes")
    try:
        with opened(source) as image:
            width, height, mode, form = *image.size, image.mode, image.format or ""
            frames = bool(getattr(image, "is_animated", False))
            transparent = mode in ("LA", "PA", "RGBA", "La", "RGBa") or "transparency" in image.info
            turned = image.getexif().get(TURNED, 1) in range(2, 9)  # not after: turning it takes the mark away
            upright = to_8_bit(image, at_least=2 * SIZES[-1])
    except Exception as error:
        # Not all of Pillow's decoders were written to raise OSError, and one file must never end the check.
        if isinstance(source, Path) and _is_empty(source):
            return Trouble("zero_bytes", "", "zero_bytes")
        fault, words = fault_of(error)
        if fault in ("too_large", "locked"):
            return Trouble(fault, words, fault)
        return Trouble("broken", _reason(error), fault)
    digest = hashlib.blake2b(f"{upright.mode} {upright.size}".encode(), digest_size=16)
    digest.update(upright.tobytes())
    small = upright.resize((THUMB, THUMB), Image.Resampling.BILINEAR)
    tint = small.resize((TINT, TINT), Image.Resampling.BOX).convert("RGB")
    kept = _kept(upright, fit) if detail else None
    thumb = np.asarray(small.convert("L"))
    return Look(width, height, mode, form, transparent, turned, frames, digest.digest(), thumb, np.asarray(tint), kept)


def _is_empty(path: Path) -> bool:
    try:
        return path.stat().st_size == 0
    except OSError:
        return False


def _reason(error: Exception) -> str:
    """Return an error's words without addresses of objects, which would differ from run to run."""
    text = str(error) or type(error).__name__
    return "cannot identify image file" if text.startswith("cannot identify image file") else text


def _kept(image: Image.Image, fit: Fit) -> tuple[float, ...]:
    """Return the share of the contrast (variance) of the central square, or of the whole, that each of `SIZES` keeps.

    A size is the longer side, as it is where the whole image is padded to a square.
    """
    seen = image.convert("L")
    if fit == "crop":
        side = min(seen.size)
        left, top = (seen.width - side) // 2, (seen.height - side) // 2
        seen = seen.crop((left, top, left + side, top + side))
    if max(seen.size) > SIZES[-1]:
        seen = seen.resize(_sides(seen, SIZES[-1]), Image.Resampling.BILINEAR)
    whole = np.asarray(seen, dtype=np.float32)
    spread = float(whole.var())
    shares = []
    for size in SIZES:
        if size >= max(seen.size) or spread < 1:
            shares.append(1.0)
            continue
        small = seen.resize(_sides(seen, size), Image.Resampling.BILINEAR)
        back = small.resize(seen.size, Image.Resampling.BICUBIC)
        shares.append(max(0.0, 1 - float(((whole - np.asarray(back, dtype=np.float32)) ** 2).mean()) / spread))
    return tuple(shares)


def _sides(image: Image.Image, longer: int) -> tuple[int, int]:
    """Return width and height of an image whose longer side is brought to ``longer`` pixels."""
    scale = longer / max(image.size)
    return max(1, round(scale * image.width)), max(1, round(scale * image.height))


def look_at_all(sources: Iterable[Source], count: int, progress: Progress | None = None, fit: Fit = "crop") -> Looks:
    """Look at many images, on all cores; no more than some hundred encoded ones are held at a time.

    Pillow releases the interpreter lock while it decodes, so threads do; they share the thumbnails.

    Parameters
    ----------
    sources : iterable
        In order; read as it goes.
    count : int
        How many there are.
    progress : callable, optional
        Called with (done, count) after every few images.
    fit : {"crop", "pad"}
        What will be made of images that are not square.
    """
    troubles: dict[int, Trouble] = {}
    sizes = np.zeros((count, 2), dtype=np.int32)
    thumbs = np.zeros((count, THUMB, THUMB), dtype=np.uint8)
    tints = np.zeros((count, TINT, TINT, 3), dtype=np.uint8)
    flags = np.zeros((3, count), dtype=bool)
    digests, modes, formats, kept = [b""] * count, [""] * count, [""] * count, []
    every = max(1, count // _DETAIL_EVERY)
    for i, found in enumerate(_in_order(sources, every, fit)):
        if isinstance(found, Trouble):
            troubles[i] = found
        else:
            sizes[i] = found.width, found.height
            thumbs[i], tints[i] = found.thumb, found.tint
            flags[:, i] = found.transparent, found.turned, found.frames
            digests[i], modes[i], formats[i] = found.digest, found.mode, found.format
            if found.kept is not None:
                kept.append(found.kept)
        if progress and (i % _CHUNK == _CHUNK - 1 or i == count - 1):
            progress(i + 1, count)
    return Looks(
        troubles,
        sizes,
        tuple(digests),
        thumbs,
        tints,
        tuple(modes),
        tuple(formats),
        flags[0],
        flags[1],
        flags[2],
        np.array(kept, dtype=np.float32).reshape(-1, len(SIZES)),
        fit,
    )


def _in_order(sources: Iterable[Source], every: int, fit: Fit) -> Iterator[Look | Trouble]:
    """Yield what each image is like, in order, with a short queue ahead of it."""

    def task(first: int, chunk: list[Source]) -> list[Look | Trouble]:
        return [look_at(source, detail=i % every == 0, fit=fit) for i, source in enumerate(chunk, start=first)]

    workers = os.cpu_count() or 1
    remaining = iter(sources)
    waiting: deque[Future[list[Look | Trouble]]] = deque()
    first = 0
    with warnings.catch_warnings(), ThreadPoolExecutor(workers) as pool:
        warnings.simplefilter("ignore")  # Pillow warns of damaged metadata; what matters is whether it decodes
        try:
            while True:
                while len(waiting) < 2 * workers and (chunk := list(islice(remaining, _CHUNK))):
                    waiting.append(pool.submit(task, first, chunk))
                    first += len(chunk)
                if not waiting:
                    return
                yield from waiting.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
