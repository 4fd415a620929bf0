"""What ranges come to: the Monte Carlo range of the NPV, the tornado, and the input that flips the verdict."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pocket.roi.economics import (
    REASONS,
    Array,
    Economics,
    annuity,
    base_values,
    economics,
    trainings_per_month,
    verdict_of,
    whole_months,
)
from pocket.roi.fields import SPECS, Estimate
from pocket.roi.inputs import RoiInputs
from pocket.roi.report import FailedCase, FanPoint, Flip, Outcomes, TornadoRow

FAILED = "failed_change"  # the row of the tornado that is no input
_GRID, _FAN_POINTS = 32, 9


def monte_carlo(inputs: RoiInputs, draws: int = 2000, seed: int = 0) -> Outcomes:
    """Return the range of the NPV when every input varies between its low and its high.

    Parameters
    ----------
    inputs : RoiInputs
        Each estimate is drawn from the triangle low, base, high, independently of the others.
    draws : int
        1 to 1,000,000.
    seed : int
        Same seed, same range.

    Raises
    ------
    ValueError
        If ``draws`` is out of range.
    """
    if not 1 <= draws <= 1_000_000:
        raise ValueError(f"draws = {draws!r} is outside the allowed range 1 to 1000000")
    # One row of uniform numbers for every input, varied or not: fixing one input must not change another's draws.
    uniform = np.random.default_rng(seed).random((len(SPECS), draws))
    values = {name: _triangular(inputs.estimate(name), row) for name, row in zip(SPECS, uniform, strict=True)}
    result = economics(values, inputs)
    npv = result.npv_condensed
    p10, p50, p90 = (float(value) for value in np.quantile(npv, (0.1, 0.5, 0.9)))
    return Outcomes(
        draws=draws,
        seed=seed,
        p10=p10,
        p50=p50,
        p90=p90,
        p_negative=float(np.mean(npv < 0)),
        fan=_fan(result, values, int(whole_months(np.array(inputs.horizon_months.base)))),
        break_even=_break_even(values, inputs),
    )


def _triangular(e: Estimate, uniform: Array) -> Array:
    """Return draws of the triangle low, base, high by the inverse of its distribution."""
    width = e.high - e.low
    if not width:
        return np.full_like(uniform, e.base)
    left = (e.base - e.low) / width  # the share of draws below the base
    rising = e.low + width * np.sqrt(uniform * left)
    falling = e.high - width * np.sqrt((1 - uniform) * (1 - left))
    found: Array = np.where(uniform < left, rising, falling)
    return found


def _break_even(v: dict[str, Array], inputs: RoiInputs) -> tuple[float | None, float | None]:
    """Return P10 and P90 of the trainings that repay condensing in machine time; one that never does is above all."""
    once = v["seconds_condense"] + (v["seconds_teacher"] if inputs.count_teacher else 0.0)
    each = trainings_per_month(v)
    again = np.where(each > 0, once * v["recondensations_per_year"] / 12 / np.where(each > 0, each, 1.0), 0.0)
    saved = v["seconds_full"] - v["seconds_condensed"] - again
    trainings = np.where(saved > 0, once / np.where(saved > 0, saved, 1.0), np.inf)
    low, high = np.quantile(trainings, (0.1, 0.9), method="inverted_cdf").tolist()  # of inf there is no mean
    return low if np.isfinite(low) else None, high if np.isfinite(high) else None


def _fan(result: Economics, v: dict[str, Array], last: int) -> tuple[FanPoint, ...]:
    """Return the spread of the cumulative discounted saving at a few months up to the horizon that was entered."""
    months = np.unique(np.linspace(0, last, _FAN_POINTS).round())[:, None]
    reached = np.minimum(months, whole_months(v["horizon_months"]))
    cumulative = result.saved * annuity(v["discount_rate"], reached) - result.once
    spread = np.quantile(cumulative, (0.1, 0.5, 0.9), axis=1).T.tolist()
    return tuple(
        FanPoint(month=int(month), p10=p10, p50=p50, p90=p90)
        for month, (p10, p50, p90) in zip(months[:, 0], spread, strict=True)
    )


def _varied(inputs: RoiInputs, names: list[str], points: list[Array]) -> Economics:
    """Compute all sets in which ``names[i]`` takes the values ``points[i]`` and everything else its base."""
    counts = [len(values) for values in points]
    values = {name: np.repeat(value, sum(counts)) for name, value in base_values(inputs).items()}
    start = 0
    for name, count, own in zip(names, counts, points, strict=True):
        values[name][start : start + count] = own
        start += count
    return economics(values, inputs)


def sensitivity(
    inputs: RoiInputs, reason: int, failed: tuple[FailedCase, ...] = ()
) -> tuple[tuple[TornadoRow, ...], Flip | None]:
    """Walk every input from its base to its low and to its high, all others at base.

    The ends of the ways are the tornado, with the measured change of failed searches where ``failed`` holds it.
    The first change of verdict on any of the ways, measured as a share of it, is the flip.
    """
    estimates = {name: inputs.estimate(name) for name in SPECS}
    paths = [(name, e.base, end) for name, e in estimates.items() for end in (e.low, e.high) if e.low < e.high]
    if not paths:
        return (), None
    steps = np.arange(1, _GRID + 1) / _GRID
    points = [base + steps * (end - base) for _, base, end in paths]
    found = _varied(inputs, [name for name, _, _ in paths], points)
    npv = found.npv_condensed.reshape(-1, _GRID)[:, -1].tolist()
    rows = [
        TornadoRow(input=name, low=low, high=high, npv_low=npv[2 * i], npv_high=npv[2 * i + 1])
        for i, ((name, _, low), (_, _, high)) in enumerate(zip(paths[::2], paths[1::2], strict=True))
        if npv[2 * i] != npv[2 * i + 1]
    ]
    rows += _failed_row(failed, inputs.failure_cost.base)
    tornado = tuple(sorted(rows, key=lambda row: -abs(row.npv_high - row.npv_low)))

    verdict, _ = verdict_of(reason)
    changed = _verdicts(found.reason.reshape(-1, _GRID)) != verdict
    first = np.where(changed.any(axis=1), changed.argmax(axis=1), _GRID)
    way = int(first.argmin())
    if first[way] == _GRID:
        return tornado, None
    name, base, end = paths[way]
    fine = (first[way] + steps) / _GRID
    values = base + fine * (end - base)
    reasons = _varied(inputs, [name], [values]).reason
    at = int((_verdicts(reasons) != verdict).argmax())
    flipped, why = verdict_of(int(reasons[at]))
    flip = Flip(input=name, base=base, value=float(values[at]), fraction=float(fine[at]), verdict=flipped, reason=why)
    return tornado, flip


def failed_as_measured(inputs: RoiInputs) -> tuple[FailedCase, ...]:
    """Return what follows where failed searches are priced as measured, not by the assumed link from mAP to them.

    Mean, low and high of the measured change, at the base of what a failed search costs and, where it has one, at its
    high; the random subset, which the decision also weighs, at its own mean. Empty where that was not measured, or
    where a mAP has been entered by hand, which the measured searches then do not belong to.
    """
    found, cost = inputs.failed, inputs.failure_cost
    sides = ("full", "condensed", "random")
    if found is None or any(inputs.estimate(f"map_{side}").source != "measured" for side in sides):
        return ()
    changes = list(dict.fromkeys((found.mean, found.low, found.high)))
    costs = list(dict.fromkeys((cost.base, cost.high)))
    cases = [(change, each) for each in costs for change in changes]
    values = {name: np.repeat(value, len(cases)) for name, value in base_values(inputs).items()}
    values["failed_condensed"], values["failure_cost"] = np.array(cases).T
    values["failed_random"] = np.full(len(cases), found.random)
    result = economics(values, inputs)
    return tuple(
        FailedCase(change=change, cost=each, npv=npv, verdict=verdict, reason=why)
        for (change, each), npv, (verdict, why) in zip(
            cases, result.npv_condensed.tolist(), map(verdict_of, result.reason.tolist()), strict=True
        )
    )


def _failed_row(cases: tuple[FailedCase, ...], cost: float) -> list[TornadoRow]:
    """Return the row of the tornado of failed searches as measured: the ends of their interval, at base cost."""
    own = sorted((case for case in cases if case.cost == cost), key=lambda case: case.change)
    if not own or own[0].npv == own[-1].npv:
        return []
    low, high = own[0], own[-1]
    return [TornadoRow(input=FAILED, low=low.change, high=high.change, npv_low=low.npv, npv_high=high.npv)]


def _verdicts(reasons: NDArray[np.intp]) -> NDArray[np.str_]:
    return np.array([verdict_of(reason)[0] for reason in range(len(REASONS))])[reasons]
