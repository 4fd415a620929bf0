"""The staged roll-out of the brief: stages with go / no-go criteria from the run's limits, and KPIs with targets."""

from __future__ import annotations

import math
from datetime import date
from typing import NamedTuple

from pocket.presentation.checklist import CONDENSED, FULL, diagnosed
from pocket.presentation.i18n import (
    PLUS_MINUS,
    at_most,
    duration,
    exact,
    in_brackets,
    number,
    percent,
    plain,
    sentences,
    translator,
)
from pocket.presentation.i18n import date as month_of
from pocket.presentation.roi_text import amounts
from pocket.roi import RoiInputs, RoiReport
from pocket.roi.report import AlternativeName
from pocket.runs import Run
from pocket.runs.records import Cell, summarise
from pocket.runs.retrieval import FAILED_RANK, RetrievalComparison, RetrievalReport

TRAFFIC = 0.1  # of the searches in stage 3


class _Plan(NamedTuple):
    """When a stage begins, months after the start, how many weeks it takes, and who owns it."""

    month: int
    weeks: int | None
    owner: str


# Assumed, and said so on the page: there is no measuring how long a company takes. When all traffic is switched follows
# from the overlap of the inputs, in which the sums count no saving: see `_plan`.
PLAN = {
    "poc": _Plan(0, 4, "ml"),
    "shadow": _Plan(1, 4, "ops"),
    "part": _Plan(2, 8, "ops"),
    "full": _Plan(4, None, "it"),
}


class Stage(NamedTuple):
    """A stage in words."""

    name: str
    time: str
    go: str
    stop: str
    owner: str


class Kpi(NamedTuple):
    """A figure to watch: today's value, what the condensed set gives, the target, how it is measured, who owns it."""

    name: str
    full: str
    condensed: str
    target: str
    how: str
    owner: str


def introduction(report: RoiReport, lang: str, *, trial: bool = False) -> str:
    """Say how far the roll-out is proposed at all, by the verdict; ``trial``: its first stage was the run itself."""
    reason, verdict = report.decision.reason, report.decision.verdict
    if reason == "equally_long":
        return translator(lang)("rollout.text_equally_long")
    key = reason if reason == "random_better" else verdict
    return translator(lang)(f"rollout.text_{key}_trial" if trial else f"rollout.text_{key}")


def stages(report: RoiReport, lang: str, *, trial: bool = False) -> list[Stage]:
    """Return the four stages: small trial, shadow run, part of the traffic, all of it.

    ``trial``: the run itself was the small trial, so that the next stage is the first to come.
    """
    t, inputs = translator(lang), report.inputs
    limits, currency = inputs.thresholds, inputs.currency
    per_point = inputs.failure_share_per_point.base
    said = {
        "go_npv": exact(limits.go_npv, currency, lang),
        "stop_npv": exact(limits.stop_npv, currency, lang),
        "months": limits.go_payback_months,
        "go_loss": _points(limits.go_map_loss, lang),
        "stop_loss": _points(limits.stop_map_loss, lang),
        "go_rise": _rise(limits.go_map_loss, per_point),
        "stop_rise": _rise(limits.stop_map_loss, per_point),
        "cost": at_most(_monthly_cost(report, "condensed") + _beside(report), currency, lang),
        **_named(report, lang),
        "share": percent(TRAFFIC, lang, 0),
    }
    return [
        Stage(
            t(f"rollout.{key}", **said),
            t("rollout.done") if trial and key == "poc" else _when(inputs.start, plan, lang),
            t(f"rollout.{key}_go{'_unset' if key == 'part' and not _pays(report) else ''}", **said),
            t(f"rollout.{key}_stop", **said),
            t(f"brief.owner_{plan.owner}"),
        )
        for key, plan in _plan(inputs, trial=trial).items()
    ]


def no_saving(report: RoiReport, lang: str, *, trial: bool = False) -> str:
    """Say for how many months the sums count no saving, and whether that is until all traffic is switched."""
    overlap, switch = report.inputs.overlap_months.base, _plan(report.inputs, trial=trial)["full"].month
    words = {"months": plain(min(overlap, len(report.schedule) - 1)), "switch": switch}  # charged within the horizon
    return translator(lang)("rollout.no_saving" if overlap > switch - 1 else "rollout.saving_early", **words)


