"""InstanceNorm, ReLU and the 2 x 2 average pool of a ConvNet's block on the CPU, map by map, and their gradient.

torch's layers each go through the maps of a whole batch, which fit no cache; one map fits the nearest. Two cores with
AVX-512, ms forward + backward, torch's layers (with `Halve`) / these:

=========================== ============ ==========
maps, float32               layers       kernels
=========================== ============ ==========
400 x 64 x 32 x 32          46 + 78      16 + 27
50 x 128 x 32 x 32          8.4 + 14.8   2.7 + 5.0
100 x 32 x 16 x 16          1.1 + 2.0    0.35 + 0.70
=========================== ============ ==========

A map's sums are taken by one thread, so that the bits do not depend on how many there are. Compiled once a process,
in some 4 s: not kept on disk, since numba's cache is made of pickles.
"""

# Numba's functions are typed when they are compiled.
# mypy: disable-error-code="no-untyped-def, untyped-decorator"

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numba
import numpy as np
import numpy.typing as npt
import torch
from numba import njit, prange
from torch import Tensor

# Sums may be taken in any order, as vectors want it; NaN stays NaN.
_MATH: Any = {"fastmath": {"reassoc", "contract", "nsz", "arcp"}, "error_model": "numpy"}
_ZERO, _ONE, _QUARTER = np.float32(0), np.float32(1), np.float32(0.25)
_HALF, _BITS, _LAST = np.uint32(0x7FFF), np.uint32(16), np.uint32(1)


@njit(inline="always", **_MATH)
def _norm(row, weight, bias, eps):
    """Return mean, inverse deviation, scale and shift of one map: ``scale * row + shift`` is normalised."""
    count = np.float32(len(row))
    total = _ZERO
    for k in range(len(row)):
        total += row[k]
    mean = total / count
    square = _ZERO
    for k in range(len(row)):
        off = row[k] - mean
        square += off * off
    inverse = _ONE / np.sqrt(square / count + eps)
    scale = weight * inverse
    return mean, inverse, scale, bias - mean * scale


@njit(inline="always")
def _as_it_is(row):
    return row


@njit(inline="always")
def _widened(row):
    """Return a map of bfloat16 as float32: the same bits, and 16 zeros."""
    wide = np.empty(len(row), np.uint32)
    for k in range(len(row)):
        wide[k] = np.uint32(row[k]) << _BITS
    return wide.view(np.float32)


@njit(inline="always")
def _in_place(values, row):
    pass


@njit(inline="always")
def _narrowed(values, row):
    """Round to bfloat16, halves to even; NaN, whose last bits are zeros here, stays NaN."""
    bits = values.view(np.uint32)
    for k in range(len(row)):
        row[k] = np.uint16((bits[k] + _HALF + ((bits[k] >> _BITS) & _LAST)) >> _BITS)


@njit(inline="always")
def _room(row):
    return np.empty(len(row), np.float32)


class _Compiled(NamedTuple):
    forward: Callable[..., None]
    backward: Callable[..., None]


