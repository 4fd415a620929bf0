"""Distribution matching: IEM, and DM as the same loop with less in it.

For class c, real images T_c, synthetic images S_c, formation decoder D and a siamese augmentation A
with parameters shared by the real and the synthetic batch of a class:

``L = sum_c |mu_Z(A T_c) - mu_Z(A D S_c)|^2 / s_Z  +  weight_v |mu_V(A T_c) - mu_V(A D S_c)|^2 / s_V``

with Z the feature embedding, V = g(Z) the continuous hash representation and s the mean squared norm
of the real batch's. IEM: arXiv 2305.18076; DM: Zhao and Bilen, WACV 2023.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from pocket.condensation.checkpoint import Checkpoint
from pocket.condensation.config import IEMConfig
from pocket.condensation.pool import Pool, load_perturbed, make_pool, pool_identity
from pocket.data import ImageSet
from pocket.data.formation import decode
from pocket.hashing import Augmentation, HashModel
from pocket.hashing.devices import derive, deterministic, generator, pick_device, to_float, warm_up
from pocket.hashing.networks import initialise

_STAGE = 0x1E4


class Step(NamedTuple):
    """What a watcher sees. ``images``: float in [0, 1], shape (M, C, H, W), as stored; ``loss``: a scalar tensor."""

    number: int
    images: Tensor
    loss: Tensor


class Matched(NamedTuple):
    """The matched images, float in [0, 1], shape (M, C, H, W), on the CPU, and what they cost."""

    images: Tensor
    pool_seconds: float
    condense_seconds: float


def match(
    images: ImageSet,
    start: Tensor,
    config: IEMConfig,
    *,
    hashing: str,
    bits: int,
    width: int,
    seed: int,
    device: str,
    pool: Pool | None,
    progress: bool,
    watch: Callable[[Step], None] | None,
    checkpoint: Checkpoint | None,
) -> Matched:
    """Move ``start`` so that its embeddings are distributed like those of the real images.

    Parameters
    ----------
    images : ImageSet
        The real images.
    start : Tensor of float, shape (C * ipc, channels, H, W)
        Stored synthetic images to begin with, sorted by class.
    config : IEMConfig
    hashing, bits, width
        Of the condensing networks.
    seed : int
        Of networks, batches, perturbations and augmentation.
    device : str
    pool : Pool, optional
        Made here where the configuration wants one and none is given.
    progress : bool
    watch : callable, optional
        Called with a `Step` before the first step and after every one.
    checkpoint : Checkpoint, optional
        Where to keep the state; a matching one on disk is continued from.

    Returns
    -------
    Matched
    """
    where = pick_device(device)
    warm_up()
    if config.networks == "random":
        pool = None
    elif pool is None:
        pool = make_pool(images, config, bits=bits, hashing=hashing, width=width, seed=seed, device=device)
    elif pool.identity != pool_identity(images, config, hashing, bits, width, seed):
        raise ValueError(
            "the pool was made for other images, settings or another seed: make it with "
            "pocket.condensation.make_pool(images, config, bits=..., hashing=..., width=..., seed=...)"
        )
    networks = Networks(images, pool, hashing=hashing, bits=bits, width=width, seed=seed, device=where)
    real = RealImages(images, where)
    augmentation = siamese(config, images)
    synthetic = start.clone().to(where).requires_grad_(True)
    optimizer = torch.optim.Adam([synthetic], lr=config.lr, betas=(0.5, 0.9))
    first, spent = checkpoint.restore(synthetic, optimizer) if checkpoint else (0, 0.0)
    classes = torch.arange(images.num_classes, device=where)
    views = config.formation**2 * len(start) // images.num_classes
    syn_class, real_class = classes.repeat_interleave(views), classes.repeat_interleave(config.real_batch)
    loss = torch.zeros((), device=where)
    started = time.perf_counter()

    def seconds() -> float:
        return spent + time.perf_counter() - started

    if watch and first == 0:
        watch(Step(0, synthetic.detach(), loss))
    step = first
    try:
        with deterministic():
            for step in tqdm(
                range(first, config.steps),
                desc=f"condensing {images.name}",
                initial=first,
                total=config.steps,
                disable=not progress,
                mininterval=1.0,
            ):
                source = generator(where, seed, _STAGE, step)
                network = networks.draw(step, config.perturb, source)
                drawn = augmentation.draw(images.num_classes, source)
                with torch.no_grad():
                    batch = real.batch(config.real_batch, source)
                    z, v = network.embed(augmentation.apply(batch, drawn.at(real_class)))
                    target_z, scale_z = _class_means(z, images.num_classes), z.square().sum(1).mean()
                    target_v, scale_v = _class_means(v, images.num_classes), v.square().sum(1).mean()
                decoded = decode(synthetic, config.formation)
                z, v = network.embed(augmentation.apply(decoded, drawn.at(syn_class)))
                loss = (_class_means(z, images.num_classes) - target_z).square().sum() / scale_z
                if config.weight_v:
                    gap = (_class_means(v, images.num_classes) - target_v).square().sum()
                    loss = loss + config.weight_v * gap / scale_v
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
                with torch.no_grad():
                    synthetic.clamp_(0, 1)
                if watch:
                    watch(Step(step + 1, synthetic.detach(), loss.detach()))
                if checkpoint:
                    checkpoint.keep(step + 1, synthetic, optimizer, seconds())
    except KeyboardInterrupt:
        if checkpoint:
            checkpoint.flush()
        raise
    finished = synthetic.detach().cpu()
    return Matched(finished, pool.seconds if pool else 0.0, seconds())


def _class_means(embedding: Tensor, classes: int) -> Tensor:
    """Mean of each class's rows; rows are sorted by class, equally many each. Shape (classes, dim)."""
    return embedding.unflatten(0, (classes, -1)).mean(dim=1)


