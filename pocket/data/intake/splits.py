"""Train and query: by class, whole units at a time, the same way every time."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

QUERY_SHARE = 0.2


def choose_queries(
    labels: npt.NDArray[np.int64],
    units: npt.NDArray[np.int64],
    names: Sequence[str],
    *,
    share: float = QUERY_SHARE,
    seed: int = 0,
    barred: npt.NDArray[np.bool_] | None = None,
) -> npt.NDArray[np.bool_]:
    """Choose the images to ask with: of every class about ``share``, and no unit on both sides.

    Units are drawn in an order that depends on the seed and their names alone, so that an image that is added or taken
    away moves few others. The rarest class chooses first; a unit is taken while its class still lacks queries, nobody's
    aim is passed, and every class of it keeps an image to train on. A class all of whose units are too large gives
    its smallest; a class of one unit gives none.

    Parameters
    ----------
    labels : ndarray of int64, shape (N,)
    units : ndarray of int64, shape (N,)
        What must stay together: copies, and photographs of one thing.
    names : sequence of str
        Of the images.
    share : float
        Between 0 and 1.
    seed : int
    barred : ndarray of bool, shape (N,), optional
        Images that may not ask; neither do others of their units, and the share is of what is left without them.

    Returns
    -------
    ndarray of bool, shape (N,)
    """
    if not 0 < share < 1:
        raise ValueError(f"share={share}: it must lie between 0 and 1")
    order, contents = _drawn(labels, units, names, seed)
    closed = set() if barred is None else set(units[barred].tolist())
    totals = np.bincount(labels[~np.isin(units, list(closed))], minlength=int(labels.max(initial=0)) + 1)
    aims = np.where(totals > 0, np.maximum(1, np.round(share * totals)), 0).astype(int)
    asked = np.zeros_like(totals)
    taken: set[int] = set()

    def fits(unit: int, *, loosely: bool) -> bool:
        return all(asked[c] + n < totals[c] and (loosely or asked[c] + n <= aims[c]) for c, n in contents[unit].items())

    by_class: dict[int, list[int]] = {int(c): [] for c in np.flatnonzero(totals)}
    for unit in order:
        for c in contents[unit] if unit not in closed else ():
            by_class[c].append(unit)
    for c, mine in sorted(by_class.items(), key=lambda item: (len(item[1]), item[0])):
        for unit in mine:
            if asked[c] >= aims[c]:
                break
            if unit not in taken and fits(unit, loosely=False):
                _take(unit, contents, taken, asked)
        if not asked[c]:
            whole = [unit for unit in mine if fits(unit, loosely=True)]
            if whole:
                _take(min(whole, key=lambda u: (sum(contents[u].values()), mine.index(u))), contents, taken, asked)
    return np.isin(units, list(taken))


def _take(unit: int, contents: dict[int, dict[int, int]], taken: set[int], asked: npt.NDArray[np.int64]) -> None:
    taken.add(unit)
    for c, n in contents[unit].items():
        asked[c] += n


def _drawn(
    labels: npt.NDArray[np.int64], units: npt.NDArray[np.int64], names: Sequence[str], seed: int
) -> tuple[list[int], dict[int, dict[int, int]]]:
    """Return the units in the order that the seed gives, and how many images of which class each holds."""
    contents: dict[int, dict[int, int]] = {}
    keys: dict[int, str] = {}
    for unit, label, name in zip(units.tolist(), labels.tolist(), names, strict=True):
        held = contents.setdefault(unit, {})
        held[label] = held.get(label, 0) + 1
        keys[unit] = min(keys.get(unit, name), name)

    def draw(unit: int) -> tuple[bytes, str]:
        text = f"{seed}\0{keys[unit]}".encode("utf-8", "surrogatepass")
        return hashlib.blake2b(text, digest_size=8).digest(), keys[unit]

    return sorted(contents, key=draw), contents


def folds_of(
    labels: npt.NDArray[np.int64], units: npt.NDArray[np.int64], names: Sequence[str], folds: int = 5, *, seed: int = 0
) -> npt.NDArray[np.int64]:
    """Deal the units out to folds, by class: each goes where its largest class is rarest.

    Returns
    -------
    ndarray of int64, shape (N,)
        The fold of each image, 0 to ``folds - 1``.
    """
    order, contents = _drawn(labels, units, names, seed)
    held = np.zeros((folds, int(labels.max()) + 1), dtype=np.int64)
    fold_of = {}
    for unit in order:
        most = max(contents[unit], key=lambda c: (contents[unit][c], -c))
        chosen = int(np.lexsort((held.sum(axis=1), held[:, most]))[0])
        fold_of[unit] = chosen
        for c, n in contents[unit].items():
            held[chosen, c] += n
    return np.array([fold_of[unit] for unit in units.tolist()], dtype=np.int64)
