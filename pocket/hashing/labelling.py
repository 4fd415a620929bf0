"""Code labels: what a trained hash model says of every stored view, kept with the set.

They cost ``2 * bits`` bytes a view, or ``bits`` bytes a patchwork of two views (`pocket.hashing.mixing`), whatever the
number of classes, and any kind of set can have them: random images with them are the comparator of condensed ones with
them.
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


@torch.no_grad()
def label(
    condensed: CondensedSet, model: HashModel, *, mixes: int = 0, seed: int = 0, device: str = "auto"
) -> CondensedSet:
    """Return the set with a teacher's continuous codes, and the teacher's codebook.

    Codes of the decoded views (``mixes=0``) are an addition: `pocket.train` adds the cosine to them to the hashing
    loss. Codes of patchworks take its place: each patchwork is learned with its own code, without further
    augmentation. Either way another method or length is refused.

    Parameters
    ----------
    condensed : CondensedSet
        Condensed or a random subset, with or without labels so far.
    model : HashModel
        The teacher: trained on the full data of the same classes.
    mixes : int
        Patchworks of each view, 0 or more.
    seed : int
        Of the patchworks.
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda"``.

    Returns
    -------
    CondensedSet
        ``code_targets`` float16 of shape (M * f^2, bits), of patchworks int8 of shape (mixes * M * f^2, bits);
        ``codebook`` float16 of shape (num_classes, bits). Both count in ``stored_bytes``.

    Raises
    ------
    ValueError
        If the teacher takes other images or knows another number of classes, or ``mixes`` is negative.
    """
    shape = model.shape
    taken, had = (shape["channels"], shape["size"], shape["num_classes"]), condensed
    if taken != (had.channels, had.size, had.num_classes):
        raise ValueError(
            f"the teacher takes (channels, pixels, classes) {taken}, {condensed.name!r} has "
            f"{(had.channels, had.size, had.num_classes)}: label with a model trained on the same images"
        )
    if mixes < 0:
        raise ValueError(f"mixes={mixes}: must be 0 or more")
    where = pick_device(device)
    network = model.to(where).eval()
    views = condensed.decode().to(where)
    drawn = Mixes.draw(len(views), mixes, condensed.size, mirror=condensed.mirror, seed=seed) if mixes else None
    if drawn is None:
        codes = torch.cat([network(part).cpu().half() for part in views.split(256)])
    else:
        patchworks, rows = drawn.to(where), torch.arange(len(views) * mixes, device=where)
        codes = torch.cat([_rounded(network(patchworks.make(views, part)).cpu()) for part in rows.split(256)])
    model.cpu()
    made = CodeLabels(
        method=model.method,
        bits=model.bits,
        teacher_seconds=model.report.seconds if model.report else 0.0,
        teacher_fingerprint=model.fingerprint,
        mixes=mixes,
        seed=seed,
        drawn_sha256=drawn.sha256 if drawn else "",
    )
    return replace(
        condensed,
        code_targets=codes.numpy(),
        codebook=model.targets.detach().cpu().numpy().astype(np.float16),
        card=condensed.card.model_copy(update={"labels": made}),
    )


def _rounded(values: Tensor) -> Tensor:
    """Return each code as int8, its largest value 127: training takes the cosine, to which the scale is no matter."""
    return (values * (127 / values.abs().amax(1, keepdim=True).clamp_min(1e-12))).round().to(torch.int8)
