"""Is the neighbourhood kept? Two spaces over the same items, compared with ties counted fairly.

Hamming distances are full of ties. Who is "among the k nearest" is then a matter of chance, so every item gets the
chance that it is, over random order inside ties; without ties that is 1 or 0, and the measures are the textbook's.
A space compared with itself scores exactly 1, ties or not.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pocket.evaluation.codes import Codes
from pocket.runs.diagnostics import Neighbourhood

Matrix = npt.NDArray[np.float64]


def hamming_matrix(codes: Codes) -> Matrix:
    """Return all pairs' Hamming distances, shape (N, N): for thousands of codes, not for millions."""
    signs = codes.unpack().astype(np.float32) * 2 - 1
    return ((codes.bits - signs @ signs.T) / 2).astype(np.float64)


def chance_among(distance: npt.ArrayLike, k: int) -> Matrix:
    """Return the chance of each item to be among the k nearest of each row's item, itself left out.

    Parameters
    ----------
    distance : array_like, shape (N, N)
    k : int
        From 1 to N - 1.

    Returns
    -------
    ndarray, shape (N, N)
        Each row adds up to k. An item at distance d has ``clip((k - nearer(d)) / tied(d), 0, 1)``.

    Raises
    ------
    ValueError
        If the matrix is not square or k is out of range.

    Examples
    --------
    >>> chance_among([[0, 1, 1, 5], [1, 0, 2, 2], [1, 2, 0, 3], [5, 2, 3, 0]], 1)[:2]
    array([[0. , 0.5, 0.5, 0. ],
           [1. , 0. , 0. , 0. ]])
    """
    matrix = _square(distance, k)
    nearer, tied = _places(matrix)
    return np.clip((k - nearer) / tied, 0, 1)


def neighbour_overlap(a: npt.ArrayLike, b: npt.ArrayLike, k: int) -> float:
    """Return the mean share of k nearest neighbours in common: ``sum_j min(p_a(j), p_b(j)) / k``.

    Parameters
    ----------
    a, b : array_like, shape (N, N)
        Distances of the same items in two spaces.
    k : int
    """
    shared = np.minimum(chance_among(a, k), chance_among(b, k)).sum()
    return min(1.0, float(shared / (len(np.asarray(a)) * k)))  # rounding must not take equal spaces above 1


def trustworthiness(reference: npt.ArrayLike, other: npt.ArrayLike, k: int) -> float:
    """Return how far items that ``other`` brings near were near in ``reference``; swapped, it is the continuity.

    ``1 - 2 / (N k (2N - 3k - 1)) * sum_i sum_j p(j) max(0, r(i, j) - k)`` with the rank r of j in the reference, the
    best of its ties. Venna and Kaski, "Neighborhood preservation in nonlinear projection methods", ICANN 2001, as
    scikit-learn has it.

    Parameters
    ----------
    reference, other : array_like, shape (N, N)
        Distances.
    k : int
        Below N / 2.

    Raises
    ------
    ValueError
        If k is out of range.
    """
    chance = chance_among(other, k)
    n = len(chance)
    if k >= n / 2:
        raise ValueError(f"k={k}: trustworthiness is defined for k below half of the {n} items")
    rank = _places(_square(reference, k))[0] + 1
    excess = chance * np.maximum(0, rank - k)
    np.fill_diagonal(excess, 0)
    return float(1 - 2 / (n * k * (2 * n - 3 * k - 1)) * excess.sum())


def linear_cka(a: npt.ArrayLike, b: npt.ArrayLike) -> float:
    """Return linear centred kernel alignment: ``|B'A|^2 / (|A'A| |B'B|)``, Frobenius norms, of centred columns.

    Kornblith et al., "Similarity of neural network representations revisited", ICML 2019, eq. 5. It does not change
    when a space is rotated or scaled as a whole. 0 where a side does not vary.

    Parameters
    ----------
    a, b : array_like, shapes (N, p) and (N, q)
        The same items under two models.

    Raises
    ------
    ValueError
        If the numbers of items differ or a value is not finite.
    """
    left, right = finite(a, "a"), finite(b, "b")
    if len(left) != len(right):
        raise ValueError(f"CKA compares the same items under two models, not {len(left)} with {len(right)}")
    left, right = left - left.mean(axis=0), right - right.mean(axis=0)
    norms = np.linalg.norm(left.T @ left) * np.linalg.norm(right.T @ right)
    return min(float(np.linalg.norm(right.T @ left) ** 2 / norms), 1.0) if norms else 0.0


def neighbourhood(
    reference: Codes,
    other: Codes,
    reference_values: npt.ArrayLike,
    other_values: npt.ArrayLike,
    *,
    k: int = 10,
    sample: int = 2000,
    seed: int = 0,
) -> Neighbourhood:
    """Compare the neighbours of the same items under two models.

    Parameters
    ----------
    reference, other : Codes
        Of the same items in the same order, such as the database under the full-data and the condensed model.
    reference_values, other_values : array_like, shapes (N, K) and (N, L)
        Their V, for CKA.
    k : int
        Neighbours; fewer where there are not more than twice as many items.
    sample : int
        Items that are compared at most, drawn by ``seed``: memory grows with its square.
    seed : int

    Raises
    ------
    ValueError
        If the sides have not the same number of items, or fewer than 4.
    """
    if len(reference) != len(other):
        raise ValueError(f"both sides must hold the same items, not {len(reference)} and {len(other)}")
    if len(reference) < 4:
        raise ValueError(f"neighbours need at least 4 items, not {len(reference)}")
    chosen = np.sort(np.random.default_rng(seed).permutation(len(reference))[:sample])
    k = min(k, (len(chosen) - 1) // 2)
    before, now = (hamming_matrix(Codes(side.packed[chosen])) for side in (reference, other))
    return Neighbourhood(
        items=len(chosen),
        k=k,
        overlap=neighbour_overlap(before, now, k),
        trustworthiness=trustworthiness(before, now, k),
        continuity=trustworthiness(now, before, k),
        cka=linear_cka(np.asarray(reference_values)[chosen], np.asarray(other_values)[chosen]),
    )


def finite(values: npt.ArrayLike, name: str) -> Matrix:
    """Return features as float64 of shape (N, dim), or raise an error that counts what is not a number."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 2 or not array.size:
        raise ValueError(f"{name} must have shape (N, dim) and hold something, not {array.shape}")
    if bad := int((~np.isfinite(array)).any(axis=1).sum()):
        raise ValueError(f"{bad} of {len(array)} rows of {name} hold NaN or infinity: look at what made them")
    return array


def _square(distance: npt.ArrayLike, k: int) -> Matrix:
    matrix = finite(distance, "distance")
    if matrix.shape[0] != matrix.shape[1]:
        raise ValueError(f"distances of all pairs have shape (N, N), not {matrix.shape}")
    if not 1 <= k < len(matrix):
        raise ValueError(f"k={k}: it must lie in 1..{len(matrix) - 1}, one less than there are items")
    return matrix


def _places(matrix: Matrix) -> tuple[Matrix, Matrix]:
    """Return for every pair how many others are strictly nearer, and how many tie with it (itself included)."""
    others = matrix.copy()
    np.fill_diagonal(others, np.inf)  # an item is not its own neighbour
    ordered = np.sort(others, axis=1)
    nearer, upto = np.empty_like(matrix), np.empty_like(matrix)
    for i, row in enumerate(ordered):
        nearer[i], upto[i] = (np.searchsorted(row, others[i], side) for side in ("left", "right"))
    return nearer, upto - nearer
