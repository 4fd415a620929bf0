"""Networks: shapes, seeds, independence of images, round trips of every backbone, weights from a file."""

from __future__ import annotations

import copy
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from sets_for_tests import image_set
from torch import Tensor, nn
from torchvision import models

from pocket.hashing import OBJECTIVES, HashModel
from pocket.hashing.backbones import BACKBONES, ConvNet, ResNetAP, TorchvisionNet, default_width
from pocket.hashing.devices import describe
from pocket.hashing.halving import Halve, default_depth
from pocket.hashing.networks import initialise
from pocket.runs import ArtefactError

assert image_set  # its module keeps torch to one thread

RESNET, MOBILE = "torchvision:resnet18", "torchvision:mobilenet_v3_small"
ALL = ["convnet", "resnetap10", RESNET, MOBILE]


def model(backbone: str = "convnet", size: int = 32, **also: Any) -> HashModel:
    width = {"convnet": 8, "resnetap10": 4}.get(backbone)
    return HashModel(
        **({"channels": 3, "size": size, "num_classes": 3, "bits": 16, "width": width} | also), backbone=backbone
    )


def pictures(count: int = 3, channels: int = 3, size: int = 32) -> Tensor:
    return torch.rand(count, channels, size, size, generator=torch.Generator().manual_seed(9))


@pytest.mark.parametrize("size", [8, 7])
def test_halving_is_the_average_pool_and_so_is_its_gradient(size: int) -> None:
    ours, theirs = (pictures(size=size).requires_grad_() for _ in range(2))
    halved, pooled = Halve()(ours), nn.functional.avg_pool2d(theirs, 2)
    torch.testing.assert_close(halved, pooled)
    halved.square().sum().backward()
    pooled.square().sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad)


@pytest.mark.parametrize("size", [4, 5])
def test_the_gradient_of_halving_has_a_gradient_for_gradient_matching(size: int) -> None:
    x = pictures(2, 1, size).double().requires_grad_()
    assert torch.autograd.gradcheck(Halve(), x)
    assert torch.autograd.gradgradcheck(Halve(), x)


@pytest.mark.parametrize("size", [8, 7])
def test_halving_gives_the_bits_of_the_slices_that_it_is_made_of(size: int) -> None:
    x, y = (pictures(size=size).requires_grad_() for _ in range(2))
    even = size // 2 * 2
    rows = y[:, :, 0:even:2] + y[:, :, 1:even:2]
    slices = (rows[..., 0:even:2] + rows[..., 1:even:2]) * 0.25
    halved = Halve()(x)
    halved.square().sum().backward()
    slices.square().sum().backward()
    assert torch.equal(halved, slices)
    assert x.grad is not None and y.grad is not None and torch.equal(x.grad, y.grad)


def equal(first: nn.Module, second: nn.Module) -> list[bool]:
    pairs = zip(first.state_dict().items(), second.state_dict().values(), strict=True)
    return [torch.equal(a, b) for (_, a), b in pairs]


def shaken(net: HashModel) -> HashModel:
    """All that a state holds, moved away from where it began, as training would."""
    source = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for tensor in net.state_dict().values():
            if tensor.is_floating_point():
                tensor.add_(0.01 * torch.randn(tensor.shape, generator=source))
    return net


# --- backbones ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "width", "depth"), [(16, 32, 2), (28, 64, 3), (32, 128, 3), (64, 128, 4), (128, 128, 5), (224, 128, 6)]
)
def test_the_convnet_follows_the_image_size(size: int, width: int, depth: int) -> None:
    assert (default_width(size), default_depth(size)) == (width, depth)
    net = HashModel(channels=3, size=size, num_classes=2, bits=8, width=4).eval()
    assert net.shape["depth"] == depth
    side = size // 2**depth
    assert 2 <= side <= 7
    assert net.dim == 4 * side * side
    assert sum(isinstance(module, nn.Conv2d) for module in net.modules()) == depth
    z, v = net.embed(pictures(2, size=size))
    assert z.shape == (2, net.dim)
    assert v.shape == (2, 8)


