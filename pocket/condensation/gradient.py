"""Gradient matching: synthetic images that pull a network's weights the way the real ones do.

For class c, real batch T_c, synthetic views D S_c, siamese augmentation A and a network with weights theta:

``L = sum_c D(grad_theta hash_loss(A T_c), grad_theta hash_loss(A D S_c))``

between two updates of the images the network itself is trained, and it starts afresh every few updates.
DC: Zhao, Mopuri and Bilen, "Dataset Condensation with Gradient Matching", ICLR 2021, alg. 1; with A, DSA:
Zhao and Bilen, ICML 2021. IDC: Kim et al., "Dataset Condensation via Efficient Synthetic-Data
Parameterization", ICML 2022. The classifier's cross-entropy of these papers is the hashing loss here.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Self

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.nn import functional

from pocket.condensation.matching import Matched, Step
from pocket.condensation.real import RealImages, siamese
from pocket.data.formation import decode
from pocket.hashing import Augmentation, HashModel
from pocket.hashing.backbones import ConvNet
from pocket.hashing.bars import steps
from pocket.hashing.devices import Pace, derive, deterministic, generator, pick_device
from pocket.hashing.fusion import prepare
from pocket.hashing.networks import initialise
from pocket.hashing.objectives import Objective, objective
from pocket.runs.settings import check

if TYPE_CHECKING:
    from pocket.condensation.methods import Task

_STAGE = 0x6AD
_CLASSES_AT_ONCE = 10  # bounds memory where there are many classes
_TRAIN_BATCH = 256  # views a step of the network's own training, as in DC's code


@dataclass(frozen=True)
class GradientConfig:
    """Settings of gradient matching.

    Parameters
    ----------
    steps : int
        Updates of the synthetic images.
    lr : float
        Step size of Adam, in pixel values of 0 ... 1. It stays what it is: falling along a half cosine of the seconds,
        at equal seconds, gave no more. mAP constant / falling, 10 images a class with hard labels: digits, 3 seeds, DC
        0.958 / 0.957, IDC 0.966 / 0.956; Fashion-MNIST, seed 0, DC 0.636 / 0.626, IDC 0.637 / 0.651.
    real_batch : int
        Real images per class and step.
    formation : int
        Tiles a side of a stored image, f.
    restart : int
        Updates of the images until the network starts afresh.
    inner_steps : int
        Steps that the network itself is trained for after every update of the images. The papers take 50 and more,
        in runs of hours: on digits with 8 s, 0 or 1 serves gradient matching far better than 10 (mAP at 1 image a
        class, 2 seeds: DC 0.85, 0.86, 0.76; IDC 0.92, 0.92, 0.86), since training takes the time of updates.
    inner_lr : float
        Their learning rate (SGD, momentum 0.9), times the hashing method's own factor.
    train_on : {"synthetic", "real"}
        What the network is trained on.
    distance : {"cosine", "mse"}
        Between gradients: sum over output filters of 1 - cosine, or squared difference.
    augment : bool
        Siamese augmentation of real and synthetic batch, and augmentation in the network's training.
    augmentation : Augmentation
        Its strengths.
    seconds : float, optional
        Time budget: it ends with the update during which this is used up, on a GPU at most with the one after it.
        Results then depend on the clock and on the machine, not only on the seed.
    """

    steps: int = 1000
    lr: float = 0.02
    real_batch: int = 32
    formation: int = 1
    restart: int = 10
    inner_steps: int = 1
    inner_lr: float = 0.01
    train_on: Literal["synthetic", "real"] = "synthetic"
    distance: Literal["cosine", "mse"] = "cosine"
    augment: bool = True
    augmentation: Augmentation = field(default_factory=lambda: Augmentation(shift=0.0625))
    seconds: float | None = None

    def __post_init__(self) -> None:
        check(
            self,
            ("steps", self.steps >= 0, "0 or more"),
            ("lr", self.lr > 0, "above 0"),
            ("real_batch", self.real_batch >= 1, "1 or more"),
            ("formation", 1 <= self.formation <= 8, "1 to 8"),
            ("restart", self.restart >= 1, "1 or more"),
            ("inner_steps", self.inner_steps >= 0, "0 or more"),
            ("inner_lr", self.inner_lr > 0, "above 0"),
            ("train_on", self.train_on in ("synthetic", "real"), "'synthetic' or 'real'"),
            ("distance", self.distance in ("cosine", "mse"), "'cosine' or 'mse'"),
            ("seconds", self.seconds is None or self.seconds > 0, "above 0, or None"),
        )

    @classmethod
    def dc(cls, **changes: Any) -> Self:
        """Return DC with siamese augmentation, that is DSA; ``augment=False`` for DC as it was first published."""
        return cls(**changes)

    @classmethod
    def idc(cls, **changes: Any) -> Self:
        """Return IDC: formation 2, networks trained on the real images, squared differences; without its CutMix."""
        own: dict[str, Any] = {"formation": 2, "train_on": "real", "distance": "mse"}
        return cls(**own | changes)


def gradient_matching(task: Task) -> Matched:
    """Start from random real images and match gradients (DC, DSA, IDC).

    Parameters
    ----------
    task : Task
        Its ``config`` is a `GradientConfig`. Networks are drawn at random: a pool and a teacher are not used.

    Returns
    -------
    Matched

    Raises
    ------
    ValueError
        If the configuration is of another kind, or a class has too few images.
    """
    config, images = task.config, task.images
    if not isinstance(config, GradientConfig):
        raise ValueError(f"gradient matching takes a GradientConfig, not {config!r}")
    if (task.counts != task.counts[0]).any():
        raise ValueError(
            f"gradient matching makes equally many images of every class, not {task.counts.min()} to "
            f"{task.counts.max()}: take an ipc that every class has, or another method"
        )
    if not isinstance(task.formation, int):
        raise ValueError("gradient matching makes equally many tiles of every class: give one formation for all")
    where = pick_device(task.device)
    prepare(where, images.size, task.backbone)
    synthetic = task.random_start().to(where).requires_grad_(True)
    optimizer = torch.optim.Adam([synthetic], lr=config.lr, betas=(0.5, 0.9))
    real, learner = RealImages(images, where), _Learner(task, config, where)
    known = {"images": synthetic} | learner.state
    first, spent = task.checkpoint.restore(known, optimizer) if task.checkpoint else (0, 0.0)
    augmentation = learner.augmentation
    labels = torch.arange(images.num_classes, device=where)
    loss = torch.zeros((), device=where)
    started, pace = time.perf_counter(), Pace(where)

    def seconds() -> float:
        return spent + time.perf_counter() - started

    def used() -> float:
        pace.step()
        return seconds() / config.seconds if config.seconds else 0.0

    def last() -> Tensor:
        return loss

    if task.watch and first == 0:
        task.watch(Step(0, synthetic.detach(), loss))
    try:
        with deterministic():
            for step in steps(
                range(first, config.steps),
                task.progress if isinstance(task.progress, str) else f"condensing {images.name}",
                shown=bool(task.progress),
                loss=last,
                used=used if config.seconds else None,
                initial=first,
                total=config.steps,
            ):
                source = generator(where, task.seed, _STAGE, step)
                drawn = augmentation.draw(images.num_classes, source)
                batch = real.batch(config.real_batch, source).unflatten(0, (images.num_classes, -1))
                if step % config.restart == 0:
                    learner.restart(step // config.restart, batch.flatten(0, 1))
                share = step % config.restart / config.restart
                optimizer.zero_grad(set_to_none=True)
                loss = torch.zeros((), device=where)
                for part in labels.split(_CLASSES_AT_ONCE):
                    tiles = synthetic.unflatten(0, (images.num_classes, -1))[part].flatten(0, 1)
                    pair = [
                        augmentation.apply(x, drawn.at(part.repeat_interleave(len(x) // len(part))))
                        for x in (batch[part].flatten(0, 1), decode(tiles, task.formation))
                    ]
                    wanted = learner.class_gradients(pair[0], part, share, differentiable=False)
                    ours = learner.class_gradients(pair[1], part, share, differentiable=True)
                    gap = gradient_distance(ours, wanted, config.distance)
                    gap.backward(inputs=[synthetic])
                    loss += gap.detach()
                optimizer.step()
                with torch.no_grad():
                    synthetic.clamp_(0, 1)
                    views = decode(synthetic, task.formation)
                if (step + 1) % config.restart:  # else a fresh network comes next
                    learner.train(step, views, real, share)
                if task.watch:
                    task.watch(Step(step + 1, synthetic.detach(), loss))
                if task.checkpoint:
                    task.checkpoint.keep(step + 1, known, optimizer, seconds())
    except KeyboardInterrupt:
        if task.checkpoint:
            task.checkpoint.flush()
        raise
    finished = synthetic.detach().cpu()  # waits for the device, so that the seconds are whole
    return Matched(finished, 0.0, seconds())


def gradient_distance(ours: Sequence[Tensor], wanted: Sequence[Tensor], kind: str) -> Tensor:
    """Return how far two lists of per-class gradients lie apart.

    Parameters
    ----------
    ours, wanted : sequence of Tensor, shape (C, out, ...)
        One tensor a layer.
    kind : {"cosine", "mse"}
        ``sum over layers, classes and output filters of 1 - cos(a_i, b_i)`` (as DC defines it), or the sum of squared
        differences (IDC's choice for images of 32 px).

    Returns
    -------
    Tensor
        A scalar.
    """
    if kind == "mse":
        return torch.stack([(a - b).square().sum() for a, b in zip(ours, wanted, strict=True)]).sum()
    cosines = [
        functional.cosine_similarity(a.flatten(2), b.flatten(2), dim=2) for a, b in zip(ours, wanted, strict=True)
    ]
    return torch.stack([(1 - cosine).sum() for cosine in cosines]).sum()


class _Learner:
    """The network whose gradients are matched: one module that starts afresh, and learns between updates."""

    def __init__(self, task: Task, config: GradientConfig, device: torch.device) -> None:
        self._seed, self._config, self._bits = task.seed, config, task.bits
        self._objective: Objective = objective(task.hashing)
        self.augmentation = siamese(config.augmentation, task.images, on=config.augment)
        self._network = HashModel(
            channels=task.images.channels,
            size=task.images.size,
            num_classes=task.images.num_classes,
            bits=task.bits,
            method=task.hashing,
            backbone=task.backbone,
            width=task.width,
        ).to(device)
        self._network.eval()
        if isinstance(self._network.backbone, ConvNet):
            self._network.backbone.fused = False  # for `vmap`
        self._network.normalise_by(task.images.images)
        self._optimizer = torch.optim.SGD(
            self._network.parameters(), lr=config.inner_lr * self._objective.lr, momentum=0.9
        )
        # With momentum of 0 from the start, the optimizer has the same state at every step.
        self._momentum = {name: torch.zeros_like(p) for name, p in self._network.named_parameters()}
        for name, p in self._network.named_parameters():
            self._optimizer.state[p]["momentum_buffer"] = self._momentum[name]

    @property
    def state(self) -> dict[str, Tensor]:
        """All that a step changes or needs, by name: tensors that are changed in place."""
        weights = {f"weights.{name}": tensor for name, tensor in self._network.state_dict().items()}
        return weights | {f"momentum.{name}": tensor for name, tensor in self._momentum.items()}

    def restart(self, number: int, real: Tensor) -> None:
        """Draw new weights and codewords, which depend on the seed and ``number`` alone."""
        network = self._network
        initialise(network, derive(self._seed, 0x6AE, number))
        codewords = self._objective.targets(len(network.targets), self._bits, derive(self._seed, 0xB0, number))
        network.targets.data.copy_(codewords)
        for momentum in self._momentum.values():
            momentum.zero_()
        # A new BatchNorm normalises by mean 0 and variance 1, that is not at all: let it see real images once.
        norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)]
        usual = [norm.momentum for norm in norms]
        for norm in norms:
            norm.momentum = 1.0
        with torch.no_grad():
            network.train()(real)
        for norm, before in zip(norms, usual, strict=True):
            norm.momentum = before
        network.eval()

    def class_gradients(self, views: Tensor, classes: Tensor, share: float, *, differentiable: bool) -> list[Tensor]:
        """Return the gradient of each class's hashing loss, one tensor (len(classes), *weight) a layer.

        Biases and norms (one-dimensional weights) are left out, as in DC's code.

        Each class gets weights of its own, equal in value, so that one backward gives every class's gradient.
        Against a loop over classes (CPU, 1 thread, width 32, 10 classes, 32 real images each; gradients of both and
        of their distance): 0.15 v 0.20 s at 16 px and 10 synthetic views, 0.29 v 0.27 s with 40 views, 0.56 v 0.48 s
        at 32 px in colour; `vmap` over `grad` takes as long. So it costs little on a CPU, and spares a GPU most
        launches.

        The network is in evaluation mode: in training mode its BatchNorm would normalise by the batch of a single
        class, and so take away just what makes V that class's. In its own training it sees all classes.
        """
        shared = {name: p.detach() for name, p in self._network.named_parameters()}
        shared |= dict(self._network.named_buffers())
        copies = {
            name: p.expand(len(classes), *p.shape).requires_grad_()
            for name, p in shared.items()
            if p.dim() > 1 and name != "targets"
        }

        def loss(weights: dict[str, Tensor], x: Tensor, label: Tensor) -> Tensor:
            v = functional_call(self._network, shared | weights, (x,))
            if self._objective.two_views:
                v = torch.cat([v, v])
            return self._objective.loss(v, label.expand(len(x)), self._network.targets.detach(), share)

        total = vmap(loss)(copies, views.unflatten(0, (len(classes), -1)), classes).sum()
        return list(torch.autograd.grad(total, list(copies.values()), create_graph=differentiable))

    def train(self, step: int, synthetic: Tensor, real: RealImages, share: float) -> None:
        """Train the network between two updates of the images, on augmented batches of all classes."""
        classes = torch.arange(len(self._network.targets), device=synthetic.device)
        source = generator(synthetic.device, self._seed, _STAGE + 1, step)
        strong = self.augmentation.stronger() if self._config.augment else self.augmentation
        self._network.train()
        for _ in range(self._config.inner_steps):
            if self._config.train_on == "real":
                per_class = max(1, _TRAIN_BATCH // len(classes))
                views, labels = real.batch(per_class, source), classes.repeat_interleave(per_class)
            else:
                order = torch.randperm(len(synthetic), generator=source, device=synthetic.device)[:_TRAIN_BATCH]
                views, labels = synthetic[order], order // (len(synthetic) // len(classes))
            shown = self.augmentation.apply(views, self.augmentation.draw(len(views), source))
            if self._objective.two_views:
                shown = torch.cat([shown, strong.apply(views, strong.draw(len(views), source))])
            loss = self._objective.loss(self._network(shown), labels, self._network.targets, share)
            self._optimizer.zero_grad(set_to_none=True)
            loss.backward()
            self._optimizer.step()
        self._network.eval()
