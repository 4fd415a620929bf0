"""Model augmentation: early-stage networks, perturbed anew at every step.

Zhang et al., "Accelerating Dataset Distillation via Model Augmentation" (Acc-DD), CVPR 2023, which IEM follows.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from shutil import rmtree
from typing import Any, ClassVar, Self

import torch
from pydantic import NonNegativeFloat
from torch import Tensor

from pocket.condensation.config import IEMConfig
from pocket.data import ImageSet
from pocket.hashing import HashModel, TrainConfig, train
from pocket.hashing.devices import derive, pick_device
from pocket.hashing.fusion import prepare
from pocket.hashing.networks import default_width
from pocket.runs.artefacts import Record


@dataclass(frozen=True)
class Pool:
    """Early-stage networks, and what training them took.

    A pool depends on the images, the hash layer, the width and the seed, not on ``ipc`` or formation: one
    that was made once serves every condensation with these, and each counts its seconds as its own.

    Attributes
    ----------
    models : tuple of HashModel
        Evaluation mode, on the CPU.
    seeds : tuple of int
        Of their initial weights.
    seconds : float
        Wall-clock.
    identity : tuple
        What the pool was made for.
    """

    models: tuple[HashModel, ...]
    seeds: tuple[int, ...]
    seconds: float
    identity: tuple[str | int, ...]

    @cached_property
    def starts(self) -> tuple[HashModel, ...]:
        """The same networks before their first step."""
        return tuple(_untrained(model, seed) for model, seed in zip(self.models, self.seeds, strict=True))

    def save(self, folder: Path) -> None:
        """Keep the pool in a folder; its record is written last, so that half a pool is not taken for a whole one."""
        for place, model in enumerate(self.models):
            model.save(folder / f"{place}.safetensors")
        PoolRecord(seeds=self.seeds, seconds=self.seconds, identity=self.identity).save(folder / "pool.json")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Load a pool that `save` kept.

        Raises
        ------
        ArtefactError
            If a file is missing or damaged.
        """
        record = PoolRecord.load(folder / "pool.json")
        models = tuple(HashModel.load(folder / f"{place}.safetensors") for place in range(len(record.seeds)))
        return cls(models, record.seeds, record.seconds, record.identity)


class PoolRecord(Record):
    """``pool.json`` beside the networks of a pool."""

    kind: ClassVar[str] = "pool"
    seeds: tuple[int, ...]
    seconds: NonNegativeFloat
    identity: tuple[str | int, ...]


def pool_identity(
    images: ImageSet, config: IEMConfig, hashing: str, bits: int, backbone: str, width: int, seed: int
) -> tuple[str | int, ...]:
    """Return all that a pool depends on."""
    schedule = repr(early_training(len(images), config.pool_epochs))
    return (images.fingerprint, config.pool_size, schedule, hashing, bits, backbone, width, seed)


def early_training(images: int, epochs: int) -> TrainConfig:
    """Return how the networks of a pool are trained: as full data is, for a few epochs."""
    return replace(TrainConfig.full(images), batch=100, steps=math.ceil(images / 100) * epochs)


def make_pool(
    images: ImageSet,
    config: IEMConfig | None = None,
    *,
    bits: int = 64,
    hashing: str = "orthohash",
    backbone: str = "convnet",
    width: int | None = None,
    seed: int = 0,
    device: str = "auto",
    keep: Path | None = None,
    watch: Callable[[int, Tensor], object] | None = None,
) -> Pool:
    """Train a few networks for a few epochs each on the real images with the hashing loss.

    Parameters
    ----------
    images : ImageSet
    config : IEMConfig, optional
        Its ``pool_size`` and ``pool_epochs`` are used.
    bits, hashing, backbone, width, seed, device
        As for `pocket.condense`.
    keep : Path, optional
        A folder to keep the pool in; one that was kept there for the same images, settings and seed is loaded, and a
        part of one goes on from where it was stopped.
    watch : callable, optional
        As for `pocket.train`, of each network in turn.

    Returns
    -------
    Pool
    """
    config = config or IEMConfig.paper()
    wide = width or default_width(images.size, backbone)
    identity = pool_identity(images, config, hashing, bits, backbone, wide, seed)
    if keep and (keep / "pool.json").is_file():
        kept = Pool.load(keep)
        if kept.identity == identity:
            rmtree(keep / "training", ignore_errors=True)
            return kept
    prepare(pick_device(device), images.size, backbone)
    started = time.perf_counter()
    short = early_training(len(images), config.pool_epochs)
    seeds = [derive(seed, 0x9001, k) for k in range(config.pool_size)]
    begun = keep / "training" if keep else None
    options: dict[str, Any] = {"backbone": backbone, "width": wide, "config": short, "device": device}
    models = [train(images, hashing, bits, s, **options, watch=watch, keep=begun) for s in seeds]
    seconds = max(time.perf_counter() - started, sum(m.report.seconds for m in models if m.report))
    pool = Pool(tuple(models), tuple(seeds), seconds, identity)
    if keep:
        pool.save(keep)
        rmtree(keep / "training", ignore_errors=True)
    return pool


def _untrained(model: HashModel, seed: int) -> HashModel:
    """Return the network as it was before training, with the pixel statistics and codebook it was trained with."""
    start = HashModel(**model.shape, seed=seed).eval()
    for name in ("mean", "std", "targets"):
        getattr(start, name).data.copy_(getattr(model, name))
    return start


@torch.no_grad()
def load_blend(stage: HashModel, start: dict[str, Tensor], end: dict[str, Tensor], share: Tensor) -> None:
    """Copy weights into ``stage`` from the straight line between two states: ``start + share * (end - start)``.

    Interpolated weights stand for more stages of training than were kept. Zhang et al., "DANCE: Dual-View
    Distribution Alignment for Dataset Condensation", IJCAI 2024, sec. 3.2.

    Parameters
    ----------
    stage : HashModel
        Overwritten in place; its module is reused for every step.
    start, end : dict of Tensor
        States, on the device of ``stage``.
    share : Tensor
        A scalar in [0, 1] on the same device.
    """
    for name, tensor in stage.state_dict().items():
        if tensor.is_floating_point():
            torch.lerp(start[name], end[name], share, out=tensor)
        else:
            tensor.copy_(end[name])


@torch.no_grad()
def perturb(stage: HashModel, magnitude: tuple[float, float], generator: torch.Generator) -> None:
    """Move the weights of ``stage`` along two random, filter-normalised directions.

    Each direction is Gaussian, scaled so that every filter of it has the norm of the filter it moves, and
    is taken with a magnitude ``+-U(low, high)``. Biases and norms (one-dimensional weights) stay as they are.

    Parameters
    ----------
    stage : HashModel
    magnitude : (float, float)
    generator : torch.Generator
        On the device of ``stage``.
    """
    low, high = magnitude
    if high == 0:
        return
    for parameter in stage.filters():
        filters = parameter.flatten(1)
        norms = filters.norm(dim=1, keepdim=True)
        moved = torch.zeros_like(filters)
        for _ in range(2):
            direction = torch.randn(filters.shape, generator=generator, device=filters.device)
            amount, sign = torch.rand(2, generator=generator, device=filters.device)
            scale = (low + (high - low) * amount) * torch.where(sign < 0.5, -1.0, 1.0)
            moved += scale * direction * (norms / direction.norm(dim=1, keepdim=True).clamp_min(1e-12))
        filters += moved
