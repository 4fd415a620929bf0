"""InstanceNorm, ReLU and the 2 x 2 average pool of a ConvNet's block on the CPU, image by image, and their gradient.

torch's layers each go through the maps of a whole batch, which fit no cache; those of one image do. Channels are the
last axis, which vectors and convolutions like: torch's own norms do not. Two cores with AVX-512 and AMX, ms forward and
backward, torch's layers (with `Halve`) / these; the last two lines are of whole networks of three blocks for 32 px:

==================================== ============== ============== ==============
what                                 layers         kernels        bfloat16
==================================== ============== ============== ==============
block, 400 images, 64 x 32 x 32      46 + 78        10 + 21        14 + 23
block, 50 images, 128 x 32 x 32      8 + 15         2 + 6          2 + 6
400 images, width 64, frozen         326            206            120
128 images, width 128, frozen        251            177            82
==================================== ============== ============== ==============

An image's sums are taken by one thread, so that the bits do not depend on how many there are. Compiled once a process,
in about 3 s for each direction: not kept on disk, since numba's cache is made of pickles.
"""

# Numba's functions are typed when they are compiled.
# mypy: disable-error-code="no-untyped-def, untyped-decorator"

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
import torch
from numba import njit, prange
from torch import Tensor

from pocket.runs.threads import numba_threads

# Sums may be taken in any order, as vectors want it; NaN stays NaN.
_MATH: Any = {"fastmath": {"reassoc", "contract", "nsz", "arcp"}, "error_model": "numpy"}
ORDER = torch.channels_last  # all channels of a pixel side by side: what convolutions on the CPU like best, and vectors
_ZERO, _ONE, _QUARTER = np.float32(0), np.float32(1), np.float32(0.25)
_FLOATS = numba.float32[:, :, ::1]
_HALF, _BITS, _LAST, _NAN = np.uint32(0x7FFF), np.uint32(16), np.uint32(1), np.uint32(0x7FC0)


@njit(**_MATH)
def _norm(image, weight, bias, eps):
    """Return mean, inverse deviation, scale and shift of each channel: ``scale * image + shift`` is normalised.

    What the first pass lost to rounding, which a nearly even map would show enlarged, the second one finds: the
    corrected two-pass algorithm of Chan, Golub and LeVeque, The American Statistician 37 (1983).
    """
    pixels, channels = image.shape
    mean, inverse, lost = np.zeros(channels, np.float32), np.zeros(channels, np.float32), np.zeros(channels, np.float32)
    scale, shift = np.empty(channels, np.float32), np.empty(channels, np.float32)
    count = np.float32(pixels)
    for p in range(pixels):
        for c in range(channels):
            mean[c] += image[p, c]
    for c in range(channels):
        mean[c] /= count
    for p in range(pixels):
        for c in range(channels):
            off = image[p, c] - mean[c]
            lost[c] += off
            inverse[c] += off * off
    for c in range(channels):
        lost[c] /= count
        mean[c] += lost[c]
        square = inverse[c] / count - lost[c] * lost[c]
        inverse[c] = _ONE / np.sqrt((_ZERO if square < _ZERO else square) + eps)
        scale[c] = weight[c] * inverse[c]
        shift[c] = bias[c] - mean[c] * scale[c]
    return mean, inverse, scale, shift


@njit
def _as_it_is(image):
    return image


@njit
def _widened(image):
    """Return bfloat16 as float32: the same bits, and 16 zeros."""
    wide = np.empty(image.shape, np.uint32)
    for p in range(len(image)):
        for c in range(image.shape[1]):
            wide[p, c] = np.uint32(image[p, c]) << _BITS
    return wide.view(np.float32)


@njit
def _in_place(values, image):
    pass


@njit
def _narrowed(values, image):
    """Round to bfloat16, halves to even; NaN, whose bits rounding could turn into a number's, stays NaN."""
    bits = values.view(np.uint32)
    for p in range(len(image)):
        for c in range(image.shape[1]):
            rounded = (bits[p, c] + _HALF + ((bits[p, c] >> _BITS) & _LAST)) >> _BITS
            image[p, c] = np.uint16(_NAN if values[p, c] != values[p, c] else rounded)


@njit
def _room(image):
    return np.empty(image.shape, np.float32)


