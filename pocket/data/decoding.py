"""From encoded image files to uint8 arrays of one size."""

from __future__ import annotations

import io
import os
import struct
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

# A decompression bomb is refused before it is decoded.
MAX_PIXELS = 90_000_000

# A JPEG above this is decoded at a reduced scale: several times faster, in a fraction of the memory. Smaller ones are
# decoded in full, so that an image set's pixels do not depend on it.
LARGE_PIXELS = 4_000_000

# Images above this are decoded one at a time, so that many threads do not fill the memory.
_ONE_AT_A_TIME = 16_000_000
_big = threading.Lock()


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


class TooLargeError(ValueError):
    """An image has more than `MAX_PIXELS`."""


def open_image(source: Source) -> Image.Image:
    """Open an image; its pixels are not decoded yet."""
    if isinstance(source, np.ndarray):
        return Image.fromarray(source)
    return Image.open(io.BytesIO(source) if isinstance(source, bytes) else source, formats=_FORMATS)


def decode_image(source: Source, size: int, channels: int | None = None) -> npt.NDArray[np.uint8]:
    """Decode one image to ``(C, size, size)`` uint8.

    EXIF rotation is applied, 16-bit grey is scaled by its range, transparency is laid over white, and
    the image is cropped to its central square before it is resized.

    Parameters
    ----------
    source : bytes, Path or ndarray of uint8
        An encoded image (PNG, JPEG, ...) or its pixels.
    size : int
        Pixels a side.
    channels : {1, 3}, optional
        Grey or colour; None keeps grey images grey.

    Raises
    ------
    ValueError
        If it is not a whole image or is larger than `MAX_PIXELS`.
    """
    try:
        with open_image(source) as image:
            upright = to_8_bit(image, at_least=2 * size)
    except TooLargeError:
        raise
    except DAMAGED as error:
        raise ValueError(f"not a whole image ({error})") from None
    mode = {1: "L", 3: "RGB", None: upright.mode}[channels]
    upright = upright.convert(mode)
    if upright.size != (size, size):
        upright = ImageOps.fit(upright, (size, size), method=Image.Resampling.BILINEAR)
    pixels = np.asarray(upright)
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def to_8_bit(image: Image.Image, at_least: int) -> Image.Image:
    """Decode an opened image to upright 8-bit grey (``L``) or colour (``RGB``).

    Parameters
    ----------
    image : PIL.Image.Image
    at_least : int
        Pixels a side that have to remain of a JPEG above `LARGE_PIXELS`.

    Raises
    ------
    TooLargeError
        If it has more than `MAX_PIXELS`.
    """
    pixels = image.width * image.height
    if pixels > MAX_PIXELS:
        raise TooLargeError(f"{image.width} x {image.height} pixels are more than the {MAX_PIXELS:,} allowed")
    if pixels > LARGE_PIXELS:
        image.draft(None, (at_least, at_least))  # does nothing but for JPEG
    with _big if image.width * image.height > _ONE_AT_A_TIME else nullcontext():
        return _flattened(ImageOps.exif_transpose(image))


def _flattened(image: Image.Image) -> Image.Image:
    """Bring any mode to L or RGB."""
    if image.mode.startswith("I") or image.mode == "F":
        # Pillow clips 16-bit values at 255: scale them by the image's own range instead.
        values = np.asarray(image, dtype=np.float64)
        if not np.isfinite(values).all():
            raise OSError("it has pixels that are not numbers")
        low, high = float(values.min()), float(values.max())
        return Image.fromarray(((values - low) * (255 / max(high - low, 1e-9))).round().astype(np.uint8))
    if image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(white, rgba).convert("L" if image.mode == "LA" else "RGB")
    return image.convert("L" if image.mode in ("1", "L") else "RGB")


def decode_all(sources: Sequence[Source], size: int, channels: int) -> tuple[npt.NDArray[np.uint8], dict[int, str]]:
    """Decode many images on all cores (Pillow releases the interpreter lock).

    Returns
    -------
    images : ndarray of uint8, shape (number of good ones, channels, size, size)
    bad : dict
        Position to reason, for each source that is not a whole image.
    """

    def one(source: Source) -> npt.NDArray[np.uint8] | str:
        try:
            return decode_image(source, size, channels)
        except ValueError as error:
            return str(error)

    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        results = list(pool.map(one, sources))
    good = [result for result in results if not isinstance(result, str)]
    bad = {i: result for i, result in enumerate(results) if isinstance(result, str)}
    return (np.stack(good) if good else np.empty((0, channels, size, size), dtype=np.uint8)), bad
