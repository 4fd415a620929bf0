"""Codes made up to time a search on: clustered as those of a trained model, or uniform."""

from __future__ import annotations

import numpy as np

from pocket.evaluation.codes import Codes

_AT_ONCE = 500_000


def clustered_codes(
    count: int,
    queries: int = 1000,
    *,
    bits: int = 64,
    classes: int = 100,
    repeated: float = 0.4,
    wrong: float = 0.15,
    seed: int = 0,
) -> tuple[Codes, Codes]:
    """Make codes as a trained hashing model gives them: near the code of a class, often the same, sometimes wrong.

    Every class has a random centre. An item flips each bit of a centre with a chance of its own, drawn from
    Beta(2, 14) (an eighth in the mean), and a share of the items takes the centre of another class. A share repeats
    the code of an earlier item.

    Parameters
    ----------
    count, queries : int
        Codes of the database, and codes to ask for, which repeat none.
    bits : int
        Code length K, a multiple of 8.
    classes : int
    repeated : float
        Share of the database that repeats a code.
    wrong : float
        Share that lies near the centre of another class.
    seed : int

    Returns
    -------
    database, queries : Codes
        With labels.
    """
    random = np.random.default_rng([seed, 0xC1])
    centres = random.integers(0, 2, (classes, bits), dtype=np.uint8)
    fresh = count - int(repeated * count)
    labels = random.integers(classes, size=fresh + queries)
    packed = np.empty((fresh + queries, bits // 8), dtype=np.uint8)
    for start in range(0, len(labels), _AT_ONCE):
        part = labels[start : start + _AT_ONCE]
        near = np.where(random.random(len(part)) < wrong, random.integers(classes, size=len(part)), part)
        share = random.beta(2, 14, (len(part), 1)).astype(np.float32)
        flipped = random.random((len(part), bits), dtype=np.float32) < share
        packed[start : start + _AT_ONCE] = np.packbits(centres[near] ^ flipped, axis=1)
    chosen = np.concatenate([np.arange(fresh), random.integers(fresh, size=count - fresh)])
    chosen = random.permutation(chosen)
    return Codes(packed[chosen], labels[chosen]), Codes(packed[fresh:], labels[fresh:])


def uniform_codes(count: int, queries: int = 1000, *, bits: int = 64, seed: int = 0) -> tuple[Codes, Codes]:
    """Make codes of independent random bits, in which no code has near neighbours: database and queries."""
    random = np.random.default_rng([seed, 0xC2])
    packed = random.integers(0, 256, (count + queries, bits // 8), dtype=np.uint8)
    return Codes(packed[:count]), Codes(packed[count:])
