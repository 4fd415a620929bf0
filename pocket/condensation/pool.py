"""Model augmentation: early-stage networks, perturbed anew at every step.

Zhang et al., "Accelerating Dataset Distillation via Model Augmentation" (Acc-DD), CVPR 2023, which IEM follows.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pocket.condensation.config import IEMConfig
from pocket.data import ImageSet
from pocket.hashing import HashModel, TrainConfig, train
from pocket.hashing.devices import derive, warm_up
from pocket.hashing.networks import default_width


@dataclass(frozen=True)
class Pool:
    """Early-stage networks, and what training them took.

    A pool depends on the images, the hash layer, the width and the seed, not on ``ipc`` or formation: one
    that was made once serves every condensation with these, and each counts its seconds as its own.

    Attributes
    ----------
    models : tuple of HashModel
        Evaluation mode, on the CPU.
    seconds : float
        Wall-clock.
    identity : tuple
        What the pool was made for.
    """

    models: tuple[HashModel, ...]
    seconds: float
    identity: tuple[object, ...]


def pool_identity(
    images: ImageSet, config: IEMConfig, hashing: str, bits: int, width: int, seed: int
) -> tuple[object, ...]:
    """Return all that a pool depends on."""
    return (images.fingerprint, config.pool_size, config.pool_epochs, hashing, bits, width, seed)


def make_pool(
    images: ImageSet,
    config: IEMConfig | None = None,
    *,
    bits: int = 64,
    hashing: str = "orthohash",
    width: int | None = None,
    seed: int = 0,
    device: str = "auto",
) -> Pool:
    """Train a few networks for a few epochs each on the real images with the hashing loss.

    Parameters
    ----------
    images : ImageSet
    config : IEMConfig, optional
        Its ``pool_size`` and ``pool_epochs`` are used.
    bits, hashing, width, seed, device
        As for `pocket.condense`.

    Returns
    -------
    Pool
    """
    config = config or IEMConfig.paper()
    wide = width or default_width(images.size)
    warm_up()
    started = time.perf_counter()
    short = replace(TrainConfig(), batch=100, steps=math.ceil(len(images) / 100) * config.pool_epochs)
    models = [
        train(images, hashing, bits, derive(seed, 0x9001, k), width=wide, config=short, device=device)
        for k in range(config.pool_size)
    ]
    identity = pool_identity(images, config, hashing, bits, wide, seed)
    return Pool(tuple(models), time.perf_counter() - started, identity)


@torch.no_grad()
def load_perturbed(
    stage: HashModel, source: dict[str, Tensor], magnitude: tuple[float, float], generator: torch.Generator
) -> None:
    """Copy weights into ``stage`` and move them along two random, filter-normalised directions.

    Each direction is Gaussian, scaled so that every filter of it has the norm of the filter it moves, and
    is taken with a magnitude ``+-U(low, high)``. Biases and norms (one-dimensional weights) are copied as they are.

    Parameters
    ----------
    stage : HashModel
        Overwritten in place; its module is reused for every step.
    source : dict of Tensor
        State to start from, on the device of ``stage``.
    magnitude : (float, float)
    generator : torch.Generator
        On the same device.
    """
    state = stage.state_dict()
    for name, tensor in state.items():
        tensor.copy_(source[name])
    low, high = magnitude
    if high == 0:
        return
    for parameter in stage.parameters():
        if parameter.dim() < 2:
            continue
        filters = parameter.flatten(1)
        norms = filters.norm(dim=1, keepdim=True)
        moved = torch.zeros_like(filters)
        for _ in range(2):
            direction = torch.randn(filters.shape, generator=generator, device=filters.device)
            amount, sign = torch.rand(2, generator=generator, device=filters.device)
            scale = (low + (high - low) * amount) * torch.where(sign < 0.5, -1.0, 1.0)
            moved += scale * direction * (norms / direction.norm(dim=1, keepdim=True).clamp_min(1e-12))
        filters += moved
