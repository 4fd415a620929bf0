"""The kernels of a ConvNet's block against torch's own layers: the CPU's, and the GPU's by Triton's interpreter."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

import pytest
import torch

from pocket.hashing import HashModel, fusion, kernels_cpu
from pocket.hashing.fusion import NormReluHalve, kernels_for
from pocket.workflows.doctor import examine

CHECK = """
import torch
from pocket.hashing import {kernels} as kernels
from pocket.hashing.fusion import NormReluHalve, layers

shape, wide, learned = {settings}
source = torch.Generator().manual_seed(0)
x, weight, bias = (torch.randn(s, generator=source, dtype=torch.float32) for s in (shape, shape[1], shape[1]))
x.mul_(3).add_(2)
grad = torch.randn(*shape[:2], shape[2] // 2, shape[3] // 2, generator=source)
found = []
for fused in (True, False):
    mine = [x.clone().requires_grad_(), weight.clone().requires_grad_(learned), bias.clone().requires_grad_(learned)]
    pooled = NormReluHalve.apply(*mine, 1e-5, wide, kernels) if fused else layers(*mine, 1e-5)
    pooled.backward(grad)
    found.append([pooled.detach(), *(t.grad for t in mine if t.requires_grad)])
assert len(found[0]) == (4 if learned else 2)
for ours, theirs in zip(*found):
    assert ours.shape == theirs.shape and ours.isfinite().all()
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
"""


@pytest.fixture(params=["kernels_cpu", "kernels_gpu"])
def check(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Run Python with one device's kernels; Triton's interpreter is chosen when they are imported."""
    if request.param == "kernels_gpu":
        pytest.importorskip("triton")

    def run(code: str) -> None:
        code = code.replace("{kernels}", request.param)
        if request.param == "kernels_cpu":
            exec(compile(code, request.param, "exec"), {})
            return
        env = os.environ | {"TRITON_INTERPRET": "1"}
        done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-3000:]

    return run


@pytest.mark.parametrize(
    ("shape", "wide", "learned"),
    [
        ((2, 3, 8, 8), False, True),
        ((2, 3, 7, 5), True, False),
        ((1, 2, 28, 28), False, True),
        ((2, 2, 2, 2), True, True),
    ],
)
def test_the_kernels_compute_what_the_layers_do(
    shape: tuple[int, ...], wide: bool, learned: bool, check: Callable[[str], None]
) -> None:
    check(CHECK.replace("{settings}", repr((shape, wide, learned))))


def test_gradients_of_gradients_are_those_of_the_layers(check: Callable[[str], None]) -> None:
    check("""
import torch
from pocket.hashing import {kernels} as kernels
from pocket.hashing.fusion import NormReluHalve, layers

source = torch.Generator().manual_seed(0)
x, weight, bias = (torch.randn(s, generator=source) for s in ((2, 3, 6, 6), 3, 3))
found = []
for way in (lambda *t: NormReluHalve.apply(*t, 1e-5, False, kernels), lambda *t: layers(*t, 1e-5)):
    mine = [t.clone().requires_grad_() for t in (x, weight, bias)]
    first = torch.autograd.grad(way(*mine).square().sum(), mine[1:], create_graph=True)
    sum(g.square().sum() for g in first).backward()
    found.append([*first, *(t.grad for t in mine)])
for ours, theirs in zip(*found):
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
""")


def test_what_is_not_a_number_stays_so(check: Callable[[str], None]) -> None:
    check("""
import torch
from pocket.hashing import {kernels} as kernels
from pocket.hashing.fusion import NormReluHalve

x = torch.randn(1, 2, 4, 4)
x[0, 1, 0, 0] = torch.nan
pooled = NormReluHalve.apply(x, torch.ones(2), torch.zeros(2), 1e-5, False, kernels)
assert pooled[0, 0].isfinite().all() and pooled[0, 1].isnan().all()
""")


