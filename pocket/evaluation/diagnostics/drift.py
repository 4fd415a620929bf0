"""Is operation drifting? A stream of codes against the index, with a stated rate of false alarms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
import numpy.typing as npt

from pocket.evaluation.codes import Codes
from pocket.evaluation.search import HammingIndex
from pocket.runs.diagnostics import Drift

Advice = Literal["calm", "look", "condense"]


@dataclass(frozen=True, eq=False)
class DriftMonitor:
    """Watches windows of codes for a change of their bits or of their distance to the index.

    Two statistics of a window of w items: the mean over bits of the Jensen-Shannon divergence between the shares of
    ones in the window and in the reference, and the rise of the mean distance to the nearest indexed code. The limit
    of each is what calm windows exceed with chance ``false_alarm / 2``, so that an alarm by either has no more than
    ``false_alarm`` (Bonferroni), on average over references: a small one may lie to one side of what it stands for.
    Calm windows are drawn from the reference without replacement and compared with the rest of it, which carries the
    reference's own chance error into the limits.

    The rate is that of independent items: frames of one video or photographs of one part come in lumps, and windows
    of them alarm more often. Make the reference of such lumps, or draw windows over many of them.

    Use `fit`.
    """

    index: HammingIndex
    shares: npt.NDArray[np.float64]
    distance: float
    window: int
    false_alarm: float
    limits: tuple[float, float]

    @classmethod
    def fit(
        cls,
        index: HammingIndex,
        reference: Codes,
        *,
        window: int = 50,
        false_alarm: float = 0.01,
        draws: int | None = None,
        seed: int = 0,
    ) -> Self:
        """Learn what calm looks like.

        Parameters
        ----------
        index : HammingIndex
            Of the database.
        reference : Codes
            Of calm images that are *not* in the index, such as the queries of an evaluation: indexed images lie at
            distance 0 of themselves.
        window : int
            Items a window; at most a third of the reference.
        false_alarm : float
            Wanted chance of an alarm by a calm window.
        draws : int, optional
            Calm windows to learn the limits from. Default: 20 times as many as one false alarm takes, at least 2,000.
        seed : int

        Raises
        ------
        ValueError
            If the reference is too small for the window, or a value is out of range.
        """
        if not 0 < false_alarm < 1:
            raise ValueError(f"false_alarm={false_alarm}: it must lie between 0 and 1")
        if window < 1 or 3 * window > len(reference):
            raise ValueError(
                f"window={window}: it must lie in 1..{len(reference) // 3}, a third of the {len(reference)} reference "
                "codes, so that what is calm can be learned; give more reference codes or a smaller window"
            )
        draws = draws or max(2000, round(40 / false_alarm))
        bits = reference.unpack().astype(np.float64)
        nearest = index.search(reference, 1)[0][:, 0].astype(np.float64)
        n, generator = len(bits), np.random.default_rng(seed)
        found = np.empty((draws, 2))
        for i in range(draws):
            chosen = generator.permutation(n)[:window]
            ones, near = bits[chosen].sum(axis=0), nearest[chosen].sum()
            rest = (bits.sum(axis=0) - ones) / (n - window)
            found[i, 0] = divergence(ones / window, rest)
            found[i, 1] = near / window - (nearest.sum() - near) / (n - window)
        # The place that makes the chance of a fresh calm value above it no more than false_alarm / 2.
        place = min(draws - 1, int(np.ceil((draws + 1) * (1 - false_alarm / 2))) - 1)
        limits = np.sort(found, axis=0)[place]
        shares, mean = bits.mean(axis=0), float(nearest.mean())
        return cls(index, shares, mean, window, false_alarm, (float(limits[0]), float(limits[1])))

    def check(self, window: Codes) -> Drift:
        """Measure one window of the stream.

        Raises
        ------
        ValueError
            If it has another number of items than the monitor was fitted for: the limits hold for that alone.
        """
        if len(window) != self.window:
            raise ValueError(f"the limits hold for windows of {self.window} items, not {len(window)}")
        far = self.index.search(window, 1)[0][:, 0].mean() - self.distance
        moved = divergence(window.unpack().mean(axis=0), self.shares)
        return Drift(
            window=self.window,
            divergence=moved,
            divergence_limit=self.limits[0],
            distance_shift=float(far),
            distance_limit=self.limits[1],
            false_alarm=self.false_alarm,
            alarm=bool(moved > self.limits[0] or far > self.limits[1]),
        )

    def watch(self, stream: Codes) -> list[Drift]:
        """Measure a stream window by window; what is left at its end is too short for a window, and waits.

        Raises
        ------
        ValueError
            If the stream holds no whole window.
        """
        if len(stream) < self.window:
            raise ValueError(f"the stream holds {len(stream)} items, fewer than a window of {self.window}")
        starts = range(0, len(stream) - self.window + 1, self.window)
        return [self.check(Codes(stream.packed[start : start + self.window])) for start in starts]


def advice(found: Sequence[Drift]) -> Advice:
    """Say what the last windows of a stream call for.

    ``"condense"`` where at least 2 of the last 3 alarmed: without drift that happens in ``3 a^2 - 2 a^3`` of all
    cases, for a false-alarm rate a of 1 % about 3 in 10,000. ``"look"`` where 1 did, else ``"calm"``. Codes that drift
    say that images have changed, not that labels have: look at the images first, then condense their classes anew.

    Raises
    ------
    ValueError
        If there is no window.
    """
    if not found:
        raise ValueError("no window has been measured yet")
    alarms = sum(drift.alarm for drift in found[-3:])
    return "condense" if alarms >= 2 else "look" if alarms else "calm"


def divergence(p: npt.NDArray[np.float64], q: npt.NDArray[np.float64]) -> float:
    """Return the mean over bits of the Jensen-Shannon divergence of two shares of ones, 0 ... 1 bit.

    ``H((p + q) / 2) - (H(p) + H(q)) / 2`` with the binary entropy H: finite also where a bit never varies (Lin,
    "Divergence measures based on the Shannon entropy", 1991).

    Examples
    --------
    >>> divergence(np.array([0.0]), np.array([1.0])), divergence(np.array([0.3]), np.array([0.3]))
    (1.0, 0.0)
    """

    def entropy(share: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        both = np.clip(np.stack([share, 1 - share]), 1e-300, 1)
        return np.asarray(-(both * np.log2(both)).sum(axis=0))

    return max(0.0, float(np.mean(entropy((p + q) / 2) - (entropy(p) + entropy(q)) / 2)))
