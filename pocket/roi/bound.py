"""The most that condensing could save, whatever it does: what training on all data costs."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pocket.roi.economics import SECONDS_PER_HOUR, base_values, trainings_per_month, whole_months
from pocket.roi.fields import SPECS, Estimate
from pocket.roi.inputs import RoiInputs


class Ceiling(NamedTuple):
    """All that training on full data costs over the horizon, in currency and not discounted, and what that rests on."""

    amount: float
    currency: str
    months: int
    trainings: float
    hour: float


def ceiling(inputs: RoiInputs) -> Ceiling:
    """Return what all trainings on full data cost over the horizon: were they free, no more could be saved."""
    return _ceiling({name: float(value[0]) for name, value in base_values(inputs).items()}, inputs.currency)


def ceiling_by_default(seconds_full: float) -> Ceiling:
    """Return the same for one training on full data of so many seconds, every other input at its default."""
    known = {name: RoiInputs.model_fields[name].default for name in SPECS}
    values = {name: estimate.base for name, estimate in known.items() if isinstance(estimate, Estimate)}
    return _ceiling(values | {"seconds_full": seconds_full}, RoiInputs.model_fields["currency"].default)


def _ceiling(base: dict[str, float], currency: str) -> Ceiling:
    trainings = float(trainings_per_month({name: np.array([value]) for name, value in base.items()})[0])
    months = int(whole_months(np.array(base["horizon_months"])))
    hour = base["compute_price"] + base["power_watts"] / 1000 * base["kwh_price"]
    each = base["seconds_full"] * base["workload_scale"] / SECONDS_PER_HOUR * hour
    return Ceiling(months * trainings * each, currency, months, trainings, hour)
