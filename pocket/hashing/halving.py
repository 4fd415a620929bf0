"""How often a ConvNet halves its maps, and the pool of 2 x 2 pixels that does it, at the speed of a CPU's memory."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


def default_depth(size: int, backbone: str = "convnet") -> int:
    """Return the ConvNet's number of blocks; 0 for a backbone with a depth of its own.

    So many that the last map is 2 to 7 pixels a side: 3 at 32 px, 4 at 64, 5 at 128, 6 at 224.
    """
    return max(2, round(math.log2(size)) - 2) if backbone == "convnet" else 0


class _Halve(torch.autograd.Function):
    """Average pool of 2 x 2 pixels on the CPU, with a gradient that is written once.

    torch would take the gradient of each slice apart, as a map of zeros with one part filled, and add the maps up.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        """Return the means as sums of every second row and column, which run at the speed of memory."""
        height, width = x.shape[2] // 2 * 2, x.shape[3] // 2 * 2
        rows = x[:, :, 0:height:2] + x[:, :, 1:height:2]
        return (rows[..., 0:width:2] + rows[..., 1:width:2]) * 0.25

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        """Keep the shape, which an odd side makes more than twice that of the means."""
        ctx.shape = inputs[0].shape

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        """Spread each mean's gradient over its four pixels; in operations that have a gradient themselves."""
        height, width = ctx.shape[2:]
        wide = (gradient * 0.25).repeat_interleave(2, 3)
        if width % 2:
            wide = functional.pad(wide, (0, 1))
        spread = gradient.new_empty(ctx.shape)
        spread[:, :, : height // 2 * 2].unflatten(2, (-1, 2)).copy_(wide[:, :, :, None])
        if height % 2:
            spread[:, :, -1].zero_()
        return spread


class Halve(nn.Module):
    """Average pool of 2 x 2 pixels; a last odd row or column is left out.

    On the CPU by sums of rows and columns where torch's pool goes window by window: forward and backward of a whole
    ConvNet take 0.9 of the time (50 x 16 px or 28 px, width 32; 400 x 32 px, width 64), and so does ResNetAP-10.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return the means, shape (N, C, H // 2, W // 2)."""
        halved: Tensor = functional.avg_pool2d(x, 2) if x.device.type != "cpu" else _Halve.apply(x)
        return halved
