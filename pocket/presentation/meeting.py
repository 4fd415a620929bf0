"""Questions that come up in the meeting, each with a short answer that holds the figures of this run."""

from __future__ import annotations

from typing import NamedTuple

from pocket.presentation import brief_classes, roi_failed, roi_text
from pocket.presentation.checklist import alarm_works, worst_class
from pocket.presentation.i18n import (
    PLUS_MINUS,
    duration,
    exact,
    in_brackets,
    money,
    number,
    percent,
    plain,
    points,
    sentences,
    translator,
)
from pocket.presentation.rollout import PLAN, making_seconds
from pocket.roi import RoiInputs, RoiReport
from pocket.runs import Run
from pocket.runs.poc import is_trial
from pocket.runs.records import Cell, summarise


class Phrase(NamedTuple):
    """A question and what to answer."""

    question: str
    answer: str


class Difference(NamedTuple):
    """Condensed against random, paired over seeds; ``sign`` is 0 where the interval includes zero or is unknown."""

    text: str
    sign: int


def phrases(run: Run, report: RoiReport, condensed: list[Cell], random: list[Cell], lang: str) -> list[Phrase]:
    """Return questions and answers; whether they speak for it or against it follows from the figures.

    Parameters
    ----------
    run : Run
        ``diagnostics.json`` is read where it is there; else the answers say what was not measured.
    report : RoiReport
    condensed, random : list of Cell
        The seeds of the condensed set and of the random subset.
    lang : {"en", "ja"}
    """
    t = translator(lang)
    answers = {
        "faster": _faster(report, lang),
        "lose": _lose(run, report, lang),
        "random": _random(report, condensed, random, lang),
        "pays": _pays(report, lang),
        "flip": _flip(report, lang),
        "change": _change(run, report, lang),
        "next": _next(run, report, lang),
    }
    return [Phrase(t(f"meeting.{key}"), sentences(told, lang)) for key, told in answers.items()]


def paired_difference(condensed: list[Cell], random: list[Cell], lang: str) -> Difference | None:
    """Return the difference of mAP seed by seed (which share initialisation and codebook); None: other seeds."""
    ours, theirs = ({cell.seed: cell.map for cell in cells} for cells in (condensed, random))
    if ours.keys() != theirs.keys():
        return None
    mean, half_width, count = summarise(ours[seed] - theirs[seed] for seed in ours)
    if count == 1:
        return Difference(in_brackets(points(mean, lang), translator(lang)("brief.one_seed"), lang), 0)
    ends = f"{number(100 * mean, 1, signed=True)}{PLUS_MINUS}{number(100 * half_width, 1)}"
    sign = 0 if abs(mean) <= half_width else 1 if mean > 0 else -1
    return Difference(translator(lang)("format.points", value=ends), sign)


def _faster(report: RoiReport, lang: str) -> list[str]:
    t, inputs, axes = translator(lang), report.inputs, report.axes
    scale, trainings = inputs.workload_scale.base, report.break_even.trainings
    said = {
        "full": duration(inputs.seconds_full.base * scale, lang),
        "condensed": duration(inputs.seconds_condensed.base * scale, lang),
        "make": duration(making_seconds(report)[0], lang),
        "times": plain(inputs.recondensations_per_year.base),
    }
    if roi_text.equally_long(report):
        return [t("meeting.faster_equal", full=said["full"], make=said["make"])]
    if axes.training_time_reduction <= 0 or trainings is None:
        return [t("meeting.faster_no", **said)]
    share = percent(axes.training_time_reduction, lang, 0)
    return [t("meeting.faster_yes", share=share, count=roi_text.count(trainings), **said)]


