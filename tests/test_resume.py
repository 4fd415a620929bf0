"""A training that is stopped or killed goes on from its file to the bits of one that was not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from sets_for_tests import image_set
from torch import Tensor

import pocket
from pocket.condensation.pool import make_pool
from pocket.hashing import HashModel, TrainConfig, train
from pocket.runs import ArtefactError, checkpoint
from pocket.runs.checkpoint import Checkpoint

IMAGES = image_set(channels=3, size=16)
SHORT = TrainConfig(steps=15, batch=12)


@pytest.fixture
def at_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write the state after every step, however long a write takes."""
    assert Checkpoint.__init__.__kwdefaults__ is not None
    monkeypatch.setitem(Checkpoint.__init__.__kwdefaults__, "every", 0.0)
    monkeypatch.setattr(checkpoint, "_SHARE", float("inf"))


def labelled(seed: int = 0) -> pocket.CondensedSet:
    """Return a set with code labels."""
    config = pocket.IEMConfig.dm(steps=1, formation=2)
    made = pocket.condense(IMAGES, 2, "random", config=config, bits=16, width=8, device="cpu")
    return pocket.label(made, train(IMAGES, bits=16, width=8, config=SHORT, device="cpu"), seed=seed)


@pytest.mark.parametrize(
    ("method", "backbone", "config"),
    [
        ("orthohash", "convnet", SHORT),
        ("dhd", "convnet", SHORT),  # with proxies that are learned, and two views
        ("hashnet", "resnetap10", SHORT),
        ("linear", "torchvision:resnet18", replace(SHORT, steps=5, batch=4, cutmix=0.5)),  # with statistics of batches
        ("codes", "convnet", SHORT),
    ],
)
@pytest.mark.usefixtures("at_every_step")
def test_a_stopped_training_goes_on_to_the_same_bits(
    tmp_path: Path, method: str, backbone: str, config: TrainConfig
) -> None:
    images = labelled() if method == "codes" else IMAGES
    options = {"backbone": backbone, "config": config, "width": None if "resnet18" in backbone else 8, "device": "cpu"}

    def trained(**more: object) -> HashModel:
        return train(images, "orthohash" if method == "codes" else method, 16, 3, **options, **more)  # type: ignore[arg-type]

    straight, path = trained(), tmp_path / "model.training"
    assert straight.report is not None
    for stop_at in (2, config.steps - 1, config.steps):
        seen: list[int] = []

        def stop(step: int, loss: Tensor, seen: list[int] = seen, stop_at: int = stop_at) -> None:
            assert loss.shape == ()
            seen.append(step)
            if step == stop_at:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            trained(watch=stop, keep=path)
        assert seen[0] == {2: 1, config.steps - 1: 3, config.steps: config.steps}[stop_at], "it began anew"
    resumed = trained(keep=path)
    assert resumed.fingerprint == straight.fingerprint
    assert resumed.report is not None
    assert (resumed.report.steps, resumed.report.final_loss) == (config.steps, straight.report.final_loss)

    def never(step: int, loss: Tensor) -> None:
        raise AssertionError(f"step {step} of a training that is done")

    again = trained(keep=path, watch=never)
    assert again.fingerprint == straight.fingerprint
    assert again.report is not None
    assert again.report.final_loss == straight.report.final_loss
    assert again.report.seconds > resumed.report.seconds / 2, "the seconds of all steps count"


KILLED = """
import sys
from pathlib import Path
from pocket.hashing import TrainConfig, train
from pocket.runs import checkpoint
from sets_for_tests import image_set
checkpoint.Checkpoint.__init__.__kwdefaults__["every"] = 0.0
path, seen = Path(sys.argv[1]), []
train(image_set(), bits=16, width=8, config=TrainConfig(steps=2000, batch=12), device="cpu", keep=path,
      watch=lambda step, loss: seen.append(step)).save(path.with_name("made"))
print("first step", seen[0])
"""


