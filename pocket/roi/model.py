"""From inputs to report: the three axes, break-even, cash flows, decision, sensitivity and range."""

from __future__ import annotations

from datetime import date
from math import ceil

import numpy as np
from numpy.typing import NDArray

from pocket.roi import finance
from pocket.roi.economics import REASONS, Array, Costs, Economics, base_values, economics, verdict_of
from pocket.roi.inputs import SPECS, RoiInputs
from pocket.roi.report import (
    Alternative,
    AlternativeName,
    Axes,
    BreakEven,
    Decision,
    Energy,
    Flip,
    Outcomes,
    Period,
    RoiReport,
    TornadoRow,
)

_GRID = 64


def compute(inputs: RoiInputs, *, draws: int = 2000, seed: int = 0) -> RoiReport:
    """Compute the return on investment of training on the condensed set instead of full data.

    Flow 0 (migration, first condensation) is paid now and not discounted; months 1 to the horizon are
    equal: what full data cost less what the condensed set costs, re-condensations spread evenly.

    Parameters
    ----------
    inputs : RoiInputs
        Validated inputs.
    draws, seed : int
        Of the Monte Carlo range, see `monte_carlo`.

    Returns
    -------
    RoiReport
        Money in ``inputs.currency``.

    Raises
    ------
    ValueError
        If ``draws`` is out of range.
    """
    base = {name: inputs.estimate(name).base for name in SPECS}
    result = economics(base_values(inputs), inputs)
    schedule = _schedule(result, round(base["horizon_months"]), base["discount_rate"])
    flows = [period.net for period in schedule]
    rate = finance.irr(flows)
    verdict, reason = verdict_of(int(result.reason[0]))
    return RoiReport(
        inputs=inputs,
        axes=Axes(
            training_time_reduction=1 - base["seconds_condensed"] / base["seconds_full"],
            seconds_saved=(base["seconds_full"] - base["seconds_condensed"]) * base["workload_scale"],
            map_against_full=base["map_condensed"] - base["map_full"],
            map_against_random=base["map_condensed"] - base["map_random"],
            migration_days=base["migration_days"],
            migration_cost=base["migration_days"] * base["engineer_day_rate"],
        ),
        break_even=_break_even(inputs, base),
        decision=Decision(verdict=verdict, reason=reason, flip=_nearest_flip(inputs, int(result.reason[0]))),
        npv=finance.npv(flows, base["discount_rate"]),
        payback=finance.payback(flows),
        payback_discounted=finance.payback(flows, base["discount_rate"]),
        irr=rate.yearly,
        irr_reason=rate.reason,
        trainings_needed=_trainings_needed(inputs),
        alternatives=_alternatives(result, base),
        energy=_energy(result, base),
        outcomes=monte_carlo(inputs, draws, seed),
        tornado=_tornado(inputs),
        schedule=schedule,
    )


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
    random = np.random.default_rng(seed)
    values: dict[str, Array] = {}
    for name in SPECS:
        e = inputs.estimate(name)
        same = e.low == e.high
        values[name] = np.full(draws, e.base) if same else random.triangular(e.low, e.base, e.high, draws)
    npv = economics(values, inputs).npv_condensed
    p10, p50, p90 = (float(value) for value in np.quantile(npv, (0.1, 0.5, 0.9)))
    return Outcomes(draws=draws, seed=seed, p10=p10, p50=p50, p90=p90, p_negative=float(np.mean(npv < 0)))


def _schedule(result: Economics, months: int, yearly: float) -> tuple[Period, ...]:
    full, condensed = (
        np.array([costs.one_off[0]] + [costs.per_month[0]] * months) for costs in (result.full, result.condensed)
    )
    net = full - condensed
    present = finance.discounted(net.tolist(), yearly)
    columns = full, condensed, net, present, np.cumsum(net), np.cumsum(present)
    names = "full", "condensed", "net", "discounted", "cumulative", "cumulative_discounted"
    return tuple(
        Period(month=month, **dict(zip(names, row, strict=True)))
        for month, row in enumerate(np.stack(columns, axis=1).tolist())
    )


def _alternatives(result: Economics, base: dict[str, float]) -> tuple[Alternative, ...]:
    months = round(base["horizon_months"])
    parts: tuple[tuple[AlternativeName, Costs, float], ...] = (
        ("full", result.full, 0.0),
        ("condensed", result.condensed, float(result.npv_condensed[0])),
        ("random", result.random, float(result.npv_random[0])),
    )
    return tuple(
        Alternative(
            name=name,
            map=base[f"map_{name}"],
            once={key: float(value[0]) for key, value in costs.once.items()},
            monthly={key: float(value[0]) for key, value in costs.monthly.items()},
            total=float(costs.one_off[0] + months * costs.per_month[0]),
            npv=npv,
        )
        for name, costs, npv in parts
    )


