"""The kernels of a ConvNet's block against torch's own layers: the CPU's, and the GPU's by Triton's interpreter."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from pocket.condensation import IEMConfig, condense
from pocket.data import ImageSet
from pocket.hashing import ConvNet, TrainConfig, fusion, kernels_cpu, train
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


@pytest.mark.parametrize("wide", [False, True])
def test_what_is_called_before_a_training_can_be_called(wide: bool, check: Callable[[str], None]) -> None:
    check(f"""
import torch
from pocket.hashing import {{kernels}} as kernels
from pocket.hashing.fusion import _compile

_compile(kernels, torch.zeros(1, 16, 4, 4), wide={wide}, frozen=True)
""")


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


def test_bfloat16_keeps_what_is_not_a_number() -> None:
    x = torch.randn(1, 2, 4, 4, generator=torch.Generator().manual_seed(0)).bfloat16().requires_grad_()
    canonical = torch.tensor([0x7FFFFFFF], dtype=torch.int32).view(torch.float32)  # a GPU's
    pooled = NormReluHalve.apply(x, torch.ones(2), torch.tensor([0.0, 9.0]), 1e-5, True, kernels_cpu)
    pooled.backward(torch.stack([torch.ones(2, 2), canonical.expand(2, 2)])[None])
    assert x.grad[0, 0].isfinite().all() and x.grad[0, 1].isnan().all()


@pytest.mark.parametrize("noise", [0.0, 1e-3, 1.0])
def test_large_and_nearly_even_maps_are_as_near_as_the_layers(noise: float) -> None:
    x = 3.3 + noise * torch.randn(1, 16, 224, 224, generator=torch.Generator().manual_seed(0))
    weight, bias = torch.ones(16), torch.full((16,), 0.5)
    normal = torch.nn.functional.group_norm(x.double(), 16, weight.double(), bias.double(), 1e-5)
    exact = torch.nn.functional.avg_pool2d(normal.relu(), 2)
    found = kernels_cpu.forward(x, weight, bias, 1e-5, True)
    torch.testing.assert_close(found.double(), exact, rtol=0, atol=5e-4)


@pytest.mark.parametrize("shape", [(0, 3, 6, 6), (2, 1, 6, 6), (1, 1, 3, 2)])
def test_no_image_one_image_and_one_channel(shape: tuple[int, ...]) -> None:
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0)).requires_grad_()
    weight, bias = torch.ones(shape[1]), torch.zeros(shape[1])
    twin = x.detach().clone().requires_grad_()
    pooled, layers = (
        NormReluHalve.apply(x, weight, bias, 1e-5, False, kernels_cpu),
        fusion.layers(twin, weight, bias, 1e-5),
    )
    pooled.sum().backward()
    layers.sum().backward()
    torch.testing.assert_close(pooled, layers, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(x.grad, twin.grad, rtol=1e-4, atol=1e-5)


def test_the_bits_do_not_depend_on_threads_and_neither_library_changes_the_others() -> None:
    code = """
import torch
import numba
from pocket.hashing import kernels_cpu

x = torch.randn(5, 6, 24, 24, generator=torch.Generator().manual_seed(0))
weight, bias, grad = torch.full((6,), 1.5), torch.full((6,), 0.2), torch.ones(5, 6, 12, 12)
found = []
for threads in (1, 2, 3):
    torch.set_num_threads(threads)
    pooled = kernels_cpu.forward(x, weight, bias, 1e-5, False)
    found.append((pooled, *kernels_cpu.backward(x, weight, bias, 1e-5, grad, True)))
    assert (torch.get_num_threads(), numba.get_num_threads()) == (threads, 2)
for other in found[1:]:
    assert all(torch.equal(a, b) for a, b in zip(found[0], other))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {"NUMBA_NUM_THREADS": "2"}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]


def test_only_what_is_worth_compiling_for_and_can_be_is_fused() -> None:
    assert kernels_for(torch.empty(2, 3, 23, 23)) is None
    assert kernels_for(torch.empty(2, 3, 24, 24)) is kernels_cpu
    net = ConvNet(1, 24, 4, 2).double()
    assert net(torch.zeros(1, 1, 24, 24, dtype=torch.float64)).dtype == torch.float64


def test_what_training_uses_is_compiled_before(monkeypatch: pytest.MonkeyPatch) -> None:
    def compiled() -> tuple[int, ...]:
        return kernels_cpu._forward.cache_info().currsize, kernels_cpu._backward.cache_info().currsize

    for kernel in (kernels_cpu._forward, kernels_cpu._backward):
        kernel.cache_clear()
    fusion.prepare(torch.device("cpu"), 16, "convnet")
    fusion.prepare(torch.device("cpu"), 32, "resnetap10")
    assert compiled() == (0, 0)
    monkeypatch.setenv("POCKET_PRECISION", "bf16")
    fusion.prepare(torch.device("cpu"), 32, "convnet")
    assert compiled() == (1, 1)
    train(pictures(), bits=16, width=4, config=TrainConfig(steps=1, batch=4), device="cpu")
    assert compiled() == (1, 1)


def pictures() -> ImageSet:
    """Two classes of 24 px."""
    images = np.random.default_rng(0).integers(0, 256, (16, 1, 24, 24), dtype=np.uint8)
    return ImageSet(images, np.arange(16) % 2, ("a", "b"), "made")


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_what_is_stopped_goes_on_to_the_same_bits(
    precision: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POCKET_PRECISION", precision)
    config = TrainConfig(steps=4, batch=4)

    def stop(step: int, _: object) -> None:
        if step == 2:
            raise KeyboardInterrupt

    straight = train(pictures(), bits=16, width=4, config=config, device="cpu")
    with pytest.raises(KeyboardInterrupt):
        train(pictures(), bits=16, width=4, config=config, device="cpu", watch=stop, keep=tmp_path / "training")
    resumed = train(pictures(), bits=16, width=4, config=config, device="cpu", keep=tmp_path / "training")
    assert resumed.fingerprint == straight.fingerprint
    again = [
        condense(
            pictures(), 2, "iem", width=4, bits=16, config=IEMConfig.best(steps=3), teacher=straight, device="cpu"
        ).images
        for _ in range(2)
    ]
    assert np.array_equal(*again) and again[0].std() > 0


@pytest.mark.parametrize("layer", ["workqueue", "tbb_that_is_not_here"])
def test_where_threads_do_not_suit_the_layers_compute_and_say_so(layer: str) -> None:
    code = """
import warnings
import torch
from pocket.hashing import HashModel
from pocket.workflows.doctor import examine

with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    model = HashModel(channels=1, size=28, num_classes=3, bits=16, width=8).eval()
    model.embed(torch.rand(2, 1, 28, 28))
print(told[0].message)
assert [finding.level for finding in examine() if finding.what == "numba"] == (
    [] if torch.cuda.is_available() else ["warn"]
)
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"NUMBA_THREADING_LAYER": layer}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert "the CPU computes with torch's own layers, which is slower, because numba" in done.stdout


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
def test_a_forked_process_computes_with_layers() -> None:
    code = """
import os
import torch
from pocket.hashing import HashModel

torch.set_num_threads(1)
model = HashModel(channels=1, size=28, num_classes=3, bits=16, width=8).eval()
images = torch.rand(2, 1, 28, 28)
with torch.no_grad():
    before = model.embed(images)[1]
    child = os.fork()
    if not child:
        os._exit(0 if torch.allclose(model.embed(images)[1], before, rtol=1e-3, atol=1e-4) else 3)
    assert os.waitpid(child, 0)[1] == 0
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr[-3000:]


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
