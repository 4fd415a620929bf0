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
    judge : HashModel or None
        Another one, for the finished network of the pool that judges the views of the step, where the pool does.
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
        pixels: dict[str, Any] = {"channels": images.channels, "size": images.size, "num_classes": images.num_classes}
        self.stage = HashModel(**pixels, **shape).to(device).eval().requires_grad_(False)
        self.stage.normalise_by(images.images)
        self.judge = None
        if config.judged_by_pool:
            self.judge = HashModel(**pixels, **shape).to(device).eval().requires_grad_(False)
        pairs = zip(pool.starts, pool.models, strict=True) if pool else ()
        self._pool = [(self._state(start), self._state(end)) for start, end in pairs]

    def _state(self, model: HashModel) -> dict[str, Tensor]:
        return {name: tensor.to(self._device) for name, tensor in model.state_dict().items()}

    def draw(self, instance: int, source: torch.Generator) -> HashModel:
        """Return the network of a step; its judge, where the pool has one, is the end of the line that it lies on."""
        random = not self._pool or self._config.networks == "random"
        if self._config.networks == "both":
            random = random or derive(self._seed, 0xD5, instance) % 2 == 1
        share = torch.ones((), device=self._device)
        if self._pool:
            start, end = self._pool[derive(self._seed, 0xD4, instance) % len(self._pool)]
            if self.judge is not None:
                load_blend(self.judge, start, end, share)
        if random:
            initialise(self.stage, derive(self._seed, 0xD3, instance))
            return self.stage
        if self._config.interpolate:
            share = torch.rand((), generator=source, device=self._device)
        load_blend(self.stage, start, end, share)
        perturb(self.stage, self._config.perturb, source)
        return self.stage
