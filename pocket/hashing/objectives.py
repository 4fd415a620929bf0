"""Hashing objectives: one function each, with the same signature, and one line in `OBJECTIVES`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from pocket.hashing.devices import generator

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Objective:
    """A hashing method.

    Attributes
    ----------
    loss : callable
        ``loss(v, labels, targets) -> scalar``: v (N, K), labels (N,), targets (num_classes, K).
    targets : callable
        ``targets(num_classes, bits, seed) -> (num_classes, bits)``: the codeword of each class.
    """

    loss: Loss
    targets: Callable[[int, int, int], Tensor]


def orthohash(v: Tensor, labels: Tensor, targets: Tensor, *, scale: float = 8.0, margin: float = 0.2) -> Tensor:
    """Cross-entropy on scaled cosines to fixed codewords, with a margin on the true class.

    ``CE(s (cos(v, c_j) - m [j = y]))``. Hoe et al., "One Loss for All: Deep Hashing with a Single Cosine
    Similarity based Learning Objective", NeurIPS 2021, eq. 7; s = 8 and m = 0.2 as in the authors' code.

    Parameters
    ----------
    v : Tensor of float, shape (N, K)
    labels : Tensor of int64, shape (N,)
    targets : Tensor of +1 / -1, shape (num_classes, K)

    Returns
    -------
    Tensor
        Mean over the batch, a scalar.
    """
    cosine = functional.normalize(v) @ functional.normalize(targets).T
    cosine = cosine - margin * functional.one_hot(labels, len(targets))
    return functional.cross_entropy(scale * cosine, labels)


def bernoulli_codebook(num_classes: int, bits: int, seed: int, *, tries: int = 200) -> Tensor:
    """Draw a +1 / -1 codebook; of ``tries`` Bernoulli draws, the one whose closest codewords lie furthest apart.

    OrthoHash, sec. 3.4 (random targets are nearly orthogonal for long codes; for short ones a bad draw
    puts two classes side by side, hence the tries).

    Returns
    -------
    Tensor of float, shape (num_classes, bits)
    """
    source = generator(torch.device("cpu"), seed, 0xC0DE)
    best, best_gap = torch.ones(num_classes, bits), -1.0
    for _ in range(tries):
        drawn = torch.randint(0, 2, (num_classes, bits), generator=source).float() * 2 - 1
        distance = (bits - drawn @ drawn.T) / 2 + bits * torch.eye(num_classes)
        gap = float(distance.min())
        if gap > best_gap:
            best, best_gap = drawn, gap
    return best


OBJECTIVES: dict[str, Objective] = {
    "orthohash": Objective(orthohash, bernoulli_codebook),
}


def objective(method: str) -> Objective:
    """Look a hashing method up by name."""
    if method not in OBJECTIVES:
        raise ValueError(f"unknown hashing method {method!r}; choose one of {', '.join(OBJECTIVES)}")
    return OBJECTIVES[method]
