"""The cost model as spreadsheet formulae over named inputs: each cost as `pocket.roi.economics` has it."""

from __future__ import annotations

from collections.abc import Mapping

TRAININGS = "retrainings_per_month+search_trials_per_month+comparisons_per_month*code_lengths*hashing_methods*seeds"
HORIZON = "ROUND(horizon_months,0)"
_HOURS = "workload_scale/3600"
_CONDENSE_SECONDS = "(seconds_condense+count_teacher*seconds_teacher)"
_CONDENSING = f"{_CONDENSE_SECONDS}*{_HOURS}"
_POWER = "power_watts/1000*kwh_price"
_STORED = {
    "full": "bytes_full",
    "condensed": "(keep_full_data*bytes_full+bytes_condensed)",
    "random": "IF(keep_full_data=1,bytes_full,bytes_condensed)",
    "hybrid": "(IF(keep_full_data=1,1,real_share)*bytes_full+bytes_condensed)",
    "nothing": "bytes_full",
}


def costs(name: str, growing: str) -> tuple[dict[str, str], dict[str, str]]:
    """Return the formula of every cost that an alternative pays once, and of every one that it pays each month.

    A cost that is missing is 0. ``growing`` is the range of cells with the monthly costs of doing nothing, which grow:
    its lost quality is their mean over the horizon, less storage.
    """
    stored = storage(name)
    if name == "nothing":
        return {}, {"storage": stored, "lost_quality": f"SUM({growing})/{HORIZON}-{stored}"}
    kind = "condensed" if name == "hybrid" else name
    training = f"trainings_per_month*seconds_{kind}*{_HOURS}"
    monthly = {"training": f"{training}*compute_price", "energy": f"{training}*{_POWER}", "storage": stored}
    if name == "full":
        return {}, monthly
    beside = f"MIN(overlap_months,{HORIZON})*trainings_per_month*seconds_full*{_HOURS}"
    once = {"migration": "migration_days*engineer_day_rate", "overlap": f"{beside}*(compute_price+{_POWER})"}
    monthly["monitoring"] = "monitoring_days_per_month*engineer_day_rate"
    monthly["lost_quality"] = lost_quality(f"MAX(map_full-map_{name},0)")
    if name == "random":
        return once, monthly
    once["condensing"] = f"{_CONDENSING}*(compute_price+{_POWER})"
    again = f"{_CONDENSING}*recondensations_per_year/12"
    monthly["energy"] += f"+{again}*{_POWER}"
    monthly["recondensing"] = f"{again}*compute_price"
    if name == "hybrid":
        tuning = f"finetunes_per_month*seconds_finetune*{_HOURS}"
        monthly["energy"] += f"+{tuning}*{_POWER}"
        monthly["finetuning"] = f"{tuning}*compute_price"
    return once, monthly


def storage(name: str) -> str:
    """Return the monthly cost of what an alternative stores."""
    return f"workload_scale*{_STORED[name]}/1E9*storage_price"


def lost_quality(loss: str) -> str:
    """Return the monthly cost of a loss of mAP."""
    return f"searches_per_month*MIN(failure_share_per_point*100*{loss},1)*failure_cost"


def annuity() -> str:
    """Return the present value of 1 a month over the horizon."""
    rate = "((1+discount_rate)^(1/12)-1)"
    return f"IF(discount_rate=0,{HORIZON},(1-(1+{rate})^-{HORIZON})/{rate})"


def discounted(flow: str, month: str) -> str:
    """Return the present value of a flow at the end of a month."""
    return f"{flow}/(1+discount_rate)^({month}/12)"


def verdict(saved: str, once: str, words: Mapping[str, str]) -> str:
    """Return the decision by the limits, as `pocket.roi.economics.economics` takes it.

    ``saved`` and ``once`` are the cells of what the condensed set saves a month and costs once; ``words`` say each of
    ``"go"``, ``"pilot"`` and ``"stop"``.
    """
    loss, within = "map_full-map_condensed", f"({saved})*MIN(go_payback_months,{HORIZON})-{once}"
    stop = (
        "AND(npv_condensed<=0,seconds_full<=seconds_condensed)",
        f"{loss}>stop_map_loss",
        "npv_condensed<stop_npv",
        "npv_random>=npv_condensed",
    )
    pilot = f"{loss}>go_map_loss", "npv_condensed<go_npv", f"{within}<0"
    said = {name: '"' + word.replace('"', '""') + '"' for name, word in words.items()}
    return f"IF(OR({','.join(stop)}),{said['stop']},IF(OR({','.join(pilot)}),{said['pilot']},{said['go']}))"


def break_even(never: str, equal: str) -> str:
    """Return the trainings that repay condensing in machine time, or ``never``, or ``equal`` for equal trainings."""
    each = f"{_CONDENSE_SECONDS}*recondensations_per_year/12/MAX(trainings_per_month,1E-9)"
    again = f"IF(trainings_per_month>0,{each},0)"
    saved = "seconds_full-seconds_condensed"
    never, equal = (text.replace('"', '""') for text in (never, equal))
    paid = f'IF({saved}>{again},{_CONDENSE_SECONDS}/({saved}-{again}),"{never}")'
    return f'IF(seconds_full=seconds_condensed,"{equal}",{paid})'
