"""The form of the ROI panel: which inputs it shows, how far their sliders reach, and in which unit they are written."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from pocket.presentation.i18n import LANGUAGES, currency_name, in_brackets, translator
from pocket.presentation.roi_text import note
from pocket.roi import SPECS, RoiInputs

GROUPS = ("business", "price", "measured")


class Slider(NamedTuple):
    """What a slider covers, in the unit shown; its number box takes the whole allowed range of the input."""

    low: float
    high: float
    step: float
    logarithmic: bool = False


class Shown(NamedTuple):
    """The unit in which people write a figure, and how many of it are one of the model's unit."""

    unit: str
    times: float


_SHOWN = {
    "yearly_rate": Shown("percent_per_year", 100),
    "share": Shown("percent", 100),
    "share_per_point": Shown("percent_per_point", 100),
    "map_per_month": Shown("points_per_month", 100),
    "bytes": Shown("megabytes", 1e-6),
}
_BY_UNIT = {
    "seconds": Slider(0.01, 1e6, 0.1, logarithmic=True),
    "map": Slider(0, 1, 0.005),
    "bytes": Slider(0.01, 1e8, 0.1, logarithmic=True),
    "watts": Slider(0, 3000, 10),
    "kg_per_kwh": Slider(0, 1, 0.01),
    "times": Slider(1, 1e6, 0.1, logarithmic=True),
    "per_month": Slider(0, 200, 1),
    "number": Slider(1, 20, 1),
    "per_year": Slider(0, 52, 1),
    "days": Slider(0, 100, 1),
    "days_per_month": Slider(0, 10, 0.25),
    "share_per_point": Slider(0, 2, 0.05),
    "share": Slider(0, 100, 1),
    "map_per_month": Slider(0, 5, 0.1),
    "months": Slider(1, 120, 1),
    "yearly_rate": Slider(0, 30, 0.5),
}
_BY_NAME = {
    "searches_per_month": Slider(1e3, 1e9, 0.1, logarithmic=True),
    "comparisons_per_month": Slider(0, 30, 0.25),
    "overlap_months": Slider(0, 24, 1),
}
# Limits of the decision: unit shown, how many of it are one of the model's, and the slider (None: by the amounts).
_LIMITS: dict[str, tuple[Shown, Slider | None]] = {
    "go_npv": (Shown("currency", 1), None),
    "go_payback_months": (Shown("months", 1), Slider(1, 120, 1)),
    "go_map_loss": (Shown("points", 100), Slider(0, 30, 0.5)),
    "stop_npv": (Shown("currency", 1), None),
    "stop_map_loss": (Shown("points", 100), Slider(0, 60, 0.5)),
}
LIMITS = tuple(_LIMITS)


def shown(name: str) -> Shown:
    """Return the unit in which an input or a limit of the decision is written."""
    if name in _LIMITS:
        return _LIMITS[name][0]
    unit = SPECS[name].unit
    return _SHOWN.get(unit, Shown(unit, 1))


def slider(name: str, inputs: RoiInputs) -> Slider:
    """Return what a slider covers; amounts of money reach to a few times of what ``inputs`` hold."""
    if name in _LIMITS:
        top = _round(200 * max(inputs.engineer_day_rate.base, 1.0))  # an NPV of 200 person-days
        return _LIMITS[name][1] or Slider(-top, top, top / 100)
    known = _BY_NAME.get(name) or _BY_UNIT.get(SPECS[name].unit)
    if known:
        return known
    e = inputs.estimate(name)
    top = _round(4 * max(e.base, e.high / 2, 1.0))
    return Slider(0, top, top / 40)


def form(inputs: RoiInputs, lang: str) -> dict[str, Any]:
    """Return texts and fields of the form as JSON can hold them; ``inputs`` give the reach of sliders and the sources.

    Every text is plain: the page sets it as text, never as HTML.
    """
    t = translator(lang)
    groups = [
        {"title": t(f"panel.group_{group}"), "open": group == "business",
         "fields": [_field(name, inputs, lang) for name, spec in SPECS.items() if spec.group == group]}
        for group in GROUPS
    ]  # fmt: skip
    groups.append(
        {"title": t("panel.group_rule"), "open": False, "fields": [_field(name, inputs, lang) for name in LIMITS]}
    )
    keys = ("title", "inputs", "outcome", "ranges", "charts", "group_scenarios", "scenario_name", "scenario_save",
            "scenario_choose", "scenario_load", "scenario_none")  # fmt: skip
    return {
        "lang": lang,
        "languages": [[code, translator(code)("language.name")] for code in LANGUAGES],
        "texts": {key: t(f"panel.{key}") for key in keys} | {"language": t("language.label")},
        "groups": groups,
        "switches": [[name, t(f"workbook.{name}")] for name in ("count_teacher", "keep_full_data")],
        "choices": [
            ["tax", t("panel.tax"), [[tax, t(f"panel.tax_{tax}")] for tax in ("excluded", "included")]],
            ["fiscal_year_month", t("panel.fiscal_year"), [[month, t(f"panel.month_{month}")] for month in (4, 1)]],
        ],
    }


def _field(name: str, inputs: RoiInputs, lang: str) -> dict[str, Any]:
    t, reach = translator(lang), slider(name, inputs)
    unit = t(f"unit.{shown(name).unit}", currency=currency_name(inputs.currency, lang))
    label = in_brackets(t(f"input.{name}"), unit, lang)
    return {
        "name": name,
        "label": label,
        "slider": t("panel.slider", input=label),
        "ends": [] if name in _LIMITS else [t(f"panel.{end}", input=label) for end in ("low", "high")],
        **reach._asdict(),
    }


def values(inputs: RoiInputs, lang: str) -> dict[str, Any]:
    """Return what the form shows for ``inputs``: base, low and high in the unit shown, with the source in words."""
    t = translator(lang)
    found: dict[str, Any] = {}
    for name in SPECS:
        e, times = inputs.estimate(name), shown(name).times
        found[name] = {
            **{end: _tidy(getattr(e, end) * times) for end in ("base", "low", "high")},
            "source": t(f"tag.{e.source}"),
            "note": note(name, inputs, lang),
        }
    for name in LIMITS:
        found[name] = {"base": _tidy(getattr(inputs.thresholds, name) * shown(name).times), "source": "", "note": ""}
    settings = ("count_teacher", "keep_full_data", "tax", "fiscal_year_month")
    return {"fields": found, "settings": {name: getattr(inputs, name) for name in settings}}


def _tidy(value: float) -> float:
    """Round away what multiplying has added: 0.07 × 100 is 7.000000000000001."""
    return float(f"{value:.12g}")


def _round(value: float) -> float:
    """Return the nearest number with one leading digit, for the end of a slider."""
    size = 10 ** math.floor(math.log10(value))
    return float(f"{round(value / size) * size:.12g}")
