"""From encoded image files to uint8 arrays of one size."""

from __future__ import annotations

import io
import os
import struct
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from pocket.runs.errors import ToldError

# A decompression bomb is refused before it is decoded.
MAX_PIXELS = 90_000_000

# A JPEG above this is decoded at a reduced scale: several times faster, in a fraction of the memory. Smaller ones are
# decoded in full, so that an image set's pixels do not depend on it.
LARGE_PIXELS = 4_000_000

# Images above this are decoded one at a time, so that many threads do not fill the memory, and are scaled down while
# they are converted.
BIG_PIXELS = 16_000_000
_big = threading.Lock()

# What becomes of an image that is not square: its central square is cut out, or it is padded to a square as a whole.
Fit = Literal["crop", "pad"]
FITS: tuple[Fit, ...] = get_args(Fit)

TURNED = 0x0112  # EXIF's number for the orientation


# What an image may come as: an encoded file's bytes, its path, or pixels (H, W) or (H, W, 3).
Source = bytes | Path | npt.NDArray[np.uint8]


# What Pillow's parsers raise on damaged files; its decoders were not all written to say OSError.
DAMAGED = (
    OSError,
    SyntaxError,
    TypeError,
    LookupError,
    ArithmeticError,
    NotImplementedError,
    EOFError,
    struct.error,
    Image.DecompressionBombError,
)


# What cameras and scanners write. Pillow knows more, some of which call other programs (EPS) or are rarely tested.
_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM")


# What keeps an image from being used, in English; in other languages it stands under [check.fault].
FAULTS = {
    "zero_bytes": "the file is empty (0 bytes)",
    "too_large": "too many pixels ({words})",
    "locked": "may not be read",
    "no_image": "not a whole image (none of the formats that pocket reads)",
    "cut_off": "not a whole image (cut off before its end)",
    "not_numbers": "not a whole image (it has pixels that are not numbers)",
    "damaged": "not a whole image (its data are damaged)",
    "other": "not a whole image ({words})",
}
_NOT_NUMBERS = "it has pixels that are not numbers"
# What Pillow says of an image whose end is missing, and of damage of which it knows no more.
_CUT_OFF = ("truncated", "end of file", "not enough", "no enough")
_DAMAGED = ("data stream", "decoder error", "could not create decoder", "failed to read next frame")


class UnreadableError(ToldError):
    """An image cannot be used, by one of `FAULTS`; ``words`` are the decoder's own, where they say more."""

    def __init__(self, fault: str, words: str = "") -> None:
        super().__init__(FAULTS[fault].format(words=words), f"check.fault.{fault}", words=words)


class TooLargeError(UnreadableError):
    """An image has more than `MAX_PIXELS`."""

    def __init__(self) -> None:
        super().__init__("too_large", f"> {MAX_PIXELS:,} px")


def fault_of(error: Exception) -> tuple[str, str]:
    """Return which of `FAULTS` a decoder's error tells of, and the decoder's words where they say more than that."""
    words = str(error) or type(error).__name__
    if isinstance(error, TooLargeError | Image.DecompressionBombError):
        return "too_large", f"> {MAX_PIXELS:,} px"
    if isinstance(error, PermissionError):
        return "locked", error.strerror or words
    if isinstance(error, UnidentifiedImageError):
        return "no_image", ""
    if isinstance(error, EOFError | struct.error) or any(sign in words.lower() for sign in _CUT_OFF):
        return "cut_off", ""
    if words == _NOT_NUMBERS:
        return "not_numbers", ""
    return ("damaged", "") if any(sign in words for sign in _DAMAGED) else ("other", words)


def open_image(source: Source) -> Image.Image:
    """Open an image; its pixels are not decoded yet."""
    if isinstance(source, np.ndarray):
        return Image.fromarray(source)
    return Image.open(io.BytesIO(source) if isinstance(source, bytes) else source, formats=_FORMATS)


def decode_image(source: Source, size: int, channels: int | None = None, fit: Fit = "crop") -> npt.NDArray[np.uint8]:
    """Decode one image to ``(C, size, size)`` uint8.

    EXIF rotation is applied, 16-bit grey is scaled by its range, transparency is laid over white, and
    an image that is not square is made so: see ``fit``.

    Parameters
    ----------
    source : bytes, Path or ndarray of uint8
        An encoded image (PNG, JPEG, ...) or its pixels.
    size : int
        Pixels a side.
    channels : {1, 3}, optional
        Grey or colour; None keeps grey images grey.
    fit : {"crop", "pad"}
        Cut out the central square, or keep the whole image and fill what is missing to a square.

    Raises
    ------
    UnreadableError
        If it is not a whole image or is larger than `MAX_PIXELS`.
    ValueError
        If ``fit`` is neither.
    """
    known_fit(fit)
    try:
        with opened(source) as image:
            upright = to_8_bit(image, at_least=2 * size)
    except TooLargeError:
        raise
    except DAMAGED as error:
        raise UnreadableError(*fault_of(error)) from None
    mode = {1: "L", 3: "RGB", None: upright.mode}[channels]
    upright = upright.convert(mode)
    if upright.size != (size, size):
        if fit == "crop":
            upright = ImageOps.fit(upright, (size, size), method=Image.Resampling.BILINEAR)
        else:
            upright = _padded(upright, size)
    pixels = np.asarray(upright)
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def known_fit(fit: str) -> Fit:
    """Return a fit, or refuse what is none.

    Raises
    ------
    ValueError
        If it is neither "crop" nor "pad".
    """
    for known in FITS:
        if fit == known:
            return known
    raise ValueError(f"fit={fit!r}: choose one of {', '.join(FITS)}")


