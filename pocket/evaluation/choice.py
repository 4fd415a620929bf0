"""Which kind of index serves which codes: flat, by distinct codes, or in lists that were tried on them."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from pocket.evaluation.engines import Flat, Ivf, Lists, Packed, Unique, expanded, partition

KINDS = ("auto", "flat", "unique", "ivf")
_MANY, _DIFFERENT = 2_000_000, 1000  # codes, and distinct ones, from which lists are tried
_REPEATED, _OFTEN = 0.4, 100_000  # share of codes that repeat another, of how many, from which each is searched once
_TRIED = 256  # codes asked for when lists are tried
_PROBES = (1, 2, 4, 8, 16, 32, 64, 128)
_LOOKED = 0.2  # share of the codes that lists may look at for their answers, which are not exact


class Choice(NamedTuple):
    """The kind to be and why; of lists that serve, the lists, how many to look into, and what searches them."""

    kind: str
    reason: str
    lists: Lists | None = None
    probes: int = 0
    engine: Ivf | None = None


def choose(
    kind: str,
    packed: Packed,
    bits: int,
    recall: float,
    *,
    on_gpu: bool,
    table: Callable[[], Unique],
    flat: Callable[[], Flat],
) -> Choice:
    """Choose the kind of an index, with a warning where lists were asked for or expected and do not serve.

    Parameters
    ----------
    kind : str
        One of `KINDS`.
    packed : ndarray of uint8
        The codes.
    bits : int
    recall : float
        Wanted of lists.
    on_gpu : bool
    table, flat : callable
        Give the distinct codes, and the exact search over all; called only where they are needed.
    """
    count = len(packed)
    if on_gpu and kind == "auto":
        return Choice("flat", "a GPU searches flat")
    if kind not in ("auto", "ivf"):
        return Choice(kind, "chosen by name")
    repeated = 1 - len(table().packed) / count
    exact = "unique" if repeated >= _REPEATED and count >= _OFTEN else "flat"
    if kind == "auto" and count < _MANY:
        return Choice(exact, f"{repeated:.0%} of {count:,} codes repeat another")
    found = _try_lists(packed, bits, recall, table(), flat)
    if isinstance(found, Choice):
        return found
    warnings.warn(f"the index is {exact}: {found}", stacklevel=3)
    return Choice(exact, found)


def _try_lists(packed: Packed, bits: int, recall: float, table: Unique, flat: Callable[[], Flat]) -> Choice | str:
    """Lay out lists and find how many must be looked into; return them, or why they do not serve."""
    if len(table.packed) < _DIFFERENT:
        return f"its codes have {len(table.packed)} distinct values only"
    laid = partition(table.packed)
    rows = np.random.default_rng(0).permutation(len(packed))[:_TRIED]
    asked = np.ascontiguousarray(packed[rows])
    k = min(100, len(packed))
    farthest = flat().search(asked, k)[0][:, -1:]
    lists, enough = len(laid.centres), False
    # Codes are counted, not seconds: the same codes make the same index on every machine, however busy.
    probed = Flat(laid.centres).search(asked, min(lists, _PROBES[-1]))[1]
    looked = np.bincount(laid.member, minlength=lists)[probed].cumsum(axis=1).mean(axis=0) / len(packed)
    engine = Ivf(table.packed, laid, _PROBES[0])
    for probes in (p for p in _PROBES if p <= lists):
        engine.probes = probes
        distances, found = expanded(engine, table, asked, k, bits)
        reached = float(((distances <= farthest) & (found >= 0)).mean())
        share = looked[probes - 1]
        if share > _LOOKED:
            return (
                f"looking into {probes} of {lists:,} lists, for a recall of {reached:.2f}, takes {share:.1%} of "
                f"all codes, and lists serve up to {_LOOKED:.0%}"
            )
        if enough:
            reason = f"{probes} of {lists:,} lists give a recall of {recall:g}"
            return Choice("ivf", reason, laid, probes, engine)
        # One step more than the sample needs: other queries lie farther from the centre of their list.
        enough = reached >= recall
    return f"looking into {probes} of {lists:,} lists gives a recall of {reached:.2f} only"
