"""The figures of a return on investment: units, ranges, estimates with their sources, and the rule of the decision."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Source = Literal["measured", "price", "assumption"]


class Spec(NamedTuple):
    """Unit and allowed range of one input; ``group`` is what kind of figure it is."""

    group: Literal["measured", "price", "business"]
    unit: str
    minimum: float
    maximum: float


SPECS: dict[str, Spec] = {
    "seconds_full": Spec("measured", "seconds", 1e-3, 1e9),
    "seconds_condense": Spec("measured", "seconds", 0, 1e9),
    "seconds_teacher": Spec("measured", "seconds", 0, 1e9),
    "seconds_condensed": Spec("measured", "seconds", 1e-3, 1e9),
    "seconds_random": Spec("measured", "seconds", 1e-3, 1e9),
    "map_full": Spec("measured", "map", 0, 1),
    "map_condensed": Spec("measured", "map", 0, 1),
    "map_random": Spec("measured", "map", 0, 1),
    "seconds_finetune": Spec("measured", "seconds", 0, 1e9),
    "map_hybrid": Spec("measured", "map", 0, 1),
    "bytes_full": Spec("measured", "bytes", 0, 1e18),
    "bytes_condensed": Spec("measured", "bytes", 0, 1e18),
    "compute_price": Spec("price", "currency_per_hour", 0, 1e7),
    "storage_price": Spec("price", "currency_per_gb_month", 0, 1e6),
    "engineer_day_rate": Spec("price", "currency_per_day", 0, 1e8),
    "power_watts": Spec("price", "watts", 0, 1e7),
    "kwh_price": Spec("price", "currency_per_kwh", 0, 1e5),
    "co2_per_kwh": Spec("price", "kg_per_kwh", 0, 5),
    "workload_scale": Spec("business", "times", 1e-3, 1e9),
    "retrainings_per_month": Spec("business", "per_month", 0, 1e6),
    "search_trials_per_month": Spec("business", "per_month", 0, 1e6),
    "comparisons_per_month": Spec("business", "per_month", 0, 1e4),
    "code_lengths": Spec("business", "number", 1, 100),
    "hashing_methods": Spec("business", "number", 1, 100),
    "seeds": Spec("business", "number", 1, 100),
    "migration_days": Spec("business", "days", 0, 1e4),
    "overlap_months": Spec("business", "months", 0, 120),
    "recondensations_per_year": Spec("business", "per_year", 0, 1e3),
    "monitoring_days_per_month": Spec("business", "days_per_month", 0, 31),
    "searches_per_month": Spec("business", "per_month", 0, 1e12),
    "failure_share_per_point": Spec("business", "share_per_point", 0, 1),
    "failure_cost": Spec("business", "currency", 0, 1e9),
    "finetunes_per_month": Spec("business", "per_month", 0, 1e6),
    "real_share": Spec("business", "share", 0, 1),
    "map_decay_per_month": Spec("business", "map_per_month", 0, 1),
    "horizon_months": Spec("business", "months", 1, 120),
    "discount_rate": Spec("business", "yearly_rate", 0, 1),
}

# Keys of our own notes; `pocket.presentation.roi_text.note` says them in the reader's language.
YOURS, ENTERED, MEASURED = "yours", "entered", "measured"
HYBRID_SHARE, HYBRID_UNMEASURED = "hybrid_share", "hybrid_unmeasured"
MOST_MONEY = 1e15
PRICES_IN_CURRENCY = tuple(name for name, spec in SPECS.items() if spec.unit.startswith("currency"))


class InputError(ValueError):
    """An input that is out of range. Attributes ``field``, ``value``, ``minimum``, ``maximum``."""

    def __init__(self, field: str, value: float, minimum: float, maximum: float) -> None:
        self.field, self.value, self.minimum, self.maximum = field, value, minimum, maximum
        super().__init__(f"{field} = {value!r} is outside the allowed range {minimum:g} to {maximum:g}")


class Estimate(BaseModel):
    """One figure with its range: ``low`` ≤ ``base`` ≤ ``high``, in ``unit``.

    ``source`` says where it comes from; ``note`` holds what a reader needs to check it, for a price the
    vendor and the date: words of the user's own, or the key of one of ours, such as `YOURS`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    low: float
    base: float
    high: float
    unit: str
    source: Source = "assumption"
    note: str = YOURS

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.low <= self.base <= self.high:
            raise ValueError(f"base = {self.base:g} is outside the allowed range {self.low:g} to {self.high:g}")
        if self.source == "price" and not re.search(r"\b(19|20)\d\d\b", self.note):
            raise ValueError(f"note = {self.note!r} of a price must name the vendor and the date with its year")
        return self


class Thresholds(BaseModel):
    """The rule of the decision, set and seen by the user.

    Go needs all three ``go_`` limits; either ``stop_`` limit is enough to stop; between them is a pilot.
    NPV in currency, losses of mAP as fractions (0.05 is five points), payback in months.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    go_npv: float = 0.0
    go_payback_months: int = Field(12, ge=1, le=120)
    go_map_loss: float = Field(0.05, ge=0, le=1)
    stop_npv: float = 0.0
    stop_map_loss: float = Field(0.15, ge=0, le=1)

    def allowed(self, name: str) -> tuple[float, float]:
        """Return the lowest and highest value that limit ``name`` may take, the others being as they are.

        Raises
        ------
        ValueError
            If there is no such limit.
        """
        ranges: dict[str, tuple[float, float]] = {
            "go_npv": (self.stop_npv, MOST_MONEY),
            "go_payback_months": (1, 120),
            "go_map_loss": (0, self.stop_map_loss),
            "stop_npv": (-MOST_MONEY, self.go_npv),
            "stop_map_loss": (self.go_map_loss, 1),
        }
        if name not in ranges:
            raise ValueError(f"unknown threshold {name!r}; choose one of {', '.join(ranges)}")
        return ranges[name]

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.stop_npv > self.go_npv:
            raise ValueError(
                f"stop_npv = {self.stop_npv:g} is outside the allowed range: go_npv ({self.go_npv:g}) or less"
            )
        if self.stop_map_loss < self.go_map_loss:
            raise ValueError(
                f"stop_map_loss = {self.stop_map_loss:g} is outside the allowed range: "
                f"go_map_loss ({self.go_map_loss:g}) to 1"
            )
        return self
