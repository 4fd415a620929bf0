"""Distribution matching: IEM, and DM as the same loop with less in it.

For class c, real images T_c, synthetic images S_c, formation decoder D and a siamese augmentation A
with parameters shared by the real and the synthetic batch of a class:

``L = weight_z   sum_c |mu_Z(A T_c) - mu_Z(A D S_c)|^2 / s_Z
    + weight_v   sum_c |mu_V(A T_c) - mu_V(A D S_c)|^2 / s_V
    + weight_cov sum_c |Sigma_V(A T_c) - Sigma_V(A D S_c)|_F^2 / s_Sigma
    + weight_hash hash_loss(V_teacher(A D S), codewords)``

with Z the feature embedding, V = g(Z) the continuous hash representation, and each s the mean over
classes of the same squared moment of the real batch (`moments`). The first two terms are IEM (arXiv
2305.18076), the first alone under random networks is DM (Zhao and Bilen, WACV 2023); the last two are
ours: retrieval depends on the spread of V inside a class, and images that match means alone can leave
their own class under a trained network (DANCE, IJCAI 2024).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint as recompute
from tqdm.auto import tqdm

from pocket.condensation.checkpoint import Checkpoint
from pocket.condensation.config import IEMConfig
from pocket.condensation.pool import Pool, load_blend, make_pool, perturb, pool_identity
from pocket.data import ImageSet
from pocket.data.formation import decode
from pocket.hashing import Augmentation, HashModel
from pocket.hashing.augmentation import Draw
from pocket.hashing.devices import derive, deterministic, generator, pick_device, to_float, warm_up
from pocket.hashing.networks import initialise
from pocket.hashing.objectives import objective

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
    teacher_seconds: float = 0.0


class Moments(NamedTuple):
    """What is matched, per class: means of Z (C, dim) and of V (C, K), covariance of V (C, K, K) or None."""

    z: Tensor
    v: Tensor
    cov: Tensor | None


def match(
    images: ImageSet,
    start: Tensor,
    config: IEMConfig,
    *,
    hashing: str,
    bits: int,
    backbone: str,
    width: int,
    seed: int,
    device: str,
    pool: Pool | None,
    teacher: HashModel | None,
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
    hashing, bits, backbone, width
        Of the condensing networks.
    seed : int
        Of networks, batches, perturbations and augmentation.
    device : str
    pool : Pool, optional
        Made here where the configuration wants one and none is given.
    teacher : HashModel, optional
        A trained hash model for the hash consistency; needed where ``config.weight_hash`` is above 0.
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
        pool = make_pool(
            images,
            config,
            bits=bits,
            hashing=hashing,
            backbone=backbone,
            width=width,
            seed=seed,
            device=device,
            keep=checkpoint.beside("pool") if checkpoint else None,
        )
    elif pool.identity != pool_identity(images, config, hashing, bits, backbone, width, seed):
        raise ValueError(
            "the pool was made for other images, settings or another seed: make it with "
            "pocket.condensation.make_pool(images, config, bits=..., hashing=..., width=..., seed=...)"
        )
    shape = {"bits": bits, "method": hashing, "backbone": backbone, "width": width}
    networks = Networks(images, pool, config, shape, seed=seed, device=where)
    judge = teacher.to(where).eval().requires_grad_(False) if teacher and config.weight_hash else None
    real = RealStatistics(images, networks, config, seed, where)
    classes = images.num_classes
    labels = torch.arange(classes, device=where).repeat_interleave(len(start) // classes)
    synthetic = start.clone().to(where).requires_grad_(True)
    optimizer = torch.optim.Adam([synthetic], lr=config.lr, betas=(0.5, 0.9))
    first, spent = checkpoint.restore(synthetic, optimizer) if checkpoint else (0, 0.0)
    loss = torch.zeros((), device=where)
    started = time.perf_counter()

    def seconds() -> float:
        return spent + time.perf_counter() - started

    if watch and first == 0:
        watch(Step(0, synthetic.detach(), loss))
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
                network, drawn, target, scale = real.at(step)
                z, v, loss = views(
                    synthetic, labels, config.formation, real.augmentation, drawn, network, judge, config
                )
                ours = moments(z, v, classes, cov=config.weight_cov > 0)
                loss = config.weight_hash * loss + distance(ours, target, scale, config)
                for group in optimizer.param_groups:
                    group["lr"] = config.lr * config.decay(step)
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


def views(
    stored: Tensor,
    labels: Tensor,
    formation: int,
    augmentation: Augmentation,
    drawn: Draw,
    network: HashModel,
    teacher: HashModel | None,
    config: IEMConfig,
) -> tuple[Tensor, Tensor, Tensor]:
    """Embed all views of the stored images, and judge them by a trained model.

    Where the maps of one forward would exceed ``config.memory_gb``, stored images go through in chunks that
    are computed again in the backward pass: memory is that of one chunk, the sums are the same.

    Parameters
    ----------
    stored : Tensor, shape (M, C, H, W)
    labels : Tensor of int64, shape (M,)
    formation : int
    augmentation : Augmentation
    drawn : Draw
        Parameters per class.
    network, teacher : HashModel
        Frozen.
    config : IEMConfig

    Returns
    -------
    z, v : Tensor, shapes (M * f^2, dim) and (M * f^2, bits)
    loss : Tensor
        Hashing loss of the views under the teacher, mean over the views; 0 without one.
    """
    judge = objective(teacher.method) if teacher else None

    def embed(part: Tensor, part_labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        of = part_labels.repeat_interleave(formation**2)
        shown = augmentation.apply(decode(part, formation), drawn.at(of))
        z, v = network.embed(shown)
        if teacher is None or judge is None:
            return z, v, z.new_zeros(())
        seen = teacher(shown)
        both = torch.cat([seen, seen]) if judge.two_views else seen
        return z, v, judge.loss(both, of, teacher.targets, 1.0) * len(of)

    chunk = fitting(network, config.memory_gb / (2 if teacher else 1), formation**2)
    if len(stored) <= chunk:
        z, v, loss = embed(stored, labels)
    else:
        parts = [
            recompute(embed, *pair, use_reentrant=False, preserve_rng_state=False)
            for pair in zip(stored.split(chunk), labels.split(chunk), strict=True)
        ]
        z, v = torch.cat([p[0] for p in parts]), torch.cat([p[1] for p in parts])
        loss = torch.stack([p[2] for p in parts]).sum()
    return z, v, loss / (len(stored) * formation**2)


def fitting(network: HashModel, memory_gb: float, views: int) -> int:
    """Return how many stored images of ``views`` views each fit a forward with gradients: 1 or more."""
    return max(1, int(memory_gb * 2**30 / (network.bytes_per_image(grad=True) * views)))


def moments(z: Tensor, v: Tensor, classes: int, *, cov: bool) -> Moments:
    """Return the moments of every class; rows are sorted by class, equally many each."""
    by_class = v.unflatten(0, (classes, -1))
    mean = by_class.mean(dim=1)
    spread = None
    if cov:
        off = by_class - mean[:, None]
        spread = off.transpose(1, 2) @ off / by_class.shape[1]
    return Moments(z.unflatten(0, (classes, -1)).mean(dim=1), mean, spread)


def distance(ours: Moments, real: Moments, scale: Moments, config: IEMConfig) -> Tensor:
    """Return the weighted sum of squared distances over classes, each divided by the scale of the real moment."""
    total = config.weight_z * (ours.z - real.z).square().sum() / scale.z
    if config.weight_v:
        total = total + config.weight_v * (ours.v - real.v).square().sum() / scale.v
    if ours.cov is not None and real.cov is not None and scale.cov is not None:
        total = total + config.weight_cov * (ours.cov - real.cov).square().sum() / scale.cov
    return total


def siamese(config: IEMConfig, images: ImageSet) -> Augmentation:
    """Return the augmentation to match under: none where it is switched off."""
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


class RealStatistics:
    """The real side of a step: its network, its augmentation, and the moments of a real batch under them."""

    def __init__(
        self, images: ImageSet, networks: Networks, config: IEMConfig, seed: int, device: torch.device
    ) -> None:
        self.augmentation = siamese(config, images)
        self._real = RealImages(images, device)
        self._networks, self._config, self._seed, self._device = networks, config, seed, device
        self._class = torch.arange(images.num_classes, device=device).repeat_interleave(config.real_batch)
        self._classes = images.num_classes
        self._known: dict[int, tuple[Moments, Moments]] = {}

    @torch.no_grad()
    def at(self, step: int) -> tuple[HashModel, Draw, Moments, Moments]:
        """Return network, augmentation parameters per class, real moments and their scales at a step."""
        instance = step % self._config.cache if self._config.cache else step
        source = generator(self._device, self._seed, _STAGE, instance)
        network = self._networks.draw(instance, source)
        drawn = self.augmentation.draw(self._classes, source)
        if instance not in self._known:
            found = self._measure(network, drawn, source)
            if not self._config.cache:
                return network, drawn, *found
            self._known[instance] = found
        return network, drawn, *self._known[instance]

    def _measure(self, network: HashModel, drawn: Draw, source: torch.Generator) -> tuple[Moments, Moments]:
        batch = self._real.batch(self._config.real_batch, source)
        chunk = max(1, int(self._config.memory_gb * 2**30 / network.bytes_per_image(grad=False)))
        parts = [
            network.embed(self.augmentation.apply(part, drawn.at(of)))
            for part, of in zip(batch.split(chunk), self._class.split(chunk), strict=True)
        ]
        z, v = torch.cat([p[0] for p in parts]), torch.cat([p[1] for p in parts])
        found = moments(z, v, self._classes, cov=self._config.weight_cov > 0)
        spread = None if found.cov is None else found.cov.square().sum((1, 2)).mean()
        return found, Moments(z.square().sum(1).mean(), v.square().sum(1).mean(), spread)


class Networks:
    """The condensing networks: a pool to draw from, or a new random one each step; one module for all."""

    def __init__(
        self,
        images: ImageSet,
        pool: Pool | None,
        config: IEMConfig,
        shape: dict[str, Any],
        *,
        seed: int,
        device: torch.device,
    ) -> None:
        self._seed, self._config, self._device = seed, config, device
        self._stage = HashModel(
            channels=images.channels,
            size=images.size,
            num_classes=images.num_classes,
            **shape,
        ).to(device)
        self._stage.eval().requires_grad_(False)
        pixels = to_float(images.images)
        self._stage.mean.copy_(pixels.mean(dim=(0, 2, 3)))
        self._stage.std.copy_(pixels.std(dim=(0, 2, 3)).clamp_min(1e-3))
        pairs = zip(pool.starts, pool.models, strict=True) if pool else ()
        self._pool = [(self._state(start), self._state(end)) for start, end in pairs]

    def _state(self, model: HashModel) -> dict[str, Tensor]:
        return {name: tensor.to(self._device) for name, tensor in model.state_dict().items()}

    def draw(self, instance: int, source: torch.Generator) -> HashModel:
        """Return the network of a step."""
        tossed = self._config.networks == "both" and derive(self._seed, 0xD5, instance) % 2
        if not self._pool or tossed:
            initialise(self._stage, derive(self._seed, 0xD3, instance))
            return self._stage
        start, end = self._pool[derive(self._seed, 0xD4, instance) % len(self._pool)]
        share = torch.ones((), device=self._device)
        if self._config.interpolate:
            share = torch.rand((), generator=source, device=self._device)
        load_blend(self._stage, start, end, share)
        perturb(self._stage, self._config.perturb, source)
        return self._stage
