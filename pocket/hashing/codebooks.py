"""Codebooks: the codeword of each class, shape (num_classes, bits), drawn from a seed."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from pocket.hashing.devices import generator


def _widest(num_classes: int, bits: int, seed: int, tries: int, draw: Callable[[torch.Generator], Tensor]) -> Tensor:
    """Return that of ``tries`` drawn +1 / -1 codebooks whose closest codewords lie furthest apart."""
    source = generator(torch.device("cpu"), seed, 0xC0DE)
    best, best_gap = torch.ones(num_classes, bits), -1.0
    for _ in range(tries):
        drawn = draw(source)
        distance = (bits - drawn @ drawn.T) / 2 + bits * torch.eye(num_classes)
        gap = float(distance.min())
        if gap > best_gap:
            best, best_gap = drawn, gap
    return best


def bernoulli_codebook(num_classes: int, bits: int, seed: int, *, tries: int = 200) -> Tensor:
    """Draw a +1 / -1 codebook; of ``tries`` Bernoulli draws, the one whose closest codewords lie furthest apart.

    OrthoHash, sec. 3.4 (random targets are nearly orthogonal for long codes; for short ones a bad draw
    puts two classes side by side, hence the tries). DPN's targets, signs of Gaussians, are the same draws.

    Returns
    -------
    Tensor of float, shape (num_classes, bits)
    """
    shape = (num_classes, bits)
    return _widest(*shape, seed, tries, lambda source: torch.randint(0, 2, shape, generator=source).float() * 2 - 1)


def hadamard_codebook(num_classes: int, bits: int, seed: int, *, tries: int = 200) -> Tensor:
    """Return CSQ's hash centres: rows of a Hadamard matrix, or balanced random ones where these do not suffice.

    The rows come in random order, the constant one last, each with a random sign: in the matrix itself the
    first bit is the same in every row, and would tell no class from another. Any two lie K / 2 apart. Classes
    beyond K take the negatives, K apart. Where the number of classes is above 2 K or K is no power of two, every
    codeword is half +1, half -1, and of ``tries`` draws the widest is taken. Yuan et al., CVPR 2020, sec. 3.2.

    Returns
    -------
    Tensor of +1 / -1 as float, shape (num_classes, bits)
    """
    if num_classes > 2 * bits or bits & (bits - 1):

        def balanced(source: torch.Generator) -> Tensor:
            rank = torch.rand(num_classes, bits, generator=source).argsort(dim=1).argsort(dim=1)
            return torch.where(rank < bits // 2, 1.0, -1.0)

        return _widest(num_classes, bits, seed, tries, balanced)
    source = generator(torch.device("cpu"), seed, 0xC0DE)
    rows = torch.ones(1, 1)
    while len(rows) < bits:
        rows = torch.cat([torch.cat([rows, rows], dim=1), torch.cat([rows, -rows], dim=1)])
    order = torch.cat([1 + torch.randperm(bits - 1, generator=source), torch.zeros(1, dtype=torch.int64)])
    signs = torch.randint(0, 2, (bits, 1), generator=source) * 2 - 1
    rows = rows[order] * signs
    return torch.cat([rows, -rows])[:num_classes]


def one_hot_rows(num_classes: int, bits: int, seed: int) -> Tensor:
    """Return rows of the identity, shape (num_classes, bits).

    Raises
    ------
    ValueError
        If there are more classes than bits.
    """
    if num_classes > bits:
        raise ValueError(f"a linear head of {bits} values cannot tell {num_classes} classes apart: take more bits")
    return torch.eye(num_classes, bits)


def proxies(num_classes: int, bits: int, seed: int) -> Tensor:
    """Draw DHD's initial proxies, Xavier-uniform with tanh's gain, as its authors do.

    Returns
    -------
    Tensor of float, shape (num_classes, bits)
    """
    source = generator(torch.device("cpu"), seed, 0xC0DE)
    bound = 5 / 3 * math.sqrt(6 / (num_classes + bits))
    return (torch.rand(num_classes, bits, generator=source) * 2 - 1) * bound


def no_targets(num_classes: int, bits: int, seed: int) -> Tensor:
    """Return zeros, shape (num_classes, bits), for an objective without codewords."""
    return torch.zeros(num_classes, bits)
