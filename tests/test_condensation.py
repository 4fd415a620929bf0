"""Condensation: same seed, same bits; resume; exactness of one forward; what is left alone."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sets_for_tests import image_set

import pocket
from pocket.condensation import METHODS, Step, make_pool
from pocket.condensation.moments import Moments, distance, moments
from pocket.condensation.pool import load_blend, perturb
from pocket.condensation.real import RealImages, RealStatistics
from pocket.hashing import HashModel
from pocket.hashing.augmentation import Draw
from pocket.hashing.devices import generator
from pocket.presentation.live import Watcher
from pocket.runs import ArtefactError

SHORT = pocket.IEMConfig.paper(steps=12, pool_size=2, pool_epochs=1, real_batch=8)
OPTIONS = {"bits": 16, "width": 8, "device": "cpu"}
IMAGES = image_set(per_class=24)


MATCHED = sorted(set(METHODS) - {"gradient", "idc"})  # test_baselines.py has gradient matching


def config(method: str) -> pocket.IEMConfig:
    chosen = METHODS[method].config()
    assert isinstance(chosen, pocket.IEMConfig)
    return replace(chosen, steps=12, pool_size=2, pool_epochs=1, real_batch=8)


@pytest.mark.parametrize("method", MATCHED)
def test_same_seed_same_bits_and_other_seed_other_bits(method: str) -> None:
    first, again = (pocket.condense(IMAGES, 2, method, seed=3, config=config(method), **OPTIONS) for _ in range(2))
    other = pocket.condense(IMAGES, 2, method, seed=4, config=config(method), **OPTIONS)
    assert (first.images == again.images).all()
    assert (first.images != other.images).any()
    assert first.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert first.images.shape == (6, 1, 12, 12)
    assert first.card.method == method
    assert first.card.source_fingerprint == IMAGES.fingerprint


@pytest.mark.parametrize("method", MATCHED)
def test_classes_may_have_different_sizes(method: str) -> None:
    made = pocket.condense(IMAGES, [1, 3, 0], method, config=config(method), **OPTIONS)
    assert made.labels.tolist() == [0, 1, 1, 1]
    assert made.card.counts == (1, 3, 0) and made.card.ipc == 3
    assert made.name.endswith("0 to 3 a class")
    few = IMAGES.subset(np.flatnonzero((IMAGES.labels != 2) | (np.arange(len(IMAGES)) % 12 == 0)))
    shares = pocket.condense(few, method=method, ratio=0.1, config=config(method), **OPTIONS)
    assert few.counts.tolist() == [24, 24, 2]
    assert shares.card.counts == (2, 2, 1)
    with pytest.warns(UserWarning, match=rf"fewer images than ipc=4 .*: {IMAGES.class_names[2]} 2"):
        capped = pocket.condense(few, 4, method, config=config(method), **OPTIONS)
    assert capped.labels.tolist() == [0] * 4 + [1] * 4 + [2] * 2


@pytest.mark.parametrize("method", MATCHED)
def test_small_classes_may_have_fewer_tiles(method: str, tmp_path: Path) -> None:
    few = IMAGES.subset(np.flatnonzero((IMAGES.labels != 2) | (np.arange(len(IMAGES)) % 6 == 0)))
    assert few.counts[2] < 8
    chosen = replace(config(method), formation=2)
    made = pocket.condense(few, 2, method, formation="auto", config=chosen, **OPTIONS)
    assert made.card.formations == (2, 2, 1) and made.card.formation == 2
    assert made.view_labels.tolist() == [0] * 8 + [1] * 8 + [2] * 2
    assert made.view_images.tolist() == [i for i, f in enumerate(made.formation) for _ in range(f * f)]
    assert made.decode().shape == (18, 1, 12, 12)
    given = pocket.condense(few, 2, method, formation=[2, 2, 1], config=chosen, **OPTIONS)
    np.testing.assert_array_equal(given.images, made.images)
    back = pocket.CondensedSet.load(made.save(tmp_path / "set"))
    assert torch.equal(back.decode(), made.decode())
    model = pocket.train(made, bits=16, width=8, config=pocket.TrainConfig(steps=2, batch=8), device="cpu")
    assert pocket.label(made, model, mixes=2, device="cpu").code_targets.shape == (36, 8)
    alike = pocket.condense(IMAGES, 2, method, formation="auto", config=chosen, **OPTIONS)
    same = pocket.condense(IMAGES, 2, method, config=chosen, **OPTIONS)
    assert alike.card.formations is None
    np.testing.assert_array_equal(alike.images, same.images)


def test_chunks_of_different_formations_give_the_sums_of_one_forward() -> None:
    chosen = replace(config("iem"), steps=3, networks="random")
    whole = pocket.condense(IMAGES, 2, config=chosen, formation=[2, 1, 3], **OPTIONS)
    chunked = pocket.condense(IMAGES, 2, config=replace(chosen, memory_gb=1e-4), formation=[2, 1, 3], **OPTIONS)
    np.testing.assert_allclose(chunked.images.astype(float), whole.images.astype(float), atol=1)
    assert (whole.images != pocket.condense(IMAGES, 2, "random", formation=[2, 1, 3], **OPTIONS).images).any()


def test_a_class_that_is_left_out_does_not_disturb_the_others() -> None:
    plain = replace(config("iem"), weight_cov=0.1)
    both = pocket.condense(IMAGES, [2, 2, 0], "iem", config=plain, **OPTIONS)
    assert np.isfinite(both.images).all()
    start = pocket.condense(IMAGES, [2, 2, 0], "random", config=replace(config("random"), formation=2), **OPTIONS)
    assert (both.images != start.images).any(axis=(1, 2, 3)).all(), "every class that is made has moved"


def test_moments_of_unequal_classes_are_those_of_each_class_alone() -> None:
    z, v, counts = torch.rand(7, 4), torch.rand(7, 3), torch.tensor([2, 0, 5])
    found = moments(z, v, 3, cov=True, counts=counts)
    for c, rows in ((0, slice(0, 2)), (2, slice(2, 7))):
        alone = moments(z[rows], v[rows], 1, cov=True)
        torch.testing.assert_close(found.z[c], alone.z[0])
        torch.testing.assert_close(found.v[c], alone.v[0])
        torch.testing.assert_close(found.cov[c], alone.cov[0], rtol=1e-4, atol=1e-6)
    same = moments(z[:6], v[:6], 3, cov=True, counts=torch.tensor([2, 2, 2]))
    equal = moments(z[:6], v[:6], 3, cov=True)
    for one, other in zip(same, equal, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"networks": "random", "weight_v": 0.0, "perturb": (0.0, 0.0)},
        {"perturb": (0.0, 0.0)},
        {"augment": False},
        {"weight_v": 0.0},
        {"formation": 1},
        {"formation": 3},
    ],
)
def test_every_part_can_be_switched_off_and_the_images_move(changes: dict) -> None:
    wanted = replace(SHORT, **changes)
    losses: list[float] = []

    def watch(step: Step) -> None:
        if step.number:
            losses.append(float(step.loss))

    images = image_set(per_class=24)
    start = pocket.condense(images, 1, "random", formation=wanted.formation, seed=0, **OPTIONS)
    made = pocket.condense(images, 1, seed=0, config=replace(wanted, steps=40), watch=watch, **OPTIONS)
    assert (made.images != start.images).any()
    assert len(losses) == 40
    assert np.isfinite(losses).all()
    assert np.mean(losses[-10:]) < np.mean(losses[:10])


FEW_NETWORKS = {"steps": 12, "pool_size": 2, "pool_epochs": 1, "real_batch": 8}
JUDGED = pocket.IEMConfig.experts(**FEW_NETWORKS)


@pytest.mark.parametrize(
    ("config", "stop_at"), [(SHORT, 1), (SHORT, 7), (JUDGED, 7), (replace(JUDGED, networks="random"), 7)]
)
def test_an_interrupted_run_goes_on_to_the_same_bits(tmp_path: Path, config: pocket.IEMConfig, stop_at: int) -> None:
    def stop(step: Step) -> None:
        if step.number == stop_at:
            raise KeyboardInterrupt

    path = tmp_path / "state.safetensors"
    straight = pocket.condense(IMAGES, 1, seed=5, config=config, **OPTIONS)
    with pytest.raises(KeyboardInterrupt):
        pocket.condense(IMAGES, 1, seed=5, config=config, watch=stop, checkpoint=path, **OPTIONS)
    if stop_at > 1:
        assert path.is_file()
    seen: list[int] = []
    resumed = pocket.condense(
        IMAGES, 1, seed=5, config=config, checkpoint=path, watch=lambda step: seen.append(step.number), **OPTIONS
    )
    assert (resumed.images == straight.images).all()
    assert seen[0] == (stop_at if stop_at > 1 else 0), "it did not start from the beginning again"
    assert not path.exists(), "the checkpoint goes when the work is done"


KILLED = """
import sys
from pathlib import Path
import pocket
from pocket.runs import checkpoint
from sets_for_tests import image_set
checkpoint.Checkpoint.__init__.__kwdefaults__["every"] = 0.0
torch_steps = int(sys.argv[2])
config = pocket.IEMConfig.paper(steps=torch_steps, pool_size=1, pool_epochs=1, real_batch=8)
made = pocket.condense(image_set(per_class=24), 1, seed=6, config=config, bits=16, width=8, device="cpu",
                       checkpoint=Path(sys.argv[1]))
