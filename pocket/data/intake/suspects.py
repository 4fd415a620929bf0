"""Labels that may be wrong, ranked for a person to review."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pocket.data.intake.look import THUMB

_BLOCK = 2048
_ANGLES = 8
_SHRINKAGE = 0.2


class Suspects(NamedTuple):
    """Images whose label a simple classifier doubts, the most doubtful first.

    Attributes
    ----------
    places : ndarray of int64, shape (S,)
        Positions of the images.
    suggested : ndarray of int64, shape (S,)
        The class that it takes each for.
    margins : ndarray of float64, shape (S,)
        Probability of the given label less that of the suggested one, -1 to 0.
    agreement : float
        Share of all labels that it would have given, too: below about 0.8 its doubts are a hint at most.
    """

    places: npt.NDArray[np.int64]
    suggested: npt.NDArray[np.int64]
    margins: npt.NDArray[np.float64]
    agreement: float


def find_suspects(
    thumbs: npt.NDArray[np.uint8],
    tints: npt.NDArray[np.uint8],
    labels: npt.NDArray[np.int64],
    folds: npt.NDArray[np.int64],
) -> Suspects:
    """Find labels that images which were not learnt from contradict, by confident learning.

    Each image is described by histograms of oriented gradients (Dalal and Triggs 2005) of its 32 x 32 thumbnail and
    by coarse colours, and judged by a linear discriminant with shrunk covariance that was fitted on the other folds.
    A label is suspect if another class reaches that class's usual probability (the mean over the images labelled so)
    and the given one is less probable; suspects are ranked by the difference. That is the "confident joint" and the
    normalised margin of Northcutt, Jiang and Chuang, "Confident Learning: Estimating Uncertainty in Dataset Labels",
    JAIR 70 (2021), sec. 3, here with a classifier that takes seconds, sees only what a thumbnail shows, and will doubt
    many a true label on hard images.

    Parameters
    ----------
    thumbs : ndarray of uint8, shape (N, 32, 32)
    tints : ndarray of uint8, shape (N, 8, 8, 3)
    labels : ndarray of int64, shape (N,)
    folds : ndarray of int64, shape (N,)
        Copies, and photographs of one thing, lie in one fold, or they would vouch for each other.
    """
    probabilities = _held_out(thumbs, tints, labels, folds)
    count, classes = probabilities.shape
    given = probabilities[np.arange(count), labels]
    sums = np.bincount(labels, weights=given, minlength=classes)
    usual = sums / np.maximum(np.bincount(labels, minlength=classes), 1)
    confident = np.where(probabilities >= usual, probabilities, -1.0)
    guess = confident.argmax(axis=1)
    margins = given - probabilities[np.arange(count), guess]
    doubted = np.flatnonzero((confident.max(axis=1) >= 0) & (guess != labels) & (margins < 0))
    ranked = doubted[np.argsort(margins[doubted], kind="stable")]
    agreement = float((probabilities.argmax(axis=1) == labels).mean())
    return Suspects(ranked, guess[ranked], margins[ranked], agreement)


def _held_out(
    thumbs: npt.NDArray[np.uint8],
    tints: npt.NDArray[np.uint8],
    labels: npt.NDArray[np.int64],
    folds: npt.NDArray[np.int64],
) -> npt.NDArray[np.float64]:
    """Return class probabilities of each image from a fit on the other folds, shape (N, classes).

    Sums are kept by fold, so that each fit is the whole less one fold and features are computed, not stored: twice.
    """
    classes, parts = int(labels.max()) + 1, int(folds.max()) + 1
    width = _ANGLES * (THUMB // 4) ** 2 + tints[0].size
    counts = np.zeros((parts, classes))
    means = np.zeros((parts, classes, width))
    squares = np.zeros((parts, width, width))
    for places, features in _described(thumbs, tints):
        for fold in np.unique(folds[places]):
            inside = folds[places] == fold
            mine = features[inside]
            member = (labels[places][inside][:, None] == np.arange(classes)).astype(np.float32)
            counts[fold] += member.sum(axis=0)
            means[fold] += member.T @ mine
            squares[fold] += mine.T @ mine
    fits = [
        _discriminant(counts.sum(0) - counts[f], means.sum(0) - means[f], squares.sum(0) - squares[f])
        for f in range(parts)
    ]
    probabilities = np.empty((len(labels), classes))
    for places, features in _described(thumbs, tints):
        for fold in np.unique(folds[places]):
            inside = folds[places] == fold
            weights, offsets = fits[fold]
            scores = features[inside] @ weights + offsets
            scores -= scores.max(axis=1, keepdims=True)
            powers = np.exp(scores)
            probabilities[places[inside]] = powers / powers.sum(axis=1, keepdims=True)
    return probabilities


def _discriminant(
    counts: npt.NDArray[np.float64], sums: npt.NDArray[np.float64], squares: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Fit a linear discriminant from sums: weights of shape (width, classes), offsets of shape (classes,)."""
    total = max(counts.sum(), 1.0)
    means = sums / np.maximum(counts, 1)[:, None]
    within = squares / total - (means.T * (counts / total)) @ means
    within = (1 - _SHRINKAGE) * within
    within[np.diag_indices_from(within)] += _SHRINKAGE * max(float(np.trace(within)) / len(within), 1e-9)
    weights = np.linalg.solve(within, means.T)
    prior = np.log(np.maximum(counts, 1e-9) / total)
    return weights, prior - 0.5 * (means.T * weights).sum(axis=0)


def _described(
    thumbs: npt.NDArray[np.uint8], tints: npt.NDArray[np.uint8]
) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]]:
    """Yield positions and features of the images, some at a time."""
    for start in range(0, len(thumbs), _BLOCK):
        places = np.arange(start, min(start + _BLOCK, len(thumbs)))
        colours = tints[places].reshape(len(places), -1).astype(np.float32) / 255
        yield places, np.concatenate([gradients(thumbs[places]), colours], axis=1)


def gradients(thumbs: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Return histograms of oriented gradients, shape (N, 512): 8 directions in 8 x 8 cells of 4 x 4 pixels.

    Each cell is divided by the root of the energy around it, and rooted: contrast of the light does not matter.
    """
    x = thumbs.astype(np.float32) / 255
    down, right = np.zeros_like(x), np.zeros_like(x)
    down[:, 1:-1] = x[:, 2:] - x[:, :-2]
    right[:, :, 1:-1] = x[:, :, 2:] - x[:, :, :-2]
    strength = np.hypot(right, down)
    turn = np.arctan2(down, right) * (_ANGLES / (2 * np.pi)) % _ANGLES
    lower = np.floor(turn).astype(np.int64) % _ANGLES
    share = turn - np.floor(turn)
    cells = THUMB // 4
    place = np.arange(THUMB) // 4
    cell = (np.arange(len(x))[:, None, None] * cells + place[:, None]) * cells + place
    size = len(x) * cells * cells * _ANGLES
    histogram = np.bincount((cell * _ANGLES + lower).ravel(), (strength * (1 - share)).ravel(), size)
    histogram += np.bincount((cell * _ANGLES + (lower + 1) % _ANGLES).ravel(), (strength * share).ravel(), size)
    histogram = histogram.reshape(len(x), cells, cells, _ANGLES)
    padded = np.pad((histogram**2).sum(axis=3), ((0, 0), (1, 1), (1, 1)), mode="edge")
    around = sum(padded[:, i : i + cells, j : j + cells] for i in range(3) for j in range(3)) / 9
    return np.sqrt(histogram / np.sqrt(around + 1e-4)[..., None]).reshape(len(x), -1).astype(np.float32)