def _plan(inputs: RoiInputs, *, trial: bool) -> dict[str, _Plan]:
    """Return the stages with stage 3 as long as the overlap leaves, a month at least; a trial that is done is past."""
    passed = PLAN["shadow"].month if trial else 0
    found = {key: plan._replace(month=max(plan.month - passed, 0)) for key, plan in PLAN.items()}
    begin = found["part"].month
    switch = max(math.ceil(inputs.overlap_months.base), begin + 1)
    changed = {"part": found["part"]._replace(weeks=4 * (switch - begin)), "full": found["full"]._replace(month=switch)}
    return found | changed


def kpis(run: Run, report: RoiReport, full: list[Cell], condensed: list[Cell], lang: str) -> list[Kpi]:
    """Return the KPIs with the values of this run.

    Parameters
    ----------
    run : Run
        ``retrieval.json`` and ``diagnostics.json`` are read where they are there; else a line says "not measured".
    report : RoiReport
    full, condensed : list of Cell
        The seeds of the two trainings that the report compares.
    lang : {"en", "ja"}

    Raises
    ------
    ArtefactError
        If a record is there and damaged.
    """
    t, inputs = translator(lang), report.inputs
    limits, scale = inputs.thresholds, inputs.workload_scale.base

    def line(key: str, before: str, after: str, target: str, owner: str, how: str = "", **words: object) -> Kpi:
        told = t(f"kpi.{how or key + '_how'}", **words)
        return Kpi(t(f"kpi.{key}"), before, after, target, told, t(f"brief.owner_{owner}"))

    least = max(inputs.map_full.base - limits.go_map_loss, 0.0)
    found = diagnosed(run)
    calm = found.condensed.calm if found else None
    make, slowest = making_seconds(report)
    trainings = report.trainings_per_month
    today = trainings * inputs.seconds_full.base * scale
    later = trainings * inputs.seconds_condensed.base * scale + make * inputs.recondensations_per_year.base / 12
    sides: tuple[AlternativeName, ...] = ("full", "condensed")
    each = {name: _monthly_cost(report, name) for name in sides}
    costs = {name: amounts(each.values(), inputs.currency, lang)(value) for name, value in each.items()}
    pays = _pays(report)
    limit = t("kpi.at_most", value=at_most(each["condensed"], inputs.currency, lang)) if pays else t("kpi.cost_unset")
    how = "cost_how" if pays else "cost_unset_how"
    before, after, told = _failed(run, report, lang)
    rise = t("kpi.rise", value=_rise(limits.go_map_loss, inputs.failure_share_per_point.base))
    failed = line("failed", before, after, rise, "ops", rank=FAILED_RANK)
    failed = failed._replace(how=(f"{failed.how}{told}" if lang == "ja" else f"{failed.how} {told}").strip())
    return [
        line("map", _score(full), _score(condensed), t("kpi.at_least", value=number(least, 3)), "ml"),
        failed,
        line(
            "hours",
            duration(today, lang),
            duration(later, lang),
            t("kpi.at_most", value=duration(later, lang, up=True)),
            "ml",
        ),
        line("cost", costs["full"], costs["condensed"], limit, "finance", how=how, **_named(report, lang)),
        line(
            "drift",
            "–",
            t(f"checklist.{'alarm' if calm.alarm else 'no_alarm'}") if calm else t("kpi.unmeasured"),
            t("kpi.drift_target", rate=percent(calm.false_alarm, lang)) if calm else "–",
            "ops",
            how="drift_how" if calm else "drift_how_plain",
            **({"window": calm.window} if calm else {}),
        ),
        line("condense", "–", duration(make, lang), t("kpi.at_most", value=duration(slowest, lang, up=True)), "ml"),
    ]


def making_seconds(report: RoiReport) -> tuple[float, float]:
    """Return base and high of the seconds that making the set takes, with the teacher's where counted, as scaled."""
    inputs = report.inputs
    parts = [inputs.seconds_condense, *([inputs.seconds_teacher] if inputs.count_teacher else [])]
    scale = inputs.workload_scale.base
    return scale * sum(part.base for part in parts), scale * sum(part.high for part in parts)


def _when(start: date | None, plan: _Plan, lang: str) -> str:
    t = translator(lang)
    if start is None:
        return t("rollout.onward") if plan.weeks is None else t("rollout.weeks", weeks=plan.weeks)
    years, month = divmod(start.month - 1 + plan.month, 12)
    first = month_of(date(start.year + years, month + 1, 1), lang)
    if plan.weeks is None:
        return t("rollout.onward_from", date=first)
    return t("rollout.weeks_from", weeks=plan.weeks, date=first)


