"""Backbones: images, normalised, shape (N, C, H, W) -> feature embedding Z, shape (N, dim)."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pocket.hashing.fusion import Kernels, NormReluHalve, kernels_for
from pocket.hashing.halving import Halve

BACKBONES = ("convnet", "resnetap10", "torchvision:<name>")
_TORCHVISION = "torchvision:"


def default_width(size: int, backbone: str = "convnet") -> int:
    """Return the channels of a backbone for images of ``size`` pixels; 0 where it has a width of its own.

    ConvNet: 32 up to 20 px, 64 up to 28, else 128. ResNetAP-10: 64, of its first stage.
    """
    if backbone != "convnet":
        return 64 if backbone == "resnetap10" else 0
    return 32 if size <= 20 else 64 if size <= 28 else 128


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

    Attributes
    ----------
    fused : bool
        Let norm, ReLU and pool be one kernel where there is one. False under `torch.func`, which wants layers.
    """

    fused: bool = True

    def __init__(self, channels: int, size: int, width: int, depth: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inputs = channels
        for _ in range(depth):
            layers += [
                nn.Conv2d(inputs, width, 3, padding=1),
                nn.GroupNorm(width, width),
                nn.ReLU(inplace=True),
                Halve(),
            ]
            inputs, size = width, size // 2
        self.blocks = nn.Sequential(*layers)
        self.dim = width * size * size

    def forward(self, x: Tensor) -> Tensor:
        """Return Z, shape (N, dim)."""
        kernels = kernels_for(x) if self.fused else None
        return (self._fused(x, kernels) if kernels else self.blocks(x)).flatten(1)

    def _fused(self, x: Tensor, kernels: Kernels) -> Tensor:
        """Return the last map, all that follows a convolution computed by one kernel."""
        layers, x = list(self.blocks), x.contiguous(memory_format=kernels.ORDER)
        for start in range(0, len(layers), 4):
            norm = layers[start + 1]
            last = start + 4 == len(layers)
            x = NormReluHalve.apply(layers[start](x), norm.weight, norm.bias, norm.eps, last, kernels)
        return x


def _convolution(inputs: int, outputs: int, side: int) -> list[nn.Module]:
    """Return a convolution of stride 1 and its InstanceNorm."""
    return [
        nn.Conv2d(inputs, outputs, side, padding=side // 2, bias=False),
        nn.GroupNorm(outputs, outputs),
    ]


class _Residual(nn.Module):
    """Basic block of two 3x3 convolutions; where it widens, it halves the map by an average pool."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        halve: list[nn.Module] = [] if inputs == outputs else [Halve()]
        first, second = _convolution(inputs, outputs, 3), _convolution(outputs, outputs, 3)
        self.long = nn.Sequential(*first, nn.ReLU(inplace=True), *halve, *second)
        # The pool and a 1x1 convolution commute: pooling first is the same map at a quarter of the work.
        self.short = nn.Sequential(*halve, *_convolution(inputs, outputs, 1)) if halve else nn.Identity()
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.long(x) + self.short(x))


class ResNetAP(nn.Module):
    """ResNetAP-10: a ResNet-10 that pools where others stride, with InstanceNorm; Z is its pooled last map.

    Kim et al., "Dataset Condensation via Efficient Synthetic-Data Parameterization" (IDC), ICML 2022, use it
    for subsets of ImageNet. Four basic blocks of width, 2, 4 and 8 times width channels; a 3x3 stem
    up to 64 px, 3x3 and a pool by 2 up to 128, 7x7 and a pool by 4 above.

    Parameters
    ----------
    channels, size : int
        Of the input images, shape (N, channels, size, size).
    width : int
        Channels of the first stage; 64 in the paper.
    """

    def __init__(self, channels: int, size: int, width: int) -> None:
        super().__init__()
        if size < 16:
            raise ValueError(f"backbone 'resnetap10' takes images of 16 px or more, not {size}: take 'convnet'")
        halvings = 0 if size <= 64 else 1 if size <= 128 else 2
        stem = _convolution(channels, width, 7 if halvings == 2 else 3)
        widths = [width, width, 2 * width, 4 * width, 8 * width]
        self.stem = nn.Sequential(*stem, nn.ReLU(inplace=True), *(Halve() for _ in range(halvings)))
        self.stages = nn.Sequential(*(_Residual(*pair) for pair in pairwise(widths)))
        self.dim = widths[-1]

    def forward(self, x: Tensor) -> Tensor:
        """Return Z, shape (N, dim)."""
        return self.stages(self.stem(x)).mean(dim=(2, 3))


class TorchvisionNet(nn.Module):
    """A classification network of torchvision without its last layer; Z is what that layer was given.

    Grey images are repeated to three channels. Dropout and stochastic depth are switched off: they draw from
    PyTorch's global generator, and training would no longer follow from its seed. BatchNorm, where the network
    has it, mixes the images of a batch while training, which is meant there; in evaluation mode images
    are independent of one another, as condensing wants them.

    Parameters
    ----------
    name : str
        A name in ``torchvision.models.list_models(module=torchvision.models)``.
    channels, size : int
        Of the input images, shape (N, channels, size, size); channels is 1 or 3.
    seed : int
        Of the initial weights, drawn from torchvision's own distributions.
    """

    def __init__(self, name: str, channels: int, size: int, seed: int) -> None:
        super().__init__()
        if channels not in (1, 3):
            raise ValueError(f"backbone 'torchvision:{name}' takes images of 1 or 3 channels, not {channels}")
        self.name, self.size = name, size
        self.net, self.cut = self._build(seed)
        self.eval()
        try:
            with torch.no_grad():
                self.dim = self(torch.zeros(1, channels, size, size)).shape[1]
        except (RuntimeError, ValueError, AssertionError) as error:
            raise self._unfit(error) from None
        self.train()

    def forward(self, x: Tensor) -> Tensor:
        """Return Z, shape (N, dim)."""
        return self.net(x.expand(-1, 3, -1, -1)).flatten(1)

    def draw(self, seed: int) -> None:
        """Draw all weights anew from ``seed``."""
        self.net.load_state_dict(self._build(seed)[0].state_dict())

    def _build(self, seed: int, weights: str | None = None) -> tuple[nn.Module, str]:
        """Return the network without its last layer, and that layer's name."""
        from torchvision import models

        if self.name not in models.list_models(module=models):
            raise ValueError(
                f"unknown backbone 'torchvision:{self.name}'; the names after 'torchvision:' are torchvision's "
                f"classification networks: {', '.join(models.list_models(module=models))}"
            )
        options: dict[str, Any] = {}
        if self.name in ("googlenet", "inception_v3"):  # no side classifiers, no second normalisation of pixels
            options = {"aux_logits": False, "transform_input": False, "init_weights": False}
        elif self.name.startswith("vit_"):
            options = {"image_size": self.size}
        elif self.name.startswith("maxvit_"):
            options = {"input_size": (self.size, self.size)}
        # torchvision draws from the global generator: lend it one state, and put its own back.
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            try:
                net = models.get_model(self.name, weights=weights, **options)
            except (ValueError, AssertionError) as error:
                raise self._unfit(error) from None
        for module in net.modules():
            if isinstance(module, nn.Dropout) or type(module).__name__ == "StochasticDepth":
                module.p = 0.0
        return net, _cut_last(net, self.name)

    def _unfit(self, error: Exception) -> ValueError:
        return ValueError(
            f"backbone 'torchvision:{self.name}' does not take images of {self.size} px"
            f" ({str(error).splitlines()[0] if str(error) else type(error).__name__}): most take 224 px;"
            " 'torchvision:resnet18' and 'convnet' take any size"
        )


def _cut_last(net: nn.Module, name: str) -> str:
    """Replace the layer that gives one output per class by the identity, in place, and return its name."""
    stage = next((s for s in ("fc", "classifier", "head", "heads") if hasattr(net, s)), None)
    layers = [] if stage is None else list(net.get_submodule(stage).named_modules(prefix=stage))
    last = [path for path, module in layers if isinstance(module, nn.Linear | nn.Conv2d)]
    if not last:
        raise ValueError(
            f"backbone 'torchvision:{name}' does not end in a classifier that pocket knows: "
            "networks work whose last stage is called fc, classifier, head or heads"
        )
    parent, _, leaf = last[-1].rpartition(".")
    setattr(net.get_submodule(parent), leaf, nn.Identity())
    return last[-1]


Backbone = ConvNet | ResNetAP | TorchvisionNet


def make_backbone(name: str, *, channels: int, size: int, width: int, depth: int, seed: int) -> Backbone:
    """Build a backbone by name, one of `BACKBONES`.

    Parameters
    ----------
    name : str
    channels, size : int
        Of the images.
    width, depth : int
        As `default_width` and `default_depth` give them, or others; 0 where the backbone leaves no choice.
    seed : int
        Of torchvision's initial weights; the others' are left to `pocket.hashing.networks.initialise`.

    Raises
    ------
    ValueError
        If the name is unknown, or the network does not take such images, width or depth.
    """
    if name not in BACKBONES and not name.startswith(_TORCHVISION):
        raise ValueError(f"unknown backbone {name!r}; choose one of {', '.join(BACKBONES)}")
    if depth and name != "convnet":
        raise ValueError(f"depth={depth}, but backbone {name!r} has a depth of its own: leave it out")
    if name == "convnet":
        if size >> depth < 1:
            raise ValueError(f"depth={depth}: images of {size} px can be halved {int(math.log2(size))} times")
        return ConvNet(channels, size, width, depth)
    if name == "resnetap10":
        return ResNetAP(channels, size, width)
    if width:
        raise ValueError(f"width={width}, but backbone {name!r} has a width of its own: leave it out")
    return TorchvisionNet(name.removeprefix(_TORCHVISION), channels, size, seed)


def load_weights(backbone: Backbone, weights: str | Path) -> None:
    """Load pretrained weights into a backbone.

    Parameters
    ----------
    backbone : Backbone
    weights : str or Path
        A state dict in a safetensors file, of the whole torchvision network or without its classifier; or
        ``"default"``: torchvision's own, downloaded once and kept in its cache.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is no safetensors file, or of another network.
    OSError
        If the download fails.

    Notes
    -----
    Pixels are normalised with the statistics of the images trained
    on, not with those of ImageNet; the two are near for photographs.
    """
    net: nn.Module = backbone
    state: dict[str, Tensor]
    if isinstance(backbone, TorchvisionNet):
        net = backbone.net
        state = _download(backbone) if weights == "default" else _read(Path(weights))
        unwanted = (f"{backbone.cut}.", "aux1.", "aux2.", "AuxLogits.")
        state = {name: tensor for name, tensor in state.items() if not name.startswith(unwanted)}
    elif weights == "default":
        raise ValueError("weights='default' is for backbones of torchvision: give a file, or no weights")
    else:
        state = _read(Path(weights))
    try:
        net.load_state_dict(state)
    except RuntimeError as error:
        lines = str(error).splitlines()
        said = "; ".join(line.strip()[:200] for line in lines[1:3]) or str(error)
        raise ValueError(f"weights={str(weights)!r} are not of this backbone: {said}") from None


def _download(backbone: TorchvisionNet) -> dict[str, Tensor]:
    try:
        return backbone._build(0, weights="DEFAULT")[0].state_dict()
    except OSError as error:  # URLError is one
        raise OSError(
            f"the weights of torchvision's {backbone.name} could not be downloaded ({error}); "
            "without a network, give weights=<file>, a state dict as safetensors, or no weights"
        ) from None


def _read(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not path.is_file():
        raise FileNotFoundError(f"weights: there is no file {str(path)!r}")
    try:
        return load_file(path)
    except SafetensorError as error:
        raise ValueError(
            f"weights={str(path)!r} is no safetensors file ({error}). A .pth file is a pickle, which may run code "
            "when it is opened: turn one that you trust into safetensors once, with "
            "safetensors.torch.save_file(torch.load(PATH, weights_only=True), NEW_PATH)"
        ) from None
