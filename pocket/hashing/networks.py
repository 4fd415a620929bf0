"""Networks: images -> feature embedding Z -> continuous hash representation V."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from pocket.hashing.backbones import (
    Backbone,
    ConvNet,
    TorchvisionNet,
    default_width,
    load_weights,
    make_backbone,
)
from pocket.hashing.devices import derive, generator, precision, to_float
from pocket.hashing.halving import default_depth
from pocket.hashing.objectives import objective
from pocket.runs.artefacts import ArtefactError, load_tensors, save_tensors

__all__ = ["ConvNet", "HashModel", "TrainingReport", "default_depth", "default_width", "initialise"]

_TORCHVISION_STAGE = 0x7056  # keeps the draws of torchvision's weights apart from others of the same seed


@dataclass(frozen=True)
class TrainingReport:
    """What a training cost. ``seconds`` is wall-clock on ``device``, data transfer included."""

    steps: int
    seconds: float
    final_loss: float
    device: str


class HashModel(nn.Module):
    """Backbone and hash layer: x -> Z = backbone(x) -> V = head(Z) * scale + shift; the code is ``V > 0``.

    Parameters
    ----------
    channels, size, num_classes : int
        Of the images.
    bits : int
        Code length K, a multiple of 8 from 8 to 128.
    method : str
        Hashing objective it is trained with; it decides on the head.
    backbone : str
        ``"convnet"``, ``"resnetap10"`` or ``"torchvision:<name>"``, such as ``"torchvision:resnet18"``.
    width, depth : int, optional
        Of the ConvNet, by image size where not given; width also of ResNetAP-10, 64 where not given.
    weights : str or Path, optional
        Pretrained weights of the backbone: a state dict in a safetensors file, or ``"default"``
        for torchvision's own, which are downloaded.
    seed : int
        Of the initial weights.

    Attributes
    ----------
    dim : int
        Of Z.
    shape : dict
        The parameters above, but for weights and seed: what the weights on disk belong to.
    targets : Tensor, shape (num_classes, bits)
        The objective's codeword of each class, zeros until training sets them; a parameter where they are learned.
    mean, std : Tensor, shape (channels,)
        Pixel statistics of the training images; `embed` normalises with them.
    scale, shift : Tensor, shape (bits,)
        Recalibration of the head; 1 and 0 until it is done.
    code_mean, code_std : Tensor, shape (bits,)
        Mean and standard deviation of V over the training images; 0 and 1 until training sets them.
    report : TrainingReport or None
        What training it cost.
    """

    report: TrainingReport | None = None
    targets: Tensor
    mean: Tensor
    std: Tensor
    scale: Tensor
    shift: Tensor
    code_mean: Tensor
    code_std: Tensor

    def __init__(
        self,
        *,
        channels: int,
        size: int,
        num_classes: int,
        bits: int,
        method: str = "orthohash",
        backbone: str = "convnet",
        width: int | None = None,
        depth: int | None = None,
        weights: str | Path | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if bits % 8 or not 8 <= bits <= 128:
            raise ValueError(f"bits={bits}: code lengths are multiples of 8 from 8 to 128")
        hashing = objective(method)
        self.bits, self.method = bits, method
        self.shape: dict[str, Any] = {
            "channels": channels,
            "size": size,
            "num_classes": num_classes,
            "bits": bits,
            "method": method,
            "backbone": backbone,
            "width": width or default_width(size, backbone),
            "depth": depth or default_depth(size, backbone),
        }
        # Modules draw initial weights from the global generator; `_draw` draws them anew from ours.
        with torch.random.fork_rng(devices=[]):
            self.backbone: Backbone = make_backbone(
                backbone,
                channels=channels,
                size=size,
                width=self.shape["width"],
                depth=self.shape["depth"],
                seed=derive(seed, _TORCHVISION_STAGE),
            )
            self.head = hashing.head(self.backbone.dim, bits)
        if hashing.learned_targets:
            self.targets = nn.Parameter(torch.zeros(num_classes, bits))
        else:
            self.register_buffer("targets", torch.zeros(num_classes, bits))
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("std", torch.ones(channels))
        self.register_buffer("scale", torch.ones(bits))
        self.register_buffer("shift", torch.zeros(bits))
        self.register_buffer("code_mean", torch.zeros(bits))
        self.register_buffer("code_std", torch.ones(bits))
        self._map_bytes: dict[str, list[int]] = {}  # by the kind of device
        _draw(self, seed)
        if weights is not None:
            load_weights(self.backbone, weights)

    @property
    def dim(self) -> int:
        """Length of Z."""
        return self.backbone.dim

    @property
    def recordable(self) -> bool:
        """Whether a CUDA graph can record it: a backbone of torchvision may do in a step what cannot be."""
        return not self.shape["backbone"].startswith("torchvision:")

    def embed(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``(Z, V)`` for images in [0, 1], float32 of shapes (N, dim) and (N, bits).

        Losses and moments are sums over many of these: they stay in float32 whatever the network is computed in.
        """
        shown = (x - self.mean[:, None, None]) / self.std[:, None, None]
        with precision(x.device):
            z = self.backbone(shown)
            v = self.head(z)
        return z.float(), v.float() * self.scale + self.shift

    def forward(self, x: Tensor) -> Tensor:
        """Return V, shape (N, bits), for images in [0, 1]."""
        return self.embed(x)[1]

    @torch.no_grad()
    def normalise_by(self, images: npt.NDArray[np.uint8] | Tensor) -> None:
        """Take mean and spread of each channel, which inputs are normalised by, from images (N, C, H, W).

        They are stored pixels (uint8) or in [0, 1], and are read a few at a time: as floats, a set of 10,000 images
        of 224 px would take 6 GB.
        """
        total = torch.zeros(2, self.mean.numel(), dtype=torch.float64, device=self.mean.device)
        at_once = max(1, 2**24 // math.prod(images.shape[1:]))
        for start in range(0, len(images), at_once):
            part = to_float(images[start : start + at_once], self.mean.device)
            total += torch.stack([x.sum(dim=(0, 2, 3), dtype=torch.float64) for x in (part, part.square())])
        mean, square = total / (len(images) * images.shape[2] * images.shape[3])
        self.mean.copy_(mean)
        self.std.copy_((square - mean.square()).clamp_min(0).sqrt().clamp_min(1e-3))

    def filters(self) -> Iterator[nn.Parameter]:
        """Yield the weights of backbone and head with two dimensions or more: no biases, norms or learned targets."""
        for part in (self.backbone, self.head):
            yield from (parameter for parameter in part.parameters() if parameter.dim() > 1)

    @property
    def fingerprint(self) -> str:
        """SHA-256 over shape and all that `save` keeps, in hex: equal models have equal fingerprints."""
        digest = hashlib.sha256(repr(sorted(self.shape.items())).encode())
        for name, tensor in self.state_dict().items():
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().contiguous().numpy().data)
        return digest.hexdigest()

    def bytes_per_image(self, grad: bool) -> int:
        """Estimate the memory that one more image in a batch takes, in bytes, on the generous side.

        Measured once by a forward of one image: with gradients, twice the outputs of all layers, which are kept
        for the backward and meet their gradients there, and an eighth more for what the convolutions work in, which
        differs from processor to processor; without, four times the largest: a layer's input and output, a shortcut,
        and room to work. Where a GPU fuses the layers of a ConvNet, it keeps only what the convolutions give; on the
        CPU they are counted as if they were not fused, so that there are as many images in a chunk as ever.
        """
        where = self.mean.device.type
        if where not in self._map_bytes:
            self._map_bytes[where] = _map_bytes(self)
        maps = self._map_bytes[where]
        return 9 * sum(maps) // 4 if grad else 4 * max(maps)

    def save(self, path: Path) -> Path:
        """Save weights as safetensors, with the shape of the network and its report in the metadata."""
        import json

        state = {name: tensor.detach().cpu().numpy() for name, tensor in self.state_dict().items()}
        card = {"hash_model": json.dumps(self.shape)}
        if self.report:
            card["report"] = json.dumps(asdict(self.report))
        return save_tensors(path, state, card)

    @classmethod
    def load(cls, path: str | Path) -> HashModel:
        """Load a model that `save` wrote, in evaluation mode, on the CPU.

        Raises
        ------
        ArtefactError
            If the file is missing, damaged, or holds something else.
        """
        import json

        tensors, card = load_tensors(Path(path))
        try:
            model = cls(**json.loads(card["hash_model"]))
            model.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in tensors.items()})
            if "report" in card:
                model.report = TrainingReport(**json.loads(card["report"]))
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise ArtefactError(f"{path} does not hold a hash model ({error}); train again") from None
        return model.eval()


