"""Hybrid operation: train on the condensed set, keep a few real images, fine-tune on them; cost against mAP."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from pocket.data import CondensedSet, ImageSet, RetrievalSplit
from pocket.evaluation import evaluate
from pocket.hashing import HashModel, TrainConfig, fine_tune, train
from pocket.runs import RunSettings
from pocket.runs.records import HybridPoint

SHARES = (0.0, 0.02, 0.05, 0.2, 1.0)


def frontier(
    split: RetrievalSplit,
    condensed: CondensedSet,
    settings: RunSettings,
    *,
    shares: Sequence[float] = SHARES,
    config: TrainConfig | None = None,
    alone: bool = True,
    say: Callable[[str], None] | None = None,
) -> list[HybridPoint]:
    """Measure a model of the condensed set, fine-tuned on growing shares of the real images, for every seed.

    Parameters
    ----------
    split : RetrievalSplit
    condensed : CondensedSet
        Made from ``split.train``.
    settings : RunSettings
        Seeds, bits, hashing method and width.
    shares : sequence of float
        Of the train images, drawn class by class, at least one a class; 0 is the condensed set alone.
    config : TrainConfig, optional
        Of the fine-tuning. Default: `TrainConfig.fine`.
    alone : bool
        Also train on those real images alone, from scratch, where they are not all: what the condensed set adds is
        the difference.
    say : callable, optional
        Takes a line for each model.

    Returns
    -------
    list of HybridPoint

    Raises
    ------
    ValueError
        If a share is not in 0 ... 1.
    """
    points = []
    for seed in settings.seeds:
        model = _train(condensed, settings, seed)
        for share in shares:
            real = keep(split.train, share, seed)
            tuned = fine_tune(model, real, condensed, seed, config=config) if real else model
            scratch = None
            if real and alone and share < 1:
                small = TrainConfig.rule(condensed)  # real images alone are trained as long as condensed ones
                only = train(real, settings.hashing, settings.bits, seed, width=settings.width, config=small)
                scratch = evaluate(only, split).map
            spent = tuned.report
            assert spent is not None
            point = HybridPoint(
                share=share,
                real_images=len(real) if real else 0,
                seed=seed,
                map=evaluate(tuned, split).map,
                map_real=scratch,
                tune_seconds=spent.seconds if real else 0.0,
                device=spent.device,
            )
            points.append(point)
            if say:
                only_real = "" if scratch is None else f", those {len(real or ())} images alone {scratch:.3f}"
                say(f"seed {seed}, {share:.0%} real images kept: mAP {point.map:.3f}{only_real}")
    return points


def keep(images: ImageSet, share: float, seed: int) -> ImageSet | None:
    """Return a share of the images, drawn class by class; None for a share of 0.

    Raises
    ------
    ValueError
        If the share is not in 0 ... 1.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"share={share!r} is outside the allowed range 0 to 1")
    if not share:
        return None
    order = np.random.default_rng([seed, 0x4B1D]).permutation(len(images))
    labels = images.labels[order]
    # The place of every image among those of its class, in the drawn order.
    sorted_by_class = np.argsort(labels, kind="stable")
    starts = np.concatenate([[0], np.cumsum(images.counts)[:-1]])
    place = np.empty(len(images), dtype=np.int64)
    place[sorted_by_class] = np.arange(len(images)) - starts[labels[sorted_by_class]]
    wanted = np.maximum(np.rint(share * images.counts), 1)
    return images.subset(np.sort(order[place < wanted[labels]]), f"{images.name}, {share:.0%} kept")


def _train(condensed: CondensedSet, settings: RunSettings, seed: int) -> HashModel:
    return train(condensed, settings.hashing, settings.bits, seed, width=settings.width)
