"""Distribution matching: IEM, and DM as the same loop with less in it.

For class c, real images T_c, synthetic images S_c, formation decoder D and a siamese augmentation A
with parameters shared by the real and the synthetic batch of a class:

``L = weight_z   sum_c |mu_Z(A T_c) - mu_Z(A D S_c)|^2 / s_Z
    + weight_v   sum_c |mu_V(A T_c) - mu_V(A D S_c)|^2 / s_V
    + weight_cov sum_c |Sigma_V(A T_c) - Sigma_V(A D S_c)|_F^2 / s_Sigma
    + weight_hash hash_loss(V_judge(A D S), codewords)``

with Z the feature embedding, V = g(Z) the continuous hash representation, s_Z and s_V the mean of |z|^2
and |v|^2 over the images of the real batch, s_Sigma the mean of |Sigma_V|_F^2 over its classes, and the
judge a trained model: the teacher, or one of the pool. The first two terms are IEM (arXiv 2305.18076),
the first alone under random networks is DM (Zhao and Bilen, WACV 2023); the last two are ours: retrieval
depends on the spread of V inside a class, and images that match means alone can leave their own class
under a trained network (DANCE, IJCAI 2024).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint as recompute

from pocket.condensation.config import IEMConfig
from pocket.condensation.moments import Moments, distance, moments
from pocket.condensation.networks import Networks
from pocket.condensation.pool import Pool, make_pool, pool_identity
from pocket.condensation.real import RealStatistics
from pocket.data import ImageSet
from pocket.data.formation import Formation, decode
from pocket.hashing import Augmentation, HashModel
from pocket.hashing.augmentation import Draw
from pocket.hashing.bars import steps
from pocket.hashing.devices import deterministic, pick_device
from pocket.hashing.fusion import prepare
from pocket.hashing.objectives import objective
from pocket.hashing.replay import Replay
from pocket.runs.checkpoint import Checkpoint


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


def match(
    images: ImageSet,
    start: Tensor,
    config: IEMConfig,
    *,
    counts: npt.NDArray[np.int64],
    formation: Formation,
    hashing: str,
    bits: int,
    backbone: str,
    width: int,
    seed: int,
    device: str,
    pool: Pool | None,
    teacher: HashModel | None,
    progress: bool | str,
    watch: Callable[[Step], None] | None,
    checkpoint: Checkpoint | None,
) -> Matched:
    """Move ``start`` so that its embeddings are distributed like those of the real images.

    Parameters
    ----------
    images : ImageSet
        The real images.
    start : Tensor of float, shape (M, channels, H, W)
        Stored synthetic images to begin with, sorted by class.
    config : IEMConfig
    counts : ndarray of int64, shape (C,)
        Stored images of each class, M in all. A class with none is not matched.
    hashing, bits, backbone, width
        Of the condensing networks.
    seed : int
        Of networks, batches, perturbations and augmentation.
    device : str
    pool : Pool, optional
        Made here where the configuration wants one and none is given.
    teacher : HashModel, optional
        A trained hash model for the hash consistency; needed where ``config.taught``.
    progress : bool or str
    watch : callable, optional
        Called with a `Step` before the first step and after every one.
    checkpoint : Checkpoint, optional
        Where to keep the state; a matching one on disk is continued from.

    Returns
    -------
    Matched
    """
    where = pick_device(device)
    prepare(where, images.size, backbone)
    if not config.pooled:
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
    judge = teacher.to(where).eval().requires_grad_(False) if teacher and config.taught else networks.judge
    real = RealStatistics(images, networks, config, seed, where)
    classes = images.num_classes
    stored = torch.tensor(counts, device=where)
    labels = torch.arange(classes, device=where).repeat_interleave(stored)
    views_of = np.bincount(
        np.arange(classes).repeat(counts), weights=np.full(len(start), formation) ** 2, minlength=classes
    ).astype(np.int64)
    equal = bool((views_of == views_of[0]).all())
    rows = None if equal else torch.tensor(views_of, device=where)
    made = (stored > 0)[:, None]
    synthetic = start.clone().to(where).requires_grad_(True)
    optimizer = torch.optim.Adam([synthetic], lr=config.lr, betas=(0.5, 0.9))
    first, spent = checkpoint.restore({"images": synthetic}, optimizer) if checkpoint else (0, 0.0)
    loss = torch.zeros((), device=where)

    def apart(drawn: Draw, target: Moments, scale: Moments) -> Tensor:
        z, v, off = views(synthetic, labels, formation, real.augmentation, drawn, networks.stage, judge, config)
        ours = moments(z, v, classes, cov=config.weight_cov > 0, counts=rows)
        if not equal:
            ours = _where(made, ours, target)
        return config.weight_hash * off + distance(ours, target, scale, config)

    # Unequal classes and tiles are put in order with numbers that come from the processor.
    fixed = equal and isinstance(formation, int) and networks.stage.recordable and (judge is None or judge.recordable)
    descend = Replay(apart, [synthetic], where, on=fixed)
    started = time.perf_counter()

    def seconds() -> float:
        return spent + time.perf_counter() - started

    def last() -> Tensor:
        return loss

    if watch and first == 0:
        watch(Step(0, synthetic.detach(), loss))
    try:
        with deterministic():
            for step in steps(
                range(first, config.steps),
                progress if isinstance(progress, str) else f"condensing {images.name}",
                shown=bool(progress),
                loss=last,
                initial=first,
                total=config.steps,
            ):
                loss = descend(*real.at(step))
                for group in optimizer.param_groups:
                    group["lr"] = config.lr * config.decay(step)
                optimizer.step()
                with torch.no_grad():
                    synthetic.clamp_(0, 1)
                if watch:
                    watch(Step(step + 1, synthetic.detach(), loss))
                if checkpoint:
                    checkpoint.keep(step + 1, {"images": synthetic}, optimizer, seconds())
    except KeyboardInterrupt:
        if checkpoint:
            checkpoint.flush()
        raise
    finished = synthetic.detach().cpu()
    return Matched(finished, pool.seconds if pool else 0.0, seconds())


def _where(made: Tensor, ours: Moments, real: Moments) -> Moments:
    """Return our moments, and the real ones for classes of which nothing is made: their distance is then 0."""
    cov = None if ours.cov is None or real.cov is None else torch.where(made[:, :, None], ours.cov, real.cov)
    return Moments(torch.where(made, ours.z, real.z), torch.where(made, ours.v, real.v), cov)


def views(
    stored: Tensor,
    labels: Tensor,
    formation: Formation,
    augmentation: Augmentation,
    drawn: Draw,
    network: HashModel,
    judge: HashModel | None,
    config: IEMConfig,
) -> tuple[Tensor, Tensor, Tensor]:
    """Embed all views of the stored images, and judge them by a trained model.

    Where the maps of one forward would exceed ``config.memory_gb``, stored images go through in chunks that
    are computed again in the backward pass: memory is that of one chunk, the sums are the same.

    Parameters
    ----------
    stored : Tensor, shape (M, C, H, W)
    labels : Tensor of int64, shape (M,)
    formation : int or ndarray of int64, shape (M,)
    augmentation : Augmentation
    drawn : Draw
        Parameters per class.
    network, judge : HashModel
        Frozen; the judge is a trained one, or None.
    config : IEMConfig

    Returns
    -------
    z, v : Tensor, shapes (sum of f^2, dim) and (sum of f^2, bits)
    loss : Tensor
        Hashing loss of the views under the judge, mean over the views; 0 without one.
    """
    asked = objective(judge.method) if judge else None
    total = int((np.full(len(stored), formation) ** 2).sum())

    def embed(part: Tensor, part_labels: Tensor, start: int) -> tuple[Tensor, Tensor, Tensor]:
        own = formation if isinstance(formation, int) else formation[start : start + len(part)]
        if isinstance(own, int):
            of = part_labels[:, None].expand(-1, own**2).flatten()
        else:
            many = torch.as_tensor(own**2, device=part.device)
            of = part_labels.repeat_interleave(many, output_size=int((own**2).sum()))  # else it waits
        shown = augmentation.apply(decode(part, own), drawn.at(of))
        z, v = network.embed(shown)
        if judge is None or asked is None:
            return z, v, z.new_zeros(())
        seen = judge(shown)
        both = torch.cat([seen, seen]) if asked.two_views else seen
        return z, v, asked.loss(both, of, judge.targets, 1.0) * len(of)

    chunk = fitting(network, config.memory_gb / (2 if judge else 1), int(np.max(formation)) ** 2)
    if len(stored) <= chunk:
        z, v, loss = embed(stored, labels, 0)
    else:
        starts = range(0, len(stored), chunk)
        parts = [
            recompute(embed, *part, use_reentrant=False, preserve_rng_state=False)
            for part in zip(stored.split(chunk), labels.split(chunk), starts, strict=True)
        ]
        z, v = torch.cat([p[0] for p in parts]), torch.cat([p[1] for p in parts])
        loss = torch.stack([p[2] for p in parts]).sum()
    return z, v, loss / total


def fitting(network: HashModel, memory_gb: float, views: int) -> int:
    """Return how many stored images of ``views`` views each fit a forward with gradients: 1 or more."""
    return max(1, int(memory_gb * 2**30 / (network.bytes_per_image(grad=True) * views)))
