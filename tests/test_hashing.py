"""Hashing: the loss by hand, the networks' shapes, one seed one model, and transforms that say what they do."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sets_for_tests import image_set
from torch import Tensor
from torch.nn import functional

from pocket.condensation import condense
from pocket.data import CondensedSet, ImageSet
from pocket.evaluation import encode, evaluate_codes
from pocket.hashing import Augmentation, ConvNet, HashModel, TrainConfig, bars, orthohash, train
from pocket.hashing.codebooks import bernoulli_codebook
from pocket.hashing.devices import derive, generator, pick_device
from pocket.runs import ArtefactError, save_tensors

CPU = torch.device("cpu")
FEW = TrainConfig(steps=15, batch=12)
IMAGES = image_set()


def trained(images: ImageSet | CondensedSet = IMAGES, seed: int = 0, config: TrainConfig = FEW) -> HashModel:
    return train(images, "orthohash", 16, seed, width=8, config=config, device="cpu")


def same_weights(first: HashModel, second: HashModel) -> list[bool]:
    pairs = zip(first.state_dict().items(), second.state_dict().values(), strict=True)
    return [torch.equal(a, b) for (_, a), b in pairs]


# --- objective ----------------------------------------------------------------------------------------


def test_orthohash_equals_values_computed_by_hand() -> None:
    targets = torch.tensor([[1.0, 1.0], [1.0, -1.0]])
    # v = (1, 1): cosines 1 and 0, logits 8 (1 - 0.2) = 6.4 and 0, loss ln(1 + e^-6.4).
    easy = orthohash(torch.tensor([[1.0, 1.0]]), torch.tensor([0]), targets)
    assert float(easy) == pytest.approx(0.0016602, abs=1e-6)
    # v = (3, 0): both cosines 1/sqrt(2); the margin alone decides, loss ln(1 + e^1.6) whichever the class.
    for label in (0, 1):
        even = orthohash(torch.tensor([[3.0, 0.0]]), torch.tensor([label]), targets)
        assert float(even) == pytest.approx(1.7839008, abs=1e-6)
    both = orthohash(torch.tensor([[1.0, 1.0], [3.0, 0.0]]), torch.tensor([0, 1]), targets)
    assert float(both) == pytest.approx((0.0016602 + 1.7839008) / 2, abs=1e-6)
    # Scale 1 and no margin: ln(1 + e^(0 - 1)).
    plain = orthohash(torch.tensor([[5.0, 5.0]]), torch.tensor([0]), targets, scale=1.0, margin=0.0)
    assert float(plain) == pytest.approx(math.log(1 + math.exp(-1)), abs=1e-6)


def test_orthohash_does_not_depend_on_the_length_of_v_and_has_a_gradient() -> None:
    targets = bernoulli_codebook(4, 16, 0)
    v = torch.randn(6, 16, generator=torch.Generator().manual_seed(0), requires_grad=True)
    labels = torch.tensor([0, 1, 2, 3, 0, 1])
    loss = orthohash(v, labels, targets)
    assert orthohash(7 * v, labels, targets).item() == pytest.approx(loss.item(), rel=1e-5)
    loss.backward()
    assert v.grad is not None
    stepped = (v - 0.1 * v.grad).detach()
    assert float(orthohash(stepped, labels, targets)) < loss.item()


def test_the_codebook_is_of_plus_and_minus_one_and_depends_on_its_seed() -> None:
    for seed in range(20):
        book = bernoulli_codebook(10, 8, seed)
        assert set(book.unique().tolist()) == {-1.0, 1.0}
        apart = (8 - book @ book.T) / 2 + 8 * torch.eye(10)
        assert apart.min() >= 2, "the closest of ten codewords of 8 bits differ in two bits or more"
    assert torch.equal(bernoulli_codebook(10, 8, 1), bernoulli_codebook(10, 8, 1))
    assert not torch.equal(bernoulli_codebook(10, 8, 1), bernoulli_codebook(10, 8, 2))


# --- networks -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "width", "depth"), [(8, 32, 2), (16, 32, 2), (28, 64, 3), (32, 128, 3), (64, 128, 4), (128, 128, 5)]
)
def test_width_and_depth_follow_the_image_size(size: int, width: int, depth: int) -> None:
    model = HashModel(channels=3, size=size, num_classes=2, bits=8)
    assert (model.shape["width"], model.shape["depth"]) == (width, depth)
    side = size // 2**depth
    assert 2 <= side <= 7
    z, v = model.eval().embed(torch.rand(2, 3, size, size))
    assert z.shape == (2, width * side * side)
    assert v.shape == (2, 8)
    assert sum(isinstance(m, torch.nn.Conv2d) for m in model.modules()) == depth


def test_images_do_not_disturb_one_another() -> None:
    net = ConvNet(3, 16, 8, 2)
    batch = torch.rand(12, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        alone = torch.cat([net(image[None]) for image in batch])
        torch.testing.assert_close(net(batch), alone, atol=1e-5, rtol=1e-5)
        net.train()
        torch.testing.assert_close(net(batch), alone, atol=1e-5, rtol=1e-5)


def test_initial_weights_have_torchs_own_range_and_depend_on_the_seed() -> None:
    def build(seed: int) -> HashModel:
        return HashModel(channels=3, size=16, num_classes=2, bits=64, width=32, seed=seed)

    model = build(1)
    for module in model.modules():
        if isinstance(module, torch.nn.Conv2d | torch.nn.Linear):
            bound = 1 / math.sqrt(module.weight[0].numel())
            assert 0.97 * bound < module.weight.abs().max().item() <= bound
            assert abs(module.weight.mean().item()) < 0.1 * bound
    assert all(same_weights(model, build(1)))
    assert not torch.equal(model.head[0].weight, build(2).head[0].weight)


@pytest.mark.parametrize("bits", [0, 7, 12, 136, -8])
def test_other_code_lengths_are_refused(bits: int) -> None:
    with pytest.raises(ValueError, match=f"bits={bits}: code lengths are multiples of 8 from 8 to 128"):
        train(IMAGES, bits=bits, width=8, config=FEW)


def test_a_saved_model_gives_the_same_codes(tmp_path: Path) -> None:
    model = trained()
    back = HashModel.load(model.save(tmp_path / "model.safetensors"))
    assert back.shape == model.shape
    assert not back.training
    assert all(same_weights(model, back))
    np.testing.assert_array_equal(encode(back, IMAGES).packed, encode(model, IMAGES).packed)


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    model = HashModel(channels=1, size=12, num_classes=3, bits=16, width=8)
    path = model.save(tmp_path / "model.safetensors")
    state = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    others = {
        "empty": ({"x": np.zeros(3)}, {}),
        "wider": (state, {"hash_model": json.dumps(model.shape | {"width": 16})}),
        "part": ({k: v for k, v in state.items() if k != "targets"}, {"hash_model": json.dumps(model.shape)}),
        "bits": (state, {"hash_model": json.dumps(model.shape | {"bits": 9})}),
        "json": (state, {"hash_model": "{"}),
    }
    for name, (tensors, card) in others.items():
        other = save_tensors(tmp_path / f"{name}.safetensors", tensors, card)
        with pytest.raises(ArtefactError, match="does not hold a hash model") as caught:
            HashModel.load(other)
        assert str(other) in str(caught.value)
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(ArtefactError, match="damaged"):
        HashModel.load(path)
    with pytest.raises(ArtefactError, match="missing"):
        HashModel.load(tmp_path / "none.safetensors")


# --- training -----------------------------------------------------------------------------------------


def test_one_seed_one_model() -> None:
    first, again, other = trained(seed=4), trained(seed=4), trained(seed=5)
    assert all(same_weights(first, again))
    assert not torch.equal(first.backbone.blocks[0].weight, other.backbone.blocks[0].weight)
    assert not torch.equal(first.targets, other.targets), "the codebook varies with the seed too"


def test_training_learns_and_reports() -> None:
    def self_map(model: HashModel) -> float:
        codes = encode(model, IMAGES, device="cpu")
        return evaluate_codes(codes, codes).map

    model = trained(config=TrainConfig(steps=60, batch=12))
    untrained = HashModel(channels=1, size=12, num_classes=3, bits=16, width=8).eval()
    assert self_map(model) > 0.95
    assert self_map(model) > self_map(untrained)
    assert model.report is not None
    assert (model.report.steps, model.report.device) == (60, "cpu")
    assert model.report.seconds > 0
    assert not model.training
    assert {p.device.type for p in model.parameters()} == {"cpu"}
    views = torch.tensor(IMAGES.images).float() / 255
    torch.testing.assert_close(model.mean, views.mean(dim=(0, 2, 3)))


def test_the_loss_is_told_whenever_a_bar_is_drawn(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    value, asked = 0.0, 0

    def loss() -> Tensor:
        nonlocal asked
        asked += 1
        return torch.tensor(value)

    monkeypatch.setattr(bars, "EVERY", 0.0)
    for step in bars.steps(range(3), "learning", shown=True, loss=loss):
        value = (step + 1) / 4
    first, *later = capsys.readouterr().err.splitlines()
    assert "loss" not in first, "no step is done"
    assert later[0].startswith("learning: 1/3, ")
    assert later[0].endswith(", loss 0.25")
    asked = 0
    monkeypatch.setattr(bars, "EVERY", 60.0)
    assert len(list(bars.steps(range(3), "learning", shown=True, loss=loss))) == 3
    assert asked == 0, "a GPU is not waited for at every step"


def test_a_bar_under_a_time_budget_ends_where_that_will_be_used_up(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bars, "EVERY", 0.0)
    spent = [0.0]
    for _ in bars.steps(range(2, 1000), "matching", shown=True, used=lambda: spent[0], initial=2, total=1000):
        spent[0] += 0.25  # slower than before: 12 steps, then 8, 7, 6
    shown = [line.split(",")[0] for line in capsys.readouterr().err.splitlines()]
    assert shown == [f"matching: {done}" for done in ("2/1000", "3/12", "4/8", "5/7", "6/6")]
    assert list(bars.steps(range(4), "matching", shown=True, used=lambda: 0.01)) == [0, 1, 2, 3]
    assert "matching: 3/4, " in capsys.readouterr().err, "the budget outlasts the steps"
    spent[0] = 0.5
    for _ in bars.steps(range(4), "matching", shown=False, used=lambda: spent[0]):
        spent[0] += 0.25
    assert spent[0] == 1, "nor do steps that nobody watches go on"


def test_a_condensed_set_is_trained_on_as_its_views() -> None:
    whole = condense(IMAGES, 4, "random", formation=1)
    same = ImageSet(whole.images, whole.labels, IMAGES.class_names, "the same")
    assert all(same_weights(trained(whole), trained(same)))
    tiles = condense(IMAGES, 2, "random", formation=2)
    torch.testing.assert_close(trained(tiles).mean, tiles.decode().mean(dim=(0, 2, 3)))


@pytest.mark.parametrize("steps", range(1, 8))
def test_any_number_of_steps_can_be_trained(steps: int) -> None:
    report = trained(config=TrainConfig(steps=steps, batch=12)).report
    assert report is not None
    assert report.steps == steps


@pytest.mark.parametrize("field", ["lr", "momentum", "weight_decay", "batch"])
def test_every_setting_has_an_effect(field: str) -> None:
    value = getattr(FEW, field)
    half = replace(FEW, **{field: type(value)(value / 2)})
    assert not all(same_weights(trained(), trained(config=half)))


def test_patient_students_of_few_images_have_the_steps_of_full_data_and_at_most_half_its_images() -> None:
    for source, stored in ((1437, 100), (4999, 100), (5000, 100), (6000, 500), (50_000, 100), (50_000, 500)):
        small, patient, full = (
            TrainConfig.small(source, stored),
            TrainConfig.patient(source, stored),
            TrainConfig.full(source),
        )
        assert patient == replace(small, steps=patient.steps)
        assert small.steps <= patient.steps <= 4800
        if source < 5000:
            assert patient == small, "full data is trained in the same batches: nothing would be saved"
        else:
            half = full.steps * full.batch / 2
            assert patient == small or patient.steps * patient.batch <= half
            assert patient.steps == min(full.steps, 4800) or patient.steps * patient.batch > half - patient.batch


@pytest.mark.parametrize("source", [10_000, 50_000])
def test_patient_students_of_many_images_train_as_long_as_full_data(source: int) -> None:
    patient, full = TrainConfig.patient(source, 5000), TrainConfig.full(source)
    assert (patient.steps, patient.batch) == (full.steps, full.batch)
    assert patient.steps > TrainConfig.small(source, 5000).steps


def test_the_published_schedule_is_a_thousand_epochs_of_what_is_stored() -> None:
    for stored, batch, steps in (
        (100, 100, 1000),
        (256, 256, 1000),
        (257, 129, 2000),
        (500, 250, 2000),
        (5000, 250, 20_000),
    ):
        schedule = TrainConfig.published(stored)
        assert (schedule.batch, schedule.steps) == (batch, steps)
        mixed = TrainConfig.published(stored, cutmix=True)
        assert mixed == replace(schedule, steps=4 * steps, cutmix=0.5), "as many epochs of the views of 2 x 2 tiles"


def test_the_schedule_rule() -> None:
    images = load_like(1437)
    full = TrainConfig.rule(images)
    assert full == TrainConfig.full(1437)
    assert full.steps * full.batch >= 10 * len(images), "at least ten epochs"
    assert TrainConfig.full(60_000).steps > full.steps
    assert TrainConfig.full(50_000).steps == 391 * 24
    for ipc in (1, 4):
        assert TrainConfig.rule(condense(IMAGES, ipc, "random", formation=1)) == TrainConfig.small()


def load_like(count: int) -> ImageSet:
    return ImageSet(np.zeros((count, 1, 8, 8), dtype=np.uint8), np.zeros(count, dtype=np.int64), ("a",), "x")


def test_what_cannot_be_trained_on_is_named() -> None:
    with pytest.raises(ValueError, match=r"unknown hashing method 'orthohsah'; choose one of .*orthohash"):
        train(IMAGES, "orthohsah", 16)
    with pytest.raises(ValueError, match="'patterns' holds no image"):
        train(IMAGES.subset([]), bits=16)


def test_images_of_another_shape_are_not_encoded() -> None:
    model = HashModel(channels=1, size=12, num_classes=3, bits=16, width=8)
    for other in (image_set(size=16), image_set(channels=3)):
        with pytest.raises(ValueError, match=r"the model takes images of shape \(1, 12, 12\), 'patterns' has"):
            encode(model, other)


def test_codes_do_not_depend_on_the_batch() -> None:
    model = trained()
    whole, parts = encode(model, IMAGES), encode(model, IMAGES, batch=5)
    np.testing.assert_array_equal(whole.packed, parts.packed)
    np.testing.assert_array_equal(whole.labels, IMAGES.labels)
    values = model(torch.tensor(IMAGES.images).float() / 255).detach().numpy()
    np.testing.assert_array_equal(whole.unpack(), values > 0)


def test_a_gpu_that_is_not_there_is_an_error() -> None:
    assert pick_device("cpu") == CPU
    if torch.cuda.is_available():
        pytest.skip("torch finds a GPU here")
    for name in ("tpu", "mps"):
        with pytest.raises(ValueError, match=f"device='{name}' is none that the kit computes on; take 'auto', 'cpu'"):
            pick_device(name)
    assert pick_device("auto") == CPU
    for call in (lambda: pick_device("cuda:1"), lambda: train(IMAGES, bits=16, width=8, config=FEW, device="cuda")):
        with pytest.raises(ValueError, match=r"torch sees no CUDA GPU here; take device='cpu' or device='auto'"):
            call()


# --- augmentation -------------------------------------------------------------------------------------

EVERYTHING = Augmentation(scale=0.2, rotate=15.0, shift=0.1, mirror=True, colour=0.5, cutout=0.3)


def pictures(count: int = 6, channels: int = 3) -> Tensor:
    return torch.rand(count, channels, 16, 16, generator=torch.Generator().manual_seed(9))


def transformed(augmentation: Augmentation, images: Tensor, seed: int = 0) -> Tensor:
    return augmentation.apply(images, augmentation.draw(len(images), generator(CPU, seed)))


def test_no_strength_is_the_identity() -> None:
    assert torch.equal(transformed(Augmentation(), pictures()), pictures())


@pytest.mark.parametrize(
    "part", [{"scale": 0.2}, {"rotate": 15.0}, {"shift": 0.1}, {"mirror": True}, {"colour": 0.5}, {"cutout": 0.3}]
)
@pytest.mark.parametrize("channels", [1, 3])
def test_each_part_alone_changes_images_and_follows_its_seed(part: dict[str, float], channels: int) -> None:
    augmentation, images = Augmentation(**part), pictures(8, channels)  # type: ignore[arg-type]
    changed = transformed(augmentation, images)
    assert changed.shape == images.shape
    assert (changed - images).abs().max() > 0.05
    assert torch.equal(changed, transformed(augmentation, images))
    assert not torch.equal(changed, transformed(augmentation, images, seed=1))


def test_one_group_one_transform() -> None:
    """The siamese pair: real and synthetic images of a class go through the same map."""
    drawn = EVERYTHING.draw(2, generator(CPU, 3))
    twice = pictures(1).expand(4, -1, -1, -1)
    out = EVERYTHING.apply(twice, drawn.at(torch.tensor([0, 1, 0, 1])))
    torch.testing.assert_close(out[0], out[2], atol=0, rtol=0)
    torch.testing.assert_close(out[1], out[3], atol=0, rtol=0)
    assert (out[0] - out[1]).abs().max() > 0.05
    alone = EVERYTHING.apply(pictures(1), drawn.at(torch.tensor([1])))
    torch.testing.assert_close(out[1:2], alone, atol=1e-6, rtol=0)


@pytest.mark.parametrize("augmentation", [EVERYTHING, replace(EVERYTHING, mirror=False)])
def test_gradients_flow_through_every_transform(augmentation: Augmentation) -> None:
    images = pictures().requires_grad_(True)
    transformed(augmentation, images).square().sum().backward()
    assert images.grad is not None
    assert torch.isfinite(images.grad).all()
    assert (images.grad != 0).float().mean() > 0.5
    assert (images.grad.flatten(1).abs().sum(dim=1) > 0).all()


def test_the_gradient_is_the_true_one() -> None:
    augmentation = replace(EVERYTHING, cutout=0.0)
    drawn = augmentation.draw(1, generator(CPU, 5))
    drawn = type(drawn)(*(None if part is None else part.double() for part in drawn))
    images = torch.rand(1, 3, 5, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1), requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: augmentation.apply(x, drawn), images)


def test_warps_without_rotation_are_those_of_grid_sample() -> None:
    source = torch.Generator().manual_seed(0)
    images = torch.rand(5, 3, 12, 9, generator=source)
    for warp in (Augmentation(scale=0.3, shift=0.2, mirror=True), Augmentation(shift=0.4), Augmentation(mirror=True)):
        drawn = warp.draw(5, source)
        grid = functional.affine_grid(drawn.theta, list(images.shape), align_corners=False)
        wanted = functional.grid_sample(images, grid, padding_mode="border", align_corners=False)
        torch.testing.assert_close(warp.apply(images, drawn), wanted, atol=1e-5, rtol=0)


def test_flips_happen_half_of_the_time_and_only_when_allowed() -> None:
    images = torch.zeros(400, 1, 8, 8)
    images[..., :4] = 1
    flipped = transformed(Augmentation(mirror=True), images)[:, 0, 0, 0] == 0
    assert 150 < int(flipped.sum()) < 250
    small = replace(EVERYTHING, mirror=False, colour=0.0, cutout=0.0)
    assert (transformed(small, images)[:, 0, :, :2].mean(dim=(1, 2)) > 0.9).all()
    torch.testing.assert_close(
        transformed(Augmentation(mirror=True), images)[flipped], images[flipped].flip(3), atol=1e-5, rtol=0
    )


def test_training_flips_only_sets_that_may_be_flipped() -> None:
    """One weight after a few steps tells: the same draws with and without ``mirror`` give other models."""
    still = TrainConfig(steps=5, batch=12, augmentation=Augmentation())
    asked = replace(still, augmentation=Augmentation(mirror=True))
    plain, mirrored = image_set(), image_set(mirror=True)
    assert all(same_weights(trained(plain, config=still), trained(plain, config=asked)))
    assert not all(same_weights(trained(plain, config=still), trained(mirrored, config=still)))


def test_draws_leave_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    drawn = EVERYTHING.draw(50, generator(CPU, 1, 2))
    HashModel(channels=1, size=12, num_classes=3, bits=16, width=8)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(123)
    again = EVERYTHING.draw(50, generator(CPU, 1, 2))
    assert all(torch.equal(a, b) for a, b in zip(drawn, again, strict=True) if a is not None and b is not None)


def test_seeds_are_mixed_from_all_their_parts() -> None:
    parts = [(a, b, c) for a in range(3) for b in range(3) for c in range(3)]
    seeds = {derive(*each) for each in parts}
    assert len(seeds) == len(parts)
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert derive(1, 2, 3) == derive(1, 2, 3)
