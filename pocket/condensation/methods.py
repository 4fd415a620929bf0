"""`condense`: the one door to every method, and the registry that a new method joins by one line."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from shutil import rmtree
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from torch import Tensor

from pocket.condensation.config import IEMConfig
from pocket.condensation.gradient import GradientConfig, gradient_matching
from pocket.condensation.matching import Matched, Step, match
from pocket.condensation.pool import Pool
from pocket.condensation.selection import herding, kcenter
from pocket.condensation.sizes import formations_of, real_batch, say_capped
from pocket.data import CondensedCard, CondensedSet, ImageSet
from pocket.data.formation import Formation, encode
from pocket.hashing import HashModel, train
from pocket.hashing.devices import derive, pick_device, surroundings, to_float
from pocket.hashing.networks import default_width
from pocket.hashing.objectives import objective
from pocket.runs.artefacts import ArtefactError
from pocket.runs.checkpoint import Checkpoint
from pocket.runs.provenance import provenance

Config = IEMConfig | GradientConfig


@dataclass(frozen=True)
class Task:
    """What a method gets: real images, how many to make of each class, and all that a caller may say about it."""

    images: ImageSet
    counts: npt.NDArray[np.int64]
    formations: npt.NDArray[np.int64]
    config: Config
    hashing: str
    bits: int
    backbone: str
    width: int
    seed: int
    device: str
    pool: Pool | None
    teacher: HashModel | None
    progress: bool | str
    watch: Callable[[Step], None] | None
    checkpoint: Checkpoint | None

    @property
    def formation(self) -> Formation:
        """Tiles a side of the stored images, sorted by class: one number, or one an image where they differ."""
        first = int(self.formations[0])
        return first if (self.formations == first).all() else self.formations.repeat(self.counts)

    def random_start(self) -> Tensor:
        """Return the stored images of each class, made of f^2 times as many random real ones, sorted by class.

        A class with fewer real images than its tiles gives each of them more than once.
        """
        views = self.counts * self.formations**2
        chosen = self.images.pick(views, [self.seed, 0x5EED], repeat=True)
        return encode(to_float(self.images.images[chosen]), self.formation)


def random_subset(task: Task) -> Matched:
    """Take random real images; with formation f, f^2 of them share the pixels of one."""
    started = time.perf_counter()
    return Matched(task.random_start(), 0.0, time.perf_counter() - started)


def matched(task: Task) -> Matched:
    """Start from random real images and match distributions (IEM, DM)."""
    if not isinstance(task.config, IEMConfig):
        raise ValueError(f"distribution matching takes an IEMConfig, not {type(task.config).__name__}")
    teacher, seconds = None, 0.0
    if task.config.taught:
        teacher, seconds = _teacher(task)
    made = match(
        task.images,
        task.random_start(),
        task.config,
        counts=task.counts,
        formation=task.formation,
        hashing=task.hashing,
        bits=task.bits,
        backbone=task.backbone,
        width=task.width,
        seed=task.seed,
        device=task.device,
        pool=task.pool,
        teacher=teacher,
        progress=task.progress,
        watch=task.watch,
        checkpoint=task.checkpoint,
    )
    return made._replace(teacher_seconds=seconds)


def _teacher(task: Task) -> tuple[HashModel, float]:
    """Return the trained model that the hash consistency asks, and what training it took."""
    model = task.teacher or _own_teacher(task)
    known, wanted = model.shape["num_classes"], task.images.num_classes
    if known != wanted:
        raise ValueError(f"the teacher knows {known} classes, {task.images.name!r} has {wanted}")
    return model, model.report.seconds if model.report else 0.0


def _own_teacher(task: Task) -> HashModel:
    """Train a teacher, or load the one that a stopped run of the same task has left beside its checkpoint."""
    kept = task.checkpoint.beside("teacher") if task.checkpoint else None
    if kept and kept.is_file():
        with suppress(ArtefactError):
            return HashModel.load(kept)
    model = train(
        task.images,
        task.hashing,
        task.bits,
        derive(task.seed, 0x7EAC),
        backbone=task.backbone,
        width=task.width,
        device=task.device,
        progress=task.progress,
        keep=task.checkpoint.beside("training") if task.checkpoint else None,
    )
    if task.checkpoint and kept:
        model.save(kept)
        rmtree(task.checkpoint.beside("training"), ignore_errors=True)
    return model


@dataclass(frozen=True)
class Method:
    """A way to make a small set: the function that does it, and its default configuration."""

    make: Callable[[Task], Matched]
    config: Callable[[], Config]


METHODS: dict[str, Method] = {
    "iem": Method(matched, IEMConfig.best),
    "dm": Method(matched, IEMConfig.dm),
    "gradient": Method(gradient_matching, GradientConfig.dc),
    "idc": Method(gradient_matching, GradientConfig.idc),
    "random": Method(random_subset, IEMConfig.dm),
    "herding": Method(herding, IEMConfig.dm),
    "kcenter": Method(kcenter, IEMConfig.dm),
}


def condense(
    images: ImageSet,
    ipc: int | Sequence[int] | None = None,
    method: str = "iem",
    *,
    ratio: float | None = None,
    bits: int = 64,
    hashing: str = "orthohash",
    formation: int | Sequence[int] | Literal["auto"] | None = None,
    seed: int = 0,
    config: Config | None = None,
    backbone: str = "convnet",
    width: int | None = None,
    device: str = "auto",
    pool: Pool | None = None,
    teacher: HashModel | None = None,
    progress: bool | str = False,
    watch: Callable[[Step], None] | None = None,
    checkpoint: Path | None = None,
    resume: bool = True,
) -> CondensedSet:
    """Make a small set that stands for ``images`` when a hash model is trained.

    Parameters
    ----------
    images : ImageSet
        The real training images.
    ipc : int or sequence of int
        Stored images of every class, or of each class; 0 leaves a class out. Never more than the class has: fewer are
        made of smaller classes, with a warning. With formation f each starts from f^2 real images, which are taken
        again where a class has too few.
    ratio : float, optional
        Instead of ``ipc``: the share of each class, above 0 and up to 1, for classes of unequal size.
    method : {"iem", "dm", "gradient", "idc", "random", "herding", "kcenter"}
        IEM; distribution matching; gradient matching (DC) and its formation variant (IDC); random real images;
        and two coresets.
    bits, hashing
        Hash layer of the condensing networks. The set serves every code length and method.
    formation : int, sequence of int or "auto", optional
        Overrides the configuration's, for every class or for each. "auto" takes of each class the finest up to the
        configuration's whose tiles all start from real images of their own: small classes have fewer, none twice.
        It is no better for that, since a class with fewer views weighs less in training. Digits, every other class
        cut to 10 images, 10 stored a class, mAP of 3 seeds: IEM 0.853 with 2 for all, 0.856 with 1 for all, 0.815 with
        "auto"; random images 0.835, 0.859, 0.793. Cut to 20: 0.872, 0.868, 0.843 and 0.846, 0.844, 0.810.
    seed : int
        Equal seeds give equal bits on one machine's CPU with the same number of threads, and on a GPU where nothing
        is rotated (`Augmentation`); gradient matching under a time budget (``config.seconds``) depends on the clock.
    config : IEMConfig or GradientConfig, optional
        Default: the method's own.
    backbone : str
        Of the condensing networks: "convnet", "resnetap10" or "torchvision:NAME".
    width : int, optional
        Their channels; by image size where not given.
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda"``.
    pool : Pool, optional
        From `pocket.condensation.make_pool`, to use one for several sets of the same seed.
    teacher : HashModel, optional
        A hash model trained on the full data, for methods that use one (IEM's hash consistency); trained here,
        and its seconds counted, where the configuration wants one and none is given.
    progress : bool or str
        Show a bar with the time left; a text is its label.
    watch : callable, optional
        Called with every `Step`; reading its loss or images waits for the device.
    checkpoint : Path, optional
        A file that the state is kept in while condensing (removed at the end).
    resume : bool
        Continue from ``checkpoint`` where it exists. The result has the same bits as an uninterrupted run.

    Returns
    -------
    CondensedSet

    Raises
    ------
    ValueError
        If the method is unknown, ``ipc`` or ``ratio`` is out of range, or a class has no image.
    ArtefactError
        If ``checkpoint`` belongs to another task, or its bits to another version or number of threads.
    """
    if method not in METHODS:
        raise ValueError(f"unknown method {method!r}; choose one of {', '.join(METHODS)}")
    objective(hashing)
    config = config or METHODS[method].config()
    if isinstance(formation, int | np.integer):
        config = replace(config, formation=int(formation))
    if not asks_teacher(method, config):
        teacher = None
    counts = images.class_sizes(ipc, ratio)
    say_capped(images, ipc, counts)
    equal = bool((counts == counts[0]).all())
    formations = formations_of(images, formation, config.formation, counts)
    alike = bool((formations == formations[0]).all())
    if isinstance(config, IEMConfig) and config.real_batch is None and METHODS[method].make is matched:
        config = replace(config, real_batch=real_batch(images))
    wide = width or default_width(images.size, backbone)
    identity = {
        "images": images.fingerprint,
        "ipc": int(counts[0]) if equal else counts.tolist(),
        "method": method,
        "bits": bits,
        "hashing": hashing,
        "seed": seed,
        "config": asdict(config),
        **({} if alike and formations[0] == config.formation else {"formations": formations.tolist()}),
        "backbone": backbone,
        "width": wide,
        "teacher": teacher.fingerprint if teacher else None,
        **surroundings(pick_device(device)),
    }
    state = Checkpoint(checkpoint, identity, resume=resume) if checkpoint else None
    task = Task(
        images=images,
        counts=counts,
        formations=formations,
        config=config,
        hashing=hashing,
        bits=bits,
        backbone=backbone,
        width=wide,
        seed=seed,
        device=device,
        pool=pool,
        teacher=teacher,
        progress=progress,
        watch=watch,
        checkpoint=state,
    )
    made = METHODS[method].make(task)
    card = CondensedCard(
        method=method,
        ipc=int(counts.max()),
        counts=None if equal else tuple(counts.tolist()),
        formation=int(formations.max()),
        formations=None if alike else tuple(formations.tolist()),
        seed=seed,
        source=images.name,
        source_fingerprint=images.fingerprint,
        source_images=len(images),
        class_names=images.class_names,
        mirror=images.mirror,
        config=_card_config(identity, method, config),
        pool_seconds=made.pool_seconds,
        condense_seconds=made.condense_seconds,
        teacher_seconds=made.teacher_seconds,
        provenance=provenance(str(identity["device"])),
    )
    if state:
        state.remove()
    labels = np.repeat(np.arange(images.num_classes), counts)
    return CondensedSet((made.images * 255).round().clamp(0, 255).byte().numpy(), labels, card)


def asks_teacher(method: str, config: Config) -> bool:
    """Whether the result depends on a teacher that is given."""
    return method in ("herding", "kcenter") or (isinstance(config, IEMConfig) and config.taught)


_REAL = {"random": (), "herding": ("pool_epochs",), "kcenter": ("pool_epochs",)}
_OF_THE_POOL = ("pool_size", "pool_epochs", "perturb", "interpolate")


def effective(method: str, config: Config) -> dict[str, Any]:
    """Return the settings of a configuration that have an effect on what a method makes."""
    every = asdict(config)
    if method in _REAL:
        return {name: every[name] for name in ("formation", *_REAL[method])}
    idle: tuple[str, ...] = () if config.augment else ("augmentation",)
    if isinstance(config, IEMConfig):
        if not config.judged_by_pool:
            idle += ("judge",)  # a later setting: digests name what was measured before it
        if not config.pooled:
            idle += _OF_THE_POOL
        elif config.networks == "random":
            idle += ("perturb", "interpolate")
    return {name: value for name, value in every.items() if name not in idle}


def _card_config(identity: dict[str, Any], method: str, config: Config) -> dict[str, Any]:
    """What stands in the card: the settings that have an effect."""
    if method == "random":
        return effective(method, config)
    return effective(method, config) | {
        name: identity[name] for name in ("bits", "hashing", "backbone", "width", "teacher")
    }
