"""Coresets: real images chosen by where their embeddings Z lie, by herding or greedy k-center.

Both take one image after another and, at each turn, one of every class at once: classes are padded to
the size of the largest, which costs memory where classes are very unequal.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from pocket.condensation.config import IEMConfig
from pocket.condensation.matching import Matched
from pocket.condensation.pool import make_pool
from pocket.data import ImageSet
from pocket.data.formation import encode
from pocket.hashing import HashModel
from pocket.hashing.devices import deterministic, pick_device, to_float
from pocket.hashing.fusion import prepare

if TYPE_CHECKING:
    from pocket.condensation.methods import Task


def herding(task: Task) -> Matched:
    """Choose the images whose running mean of Z stays closest to the mean of their class; see `herd`."""
    return _select(task, herd)


def kcenter(task: Task) -> Matched:
    """Choose the images that leave no image of their class far from a chosen one; see `k_center`."""
    return _select(task, k_center)


def herd(features: Tensor, labels: Tensor, num_classes: int, k: int) -> Tensor:
    """Choose ``k`` rows of each class, one by one, so that their mean is closest to the mean of the class.

    Turn t takes ``argmin_x |mu - (x + sum of those chosen) / t|^2`` over the rows not yet chosen. Welling,
    "Herding Dynamical Weights to Learn", ICML 2009; in this form Rebuffi et al., "iCaRL", CVPR 2017, alg. 4.

    Parameters
    ----------
    features : Tensor of float, shape (N, d)
    labels : Tensor of int64, shape (N,)
    num_classes, k : int

    Returns
    -------
    Tensor of int64, shape (num_classes, k)
        Row numbers in the order of choice; of rows that serve equally well the first. Those of a class of n < k rows
        are good up to the n-th.

    Raises
    ------
    ValueError
        If no class has ``k`` rows.
    """
    rows, taken = _by_class(labels, num_classes, k)
    x, norms, total, count = _moments(features, rows, taken)
    chosen = torch.empty(num_classes, k, dtype=torch.int64, device=features.device)
    chosen_sum = torch.zeros_like(total)
    classes = torch.arange(num_classes, device=features.device)
    for turn in range(k):
        # |t mu - chosen_sum - x|^2 less what is equal for all x, times the class's count, so that nothing is divided.
        wanted = (turn + 1) * total - count * chosen_sum
        score = count * norms - 2 * (x @ wanted[:, :, None]).squeeze(2)
        best = score.masked_fill(taken, torch.inf).argmin(dim=1)
        chosen[:, turn] = rows[classes, best]
        chosen_sum += x[classes, best]
        taken[classes, best] = True
    return chosen


def k_center(features: Tensor, labels: Tensor, num_classes: int, k: int) -> Tensor:
    """Choose ``k`` rows of each class: the one nearest to the mean, then always the one furthest from all chosen.

    Greedy k-center, at most twice the smallest possible radius: Sener and Savarese, "Active Learning for
    Convolutional Neural Networks: A Core-Set Approach", ICLR 2018, alg. 1, within each class.

    Parameters
    ----------
    features : Tensor of float, shape (N, d)
    labels : Tensor of int64, shape (N,)
    num_classes, k : int

    Returns
    -------
    Tensor of int64, shape (num_classes, k)
        Row numbers in the order of choice; of rows that serve equally well the first. Those of a class of n < k rows
        are good up to the n-th.

    Raises
    ------
    ValueError
        If no class has ``k`` rows.
    """
    rows, taken = _by_class(labels, num_classes, k)
    x, norms, total, count = _moments(features, rows, taken)
    chosen = torch.empty(num_classes, k, dtype=torch.int64, device=features.device)
    classes = torch.arange(num_classes, device=features.device)
    nearest = torch.full_like(norms, torch.inf)  # squared distance of each row to the nearest that is chosen
    best = (count * norms - 2 * (x @ total[:, :, None]).squeeze(2)).masked_fill(taken, torch.inf).argmin(dim=1)
    for turn in range(k):
        chosen[:, turn] = rows[classes, best]
        taken[classes, best] = True
        centre = x[classes, best]
        distance = norms - 2 * (x @ centre[:, :, None]).squeeze(2) + norms[classes, best][:, None]
        nearest = torch.minimum(nearest, distance)
        best = nearest.masked_fill(taken, -torch.inf).argmax(dim=1)
    return chosen


def _by_class(labels: Tensor, num_classes: int, k: int) -> tuple[Tensor, Tensor]:
    """Return row numbers, one line a class, shape (num_classes, largest), and True where a line is only padding."""
    counts = torch.bincount(labels, minlength=num_classes)
    if not 1 <= k <= int(counts.max()):
        raise ValueError(f"k={k}: 1 row a class is chosen, up to {int(counts.max())}, which the largest class has")
    place = torch.arange(int(counts.max()), device=labels.device)
    starts = torch.cumsum(counts, 0) - counts
    padding = place >= counts[:, None]
    order = torch.argsort(labels, stable=True)
    return order[(starts[:, None] + place).masked_fill(padding, 0)], padding


def _moments(features: Tensor, rows: Tensor, padding: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return x (C, n, d), its squared norms (C, n), its sum (C, d) and the count (C, 1), padding being 0."""
    # Doubles: a class's best candidates differ in digits that the sum over thousands of float32 rows has lost.
    x = features.double()[rows].masked_fill_(padding[:, :, None], 0.0)
    return x, x.square().sum(dim=2), x.sum(dim=1), (~padding).sum(dim=1, keepdim=True)


