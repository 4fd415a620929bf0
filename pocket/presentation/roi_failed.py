"""Failed searches as measured, in words: what they would change were they priced so, and not by the assumed link."""

from __future__ import annotations

from pocket.presentation.i18n import seeds_of, sentences, translator
from pocket.presentation.roi_text import input_range, input_value, npv_money
from pocket.roi import FAILED, RoiReport


def told(report: RoiReport, lang: str) -> str:
    """Say what follows were failed searches priced as measured, and not by the assumed link; else an empty text."""
    t, inputs, found = translator(lang), report.inputs, report.inputs.failed
    if found is None or not report.failed:
        return ""
    loss = max(inputs.map_full.base - inputs.map_condensed.base, 0.0)
    assumed = input_value(FAILED, 100 * loss * inputs.failure_share_per_point.base, inputs, lang)
    mean, ends = input_value(FAILED, found.mean, inputs, lang), input_range(FAILED, found.low, found.high, inputs, lang)
    interval = t("roi.failed_interval", ends=ends, seeds=seeds_of(found.seeds, lang))
    spread = interval if found.seeds > 1 else t("brief.one_seed")
    lines, shown = [t("roi.failed_measured", assumed=assumed, mean=mean, spread=spread)], npv_money(report, lang)
    for cost in dict.fromkeys(case.cost for case in report.failed):
        npv, *ends_of = (case.npv for case in report.failed if case.cost == cost)
        words = {"low": shown(min(ends_of)), "high": shown(max(ends_of))} if ends_of else {}
        key = "roi.failed_npv_range" if ends_of else "roi.failed_npv"
        lines.append(t(key, cost=input_value("failure_cost", cost, inputs, lang), npv=shown(npv), **words))
    return sentences([*lines, flip(report, lang) or t("roi.failed_same")], lang)


def flip(report: RoiReport, lang: str) -> str:
    """Say where failed searches as measured would change the decision; an empty text where they change it nowhere.

    Of several such cases the first is told: at the mean before the ends, at the base of the cost before its high.
    """
    t, inputs = translator(lang), report.inputs
    case = next((case for case in report.failed if case.verdict != report.decision.verdict), None)
    if case is None:
        return ""
    change = input_value(FAILED, case.change, inputs, lang)
    cost = input_value("failure_cost", case.cost, inputs, lang)
    npv = npv_money(report, lang)(case.npv)
    return t("roi.failed_flip", change=change, cost=cost, verdict=t(f"verdict.{case.verdict}"), npv=npv)
