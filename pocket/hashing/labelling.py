"""Code labels: what a trained hash model says of every stored view, kept with the set.

They cost ``2 * bits`` bytes a view whatever the number of classes, and any kind of set can have them:
random images with them are the comparator of condensed ones with them.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from pocket.data import CondensedSet
from pocket.data.condensed import CodeLabels
from pocket.hashing.devices import pick_device
from pocket.hashing.networks import HashModel


@torch.no_grad()
def label(condensed: CondensedSet, model: HashModel, *, device: str = "auto") -> CondensedSet:
    """Return the set with the teacher's continuous codes of its decoded views, and the teacher's codebook.

    `pocket.train` then adds the cosine to these codes to the hashing loss, and refuses another method or length.

    Parameters
    ----------
    condensed : CondensedSet
        Condensed or a random subset, with or without labels so far.
    model : HashModel
        The teacher: trained on the full data of the same classes.
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda"``.

    Returns
    -------
    CondensedSet
        ``code_targets`` float16 of shape (M * f^2, bits), ``codebook`` float16 of shape (num_classes, bits); both
        count in ``stored_bytes``.

    Raises
    ------
    ValueError
        If the teacher takes other images or knows another number of classes.
    """
    shape = model.shape
    taken, had = (shape["channels"], shape["size"], shape["num_classes"]), condensed
    if taken != (had.channels, had.size, had.num_classes):
        raise ValueError(
            f"the teacher takes (channels, pixels, classes) {taken}, {condensed.name!r} has "
            f"{(had.channels, had.size, had.num_classes)}: label with a model trained on the same images"
        )
    where = pick_device(device)
    network = model.to(where).eval()
    parts = [network(part.to(where)).cpu() for part in condensed.decode().split(256)]
    model.cpu()
    codes = torch.cat(parts).numpy().astype(np.float16)
    made = CodeLabels(
        method=model.method,
        bits=model.bits,
        teacher_seconds=model.report.seconds if model.report else 0.0,
        teacher_fingerprint=model.fingerprint,
    )
    return replace(
        condensed,
        code_targets=codes,
        codebook=model.targets.detach().cpu().numpy().astype(np.float16),
        card=condensed.card.model_copy(update={"labels": made}),
    )