def _lose(run: Run, report: RoiReport, lang: str) -> list[str]:
    t, inputs, change = translator(lang), report.inputs, report.axes.map_against_full
    key = "lose_some" if change < 0 else "lose_none"
    said = {"full": number(inputs.map_full.base, 3), "condensed": number(inputs.map_condensed.base, 3)}
    told = t(f"meeting.{key}", **said, **({"loss": points(change, lang)} if change < 0 else {}))
    worst = worst_class(run)
    if worst is None:
        return [told, *(brief_classes.warnings(run, lang) or [t("meeting.lose_class_unmeasured")])]
    name, change = worst
    key = "lose_class" if change < 0 else "lose_class_none"
    return [told, t(f"meeting.{key}", name=name, loss=points(change, lang)), *brief_classes.warnings(run, lang)]


def _random(report: RoiReport, condensed: list[Cell], random: list[Cell], lang: str) -> list[str]:
    t, inputs = translator(lang), report.inputs
    difference = paired_difference(condensed, random, lang)
    if difference is None:
        told = [t("brief.difference_unpaired")]
    else:
        key = {1: "worse", 0: "alike", -1: "ahead"}[difference.sign]
        told = [t(f"meeting.random_{key}", difference=difference.text)]
    ours, theirs = (report.alternative(name).npv for name in ("condensed", "random"))
    money_of = money(abs(ours - theirs), inputs.currency, lang)
    months = len(report.schedule) - 1
    labour = labour_again(inputs, lang)
    key = "cheaper" if theirs >= ours else "money"
    told.append(t(f"meeting.random_{key}", amount=money_of, months=months, labour=labour))
    return [*told, t("meeting.random_both")] if max(ours, theirs) < 0 else told


def labour_again(inputs: RoiInputs, lang: str) -> str:
    """Return what one person-day each time one condenses again would cost a year; no sum holds it."""
    return money(inputs.recondensations_per_year.base * inputs.engineer_day_rate.base, inputs.currency, lang)


def _pays(report: RoiReport, lang: str) -> list[str]:
    t, found = translator(lang), report.outcomes
    npv, low, high = map(roi_text.npv_money(report, lang), (report.npv, found.p10, found.p90))
    spread = t("meeting.pays_range", npv=npv, low=low, high=high, chance=percent(found.p_negative, lang, 0))
    return [t(f"meeting.pays_{report.decision.verdict}"), roi_text.decision(report, lang).detail, spread]


def _flip(report: RoiReport, lang: str) -> list[str]:
    told = [roi_text.flip(report, lang).value, roi_failed.flip(report, lang)]
    if report.decision.verdict != "go" and report.trainings_needed is not None:
        still = roi_text.still_stop(report, lang)
        said = {"needed": roi_text.rough(report.trainings_needed, lang), "now": plain(report.trainings_per_month)}
        told.append(
            translator(lang)("meeting.flip_needed_still" if still else "meeting.flip_needed", **said, still=still)
        )
    return told


def _change(run: Run, report: RoiReport, lang: str) -> list[str]:
    t, works = translator(lang), alarm_works(run)
    if works:
        return [t("meeting.change_tested", make=duration(making_seconds(report)[0], lang))]
    return [t("meeting.change_unmeasured" if works is None else "meeting.change_failed")]


def _next(run: Run, report: RoiReport, lang: str) -> list[str]:
    t, verdict, limits = translator(lang), report.decision.verdict, report.inputs.thresholds
    told = [t("meeting.sample")] if run.is_sample else []
    trial, ending = is_trial(run), "_trial" if is_trial(run) else ""
    if report.decision.reason == "random_better":
        return [*told, t(f"meeting.next_random_better{ending}")]
    if roi_text.equally_long(report):
        return [*told, t("meeting.next_equally_long")]
    if verdict == "stop":
        loss = t("format.points", value=number(100 * limits.go_map_loss, 1))
        go_npv = exact(limits.go_npv, report.inputs.currency, lang)
        return [*told, t("meeting.next_stop", go_npv=go_npv, go_loss=loss)]
    stage = PLAN["shadow" if trial else "poc"]
    return [*told, t(f"meeting.next_{verdict}{ending}", owner=t(f"brief.owner_{stage.owner}"))]
