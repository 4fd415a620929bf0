"""Average precision as the field's tools compute it, for comparison with published numbers.

They differ in what they divide by and in what they do with ties; the codes are the same. The report of
`pocket.evaluate` uses none of these. Most tools leave ties to a sort that is not stable, so that their figure may
change with the processor; here ties stand in the order of the database, one of the orders that such a tool may meet.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pocket.evaluation.codes import Codes, check_sides
from pocket.evaluation.metrics import cut_off

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]

_BLOCK_BYTES = 64 * 2**20


class Style(NamedTuple):
    """How a tool computes AP; ``score`` takes hits in ranked order and distances, both (Q, N), and the cut-off."""

    tool: str
    denominator: str
    ties: str
    score: Callable[[Bools, npt.NDArray[np.integer], int | None], Floats]


def _precisions(hits: Bools, at: int | None) -> tuple[Floats, Bools]:
    """Return the precision at every rank, and the hits, up to the cut-off."""
    top = hits[:, :at]
    return np.cumsum(top, axis=1) / np.arange(1, top.shape[1] + 1), top


def _by_retrieved(hits: Bools, _: npt.NDArray[np.integer], at: int | None) -> Floats:
    precision, top = _precisions(hits, at)
    return (precision * top).sum(axis=1) / np.maximum(top.sum(axis=1), 1)


def _by_all(hits: Bools, _: npt.NDArray[np.integer], at: int | None) -> Floats:
    precision, top = _precisions(hits, at)
    return (precision * top).sum(axis=1) / np.maximum(hits.sum(axis=1), 1)


def _at_r(hits: Bools, _: npt.NDArray[np.integer], at: int | None) -> Floats:
    if at is not None:
        raise ValueError("MAP@R is cut at each query's number of relevant items: leave `at` out")
    precision, _top = _precisions(hits, None)
    r = hits.sum(axis=1)
    within = np.arange(hits.shape[1]) < r[:, None]
    return (precision * hits * within).sum(axis=1) / np.maximum(r, 1)


def _by_group_ends(hits: Bools, distance: npt.NDArray[np.integer], at: int | None) -> Floats:
    if at is not None:
        raise ValueError("scikit-learn's average_precision_score has no cut-off rank: leave `at` out")
    precision, _ = _precisions(hits, None)
    # Every item takes the precision at the end of its group of equal distance.
    last = np.ones_like(hits)
    last[:, :-1] = distance[:, :-1] != distance[:, 1:]
    ends = np.where(last, np.arange(hits.shape[1]), hits.shape[1])
    end = np.minimum.accumulate(ends[:, ::-1], axis=1)[:, ::-1]
    return (np.take_along_axis(precision, end, axis=1) * hits).sum(axis=1) / np.maximum(hits.sum(axis=1), 1)


STYLES: dict[str, Style] = {
    "retrieved": Style("DeepHash-pytorch", "relevant items retrieved", "any order", _by_retrieved),
    "all": Style("all relevant items", "all relevant items", "any order", _by_all),
    "map@r": Style("pytorch-metric-learning, MAP@R", "all relevant items, R; cut at R", "any order", _at_r),
    "scikit-learn": Style("scikit-learn", "all relevant items", "precision at the end of the group", _by_group_ends),
    "torchmetrics": Style("torchmetrics", "relevant items retrieved", "any order", _by_retrieved),
}


def ranked_average_precision(
    distance: npt.NDArray[np.integer], relevant: Bools, style: str, at: int | None = None
) -> Floats:
    """Return the AP of each query from its distances to the database, as a tool of the field computes it.

    Parameters
    ----------
    distance : ndarray of int, shape (Q, N)
    relevant : ndarray of bool, shape (Q, N)
    style : str
        A name in `STYLES`. "torchmetrics" is that of `torchmetrics.functional.retrieval_average_precision` given
        *positive* scores such as K + 1 - distance: scores of 0 and below it reads as irrelevant.
    at : int, optional
        Cut-off rank; default all ranks. With one, "retrieved" and "all" differ.

    Returns
    -------
    ndarray of float64, shape (Q,)
        0 for a query without a hit (pytorch-metric-learning leaves queries without relevant items out). Ties stand
        in the order of the columns, except with "scikit-learn".

    Raises
    ------
    ValueError
        If the style is unknown, shapes differ, or the cut-off is below 1 or not offered by the style.
    """
    if style not in STYLES:
        raise ValueError(f"unknown style {style!r}; choose one of {', '.join(STYLES)}")
    if distance.shape != relevant.shape or distance.ndim != 2:
        raise ValueError(f"distances {distance.shape} and relevance {relevant.shape} must share a shape (Q, N)")
    at = cut_off(at)
    order = np.argsort(distance, axis=1, kind="stable")
    hits = np.take_along_axis(relevant, order, axis=1)
    return STYLES[style].score(hits, np.take_along_axis(distance, order, axis=1), at)


def compatible_map(query: Codes, database: Codes, style: str, at: int | None = None) -> float:
    """Return the mAP of codes as a tool of the field computes it; see `ranked_average_precision`.

    Ties are taken in the order of the database, one of those that the tool may meet; "scikit-learn" has no need to.
    Its mean average precision pytorch-metric-learning divides by relevant items retrieved, style "retrieved".
    Needs a sort: some 40 times slower than `pocket.evaluation.evaluate_codes`.

    Parameters
    ----------
    query, database : Codes
        With labels, of one code length.
    style : str
        A name in `STYLES`.
    at : int, optional
        Cut-off rank.

    Raises
    ------
    ValueError
        As `ranked_average_precision`, and if labels are missing.
    """
    check_sides(query, database)
    assert query.labels is not None
    assert database.labels is not None
    step = max(1, _BLOCK_BYTES // (32 * len(database)))
    parts = [
        ranked_average_precision(
            _distances(query.packed[rows], database.packed), query.labels[rows, None] == database.labels, style, at
        )
        for rows in (slice(start, start + step) for start in range(0, len(query), step))
    ]
    return float(np.concatenate(parts).mean())


def _distances(query: npt.NDArray[np.uint8], database: npt.NDArray[np.uint8]) -> npt.NDArray[np.int16]:
    """Return all Hamming distances, shape (Q, N)."""
    found = np.zeros((len(query), len(database)), dtype=np.int16)
    for q, d in zip(query.T, database.T, strict=True):
        found += np.bitwise_count(q[:, None] ^ d)
    return found
