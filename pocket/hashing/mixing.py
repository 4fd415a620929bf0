"""Patchworks of two training views: what a teacher can say more about than about the few views themselves.

A patchwork is one view with a rectangle of another pasted in, as CutMix makes it (Yun et al., "CutMix: Regularization
Strategy to Train Strong Classifiers with Localizable Features", ICCV 2019). That work mixes the class labels, and so
does `Paste`. For code labels the teacher looks at the very patchwork, so that its code is right whatever is hidden
(`Mixes`): a student that sees what its teacher saw learns the teacher's function and not only its labels (Beyer et al.,
"Knowledge distillation: A good teacher is patient and consistent", CVPR 2022).
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple, Self

import numpy as np
import torch
from torch import Tensor

from pocket.data import CondensedSet
from pocket.runs.artefacts import ArtefactError

_STAGE = 0xC07  # keeps these draws apart from others with the same seed


class Mixes(NamedTuple):
    """What every patchwork is made of; N = rounds * views."""

    first: Tensor  # (N,) int64, the view that is pasted into
    second: Tensor  # (N,) int64, the view that the rectangle is taken from
    box: Tensor  # (N, 4) int64, the rectangle's top, bottom, left and right, in pixels; empty where equal
    flip: Tensor  # (N, 2) bool, whether the first and the second view are mirrored

    @classmethod
    def draw(cls, views: int, rounds: int, size: int, *, mirror: bool, seed: int) -> Self:
        """Draw the patchworks of a set: in every round each view is the first once and the second once.

        Equal arguments give equal patchworks, so that a set need only keep their codes.

        Parameters
        ----------
        views : int
            Decoded views of the set.
        rounds : int
            Patchworks a view.
        size : int
            Height and width in pixels.
        mirror : bool
            Mirror each view half of the time.
        seed : int
        """
        random = np.random.default_rng([seed, _STAGE])
        count = views * rounds
        second = np.concatenate([random.permutation(views) for _ in range(rounds)])
        # The rectangle covers 1 - lambda of the image, lambda uniform in 0 ... 1, and is cut off at the border.
        half = size * np.sqrt(1 - random.random((count, 1))) / 2
        centre = random.random((count, 2)) * size
        low, high = ((centre + sign * half).round().clip(0, size).astype(np.int64) for sign in (-1, 1))
        flip = (random.random((count, 2)) < 0.5) & mirror
        return cls(
            torch.arange(views).repeat(rounds),
            torch.tensor(second),
            torch.tensor(np.stack([low[:, 0], high[:, 0], low[:, 1], high[:, 1]], axis=1)),
            torch.tensor(flip),
        )

    @property
    def sha256(self) -> str:
        """Digest of all that was drawn: another version of NumPy may draw otherwise."""
        return hashlib.sha256(b"".join(part.cpu().numpy().tobytes() for part in self)).hexdigest()

    def to(self, device: torch.device) -> Self:
        """Return the same on a device."""
        return type(self)(*(part.to(device) for part in self))

    def make(self, views: Tensor, rows: Tensor) -> Tensor:
        """Return some of the patchworks, of the type of ``views``, shape (len(rows), C, H, W)."""
        whole, pasted = (
            torch.where(flipped[:, None, None, None], chosen.flip(3), chosen)
            for chosen, flipped in zip(
                (views[self.first[rows]], views[self.second[rows]]), self.flip[rows].unbind(1), strict=True
            )
        )
        return torch.where(_inside(self.box[rows], views.shape[-1]), pasted, whole)


class Paste(NamedTuple):
    """A rectangle that each image of a batch is given from another one, and the share of the label that goes with it.

    One place for the whole batch, as published: the share is then one number, and any loss of a batch can be mixed.
    """

    partner: Tensor  # (N,) int64, the image that the rectangle is taken from
    box: Tensor  # (4,) int64, its top, bottom, left and right, in pixels; empty where nothing is pasted
    kept: Tensor  # scalar, the share of the pixels that stay

    @classmethod
    def draw(cls, count: int, size: int, chance: float, generator: torch.Generator) -> Self:
        """Draw the rectangle of a batch of ``count`` images of ``size`` pixels; with ``1 - chance`` it is empty."""
        where = generator.device
        partner = torch.randperm(count, generator=generator, device=where)
        share, off, *centre = torch.rand(4, generator=generator, device=where)
        # It covers 1 - lambda of the image, lambda uniform in 0 ... 1, and is cut off at the border.
        half = torch.where(off < chance, size * (1 - share).sqrt() / 2, -1.0)
        top, left = ((c * size - half).round().clamp(0, size) for c in centre)
        bottom, right = ((c * size + half).round().clamp(0, size) for c in centre)
        bottom, right = torch.maximum(top, bottom), torch.maximum(left, right)
        kept = 1 - (bottom - top) * (right - left) / size**2
        return cls(partner, torch.stack([top, bottom, left, right]).long(), kept)

    def onto(self, images: Tensor) -> Tensor:
        """Return images of shape (N, C, H, W) with the rectangle of their partners."""
        return torch.where(_inside(self.box[None], images.shape[-1]), images[self.partner], images)


def _inside(box: Tensor, size: int) -> Tensor:
    """Return whether each pixel is in the box of its image, shape (N, 1, size, size) from (N, 4)."""
    top, bottom, left, right = box.T[:, :, None]
    pixel = torch.arange(size, device=box.device)
    tall, wide = (pixel >= top) & (pixel < bottom), (pixel >= left) & (pixel < right)
    return (tall[:, :, None] & wide[:, None, :])[:, None]


def mixes_of(labelled: CondensedSet) -> Mixes | None:
    """Return the patchworks that a set's codes belong to, row by row; None where it has no codes.

    Raises
    ------
    ArtefactError
        If other patchworks are drawn here than the set was labelled with.
    """
    made = labelled.card.labels
    if made is None:
        return None
    views = len(labelled.view_images)
    drawn = Mixes.draw(views, made.mixes, labelled.size, mirror=labelled.mirror, seed=made.seed)
    if drawn.sha256 != made.drawn_sha256:
        raise ArtefactError(
            f"NumPy {np.__version__} draws other patchworks than the codes of {labelled.name!r} belong to: label the "
            "set again (pocket.label)"
        )
    return drawn
