"""One trainer for full data, random subsets and condensed sets."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pocket.data import CondensedSet, ImageSet
from pocket.hashing.bars import steps
from pocket.hashing.devices import derive, describe, deterministic, pick_device, surroundings, to_float
from pocket.hashing.fusion import prepare
from pocket.hashing.labelling import unpack
from pocket.hashing.lessons import STAGE, Lesson, imitate, teach
from pocket.hashing.mixing import mixes_of
from pocket.hashing.networks import HashModel, TrainingReport
from pocket.hashing.objectives import objective
from pocket.hashing.replay import Replay
from pocket.hashing.schedule import TrainConfig
from pocket.runs.checkpoint import Checkpoint


def train(
    images: ImageSet | CondensedSet,
    method: str = "orthohash",
    bits: int = 64,
    seed: int = 0,
    *,
    width: int | None = None,
    backbone: str = "convnet",
    weights: str | Path | None = None,
    config: TrainConfig | None = None,
    device: str = "auto",
    progress: bool | str = False,
    watch: Callable[[int, Tensor], object] | None = None,
    keep: Path | None = None,
) -> HashModel:
    """Train a hash model to its last step; there is no selection on any score.

    Parameters
    ----------
    images : ImageSet or CondensedSet
        Training images; the tiles of a condensed set are decoded first.
    method : str
        Hashing method, a name in `pocket.hashing.OBJECTIVES`.
    bits : int
        Code length K, a multiple of 8 from 8 to 128.
    seed : int
        Of initial weights, codebook, batches and augmentation.
    width : int, optional
        Channels of the network; by image size where not given.
    backbone : str
        "convnet", "resnetap10" or "torchvision:NAME".
    weights : str or Path, optional
        Pretrained weights that the backbone starts from, as for `HashModel`. Default: new ones.
    config : TrainConfig, optional
        Default: `TrainConfig.rule`.
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda"``.
    progress : bool or str
        Show a bar with the time left; a text is its label.
    watch : callable, optional
        Called after every step with its number, from 1, and the loss of its batch, a scalar Tensor on the device.
    keep : Path, optional
        A folder that the state is written to every few seconds (a large one less often: at most a tenth of the
        time goes into it), and at the end. The same training, with the same versions and number of threads, stopped or
        killed, goes on from there to the same bits; of any other there is another file. The folder is the caller's to
        delete.

    Returns
    -------
    HashModel
        On the CPU, in evaluation mode, with a `TrainingReport` in ``model.report``.

    Raises
    ------
    ValueError
        If the method is unknown, the code length is not usable, the set is empty, its code labels are of another
        method or length.
    """
    if not len(images):
        raise ValueError(f"{images.name!r} holds no image to train on")
    config = config or TrainConfig.rule(images)
    augmentation = replace(config.augmentation, mirror=images.mirror)
    hashing = objective(method)
    codes, codebook = _code_labels(images, method, bits)
    where = pick_device(device)
    prepare(where, images.size, backbone)
    started = time.perf_counter()
    views, labels = _views(images, where)
    model = HashModel(
        channels=images.channels,
        size=images.size,
        num_classes=images.num_classes,
        bits=bits,
        method=method,
        width=width,
        backbone=backbone,
        weights=weights,
        seed=seed,
    ).to(where)
    if codebook is None:
        codebook = hashing.targets(images.num_classes, bits, derive(seed, 0xB0))
    model.targets.data.copy_(codebook)
    model.normalise_by(views)
    codes = None if codes is None else codes.to(where)
    mixes = mixes_of(images) if isinstance(images, CondensedSet) else None
    if codes is not None and mixes is not None:
        lesson, count = imitate(views, mixes.to(where), codes, config.weight_codes), len(codes)
    else:
        lesson, count = teach(views, labels, augmentation, method, seed, config.cutmix), len(views)
    state = None
    if keep is not None:
        given = [views, labels, *([] if codes is None else [codes]), *(() if mixes is None else mixes)]
        before, used = time.perf_counter(), replace(config, augmentation=augmentation)
        state = Checkpoint.within(keep, _identity(given, model, used, seed))
        started += time.perf_counter() - before  # to read all pixels is no training
    return _fit(model, views, lesson, count, config, seed, started, images.name, progress, watch, state)


def _identity(given: Sequence[Tensor], model: HashModel, config: TrainConfig, seed: int) -> dict[str, object]:
    """Return all that the result of a training on these tensors depends on."""
    digest = hashlib.sha256(repr([tuple(tensor.shape) for tensor in given]).encode())
    for tensor in given:
        digest.update(tensor.cpu().contiguous().numpy().data)
    return {
        "given": digest.hexdigest(),
        "start": model.fingerprint,  # with the codebook and the seed of the weights in it
        "config": asdict(config),
        "seed": seed,
        **surroundings(given[0].device),
    }


def fine_tune(
    model: HashModel,
    real: ImageSet,
    condensed: CondensedSet | None = None,
    seed: int = 0,
    *,
    config: TrainConfig | None = None,
    device: str = "auto",
    progress: bool | str = False,
) -> HashModel:
    """Train a model on, with real images beside the views of its condensed set: hybrid operation.

    Codewords stay, so codes before and after share a space; but codes do change, so the database is encoded anew.

    Parameters
    ----------
    model : HashModel
        Stays as it is.
    real : ImageSet
        Real images that were kept, or are new.
    condensed : CondensedSet, optional
        What the model was trained on: its views are rehearsed, each as often as a real image. Its code labels are not.
    seed : int
        Of batches and augmentation.
    config : TrainConfig, optional
        Default: `TrainConfig.fine`.
    device, progress
        As for `train`.

    Returns
    -------
    HashModel
        On the CPU; ``report`` holds the steps and seconds of this alone.

    Raises
    ------
    ValueError
        If there is no real image, or the sets do not fit the model.
    """
    if not len(real):
        raise ValueError(f"{real.name!r} holds no image to fine-tune on")
    wanted = tuple(model.shape[key] for key in ("num_classes", "channels", "size"))
    given: list[ImageSet | CondensedSet] = [real] if condensed is None else [real, condensed]
    for images in given:
        if (found := (images.num_classes, images.channels, images.size)) != wanted:
            raise ValueError(f"{images.name!r} has classes, channels and pixels {found}, the model {wanted}")
    config = config or TrainConfig.fine()
    where = pick_device(device)
    prepare(where, model.shape["size"], model.shape["backbone"])
    started = time.perf_counter()
    parts = [_views(images, where) for images in given]
    views = torch.cat([_as_bytes(part) for part, _ in parts])
    labels = torch.cat([part for _, part in parts])
    augmentation = replace(config.augmentation, mirror=real.mirror)
    lesson = teach(views, labels, augmentation, model.method, seed, config.cutmix)
    return _fit(deepcopy(model).to(where), views, lesson, len(views), config, seed, started, real.name, progress)


def _as_bytes(views: Tensor) -> Tensor:
    return views if views.dtype == torch.uint8 else (views * 255).round().clamp(0, 255).byte()


def _fit(
    model: HashModel,
    views: Tensor,
    lesson: Lesson,
    count: int,
    config: TrainConfig,
    seed: int,
    started: float,
    name: str,
    progress: bool | str,
    watch: Callable[[int, Tensor], object] | None = None,
    state: Checkpoint | None = None,
) -> HashModel:
    """Run the steps of a configuration on a model in place, and note what they took since ``started``.

    ``count`` is how many different images there are to draw batches from.
    """
    where = views.device
    batches = _batches(count, config, seed, where)
    loss = torch.zeros((), device=where)
    peak = config.lr * objective(model.method).lr
    optimizer = torch.optim.SGD(
        model.parameters(),
        lr=peak,
        momentum=config.momentum,
        weight_decay=config.weight_decay,
        nesterov=True,
    )
    cycle = partial(
        torch.optim.lr_scheduler.OneCycleLR,
        optimizer,
        peak,
        total_steps=config.steps,
        pct_start=0.3 if config.steps == 5 else 0.2,  # torch divides by pct_start * total_steps - 1
        base_momentum=max(0.0, round(config.momentum - 0.05, 6)),
        max_momentum=min(0.99, round(config.momentum + 0.05, 6)),
    )
    schedule = cycle()
    known = model.state_dict() | {"loss": loss}
    first, spent = state.restore(known, optimizer) if state else (0, 0.0)
    if 0 < first < config.steps:
        schedule = cycle(last_epoch=first - 1)
    started -= spent
    model.train()
    learn = Replay(partial(lesson.loss, model), model.parameters(), where, on=model.recordable)
    with deterministic():
        label = progress if isinstance(progress, str) else f"training on {name}"
        left = range(first, config.steps)
        for step in steps(left, label, shown=bool(progress), loss=lambda: loss, initial=first, total=config.steps):
            done = torch.full((), step / config.steps, device=where)
            loss.copy_(learn(batches[step], lesson.draw(step, config.batch), done))
            optimizer.step()
            schedule.step()
            stopped = None
            try:
                if watch:
                    watch(step + 1, loss.clone())
            except KeyboardInterrupt as stop:
                stopped = stop
            if state and (stopped or state.due or step + 1 == config.steps):
                if where.type == "cuda":
                    torch.cuda.synchronize(where)  # seconds are of work that is done
                state.keep(step + 1, known, optimizer, time.perf_counter() - started)
                state.flush()
            if stopped:
                raise stopped
    _note_codes(model.eval(), views, config.batch)
    final_loss = float(loss)  # waits for the device, so that the seconds are whole
    model.report = TrainingReport(config.steps, time.perf_counter() - started, final_loss, describe(where))
    return model.cpu()


def _code_labels(images: ImageSet | CondensedSet, method: str, bits: int) -> tuple[Tensor | None, Tensor | None]:
    """Return a set's stored codes and their codebook, as float32; None where it has none."""
    if not isinstance(images, CondensedSet) or images.code_targets is None or images.codebook is None:
        return None, None
    made = images.card.labels
    assert made is not None
    if (made.method, made.bits) != (method, bits):
        raise ValueError(
            f"{images.name!r} carries codes of {made.method} with {made.bits} bits, which cannot teach {method} with "
            f"{bits}: train with these, or label the set again by a teacher of {method} with {bits} bits (pocket.label)"
        )
    return unpack(torch.tensor(images.code_targets)), torch.tensor(images.codebook).float()


