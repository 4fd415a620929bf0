"""Does it leak? How near the synthetic images come to single real ones."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from sklearn.neighbors import NearestNeighbors

from pocket.evaluation.diagnostics.neighbourhood import finite
from pocket.runs.diagnostics import Leakage


def leakage(
    real: npt.ArrayLike, synthetic: npt.ArrayLike, *, quantile: float = 0.01, sample: int = 2000, seed: int = 0
) -> Leakage:
    """Compare each synthetic image's distance to its nearest real one with the real images' own.

    Parameters
    ----------
    real, synthetic : array_like, shapes (N, dim) and (M, dim)
        Pixels or features of one model; of *all* images that were condensed, or copies go unseen.
    quantile : float
        A synthetic image is a near copy if it is nearer to a real one than this share of the real images are to each
        other: of innocent images about that share would be counted, too.
    sample : int
        Real images at most, drawn by ``seed``, whose nearest others are looked up among all for the baseline.
    seed : int

    Raises
    ------
    ValueError
        If there are fewer than 2 real images, the quantile is not between 0 and 1, or a value is not finite.
    """
    x, y = finite(real, "real"), finite(synthetic, "synthetic")
    if len(x) < 2:
        raise ValueError(f"the baseline needs at least 2 real images, not {len(x)}")
    if not 0 < quantile < 1:
        raise ValueError(f"quantile={quantile}: it must lie between 0 and 1")
    search = NearestNeighbors(n_neighbors=2).fit(x)
    distance, place = (column[:, 0] for column in search.kneighbors(y, 1))
    some = np.random.default_rng(seed).permutation(len(x))[:sample]
    among = search.kneighbors(x[some])[0][:, 1]  # the nearest but itself
    threshold = float(np.quantile(among, quantile))
    return Leakage(
        nearest=tuple(distance.tolist()),
        nearest_real=tuple(place.tolist()),
        real=len(x),
        median=float(np.median(distance)),
        baseline=float(np.median(among)),
        chance=quantile,
        threshold=threshold,
        near_copies=float(((distance < threshold) | (distance == 0)).mean()),
    )