def _break_even(inputs: RoiInputs, base: dict[str, float]) -> BreakEven:
    one_off = base["seconds_condense"] + (base["seconds_teacher"] if inputs.count_teacher else 0.0)
    trainings = finance.break_even(one_off, base["seconds_full"], base["seconds_condensed"])
    if trainings is None or not base["trainings_per_month"]:
        return BreakEven(trainings=trainings, months=None, date=None)
    months = trainings / base["trainings_per_month"]
    near = months <= 1200
    return BreakEven(
        trainings=trainings,
        months=months,
        date=_later(inputs.start, ceil(months)) if near and inputs.start else None,
    )


def _later(start: date, months: int) -> date:
    """Return the first day of the ``months``-th month, counting that of ``start`` as the first."""
    index = start.year * 12 + start.month - 1 + max(months - 1, 0)
    return date(index // 12, index % 12 + 1, 1)


def _energy(result: Economics, base: dict[str, float]) -> Energy:
    months, kilowatts = round(base["horizon_months"]), base["power_watts"] / 1000
    full, condensed = (
        float(costs.hours_once[0] + months * costs.hours_monthly[0]) * kilowatts
        for costs in (result.full, result.condensed)
    )
    return Energy(
        kwh_full=full,
        kwh_condensed=condensed,
        co2_kg_full=full * base["co2_per_kwh"],
        co2_kg_condensed=condensed * base["co2_per_kwh"],
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


def _uncertain(inputs: RoiInputs) -> list[str]:
    return [name for name in SPECS if inputs.estimate(name).low < inputs.estimate(name).high]


def _tornado(inputs: RoiInputs) -> tuple[TornadoRow, ...]:
    names = _uncertain(inputs)
    if not names:
        return ()
    ends = [np.array([inputs.estimate(name).low, inputs.estimate(name).high]) for name in names]
    npv = _varied(inputs, names, ends).npv_condensed.reshape(-1, 2).tolist()
    rows = [
        TornadoRow(input=name, low=float(end[0]), high=float(end[1]), npv_low=low, npv_high=high)
        for name, end, (low, high) in zip(names, ends, npv, strict=True)
        if low != high
    ]
    return tuple(sorted(rows, key=lambda row: -abs(row.npv_high - row.npv_low)))


def _nearest_flip(inputs: RoiInputs, reason: int) -> Flip | None:
    """Walk every input from base to low and to high; return the first change of verdict on the way."""
    verdict, _ = verdict_of(reason)
    steps = np.arange(1, _GRID + 1) / _GRID
    paths = [
        (name, inputs.estimate(name).base, end)
        for name in _uncertain(inputs)
        for end in (inputs.estimate(name).low, inputs.estimate(name).high)
        if end != inputs.estimate(name).base
    ]
    if not paths:
        return None
    points = [base + steps * (end - base) for _, base, end in paths]
    found = _varied(inputs, [name for name, _, _ in paths], points).reason.reshape(-1, _GRID)
    changed = _verdicts(found) != verdict
    first = np.where(changed.any(axis=1), changed.argmax(axis=1), _GRID)
    row = int(first.argmin())
    if first[row] == _GRID:
        return None
    name, base, end = paths[row]
    fine = (first[row] + steps) / _GRID
    values = base + fine * (end - base)
    reasons = _varied(inputs, [name], [values]).reason
    at = int((_verdicts(reasons) != verdict).argmax())
    flipped, why = verdict_of(int(reasons[at]))
    return Flip(input=name, base=base, value=float(values[at]), fraction=float(fine[at]), verdict=flipped, reason=why)


def _verdicts(reasons: NDArray[np.intp]) -> NDArray[np.str_]:
    return np.array([verdict_of(reason)[0] for reason in range(len(REASONS))])[reasons]


def _trainings_needed(inputs: RoiInputs) -> float | None:
    """Return the trainings a month at which the NPV is zero: it is linear in them."""
    if inputs.seconds_full.base <= inputs.seconds_condensed.base:
        return None
    many = SPECS["trainings_per_month"].maximum
    at_none, at_many = _varied(inputs, ["trainings_per_month"], [np.array([0.0, many])]).npv_condensed.tolist()
    if at_many <= at_none:
        return None
    needed = max(-at_none / (at_many - at_none), 0.0) * many
    return needed if np.isfinite(needed) else None
