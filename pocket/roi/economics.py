"""The cost model itself, for many sets of inputs at once: every value is an array with one entry per set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from pocket.roi.inputs import SPECS, RoiInputs

Array = NDArray[np.float64]
Values = Mapping[str, Array]
Verdict = Literal["go", "pilot", "stop"]
Reason = Literal[
    "no_saving",
    "map_loss_stop",
    "npv_stop",
    "random_better",
    "map_loss_pilot",
    "npv_pilot",
    "payback_pilot",
    "all_met",
]
REASONS: tuple[Reason, ...] = get_args(Reason)
SECONDS_PER_HOUR, BYTES_PER_GB, POINTS = 3600.0, 1e9, 100.0


class Costs(NamedTuple):
    """Costs of one alternative in currency: once, at the start, and every month, by component."""

    once: dict[str, Array]
    monthly: dict[str, Array]
    hours_once: Array
    hours_monthly: Array

    @property
    def one_off(self) -> Array:
        """Sum of what is paid once."""
        return _total(self.once)

    @property
    def per_month(self) -> Array:
        """Sum of what is paid every month."""
        return _total(self.monthly)


class Economics(NamedTuple):
    """Costs and NPV against full data of the three alternatives, and the decision about the condensed one."""

    full: Costs
    condensed: Costs
    random: Costs
    npv_condensed: Array
    npv_random: Array
    reason: NDArray[np.intp]


def base_values(inputs: RoiInputs) -> dict[str, Array]:
    """Return the base values as arrays of length 1."""
    return {name: np.array([inputs.estimate(name).base]) for name in SPECS}


def verdict_of(reason: int) -> tuple[Verdict, Reason]:
    """Return what the index of a reason means."""
    key = REASONS[reason]
    verdict: Verdict = "stop" if reason < 4 else "go" if key == "all_met" else "pilot"
    return verdict, key


def economics(v: Values, inputs: RoiInputs) -> Economics:
    """Compute the three alternatives for every set of values.

    Parameters
    ----------
    v : mapping of str to ndarray, shape (n,)
        One array per key of `SPECS`, in its unit.
    inputs : RoiInputs
        Its switches and thresholds; its estimates are not read.
    """
    condense = v["seconds_condense"] + (v["seconds_teacher"] if inputs.count_teacher else 0.0)
    full = _costs(v, "full", condense=None, store=v["bytes_full"])
    kept = v["bytes_full"] if inputs.keep_full_data else np.zeros_like(v["bytes_full"])
    condensed = _costs(v, "condensed", condense=condense, store=kept + v["bytes_condensed"])
    # A random subset is part of the full data: it needs storage of its own only where these are deleted.
    subset = kept if inputs.keep_full_data else v["bytes_condensed"]
    random = _costs(v, "random", condense=np.zeros_like(condense), store=subset)

    monthly = np.expm1(np.log1p(v["discount_rate"]) / 12)
    months = np.rint(v["horizon_months"])
    safe = np.where(monthly > 0, monthly, 1.0)
    annuity = np.where(monthly > 0, -np.expm1(-months * np.log1p(monthly)) / safe, months)
    saved = full.per_month - condensed.per_month
    npv = saved * annuity - condensed.one_off
    npv_random = (full.per_month - random.per_month) * annuity - random.one_off

    limits = inputs.thresholds
    loss = v["map_full"] - v["map_condensed"]
    within = saved * np.minimum(limits.go_payback_months, months) - condensed.one_off
    checks = [
        v["seconds_full"] <= v["seconds_condensed"],
        loss > limits.stop_map_loss,
        npv < limits.stop_npv,
        npv_random >= npv,
        loss > limits.go_map_loss,
        npv < limits.go_npv,
        within < 0,
    ]
    reason = np.select(checks, list(range(len(checks))), default=len(checks))
    return Economics(full, condensed, random, npv, npv_random, reason)


def _costs(v: Values, kind: str, *, condense: Array | None, store: Array) -> Costs:
    """Return the costs of one alternative; ``condense`` is None for full data, which needs no migration."""
    scale = v["workload_scale"] / SECONDS_PER_HOUR
    training_hours = v["trainings_per_month"] * v[f"seconds_{kind}"] * scale
    kilowatts = v["power_watts"] / 1000
    storage = v["workload_scale"] * store / BYTES_PER_GB * v["storage_price"]
    monthly = {
        "training": training_hours * v["compute_price"],
        "energy": training_hours * kilowatts * v["kwh_price"],
        "storage": storage,
    }
    if condense is None:
        return Costs({"migration": np.zeros_like(scale)}, monthly, np.zeros_like(scale), training_hours)

    condense_hours = condense * scale
    per_year = v["recondensations_per_year"] / 12
    # Only a loss is counted: a model that scores above full data earns nothing by it.
    points_lost = POINTS * np.maximum(v["map_full"] - v[f"map_{kind}"], 0.0)
    failing = np.minimum(v["failure_share_per_point"] * points_lost, 1.0)
    hour = v["compute_price"] + kilowatts * v["kwh_price"]
    once = {"migration": v["migration_days"] * v["engineer_day_rate"], "condensing": condense_hours * hour}
    monthly |= {
        "energy": monthly["energy"] + condense_hours * per_year * kilowatts * v["kwh_price"],
        "recondensing": condense_hours * per_year * v["compute_price"],
        "monitoring": v["monitoring_days_per_month"] * v["engineer_day_rate"],
        "lost_quality": v["searches_per_month"] * failing * v["failure_cost"],
    }
    return Costs(once, monthly, condense_hours, training_hours + condense_hours * per_year)


def _total(parts: dict[str, Array]) -> Array:
    return np.asarray(np.sum(list(parts.values()), axis=0), dtype=np.float64)
