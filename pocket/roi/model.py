"""From inputs to report: the three axes, break-even, cash flows, decision, sensitivity and range."""

from __future__ import annotations

from datetime import date
from math import ceil
from typing import NamedTuple

import numpy as np

from pocket.roi import finance
from pocket.roi.economics import (
    Array,
    Costs,
    Economics,
    Reason,
    Trained,
    Verdict,
    annuity,
    base_values,
    costs_of,
    doing_nothing,
    economics,
    trainings_per_month,
    verdict_of,
    whole_months,
)
from pocket.roi.fields import SPECS
from pocket.roi.inputs import RoiInputs
from pocket.roi.report import (
    Alternative,
    AlternativeName,
    Axes,
    BreakEven,
    Decision,
    Energy,
    FiscalYear,
    Period,
    RoiReport,
)
from pocket.roi.uncertainty import failed_as_measured, monte_carlo, sensitivity

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
    failed = failed_as_measured(inputs)
    tornado, flip = sensitivity(inputs, reason_index, failed)
    npv = {found.name: found.npv for found in alternatives}
    needed = _trainings_needed(inputs)
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
        trainings_needed=needed.trainings,
        trainings_needed_verdict=needed.verdict,
        trainings_needed_reason=needed.reason,
        alternatives=alternatives,
        energy=_energy(costs["full"], costs["condensed"], base, months),
        outcomes=monte_carlo(inputs, draws, seed),
        tornado=tornado,
        failed=failed,
        schedule=schedule,
        years=_years(schedule, inputs),
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
    switched = base["overlap_months"] + months  # until all traffic is switched, full data are trained beside
    return BreakEven(
        trainings=trainings,
        months=months,
        date=month_later(inputs.start, ceil(switched)) if near and inputs.start else None,
    )


def condensing_seconds(inputs: RoiInputs) -> float:
    """Return the seconds of one condensation, with those of the teacher where they are counted."""
    return inputs.seconds_condense.base + (inputs.seconds_teacher.base if inputs.count_teacher else 0.0)


def month_later(start: date, months: int) -> date:
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


class _Needed(NamedTuple):
    """The trainings a month at which the NPV is zero (None: no number), and the decision there."""

    trainings: float | None
    verdict: Verdict | None = None
    reason: Reason | None = None


def _trainings_needed(inputs: RoiInputs) -> _Needed:
    """Return the trainings a month at which the NPV is zero: it is linear in them."""
    if inputs.seconds_full.base <= inputs.seconds_condensed.base:
        return _Needed(None)
    many = SPECS["retrainings_per_month"].maximum
    at_none, at_many = _at_trainings(inputs, [0.0, many]).npv_condensed.tolist()
    if at_many <= at_none:
        return _Needed(None)
    needed = max(-at_none / (at_many - at_none), 0.0) * many
    if not np.isfinite(needed):
        return _Needed(None)
    # A trifle more, lest the last digit of an NPV of zero make it a loss.
    return _Needed(needed, *verdict_of(int(_at_trainings(inputs, [needed * (1 + 1e-6)]).reason[0])))


def _at_trainings(inputs: RoiInputs, counts: list[float]) -> Economics:
    """Compute what follows from so many trainings a month, everything else at its base."""
    size = len(counts)
    values = {name: np.repeat(value, size) for name, value in base_values(inputs).items()}
    values |= {"search_trials_per_month": np.zeros(size), "comparisons_per_month": np.zeros(size)}
    return economics(values | {"retrainings_per_month": np.array(counts)}, inputs)
