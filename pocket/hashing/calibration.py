"""Head recalibration: bring the distribution of V on real images back to what the head was trained with.

A head trained on a few synthetic images centres its bits on *them*; on real images every bit is then
biased, and OrthoHash's authors saw codes destroyed by such a shift of domain (Hoe et al., NeurIPS 2021,
supplement D.5). Unlabelled real images are enough to mend it: no label and no gradient is used.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from pocket.hashing.devices import pick_device, to_float

if TYPE_CHECKING:
    from pocket.data import ImageSet
    from pocket.hashing.networks import HashModel


def represent(model: HashModel, images: ImageSet, *, batch: int | None = None, device: str = "auto") -> Tensor:
    """Return V of every image, float32 of shape (N, bits), on the CPU.

    Parameters
    ----------
    model : HashModel
    images : ImageSet
        Of the size and channels that the model was trained for.
    batch : int, optional
        Images a forward; by default as many as take near 512 MiB. Changes memory and speed only.
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda"``.

    Raises
    ------
    ValueError
        If the images have another shape than the model takes, or the model gives NaN or infinity.
    """
    return _outputs(model, images, 1, batch, device)


def features(model: HashModel, images: ImageSet, *, batch: int | None = None, device: str = "auto") -> Tensor:
    """Return Z of every image, float32 of shape (N, model.dim), on the CPU; else as `represent`."""
    return _outputs(model, images, 0, batch, device)


@torch.no_grad()
def _outputs(model: HashModel, images: ImageSet, which: int, batch: int | None, device: str) -> Tensor:
    """Return Z (which = 0) or V (1) of every image."""
    wanted = (model.shape["channels"], model.shape["size"], model.shape["size"])
    if images.images.shape[1:] != wanted:
        raise ValueError(f"the model takes images of shape {wanted}, {images.name!r} has {images.images.shape[1:]}")
    where = pick_device(device)
    batch = batch or min(max(2**29 // model.bytes_per_image(grad=False), 16), 1000)
    network = model.to(where).eval()
    rows = [
        network.embed(to_float(images.images[start : start + batch], where))[which].cpu()
        for start in range(0, len(images), batch)
    ]
    model.cpu()
    values = torch.cat(rows) if rows else torch.empty(0, (model.dim, model.bits)[which])
    if bad := int((~values.isfinite()).any(dim=1).sum()):
        raise ValueError(
            f"the model gives NaN or infinity for {bad} of {len(values)} images of {images.name!r}: its training "
            "diverged; train again with a smaller step size"
        )
    return values


class Calibration(NamedTuple):
    """``V' = gain * V + offset``, both of shape (bits,)."""

    gain: Tensor
    offset: Tensor

    def apply(self, values: Tensor) -> Tensor:
        """Return the recalibrated V, shape (N, bits)."""
        return values * self.gain + self.offset


def calibration(model: HashModel, values: Tensor) -> Calibration:
    """Return what gives V on real images the mean and spread, per bit, that it had on the training views.

    ``V' = (V - m) / s * s0 + m0``, with m, s over ``values`` and m0, s0 over the training views. For a head
    that ends in a BatchNorm this is the same as computing its running statistics anew.

    Parameters
    ----------
    model : HashModel
    values : Tensor, shape (N, bits)
        V of real images under ``model``, from `represent`.

    Raises
    ------
    ValueError
        If there are fewer than 2 images.
    """
    if len(values) < 2:
        raise ValueError(f"recalibration needs at least 2 images, not {len(values)}")
    gain = model.code_std / values.std(0).clamp_min(1e-6)
    return Calibration(gain, model.code_mean - values.mean(0) * gain)


def recalibrate(model: HashModel, images: ImageSet, *, device: str = "auto") -> HashModel:
    """Return a copy of the model, recalibrated on unlabelled real images; see `calibration`.

    Parameters
    ----------
    model : HashModel
    images : ImageSet
        Real images, such as the database; their labels are not looked at.
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda"``.

    Raises
    ------
    ValueError
        If there are fewer than 2 images, or they have another shape than the model takes.
    """
    found = calibration(model, represent(model, images, device=device))
    changed = copy.deepcopy(model)
    changed.scale.mul_(found.gain)
    changed.shift.mul_(found.gain).add_(found.offset)
    return changed
