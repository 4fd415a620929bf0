"""What a batch is taught by: class labels under a hashing loss, or a teacher's codes of patchworks."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from pocket.hashing.augmentation import Augmentation, Draw
from pocket.hashing.devices import generator, to_float
from pocket.hashing.mixing import Mixes, Paste
from pocket.hashing.networks import HashModel
from pocket.hashing.objectives import objective

STAGE = 0x7124  # keeps the draws of training apart from those of other stages with the same seed


class Drawn(NamedTuple):
    """What is random of a step: the warp of each view of an image, and what is pasted in."""

    warps: tuple[Draw, ...] = ()
    paste: Paste | None = None


class Lesson(NamedTuple):
    """What a batch is taught by.

    ``draw`` gives what is random of a step, from its number and the size of the batch; ``loss`` is that of a model on
    the rows of a batch, from what was drawn and the share of the training done.
    """

    draw: Callable[[int, int], Drawn]
    loss: Callable[[HashModel, Tensor, Drawn, Tensor], Tensor]


def teach(views: Tensor, labels: Tensor, augmentation: Augmentation, method: str, seed: int, cutmix: float) -> Lesson:
    """Teach augmented views by the loss of the hashing method.

    With CutMix it is ``kept loss(v, labels) + (1 - kept) loss(v, labels of the partners)``, v that of the pasted images
    and ``kept`` the share of their own pixels; Yun et al., ICCV 2019.

    Parameters
    ----------
    views : Tensor of uint8 or of float in [0, 1], shape (N, C, H, W)
    labels : Tensor of int64, shape (N,)
    augmentation : Augmentation
    method : str
        Hashing method.
    seed : int
        Of augmentation and CutMix.
    cutmix : float
        Chance of a step to have it.
    """
    hashing = objective(method)
    kinds = (augmentation, augmentation.stronger()) if hashing.two_views else (augmentation,)

    def draw(step: int, size: int) -> Drawn:
        source = generator(views.device, seed, STAGE, step)
        warps = tuple(kind.draw(size, source) for kind in kinds)
        return Drawn(warps, Paste.draw(size, views.shape[-1], cutmix, source) if cutmix else None)

    def loss(model: HashModel, rows: Tensor, drawn: Drawn, progress: Tensor) -> Tensor:
        seen = to_float(views[rows])
        shown = [kind.apply(seen, by) for kind, by in zip(kinds, drawn.warps, strict=True)]
        own, paste = labels[rows], drawn.paste
        if paste is None:
            return hashing.loss(model(torch.cat(shown)), own, model.targets, progress)
        v = model(torch.cat([paste.onto(images) for images in shown]))
        mine, theirs = (hashing.loss(v, of, model.targets, progress) for of in (own, own[paste.partner]))
        return torch.lerp(theirs, mine, paste.kept)

    return Lesson(draw, loss)


def imitate(views: Tensor, mixes: Mixes, codes: Tensor, weight: float) -> Lesson:
    """Teach patchworks by the cosine to their codes alone, for what is true of both views is no class."""

    def loss(model: HashModel, rows: Tensor, _: Drawn, __: Tensor) -> Tensor:
        v = model(to_float(mixes.make(views, rows)))
        return weight * (1 - functional.cosine_similarity(v, codes[rows]).mean())

    return Lesson(lambda step, size: Drawn(), loss)
