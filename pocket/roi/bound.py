"""The most that condensing could save, whatever it does: what training on all data costs, and storing deleted ones."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pocket.roi.economics import BYTES_PER_GB, SECONDS_PER_HOUR, base_values, trainings_per_month, whole_months
from pocket.roi.fields import SPECS, Estimate
from pocket.roi.inputs import RoiInputs


class Ceiling(NamedTuple):
    """The most that could be saved over the horizon, in currency and not discounted, and what that rests on.

    That is all that training on full data costs; where these are not kept (``deleted``), their storage, too.
    ``seconds`` are those of one training, as large as the user's.
    """

    amount: float
    currency: str
    months: int
    trainings: float
    seconds: float
    hour: float
    deleted: bool


def ceiling(inputs: RoiInputs) -> Ceiling:
    """Return what all trainings on full data cost over the horizon: were they free, no more could be saved.

    Where the full data are deleted, what storing them costs is in it.
    """
    base = {name: float(value[0]) for name, value in base_values(inputs).items()}
    return _ceiling(base, inputs.currency, deleted=not inputs.keep_full_data)


def ceiling_at(seconds_full: float, inputs: RoiInputs | None = None) -> Ceiling:
    """Return the same where one training on full data takes so many seconds: what a plan can say before any has run.

    Every other input is as in ``inputs``, by default our assumption. Where ``inputs`` hold seconds that were entered by
    hand, these count, as they will in the report.
    """
    if inputs is not None:
        measured = inputs.seconds_full.source == "measured"
        least = SPECS["seconds_full"].minimum
        return ceiling(inputs.with_base("seconds_full", max(seconds_full, least)) if measured else inputs)
    known = {name: RoiInputs.model_fields[name].default for name in SPECS}
    values = {name: estimate.base for name, estimate in known.items() if isinstance(estimate, Estimate)}
    return _ceiling(values | {"seconds_full": seconds_full}, RoiInputs.model_fields["currency"].default, deleted=False)


def _ceiling(base: dict[str, float], currency: str, *, deleted: bool) -> Ceiling:
    trainings = float(trainings_per_month({name: np.array([value]) for name, value in base.items()})[0])
    months = int(whole_months(np.array(base["horizon_months"])))
    hour = base["compute_price"] + base["power_watts"] / 1000 * base["kwh_price"]
    each = base["seconds_full"] * base["workload_scale"] / SECONDS_PER_HOUR * hour
    stored = base["workload_scale"] * base["bytes_full"] / BYTES_PER_GB * base["storage_price"] if deleted else 0.0
    return Ceiling(
        months * (trainings * each + stored),
        currency,
        months,
        trainings,
        base["seconds_full"] * base["workload_scale"],
        hour,
        deleted,
    )