@cache
def _forward(reduced: bool) -> Callable[..., None]:
    """Compile for maps of bfloat16 (``reduced``), which come as their bits, or of float32."""
    load = _widened if reduced else _as_it_is

    @njit(**_MATH)
    def forward_one(given, weight, bias, eps, width, pooled):
        image = load(given)
        _, _, scale, shift = _norm(image, weight, bias, eps)
        half = width // 2
        for k in range(len(pooled)):
            corner = 2 * (k // half) * width + 2 * (k % half)
            for c in range(len(weight)):
                a = image[corner, c] * scale[c] + shift[c]
                b = image[corner + 1, c] * scale[c] + shift[c]
                d = image[corner + width, c] * scale[c] + shift[c]
                e = image[corner + width + 1, c] * scale[c] + shift[c]
                a, b = _ZERO if a < _ZERO else a, _ZERO if b < _ZERO else b  # not a maximum, which would hide NaN
                d, e = _ZERO if d < _ZERO else d, _ZERO if e < _ZERO else e
                pooled[k, c] = ((a + b) + (d + e)) * _QUARTER

    def forward(x, weight, bias, eps, width, pooled):
        for n in prange(len(x)):
            forward_one(x[n], weight, bias, eps, width, pooled[n])

    _, given = _types(reduced)
    compiled: Callable[..., None] = njit([numba.void(*given, _FLOATS)], parallel=True)(forward)
    return compiled


@cache
def _backward(reduced: bool) -> Callable[..., None]:
    """Compile for maps of bfloat16 (``reduced``), which come as their bits, or of float32."""
    load, room, store = (_widened, _room, _narrowed) if reduced else (_as_it_is, _as_it_is, _in_place)

    @njit(**_MATH)
    def backward_one(given, weight, bias, eps, width, above, grad_x, product, total):
        image, out = load(given), room(grad_x)
        mean, inverse, scale, shift = _norm(image, weight, bias, eps)
        half, count = width // 2, np.float32(len(image))
        for c in range(len(weight)):
            product[c] = total[c] = _ZERO
        if len(image) != 4 * len(above):  # a last odd row or column is left out by the pool
            for p in range(len(image)):
                for c in range(len(weight)):
                    out[p, c] = _ZERO
        for k in range(len(above)):
            corner = 2 * (k // half) * width + 2 * (k % half)
            for which in range(4):
                p = corner + (which // 2) * width + which % 2
                for c in range(len(weight)):
                    passed = above[k, c] * _QUARTER if image[p, c] * scale[c] + shift[c] > _ZERO else _ZERO
                    out[p, c] = passed
                    total[c] += passed
                    product[c] += passed * (image[p, c] - mean[c])
        for c in range(len(weight)):
            product[c] *= inverse[c]
            inverse[c] *= product[c] / count
        for p in range(len(image)):
            for c in range(len(weight)):
                out[p, c] = scale[c] * (out[p, c] - total[c] / count - (image[p, c] - mean[c]) * inverse[c])
        store(out, grad_x)

    def backward(x, weight, bias, eps, width, grad, grad_x, sums):
        for n in prange(len(x)):
            backward_one(x[n], weight, bias, eps, width, grad[n], grad_x[n], sums[0, n], sums[1, n])

    maps, given = _types(reduced)
    compiled: Callable[..., None] = njit([numba.void(*given, _FLOATS, maps, _FLOATS)], parallel=True)(backward)
    return compiled


def _types(reduced: bool) -> tuple[Any, tuple[Any, ...]]:
    """Return numba's type of maps, shape (N, H * W, C), and those of all that both kernels are given first."""
    maps = numba.uint16[:, :, ::1] if reduced else _FLOATS
    return maps, (maps, numba.float32[::1], numba.float32[::1], numba.float32, numba.int64)


def forward(x: Tensor, weight: Tensor, bias: Tensor, eps: float, wide: bool) -> Tensor:
    """Return the pooled map, in float32 where ``wide``, else in the type of ``x``, shape (N, C, H // 2, W // 2)."""
    images, channels, height, width = x.shape
    x = x.contiguous(memory_format=ORDER)
    pooled = torch.empty(images, channels, height // 2, width // 2, memory_format=ORDER)
    with numba_threads(torch.get_num_threads()):
        kernel = _forward(x.dtype == torch.bfloat16)
        kernel(_array(x), weight.detach().numpy(), bias.detach().numpy(), np.float32(eps), width, _array(pooled))
    return pooled if wide else pooled.to(x.dtype)


def backward(
    x: Tensor, weight: Tensor, bias: Tensor, eps: float, grad: Tensor, learned: bool
) -> tuple[Tensor, Tensor | None]:
    """Return the gradient of x, and those of weight and bias for each image, shape (2, N, C), where ``learned``."""
    x = x.contiguous(memory_format=ORDER)
    grad = grad.float().contiguous(memory_format=ORDER)
    grad_x, sums = torch.empty_like(x), torch.empty(2, *x.shape[:2])
    with numba_threads(torch.get_num_threads()):
        kernel = _backward(x.dtype == torch.bfloat16)
        kernel(
            _array(x), weight.detach().numpy(), bias.detach().numpy(), np.float32(eps), x.shape[3],
            _array(grad), _array(grad_x), sums.numpy(),
        )  # fmt: skip
    return grad_x, sums if learned else None


def _array(maps: Tensor) -> npt.NDArray[Any]:
    """View maps, channels last, as an array of shape (N, H * W, C); bfloat16, which NumPy lacks, as its bits."""
    images, channels, height, width = maps.shape
    last = maps.detach().permute(0, 2, 3, 1).view(images, height * width, channels)  # never a copy
    return last.view(torch.uint16).numpy() if last.dtype == torch.bfloat16 else last.numpy()