def _points(loss: float, lang: str) -> str:
    return translator(lang)("format.points", value=number(100 * loss, 1))


def _rise(loss: float, per_point: float) -> str:
    """Return by how many points more searches fail at this loss of mAP, by the inputs' own link."""
    return number(100 * min(100 * loss * per_point, 1.0), 2)


def _monthly_cost(report: RoiReport, name: AlternativeName) -> float:
    return sum(report.alternative(name).monthly.values())


def _pays(report: RoiReport) -> bool:
    """Whether the planned costs can be limits: where they bring no NPV that a go allows, whoever kept to them lost."""
    return report.npv >= report.inputs.thresholds.go_npv


def _beside(report: RoiReport) -> float:
    """Return what training on all data costs a month, paid beside until all traffic is switched."""
    monthly = report.alternative("full").monthly
    return monthly["training"] + monthly["energy"]


def _named(report: RoiReport, lang: str) -> dict[str, str]:
    """Return the amounts that a limit on costs names: what is paid beside, and what is assumed and on no invoice."""
    amounts_of = {"beside": _beside(report), "assumed": report.alternative("condensed").monthly["lost_quality"]}
    return {key: exact(value, report.inputs.currency, lang) for key, value in amounts_of.items()}


def _score(cells: list[Cell]) -> str:
    mean, half_width, count = summarise(cell.map for cell in cells)
    return number(mean, 3) + (f"{PLUS_MINUS}{number(half_width, 3)}" if count > 1 else "")


def _failed(run: Run, report: RoiReport, lang: str) -> tuple[str, str, str]:
    """Return the share of failed searches of all data and the condensed set, and what their difference is worth."""
    t, path = translator(lang), run.path("retrieval.json")
    found = RetrievalComparison.load(path) if path.is_file() else None
    if found is not None and found.failed is not None:
        full, condensed = found.failed.full, found.failed.condensed
        shown = _over_seeds(full, lang), _over_seeds(condensed, lang)
    else:
        sides = [_missed(found.models.get(name) if found else None) for name in (FULL, CONDENSED)]
        shown = _one_seed(sides[0], lang), _one_seed(sides[1], lang)
        if sides[0] is None or sides[1] is None:
            return (*shown, "")
        full, condensed = (sides[0],), (sides[1],)
    mean, half_width, count = summarise(100 * (ours - theirs) for ours, theirs in zip(condensed, full, strict=True))
    spread = f"{PLUS_MINUS}{number(half_width, 1)}" if count > 1 else ""
    change = t("format.points", value=number(mean, 1, signed=True) + spread)
    change = change if count > 1 else in_brackets(change, t("brief.one_seed"), lang)
    clear = count > 1 and abs(mean) > half_width
    sign = "unclear" if not clear else "rise" if mean > 0 else "fall"
    measured = t(f"kpi.failed_{sign}", change=change)
    return (*shown, sentences((measured, _charged(report.inputs, sign, lang)), lang))


def _charged(inputs: RoiInputs, sign: str, lang: str) -> str:
    """Say what rise of failed searches the sums charge for, and whether that goes against what was measured."""
    t, per_point = translator(lang), inputs.failure_share_per_point.base
    loss = max(inputs.map_full.base - inputs.map_condensed.base, 0.0)
    if loss * per_point == 0:
        return t("kpi.sums_without" if sign == "rise" else "kpi.sums_none")
    return t("kpi.sums_despite" if sign == "fall" else "kpi.sums_rise", assumed=_rise(loss, per_point))


def _over_seeds(shares: tuple[float, ...], lang: str) -> str:
    mean = percent(summarise(shares).mean, lang)
    if min(shares) == max(shares):
        return mean
    low, high = percent(min(shares), lang), percent(max(shares), lang)
    return translator(lang)("kpi.failed_range", mean=mean, low=low, high=high)


def _missed(report: RetrievalReport | None) -> float | None:
    if report is None or FAILED_RANK not in report.hit_rate_at:
        return None
    return 1 - report.hit_rate_at[FAILED_RANK]


def _one_seed(missed: float | None, lang: str) -> str:
    t = translator(lang)
    return t("kpi.unmeasured") if missed is None else in_brackets(percent(missed, lang), t("brief.one_seed"), lang)