made.save(Path(sys.argv[1]).with_name("made"))
"""


def test_a_killed_process_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    state = tmp_path / "state.safetensors"
    call = [sys.executable, "-c", KILLED, str(state), "400"]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}
    process = subprocess.Popen(call, env=environment)
    until = time.monotonic() + 60
    while not state.is_file() and time.monotonic() < until:
        time.sleep(0.01)
    time.sleep(0.2)
    process.send_signal(getattr(signal, "SIGKILL", signal.SIGTERM))
    assert process.wait() != 0, "it had finished before it could be killed"
    assert state.is_file()
    assert subprocess.run(call, env=environment, check=True).returncode == 0
    resumed = pocket.CondensedSet.load(tmp_path / "made")
    straight = pocket.condense(
        image_set(per_class=24),
        1,
        seed=6,
        config=pocket.IEMConfig.paper(steps=400, pool_size=1, pool_epochs=1, real_batch=8),
        **OPTIONS,
    )
    assert (resumed.images == straight.images).all()
    assert not state.exists()


def test_a_checkpoint_of_another_task_is_refused(tmp_path: Path) -> None:
    def stop(step: Step) -> None:
        if step.number == 3:
            raise KeyboardInterrupt

    path = tmp_path / "state.safetensors"
    with pytest.raises(KeyboardInterrupt):
        pocket.condense(IMAGES, 1, seed=1, config=SHORT, watch=stop, checkpoint=path, **OPTIONS)
    with pytest.raises(ArtefactError, match="belongs to other images, settings or another seed"):
        pocket.condense(IMAGES, 1, seed=2, config=SHORT, checkpoint=path, **OPTIONS)
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(ArtefactError, match="damaged"):
        pocket.condense(IMAGES, 1, seed=1, config=SHORT, checkpoint=path, **OPTIONS)
    fresh = pocket.condense(IMAGES, 1, seed=1, config=SHORT, checkpoint=path, resume=False, **OPTIONS)
    assert (fresh.images == pocket.condense(IMAGES, 1, seed=1, config=SHORT, **OPTIONS).images).all()


def test_a_shared_pool_changes_nothing_and_a_wrong_one_is_refused() -> None:
    pool = make_pool(IMAGES, SHORT, seed=0, **OPTIONS)
    alone = pocket.condense(IMAGES, 1, seed=0, config=SHORT, **OPTIONS)
    shared = pocket.condense(IMAGES, 1, seed=0, config=SHORT, pool=pool, **OPTIONS)
    assert (alone.images == shared.images).all()
    assert shared.card.pool_seconds == pool.seconds > 0
    with pytest.raises(ValueError, match="pool was made for other images, settings or another seed"):
        pocket.condense(IMAGES, 1, seed=1, config=SHORT, pool=pool, **OPTIONS)


def test_a_pool_is_kept_and_loaded(tmp_path: Path) -> None:
    pool = make_pool(IMAGES, SHORT, seed=0, keep=tmp_path / "pool", **OPTIONS)
    again = make_pool(IMAGES, SHORT, seed=0, keep=tmp_path / "pool", **OPTIONS)
    assert (again.seconds, again.identity, again.seeds) == (pool.seconds, pool.identity, pool.seeds)
    for mine, theirs in zip((*pool.models, *pool.starts), (*again.models, *again.starts), strict=True):
        assert mine.fingerprint == theirs.fingerprint
    other = make_pool(IMAGES, SHORT, seed=1, keep=tmp_path / "pool", **OPTIONS)
    assert other.models[0].fingerprint != pool.models[0].fingerprint, "a pool of another seed is not taken for this one"


def test_a_stopped_run_keeps_its_teacher_and_pool_and_cleans_up_at_the_end(tmp_path: Path) -> None:
    chosen, path = replace(SHORT, weight_hash=1.0), tmp_path / "checkpoint.safetensors"
    options = OPTIONS | {"config": chosen, "seed": 0, "checkpoint": path}

    def stop(step: Step) -> None:
        if step.number == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pocket.condense(IMAGES, 1, watch=stop, **options)
    kept = {file.name for file in tmp_path.iterdir()}
    assert len(kept) == 3, kept
    trained: list[object] = []
    with pytest.MonkeyPatch.context() as patch:
        for module in ("methods", "pool"):
            patch.setattr(f"pocket.condensation.{module}.train", lambda *a, **k: trained.append(a))
        resumed = pocket.condense(IMAGES, 1, **options)
    assert not trained, "neither teacher nor pool is trained again"
    assert not list(tmp_path.iterdir())
    whole = pocket.condense(IMAGES, 1, config=chosen, seed=0, **OPTIONS)
    assert (resumed.images == whole.images).all()


def test_perturbation_moves_filters_within_bounds_and_leaves_biases_and_norms() -> None:
    shape = {"channels": 1, "size": 12, "num_classes": 3, "bits": 16, "width": 8}
    source, stage = HashModel(**shape, seed=1), HashModel(**shape, seed=2)
    low, high = 0.01, 0.09
    stage.load_state_dict(source.state_dict())
    perturb(stage, (low, high), generator(torch.device("cpu"), 0))
    for name, moved in stage.named_parameters():
        before = source.get_parameter(name)
        if before.dim() < 2:
            assert torch.equal(moved, before), name
            continue
        change = (moved - before).flatten(1).norm(dim=1) / before.flatten(1).norm(dim=1)
        assert 0 < change.min() <= change.max() <= 2 * high, name
    stage.load_state_dict(source.state_dict())
    perturb(stage, (0.0, 0.0), generator(torch.device("cpu"), 0))
    assert all(torch.equal(a, b) for a, b in zip(stage.parameters(), source.parameters(), strict=True))


def test_one_forward_over_all_classes_equals_one_per_class() -> None:
    real = RealImages(IMAGES, torch.device("cpu"))
    batch = real.batch(8, generator(torch.device("cpu"), 1))
    network = HashModel(channels=1, size=12, num_classes=3, bits=16, width=8).eval()
    with torch.no_grad():
        together = moments(*network.embed(batch), 3, cov=False).z
        apart = torch.stack([network.embed(part)[0].mean(dim=0) for part in batch.split(8)])
    assert torch.allclose(together, apart, atol=1e-6)


def test_interpolated_weights_lie_between_the_two_stages() -> None:
    shape = {"channels": 1, "size": 12, "num_classes": 3, "bits": 16, "width": 8}
    start, end, stage = (HashModel(**shape, seed=s) for s in (1, 2, 3))
    for share in (0.0, 0.25, 1.0):
        load_blend(stage, start.state_dict(), end.state_dict(), torch.tensor(share))
        for name, blended in stage.named_parameters():
            wanted = (1 - share) * start.get_parameter(name) + share * end.get_parameter(name)
            assert torch.allclose(blended, wanted, atol=1e-6), name


def test_moments_and_their_distance_by_hand() -> None:
    z = torch.tensor([[1.0], [3.0], [0.0], [0.0]])
    v = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 2.0], [0.0, 0.0]])
    found = moments(z, v, 2, cov=True)
    assert found.z.tolist() == [[2.0], [0.0]]
    assert found.v.tolist() == [[0.0, 0.0], [0.0, 1.0]]
    assert found.cov.tolist() == [[[1.0, 0.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 1.0]]]
    one = torch.tensor(1.0)
    real = Moments(found.z + 1, found.v, torch.zeros(2, 2, 2))
    chosen = pocket.IEMConfig(weight_z=2.0, weight_v=5.0, weight_cov=3.0)
    # 2 * (1 + 1) for Z, 5 * 0 for V, 3 * (1 + 1) for the covariances
    assert distance(found, real, Moments(one, one, one), chosen).item() == pytest.approx(10.0)


def test_each_moment_is_measured_in_its_own_scale_of_the_real_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    class Fixed:
        """A network that sees one feature, 1 and 3 of the first class, 0 and 2 of the second, and twice it as a bit."""

        def draw(self, step: int, source: torch.Generator) -> Fixed:
            return self

        def bytes_per_image(self, *, grad: bool) -> int:
            return 1

        def embed(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            z = torch.tensor([[1.0], [3.0], [0.0], [2.0]])
            return z, 2 * z

    config = pocket.IEMConfig(real_batch=2, weight_cov=1.0, augment=False)
    fixed: Any = Fixed()
    _, found, scale = RealStatistics(image_set(classes=2), fixed, config, 0, torch.device("cpu")).at(0)
    assert found.z.tolist() == [[2.0], [1.0]]
    # The spread inside a class counts: (1 + 9 + 0 + 4) / 4 of Z, four times that of V; the variances of V are 4 and 4.
    assert scale.z.item() == pytest.approx(3.5)
    assert scale.v.item() == pytest.approx(14.0)
    assert scale.cov.item() == pytest.approx(16.0)
    off = Moments(found.z + 1, found.v + 1, found.cov + 1)
    chosen = pocket.IEMConfig(weight_z=7.0, weight_v=28.0, weight_cov=48.0)
    # Each term is 1 off in both classes: 7 * 2 / 3.5, 28 * 2 / 14 and 48 * 2 / 16.
    assert distance(found, off, scale, chosen).item() == pytest.approx(4 + 4 + 6)


@pytest.mark.parametrize(
    "part", ["weight_hash", "judge", "weight_cov", "weight_v", "interpolate", "cache", "augment", "perturb", "anneal"]
)
def test_each_part_of_iem_changes_the_images_and_can_be_switched_off(part: str) -> None:
    whole = pocket.IEMConfig(
        **{"weight_hash": 1.0, "weight_cov": 1.0, "weight_v": 1.0, "interpolate": True, "cache": 3},
        **{"networks": "both", "anneal": True},
        **{"steps": 6, "pool_size": 1, "pool_epochs": 1, "real_batch": 8},
    )
    others: dict[str, Any] = {
        "judge": "pool",
        "interpolate": False,
        "augment": False,
        "anneal": False,
        "cache": 0,
        "networks": "pool",
    }
    off = (others | {"perturb": (0.0, 0.0)}).get(part, 0.0)
    teacher = pocket.train(IMAGES, bits=16, width=8, config=pocket.TrainConfig(steps=5), device="cpu")
    options = OPTIONS | {"seed": 0, "teacher": teacher}
    first = pocket.condense(IMAGES, 1, config=whole, **options)
    assert (first.images == pocket.condense(IMAGES, 1, config=whole, **options).images).all()
    assert (first.images != pocket.condense(IMAGES, 1, config=replace(whole, **{part: off}), **options).images).any()


@pytest.mark.parametrize(("cache", "measured"), [(3, 3), (0, 7)])
def test_cached_statistics_cost_the_real_images_once(
    cache: int, measured: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[HashModel] = []
    measure = RealStatistics._measure

    def counted(self: RealStatistics, network: HashModel, drawn: Draw, source: torch.Generator) -> tuple:
        calls.append(network)
        return measure(self, network, drawn, source)

    monkeypatch.setattr(RealStatistics, "_measure", counted)
    pocket.condense(IMAGES, 1, config=replace(SHORT, steps=7, cache=cache), **OPTIONS)
    assert len(calls) == measured


def test_a_teacher_is_trained_and_its_seconds_counted_where_none_is_given() -> None:
    chosen = replace(SHORT, steps=1, weight_hash=1.0)
    made = pocket.condense(IMAGES, 1, config=chosen, **OPTIONS)
    assert made.card.teacher_seconds > 0
    teacher = pocket.train(IMAGES, bits=16, width=8, config=pocket.TrainConfig(steps=3), device="cpu")
    given = pocket.condense(IMAGES, 1, config=chosen, teacher=teacher, **OPTIONS)
    assert given.card.teacher_seconds == teacher.report.seconds
    assert given.card.config["teacher"] == teacher.fingerprint
    other = pocket.train(image_set(per_class=24, classes=4), bits=16, width=8, config=pocket.TrainConfig(steps=1))
    with pytest.raises(ValueError, match=r"the teacher knows 4 classes, .* has 3"):
        pocket.condense(IMAGES, 1, config=chosen, teacher=other, **OPTIONS)


@pytest.mark.parametrize("hashing", ["orthohash", "dhd"])
def test_chunks_give_the_sums_of_one_forward(hashing: str) -> None:
    teacher = pocket.train(IMAGES, hashing, 16, width=8, config=pocket.TrainConfig(steps=5), device="cpu")
    chosen = replace(SHORT, steps=1, weight_hash=1.0, weight_cov=0.1)
    losses = []
    for memory_gb in (4.0, 1e-4):
        steps: list[Step] = []
        pocket.condense(
            IMAGES, 4, config=replace(chosen, memory_gb=memory_gb), teacher=teacher, watch=steps.append, **OPTIONS
        )
        losses.append((float(steps[-1].loss), steps[-1].images.clone()))
    assert losses[0][0] == pytest.approx(losses[1][0], rel=1e-5)
    # One step of Adam is lr * sign(gradient) wherever the gradient is not tiny: equal images mean equal gradients.
    assert (losses[0][1] - losses[1][1]).abs().mean() < 1e-4


def test_a_chunk_bounds_the_images_of_one_forward() -> None:
    largest = 0
    network = HashModel(channels=1, size=12, num_classes=3, bits=16, width=8)
    original = HashModel.embed

    def watch(self: HashModel, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        nonlocal largest
        largest = max(largest, len(x))
        return original(self, x)

    limit = 16 * network.bytes_per_image(grad=True) / 2**30
    pool, wide = make_pool(IMAGES, SHORT, **OPTIONS), replace(SHORT, steps=2, real_batch=40)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(HashModel, "embed", watch)
        pocket.condense(IMAGES, 6, config=replace(wide, memory_gb=limit), pool=pool, **OPTIONS)
        # In a step without gradients an image takes less, so more of them fit.
        fitting = 16 * network.bytes_per_image(grad=True) // network.bytes_per_image(grad=False)
        assert 16 <= largest <= fitting < 3 * wide.real_batch
        pocket.condense(IMAGES, 6, config=wide, pool=pool, **OPTIONS)
    assert largest == 3 * wide.real_batch, "where it fits, one forward takes all of them"


@pytest.mark.parametrize("live", [False, True])
def test_a_watcher_keeps_stages_and_shows_loss_time_left_and_thumbnails(
    monkeypatch: pytest.MonkeyPatch, live: bool
) -> None:
    shown: list[Any] = []
    monkeypatch.setattr("IPython.display.display", shown.append)
    monkeypatch.setenv("POCKET_BATCH", "" if live else "1")
    watcher, seen = Watcher(SHORT.steps, snapshots=4, thumbnails=2, ipc=2), []

    def watch(step: Step) -> None:
        seen.append(step.images.clone())
        watcher(step)

    made = pocket.condense(IMAGES, 2, seed=0, config=SHORT, watch=watch, **OPTIONS)
    assert [number for number, _ in watcher.kept] == [0, 4, 8, 12]
    for number, thumbnails in watcher.kept:
        assert (thumbnails == (seen[number][[0, 2]] * 255).round().byte().numpy()).all(), "the first of each class"
    assert (watcher.kept[-1][1] == made.images[[0, 2]]).all()
    assert {4, 8, 12} <= {number for number, _ in watcher.losses}
    assert all(loss > 0 for _, loss in watcher.losses)
    if not live:
        assert not shown, "nobody looks at a batch"
        return
    (view,) = shown
    assert re.match(r"<p>step 12 of 12, loss [0-9.e-]+, about 0 s left</p>", view.value)
    assert view.value.count("<img") == 2


def test_real_batches_hold_images_of_their_class_only() -> None:
    labelled = replace(IMAGES, images=np.repeat(IMAGES.labels.astype(np.uint8), 144).reshape(-1, 1, 12, 12))
    batch = RealImages(labelled, torch.device("cpu")).batch(50, generator(torch.device("cpu"), 2))
    assert ((batch * 255).round().mean(dim=(1, 2, 3)) == torch.arange(3).repeat_interleave(50)).all()


def test_global_random_state_is_left_alone() -> None:
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002 (the state we must not touch)
    made = pocket.condense(IMAGES, 1, seed=0, config=SHORT, **OPTIONS)
    pocket.train(made, bits=16, width=8, config=pocket.TrainConfig(steps=3), device="cpu")
    assert torch.equal(before[0], torch.get_rng_state())
    assert (before[1] == np.random.get_state()[1]).all()  # noqa: NPY002


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: pocket.condense(IMAGES, 1, "magic"), "unknown method 'magic'; choose one of"),
        (lambda: pocket.condense(IMAGES, 1, hashing="magic"), "unknown hashing method"),
        (lambda: pocket.condense(IMAGES, [1, 1, -1], "random"), "or 0 to leave a class out"),
        (lambda: pocket.condense(IMAGES, [1, 2], "random"), "or one for each of 3 classes"),
        (lambda: pocket.condense(IMAGES, method="random"), "give either ipc"),
        (lambda: pocket.condense(IMAGES, 1, "random", ratio=0.1), "give either ipc"),
        (lambda: pocket.condense(IMAGES, method="random", ratio=1.5), "ratio=1.5 is outside the allowed range"),
        (lambda: pocket.condense(IMAGES, [1, 1, 2], "idc"), "equally many images of every class, not 1 to 2"),
        (lambda: pocket.condense(IMAGES, 1, "idc", formation=[1, 2, 2]), "give one formation for all"),
        (lambda: pocket.condense(IMAGES, 1, formation=[1, 2]), "one for each of 3 classes, or 'auto'"),
        (lambda: pocket.condense(IMAGES, 0, "random"), "at least 1 image per class"),
        (lambda: pocket.IEMConfig(lr=0), "lr=0: must be above 0"),
        (lambda: pocket.IEMConfig(perturb=(0.2, 0.1)), "perturb"),
        (lambda: pocket.IEMConfig(formation=0), "formation=0: must be 1 to 8"),
    ],
)
def test_wrong_arguments_get_a_clear_error(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
