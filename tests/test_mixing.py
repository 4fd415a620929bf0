"""CutMix: what is pasted, how much of the label goes with it, and that any hashing method can be trained so."""

from __future__ import annotations

import itertools
from dataclasses import asdict, replace

import pytest
import torch
from sets_for_tests import image_set
from torch import Tensor

import pocket
from pocket.hashing import HashModel
from pocket.hashing.devices import generator
from pocket.hashing.lessons import teach
from pocket.hashing.mixing import Paste
from pocket.hashing.objectives import OBJECTIVES

CPU = torch.device("cpu")
IMAGES = image_set(per_class=24)
QUICK = pocket.TrainConfig(steps=20, batch=16)


def pasted(chance: float, count: int = 6, size: int = 8) -> list[Paste]:
    return [Paste.draw(count, size, chance, generator(CPU, 7, number)) for number in range(300)]


def test_each_image_is_given_the_same_rectangle_of_its_partner() -> None:
    images = torch.arange(6.0)[:, None, None, None].expand(6, 3, 8, 8)
    for paste in pasted(1.0):
        top, bottom, left, right = paste.box.tolist()
        shown = paste.onto(images)
        for row, column in itertools.product(range(8), range(8)):
            inside = top <= row < bottom and left <= column < right
            of = paste.partner.float() if inside else torch.arange(6.0)
            assert (shown[:, :, row, column] == of[:, None]).all()
        assert sorted(paste.partner.tolist()) == list(range(6)), "each is pasted once"
        assert float(paste.kept) == pytest.approx(1 - (bottom - top) * (right - left) / 64)


def test_half_of_an_image_is_covered_on_average_less_what_lies_beyond_the_border() -> None:
    covered = torch.stack([1 - paste.kept for paste in pasted(1.0, size=100)])
    assert 0.25 < covered.mean() < 0.5
    assert covered.min() < 0.02
    assert covered.max() > 0.8


def test_nothing_is_pasted_in_the_other_steps() -> None:
    images = torch.rand(6, 3, 8, 8, generator=generator(CPU, 1))
    for paste in pasted(0.0):
        assert paste.kept == 1
        assert torch.equal(paste.onto(images), images)
    whole = sum(float(paste.kept) == 1 for paste in pasted(0.5, size=100))
    assert 110 < whole < 190, "half of the steps"


@pytest.mark.parametrize("method", ["orthohash", "dhd"])
def test_the_loss_is_that_of_both_labels_by_their_share(method: str) -> None:
    views, labels = torch.tensor(IMAGES.images), torch.tensor(IMAGES.labels)
    augmentation = replace(QUICK.augmentation, mirror=False)
    lesson = teach(views, labels, augmentation, method, 0, 1.0)
    model = HashModel(channels=IMAGES.channels, size=IMAGES.size, num_classes=3, bits=16, method=method, width=8)
    model.targets.data.copy_(OBJECTIVES[method].targets(3, 16, 0))
    rows, done = torch.arange(0, 72, 6), torch.tensor(0.5)
    drawn = lesson.draw(3, len(rows))
    assert drawn.paste is not None
    assert 0 < drawn.paste.kept < 1
    shown: list[Tensor] = []
    for kind, warp in zip((augmentation, augmentation.stronger()), drawn.warps, strict=False):
        shown.append(drawn.paste.onto(kind.apply(views[rows].float() / 255, warp)))
    own, kept = labels[rows], float(drawn.paste.kept)
    with torch.no_grad():
        v = model(torch.cat(shown))
        mine, theirs = (
            float(OBJECTIVES[method].loss(v, of, model.targets, done)) for of in (own, own[drawn.paste.partner])
        )
        found = float(lesson.loss(model, rows, drawn, done))
    assert mine != theirs
    assert found == pytest.approx(kept * mine + (1 - kept) * theirs, rel=1e-5)


def test_training_with_cutmix_learns_repeats_itself_and_is_another_training() -> None:
    config = replace(QUICK, steps=60, cutmix=0.5)

    def weights(how: pocket.TrainConfig) -> list[Tensor]:
        return list(pocket.train(IMAGES, "linear", 16, width=8, config=how, device="cpu").state_dict().values())

    first, again, plain = weights(config), weights(config), weights(replace(config, cutmix=0.0))
    assert all(map(torch.equal, first, again))
    assert not all(map(torch.equal, first, plain))
    model = pocket.train(IMAGES, "linear", 16, width=8, config=config, device="cpu")
    logits = model(torch.tensor(IMAGES.images).float() / 255) @ model.targets.T
    assert float((logits.argmax(1) == torch.tensor(IMAGES.labels)).float().mean()) > 0.8


def test_sets_with_codes_have_patchworks_of_their_own_and_real_images_are_mixed_in_fine_tuning() -> None:
    subset = pocket.condense(IMAGES, 2, "random", formation=2, seed=0)
    model = pocket.train(IMAGES, "orthohash", 16, width=8, config=QUICK, device="cpu")
    mixed = replace(QUICK, cutmix=1.0)
    labelled = pocket.label(subset, model)
    plain, other = (pocket.train(labelled, bits=16, width=8, config=how, device="cpu") for how in (QUICK, mixed))
    assert plain.fingerprint == other.fingerprint
    plain, other = (pocket.fine_tune(model, IMAGES, subset, config=how, device="cpu") for how in (QUICK, mixed))
    assert plain.fingerprint != other.fingerprint


def test_a_later_setting_is_named_where_it_is_on_alone() -> None:
    assert "cutmix" not in QUICK.settings()
    mixed = replace(QUICK, cutmix=0.5)
    assert mixed.settings() == asdict(mixed) == QUICK.settings() | {"cutmix": 0.5}
