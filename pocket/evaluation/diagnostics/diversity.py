"""Is the synthetic set rich? How the synthetic images lie among the real ones in feature space."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from sklearn.neighbors import NearestNeighbors

from pocket.evaluation.diagnostics.neighbourhood import Matrix, finite
from pocket.runs.diagnostics import Diversity


def coverage_density(real: npt.ArrayLike, other: npt.ArrayLike, k: int = 5) -> tuple[float, float]:
    """Return coverage and density of ``other`` against ``real``.

    With B_i the ball around real item i that reaches its k-th nearest real neighbour: coverage is the share of balls
    with an item of the other set inside, ``1/N sum_i [exists j: y_j in B_i]``; density ``1/(kM) sum_ij [y_j in B_i]``
    counts the balls around each. Naeem et al., "Reliable fidelity and diversity metrics for generative models", ICML
    2020, eqs. 2 and 3. A few items can't cover many balls: compare sets of the same size.

    Parameters
    ----------
    real, other : array_like, shapes (N, dim) and (M, dim)
        Features.
    k : int
        Below N.

    Returns
    -------
    coverage : float, 0 ... 1
    density : float, from 0; near 1 for more of the real items

    Raises
    ------
    ValueError
        If k is out of range or a feature is not finite.
    """
    x, y = finite(real, "real"), finite(other, "other")
    if not 1 <= k < len(x):
        raise ValueError(f"k={k}: it must lie in 1..{len(x) - 1}, one less than there are real items")
    radius = NearestNeighbors(n_neighbors=k).fit(x).kneighbors()[0][:, -1]
    inside = 0
    covered = np.zeros(len(x), dtype=bool)
    for start in range(0, len(y), 256):
        hits = _distances(y[start : start + 256], x) <= radius
        inside += int(hits.sum())
        covered |= hits.any(axis=0)
    return float(covered.mean()), inside / (k * len(y))


def effective_rank(values: npt.ArrayLike) -> float:
    """Return exp of the entropy of the normalised singular values of centred features: 1 ... min(N - 1, dim).

    Roy and Vetterli, "The effective rank: a measure of effective dimensionality", EUSIPCO 2007. 0 if nothing varies.
    """
    array = finite(values, "values")
    singular = np.linalg.svd(array - array.mean(axis=0), compute_uv=False)
    if singular.sum() <= 1e-12 * max(1.0, float(np.abs(array).max())):
        return 0.0
    share = singular / singular.sum()
    share = share[share > 0]
    return float(np.exp(-(share * np.log(share)).sum()))


def spread_ratio(
    real: npt.ArrayLike, real_labels: npt.NDArray[np.int64], other: npt.ArrayLike, other_labels: npt.NDArray[np.int64]
) -> float | None:
    """Return the mean over classes of ``tr cov(other) / tr cov(real)``, over classes with two items on both sides."""
    x, y = finite(real, "real"), finite(other, "other")
    ratios = []
    for c in np.unique(other_labels):
        ours, theirs = y[other_labels == c], x[real_labels == c]
        if len(ours) > 1 and len(theirs) > 1 and (whole := theirs.var(axis=0, ddof=1).sum()) > 0:
            ratios.append(ours.var(axis=0, ddof=1).sum() / whole)
    return float(np.mean(ratios)) if ratios else None


def diversity(
    real: npt.ArrayLike,
    real_labels: npt.NDArray[np.int64],
    other: npt.ArrayLike,
    other_labels: npt.NDArray[np.int64],
    *,
    k: int = 5,
) -> Diversity:
    """Measure how rich a set is against the real images, in the features Z of one model.

    Parameters
    ----------
    real, other : array_like, shapes (N, dim) and (M, dim)
    real_labels, other_labels : ndarray of int64, shapes (N,) and (M,)
    k : int
        Of the balls of `coverage_density`; fewer where there are not more real images.

    Raises
    ------
    ValueError
        If there are fewer than 2 real images, or a feature is not finite.
    """
    x, y = finite(real, "real"), finite(other, "other")
    if len(x) < 2:
        raise ValueError(f"diversity is measured against at least 2 real images, not {len(x)}")
    k = min(k, len(x) - 1)
    covered, dense = coverage_density(x, y, k)
    reach = NearestNeighbors(n_neighbors=1).fit(y).kneighbors(x)[0].mean()
    apart = float(np.sqrt(2 * x.var(axis=0, ddof=1).sum()))  # root mean square distance of two real images
    return Diversity(
        items=len(y),
        k=k,
        coverage=covered,
        density=dense,
        spread_ratio=spread_ratio(x, real_labels, y, other_labels),
        nearest=float(reach / apart) if apart else 0.0,
        effective_rank=effective_rank(y),
    )


def _distances(a: Matrix, b: Matrix) -> Matrix:
    from scipy.spatial.distance import cdist

    return np.asarray(cdist(a, b))