@pytest.mark.parametrize(
    ("size", "stem", "last"), [(16, 3, 2), (32, 3, 4), (64, 3, 8), (96, 3, 6), (128, 3, 8), (160, 7, 5), (224, 7, 7)]
)
def test_resnetap_pools_more_in_larger_images(size: int, stem: int, last: int) -> None:
    net = ResNetAP(1, size, 2).eval()
    maps = net.stages(net.stem(pictures(1, 1, size)))
    assert maps.shape == (1, 16, last, last)
    assert net.stem[0].kernel_size == (stem, stem)
    torch.testing.assert_close(net(pictures(1, 1, size)), maps.mean(dim=(2, 3)))


def test_resnetap_is_a_resnet_of_ten_layers_whose_width_scales() -> None:
    net = model("resnetap10", width=None)
    assert net.shape["width"] == 64
    assert net.dim == 512
    convolutions = [m for m in net.modules() if isinstance(m, nn.Conv2d)]
    long = [c.out_channels for c in convolutions if c.kernel_size != (1, 1)]
    assert long == [64, 64, 64, 128, 128, 256, 256, 512, 512], "nine of them, and the head is the tenth layer"
    assert [c.out_channels for c in convolutions if c.kernel_size == (1, 1)] == [128, 256, 512]
    assert {c.stride for c in convolutions} == {(1, 1)}
    assert not any(isinstance(m, nn.BatchNorm2d) for m in net.modules())
    # Weights of convolutions, and two numbers a channel of each norm.
    wide = [(3, 64, 9)] + [(64, 64, 9)] * 2 + [(64, 128, 9), (128, 128, 9), (64, 128, 1)]
    wide += [(128, 256, 9), (256, 256, 9), (128, 256, 1), (256, 512, 9), (512, 512, 9), (256, 512, 1)]
    counted = sum(a * b * k + 2 * b for a, b, k in wide)
    assert sum(p.numel() for p in net.backbone.parameters()) == counted
    assert model("resnetap10", width=4).dim == 32


@pytest.mark.parametrize("backbone", ["convnet", "resnetap10"])
@pytest.mark.parametrize("size", [32, 64])
def test_images_do_not_disturb_one_another(backbone: str, size: int) -> None:
    """InstanceNorm: a forward of all classes is a forward of each, in training as in evaluation."""
    net, batch = model(backbone, size).backbone, pictures(5, size=size)
    with torch.no_grad():
        alone = torch.cat([net(image[None]) for image in batch])
        torch.testing.assert_close(net(batch), alone, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(net.eval()(batch), alone, atol=1e-5, rtol=1e-5)


def test_batchnorm_mixes_images_in_training_only() -> None:
    net, batch = model(RESNET).backbone, pictures(4)
    with torch.no_grad():
        assert not torch.allclose(copy.deepcopy(net).train()(batch)[:2], net(batch[:2]), atol=1e-3)
        net.eval()
        torch.testing.assert_close(net(batch), torch.cat([net(i[None]) for i in batch]), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "size", "dim", "cut"),
    [
        ("resnet18", 32, 512, "fc"),
        ("mobilenet_v3_small", 32, 1024, "classifier.3"),
        ("squeezenet1_1", 32, 512, "classifier.1"),
        ("shufflenet_v2_x0_5", 32, 1024, "fc"),
        ("mnasnet0_5", 32, 1280, "classifier.1"),
        ("densenet121", 32, 1024, "classifier"),
        ("googlenet", 32, 1024, "fc"),
        ("regnet_x_400mf", 32, 400, "fc"),
        ("efficientnet_b0", 32, 1280, "classifier.1"),
    ],
)
def test_torchvisions_networks_give_what_their_last_layer_was_given(name: str, size: int, dim: int, cut: str) -> None:
    net = TorchvisionNet(name, 3, size, 0).eval()
    assert (net.dim, net.cut) == (dim, cut)
    options = {"init_weights": False} if name == "googlenet" else {}
    with torch.random.fork_rng(devices=[]):
        whole, given = models.get_model(name, weights=None, **options), []
    whole.load_state_dict(net.net.state_dict(), strict=False)
    whole.eval().get_submodule(cut).register_forward_hook(lambda _, inputs, __: given.append(inputs[0]))
    image = pictures(1, size=size)
    with torch.no_grad():
        whole(image)
        after = nn.Sequential(nn.ReLU(), nn.AdaptiveAvgPool2d(1)) if name == "squeezenet1_1" else nn.Identity()
        torch.testing.assert_close(net(image), after(given[0]).flatten(1))


