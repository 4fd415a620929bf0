"""New classes and new images arrive: condense only what has changed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

import numpy as np

from pocket.condensation.methods import condense
from pocket.data import CondensedSet, ImageSet
from pocket.runs.provenance import provenance


def changed_classes(before: ImageSet, after: ImageSet) -> list[str]:
    """Return the classes of ``after`` that ``before`` lacks, or holds with other images; their order is no matter."""
    known = _digests(before)
    return [name for name, digest in _digests(after).items() if known.get(name) != digest]


def _digests(images: ImageSet) -> dict[str, str]:
    found = {}
    for number, name in enumerate(images.class_names):
        each = sorted(hashlib.sha256(image.tobytes()).digest() for image in images.images[images.labels == number])
        found[name] = hashlib.sha256(b"".join(each)).hexdigest()
    return found


def update(condensed: CondensedSet, images: ImageSet, classes: Iterable[str], **options: Any) -> CondensedSet:
    """Make the stored images of some classes anew, and keep those of all others.

    Distribution matching looks at one class at a time, so that the classes that stay lose nothing; only what
    judges, a teacher or a pool, should know all classes: give one that was trained on ``images``, else one is.

    Parameters
    ----------
    condensed : CondensedSet
        Without code labels: label the result again.
    images : ImageSet
        All real images as they are now; a class that it no longer has is dropped.
    classes : iterable of str
        Names of the classes to make anew, such as `changed_classes` gives.
    **options
        Of `condense`; method, formation and sizes are those of ``condensed``.

    Returns
    -------
    CondensedSet
        With the seconds of this update alone.

    Raises
    ------
    ValueError
        If a class is unknown, is neither stored nor to be made, or the two sets do not fit.
    """
    anew = set(classes)
    names, old = images.class_names, condensed.card.class_names
    if unknown := anew - set(names):
        raise ValueError(f"{images.name!r} has no class {', '.join(sorted(unknown))}")
    if missing := [name for name in names if name not in anew and name not in old]:
        raise ValueError(f"{', '.join(missing)} is new: name it among the classes to make")
    if (images.channels, images.size) != (condensed.channels, condensed.size):
        raise ValueError(
            f"{images.name!r} has {images.channels} channels and {images.size} px, "
            f"{condensed.name!r} {condensed.channels} and {condensed.size}"
        )
    if condensed.codes:
        raise ValueError(
            f"{condensed.name!r} carries codes of a teacher that does not know what is new: label it after"
        )
    # A class keeps its stored images and tiles in number; a new one gets as many as the class that has the most.
    before = condensed.card.formations or (condensed.card.formation,) * len(old)
    sizes = np.bincount(condensed.labels, minlength=len(old)).tolist()
    kept = {name: pair for name, *pair in zip(old, sizes, before, strict=True)}
    formations = [kept[name][1] if name in kept else condensed.card.formation for name in names]
    stored, labels, seconds = [], [], (0.0, 0.0, 0.0)
    if anew:
        wanted = [(kept[name][0] if name in kept else condensed.card.ipc) if name in anew else 0 for name in names]
        made = condense(images, wanted, condensed.card.method, formation=formations, **options)
        stored, labels = [made.images], [made.labels]
        seconds = made.card.pool_seconds, made.card.condense_seconds, made.card.teacher_seconds
    for number, name in enumerate(names):
        if name not in anew:
            rows = condensed.labels == old.index(name)
            stored.append(condensed.images[rows])
            labels.append(np.full(rows.sum(), number))
    every, which = np.concatenate(stored), np.concatenate(labels)
    order = np.argsort(which, kind="stable")
    counts = np.bincount(which, minlength=len(names))
    card = condensed.card.model_copy(
        update={
            "ipc": int(counts.max()),
            "counts": None if (counts == counts[0]).all() else tuple(counts.tolist()),
            "formation": max(formations),
            "formations": None if len(set(formations)) == 1 else tuple(formations),
            "source": images.name,
            "source_fingerprint": images.fingerprint,
            "source_images": len(images),
            "class_names": names,
            "config": condensed.card.config | {"made_anew": sorted(anew)},
            "pool_seconds": seconds[0],
            "condense_seconds": seconds[1],
            "teacher_seconds": seconds[2],
            "provenance": provenance(condensed.card.provenance.device),
            "tensors_sha256": "",
        }
    )
    return CondensedSet(every[order], which[order].astype(np.int64), card)
