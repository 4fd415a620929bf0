"""What distribution matching compares: the moments of Z and V of every class, and the distance of two sets of them."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from pocket.condensation.config import IEMConfig


class Moments(NamedTuple):
    """What is matched, per class: means of Z (C, dim) and of V (C, K), covariance of V (C, K, K) or None."""

    z: Tensor
    v: Tensor
    cov: Tensor | None


def moments(z: Tensor, v: Tensor, classes: int, *, cov: bool, counts: Tensor | None = None) -> Moments:
    """Return the moments of every class; rows are sorted by class.

    Parameters
    ----------
    z, v : Tensor, shapes (N, dim) and (N, K)
    classes : int
    cov : bool
        With the covariance of V.
    counts : Tensor of int64, shape (classes,), optional
        Rows of each class; None: equally many. The moments of a class without rows are 0.
    """
    if counts is None:
        by_class = v.unflatten(0, (classes, -1))
        mean = by_class.mean(dim=1)
        spread = None
        if cov:
            off = by_class - mean[:, None]
            spread = off.transpose(1, 2) @ off / by_class.shape[1]
        return Moments(z.unflatten(0, (classes, -1)).mean(dim=1), mean, spread)
    # One matrix product gives the means of unequal classes, in a fixed order of summation on any device.
    of = torch.arange(classes, device=v.device).repeat_interleave(counts, output_size=len(v))  # else it waits
    share = functional.one_hot(of, classes).T.to(v.dtype) / counts.clamp(min=1)[:, None]
    mean = share @ v
    spread = None
    if cov:
        spread = (share[:, :, None] * v).transpose(1, 2) @ v - mean[:, :, None] * mean[:, None, :]
    return Moments(share @ z, mean, spread)


def distance(ours: Moments, real: Moments, scale: Moments, config: IEMConfig) -> Tensor:
    """Return the weighted sum of squared distances over classes, each divided by the scale of the real moment."""
    total = config.weight_z * (ours.z - real.z).square().sum() / scale.z
    if config.weight_v:
        total = total + config.weight_v * (ours.v - real.v).square().sum() / scale.v
    if ours.cov is not None and real.cov is not None and scale.cov is not None:
        total = total + config.weight_cov * (ours.cov - real.cov).square().sum() / scale.cov
    return total
