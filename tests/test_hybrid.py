"""Hybrid operation: fine-tuning on kept real images, the frontier, and condensing only what has changed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from runs_for_tests import make_run
from sets_for_tests import image_set

import pocket
from pocket.condensation import changed_classes, update
from pocket.data import RetrievalSplit
from pocket.hashing import HashModel
from pocket.roi import RoiInputs
from pocket.runs import RunSettings, provenance
from pocket.runs.records import HybridPoint, OperationsRecord
from pocket.workflows.hybrid import frontier, keep

IMAGES = image_set(per_class=24)
TRAIN = pocket.TrainConfig(steps=8, batch=12)
FINE = pocket.TrainConfig(steps=6, batch=12, lr=0.02)


def small(ipc: object = 2, seed: int = 0) -> pocket.CondensedSet:
    return pocket.condense(IMAGES, ipc, "random", seed=seed)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def model() -> HashModel:
    return pocket.train(small(), bits=16, width=8, config=TRAIN)


def test_fine_tuning_repeats_its_bits_and_leaves_the_model_alone(model: HashModel) -> None:
    before = model.fingerprint
    first, again = (pocket.fine_tune(model, IMAGES, small(), 1, config=FINE) for _ in range(2))
    assert model.fingerprint == before != first.fingerprint == again.fingerprint
    assert torch.equal(first.targets, model.targets), "codewords stay, so that old and new codes share a space"
    assert first.report is not None and first.report.steps == 6
    assert pocket.fine_tune(model, IMAGES, None, 1, config=FINE).fingerprint != first.fingerprint


def test_fine_tuning_starts_from_the_model(model: HashModel) -> None:
    still = pocket.fine_tune(model, IMAGES, config=replace(FINE, lr=1e-9, weight_decay=0.0, steps=1))
    norms = ("running_mean", "running_var", "num_batches_tracked", "code_mean", "code_std")
    for name, value in still.state_dict().items():
        if not name.endswith(norms):
            torch.testing.assert_close(value, model.state_dict()[name], rtol=1e-4, atol=1e-6)


def test_fine_tuning_refuses_what_does_not_fit(model: HashModel) -> None:
    with pytest.raises(ValueError, match="holds no image"):
        pocket.fine_tune(model, IMAGES.subset([]))
    with pytest.raises(ValueError, match=r"classes, channels and pixels \(3, 1, 14\), the model \(3, 1, 12\)"):
        pocket.fine_tune(model, image_set(size=14))


def test_what_is_kept_is_a_share_of_every_class() -> None:
    uneven = IMAGES.subset(np.flatnonzero((IMAGES.labels != 2) | (np.arange(len(IMAGES)) % 12 == 0)))
    assert uneven.counts.tolist() == [24, 24, 2]
    kept = keep(uneven, 0.25, 0)
    assert kept is not None and kept.counts.tolist() == [6, 6, 1]
    assert keep(uneven, 0.25, 0).fingerprint == kept.fingerprint != keep(uneven, 0.25, 1).fingerprint  # type: ignore[union-attr]
    everything = keep(uneven, 1, 0)
    assert everything is not None and sorted(everything.labels) == sorted(uneven.labels)
    assert keep(uneven, 0, 0) is None
    with pytest.raises(ValueError, match=r"share=1\.2"):
        keep(uneven, 1.2, 0)


def test_the_frontier_measures_every_share_and_seed() -> None:
    split = RetrievalSplit(IMAGES, IMAGES, IMAGES.subset(np.arange(0, 72, 5)), "test")
    settings = RunSettings(seeds=(0, 1), bits=16, width=8)
    points = frontier(split, small(), settings, shares=(0, 0.5), config=FINE)
    assert [(p.seed, p.share, p.real_images) for p in points] == [(0, 0, 0), (0, 0.5, 36), (1, 0, 0), (1, 0.5, 36)]
    for point in points:
        assert (point.map_real is None) == (point.share == 0) == (point.tune_seconds == 0)


def record(*maps: tuple[float, float], ipc: int = 10) -> OperationsRecord:
    points = tuple(
        HybridPoint(
            share=share, real_images=round(1000 * share), seed=seed, map=score, tune_seconds=share, device="cpu"
        )
        for share, mean in maps
        for seed, score in ((0, mean), (1, mean + 0.001))
    )
    return OperationsRecord(ipc=ipc, points=points, map_full=0.9, loss=0.05, provenance=provenance())


def test_the_cheapest_share_within_the_loss_is_what_the_roi_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POCKET_HOME", str(tmp_path))
    run = make_run()
    assert record((0, 0.8), (0.1, 0.86), (0.3, 0.88)).share == 0.1
    assert record((0, 0.8), (0.1, 0.82)).share is None
    for found, share, score in (
        (record((0, 0.8), (0.1, 0.86), (0.3, 0.88)), 0.1, 0.8605),
        (record((0, 0.8), (0.1, 0.82), (0.3, 0.83)), 0.3, 0.8305),
        (record((0, 0.89), (0.1, 0.895)), 0.1, 0.8955),
    ):
        run.save(found, "operations.json")
        inputs = RoiInputs.from_run(run)
        assert inputs.map_hybrid.source == "measured"
        assert (inputs.real_share.base, inputs.seconds_finetune.base) == (share, share)
        assert inputs.map_hybrid.base == pytest.approx(score)
    run.save(record((0, 0.8), ipc=1), "operations.json")
    assert RoiInputs.from_run(run).map_hybrid.source == "assumption", "measured on another set"


def test_what_is_made_anew_keeps_its_number_of_images_and_tiles() -> None:
    old = pocket.condense(IMAGES, [1, 2, 3], "random", formation=[1, 2, 3], device="cpu")
    names = (*IMAGES.class_names, "new")
    now = replace(IMAGES, labels=np.where(np.arange(len(IMAGES)) % 12 == 0, 3, IMAGES.labels), class_names=names)
    made = update(old, now, [names[0], "new"], seed=5)
    assert made.card.counts == (1, 2, 3, 3) and made.card.formations == (1, 2, 3, 3)
    assert len(made.decode()) == 1 + 2 * 4 + 3 * 9 + 3 * 9


def test_only_what_has_changed_is_condensed_anew() -> None:
    old = small(3)
    assert changed_classes(IMAGES, IMAGES.subset(np.random.default_rng(0).permutation(len(IMAGES)))) == []
    pixels = IMAGES.images.copy()
    pixels[IMAGES.labels == 1] = 255 - pixels[IMAGES.labels == 1]
    names = (*IMAGES.class_names, "new")
    labels = np.where(np.arange(len(IMAGES)) % 12 == 0, 3, IMAGES.labels)
    grown = replace(IMAGES, images=pixels, class_names=names, name="grown")
    changed = changed_classes(IMAGES, replace(grown, labels=IMAGES.labels))
    assert changed == [IMAGES.class_names[1], "new"]
    now = replace(grown, labels=labels)
    made = update(old, now, [IMAGES.class_names[1], "new"], seed=5)
    assert made.labels.tolist() == [0] * 3 + [1] * 3 + [2] * 3 + [3] * 3
    for c in (0, 2):
        assert (made.images[made.labels == c] == old.images[old.labels == c]).all()
    assert (made.images[made.labels == 1] != old.images[old.labels == 1]).any()
    assert made.card.class_names == names and made.card.source_fingerprint == now.fingerprint
    dropped = update(
        old, replace(IMAGES.subset(np.flatnonzero(IMAGES.labels < 2)), class_names=IMAGES.class_names[:2]), []
    )
    assert dropped.labels.tolist() == [0] * 3 + [1] * 3 and dropped.card.condense_seconds == 0
    with pytest.raises(ValueError, match="new is new: name it"):
        update(old, now, [IMAGES.class_names[1]])
    with pytest.raises(ValueError, match="has no class nothing"):
        update(old, now, ["nothing", "new"])
