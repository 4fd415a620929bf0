"""What the return on investment is computed from: every figure with its unit, range and source."""

from __future__ import annotations

import math
import re
from datetime import date
from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from pocket.roi.fields import (
    ENTERED,
    HYBRID_SHARE,
    HYBRID_UNMEASURED,
    MEASURED,
    PRICES_IN_CURRENCY,
    SPECS,
    YOURS,
    Estimate,
    InputError,
    Thresholds,
)
from pocket.roi.measured import (
    EQUAL_SETS,
    EQUAL_STEPS,
    MEDIAN,
    OVER_QUERIES,
    FailedChange,
    Measured,
    MeasuredOn,
    measure,
)
from pocket.runs import Record, Run

Tax = Literal["excluded", "included"]


def _assumed(name: str, low: float, base: float, high: float, note: str = YOURS) -> Estimate:
    return Estimate(low=low, base=base, high=high, unit=SPECS[name].unit, note=note)


class RoiInputs(Record):
    """Everything `pocket.roi.compute` reads; one `Estimate` per entry of `SPECS`.

    Money is in ``currency`` (ISO 4217), tax as ``tax`` says. The default prices and business figures are
    assumptions in JPY, meant to be replaced. ``workload_scale`` multiplies every measured second and byte:
    1 is the run as measured. ``count_teacher`` adds the seconds of the full-data model to the cost of
    condensing, for a user who would not have trained it anyway. ``keep_full_data`` keeps paying for the
    storage of all data beside the condensed set (it is needed to condense again). ``measured_on`` is what
    figures with the note `MEASURED` were measured on. ``failed`` is the measured change of failed searches, which the
    model weighs beside the assumed link from mAP to them (`RoiReport.failed`). ``start`` is the first
    day of month 1, for the break-even date and the fiscal years, which begin with ``fiscal_year_month``
    (4 for Japan's April).

    Raises
    ------
    ValueError
        If a figure is out of range; the message names the field, the value and the range.
    """

    kind: ClassVar[str] = "roi-inputs"
    version: ClassVar[int] = 3

    dataset: str = ""
    ipc: int = Field(0, ge=0)
    measured_on: MeasuredOn | None = None
    failed: FailedChange | None = None
    currency: str = "JPY"
    tax: Tax = "excluded"
    start: date | None = None
    fiscal_year_month: int = Field(4, ge=1, le=12)
    count_teacher: bool = False
    keep_full_data: bool = True
    thresholds: Thresholds = Field(default_factory=lambda: Thresholds.model_validate({}))

    seconds_full: Estimate
    seconds_condense: Estimate
    seconds_teacher: Estimate
    seconds_condensed: Estimate
    seconds_random: Estimate
    seconds_finetune: Estimate
    map_full: Estimate
    map_condensed: Estimate
    map_random: Estimate
    map_hybrid: Estimate
    bytes_full: Estimate
    bytes_condensed: Estimate

    compute_price: Estimate = _assumed("compute_price", 200, 500, 1500)
    storage_price: Estimate = _assumed("storage_price", 2, 4, 8)
    engineer_day_rate: Estimate = _assumed("engineer_day_rate", 40_000, 60_000, 90_000)
    power_watts: Estimate = _assumed("power_watts", 150, 300, 700)
    kwh_price: Estimate = _assumed("kwh_price", 0, 0, 0, "power_in_price")
    co2_per_kwh: Estimate = _assumed("co2_per_kwh", 0.3, 0.45, 0.6)

    workload_scale: Estimate = _assumed("workload_scale", 1, 1, 1, "as_measured")
    retrainings_per_month: Estimate = _assumed("retrainings_per_month", 1, 4, 12)
    search_trials_per_month: Estimate = _assumed("search_trials_per_month", 4, 16, 60)
    comparisons_per_month: Estimate = _assumed("comparisons_per_month", 0.25, 1, 2)
    code_lengths: Estimate = _assumed("code_lengths", 1, 5, 5)
    hashing_methods: Estimate = _assumed("hashing_methods", 1, 2, 5)
    seeds: Estimate = _assumed("seeds", 1, 3, 5)
    migration_days: Estimate = _assumed("migration_days", 5, 10, 20)
    overlap_months: Estimate = _assumed("overlap_months", 2, 4, 8, "overlap")
    recondensations_per_year: Estimate = _assumed("recondensations_per_year", 1, 4, 12, "machine_alone")
    monitoring_days_per_month: Estimate = _assumed("monitoring_days_per_month", 0.25, 0.5, 1, "people")
    searches_per_month: Estimate = _assumed("searches_per_month", 10_000, 100_000, 1_000_000)
    failure_share_per_point: Estimate = _assumed("failure_share_per_point", 0, 0.001, 0.005)
    failure_cost: Estimate = _assumed("failure_cost", 0, 1, 10)
    finetunes_per_month: Estimate = _assumed("finetunes_per_month", 1, 4, 12)
    real_share: Estimate = _assumed("real_share", 0.01, 0.05, 0.2)
    map_decay_per_month: Estimate = _assumed("map_decay_per_month", 0, 0.002, 0.01, "decay")
    horizon_months: Estimate = _assumed("horizon_months", 12, 36, 60)
    discount_rate: Estimate = _assumed("discount_rate", 0.02, 0.05, 0.1)

    @model_validator(mode="after")
    def _in_range(self) -> Self:
        if not re.fullmatch(r"[A-Z]{3}", self.currency):
            raise ValueError(f"currency = {self.currency!r} is outside the allowed range: three letters of ISO 4217")
        if self.currency != "JPY" and (unset := set(PRICES_IN_CURRENCY) - self.model_fields_set):
            raise ValueError(
                f"currency = {self.currency!r}, but the default prices are in JPY; set {', '.join(sorted(unset))} too"
            )
        for name, spec in SPECS.items():
            estimate = self.estimate(name)
            if estimate.unit != spec.unit:
                raise ValueError(f"{name}: unit {estimate.unit!r} is not allowed; it is {spec.unit!r}")
            for value in (estimate.low, estimate.base, estimate.high):
                if not spec.minimum <= value <= spec.maximum:
                    raise InputError(name, value, spec.minimum, spec.maximum)
            if estimate.note in (MEASURED, MEDIAN, EQUAL_STEPS, EQUAL_SETS, OVER_QUERIES) and self.measured_on is None:
                raise ValueError(
                    f"{name}: note {estimate.note!r} needs measured_on: the device, the seeds and the protocol"
                )
        return self

    def estimate(self, name: str) -> Estimate:
        """Return the estimate ``name``.

        Raises
        ------
        ValueError
            If there is no such input.
        """
        found: Estimate = getattr(self, self._known(name))
        return found

    @staticmethod
    def _known(name: str) -> str:
        if name not in SPECS:
            raise ValueError(f"unknown input {name!r}; choose one of {', '.join(SPECS)}")
        return name

    def with_base(self, name: str, value: float, *, note: str = ENTERED, of: Estimate | None = None) -> Self:
        """Return a copy in which the input ``name`` is ``value``, tagged as an assumption.

        Low and high keep their distance from the base in proportion, cut to the allowed range.

        Parameters
        ----------
        name : str
            A key of `SPECS`.
        value : float
            In the unit and range of ``SPECS[name]``.
        note : str
        of : Estimate, optional
            Whose proportions low and high take; default: the input as it is. A value that is changed again and again
            keeps its range only if that is the first one: cut at a bound, it would not come back.

        Raises
        ------
        InputError
            If the value is not a number in the allowed range.
        ValueError
            If there is no such input.
        """
        old = of or self.estimate(name)
        spec = SPECS[self._known(name)]
        if not math.isfinite(value) or not spec.minimum <= value <= spec.maximum:
            raise InputError(name, value, spec.minimum, spec.maximum)
        if old.base > 0 < value:
            low, high = old.low / old.base * value, old.high / old.base * value
        else:
            low, high = value - (old.base - old.low), value + (old.high - old.base)
        new = Estimate(
            low=min(max(low, spec.minimum), value),
            base=value,
            high=max(min(high, spec.maximum), value),
            unit=old.unit,
            note=note,
        )
        return self._rebuilt({name: new})

    def with_end(self, name: str, end: Literal["low", "high"], value: float) -> Self:
        """Return a copy in which the low or high end of the input ``name`` is ``value``; its base stays.

        Raises
        ------
        InputError
            If the value is not a number between the allowed end and the base.
        ValueError
            If there is no such input.
        """
        old, spec = self.estimate(name), SPECS[name]
        minimum, maximum = (spec.minimum, old.base) if end == "low" else (old.base, spec.maximum)
        if not math.isfinite(value) or not minimum <= value <= maximum:
            raise InputError(name, value, minimum, maximum)
        return self._rebuilt({name: old.model_copy(update={end: value})})

    def with_threshold(self, name: str, value: float) -> Self:
        """Return a copy with another limit of the decision, a field of `Thresholds`.

        Raises
        ------
        InputError
            If the value is not a number in the range that the other limits leave.
        ValueError
            If there is no such limit.
        """
        minimum, maximum = self.thresholds.allowed(name)
        if not math.isfinite(value) or not minimum <= value <= maximum:
            raise InputError(name, value, minimum, maximum)
        value = round(value) if name == "go_payback_months" else value
        return self._rebuilt({"thresholds": Thresholds.model_validate({**self.thresholds.model_dump(), name: value})})

    def with_setting(self, **settings: object) -> Self:
        """Return a copy with other settings: ``tax``, ``fiscal_year_month``, ``start``, ``count_teacher``,
        ``keep_full_data``.

        Raises
        ------
        ValueError
            If there is no such setting, or its value is not allowed.
        """
        if unknown := settings.keys() - {"tax", "fiscal_year_month", "start", "count_teacher", "keep_full_data"}:
            raise ValueError(f"unknown setting {', '.join(sorted(unknown))}")
        return self._rebuilt(settings)

    def remeasured(self, run: Run | Path) -> Self:
        """Return a copy whose measured figures are read again from ``run``; changed ones stay as they are.

        What was assumed of hybrid operation until it is measured gives way to the measurement.
        """
        fresh = type(self).from_run(run, ipc=self.ipc or None)
        measured = {name for name in SPECS if self.estimate(name).source == "measured"}
        if fresh.map_hybrid.source == "measured":
            measured |= {
                name for name in ("map_hybrid", "seconds_finetune") if self.estimate(name).note == HYBRID_UNMEASURED
            }
            if self.real_share == type(self).model_fields["real_share"].default:
                measured.add("real_share")
        head: dict[str, object] = {"start": self.start or fresh.start, "measured_on": fresh.measured_on}
        head["failed"] = fresh.failed
        return self._rebuilt(head | {name: fresh.estimate(name) for name in measured})

    def _rebuilt(self, changes: dict[str, object]) -> Self:
        fields = {name: getattr(self, name) for name in type(self).model_fields}
        return type(self).model_validate(fields | changes)

    @classmethod
    def from_run(cls, run: Run | Path | str, ipc: int | None = None) -> Self:
        """Read the measured figures from a run's ``training.json`` and ``condensation.json``.

        Hard labels; the condensed set is IEM's; the random subset is the stronger of whole images and
        tiles. The teacher is counted where the set was condensed with one. Base is the mean over seeds, for seconds
        their median. Low and high are the 95 % interval for mAP (over seeds or over groups of queries, the
        wider one), the fastest and the slowest seed for seconds (of equal trainings see `pocket.roi.measured.measure`).
        Hybrid operation is assumed to retrieve no better than the condensed set, for one more training on that set a
        time, where the run has not measured it.

        Parameters
        ----------
        run : Run, Path or str
            A run, or its folder.
        ipc : int, optional
            Stored images per class; the largest that was condensed by default.

        Raises
        ------
        ArtefactError
            If a record is missing or damaged.
        ValueError
            If the run holds no condensed or random set of that size.
        """
        found: Measured = measure(Path(run) if isinstance(run, Path | str) else run.folder, ipc)
        figures = {
            name: Estimate(
                low=max(values[0], SPECS[name].minimum),
                base=max(values[1], SPECS[name].minimum),
                high=min(max(values[2], SPECS[name].minimum), SPECS[name].maximum),
                unit=SPECS[name].unit,
                source="measured",
                note=found.notes.get(name, MEASURED),
            )
            for name, values in found.figures.items()
        }
        if "real_share" in figures:  # chosen, not measured
            figures["real_share"] = figures["real_share"].model_copy(
                update={"source": "assumption", "note": HYBRID_SHARE}
            )
        for name, like in (("map_hybrid", "map_condensed"), ("seconds_finetune", "seconds_condensed")):
            if name not in figures:
                figures[name] = figures[like].model_copy(update={"source": "assumption", "note": HYBRID_UNMEASURED})
        head = {"dataset": found.dataset, "ipc": found.ipc, "start": found.start, "measured_on": found.on}
        head |= {"count_teacher": found.teacher, "failed": found.failed}
        return cls.model_validate(head | figures)
