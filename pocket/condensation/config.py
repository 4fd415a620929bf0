"""What condensing is asked to do: one frozen configuration for IEM and for distribution matching (DM)."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Literal, Self

from pocket.hashing.augmentation import Augmentation


@dataclass(frozen=True)
class IEMConfig:
    """Settings of IEM; each part can be switched off.

    Parameters
    ----------
    steps : int
        Updates of the synthetic images.
    lr : float
        Step size of Adam, in pixel values of 0 ... 1. Adam and not the usual SGD: its steps do not depend on the
        scale of Z, which changes with width, depth and image size.
    anneal : bool
        Let the step size fall to 0 along a half cosine, so that the images settle at the end.
    real_batch : int
        Real images per class and step.
    formation : int
        Tiles a side of a stored image, f; each gives f^2 training views.
    networks : {"pool", "random", "both"}
        Match under early-stage networks trained on the real data, under a new random network each step, or under
        the one or the other by turns of a coin.
    pool_size, pool_epochs : int
        Networks in the pool, and epochs each is trained for.
    perturb : (float, float)
        Range of the magnitude of the weight perturbation; (0, 0) switches it off.
    interpolate : bool
        Take weights from the straight line between the initial and the early-stage ones, at U(0, 1), and perturb those.
    weight_z, weight_v, weight_cov : float
        Weights of the squared distances of the means of Z, the means of V and the covariances of V. Each is
        divided by the same moment of the real batch (`matching.moments`), so the weights do not depend on
        width or code length.
    weight_hash : float
        Weight of the hash consistency: the hashing loss of the synthetic views under a trained hash model.
    cache : int
        Draw from so many fixed (network, augmentation) pairs, whose real statistics are computed once; 0 draws
        anew at every step.
    augment : bool
        Siamese augmentation of real and synthetic batch.
    augmentation : Augmentation
        Its strengths.
    memory_gb : float
        What the maps of one forward may take, in GiB; beyond, the same sums are taken over chunks. It is a
        setting and not measured, so that equal settings give equal bits.
    """

    steps: int = 120
    lr: float = 0.02
    anneal: bool = False
    real_batch: int = 32
    formation: int = 2
    networks: Literal["pool", "random", "both"] = "pool"
    pool_size: int = 5
    pool_epochs: int = 2
    perturb: tuple[float, float] = (0.01, 0.09)
    interpolate: bool = False
    weight_z: float = 1.0
    weight_v: float = 0.1
    weight_cov: float = 0.0
    weight_hash: float = 0.0
    cache: int = 0
    augment: bool = True
    augmentation: Augmentation = field(default_factory=lambda: Augmentation(shift=0.0625))
    memory_gb: float = 4.0

    def __post_init__(self) -> None:
        low, high = self.perturb
        for name, good, allowed in (
            ("steps", self.steps >= 0, "0 or more"),
            ("lr", self.lr > 0, "above 0"),
            ("real_batch", self.real_batch >= 1, "1 or more"),
            ("formation", 1 <= self.formation <= 8, "1 to 8"),
            ("networks", self.networks in ("pool", "random", "both"), "'pool', 'random' or 'both'"),
            ("pool_size", self.pool_size >= 1, "1 or more"),
            ("pool_epochs", self.pool_epochs >= 1, "1 or more"),
            ("perturb", 0 <= low <= high, "(low, high) with 0 <= low <= high"),
            ("weight_z", self.weight_z >= 0, "0 or more"),
            ("weight_v", self.weight_v >= 0, "0 or more"),
            ("weight_cov", self.weight_cov >= 0, "0 or more"),
            ("weight_hash", self.weight_hash >= 0, "0 or more"),
            ("cache", self.cache >= 0, "0 or more"),
            ("memory_gb", self.memory_gb > 0, "above 0"),
        ):
            if not good:
                raise ValueError(f"{name}={getattr(self, name)!r}: must be {allowed}")

    def decay(self, step: int) -> float:
        """Return the factor on the step size at a step."""
        return 0.5 * (1 + math.cos(math.pi * step / self.steps)) if self.anneal else 1.0

    @classmethod
    def paper(cls, **changes: Any) -> Self:
        """Return the source's method: matched means of Z and V, early-stage pool, perturbation, augmentation, f = 2."""
        return cls(**changes)

    @classmethod
    def best(cls, **changes: Any) -> Self:
        """Return what measured best: hash consistency, networks of both kinds, an annealed step size.

        Fashion-MNIST, 600 train images a class, 10 condensed, width 32, one seed, mAP with hard labels / codes:
        source 0.652 / 0.664 (300 training steps); with consistency 0.3 0.736 / 0.737 (600 steps, as all that
        follow; weight 0.1 0.724 / 0.740, weight 1 0.737 / 0.738); annealed from 0.05 0.739 / 0.740; networks of
        both kinds 0.740 / 0.751. Tried and not worth it: V at weight 1, covariance of V, interpolation, the teacher
        itself in the pool or in its place, and a hinge that stops where real images are as consistent (0.714).
        """
        own: dict[str, Any] = {"weight_hash": 0.3, "networks": "both", "lr": 0.05, "anneal": True}
        return cls(**own | changes)

    @classmethod
    def dm(cls, **changes: Any) -> Self:
        """Return distribution matching: the mean of Z alone under random networks, whole images.

        Zhao and Bilen, "Dataset Condensation with Distribution Matching", WACV 2023.
        """
        own: dict[str, Any] = {"networks": "random", "formation": 1, "perturb": (0.0, 0.0), "weight_v": 0.0}
        return cls(**own | changes)
