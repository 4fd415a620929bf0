"""Code labels and head recalibration."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sets_for_tests import image_set

import pocket
from pocket.data import CondensedSet
from pocket.hashing import represent
from pocket.hashing.calibration import calibration
from pocket.hashing.labelling import pack, unpack
from pocket.hashing.lessons import Drawn, imitate
from pocket.hashing.mixing import Mixes, mixes_of
from pocket.runs import ArtefactError

IMAGES = image_set(per_class=24)
QUICK = pocket.TrainConfig(steps=20, batch=16)


def trained(method: str = "orthohash", bits: int = 16) -> pocket.HashModel:
    return pocket.train(IMAGES, method, bits, width=8, config=QUICK, device="cpu")


def test_code_labels_are_learnt_by_values_computed_by_hand() -> None:
    views = torch.zeros(2, 1, 8, 8, dtype=torch.uint8)
    codes = torch.tensor([[1.0, 0.0], [0.0, -1.0], [5.0, 5.0], [5.0, 5.0]])
    answers: Any = lambda images: torch.tensor([[3.0, 4.0], [0.0, 2.0]])  # noqa: E731
    lesson = imitate(views, Mixes.draw(2, 2, 8, mirror=False, seed=0), codes, 5.0)
    loss = lesson.loss(answers, torch.tensor([0, 1]), Drawn(), torch.tensor(0.0))
    # Cosines to the codes of these rows: 3 / 5 and -1; 5 * ((1 - 0.6) + (1 + 1)) / 2.
    assert float(loss) == pytest.approx(6.0)


@pytest.fixture(scope="module")
def teacher() -> pocket.HashModel:
    return trained()


@pytest.fixture(scope="module")
def subset() -> CondensedSet:
    return pocket.condense(IMAGES, 2, "random", formation=2, seed=0)


def test_labelled_sets_survive_the_disk(subset: CondensedSet, teacher: pocket.HashModel, tmp_path: Path) -> None:
    labelled = pocket.label(subset, teacher)
    again = CondensedSet.load(labelled.save(tmp_path / "set"))
    assert (again.code_targets == labelled.code_targets).all()
    assert (again.codebook == labelled.codebook).all()
    assert again.card.labels == labelled.card.labels


@pytest.mark.parametrize(("method", "bits"), [("dpn", 16), ("orthohash", 32)])
def test_codes_of_another_method_or_length_are_refused(
    subset: CondensedSet, teacher: pocket.HashModel, method: str, bits: int
) -> None:
    with pytest.raises(ValueError, match="carries codes of orthohash with 16 bits"):
        pocket.train(pocket.label(subset, teacher), method, bits, width=8, config=QUICK)


def test_a_teacher_of_other_images_is_refused(subset: CondensedSet) -> None:
    other = pocket.HashModel(channels=1, size=16, num_classes=3, bits=16, width=8)
    with pytest.raises(ValueError, match="label with a model trained on the same images"):
        pocket.label(subset, other)


def test_half_a_labelled_set_is_refused(subset: CondensedSet, teacher: pocket.HashModel, tmp_path: Path) -> None:
    labelled = pocket.label(subset, teacher, mixes=MIXED)
    with pytest.raises(ValueError, match="come together"):
        replace(labelled, codebook=None)
    with pytest.raises(ValueError, match=r"code targets of shape \(71, 8\) do not fit"):
        replace(labelled, code_targets=labelled.code_targets[:-1])
    path = labelled.save(tmp_path / "set")
    from pocket.runs import load_tensors, save_tensors

    tensors, _ = load_tensors(path)
    del tensors["codebook"]
    save_tensors(path, tensors)
    with pytest.raises(ArtefactError, match="is not the file its card was written for"):
        CondensedSet.load(path)


MIXED = 3


def test_each_patchwork_is_a_view_with_a_rectangle_of_another() -> None:
    views = torch.arange(5, dtype=torch.uint8)[:, None, None, None] * 16 + torch.arange(8, dtype=torch.uint8)
    views = views.expand(5, 1, 8, 8).contiguous()  # view i holds 16 i + column: both can be read off a pixel
    mixes = Mixes.draw(5, MIXED, 8, mirror=True, seed=1)
    assert (mixes.first.view(MIXED, 5) == torch.arange(5)).all()
    assert (mixes.second.view(MIXED, 5).sort(dim=1).values == torch.arange(5)).all(), "each is pasted once a round"
    assert 0 < mixes.flip.float().mean() < 1
    made = mixes.make(views, torch.arange(15))
    assert made.dtype == torch.uint8
    for number, image in enumerate(made[:, 0].tolist()):
        top, bottom, left, right = mixes.box[number].tolist()
        for row, column in itertools.product(range(8), range(8)):
            inside = top <= row < bottom and left <= column < right
            view, flip = (mixes.second, mixes.first)[not inside][number], mixes.flip[number, int(inside)]
            assert image[row][column] == 16 * view + (7 - column if flip else column)
    assert not Mixes.draw(5, MIXED, 8, mirror=False, seed=1).flip.any()
    covered = Mixes.draw(1000, 1, 100, mirror=False, seed=0).box.double()
    share = ((covered[:, 1] - covered[:, 0]) * (covered[:, 3] - covered[:, 2])).mean() / 100**2
    assert 0.25 < share < 0.5, "half of the image is covered on average, less what lies beyond the border"


def test_codes_of_patchworks_are_the_teachers_codes_of_these(subset: CondensedSet, teacher: pocket.HashModel) -> None:
    labelled = pocket.label(subset, teacher, mixes=MIXED, seed=4)
    views = len(subset) * 4
    # Half a byte a value, and the codebook: nothing is given away for free.
    assert labelled.stored_bytes == subset.stored_bytes + 16 * (MIXED * views // 2 + 2 * 3)
    assert (labelled.codebook == teacher.targets.numpy()).all()
    assert labelled.card.labels.teacher_seconds == teacher.report.seconds
    assert subset.code_targets is None, "the set that was given stays as it is"
    drawn = mixes_of(labelled)
    with torch.no_grad():
        wanted = teacher(drawn.make(subset.decode(), torch.arange(MIXED * views)))
    found = unpack(torch.tensor(labelled.code_targets))
    assert torch.cosine_similarity(found, wanted).min() > 0.98
    assert (pocket.label(subset, teacher, mixes=MIXED, seed=4).code_targets == labelled.code_targets).all()
    assert (pocket.label(subset, teacher, mixes=MIXED, seed=5).code_targets != labelled.code_targets).any()
    with pytest.raises(ValueError, match="mixes=0: must be 1 or more"):
        pocket.label(subset, teacher, mixes=0)


def test_four_bits_keep_a_code_up_to_its_scale() -> None:
    code = torch.tensor([[0.7, -1.4, 0.05, 2.1], [70.0, -140.0, 5.0, 210.0], [0.0, 0.0, 0.0, 0.0]])
    packed = pack(code)
    assert packed.shape == (3, 2)
    # The mean size is 1.0625, so that 7 stands for 3.1875; by hand: 0.7 / 3.1875 * 7 = 1.54, rounded 2.
    assert unpack(packed).tolist() == [[2, -3, 0, 5], [2, -3, 0, 5], [0, 0, 0, 0]]


def test_what_is_learned_from_patchworks_is_the_teachers_function(
    subset: CondensedSet, teacher: pocket.HashModel
) -> None:
    labelled, agreement = pocket.label(subset, teacher, mixes=MIXED), {}
    for name, images in (("hard", subset), ("codes", labelled)):
        model = pocket.train(images, bits=16, width=8, config=replace(QUICK, steps=60), device="cpu")
        agreement[name] = torch.cosine_similarity(represent(model, IMAGES), represent(teacher, IMAGES)).mean().item()
    assert agreement["codes"] > agreement["hard"] + 0.1
    assert (model.targets == teacher.targets).all()
    again = pocket.train(labelled, bits=16, width=8, config=replace(QUICK, steps=60), device="cpu")
    assert torch.equal(represent(model, IMAGES), represent(again, IMAGES))


@pytest.mark.parametrize("method", ["dpn", "dhd", "csq", "hashnet"])
def test_every_hashing_method_learns_from_patchworks(subset: CondensedSet, method: str) -> None:
    labelled = pocket.label(subset, trained(method), mixes=MIXED)
    model = pocket.train(labelled, method, 16, width=8, config=QUICK, device="cpu")
    assert represent(model, IMAGES).isfinite().all()


def test_patchworks_that_are_drawn_otherwise_are_refused(subset: CondensedSet, teacher: pocket.HashModel) -> None:
    labelled = pocket.label(subset, teacher, mixes=MIXED)
    other = labelled.card.labels.model_copy(update={"drawn_sha256": "0" * 64})
    with pytest.raises(ArtefactError, match=r"draws other patchworks .* label the set again"):
        pocket.train(replace(labelled, card=labelled.card.model_copy(update={"labels": other})), bits=16, width=8)


@pytest.mark.parametrize("method", ["orthohash", "dpn", "dhd", "csq", "hashnet"])
def test_recalibration_restores_what_the_head_was_trained_with(method: str) -> None:
    model = trained(method)
    # Darker, flatter images stand for a shift between synthetic and real ones.
    shifted = replace(IMAGES, images=(IMAGES.images * 0.6).astype(np.uint8))
    before, after = represent(model, shifted), represent(pocket.recalibrate(model, shifted), shifted)
    assert not torch.allclose(before.mean(0), model.code_mean, atol=1e-2)
    assert torch.allclose(after.mean(0), model.code_mean, atol=1e-4)
    assert torch.allclose(after.std(0), model.code_std, atol=1e-4)
    assert (model.scale == 1).all(), "the model that was given stays as it is"
    again = represent(pocket.recalibrate(pocket.recalibrate(model, shifted), shifted), shifted)
    assert torch.allclose(again, after, atol=1e-4), "doing it twice changes nothing"


def test_for_a_batchnorm_head_it_is_running_statistics_computed_anew() -> None:
    model = trained()
    shifted = replace(IMAGES, images=(IMAGES.images * 0.6).astype(np.uint8))
    norm = model.head[1]
    raw = (represent(model, shifted) - norm.bias) / norm.weight  # standardised by the old statistics
    wanted = (raw - raw.mean(0)) / raw.std(0) * norm.weight.abs() + norm.bias
    found = represent(pocket.recalibrate(model, shifted), shifted)
    # Equal up to what the running averages had not yet settled to at the last step.
    assert ((wanted > 0) == (found > 0)).float().mean() > 0.9


def test_evaluate_reports_with_and_without() -> None:
    model = trained()
    split = pocket.RetrievalSplit(IMAGES, IMAGES, image_set(per_class=6, seed=9), "own-data")
    report, plain = pocket.evaluate(model, split), pocket.evaluate(model, split, recalibrate=False)
    assert report.map_plain == plain.map
    assert plain.map_plain is None
    assert report.map == pocket.evaluate(pocket.recalibrate(model, split.database), split, recalibrate=False).map


def test_recalibration_needs_images() -> None:
    with pytest.raises(ValueError, match="at least 2 images, not 1"):
        calibration(trained(), torch.zeros(1, 16))


def test_a_saved_model_keeps_calibration_and_report(tmp_path: Path) -> None:
    model = pocket.recalibrate(trained(), IMAGES)
    again = pocket.HashModel.load(model.save(tmp_path / "model.safetensors"))
    assert torch.equal(represent(again, IMAGES), represent(model, IMAGES))
    assert again.report == model.report
    assert again.fingerprint == model.fingerprint
