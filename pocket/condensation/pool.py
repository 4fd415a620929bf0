"""Model augmentation: early-stage networks, perturbed anew at every step.

Zhang et al., "Accelerating Dataset Distillation via Model Augmentation" (Acc-DD), CVPR 2023, which IEM follows.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from pocket.data import ImageSet
from pocket.hashing import HashModel, TrainConfig, train
from pocket.hashing.devices import derive


def early_stage_pool(
    images: ImageSet,
    count: int,
    epochs: int,
    *,
    method: str,
    bits: int,
    width: int | None,
    seed: int,
    device: str,
) -> list[HashModel]:
    """Train ``count`` networks for a few epochs each on the real images with the hashing loss.

    Returns
    -------
    list of HashModel
        Evaluation mode, on the CPU.
    """
    config = TrainConfig()
    config = replace(config, batch=100, steps=math.ceil(len(images) / 100) * epochs)
    return [
        train(images, method, bits, derive(seed, 0x9001, k), width=width, config=config, device=device)
        for k in range(count)
    ]


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
