"""Images of no class at all, for the question whether a search knows what it does not know."""

from __future__ import annotations

import numpy as np

from pocket.data.decoding import decode_image
from pocket.data.images import ImageSet
from pocket.runs.extras import need


def photographs(like: ImageSet, count: int = 200, *, seed: int = 0) -> ImageSet:
    """Return square details of two photographs, a palace and a flower, brought to the shape of an image set.

    They come with scikit-learn, so nothing is downloaded. Far from digits, garments and defects alike; a class that
    only resembles the known ones is a harder test.

    Parameters
    ----------
    like : ImageSet
        Whose size, channels and class names to take.
    count : int
    seed : int
        Of place and size of each detail, a side of 48 pixels to the photograph's own.

    Returns
    -------
    ImageSet
        Its labels mean nothing: they are 0.

    Raises
    ------
    ValueError
        If ``count`` is below 1.
    """
    need("sklearn")
    from sklearn.datasets import load_sample_images

    if count < 1:
        raise ValueError(f"count={count}: at least 1 image")
    generator = np.random.default_rng(seed)
    pictures = load_sample_images().images
    made = []
    for number in range(count):
        picture = pictures[number % len(pictures)]
        side = int(generator.integers(48, min(picture.shape[:2]) + 1))
        top, left = (int(generator.integers(0, length - side + 1)) for length in picture.shape[:2])
        made.append(decode_image(picture[top : top + side, left : left + side].copy(), like.size, like.channels))
    return ImageSet(np.stack(made), np.zeros(count, dtype=np.int64), like.class_names, "photographs")
