"""Small image sets that a network can learn in a few steps, and the smallest settings that still do everything."""

from __future__ import annotations

import numpy as np
import torch

from pocket.data import ImageSet

# Tensors this small gain nothing from a second thread, and threads that wait for one another crawl when other
# work keeps a core busy.
torch.set_num_threads(1)


def image_set(
    per_class: int = 12, *, classes: int = 3, size: int = 12, channels: int = 1, seed: int = 0, mirror: bool = False
) -> ImageSet:
    """Each class is one random coarse pattern; its images are that pattern under noise, in mixed order."""
    rng = np.random.default_rng([seed, 77])
    coarse = rng.uniform(40, 215, (classes, channels, 3, 3))
    pattern = coarse.repeat(-(-size // 3), axis=2).repeat(-(-size // 3), axis=3)[:, :, :size, :size]
    labels = rng.permutation(np.repeat(np.arange(classes), per_class))
    noisy = pattern[labels] + rng.normal(0, 25, (len(labels), channels, size, size))
    names = tuple(f"kind {c}" for c in range(classes))
    return ImageSet(noisy.clip(0, 255).astype(np.uint8), labels, names, "patterns", mirror)
