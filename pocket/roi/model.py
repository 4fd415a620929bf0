"""From inputs to report: the three axes, break-even, cash flows, decision, sensitivity and range."""

from __future__ import annotations

from datetime import date
from math import ceil

import numpy as np
from numpy.typing import NDArray

from pocket.roi import finance
from pocket.roi.economics import (
    REASONS,
    Array,
    Costs,
    Economics,
    Trained,
    annuity,
    base_values,
    costs_of,
    doing_nothing,
    economics,
    trainings_per_month,
    verdict_of,
    whole_months,
)
from pocket.roi.inputs import SPECS, Estimate, RoiInputs
from pocket.roi.report import (
    Alternative,
    AlternativeName,
    Axes,
    BreakEven,
    Decision,
    Energy,
    FanPoint,
    FiscalYear,
    Flip,
    Outcomes,
    Period,
    RoiReport,
    TornadoRow,
)

_GRID, _FAN_POINTS = 32, 9
_TRAINED: tuple[Trained, ...] = ("full", "condensed", "random", "hybrid")


def compute(inputs: RoiInputs, *, draws: int = 2000, seed: int = 0) -> RoiReport:
    """Compute the return on investment of training on the condensed set instead of full data.

    Flow 0 (migration, first condensation, full-data training beside during the roll-out) is paid now and not
    discounted; months 1 to the horizon are equal: what full data cost less what the condensed set costs,
    re-condensations spread evenly.

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
    values = base_values(inputs)
    base = {name: float(value[0]) for name, value in values.items()}
    months = int(whole_months(values["horizon_months"])[0])
    reason_index = int(economics(values, inputs).reason[0])
    costs = {name: costs_of(name, values, inputs) for name in _TRAINED}
    schedule = _schedule(costs["full"], costs["condensed"], months, base["discount_rate"])
    alternatives = _alternatives(costs, values, months)
    flows = [period.net for period in schedule]
    rate = finance.irr(flows)
    verdict, reason = verdict_of(reason_index)
    tornado, flip = _sensitivity(inputs, reason_index)
    npv = {found.name: found.npv for found in alternatives}
    others: tuple[AlternativeName, ...] = ("hybrid", "nothing")
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
        decision=Decision(
            verdict=verdict,
            reason=reason,
            flip=flip,
            better=tuple(name for name in others if npv[name] > max(npv["condensed"], 0.0)),
        ),
        npv=finance.npv(flows, base["discount_rate"]),
        payback=finance.payback(flows),
        payback_discounted=finance.payback(flows, base["discount_rate"]),
        irr=rate.yearly,
        irr_reason=rate.reason,
        trainings_per_month=float(trainings_per_month(values)[0]),
        trainings_needed=_trainings_needed(inputs),
        alternatives=alternatives,
        energy=_energy(costs["full"], costs["condensed"], base, months),
        outcomes=monte_carlo(inputs, draws, seed),
        tornado=tornado,
        schedule=schedule,
        years=_years(schedule, inputs),
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
        fan=_fan(result, values, int(whole_months(np.array(inputs.horizon_months.high)))),
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


def _fan(result: Economics, v: dict[str, Array], last: int) -> tuple[FanPoint, ...]:
    """Return the spread of the cumulative discounted saving at a few months up to the longest horizon."""
    months = np.unique(np.linspace(0, last, _FAN_POINTS).round())[:, None]
    reached = np.minimum(months, whole_months(v["horizon_months"]))
    cumulative = result.saved * annuity(v["discount_rate"], reached) - result.once
    spread = np.quantile(cumulative, (0.1, 0.5, 0.9), axis=1).T.tolist()
    return tuple(
        FanPoint(month=int(month), p10=p10, p50=p50, p90=p90)
        for month, (p10, p50, p90) in zip(months[:, 0], spread, strict=True)
    )


def _schedule(full_costs: Costs, condensed_costs: Costs, months: int, yearly: float) -> tuple[Period, ...]:
    full, condensed = (
        np.array([costs.one_off[0]] + [costs.per_month[0]] * months) for costs in (full_costs, condensed_costs)
    )
    net = full - condensed
    present = finance.discounted(net.tolist(), yearly)
    columns = full, condensed, net, present, np.cumsum(net), np.cumsum(present)
    names = "full", "condensed", "net", "discounted", "cumulative", "cumulative_discounted"
    return tuple(
        Period(month=month, **dict(zip(names, row, strict=True)))
        for month, row in enumerate(np.stack(columns, axis=1).tolist())
    )


def _years(schedule: tuple[Period, ...], inputs: RoiInputs) -> tuple[FiscalYear, ...]:
    if inputs.start is None:
        return ()
    # Months since January of year 0, counted from the month in which fiscal years begin.
    first = inputs.start.year * 12 + inputs.start.month - inputs.fiscal_year_month
    years: dict[int, list[Period]] = {}
    for period in schedule:
        years.setdefault((first + max(period.month - 1, 0)) // 12, []).append(period)
    return tuple(
        FiscalYear(
            year=year,
            months=sum(period.month > 0 for period in periods),
            **{
                name: sum(getattr(period, name) for period in periods)
                for name in ("full", "condensed", "net", "discounted")
            },
        )
        for year, periods in years.items()
    )


def _alternatives(costs: dict[Trained, Costs], v: dict[str, Array], months: int) -> tuple[Alternative, ...]:
    factor = float(annuity(v["discount_rate"], np.array([float(months)]))[0])
    full = float(costs["full"].per_month[0])
    found = [
        Alternative(
            name=name,
            map=float(v[f"map_{name}"][0]),
            once={key: float(value[0]) for key, value in cost.once.items()},
            monthly={key: float(value[0]) for key, value in cost.monthly.items()},
            total=float(cost.one_off[0] + months * cost.per_month[0]),
            npv=(full - float(cost.per_month[0])) * factor - float(cost.one_off[0]) if name != "full" else 0.0,
        )
        for name, cost in costs.items()
    ]
    storage, lost = doing_nothing(v, months)
    saved = [0.0, *(full - storage - lost).tolist()]
    nothing = Alternative(
        name="nothing",
        map=max(float(v["map_full"][0] - months * v["map_decay_per_month"][0]), 0.0),
        once={},
        monthly={"storage": float(storage[0]), "lost_quality": float(lost.mean())},
        total=float((storage + lost).sum()),
        npv=finance.npv(saved, float(v["discount_rate"][0])),
    )
    return (*found, nothing)


def _break_even(inputs: RoiInputs, base: dict[str, float]) -> BreakEven:
    one_off = condensing_seconds(inputs)
    each_month = float(trainings_per_month(base_values(inputs))[0])
    again = one_off * base["recondensations_per_year"] / 12 / each_month if each_month else 0.0
    trainings = finance.break_even(one_off, base["seconds_full"], base["seconds_condensed"] + again)
    if trainings is None or not each_month:
        return BreakEven(trainings=trainings, months=None, date=None)
    months = trainings / each_month
    near = months <= 1200
    return BreakEven(
        trainings=trainings,
        months=months,
        date=_later(inputs.start, ceil(months)) if near and inputs.start else None,
    )


def condensing_seconds(inputs: RoiInputs) -> float:
    """Return the seconds of one condensation, with those of the teacher where they are counted."""
    return inputs.seconds_condense.base + (inputs.seconds_teacher.base if inputs.count_teacher else 0.0)


def _later(start: date, months: int) -> date:
    """Return the first day of the ``months``-th month, counting that of ``start`` as the first."""
    index = start.year * 12 + start.month - 1 + max(months - 1, 0)
    return date(index // 12, index % 12 + 1, 1)


def _energy(full_costs: Costs, condensed_costs: Costs, base: dict[str, float], months: int) -> Energy:
    kilowatts = base["power_watts"] / 1000
    full, condensed = (
        float(costs.hours_once[0] + months * costs.hours_monthly[0]) * kilowatts
        for costs in (full_costs, condensed_costs)
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


def _sensitivity(inputs: RoiInputs, reason: int) -> tuple[tuple[TornadoRow, ...], Flip | None]:
    """Walk every input from its base to its low and to its high, all others at base.

    The ends of the ways are the tornado. The first change of verdict on any of them, measured as a share of its way,
    is the flip.
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


def _verdicts(reasons: NDArray[np.intp]) -> NDArray[np.str_]:
    return np.array([verdict_of(reason)[0] for reason in range(len(REASONS))])[reasons]


def _trainings_needed(inputs: RoiInputs) -> float | None:
    """Return the trainings a month at which the NPV is zero: it is linear in them."""
    if inputs.seconds_full.base <= inputs.seconds_condensed.base:
        return None
    many = SPECS["retrainings_per_month"].maximum
    values = {name: np.repeat(value, 2) for name, value in base_values(inputs).items()}
    values |= {"search_trials_per_month": np.zeros(2), "comparisons_per_month": np.zeros(2)}
    values["retrainings_per_month"] = np.array([0.0, many])
    at_none, at_many = economics(values, inputs).npv_condensed.tolist()
    if at_many <= at_none:
        return None
    needed = max(-at_none / (at_many - at_none), 0.0) * many
    return needed if np.isfinite(needed) else None
