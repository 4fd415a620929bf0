"""How many tiles stored images have, how many real images they are matched with, and the warning for small classes."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pocket.data import ImageSet
from pocket.data.formation import own_tiles

_LEAST, _MOST = 32, 256  # real images per class and step
_PIXELS = 32  # a side that are looked at: where classes are many, their means take memory
_AT_ONCE = 4096  # images


def real_batch(images: ImageSet) -> int:
    """Choose the real images per class and step by how far the class means lie apart in raw pixels: 32 to 256.

    The mean of a random batch is off by the spread within its class, and synthetic images follow that noise. So many
    are taken that the noise has a twentieth of the variance of the class means, both of raw pixels: 20 times the
    variance within classes over that between them, which is 1.2 for digits, 1.5 for Fashion-MNIST, 13 for CIFAR-10 and
    Imagenette. What more of them than 32 gained follows that, and not the number of images there are. IEM of 10 a class
    in 2 x 2 tiles, seed 0, mAP with hard labels / codes unless said:

    ============================================= =============== =============== ===============
    real images per class and step                32              128             256
    ============================================= =============== =============== ===============
    digits                                        0.986 / 0.989   0.984 / 0.991   not tried
    Fashion-MNIST, 600 a class                    0.753 / 0.806   0.749 / 0.809   0.745 / 0.806
    CIFAR-10, 500 a class, width 64, 300 steps    0.323 / 0.348   not tried       0.341 / 0.374
    all of CIFAR-10, width 128, 500 steps: codes  0.350           not tried       0.390
    the same, accuracy of a linear head           0.578           not tried       0.613
    ============================================= =============== =============== ===============

    DM of 50 whole images a class of all of CIFAR-10, 300 steps, width 64, accuracy of a linear head: 0.501 with 32,
    0.542 with 256 (random images 0.462). DM as published has 256.
    """
    every = -(-images.size // _PIXELS)
    pixels = images.images[:, :, ::every, ::every]
    sums, squares = np.zeros((images.num_classes, pixels[0].size)), 0.0
    for start in range(0, len(images), _AT_ONCE):
        part = pixels[start : start + _AT_ONCE].astype(np.float32)
        part = part.reshape(len(part), -1)
        member = images.labels[start : start + _AT_ONCE] == np.arange(images.num_classes)[:, None]
        sums += member.astype(np.float32) @ part
        squares += float(np.square(part).sum(dtype=np.float64))
    counts = images.counts[images.counts > 0, None]
    means = sums[images.counts > 0] / counts
    between = means.var(0).sum()
    within = (squares - (counts * means**2).sum()) / len(images)
    wanted = 20 * within / between if between > 0 else _MOST
    return int(min(_MOST, max(_LEAST, round(wanted))))


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
