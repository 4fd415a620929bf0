"""The validated result of the ROI model, saved as ``roi.json``."""

from __future__ import annotations

from datetime import date
from typing import ClassVar, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

from pocket.roi.economics import Reason, Verdict
from pocket.roi.finance import IrrReason
from pocket.roi.inputs import RoiInputs
from pocket.runs import Record

AlternativeName = Literal["full", "condensed", "random", "hybrid", "nothing"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Axes(_Part):
    """The three axes. mAP differences are condensed minus the other, as fractions (0.01 is one point)."""

    training_time_reduction: float
    seconds_saved: float
    map_against_full: float
    map_against_random: float
    migration_days: float
    migration_cost: float


class BreakEven(_Part):
    """Trainings (months, date) after which condensing is repaid in machine time; None is "never".

    The months count from the switch of all traffic, before which nothing is saved; the date is the month they end in.
    What condensing again takes, spread over the trainings, is subtracted from what each of them saves.
    """

    trainings: float | None
    months: float | None
    date: date | None


class Alternative(_Part):
    """One way to work: costs in currency over the horizon, by component; NPV against full data.

    ``"nothing"`` keeps today's model and never trains again: its ``map`` is that at the end of the horizon, and its
    monthly cost of lost quality, which grows, is the mean over the horizon.
    """

    name: AlternativeName
    map: float
    once: dict[str, float]
    monthly: dict[str, float]
    total: float
    npv: float


class Period(_Part):
    """One month in currency; month 0 is now. ``net`` is what the condensed set saves against full data."""

    month: int
    full: float
    condensed: float
    net: float
    discounted: float
    cumulative: float
    cumulative_discounted: float


class FiscalYear(_Part):
    """A fiscal year in currency, named by the calendar year it begins in; month 0 counts to the year of month 1."""

    year: int
    months: int
    full: float
    condensed: float
    net: float
    discounted: float


class Energy(_Part):
    """Electricity of training and condensing over the horizon: seconds measured, watts stated."""

    label: Literal["estimated"] = "estimated"
    kwh_full: float
    kwh_condensed: float
    co2_kg_full: float
    co2_kg_condensed: float


class Flip(_Part):
    """The nearest single change of an input, within its range, that changes the decision.

    ``fraction`` is how far that is on the way from base to low or high (0 to 1).
    """

    input: str
    base: float
    value: float
    fraction: float
    verdict: Verdict
    reason: Reason


class Decision(_Part):
    """Go, pilot or stop by the thresholds, and why; ``flip`` None: no single input changes it.

    ``better`` names the hybrid and doing nothing where their NPV is above that of the condensed set. They do not
    change the verdict, since they rest on assumptions (or deliver less: a model that is never trained again).
    """

    verdict: Verdict
    reason: Reason
    flip: Flip | None
    better: tuple[AlternativeName, ...]


class TornadoRow(_Part):
    """NPV with one input at its low and at its high, all others at base; failed searches as measured may be one."""

    input: str
    low: float
    high: float
    npv_low: float
    npv_high: float


class FailedCase(_Part):
    """NPV and decision with failed searches as measured in place of the assumed link from mAP to them.

    ``change`` is how many more fail than with all data (a difference of shares), ``cost`` what one costs in currency;
    everything else is at base.
    """

    change: float
    cost: float
    npv: float
    verdict: Verdict
    reason: Reason


class FanPoint(_Part):
    """Cumulative discounted saving at the end of a month over all draws; a draw past its horizon stays as it is.

    The last month is the base of the horizon, as in the schedule: draws with a longer one go on beyond it.
    """

    month: int
    p10: float
    p50: float
    p90: float


class Outcomes(_Part):
    """NPV over seeded draws, every input triangular between low, base and high, independently.

    ``break_even`` holds P10 and P90 of the trainings after which condensing is repaid in machine time, each None for
    "never"; it is None itself in records made before it was counted.
    """

    draws: int
    seed: int
    p10: float
    p50: float
    p90: float
    p_negative: float
    fan: tuple[FanPoint, ...]
    break_even: tuple[float | None, float | None] | None = None


class RoiReport(Record):
    """What `pocket.roi.compute` returns. Money in ``inputs.currency``, rates and shares as fractions.

    ``npv``, paybacks and ``irr`` compare the condensed set with full data; ``payback`` None means "not
    within the horizon". ``trainings_per_month`` is what the inputs add up to, ``trainings_needed`` how many make
    the NPV zero (None: no number does). ``trainings_needed_verdict`` and ``trainings_needed_reason`` are the decision
    at that number, which may still be to stop; None: there is no number, or the record was made before they were kept.
    ``years`` is empty where the inputs have no ``start``, ``failed`` where failed searches were not measured: it holds
    the mean and the ends of their interval, at the base and at the high of what one costs.
    """

    kind: ClassVar[str] = "roi"
    version: ClassVar[int] = 3

    sample: bool = Field(default=False, description="made from the sample data of the kit: nothing to decide on")
    inputs: RoiInputs
    axes: Axes
    break_even: BreakEven
    decision: Decision
    npv: float
    payback: int | None
    payback_discounted: int | None
    irr: float | None
    irr_reason: IrrReason | None
    trainings_per_month: float
    trainings_needed: float | None
    trainings_needed_verdict: Verdict | None = None
    trainings_needed_reason: Reason | None = None
    alternatives: tuple[Alternative, ...]
    energy: Energy
    outcomes: Outcomes
    tornado: tuple[TornadoRow, ...]
    failed: tuple[FailedCase, ...] = ()
    schedule: tuple[Period, ...]
    years: tuple[FiscalYear, ...]

    def alternative(self, name: AlternativeName) -> Alternative:
        """Return one of ``"full"``, ``"condensed"``, ``"random"``, ``"hybrid"``, ``"nothing"``.

        Raises
        ------
        ValueError
            If there is no such alternative.
        """
        for found in self.alternatives:
            if found.name == name:
                return found
        raise ValueError(f"unknown alternative {name!r}; choose one of {', '.join(get_args(AlternativeName))}")