def test_a_killed_training_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    state = tmp_path / "state"
    call = [sys.executable, "-c", KILLED, str(state)]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}
    process = subprocess.Popen(call, env=environment)
    until = time.monotonic() + 60
    while not list(state.glob("*.safetensors")) and time.monotonic() < until:
        time.sleep(0.01)
    process.send_signal(getattr(signal, "SIGKILL", signal.SIGTERM))
    assert process.wait() != 0, "it had finished before it could be killed"
    (file,) = state.glob("*.safetensors")
    assert 0 < (done := checkpoint.steps_done(file)) < 2000
    assert not (tmp_path / "made").exists()
    told = subprocess.run(call, env=environment, check=True, capture_output=True, text=True).stdout
    assert told == f"first step {done + 1}\n"
    straight = train(image_set(), bits=16, width=8, config=TrainConfig(steps=2000, batch=12), device="cpu")
    assert HashModel.load(tmp_path / "made").fingerprint == straight.fingerprint


@pytest.mark.usefixtures("at_every_step")
def test_another_training_is_never_gone_on_with(tmp_path: Path) -> None:
    options: dict[str, Any] = {"bits": 16, "width": 8, "config": SHORT, "device": "cpu", "keep": tmp_path}
    train(IMAGES, **options)
    for number, changed in enumerate(
        ({"seed": 1}, {"config": replace(SHORT, lr=0.05)}, {"width": 16}, {"method": "dpn"}), start=2
    ):
        kept = train(IMAGES, **(options | changed))
        assert kept.fingerprint == train(IMAGES, **(options | changed | {"keep": None})).fingerprint
        assert len(list(tmp_path.iterdir())) == number
    for images in (image_set(channels=3, size=16, seed=1), replace(IMAGES, mirror=True), labelled(), labelled(seed=1)):
        steps: list[int] = []
        train(images, **options, watch=lambda step, loss, steps=steps: steps.append(step))
        assert steps[0] == 1


def test_what_is_no_longer_wanted_goes(tmp_path: Path) -> None:
    parameter = torch.zeros(3, requires_grad=True)
    optimizer = torch.optim.SGD([parameter], lr=0.1)
    kept = Checkpoint(tmp_path / "state", {}, every=0.0)
    kept.keep(1, {"images": parameter}, optimizer, 0.5)
    assert Checkpoint(tmp_path / "state", {}).restore({"images": parameter}, optimizer) == (1, 0.5)
    with pytest.raises(
        ArtefactError, match=r"belongs to other images, settings or another seed, or .* differ; delete it, or take"
    ):
        Checkpoint(tmp_path / "state", {"seed": 1}).restore({"images": parameter}, optimizer)
    Checkpoint(tmp_path / "state", {}, resume=False)
    assert not (tmp_path / "state").exists(), "a run that is killed before it writes must not meet the old one"