def _select(task: Task, choose: Callable[[Tensor, Tensor, int, int], Tensor]) -> Matched:
    images, config = task.images, task.config
    if not isinstance(config, IEMConfig):
        raise ValueError(f"herding and k-center take an IEMConfig (formation and pool_epochs of it), not {config!r}")
    views = task.counts * task.formations**2
    images.pick(views, 0, repeat=True)  # refuses, by name, classes without images, before a network is trained in vain
    where = pick_device(task.device)
    prepare(where, images.size, task.backbone)
    model, pool_seconds, teacher_seconds = _embedder(task, config)
    started = time.perf_counter()
    possible = np.minimum(views, images.counts)
    with deterministic():
        z = _embeddings(model, images, where)
        chosen = choose(z, torch.tensor(images.labels, device=where), images.num_classes, int(possible.max()))
    rows = chosen.cpu().numpy()
    # As many as wanted of each class, from the first again where there are no more.
    taken = [row[np.arange(n) % max(many, 1)] for row, n, many in zip(rows, views, possible, strict=True)]
    stored = encode(to_float(images.images[np.concatenate(taken)]), task.formation)
    return Matched(stored, pool_seconds, time.perf_counter() - started, teacher_seconds)


def _embedder(task: Task, config: IEMConfig) -> tuple[HashModel, float, float]:
    """Return the network that gives Z, the teacher or else an early-stage one, and its seconds as pool, as teacher."""
    if task.teacher is None:
        alone = replace(config, pool_size=1)
        pool = make_pool(
            task.images,
            alone,
            bits=task.bits,
            hashing=task.hashing,
            backbone=task.backbone,
            width=task.width,
            seed=task.seed,
            device=task.device,
            keep=task.checkpoint.beside("pool") if task.checkpoint else None,
        )
        return pool.models[0], pool.seconds, 0.0
    takes = (task.teacher.shape["channels"], task.teacher.shape["size"])
    if takes != (task.images.channels, task.images.size):
        raise ValueError(
            f"the teacher takes images of {takes[0]} channels and {takes[1]} px, "
            f"{task.images.name!r} has {task.images.channels} and {task.images.size}"
        )
    return task.teacher, 0.0, task.teacher.report.seconds if task.teacher.report else 0.0


@torch.no_grad()
def _embeddings(model: HashModel, images: ImageSet, device: torch.device) -> Tensor:
    """Return Z of every image, shape (N, dim), in chunks of near 512 MiB."""
    chunk = min(max(2**29 // model.bytes_per_image(grad=False), 16), 1000)
    network = copy.deepcopy(model).to(device).eval()  # the caller's model stays where it is
    starts = range(0, len(images), chunk)
    return torch.cat([network.embed(to_float(images.images[s : s + chunk], device))[0] for s in starts])
