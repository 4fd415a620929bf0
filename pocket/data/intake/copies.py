"""Copies among images: exact ones by their pixels, near ones by a perceptual hash and a look at the thumbnails."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from pocket.data.intake.look import THUMB

RADIUS = 10  # differing bits, of 64
NEIGHBOURS = 32  # nearest hashes that each image is compared with
_LEAST, _MOST = 0.97, 0.995  # bounds of the correlation that makes a near copy
_FLAT = 2.0  # grey levels of standard deviation below which an image shows nothing to compare
_BLOCK = 4096

Pairs = npt.NDArray[np.int64]


def exact_copies(digests: Sequence[bytes]) -> Pairs:
    """Return pairs that join the images of equal digest, shape (P, 2); empty digests are left out."""
    first: dict[bytes, int] = {}
    pairs = []
    for i, digest in enumerate(digests):
        if digest and (other := first.setdefault(digest, i)) != i:
            pairs.append((other, i))
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def difference_hash(thumbs: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return the 64-bit difference hash (dHash) of each thumbnail, shape (N, 8) of packed bits.

    The image is averaged to 8 rows of 9 fields; a bit says whether a field is brighter than its left neighbour.
    Brightness, contrast, size and compression change few bits.
    """
    rows, columns = _averaging(THUMB, 8), _averaging(THUMB, 9)
    packed = np.empty((len(thumbs), 8), dtype=np.uint8)
    for start in range(0, len(thumbs), _BLOCK):
        fields = rows @ thumbs[start : start + _BLOCK].astype(np.float32) @ columns.T
        bits = fields[:, :, 1:] > fields[:, :, :-1]
        packed[start : start + _BLOCK] = np.packbits(bits.reshape(len(bits), 64), axis=1)
    return packed


def _averaging(size: int, fields: int) -> npt.NDArray[np.float32]:
    """Return the matrix (fields, size) that averages a line of pixels into equal fields, parts of pixels included."""
    edges = np.linspace(0, size, fields + 1)
    pixels = np.arange(size)
    overlap = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    return (overlap.clip(0) * fields / size).astype(np.float32)


class NearCopies(NamedTuple):
    """Pairs of near copies, shape (P, 2), and the correlation from which two images count as such."""

    pairs: Pairs
    threshold: float


def near_copies(thumbs: npt.NDArray[np.uint8], good: npt.NDArray[np.bool_], joined: Pairs) -> NearCopies:
    """Find images that show the same in almost the same way: saved again, scaled, brightened, hardly cropped.

    Each image is compared with its 32 nearest by difference hash (FAISS, up to 10 of 64 bits). A pair counts if the
    thumbnails, averaged to 16 x 16, correlate at least as the threshold says: 1 - (1 - c) / 4, where c is the median
    over images of the correlation with the likest other one, held between 0.97 and 0.995. So copies have to stand out
    from what is usual in this set: digits, or tiles under one fixed camera, resemble each other anyway. Mirrored,
    turned and clearly cropped copies are not found, nor are flat images.

    Parameters
    ----------
    thumbs : ndarray of uint8, shape (N, 32, 32)
    good : ndarray of bool, shape (N,)
        Which images to compare.
    joined : ndarray of int64, shape (P, 2)
        Pairs known already, such as exact copies: one of each set is compared.
    """
    import faiss

    known = components(len(thumbs), joined)
    _, firsts = np.unique(np.where(good, known, -1), return_index=True)
    vectors, spread = _vectors(thumbs)
    mine = np.sort(firsts[good[firsts] & (spread[firsts] >= _FLAT)])
    if len(mine) < 2:
        return NearCopies(np.empty((0, 2), dtype=np.int64), _MOST)
    hashes = difference_hash(thumbs[mine])
    index = faiss.IndexBinaryFlat(64)
    index.add(hashes)
    found: list[Pairs] = []
    likenesses: list[npt.NDArray[np.float32]] = []
    nearest: list[npt.NDArray[np.float32]] = []
    for start in range(0, len(mine), _BLOCK):
        asked = mine[start : start + _BLOCK]
        bits, places = index.search(hashes[start : start + _BLOCK], min(NEIGHBOURS, len(mine)))
        others = mine[places]
        # Vectors of up to 4,096 x 32 neighbours at once would be 130 MB: a part at a time.
        alike = np.concatenate(
            [
                np.einsum("nd,nkd->nk", _unit(vectors, a), _unit(vectors, o))
                for a, o in zip(np.array_split(asked, 16), np.array_split(others, 16), strict=True)
            ]
        )
        alike[others == asked[:, None]] = -1
        nearest.append(alike.max(axis=1))
        near = (bits <= RADIUS) & (alike >= _LEAST)
        rows, columns = np.nonzero(near)
        found.append(np.stack([asked[rows], others[rows, columns]], axis=1))
        likenesses.append(alike[rows, columns])
    usual = float(np.median(np.concatenate(nearest)))
    threshold = min(max(1 - (1 - usual) / 4, _LEAST), _MOST)
    pairs = np.sort(np.concatenate(found)[np.concatenate(likenesses) >= threshold], axis=1)
    return NearCopies(np.unique(pairs, axis=0) if len(pairs) else pairs, threshold)


def _vectors(thumbs: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]:
    """Return thumbnails averaged to 16 x 16, as bytes, and the standard deviation of each."""
    half = THUMB // 2
    small = np.empty((len(thumbs), half * half), dtype=np.uint8)
    spread = np.empty(len(thumbs), dtype=np.float32)
    for start in range(0, len(thumbs), _BLOCK):
        block = thumbs[start : start + _BLOCK].reshape(-1, half, 2, half, 2).mean(axis=(2, 4), dtype=np.float32)
        small[start : start + _BLOCK] = block.reshape(len(block), -1).round()
        spread[start : start + _BLOCK] = block.std(axis=(1, 2))
    return small, spread


def _unit(vectors: npt.NDArray[np.uint8], places: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """Return vectors without their mean, of length 1: their inner product is the correlation."""
    centred = vectors[places].astype(np.float32)
    centred -= centred.mean(axis=-1, keepdims=True)
    return centred / np.maximum(np.linalg.norm(centred, axis=-1, keepdims=True), 1e-6)


def components(count: int, *links: Pairs) -> npt.NDArray[np.int64]:
    """Return the number of the connected part that each of ``count`` images lies in, shape (count,)."""
    pairs = np.concatenate([np.empty((0, 2), dtype=np.int64), *links])
    ones = np.ones(len(pairs), dtype=bool)
    graph = coo_matrix((ones, (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    return connected_components(graph, directed=False)[1].astype(np.int64)


def linked(labels: Iterable[str]) -> Pairs:
    """Return pairs that join images of the same group; ``""`` is no group."""
    first: dict[str, int] = {}
    pairs = [(o, i) for i, g in enumerate(labels) if g and (o := first.setdefault(g, i)) != i]
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def sets_of(part: npt.NDArray[np.int64], chosen: npt.NDArray[np.bool_]) -> list[list[int]]:
    """Return the parts of more than one image, as lists of positions, in order of their first."""
    places = np.flatnonzero(chosen)
    order = places[np.argsort(part[places], kind="stable")]
    cuts = np.flatnonzero(np.diff(part[order])) + 1
    return sorted(run.tolist() for run in np.split(order, cuts) if len(run) > 1)
