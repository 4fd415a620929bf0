"""The cost model itself, for many sets of inputs at once: every value is an array with one entry per set."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from pocket.roi.fields import SPECS
from pocket.roi.inputs import RoiInputs

Array = NDArray[np.float64]
Values = Mapping[str, Array]
Verdict = Literal["go", "pilot", "stop"]
Trained = Literal["full", "condensed", "random", "hybrid"]
Reason = Literal[
    "equally_long",
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
    """Monthly saving and NPV against full data of the condensed set, NPV of the random one, and the decision."""

    saved: Array
    once: Array
    npv_condensed: Array
    npv_random: Array
    reason: NDArray[np.intp]


def base_values(inputs: RoiInputs) -> dict[str, Array]:
    """Return the base values as arrays of length 1."""
    return {name: np.array([inputs.estimate(name).base]) for name in SPECS}


def verdict_of(reason: int) -> tuple[Verdict, Reason]:
    """Return what the index of a reason means."""
    key = REASONS[reason]
    verdict: Verdict = "stop" if reason <= REASONS.index("random_better") else "go" if key == "all_met" else "pilot"
    return verdict, key


def trainings_per_month(v: Values) -> Array:
    """Return the trainings a month: retraining + hyper-parameter search + comparisons of lengths × methods × seeds."""
    each = v["code_lengths"] * v["hashing_methods"] * v["seeds"]
    return v["retrainings_per_month"] + v["search_trials_per_month"] + v["comparisons_per_month"] * each


def economics(v: Values, inputs: RoiInputs) -> Economics:
    """Weigh the condensed set and a random subset against full data, for every set of values.

    Parameters
    ----------
    v : mapping of str to ndarray, shape (n,)
        One array per key of `SPECS`, in its unit.
    inputs : RoiInputs
        Its switches and thresholds; its estimates are not read.
    """
    full, condensed, random = (costs_of(name, v, inputs) for name in ("full", "condensed", "random"))
    months = whole_months(v["horizon_months"])
    factor = annuity(v["discount_rate"], months)
    per_month, once = full.per_month, condensed.one_off
    saved = per_month - condensed.per_month
    npv = saved * factor - once
    npv_random = (per_month - random.per_month) * factor - random.one_off

    limits = inputs.thresholds
    loss = v["map_full"] - v["map_condensed"]
    within = saved * np.minimum(limits.go_payback_months, months) - once
    # Where no training gets shorter, money can only come from storage that ends with deleted data: rarely, but it can.
    vain = npv <= 0
    checks = [
        # So fed where both take the same steps (see `measure`): measured seconds do not agree to the last digit.
        vain & (v["seconds_full"] == v["seconds_condensed"]),
        vain & (v["seconds_full"] <= v["seconds_condensed"]),
        loss > limits.stop_map_loss,
        npv < limits.stop_npv,
        npv_random >= npv,
        loss > limits.go_map_loss,
        npv < limits.go_npv,
        within < 0,
    ]
    reason = np.select(checks, list(range(len(checks))), default=len(checks))
    return Economics(saved, once, npv, npv_random, reason)


def whole_months(months: Array) -> Array:
    """Return months as whole ones, halves up as a spreadsheet rounds (NumPy and Python round them to even)."""
    found: Array = np.floor(months + 0.5)
    return found


def annuity(yearly: Array, months: Array) -> Array:
    """Return the present value of 1 paid at the end of each of ``months`` months, at a yearly rate."""
    monthly = np.expm1(np.log1p(yearly) / 12)
    safe = np.where(monthly > 0, monthly, 1.0)
    found: Array = np.where(monthly > 0, -np.expm1(-months * np.log1p(monthly)) / safe, months)
    return found


def costs_of(name: Trained, v: Values, inputs: RoiInputs) -> Costs:
    """Return the costs of one alternative that keeps training, for every set of values.

    Full data need no migration; the hybrid is the condensed set with a periodic fine-tuning on a share of real images.
    While a roll-out overlaps, full data are trained beside: saving begins only after. What that costs is charged once,
    at the start, so that it is neither discounted nor spread.
    """
    scale = v["workload_scale"] / SECONDS_PER_HOUR
    kilowatts = v["power_watts"] / 1000
    energy_price = kilowatts * v["kwh_price"]
    kind = "condensed" if name == "hybrid" else name
    trainings = trainings_per_month(v) * scale
    training_hours = trainings * v[f"seconds_{kind}"]
    monthly = {
        "training": training_hours * v["compute_price"],
        "energy": training_hours * energy_price,
        "storage": v["workload_scale"] * _stored(name, v, inputs) / BYTES_PER_GB * v["storage_price"],
    }
    if name == "full":
        return Costs({"migration": np.zeros_like(scale)}, monthly, np.zeros_like(scale), training_hours)

    if name == "random":
        condense_hours = np.zeros_like(scale)
    else:
        condense_hours = (v["seconds_condense"] + (v["seconds_teacher"] if inputs.count_teacher else 0.0)) * scale
    again_hours = condense_hours * v["recondensations_per_year"] / 12
    hours = training_hours + again_hours
    monthly["recondensing"] = again_hours * v["compute_price"]
    if name == "hybrid":
        tune_hours = v["finetunes_per_month"] * v["seconds_finetune"] * scale
        monthly["finetuning"] = tune_hours * v["compute_price"]
        hours = hours + tune_hours
    monthly["energy"] = hours * energy_price
    monthly["monitoring"] = v["monitoring_days_per_month"] * v["engineer_day_rate"]
    rise = v.get(f"failed_{name}")  # as measured, in place of the assumed link: see `uncertainty.failed_as_measured`
    if rise is None:
        monthly["lost_quality"] = lost_quality(v, v["map_full"] - v[f"map_{name}"])
    else:
        monthly["lost_quality"] = v["searches_per_month"] * rise * v["failure_cost"]
    beside = np.minimum(v["overlap_months"], whole_months(v["horizon_months"]))  # beyond it nothing else is counted
    overlap_hours = beside * trainings * v["seconds_full"]
    once = {
        "migration": v["migration_days"] * v["engineer_day_rate"],
        "condensing": condense_hours * (v["compute_price"] + energy_price),
        "overlap": overlap_hours * (v["compute_price"] + energy_price),
    }
    return Costs(once, monthly, condense_hours + overlap_hours, hours)


def lost_quality(v: Values, loss: Array) -> Array:
    """Return what a loss of mAP (a fraction) costs a month; a model above full data earns nothing by it."""
    failing = np.minimum(v["failure_share_per_point"] * POINTS * np.maximum(loss, 0.0), 1.0)
    found: Array = v["searches_per_month"] * failing * v["failure_cost"]
    return found


def doing_nothing(v: Values, months: int) -> tuple[Array, Array]:
    """Return the monthly costs, shape (months,), of today's model never trained again: storage, and lost quality.

    mAP falls by ``map_decay_per_month`` every month; ``v`` holds one set of values.
    """
    storage = v["workload_scale"] * v["bytes_full"] / BYTES_PER_GB * v["storage_price"]
    fallen = np.minimum(np.arange(1, months + 1) * v["map_decay_per_month"], v["map_full"])
    return np.repeat(storage, months), lost_quality(v, fallen)


def _stored(name: Trained, v: Values, inputs: RoiInputs) -> Array:
    """Return the bytes kept; a random subset is part of the full data, so it costs only where these are deleted."""
    full, condensed = v["bytes_full"], v["bytes_condensed"]
    if name == "full" or (name == "random" and inputs.keep_full_data):
        return full
    if name == "random":
        return condensed
    kept = full if inputs.keep_full_data else v["real_share"] * full if name == "hybrid" else np.zeros_like(full)
    return kept + condensed


def _total(parts: dict[str, Array]) -> Array:
    return reduce(np.add, parts.values())