def test_a_whole_network_gives_what_its_layers_do_whatever_the_order_of_its_channels(
    check: Callable[[str], None],
) -> None:
    check("""
import torch
from pocket.hashing import ConvNet, {kernels} as kernels

net, source = ConvNet(3, 14, 4, 3), torch.Generator().manual_seed(0)
x = torch.randn(2, 3, 14, 14, generator=source)
for form in (torch.contiguous_format, torch.channels_last):
    found = []
    for way in (lambda t: net._fused(t, kernels), net.blocks):
        mine = x.clone().to(memory_format=form).requires_grad_()
        net.zero_grad()
        z = way(mine).flatten(1)
        z.square().sum().backward()
        found.append([z.detach(), mine.grad, *(p.grad.clone() for p in net.parameters())])
    for ours, theirs in zip(*found):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)
""")


@pytest.mark.parametrize("wide", [False, True])
def test_bfloat16_on_the_cpu_is_that_of_the_layers(wide: bool) -> None:
    source = torch.Generator().manual_seed(0)
    x = torch.randn(3, 4, 7, 9, generator=source).mul_(3).bfloat16()
    weight, bias = (torch.randn(4, generator=source) for _ in range(2))
    grad = torch.randn(3, 4, 3, 4, generator=source).to(torch.float32 if wide else torch.bfloat16)
    mine, exact = x.clone().requires_grad_(), x.float().requires_grad_()
    pooled = NormReluHalve.apply(mine, weight, bias, 1e-5, wide, kernels_cpu)
    pooled.backward(grad)
    layers = fusion.layers(exact, weight, bias, 1e-5)
    layers.backward(grad.float())
    assert pooled.dtype == grad.dtype and mine.grad.dtype == torch.bfloat16
    torch.testing.assert_close(pooled.float(), layers, rtol=1e-5 if wide else 2**-8, atol=1e-5)
    torch.testing.assert_close(mine.grad.float(), exact.grad, rtol=2**-8, atol=1e-5)


def test_the_bits_do_not_depend_on_threads_and_torch_keeps_its_own() -> None:
    x = torch.randn(5, 6, 24, 24, generator=torch.Generator().manual_seed(0))
    weight, bias, grad = torch.full((6,), 1.5), torch.full((6,), 0.2), torch.ones(5, 6, 12, 12)
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            pooled = kernels_cpu.forward(x, weight, bias, 1e-5, False)
            found.append((pooled, *kernels_cpu.backward(x, weight, bias, 1e-5, grad, True)))
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    for one, two in zip(*found, strict=True):
        assert torch.equal(one, two)


def test_only_images_that_are_worth_compiling_for_are_fused() -> None:
    assert kernels_for(torch.empty(2, 3, 23, 23)) is None
    assert kernels_for(torch.empty(2, 3, 24, 24)) is kernels_cpu


def test_where_nothing_compiles_the_layers_compute_and_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    images = torch.rand(2, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    model = HashModel(channels=1, size=28, num_classes=3, bits=16, width=8).eval()
    fused = model.embed(images)
    fusion._kernels.cache_clear()
    monkeypatch.setattr(fusion, "start_numba", lambda: "workqueue")
    fusion.fault.cache_clear()
    try:
        with pytest.warns(UserWarning, match="the CPU computes with torch's own layers, .* neither OpenMP nor TBB"):
            plain = model.embed(images)
    finally:
        fusion._kernels.cache_clear()
        fusion.fault.cache_clear()
    for one, other in zip(fused, plain, strict=True):
        assert not torch.equal(one, other)
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.skipif(torch.cuda.is_available(), reason="then the doctor tells of the GPU's kernels")
@pytest.mark.parametrize("lang", ["en", "ja"])
def test_the_doctor_says_why_the_cpu_is_slower(lang: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def named() -> dict[str, str]:
        return {finding.what: finding.found for finding in examine(lang)}

    assert "numba" not in named()
    monkeypatch.setattr(fusion, "fault", lambda device: f"of a reason on the {device}")
    found = named()
    assert "of a reason on the cpu" in found["numba"]
    assert "bfloat16" not in found, "what would not be faster"