@torch.no_grad()
def _note_codes(model: HashModel, views: Tensor, batch: int) -> None:
    """Note mean and spread of V on (up to 2,000 of) the training views, which recalibration restores."""
    every = max(1, len(views) // 2000)
    at_once = min(max(batch, 100), max(1, 2**29 // model.bytes_per_image(grad=False)))  # few where images are large
    values = torch.cat([model(to_float(part)) for part in views[::every].split(at_once)])
    model.code_mean.copy_(values.mean(0))
    model.code_std.copy_(values.std(0) if len(values) > 1 else torch.ones_like(values[0]))


def _views(images: ImageSet | CondensedSet, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return what is trained on and its labels; stored pixels stay uint8, a quarter of what floats take."""
    if isinstance(images, CondensedSet):
        return images.decode().to(device), torch.tensor(images.view_labels, device=device)
    return torch.tensor(images.images, device=device), torch.tensor(images.labels, device=device)


def _batches(count: int, config: TrainConfig, seed: int, device: torch.device) -> Tensor:
    """Return the rows of every step, shape (steps, batch): whole epochs in random order, cut into batches."""
    wanted = config.steps * config.batch
    random = np.random.default_rng([seed, STAGE])
    epochs = [random.permutation(count) for _ in range(math.ceil(wanted / count))]
    return torch.tensor(np.concatenate(epochs)[:wanted].reshape(config.steps, config.batch), device=device)
