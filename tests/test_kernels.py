"""The GPU's kernels, run by Triton's interpreter on the CPU, against torch's own layers."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytest.importorskip("triton")

CHECK = """
import torch
from pocket.hashing.kernels import NormReluHalve, layers

shape, wide, learned = {shape}, {wide}, {learned}
source = torch.Generator().manual_seed(0)
x, weight, bias = (torch.randn(s, generator=source, dtype=torch.float32) for s in (shape, shape[1], shape[1]))
x.mul_(3).add_(2)
grad = torch.randn(*shape[:2], shape[2] // 2, shape[3] // 2, generator=source)
found = []
for fused in (True, False):
    mine = [x.clone().requires_grad_(), weight.clone().requires_grad_(learned), bias.clone().requires_grad_(learned)]
    pooled = NormReluHalve.apply(*mine, 1e-5, wide) if fused else layers(*mine, 1e-5)
    pooled.backward(grad)
    found.append([pooled.detach(), *(t.grad for t in mine if t.requires_grad)])
assert len(found[0]) == (4 if learned else 2)
for ours, theirs in zip(*found):
    assert ours.shape == theirs.shape and ours.isfinite().all()
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
"""


def interpreted(code: str) -> None:
    """Run Python with Triton's interpreter: the choice is made when the kernels are imported."""
    env = os.environ | {"TRITON_INTERPRET": "1"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.parametrize(
    ("shape", "wide", "learned"),
    [
        ((2, 3, 8, 8), False, True),
        ((2, 3, 7, 5), True, False),
        ((1, 2, 28, 28), False, True),
        ((2, 2, 2, 2), True, True),
    ],
)
def test_the_kernels_compute_what_the_layers_do(shape: tuple[int, ...], wide: bool, learned: bool) -> None:
    interpreted(CHECK.format(shape=shape, wide=wide, learned=learned))


def test_gradients_of_gradients_are_those_of_the_layers() -> None:
    interpreted("""
import torch
from pocket.hashing.kernels import NormReluHalve, layers

source = torch.Generator().manual_seed(0)
x, weight, bias = (torch.randn(s, generator=source) for s in ((2, 3, 6, 6), 3, 3))
found = []
for way in (lambda *t: NormReluHalve.apply(*t, 1e-5, False), lambda *t: layers(*t, 1e-5)):
    mine = [t.clone().requires_grad_() for t in (x, weight, bias)]
    first = torch.autograd.grad(way(*mine).square().sum(), mine[1:], create_graph=True)
    sum(g.square().sum() for g in first).backward()
    found.append([*first, *(t.grad for t in mine)])
for ours, theirs in zip(*found):
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
""")


def test_what_is_not_a_number_stays_so() -> None:
    interpreted("""
import torch
from pocket.hashing.kernels import NormReluHalve

x = torch.randn(1, 2, 4, 4)
x[0, 1, 0, 0] = torch.nan
pooled = NormReluHalve.apply(x, torch.ones(2), torch.zeros(2), 1e-5, False)
assert pooled[0, 0].isfinite().all() and pooled[0, 1].isnan().all()
""")


def test_a_whole_network_gives_what_its_layers_do_whatever_the_order_of_its_channels() -> None:
    interpreted("""
import torch
from pocket.hashing import ConvNet

net, source = ConvNet(3, 14, 4, 3), torch.Generator().manual_seed(0)
x = torch.randn(2, 3, 14, 14, generator=source)
for form in (torch.contiguous_format, torch.channels_last):
    found = []
    for way in (net._fused, net.blocks):
        mine = x.clone().to(memory_format=form).requires_grad_()
        net.zero_grad()
        z = way(mine).flatten(1)
        z.square().sum().backward()
        found.append([z.detach(), mine.grad, *(p.grad.clone() for p in net.parameters())])
    for ours, theirs in zip(*found):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)
""")
