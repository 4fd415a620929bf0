"""Code labels: what a trained hash model says of patchworks of the stored views, kept with the set.

They cost four bits for each bit of the code and each patchwork (16 bytes at 32 bits) whatever the number of classes,
and any kind of set can have them: random images with them are the comparator of condensed ones with them.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from pocket.data import CondensedSet
from pocket.data.condensed import CodeLabels
from pocket.hashing.devices import pick_device
from pocket.hashing.mixing import Mixes
from pocket.hashing.networks import HashModel

MIXES = 20  # patchworks of each view
_CLIP = 3.0  # times the mean size of a code's values: the largest that four bits keep


@torch.no_grad()
def label(
    condensed: CondensedSet, model: HashModel, *, mixes: int = MIXES, seed: int = 0, device: str = "auto"
) -> CondensedSet:
    """Return the set with a teacher's continuous codes of patchworks of its views, and the teacher's codebook.

    `pocket.train` then learns each patchwork with its own code, in place of the hashing loss and without further
    augmentation, and refuses another method or length.

    What more patchworks bring, mAP at seed 0 with 10 images a class in 2 x 2 tiles, IEM / random; "no end" are new ones
    at every step of training:

    ============================ ============= ============= =============
    codes                        Fashion-MNIST digits        CIFAR-10
    ============================ ============= ============= =============
    none                         not tried     0.984 / 0.925 0.277 / 0.193
    of the views                 0.748 / 0.623 0.990 / 0.949 0.290 / 0.234
    10 patchworks                0.804 / 0.767 0.990 / 0.980 0.303 / 0.275
    20 patchworks                0.803 / 0.776 0.990 / 0.983 0.314 / 0.290
    no end                       0.812 / -     0.989 / 0.983 0.327 / 0.298
    full data                    0.867         0.995         0.486
    ============================ ============= ============= =============

    Fashion-MNIST and CIFAR-10 with 600 and 500 train images a class, width 32; of the patchworks of digits and CIFAR-10
    every other one was a mean of two views (mixup), which was worse on Fashion-MNIST (0.797 with 10).

    Parameters
    ----------
    condensed : CondensedSet
        Condensed or a random subset, with or without labels so far.
    model : HashModel
        The teacher: trained on the full data of the same classes.
    mixes : int
        Patchworks of each view, 1 or more.
    seed : int
        Of the patchworks.
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda"``.

    Returns
    -------
    CondensedSet
        ``code_targets`` uint8 of shape (mixes * sum of f^2, bits / 2), see `pack`; ``codebook`` float16 of shape
        (num_classes, bits). Both count in ``stored_bytes``.

    Raises
    ------
    ValueError
        If the teacher takes other images or knows another number of classes, or ``mixes`` is below 1.
    """
    shape = model.shape
    taken, had = (shape["channels"], shape["size"], shape["num_classes"]), condensed
    if taken != (had.channels, had.size, had.num_classes):
        raise ValueError(
            f"the teacher takes (channels, pixels, classes) {taken}, {condensed.name!r} has "
            f"{(had.channels, had.size, had.num_classes)}: label with a model trained on the same images"
        )
    if mixes < 1:
        raise ValueError(f"mixes={mixes}: must be 1 or more")
    where = pick_device(device)
    network = model.to(where).eval()
    views = condensed.decode().to(where)
    drawn = Mixes.draw(len(views), mixes, condensed.size, mirror=condensed.mirror, seed=seed)
    patchworks, rows = drawn.to(where), torch.arange(len(views) * mixes, device=where)
    codes = torch.cat([pack(network(patchworks.make(views, part)).cpu()) for part in rows.split(256)])
    model.cpu()
    made = CodeLabels(
        method=model.method,
        bits=model.bits,
        teacher_seconds=model.report.seconds if model.report else 0.0,
        teacher_fingerprint=model.fingerprint,
        mixes=mixes,
        seed=seed,
        drawn_sha256=drawn.sha256,
    )
    return replace(
        condensed,
        code_targets=codes.numpy(),
        codebook=model.targets.detach().cpu().numpy().astype(np.float16),
        card=condensed.card.model_copy(update={"labels": made}),
    )


def pack(values: Tensor) -> Tensor:
    """Return continuous codes at four bits a value, uint8 of shape (N, bits / 2).

    Each code is kept up to a factor, since training takes the cosine to it. Four bits lose nothing that could be
    measured: Fashion-MNIST, IEM, 10 patchworks a view, seed 0: mAP 0.804 from float16 and from four bits, 0.793 from
    the signs alone; random tiles 0.767, 0.765, 0.758.
    """
    full = _CLIP * values.abs().mean(1, keepdim=True).clamp_min(1e-12)
    level = ((values / full * 7).round().clamp(-7, 7) + 8).to(torch.uint8)
    return (level[:, 0::2] << 4) | level[:, 1::2]


def unpack(packed: Tensor) -> Tensor:
    """Return what `pack` kept, float32 of shape (N, bits), values -7 ... 7."""
    return torch.stack([packed >> 4, packed & 15], dim=2).flatten(1).float() - 8
