"""Networks: images -> feature embedding Z -> continuous hash representation V."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from pocket.hashing.devices import generator
from pocket.runs.artefacts import ArtefactError, load_tensors, save_tensors

if TYPE_CHECKING:
    from pocket.hashing.training import TrainingReport


def default_width(size: int) -> int:
    """Return the channels of the ConvNet for images of ``size`` pixels: 32 up to 20 px, 64 up to 28, else 128."""
    return 32 if size <= 20 else 64 if size <= 28 else 128


def default_depth(size: int) -> int:
    """Return the number of blocks, so that the last map is 2 to 7 pixels a side: 3 at 32 px, 5 at 128, 6 at 224."""
    return max(2, round(math.log2(size)) - 2)


class Halve(nn.Module):
    """Average pool of 2 x 2 pixels.

    On the CPU as bilinear interpolation to half the size, which samples between two pixels each way, so
    it is the same mean, and takes a third of the time (0.7 against 2.2 ms forward and backward, 50 x 32
    maps of 16 px). On a GPU its backward would not be deterministic, and the pool is as fast.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return the means, shape (N, C, H // 2, W // 2)."""
        if x.device.type == "cpu":
            return functional.interpolate(x, scale_factor=0.5, mode="bilinear", align_corners=False)
        return functional.avg_pool2d(x, 2)


class ConvNet(nn.Module):
    """The ConvNet of the condensation literature: blocks of 3x3 convolution, InstanceNorm, ReLU, average pool.

    InstanceNorm keeps images independent of one another, so one forward over all classes gives exactly
    what a forward per class would. Gidaris and Komodakis, CVPR 2018; Zhao and Bilen, ICLR 2021.

    Parameters
    ----------
    channels, size : int
        Of the input images, shape (N, channels, size, size).
    width, depth : int
        Channels of every block, and their number.
    """

    def __init__(self, channels: int, size: int, width: int, depth: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inputs = channels
        for _ in range(depth):
            layers += [nn.Conv2d(inputs, width, 3, padding=1), nn.GroupNorm(width, width), nn.ReLU(), Halve()]
            inputs, size = width, size // 2
        self.blocks = nn.Sequential(*layers)
        self.dim = width * size * size

    def forward(self, x: Tensor) -> Tensor:
        """Return Z, shape (N, dim)."""
        return self.blocks(x).flatten(1)


class HashModel(nn.Module):
    """Backbone and hash layer: x -> Z = backbone(x) -> V = head(Z); the code is ``V > 0``.

    Parameters
    ----------
    channels, size, num_classes : int
        Of the images.
    bits : int
        Code length K, a multiple of 8 from 8 to 128.
    method : str
        Hashing objective it is trained with.
    width, depth : int, optional
        Of the ConvNet; by image size where not given.
    seed : int
        Of the initial weights.

    Attributes
    ----------
    targets : Tensor, shape (num_classes, bits)
        The objective's codeword of each class.
    mean, std : Tensor, shape (channels,)
        Pixel statistics of the training images; `embed` normalises with them.
    report : TrainingReport or None
        What training it cost; not saved with the weights.
    """

    report: TrainingReport | None = None
    targets: Tensor
    mean: Tensor
    std: Tensor

    def __init__(
        self,
        *,
        channels: int,
        size: int,
        num_classes: int,
        bits: int,
        method: str = "orthohash",
        width: int | None = None,
        depth: int | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if bits % 8 or not 8 <= bits <= 128:
            raise ValueError(f"bits={bits}: code lengths are multiples of 8 from 8 to 128")
        self.bits, self.method = bits, method
        self.shape: dict[str, Any] = {
            "channels": channels,
            "size": size,
            "num_classes": num_classes,
            "bits": bits,
            "method": method,
            "width": width or default_width(size),
            "depth": depth or default_depth(size),
        }
        # Modules draw initial weights from the global generator; `initialise` draws them anew from ours.
        with torch.random.fork_rng(devices=[]):
            self.backbone = ConvNet(channels, size, self.shape["width"], self.shape["depth"])
            self.head = nn.Sequential(nn.Linear(self.backbone.dim, bits, bias=False), nn.BatchNorm1d(bits))
        self.register_buffer("targets", torch.zeros(num_classes, bits))
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("std", torch.ones(channels))
        initialise(self, seed)

    def embed(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``(Z, V)`` for images in [0, 1], shapes (N, dim) and (N, bits)."""
        z = self.backbone((x - self.mean[:, None, None]) / self.std[:, None, None])
        return z, self.head(z)

    def forward(self, x: Tensor) -> Tensor:
        """Return V, shape (N, bits), for images in [0, 1]."""
        return self.embed(x)[1]

    def save(self, path: Path) -> Path:
        """Save weights as safetensors, with the shape of the network in the metadata."""
        import json

        state = {name: tensor.detach().cpu().numpy() for name, tensor in self.state_dict().items()}
        return save_tensors(path, state, {"hash_model": json.dumps(self.shape)})

    @classmethod
    def load(cls, path: Path) -> HashModel:
        """Load a model that `save` wrote, in evaluation mode, on the CPU.

        Raises
        ------
        ArtefactError
            If the file is missing, damaged, or holds something else.
        """
        import json

        tensors, card = load_tensors(path)
        try:
            model = cls(**json.loads(card["hash_model"]))
            model.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in tensors.items()})
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise ArtefactError(f"{path} does not hold a hash model ({error}); train again") from None
        return model.eval()


@torch.no_grad()
def initialise(model: nn.Module, seed: int) -> None:
    """Draw all weights anew from ``seed``, with PyTorch's own default distributions.

    Convolutions and linear layers: U(-1/sqrt(fan_in), 1/sqrt(fan_in)); norms: weight 1, bias 0. The
    global generator is left alone.
    """
    source = generator(torch.device("cpu"), seed, 0x1417)
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            bound = 1 / math.sqrt(module.weight[0].numel())
            for parameter in module.parameters():
                drawn = torch.rand(parameter.shape, generator=source)
                parameter.copy_((drawn * 2 - 1) * bound)
        elif isinstance(module, nn.GroupNorm | nn.BatchNorm1d):
            module.weight.fill_(1)
            module.bias.fill_(0)
