"""From encoded image files to uint8 arrays of one size."""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

# A decompression bomb is refused before it is decoded.
MAX_PIXELS = 90_000_000


# What an image may come as: an encoded file's bytes, its path, or pixels (H, W) or (H, W, 3).
Source = bytes | Path | npt.NDArray[np.uint8]


# What Pillow's parsers raise on damaged files; its decoders were not all written to say OSError.
_DAMAGED = (
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
            if image.width * image.height > MAX_PIXELS:
                raise ValueError(f"{image.width} x {image.height} pixels are more than the {MAX_PIXELS:,} allowed")
            upright = _to_8_bit(ImageOps.exif_transpose(image))
    except _DAMAGED as error:
        raise ValueError(f"not a whole image ({error})") from None
    mode = {1: "L", 3: "RGB", None: upright.mode}[channels]
    upright = upright.convert(mode)
    if upright.size != (size, size):
        upright = ImageOps.fit(upright, (size, size), method=Image.Resampling.BILINEAR)
    pixels = np.asarray(upright)
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def _to_8_bit(image: Image.Image) -> Image.Image:
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


def _look(sources: Sequence[Source]) -> list[Image.Image]:
    """Return up to 64 of the images, evenly spread, those that open."""
    images = []
    for position in np.linspace(0, len(sources) - 1, min(64, len(sources)), dtype=int):
        try:
            images.append(open_image(sources[position]))
        except (ValueError, *_DAMAGED):
            continue
    return images


def usual_channels(sources: Sequence[Source]) -> int:
    """Return 1 if a look at up to 64 images finds only grey ones, else 3."""
    return 1 if all(image.mode in ("1", "L", "F") or image.mode.startswith("I") for image in _look(sources)) else 3


def usual_size(sources: Sequence[Source]) -> int:
    """Return 64 where half of the images fill it, else 32: sizes that two CPU cores train in minutes."""
    sides = [min(image.size) for image in _look(sources)]
    return 64 if sides and np.median(sides) >= 64 else 32