@pytest.mark.usefixtures("at_every_step")
def test_what_other_threads_began_is_not_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sums are taken in as many parts as there are threads: the end would have bits of neither."""

    def stop(step: pocket.condensation.Step) -> None:
        if step.number == 2:
            raise KeyboardInterrupt

    options: dict[str, Any] = {"config": pocket.IEMConfig.dm(steps=4), "bits": 16, "width": 8, "device": "cpu"}
    path, seen = tmp_path / "state", []
    with pytest.raises(KeyboardInterrupt):
        pocket.condense(IMAGES, 1, "dm", checkpoint=path, watch=stop, **options)
    train(IMAGES, bits=16, width=8, config=SHORT, device="cpu", keep=tmp_path / "training")
    monkeypatch.setattr(torch, "get_num_threads", lambda: 7)
    with pytest.raises(ArtefactError, match="or was written in other threads"):
        pocket.condense(IMAGES, 1, "dm", checkpoint=path, **options)
    options = {"bits": 16, "width": 8, "config": SHORT, "device": "cpu", "keep": tmp_path / "training"}
    train(IMAGES, **options, watch=lambda step, loss: seen.append(step))
    assert seen[0] == 1, "a training begins anew"


@pytest.mark.usefixtures("at_every_step")
def test_herding_keeps_the_network_that_it_looks_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, kept = tmp_path / "state", []
    options: dict[str, Any] = {"bits": 16, "width": 8, "device": "cpu"}
    straight = pocket.condense(IMAGES, 2, "herding", **options)

    def killed(*_: object) -> None:
        kept.extend(tmp_path.rglob("pool.json"))
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("pocket.condensation.selection._embeddings", killed)
        pocket.condense(IMAGES, 2, "herding", checkpoint=path, **options)
    assert len(kept) == 1
    with monkeypatch.context() as patch:
        patch.setattr("pocket.condensation.pool.train", killed)
        made = pocket.condense(IMAGES, 2, "herding", checkpoint=path, **options)
    assert (made.images == straight.images).all()
    assert not list(tmp_path.iterdir()), "all of it is removed at the end"


def test_a_large_state_is_written_less_often(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parameter = torch.zeros(3, requires_grad=True)
    optimizer = torch.optim.SGD([parameter], lr=0.1)
    clock = iter([0.0, 10.0, 10.0, 11.0, 20.0, 21.1])  # made, due, started, written: a second; due: 9, then 10.1 later
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    kept = Checkpoint(tmp_path / "state", {})
    kept.keep(1, {"images": parameter}, optimizer, 0.5)
    assert not kept.due
    assert kept.due


@pytest.mark.usefixtures("at_every_step")
def test_half_a_pool_is_gone_on_with(tmp_path: Path) -> None:
    config = pocket.IEMConfig.paper(steps=1, pool_size=2, pool_epochs=2)  # two steps a network
    options: dict[str, Any] = {"bits": 16, "width": 8, "device": "cpu", "seed": 4}
    straight, seen = make_pool(IMAGES, config, **options), []

    def stop(step: int, loss: Tensor) -> None:
        seen.append(step)
        if seen == [1, 2, 1]:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_pool(IMAGES, config, keep=tmp_path / "pool", watch=stop, **options)
    resumed = make_pool(IMAGES, config, keep=tmp_path / "pool", watch=stop, **options)
    assert seen == [1, 2, 1, 2]
    assert [m.fingerprint for m in resumed.models] == [m.fingerprint for m in straight.models]
    assert sorted(p.name for p in (tmp_path / "pool").iterdir()) == ["0.safetensors", "1.safetensors", "pool.json"]


@pytest.mark.usefixtures("at_every_step")
def test_half_a_teacher_is_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = pocket.IEMConfig.best(steps=1, real_batch=4)
    options: dict[str, Any] = {"bits": 16, "width": 8, "device": "cpu", "config": config, "seed": 4}
    straight, path, done = pocket.condense(IMAGES, 1, **options), tmp_path / "state", Checkpoint.keep
    steps: list[int] = []

    def keep(self: Checkpoint, step: int, *state: Any) -> None:
        done(self, step, *state)
        steps.append(step)
        if steps == [1, 2, 3]:
            raise KeyboardInterrupt

    monkeypatch.setattr(Checkpoint, "keep", keep)
    with pytest.raises(KeyboardInterrupt):
        pocket.condense(IMAGES, 1, checkpoint=path, **options)
    resumed = pocket.condense(IMAGES, 1, checkpoint=path, **options)
    assert steps[3] == 4, "the fourth step of the teacher, and not its first"
    assert (resumed.images == straight.images).all()
    assert not list(tmp_path.iterdir())


def test_a_training_starts_from_pretrained_weights(tmp_path: Path) -> None:
    options = {"bits": 16, "backbone": "torchvision:resnet18", "config": TrainConfig(steps=1, batch=4, lr=1e-12)}
    given = HashModel(channels=3, size=16, num_classes=3, bits=16, backbone="torchvision:resnet18", seed=9).backbone
    path = tmp_path / "weights.safetensors"
    save_file(given.net.state_dict(), path)
    model = train(IMAGES, weights=path, device="cpu", **options)  # type: ignore[arg-type]
    new = train(IMAGES, device="cpu", **options)  # type: ignore[arg-type]
    for (name, tensor), theirs, other in zip(
        given.named_parameters(), model.backbone.parameters(), new.backbone.parameters(), strict=True
    ):
        torch.testing.assert_close(theirs, tensor, msg=name)
        if tensor.dim() > 1:
            assert not torch.allclose(other, tensor), name
    assert float(model.targets.abs().min()) == 1.0, "it has its codebook"
