"""The real side of matching: batches of the real images, and their moments under a step's network."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from pocket.condensation.config import IEMConfig
from pocket.condensation.moments import Moments, moments
from pocket.condensation.networks import Networks
from pocket.data import ImageSet
from pocket.hashing import Augmentation, HashModel
from pocket.hashing.augmentation import Draw
from pocket.hashing.devices import generator, to_float

_STAGE = 0x1E4


def siamese(augmentation: Augmentation, images: ImageSet, *, on: bool) -> Augmentation:
    """Return the augmentation to match images under: none where it is switched off."""
    return replace(augmentation, mirror=images.mirror) if on else Augmentation()


class RealImages:
    """The real images on the device, as uint8 sorted by class, so that one index tensor draws a batch."""

    def __init__(self, images: ImageSet, device: torch.device) -> None:
        order = np.argsort(images.labels, kind="stable")
        self._pixels = torch.tensor(images.images[order], device=device)
        self._counts = torch.tensor(images.counts, device=device)
        self._starts = torch.cumsum(self._counts, 0) - self._counts

    def batch(self, per_class: int, source: torch.Generator) -> Tensor:
        """Draw ``per_class`` images of every class with replacement, sorted by class; float in [0, 1]."""
        return self.pixels(self.rows(per_class, source))

    def rows(self, per_class: int, source: torch.Generator) -> Tensor:
        """Draw the rows of such a batch, whose pixels may be too many to be held at once."""
        drawn = torch.rand(len(self._counts), per_class, generator=source, device=self._pixels.device)
        # float32 may round up to the count itself: stay inside the class.
        inside = torch.minimum((drawn * self._counts[:, None]).long(), self._counts[:, None] - 1)
        return (self._starts[:, None] + inside).flatten()

    def pixels(self, rows: Tensor) -> Tensor:
        """Return the images of some rows, float in [0, 1]."""
        return to_float(self._pixels[rows])


class RealStatistics:
    """The real side of a step: its network, its augmentation, and the moments of a real batch under them."""

    def __init__(
        self, images: ImageSet, networks: Networks, config: IEMConfig, seed: int, device: torch.device
    ) -> None:
        assert config.real_batch is not None, "it depends on the images: sizes.real_batch"
        self._per_class = config.real_batch
        self.augmentation = siamese(config.augmentation, images, on=config.augment)
        self._real = RealImages(images, device)
        self._networks, self._config, self._seed, self._device = networks, config, seed, device
        self._class = torch.arange(images.num_classes, device=device).repeat_interleave(self._per_class)
        self._classes = images.num_classes
        self._known: dict[int, tuple[Moments, Moments]] = {}

    @torch.no_grad()
    def at(self, step: int) -> tuple[Draw, Moments, Moments]:
        """Draw the network of a step into its stage; return augmentation parameters per class, real moments, scales."""
        instance = step % self._config.cache if self._config.cache else step
        source = generator(self._device, self._seed, _STAGE, instance)
        network = self._networks.draw(instance, source)
        drawn = self.augmentation.draw(self._classes, source)
        if instance not in self._known:
            found = self._measure(network, drawn, source)
            if not self._config.cache:
                return drawn, *found
            self._known[instance] = found
        return drawn, *self._known[instance]

    def _measure(self, network: HashModel, drawn: Draw, source: torch.Generator) -> tuple[Moments, Moments]:
        rows = self._real.rows(self._per_class, source)
        chunk = max(1, int(self._config.memory_gb * 2**30 / network.bytes_per_image(grad=False)))
        parts = [
            network.embed(self.augmentation.apply(self._real.pixels(part), drawn.at(of)))
            for part, of in zip(rows.split(chunk), self._class.split(chunk), strict=True)
        ]
        z, v = torch.cat([p[0] for p in parts]), torch.cat([p[1] for p in parts])
        found = moments(z, v, self._classes, cov=self._config.weight_cov > 0)
        spread = None if found.cov is None else found.cov.square().sum((1, 2)).mean()
        return found, Moments(z.square().sum(1).mean(), v.square().sum(1).mean(), spread)