def test_a_vision_transformer_is_built_for_the_image_size() -> None:
    net = TorchvisionNet("vit_b_32", 1, 64, 0).eval()
    assert net.net.image_size == 64
    assert net(pictures(1, 1, 64)).shape == (1, net.dim) == (1, 768)


def test_grey_images_are_repeated_to_three_channels() -> None:
    net, grey = model(MOBILE, channels=1).eval(), pictures(2, channels=1)
    with torch.no_grad():
        torch.testing.assert_close(net.backbone(grey), net.backbone(grey.repeat(1, 3, 1, 1)))


@pytest.mark.parametrize("backbone", ["torchvision:efficientnet_b0", "torchvision:alexnet"])
def test_training_draws_nothing_from_the_global_generator(backbone: str) -> None:
    before = torch.get_rng_state()
    net = model(backbone, 64).train()
    net(pictures(2, size=64)).sum().backward()
    assert torch.equal(torch.get_rng_state(), before)
    assert all(p.grad is not None for p in net.backbone.parameters())


@pytest.mark.parametrize(
    ("keywords", "said"),
    [
        (
            {"backbone": "resnet18"},
            r"unknown backbone 'resnet18'; choose one of convnet, resnetap10, torchvision:<name>",
        ),
        ({"backbone": "torchvision:fcn_resnet50"}, r"unknown backbone 'torchvision:fcn_resnet50'; .*alexnet.*resnet18"),
        ({"backbone": "torchvision:alexnet"}, r"'torchvision:alexnet' does not take images of 32 px .*'convnet' take"),
        ({"backbone": "torchvision:vit_b_32", "size": 40}, r"'torchvision:vit_b_32' does not take images of 40 px"),
        ({"backbone": RESNET, "channels": 2}, "takes images of 1 or 3 channels, not 2"),
        ({"backbone": RESNET, "width": 8}, "width=8, but backbone 'torchvision:resnet18' has a width of its own"),
        ({"backbone": RESNET, "depth": 8}, "depth=8, but backbone 'torchvision:resnet18' has a depth of its own"),
        ({"backbone": "resnetap10", "depth": 3}, "depth=3, but backbone 'resnetap10' has a depth of its own"),
        ({"backbone": "resnetap10", "size": 12}, "'resnetap10' takes images of 16 px or more, not 12"),
        ({"depth": 6}, "depth=6: images of 32 px can be halved 5 times"),
        ({"method": "dpsh"}, "unknown hashing method 'dpsh'"),
        ({"bits": 12}, "bits=12"),
    ],
)
def test_what_cannot_be_built_is_named(keywords: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        HashModel(**{"channels": 3, "size": 32, "num_classes": 3, "bits": 16} | keywords)


def test_a_network_without_a_known_classifier_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "get_model", lambda *_, **__: nn.Sequential(nn.Conv2d(3, 4, 1)))
    with pytest.raises(ValueError, match=r"'torchvision:resnet18' does not end in .* fc, classifier, head or heads"):
        model(RESNET)


# --- initial weights ----------------------------------------------------------------------------------


