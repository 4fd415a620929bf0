"""A ConvNet's block after its convolution as one kernel, where one can be compiled: on a GPU and on the CPU.

Between two convolutions a block moves bytes and computes little. torch's own layers read and write the maps many times;
a kernel reads and writes them once.
"""

from __future__ import annotations

import importlib
import warnings
from functools import cache
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import functional

from pocket.hashing.devices import precision, warm_up
from pocket.hashing.halving import default_depth
from pocket.runs.threads import forked, numba_fault

_LARGEST = 64 * 64  # pixels of a map that a GPU's kernel holds in registers
_MODULES = {"cuda": "pocket.hashing.kernels_gpu", "cpu": "pocket.hashing.kernels_cpu"}
_SMALLEST = 24 * 24  # pixels of an image from which on compiling for the CPU, some 6 s, comes back in a training or two


class Kernels(Protocol):
    """What a kind of device computes: a module of two functions. Maps come in any order of memory."""

    ORDER: torch.memory_format

    def forward(self, x: Tensor, weight: Tensor, bias: Tensor, eps: float, wide: bool) -> Tensor:
        """Return the pooled map."""

    def backward(
        self, x: Tensor, weight: Tensor, bias: Tensor, eps: float, grad: Tensor, learned: bool
    ) -> tuple[Tensor, Tensor | None]:
        """Return the gradient of x, and those of weight and bias for each image where they are learned."""


class NormReluHalve(torch.autograd.Function):
    """``avg_pool2d(relu(instance_norm(x)), 2)`` with learned scale and shift."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float, wide: bool, by: Kernels) -> Tensor:
        """Return the pooled map, in float32 where ``wide``, else in the type of ``x``, shape (N, C, H // 2, W // 2)."""
        ctx.save_for_backward(x, weight, bias)
        ctx.eps, ctx.by = eps, by
        return by.forward(x, weight, bias, eps, wide)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of x, weight and bias."""
        x, weight, bias = ctx.saved_tensors
        if torch.is_grad_enabled():  # somebody asks for the gradient of this gradient: the layers know how
            pooled = layers(x, weight, bias, ctx.eps).to(grad.dtype)
            wanted = [t for t in (x, weight, bias) if t.requires_grad]
            found = iter(torch.autograd.grad(pooled, wanted, grad, create_graph=True))
            return *(next(found) if t.requires_grad else None for t in (x, weight, bias)), None, None, None
        learned = ctx.needs_input_grad[1] or ctx.needs_input_grad[2]
        grad_x, sums = ctx.by.backward(x, weight, bias, ctx.eps, grad, learned)
        # A sum for each image and channel, added up over the images in a fixed order.
        own = sums.sum(1).unbind() if learned else (None, None)
        return grad_x, *own, None, None, None


def layers(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    """Return what the kernels compute, by torch's own layers."""
    normal = functional.group_norm(x.float(), len(weight), weight, bias, eps)
    return functional.avg_pool2d(functional.relu(normal), 2)


def kernels_for(images: Tensor) -> Kernels | None:
    """Return the kernels for a network's images, shape (N, C, H, W); None where torch's layers are to compute.

    That is for images of less than 24 x 24 pixels on the CPU, of more than 64 x 64 on a GPU, of another type than
    float32, in a process that was forked from one with kernels, and, with a warning, wherever kernels do not work.
    """
    if images.dtype != torch.float32 or forked():
        return None
    pixels = images.shape[2] * images.shape[3]
    fits = pixels <= _LARGEST if images.is_cuda else images.device.type == "cpu" and pixels >= _SMALLEST
    return _kernels(images.device.type) if fits else None


@cache
def _kernels(device: str) -> Kernels | None:
    if found := fault(device):
        name = "GPU" if device == "cuda" else "CPU"
        warnings.warn(f"the {name} computes with torch's own layers, which is slower, because {found}", stacklevel=4)
        return None
    kernels: Any = importlib.import_module(_MODULES[device])
    return kernels


def fault(device: str) -> str:
    """Return why kernels do not work on "cuda" or "cpu"; empty where they do."""
    return _triton_fault() if device == "cuda" else numba_fault()


@cache
def _triton_fault() -> str:
    try:
        from pocket.hashing import kernels_gpu

        x, weight, bias = torch.zeros(1, 1, 2, 2, device="cuda"), *torch.ones(2, 1, device="cuda")
        kernels_gpu.forward(x, weight, bias, 1e-5, False)
    except Exception as error:  # Triton's compiler, the C compiler that it calls and the driver fail in their own ways
        return f"Triton does not work here ({str(error).splitlines()[0] if str(error) else type(error).__name__})"
    return ""


def prepare(device: torch.device, size: int, backbone: str) -> None:
    """Pay once, outside every timing, for what the first training of images of ``size`` pixels a side pays.

    On a GPU the library of convolutions starts, and Triton compiles for each size of a map what is not in its cache on
    disk: up to 14 s on an NVIDIA H100.
    """
    warm_up()
    on_gpu = device.type == "cuda"
    sides = [size >> block for block in range(default_depth(size, backbone))] if on_gpu else [2]
    kernels = kernels_for(torch.empty(0, 1, size, size, device=device)) if backbone == "convnet" else None
    for side in sides or [size]:
        with precision(device):  # kernels are compiled for the type that convolutions give
            x = functional.conv2d(
                torch.zeros(1, 16, side, side, device=device), torch.zeros(16, 16, 1, 1, device=device)
            )
        if kernels:
            _compile(kernels, x, wide=on_gpu and side == sides[-1], frozen=on_gpu)


def _compile(kernels: Kernels, x: Tensor, *, wide: bool, frozen: bool) -> None:
    """Call both kernels; a last block's map is ``wide``, and a GPU has one more for weights that are ``frozen``."""
    weight, bias = torch.ones(2, x.shape[1], device=x.device)
    pooled = kernels.forward(x, weight, bias, 1e-5, wide)
    for learned in (True, False) if frozen else (True,):
        kernels.backward(x, weight, bias, 1e-5, pooled, learned)
