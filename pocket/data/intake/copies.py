"""Copies among images: exact ones by their pixels, near ones by a perceptual hash and a look at the thumbnails."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pocket.data.intake.look import THUMB

RADIUS = 10  # differing bits, of 64
NEIGHBOURS = 32  # nearest hashes that each image is compared with
_LEAST, _MOST = 0.97, 0.995  # bounds of the correlation that makes a near copy
_FLAT = 2.0  # grey levels of standard deviation below which an image shows nothing to compare
_BLOCK = 4096
_QUERIES = 256
_CROWD = 500  # neighbours a hash on average, from which only the nearest are asked for

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
    places = _within(index, hashes)
    pairs = np.unique(np.sort(mine[places], axis=1), axis=0)
    threshold = min(max(1 - (1 - _usual(vectors, mine, index, hashes)) / 4, _LEAST), _MOST)
    alike = np.empty(len(pairs), dtype=np.float32)
    for start in range(0, len(pairs), _BLOCK):
        first, second = pairs[start : start + _BLOCK].T
        alike[start : start + _BLOCK] = np.einsum("nd,nd->n", _unit(vectors, first), _unit(vectors, second))
    return NearCopies(pairs[alike >= threshold], threshold)


def _within(index: Any, hashes: npt.NDArray[np.uint8]) -> Pairs:
    """Return pairs of hashes within `RADIUS`, of each at most its `NEIGHBOURS` nearest, shape (P, 2)."""
    found: list[Pairs] = [np.empty((0, 2), dtype=np.int64)]
    for start in range(0, len(hashes), _QUERIES):
        asked = hashes[start : start + _QUERIES]
        limits, bits, others = index.range_search(asked, RADIUS + 1)  # FAISS: below, not up to
        if len(others) > _CROWD * len(asked):
            # Images that all resemble each other: a list of everything would be long to sort.
            bits, others = (part.ravel() for part in index.search(asked, min(NEIGHBOURS, len(hashes))))
            own = np.repeat(np.arange(len(asked)), len(bits) // len(asked))
        else:
            own = np.repeat(np.arange(len(asked)), np.diff(limits.astype(np.int64)))
            order = np.lexsort((others, bits, own))
            rank = np.arange(len(order)) - np.searchsorted(own, own)
            chosen = order[rank < NEIGHBOURS]
            bits, others, own = bits[chosen], others[chosen], own[chosen]
        pairs = np.stack([own + start, others], axis=1)
        found.append(pairs[(bits <= RADIUS) & (pairs[:, 0] != pairs[:, 1])].astype(np.int64))
    return np.concatenate(found)


def _usual(
    vectors: npt.NDArray[np.uint8], mine: npt.NDArray[np.int64], index: Any, hashes: npt.NDArray[np.uint8]
) -> float:
    """Return the median, over up to 2,000 images evenly spread, of the correlation with the likest other one."""
    some = np.unique(np.linspace(0, len(mine) - 1, min(2000, len(mine)), dtype=np.int64))
    _, places = index.search(hashes[some], min(NEIGHBOURS, len(mine)))
    alike = np.concatenate(
        [
            np.einsum("nd,nkd->nk", _unit(vectors, mine[a]), _unit(vectors, mine[others]))
            for a, others in zip(np.array_split(some, 16), np.array_split(places, 16), strict=True)
        ]
    )
    alike[places == some[:, None]] = -1
    return float(np.median(alike.max(axis=1)))


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
    from scipy.sparse import coo_matrix  # not at the top: the light install has no scipy, and its brief reads records
    from scipy.sparse.csgraph import connected_components

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
