"""How many tiles each class's stored images have, and what is said where a class has fewer images than asked for."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pocket.data import ImageSet
from pocket.data.formation import own_tiles


def formations_of(
    images: ImageSet, wanted: int | Sequence[int] | str | None, usual: int, counts: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Return the tiles a side of each class's stored images."""
    if wanted is None or isinstance(wanted, int | np.integer):
        return np.full(images.num_classes, usual)
    if wanted == "auto":
        return own_tiles(counts, images.counts, usual)
    if isinstance(wanted, str) or len(wanted) != images.num_classes or not all(1 <= f <= 8 for f in wanted):
        raise ValueError(
            f"formation={wanted!r}: give a number from 1 to 8, one for each of {images.num_classes} classes, or 'auto'"
        )
    return np.array(wanted, dtype=np.int64)


def say_capped(images: ImageSet, ipc: int | Sequence[int] | None, counts: npt.NDArray[np.int64]) -> None:
    """Warn of classes that have fewer images than were asked for; refuse those that have none."""
    if ipc is None:
        return
    short = np.flatnonzero(counts < np.asarray(ipc))
    if empty := [images.class_names[c] for c in short if not images.counts[c]]:
        raise ValueError(f"{images.name!r} has no image of {', '.join(empty[:5])}: leave these classes out")
    if len(short):
        told = ", ".join(f"{images.class_names[c]} {counts[c]}" for c in short[:5])
        warnings.warn(f"fewer images than ipc={ipc} in some classes of {images.name!r}: {told}", stacklevel=3)