def siamese(config: IEMConfig, images: ImageSet) -> Augmentation:
    """Return the augmentation to match under: none where it is switched off."""
    from dataclasses import replace

    return replace(config.augmentation, mirror=images.mirror) if config.augment else Augmentation()


class RealImages:
    """The real images on the device, as uint8 sorted by class, so that one index tensor draws a batch."""

    def __init__(self, images: ImageSet, device: torch.device) -> None:
        order = np.argsort(images.labels, kind="stable")
        self._pixels = torch.tensor(images.images[order], device=device)
        self._counts = torch.tensor(images.counts, device=device)
        self._starts = torch.cumsum(self._counts, 0) - self._counts

    def batch(self, per_class: int, source: torch.Generator) -> Tensor:
        """Draw ``per_class`` images of every class with replacement, sorted by class; float in [0, 1]."""
        drawn = torch.rand(len(self._counts), per_class, generator=source, device=self._pixels.device)
        # float32 may round up to the count itself: stay inside the class.
        inside = torch.minimum((drawn * self._counts[:, None]).long(), self._counts[:, None] - 1)
        return to_float(self._pixels[(self._starts[:, None] + inside).flatten()])


class Networks:
    """The condensing networks: a pool to draw from, or a new random one each step; one module for all."""

    def __init__(
        self,
        images: ImageSet,
        pool: Pool | None,
        *,
        hashing: str,
        bits: int,
        width: int,
        seed: int,
        device: torch.device,
    ) -> None:
        self._seed = seed
        self._stage = HashModel(
            channels=images.channels,
            size=images.size,
            num_classes=images.num_classes,
            bits=bits,
            method=hashing,
            width=width,
        ).to(device)
        self._stage.eval().requires_grad_(False)
        pixels = to_float(images.images)
        self._stage.mean.copy_(pixels.mean(dim=(0, 2, 3)))
        self._stage.std.copy_(pixels.std(dim=(0, 2, 3)).clamp_min(1e-3))
        models = pool.models if pool else ()
        self._pool = [{name: tensor.to(device) for name, tensor in m.state_dict().items()} for m in models]

    def draw(self, step: int, perturb: tuple[float, float], source: torch.Generator) -> HashModel:
        """Return this step's network."""
        if not self._pool:
            initialise(self._stage, derive(self._seed, 0xD3, step))
            return self._stage
        chosen = self._pool[derive(self._seed, 0xD4, step) % len(self._pool)]
        load_perturbed(self._stage, chosen, perturb, source)
        return self._stage