@cache
def compiled(reduced: bool) -> _Compiled:
    """Compile for maps of bfloat16 (``reduced``), which come as their bits, or of float32."""
    load = _widened if reduced else _as_it_is
    room = _room if reduced else _as_it_is
    store = _narrowed if reduced else _in_place
    kind = numba.uint16 if reduced else numba.float32
    maps, scalars = numba.types.Array(kind, 2, "C"), numba.float32[::1]
    floats, size = numba.float32[:, ::1], numba.int64

    def forward(x, weight, bias, eps, height, width, pooled):
        half = width // 2
        for plane in prange(len(x)):
            row = load(x[plane])
            channel = plane % len(weight)
            _, _, scale, shift = _norm(row, weight[channel], bias[channel], eps)
            two = np.empty(width, np.float32)
            for i in range(height // 2):
                top = 2 * i * width
                for j in range(width):
                    up, down = row[top + j] * scale + shift, row[top + width + j] * scale + shift
                    up, down = _ZERO if up < _ZERO else up, _ZERO if down < _ZERO else down  # not a maximum: NaN
                    two[j] = (up + down) * _QUARTER
                for j in range(half):
                    pooled[plane, i * half + j] = two[2 * j] + two[2 * j + 1]

    def backward(x, weight, bias, eps, height, width, grad, grad_x, sums):
        half = width // 2
        for plane in prange(len(x)):
            row, out = load(x[plane]), room(grad_x[plane])
            channel = plane % len(weight)
            mean, inverse, scale, shift = _norm(row, weight[channel], bias[channel], eps)
            # The pool's gradient first, then all else along the whole map: long loops run in vectors.
            for k in range((height - height % 2) * width, len(row)):
                out[k] = _ZERO  # a last odd row is left out, and so is a last odd column
            for i in range(height // 2):
                top = 2 * i * width
                out[top + width - 1] = _ZERO
                for j in range(half):
                    share = grad[plane, i * half + j] * _QUARTER
                    out[top + 2 * j], out[top + 2 * j + 1] = share, share
                for j in range(width):
                    out[top + width + j] = out[top + j]
            above, product = _ZERO, _ZERO
            for k in range(len(row)):
                passed = out[k] if row[k] * scale + shift > _ZERO else _ZERO
                out[k] = passed
                above += passed
                product += passed * (row[k] - mean)
            product *= inverse
            sums[0, plane], sums[1, plane] = product, above
            level, slope = above / np.float32(len(row)), product * inverse / np.float32(len(row))
            for k in range(len(row)):
                out[k] = scale * (out[k] - level - (row[k] - mean) * slope)
            store(out, grad_x[plane])

    given = (maps, scalars, scalars, numba.float32, size, size)
    return _Compiled(
        njit([numba.void(*given, floats)], parallel=True, **_MATH)(forward),
        njit([numba.void(*given, floats, maps, floats)], parallel=True, **_MATH)(backward),
    )


def forward(x: Tensor, weight: Tensor, bias: Tensor, eps: float, wide: bool) -> Tensor:
    """Return the pooled map, in float32 where ``wide``, else in the type of ``x``, shape (N, C, H // 2, W // 2)."""
    images, channels, height, width = x.shape
    pooled = x.new_empty(images, channels, height // 2, width // 2, dtype=torch.float32)
    kernel = _with_torch_threads(x).forward
    kernel(_rows(x), weight.detach().numpy(), bias.detach().numpy(), np.float32(eps), height, width, _rows(pooled))
    return pooled if wide else pooled.to(x.dtype)


def backward(
    x: Tensor, weight: Tensor, bias: Tensor, eps: float, grad: Tensor, learned: bool
) -> tuple[Tensor, Tensor | None]:
    """Return the gradient of x, and those of weight and bias for each image, shape (2, N, C), where ``learned``."""
    images, channels, height, width = x.shape
    grad_x, sums = torch.empty_like(x), x.new_empty(2, images, channels, dtype=torch.float32)
    kernel = _with_torch_threads(x).backward
    kernel(
        _rows(x), weight.detach().numpy(), bias.detach().numpy(), np.float32(eps), height, width,
        _rows(grad.float()), _rows(grad_x), sums.flatten(1).numpy(),
    )  # fmt: skip
    return grad_x, sums if learned else None


def _with_torch_threads(x: Tensor) -> _Compiled:
    """Return the kernels for the type of ``x``, to be run by as many threads as torch has."""
    numba.set_num_threads(min(torch.get_num_threads(), numba.config.NUMBA_NUM_THREADS))  # type: ignore[attr-defined]
    return compiled(x.dtype == torch.bfloat16)


def _rows(maps: Tensor) -> npt.NDArray[Any]:
    """View contiguous maps as an array, a row each; bfloat16, which NumPy lacks, as its bits."""
    rows = maps.detach().flatten(2).flatten(0, 1)
    return rows.view(torch.uint16).numpy() if rows.dtype == torch.bfloat16 else rows.numpy()