def _padded(image: Image.Image, size: int) -> Image.Image:
    """Bring a whole image into a square, in its middle; the rest has the median of the image's own border.

    Black or one grey for all would draw an edge round every image, of a strength that differs from image to image: a
    network would learn that frame. The border's median goes on where most of the border ends, and unlike the mean of
    the image it isn't moved by what the photograph is of.
    """
    scale = size / max(image.size)
    width, height = (max(1, round(scale * side)) for side in image.size)
    small = image.resize((width, height), Image.Resampling.BILINEAR)
    pixels = np.asarray(small).reshape(height, width, -1)
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    fill = tuple(int(level) for level in np.median(border, axis=0))
    square = Image.new(small.mode, (size, size), fill if len(fill) > 1 else fill[0])
    square.paste(small, ((size - width) // 2, (size - height) // 2))
    return square


@contextmanager
def opened(source: Source) -> Iterator[Image.Image]:
    """Open an image that may be decoded: others wait as long as it is a big one.

    Raises
    ------
    TooLargeError
        If it has more than `MAX_PIXELS`.
    """
    with open_image(source) as image:
        pixels = image.width * image.height
        if pixels > MAX_PIXELS:
            raise TooLargeError
        with _big if pixels > BIG_PIXELS else nullcontext():
            yield image


def to_8_bit(image: Image.Image, at_least: int) -> Image.Image:
    """Decode an opened image to upright 8-bit grey (``L``) or colour (``RGB``).

    Parameters
    ----------
    image : PIL.Image.Image
    at_least : int
        Pixels a side that have to remain of a JPEG above `LARGE_PIXELS`, and of any image above `BIG_PIXELS`.
    """
    pixels = image.width * image.height
    if pixels > LARGE_PIXELS:
        image.draft(None, (at_least, at_least))  # does nothing but for JPEG
    upright = _flattened(image) if image.width * image.height <= BIG_PIXELS else _reduced(image, at_least)
    upright.getexif()[TURNED] = image.getexif().get(TURNED, 1)
    ImageOps.exif_transpose(upright, in_place=True)
    return upright


def _reduced(image: Image.Image, at_least: int) -> Image.Image:
    """Convert and scale down a big image, some rows at a time."""
    if image.mode.startswith("I") or image.mode == "F":
        image = _scaled(np.asarray(image))
    factor = max(1, min(image.size) // at_least)
    step = factor * (1 + 256 // factor)
    bands = []
    for top in range(0, image.height, step):
        band = image.crop((0, top, image.width, min(top + step, image.height)))
        bands.append(_flattened(band).reduce(factor))
    whole = Image.new(bands[0].mode, (bands[0].width, sum(band.height for band in bands)))
    top = 0
    for band in bands:
        whole.paste(band, (0, top))
        top += band.height
    return whole


def _flattened(image: Image.Image) -> Image.Image:
    """Bring any mode to L or RGB."""
    if image.mode.startswith("I") or image.mode == "F":
        return _scaled(np.asarray(image))
    if image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(white, rgba).convert("L" if image.mode == "LA" else "RGB")
    mode = "L" if image.mode in ("1", "L") else "RGB"
    if image.mode == mode:
        image.load()
        return image
    return image.convert(mode)


def _scaled(values: npt.NDArray[Any]) -> Image.Image:
    """Scale deep values by their own range, where Pillow would clip them at 255; some rows at a time."""
    low, high = float(values.min()), float(values.max())
    if not np.isfinite([low, high]).all():
        raise OSError(_NOT_NUMBERS)
    levels = np.empty(values.shape, dtype=np.uint8)
    for top in range(0, len(values), 256):
        rows = values[top : top + 256].astype(np.float64)
        levels[top : top + 256] = ((rows - low) * (255 / max(high - low, 1e-9))).round()
    return Image.fromarray(levels)


def decode_all(
    sources: Sequence[Source], size: int, channels: int, fit: Fit = "crop"
) -> tuple[npt.NDArray[np.uint8], dict[int, str]]:
    """Decode many images on all cores (Pillow releases the interpreter lock).

    Returns
    -------
    images : ndarray of uint8, shape (number of good ones, channels, size, size)
    bad : dict
        Position to reason, for each source that is not a whole image.
    """

    def one(source: Source) -> npt.NDArray[np.uint8] | str:
        try:
            return decode_image(source, size, channels, fit)
        except ValueError as error:
            return str(error)

    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        results = list(pool.map(one, sources))
    good = [result for result in results if not isinstance(result, str)]
    bad = {i: result for i, result in enumerate(results) if isinstance(result, str)}
    return (np.stack(good) if good else np.empty((0, channels, size, size), dtype=np.uint8)), bad