@pytest.mark.parametrize("backbone", ["convnet", "resnetap10"])
def test_initial_weights_have_torchs_own_range(backbone: str) -> None:
    net = model(backbone, width=32, bits=64)
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            bound = 1 / math.sqrt(module.weight[0].numel())
            assert 0.97 * bound < module.weight.abs().max().item() <= bound
            assert abs(module.weight.mean().item()) < 0.1 * bound
        elif isinstance(module, nn.GroupNorm | nn.BatchNorm1d):
            assert (module.weight == 1).all()
            assert (module.bias == 0).all()


@pytest.mark.parametrize("backbone", ALL)
def test_weights_follow_their_seed_and_nothing_else(backbone: str) -> None:
    before = torch.get_rng_state()
    first = model(backbone, seed=1)
    torch.manual_seed(5)
    again, other = model(backbone, seed=1), model(backbone, seed=2)
    assert all(equal(first, again))
    drawn = dict(other.named_parameters())
    for name, parameter in first.named_parameters():
        if parameter.dim() > 1:
            assert not torch.equal(parameter, drawn[name]), name
    # Drawing anew is the same as building anew, whatever the weights were.
    after = torch.get_rng_state()
    moved = shaken(first)
    initialise(moved.backbone, 2)
    initialise(moved, 2)
    assert all(torch.equal(p, drawn[name]) for name, p in moved.named_parameters())
    assert torch.equal(torch.get_rng_state(), after)
    torch.set_rng_state(before)
    model(backbone)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("method", sorted(OBJECTIVES))
def test_every_head_is_drawn_anew_and_targets_stay(method: str) -> None:
    net = shaken(model(method=method))
    targets = net.targets.detach().clone()
    initialise(net, 0)
    fresh = model(method=method)
    assert all(torch.equal(p, q) for p, q in zip(net.head.parameters(), fresh.head.parameters(), strict=True))
    assert torch.equal(net.targets, targets)


def test_a_layer_that_cannot_be_drawn_is_named() -> None:
    with pytest.raises(TypeError, match="does not know how to draw the weights of PReLU"):
        initialise(nn.Sequential(nn.Linear(2, 2), nn.PReLU()), 0)


# --- HashModel ----------------------------------------------------------------------------------------


def test_v_is_the_head_scaled_and_shifted() -> None:
    net, batch = model(method="csq").eval(), pictures()
    with torch.no_grad():
        z, v = net.embed(batch)
        torch.testing.assert_close(v, net.head(z))
        net.scale.copy_(torch.arange(16.0))
        net.shift.fill_(-2)
        torch.testing.assert_close(net(batch), v * torch.arange(16.0) - 2)
        torch.testing.assert_close(net.embed(batch)[0], z)
        net.mean.fill_(0.5)
        net.std.fill_(0.25)
        torch.testing.assert_close(net.embed(batch)[0], net.backbone(batch * 4 - 2))


@pytest.mark.parametrize("method", sorted(OBJECTIVES))
def test_learned_targets_are_parameters_and_no_filters(method: str) -> None:
    net = model(method=method)
    names = {name for name, _ in net.named_parameters()}
    assert ("targets" in names) == OBJECTIVES[method].learned_targets
    assert "targets" in net.state_dict()
    filters = list(net.filters())
    assert all(parameter.dim() > 1 and parameter is not net.targets for parameter in filters)
    assert len(filters) == 4, "three convolutions and the hash layer"
    assert {(net.code_mean == 0).all().item(), (net.code_std == 1).all().item(), (net.scale == 1).all().item()} == {
        True
    }


@pytest.mark.parametrize("backbone", ALL)
@pytest.mark.parametrize("method", ["orthohash", "dhd"])
def test_a_saved_model_comes_back_whole(tmp_path: Path, backbone: str, method: str) -> None:
    net = shaken(model(backbone, method=method, channels=1)).eval()
    before = torch.get_rng_state()
    back = HashModel.load(net.save(tmp_path / "model.safetensors"))
    assert torch.equal(torch.get_rng_state(), before)
    assert back.shape == net.shape
    assert back.shape["backbone"] == backbone
    assert not back.training
    assert all(equal(net, back))
    assert back.fingerprint == net.fingerprint != model(backbone, method=method, channels=1).fingerprint
    assert isinstance(back.targets, nn.Parameter) == (method == "dhd")
    with torch.no_grad():
        v = net(pictures(channels=1))
        assert torch.isfinite(v).all()
        assert torch.equal(back(pictures(channels=1)), v)


