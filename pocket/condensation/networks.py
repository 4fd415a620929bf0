"""The condensing networks: which one real and synthetic images are seen through at a step."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pocket.condensation.config import IEMConfig
from pocket.condensation.pool import Pool, load_blend, perturb
from pocket.data import ImageSet
from pocket.hashing import HashModel
from pocket.hashing.devices import derive
from pocket.hashing.networks import initialise


class Networks:
    """The condensing networks: a pool to draw from, or a new random one each step.

    Attributes
    ----------
    stage : HashModel
        The one module that `draw` fills with weights, in place.
    """

    def __init__(
        self,
        images: ImageSet,
        pool: Pool | None,
        config: IEMConfig,
        shape: dict[str, Any],
        *,
        seed: int,
        device: torch.device,
    ) -> None:
        self._seed, self._config, self._device = seed, config, device
        self.stage = HashModel(
            channels=images.channels,
            size=images.size,
            num_classes=images.num_classes,
            **shape,
        ).to(device)
        self.stage.eval().requires_grad_(False)
        self.stage.normalise_by(images.images)
        pairs = zip(pool.starts, pool.models, strict=True) if pool else ()
        self._pool = [(self._state(start), self._state(end)) for start, end in pairs]

    def _state(self, model: HashModel) -> dict[str, Tensor]:
        return {name: tensor.to(self._device) for name, tensor in model.state_dict().items()}

    def draw(self, instance: int, source: torch.Generator) -> HashModel:
        """Return the network of a step."""
        tossed = self._config.networks == "both" and derive(self._seed, 0xD5, instance) % 2
        if not self._pool or tossed:
            initialise(self.stage, derive(self._seed, 0xD3, instance))
            return self.stage
        start, end = self._pool[derive(self._seed, 0xD4, instance) % len(self._pool)]
        share = torch.ones((), device=self._device)
        if self._config.interpolate:
            share = torch.rand((), generator=source, device=self._device)
        load_blend(self.stage, start, end, share)
        perturb(self.stage, self._config.perturb, source)
        return self.stage
