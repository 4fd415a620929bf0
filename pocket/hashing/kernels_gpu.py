"""InstanceNorm, ReLU and the 2 x 2 average pool of a ConvNet's block as one GPU kernel, and their gradient as another.

Between two convolutions a block moves bytes and computes little. torch's own layers read and write the map some
fifteen times, in float32; these read it twice and write it once, in the type that the convolutions use. A step of IEM
of 500 images in 2 x 2 tiles (width 128, 32 px, NVIDIA H200) took 45 ms and 7.0 GiB, and with these and `replay` 14 ms
and 3.8 GiB.

Imported only where a GPU computes and Triton, which comes with torch's CUDA builds on Linux, is there.
"""

# Triton's types are not Python's.
# mypy: disable-error-code="no-untyped-def, untyped-decorator, import-untyped"

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

ORDER = torch.contiguous_format


@triton.jit
def _forward(x, weight, bias, pooled, channels, height, width, eps, MAP: tl.constexpr, POOLED: tl.constexpr):
    plane = tl.program_id(0).to(tl.int64)  # of one image and channel
    size = height * width
    at = tl.arange(0, MAP)
    here = at < size
    values = tl.load(x + plane * size + at, mask=here, other=0.0).to(tl.float32)
    mean = tl.sum(values) / size
    off = tl.where(here, values - mean, 0.0)
    scale = tl.load(weight + plane % channels) / tl.sqrt(tl.sum(off * off) / size + eps)
    shift = tl.load(bias + plane % channels) - mean * scale
    columns = width // 2
    count = (height // 2) * columns
    out = tl.arange(0, POOLED)
    kept = out < count
    corner = x + plane * size + 2 * (out // columns) * width + 2 * (out % columns)
    total = tl.zeros((POOLED,), dtype=tl.float32)
    for row in tl.static_range(2):
        for column in tl.static_range(2):
            value = tl.load(corner + row * width + column, mask=kept, other=0.0).to(tl.float32) * scale + shift
            total += tl.where(value < 0, 0.0, value)  # not a maximum, which would hide NaN
    tl.store(pooled + plane * count + out, (total * 0.25).to(pooled.dtype.element_ty), mask=kept)


@triton.jit
def _backward(
    x, weight, bias, grad, grad_x, grad_weight, grad_bias, channels, height, width, eps, LEARNED: tl.constexpr,
    MAP: tl.constexpr,
):  # fmt: skip
    plane = tl.program_id(0).to(tl.int64)
    size = height * width
    at = tl.arange(0, MAP)
    here = at < size
    values = tl.load(x + plane * size + at, mask=here, other=0.0).to(tl.float32)
    mean = tl.sum(values) / size
    off = tl.where(here, values - mean, 0.0)
    inverse = 1.0 / tl.sqrt(tl.sum(off * off) / size + eps)
    normal = off * inverse
    gain = tl.load(weight + plane % channels)
    columns = width // 2
    row, column = at // width // 2, at % width // 2
    pooled = here & (row < height // 2) & (column < columns)  # a last odd row or column is left out
    place = plane * ((height // 2) * columns) + row * columns + column
    above = tl.load(grad + place, mask=pooled, other=0.0).to(tl.float32) * 0.25
    above = tl.where(normal * gain + tl.load(bias + plane % channels) > 0, above, 0.0)
    sum_above, sum_product = tl.sum(above), tl.sum(above * normal)
    if LEARNED:
        tl.store(grad_weight + plane, sum_product)
        tl.store(grad_bias + plane, sum_above)
    below = gain * inverse * (above - (sum_above + normal * sum_product) / size)
    tl.store(grad_x + plane * size + at, below.to(grad_x.dtype.element_ty), mask=here)


def forward(x: Tensor, weight: Tensor, bias: Tensor, eps: float, wide: bool) -> Tensor:
    """Return the pooled map, in float32 where ``wide``, else in the type of ``x``, shape (N, C, H // 2, W // 2)."""
    x = x.contiguous()
    images, channels, height, width = x.shape
    pooled = x.new_empty(images, channels, height // 2, width // 2, dtype=torch.float32 if wide else x.dtype)
    sizes = {"MAP": triton.next_power_of_2(height * width)}
    sizes["POOLED"] = triton.next_power_of_2((height // 2) * (width // 2))
    grid = (images * channels,)
    with _on(x):
        _forward[grid](x, weight, bias, pooled, channels, height, width, eps, **sizes, num_warps=_warps(sizes["MAP"]))
    return pooled


def backward(
    x: Tensor, weight: Tensor, bias: Tensor, eps: float, grad: Tensor, learned: bool
) -> tuple[Tensor, Tensor | None]:
    """Return the gradient of x, and those of weight and bias for each image, shape (2, N, C), where ``learned``."""
    x, grad = x.contiguous(), grad.contiguous()
    images, channels, height, width = x.shape
    grad_x = torch.empty_like(x)
    sums = x.new_empty(2, images, channels, dtype=torch.float32) if learned else x.new_empty(2, 0)
    block = triton.next_power_of_2(height * width)
    with _on(x):
        _backward[(images * channels,)](
            x, weight, bias, grad, grad_x, sums[0], sums[1], channels, height, width, eps, LEARNED=learned,
            MAP=block, num_warps=_warps(block),
        )  # fmt: skip
    return grad_x, sums if learned else None


def _on(x: Tensor) -> AbstractContextManager[Any]:
    """Make the GPU of ``x`` the current one, on which Triton launches; nothing where its interpreter runs."""
    return torch.cuda.device(x.device) if x.is_cuda else nullcontext()


def _warps(block: int) -> int:
    return max(1, min(8, block // 256))