def test_a_model_of_another_backbone_is_not_loaded(tmp_path: Path) -> None:
    path = model("resnetap10").save(tmp_path / "model.safetensors")
    net = model()
    net.shape["backbone"] = "resnetap10"
    with pytest.raises(ArtefactError, match="does not hold a hash model"):
        HashModel.load(net.save(path))
    net.shape["backbone"] = "no_such"
    with pytest.raises(ArtefactError, match="unknown backbone"):
        HashModel.load(net.save(path))


def test_bytes_of_an_image_are_those_of_its_maps() -> None:
    net = model(width=8, size=32, depth=1, channels=1, method="csq").train()
    # Three maps of 8 x 32 x 32, one of 8 x 16 x 16, and 16 bits; 4 bytes each.
    maps = [8 * 32 * 32] * 3 + [8 * 16 * 16, 16]
    assert net.bytes_per_image(grad=True) == 9 * sum(maps)
    assert net.bytes_per_image(grad=False) == 4 * 4 * max(maps)
    assert net.training


@pytest.mark.parametrize("backbone", ALL)
def test_measuring_bytes_changes_nothing(backbone: str) -> None:
    net, twin = model(backbone), model(backbone)
    before = torch.get_rng_state()
    assert net.bytes_per_image(grad=True) > net.bytes_per_image(grad=False) > 4 * 3 * 32 * 32
    assert torch.equal(torch.get_rng_state(), before)
    assert all(equal(net, twin))
    assert net.training
    assert not any(module._forward_hooks for module in net.modules())


# --- pretrained weights -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["resnet18", "googlenet"])
def test_torchvisions_weights_are_read_from_a_file(tmp_path: Path, name: str) -> None:
    with torch.random.fork_rng(devices=[]):
        options = {"init_weights": False} if name == "googlenet" else {}
        whole = models.get_model(name, weights=None, num_classes=7, **options)
    path = tmp_path / "weights.safetensors"
    save_file(whole.state_dict(), path)
    before = torch.get_rng_state()
    net = model(f"torchvision:{name}", weights=path)
    assert torch.equal(torch.get_rng_state(), before)
    assert isinstance(net.backbone, TorchvisionNet)
    loaded = net.backbone.net.state_dict()
    assert all(torch.equal(tensor, whole.state_dict()[key]) for key, tensor in loaded.items())
    assert torch.equal(net.head[0].weight, model(f"torchvision:{name}").head[0].weight), "the head is drawn as ever"
    # Without its classifier, as another kit may have saved it; and loading the saved model needs no such file.
    save_file(loaded, tmp_path / "cut.safetensors")
    assert all(equal(net, model(f"torchvision:{name}", weights=str(tmp_path / "cut.safetensors"))))
    saved = net.save(tmp_path / "model.safetensors")
    path.unlink()
    assert all(equal(net, HashModel.load(saved)))


def test_weights_of_the_other_backbones_are_read_from_a_file(tmp_path: Path) -> None:
    for backbone in ("convnet", "resnetap10"):
        other = model(backbone, seed=8)
        save_file(other.backbone.state_dict(), tmp_path / "w.safetensors")
        net = model(backbone, weights=tmp_path / "w.safetensors")
        assert all(equal(net.backbone, other.backbone))
        with pytest.raises(ValueError, match="'default' is for backbones of torchvision"):
            model(backbone, weights="default")


class _Harmful:
    def __init__(self, made: Path) -> None:
        self.made = made

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.mkdir, (self.made,)


