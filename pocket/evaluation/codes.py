"""`Codes`: packed binary codes with labels and ids."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from pocket.data import ImageSet
    from pocket.hashing import HashModel


@dataclass(frozen=True, eq=False)
class Codes:
    """Binary codes, eight bits to a byte (most significant first, as `numpy.packbits` and FAISS have it).

    Parameters
    ----------
    packed : ndarray of uint8, shape (N, bits / 8)
    labels : ndarray of int64, shape (N,), optional
        Class indices; what is relevant to a query are the items of its class.
    ids : ndarray of int64, shape (N,), optional
        Default: 0 to N - 1.

    Raises
    ------
    ValueError
        If a shape or type does not fit.

    Examples
    --------
    >>> Codes.from_bits([[1, 0, 0, 0, 0, 0, 0, 1]], [3]).packed
    array([[129]], dtype=uint8)
    """

    packed: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64] | None = None
    ids: npt.NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.packed, np.ndarray) or self.packed.dtype != np.uint8 or self.packed.ndim != 2:
            raise ValueError(
                "codes are packed bits, uint8 of shape (N, bits / 8); pack arrays of 0 and 1 with Codes.from_bits(bits)"
            )
        if not self.packed.shape[1]:
            raise ValueError("codes need at least 8 bits, one byte")
        if self.packed.shape[1] % 8 == 0 and self.packed.size and 0.05 < self.packed.mean() <= self.packed.max() == 1:
            warnings.warn(
                f"every byte is 0 or 1: if these are {self.packed.shape[1]} bits that are not packed yet, pack them "
                "with Codes.from_bits(bits)",
                stacklevel=3,
            )
        for name in ("labels", "ids"):
            given = getattr(self, name)
            column = np.arange(len(self.packed)) if given is None and name == "ids" else given
            if column is None:
                continue
            column = np.asarray(column)
            if column.shape != (len(self.packed),) or not np.issubdtype(column.dtype, np.integer):
                hint = "" if column.dtype.kind in "iufb" else "; np.unique(names, return_inverse=True)[1] numbers them"
                raise ValueError(
                    f"{name} must be whole numbers of shape ({len(self.packed)},), not {column.dtype} of shape "
                    f"{column.shape}{hint}"
                )
            object.__setattr__(self, name, column.astype(np.int64))

    def __len__(self) -> int:
        return len(self.packed)

    @property
    def bits(self) -> int:
        """Code length K."""
        return 8 * int(self.packed.shape[1])

    @classmethod
    def from_bits(
        cls, bits: npt.ArrayLike, labels: npt.ArrayLike | None = None, ids: npt.ArrayLike | None = None
    ) -> Self:
        """Pack an array of 0 and 1 (or booleans), shape (N, K) with K a multiple of 8.

        Raises
        ------
        ValueError
            If K is not a multiple of 8 or a value is neither 0 nor 1.
        """
        array = np.asarray(bits)
        if array.ndim != 2 or array.shape[1] % 8 or not array.shape[1]:
            raise ValueError(f"bits must have shape (N, K) with K a multiple of 8, not {array.shape}")
        if not np.isin(array, (0, 1)).all():
            raise ValueError("bits must be 0 or 1: make them of +1 and -1, or of continuous values, with values > 0")
        packed = np.packbits(array.astype(bool), axis=1)
        return cls(
            packed,
            None if labels is None else np.asarray(labels),
            None if ids is None else np.asarray(ids),
        )

    def unpack(self) -> npt.NDArray[np.uint8]:
        """Return the bits, shape (N, K), each 0 or 1."""
        return np.unpackbits(self.packed, axis=1)


def encode(model: HashModel, images: ImageSet, *, batch: int | None = None, device: str = "auto") -> Codes:
    """Compute the codes of a set of images: a bit is 1 where ``V > 0``.

    Parameters
    ----------
    model : HashModel
    images : ImageSet
        Of the size and channels that the model was trained for.
    batch : int, optional
        Images a forward; by default as many as keep the largest map near 128 MiB. Changes memory and speed only.
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda"``.

    Returns
    -------
    Codes
        With the images' labels, in their order.
    """
    from pocket.hashing.calibration import represent

    values = represent(model, images, batch=batch, device=device)
    return Codes.from_bits((values > 0).numpy(), images.labels)


def check_ids(ids: npt.NDArray[np.int64]) -> None:
    """Raise where an id repeats."""
    if (ids[1:] > ids[:-1]).all():
        return
    ranked = np.sort(ids)
    twice = ranked[1:][ranked[1:] == ranked[:-1]]
    if len(twice):
        raise ValueError(f"id {twice[0]} is there twice: every item needs an id of its own, Codes(packed, ids=...)")


def check_type(codes: object) -> None:
    """Raise where something else than `Codes` was given."""
    if not isinstance(codes, Codes):
        raise TypeError(
            f"codes are a pocket.Codes, not {type(codes).__name__}: Codes.from_bits(bits, labels) packs an array of 0 "
            "and 1, Codes(packed, labels) takes packed bytes"
        )


def check_sides(query: Codes, database: Codes) -> None:
    """Raise where the two sides of a retrieval cannot be scored: one is empty or unlabelled, or code lengths differ."""
    for name, side in (("query", query), ("database", database)):
        check_type(side)
        if not len(side):
            raise ValueError(f"the {name} side holds no code")
        if side.labels is None:
            raise ValueError(f"the {name} codes have no labels: give them as Codes.from_bits(bits, labels)")
    if query.bits != database.bits:
        raise ValueError(f"query codes have {query.bits} bits, database codes {database.bits}")
