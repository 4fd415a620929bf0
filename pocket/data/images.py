"""What travels between the rooms: `ImageSet` and `RetrievalSplit`."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np
import numpy.typing as npt

from pocket.data.decoding import Fit


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Labelled images of one size, as stored: uint8, never normalised.

    Parameters
    ----------
    images : ndarray of uint8, shape (N, C, H, W)
        C is 1 (grey) or 3 (red, green, blue).
    labels : ndarray of int64, shape (N,)
        Class indices, 0 to ``len(class_names) - 1``.
    class_names : tuple of str
    name : str
        What the set is called in tables and on disk.
    mirror : bool
        Whether an image flipped left to right keeps its class: true of most photographs, false of
        digits, text and many machine parts. Augmentation obeys it.
    files : tuple of str
        Where each image came from, for sets that are read from a folder; else empty.
    groups : tuple of str
        What each image shows, where several show the same thing; ``""`` for an image on its own. Empty where no groups
        were given. Scores of images of one group do not vary independently.
    fit : {"crop", "pad"}
        How images that were not square were made so (`pocket.data.decoding.decode_image`): another image that is to be
        compared with these has to be brought to the same shape in the same way.

    Raises
    ------
    ValueError
        If a shape, type or label does not fit; the message names it.
    """

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
    class_names: tuple[str, ...]
    name: str
    mirror: bool = False
    files: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    fit: Fit = "crop"

    def __post_init__(self) -> None:
        images = np.ascontiguousarray(self.images)
        given = np.asarray(self.labels)
        if given.size and not np.issubdtype(given.dtype, np.integer):
            raise ValueError(f"labels of {self.name!r} must be whole numbers, not {given.dtype}")
        labels = np.ascontiguousarray(given, dtype=np.int64)
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1] not in (1, 3):
            raise ValueError(
                f"images of {self.name!r} must be uint8 of shape (N, 1 or 3, H, W), "
                f"not {images.dtype} of shape {images.shape}"
            )
        if labels.shape != (len(images),):
            raise ValueError(f"{self.name!r} has {len(images)} images but labels of shape {labels.shape}")
        if len(labels) and not 0 <= labels.min() <= labels.max() < len(self.class_names):
            raise ValueError(
                f"labels of {self.name!r} must lie in 0..{len(self.class_names) - 1}, "
                f"found {labels.min()}..{labels.max()}"
            )
        if self.files and len(self.files) != len(images):
            raise ValueError(f"{self.name!r} has {len(images)} images but the names of {len(self.files)} files")
        if self.groups and len(self.groups) != len(images):
            raise ValueError(f"{self.name!r} has {len(images)} images but the groups of {len(self.groups)}")
        images.flags.writeable = False
        labels.flags.writeable = False
        object.__setattr__(self, "images", images)
        object.__setattr__(self, "labels", labels)

    def __len__(self) -> int:
        return len(self.images)

    @property
    def size(self) -> int:
        """Height in pixels (sets are square)."""
        return int(self.images.shape[2])

    @property
    def channels(self) -> int:
        """1 for grey, 3 for colour."""
        return int(self.images.shape[1])

    @property
    def num_classes(self) -> int:
        """The number of classes, those without an image included."""
        return len(self.class_names)

    @cached_property
    def counts(self) -> npt.NDArray[np.int64]:
        """Images per class, shape (num_classes,)."""
        return np.bincount(self.labels, minlength=self.num_classes)

    @property
    def independent(self) -> npt.NDArray[np.int64] | None:
        """Number the group of each image, shape (N,); an image on its own has one of its own. None: no groups."""
        if not self.groups:
            return None
        own = [group or i for i, group in enumerate(self.groups)]
        place = {name: number for number, name in enumerate(dict.fromkeys(own))}
        return np.array([place[name] for name in own], dtype=np.int64)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over shape, pixels, labels and class names, in hex: equal sets have equal fingerprints."""
        digest = hashlib.sha256(repr((self.images.shape, self.class_names)).encode())
        digest.update(self.images.data)
        digest.update(self.labels.data)
        return digest.hexdigest()

    def subset(self, indices: npt.ArrayLike, name: str | None = None) -> Self:
        """Return the images at ``indices``, in that order."""
        chosen = np.asarray(indices, dtype=np.int64)
        files = tuple(self.files[i] for i in chosen) if self.files else ()
        groups = tuple(self.groups[i] for i in chosen) if self.groups else ()
        images, labels = self.images[chosen], self.labels[chosen]
        return replace(self, images=images, labels=labels, name=name or self.name, files=files, groups=groups)

    def pick(
        self, ipc: int | npt.ArrayLike, seed: int | Sequence[int], *, repeat: bool = False
    ) -> npt.NDArray[np.int64]:
        """Return indices of ``ipc`` images drawn from each class without replacement, class by class.

        Parameters
        ----------
        ipc : int or array_like of int, shape (num_classes,)
            Images of every class, or of each; 0 leaves a class out.
        seed : int or sequence of int
            Entropy of the draw; equal seeds give equal indices.
        repeat : bool
            Take a class's images again, in the same order, where it has fewer than wanted.

        Raises
        ------
        ValueError
            If a class has fewer images than wanted and none are repeated, or has none.
        """
        if np.ndim(ipc) == 0 and np.asarray(ipc) < 1:
            raise ValueError(f"ipc={ipc!r}: at least 1 image per class is needed")
        wanted = np.broadcast_to(np.asarray(ipc, dtype=np.int64), self.counts.shape)
        least = np.minimum(wanted, 1) if repeat else wanted
        if short := [f"{self.class_names[c]} has {n}" for c, n in enumerate(self.counts) if n < least[c]]:
            raise ValueError(
                f"{int(wanted.max())} images a class are wanted of {self.name!r}, but {', '.join(short[:5])}"
            )
        generator = np.random.default_rng(seed)
        order = np.lexsort((generator.random(len(self)), self.labels))
        starts = np.cumsum(self.counts) - self.counts
        # The place of every wanted image among those of its class.
        place = np.arange(wanted.sum()) - np.repeat(np.cumsum(wanted) - wanted, wanted)
        of = np.repeat(np.arange(self.num_classes), wanted)
        return order[starts[of] + place % np.maximum(self.counts[of], 1)]

    def class_sizes(self, ipc: int | npt.ArrayLike | None = None, ratio: float | None = None) -> npt.NDArray[np.int64]:
        """Return how many images of each class a small set holds; see `images_per_class`."""
        return images_per_class(self.counts, ipc=ipc, ratio=ratio)


def images_per_class(
    counts: npt.ArrayLike, *, ipc: int | npt.ArrayLike | None = None, ratio: float | None = None
) -> npt.NDArray[np.int64]:
    """Return how many condensed images each class gets: never more than it has real ones.

    Parameters
    ----------
    counts : array_like of int, shape (classes,)
        Train images of each class.
    ipc : int or array_like of int, shape (classes,), optional
        Images of every class, or of each; 0 leaves a class out.
    ratio : float, optional
        Instead: the same share of each class, above 0 and up to 1, rounded, at least 1: what suits classes of very
        different size.

    Returns
    -------
    ndarray of int64, shape (classes,)

    Raises
    ------
    ValueError
        If not exactly one of ``ipc`` and ``ratio`` is given, or it is out of range.

    Examples
    --------
    >>> images_per_class([713, 23, 4], ipc=10).tolist(), images_per_class([713, 23, 4], ratio=0.1).tolist()
    ([10, 10, 4], [71, 2, 1])
    """
    real = np.asarray(counts, dtype=np.int64)
    if (ipc is None) == (ratio is None):
        raise ValueError("give either ipc= (images of each class) or ratio= (a share of each class)")
    if ratio is not None:
        if not 0 < ratio <= 1:
            raise ValueError(f"ratio={ratio!r} is outside the allowed range: above 0 and at most 1")
        return np.minimum(np.maximum(np.rint(ratio * real), 1), real).astype(np.int64)
    wanted = np.asarray(ipc)
    if wanted.shape not in ((), real.shape) or wanted.dtype.kind not in "iu":
        raise ValueError(f"ipc={ipc!r}: it must be a whole number, or one for each of {len(real)} classes")
    if wanted.min() < (0 if wanted.ndim else 1) or wanted.max() < 1:
        raise ValueError(f"ipc={ipc!r}: at least 1 image per class is needed, or 0 to leave a class out")
    return np.minimum(wanted, real).astype(np.int64)


@dataclass(frozen=True, eq=False)
class RetrievalSplit:
    """Who is trained on, who is searched and who asks.

    Attributes
    ----------
    train, database, query : ImageSet
    protocol : str
        The id that stands on every number measured on this split, such as ``"digits-v1"``.
    """

    train: ImageSet
    database: ImageSet
    query: ImageSet
    protocol: str

    def __post_init__(self) -> None:
        for other in (self.database, self.query):
            same = (self.train.class_names, self.train.images.shape[1:])
            if (other.class_names, other.images.shape[1:]) != same:
                raise ValueError(f"{other.name!r} has other classes or another image shape than {self.train.name!r}")

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over those of database and queries, in hex: scores of equal ones were measured on the same images.

        What was trained on is left out: it is what differs between the models that are compared.
        """
        return hashlib.sha256(f"{self.database.fingerprint} {self.query.fingerprint}".encode()).hexdigest()