def test_weights_that_cannot_be_used_are_refused(tmp_path: Path) -> None:
    path, pickled = tmp_path / "w.safetensors", tmp_path / "w.pth"
    with pytest.raises(FileNotFoundError, match=r"there is no file .*w\.safetensors"):
        model(weights=path)
    torch.save({"x": _Harmful(tmp_path / "harm")}, pickled)
    with pytest.raises(ValueError, match=r"w\.pth' is no safetensors file .* A \.pth file is a pickle"):
        model(weights=pickled)
    assert not (tmp_path / "harm").exists(), "nothing was run"
    path.write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"w\.safetensors' is no safetensors file"):
        model(weights=path)
    save_file(model(width=16).backbone.state_dict(), path)
    with pytest.raises(
        ValueError, match=r"w\.safetensors' are not of this backbone: size mismatch for blocks.0.weight"
    ):
        model(weights=path)
    save_file(model().backbone.state_dict(), path)
    with pytest.raises(ValueError, match=r"w\.safetensors' are not of this backbone: Missing key"):
        model(RESNET, weights=path)


def test_a_download_without_a_network_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from urllib.error import URLError

    def offline(*_: object, **__: object) -> None:
        raise URLError("no route")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("torch.hub.download_url_to_file", offline)
    with pytest.raises(OSError, match=r"torchvision's resnet18 could not be downloaded .*weights=<file>"):
        model(RESNET, weights="default")


def test_backbones_are_what_the_documentation_lists() -> None:
    assert BACKBONES == ("convnet", "resnetap10", "torchvision:<name>")
    assert all(name in str(HashModel.__doc__) for name in BACKBONES)
    assert isinstance(model().backbone, ConvNet)
    assert isinstance(model("resnetap10").backbone, ResNetAP)


def test_inputs_are_normalised_by_stored_pixels_read_in_parts() -> None:
    pixels = np.random.default_rng(0).integers(0, 200, (1500, 3, 64, 64)).astype(np.uint8)  # more than one part
    pixels[:, 1] //= 4
    of_pixels, of_floats = (HashModel(channels=3, size=64, num_classes=2, bits=8, width=4) for _ in range(2))
    of_pixels.normalise_by(pixels)
    floats = torch.tensor(pixels).float() / 255
    of_floats.normalise_by(floats)
    for model in (of_pixels, of_floats):
        torch.testing.assert_close(model.mean, floats.mean(dim=(0, 2, 3)), rtol=1e-4, atol=0)
        torch.testing.assert_close(model.std, floats.std(dim=(0, 2, 3)), rtol=1e-4, atol=0)


@pytest.mark.parametrize("backbone", ["convnet", "resnetap10"])
def test_reduced_precision_is_near_and_gives_float32(backbone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = HashModel(channels=1, size=16, num_classes=3, bits=16, width=16, backbone=backbone).eval()
    images = torch.rand(20, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    whole = model.embed(images)
    assert describe(torch.device("cpu")) == "cpu", "the CPU computes in float32 unless asked"
    monkeypatch.setenv("POCKET_PRECISION", "bf16")
    assert describe(torch.device("cpu")) == "cpu, bf16"
    reduced = model.embed(images)
    for near, exact in zip(reduced, whole, strict=True):
        assert near.dtype == torch.float32
        assert 0 < (near - exact).norm() < 0.02 * exact.norm()
    reduced[1].square().sum().backward()
    assert all(p.grad is None or p.grad.dtype == torch.float32 for p in model.parameters())
    monkeypatch.setenv("POCKET_PRECISION", "fp32")
    assert torch.equal(model.embed(images)[1], whole[1])


def test_an_unknown_precision_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POCKET_PRECISION", "fp16")
    with pytest.raises(ValueError, match="POCKET_PRECISION='fp16': set it to bf16 or fp32"):
        HashModel(channels=1, size=16, num_classes=3, bits=16, width=16)(torch.zeros(2, 1, 16, 16))