def initialise(model: nn.Module, seed: int) -> None:
    """Draw all weights anew from ``seed``, pretrained ones too; statistics and targets stay.

    Convolutions and linear layers: U(-1/sqrt(fan_in), 1/sqrt(fan_in)), PyTorch's own default; norms: weight 1,
    bias 0; networks of torchvision: as torchvision draws them. They are drawn where the model lies, which spares a
    GPU to wait for them: on the CPU, a `HashModel` gets the weights of a new one of that seed. The global generator is
    left alone.
    """
    for module in model.modules():
        if isinstance(module, TorchvisionNet):
            module.draw(derive(seed, _TORCHVISION_STAGE))
    _draw(model, seed)


@torch.no_grad()
def _draw(model: nn.Module, seed: int) -> None:
    """Draw the weights outside torchvision's networks."""
    where = next(model.parameters()).device
    source = generator(where, seed, 0x1417)
    foreign = {id(m) for net in model.modules() if isinstance(net, TorchvisionNet) for m in net.modules()}
    for module in model.modules():
        if id(module) in foreign or isinstance(module, HashModel):  # a model's own parameters are its targets
            continue
        if isinstance(module, nn.Conv2d | nn.Linear):
            bound = 1 / math.sqrt(module.weight[0].numel())
            for parameter in module.parameters():
                drawn = torch.rand(parameter.shape, generator=source, device=where)
                parameter.copy_((drawn * 2 - 1) * bound)
        elif isinstance(module, nn.GroupNorm | nn.LayerNorm | nn.BatchNorm1d | nn.BatchNorm2d):
            module.reset_parameters()  # draws nothing
        elif any(True for _ in module.parameters(recurse=False)):
            raise TypeError(f"initialise does not know how to draw the weights of {type(module).__name__}")


def _map_bytes(model: HashModel) -> list[int]:
    """Return the bytes of every layer's output for one image."""
    found: list[int] = []

    def count(_: nn.Module, __: object, output: object) -> None:
        if isinstance(output, Tensor):
            found.append(output.numel() * output.element_size())

    leaves = [module for module in model.modules() if not any(True for _ in module.children())]
    hooks = [leaf.register_forward_hook(count) for leaf in leaves]
    training, image = model.training, model.mean.new_zeros(1, *(model.shape[k] for k in ("channels", "size", "size")))
    backbone = model.backbone
    fused = isinstance(backbone, ConvNet) and backbone.fused
    try:
        if fused and not image.is_cuda:
            backbone.fused = False
        with torch.no_grad():
            model.eval()(image)  # no statistics are updated, nothing is drawn
    finally:
        if fused:
            backbone.fused = True
        model.train(training)
        for hook in hooks:
            hook.remove()
    return found
