"""Sizes chosen from the data: pixels a side, grey or colour, and how many images a class to condense to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from pocket.data.decoding import Fit, Source
from pocket.data.intake.look import SIZES, Looks, look_at_all

ENOUGH = 0.8  # of the contrast
_MOST_IMAGES = 0.9  # of the images that were measured
_COLOURED = 6  # levels between channels: JPEG gives grey images less


class Chosen(NamedTuple):
    """A size with what it was chosen by.

    Attributes
    ----------
    resolution : int
        Pixels a side, one of `SIZES`.
    channels : int
        1 (grey) or 3 (colour).
    why : {"small", "enough", "largest"}
        The images have no more pixels; it keeps enough of their contrast; no smaller one does, and it is the largest.
    kept : float
        Share of the contrast that it keeps of nine images in ten.
    side : int
        Median of the images' shorter sides, or of their longer ones where whole images are padded, in pixels.
    coloured : int
        Images that show colour.
    """

    resolution: int
    channels: Literal[1, 3]
    why: Literal["small", "enough", "largest"]
    kept: float
    side: int
    coloured: int


def choose_size(looks: Looks) -> Chosen:
    """Choose the smallest of 32 to 256 pixels that keeps 80 % of the contrast of nine images in ten.

    It is never above the median of the shorter sides, or of the longer ones where whole images are padded: enlarging
    adds nothing. Training time grows with its square.
    Colour is taken as soon as one image shows any.

    Raises
    ------
    ValueError
        If no image can be read.
    """
    good = looks.good
    if not good.any():
        raise ValueError("no image can be read, so no size can be chosen")
    seen = looks.sizes[good]
    side = int(np.median(seen.min(axis=1) if looks.fit == "crop" else seen.max(axis=1)))
    coloured = int((_colour(looks.tints[good]) > _COLOURED).sum())
    allowed = [size for size in SIZES if size <= side] or [SIZES[0]]
    measured = looks.kept if len(looks.kept) else np.ones((1, len(SIZES)), dtype=np.float32)
    kept = np.quantile(measured, 1 - _MOST_IMAGES, axis=0)
    enough = [size for size in allowed if kept[SIZES.index(size)] >= ENOUGH]
    size = enough[0] if enough else allowed[-1]
    why: Literal["small", "enough", "largest"]
    if size == allowed[-1] and size < SIZES[-1] and (not enough or size == SIZES[0]):
        why = "small"
    else:
        why = "enough" if enough else "largest"
    return Chosen(size, 3 if coloured else 1, why, float(kept[SIZES.index(size)]), side, coloured)


def usual_size(sources: Sequence[Source], fit: Fit = "crop") -> Chosen:
    """Choose the size of a set by a look at up to 256 of its images, evenly spread.

    Raises
    ------
    ValueError
        If none of them can be read.
    """
    places = np.unique(np.linspace(0, len(sources) - 1, min(256, len(sources)), dtype=int))
    return choose_size(look_at_all([sources[i] for i in places], len(places), fit=fit))


def _colour(tints: npt.NDArray[np.uint8]) -> npt.NDArray[np.int16]:
    """Return the largest difference between channels of each image's 8 x 8 colour thumbnail, shape (N,)."""
    signed = tints.astype(np.int16)
    return (signed.max(axis=3) - signed.min(axis=3)).max(axis=(1, 2))
