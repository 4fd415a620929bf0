"""The ROI panel: sliders and number boxes for the inputs that matter most, and the outcome at once."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import ipywidgets as widgets

from pocket.presentation import roi_text
from pocket.presentation.html import escape, table
from pocket.presentation.i18n import LANGUAGES, currency_name, plain, translator
from pocket.roi import SPECS, InputError, RoiInputs, RoiReport, compute

_STYLE = (
    "<style>.pocket-roi table{border-collapse:collapse;width:100%;margin:0 0 1em}"
    ".pocket-roi caption{text-align:left;font-weight:600;padding:.4em 0}"
    ".pocket-roi th,.pocket-roi td{text-align:left;padding:.35em .7em .35em 0;vertical-align:top;"
    "border-bottom:1px solid #cbd2d9;font-weight:400;line-height:1.4}"
    ".pocket-roi thead th{font-weight:600}.pocket-roi td:nth-child(2){font-weight:600}</style>"
)


class Lever(NamedTuple):
    """What a slider covers; its number box takes the whole allowed range of the input."""

    low: float
    high: float
    step: float
    logarithmic: bool = False


LEVERS: dict[str, Lever] = {
    "workload_scale": Lever(1, 1e6, 1, logarithmic=True),
    "trainings_per_month": Lever(0, 500, 5),
    "compute_price": Lever(0, 5000, 50),
    "migration_days": Lever(0, 100, 1),
    "monitoring_days_per_month": Lever(0, 10, 0.25),
    "searches_per_month": Lever(1e3, 1e9, 1, logarithmic=True),
    "failure_cost": Lever(0, 100, 1),
    "horizon_months": Lever(1, 120, 1),
}


class RoiPanel:
    """A panel that computes the return on investment while its inputs are changed.

    Parameters
    ----------
    inputs : RoiInputs
        Where it starts.
    lang : {"en", "ja"}
        Language it starts in; a toggle in the panel changes it.

    Attributes
    ----------
    inputs : RoiInputs
        The last valid inputs.
    report : RoiReport
        The outcome of ``inputs``.
    widget : ipywidgets.VBox
        What is shown.

    Raises
    ------
    ValueError
        If the language is unknown.
    """

    def __init__(self, inputs: RoiInputs, lang: str = "en") -> None:
        translator(lang)
        self.inputs = inputs
        self.report: RoiReport = compute(inputs)
        self.lang = lang
        self.problem: InputError | None = None
        self._quiet = False
        self._language = widgets.ToggleButtons(
            options=[(translator(code)("language.name"), code) for code in LANGUAGES], value=lang
        )
        self._language.style.button_width = "7em"
        self._language.observe(self._on_language, "value")
        self.sliders: dict[str, Any] = {}
        self.numbers: dict[str, widgets.FloatText] = {}
        self._labels = {name: widgets.HTML() for name in LEVERS}
        for name, lever in LEVERS.items():
            self._add(name, lever)
        self._titles = widgets.HTML(), widgets.HTML()
        self.message, self.outcome = widgets.HTML(), widgets.HTML()
        rows = [
            widgets.VBox([self._labels[name], widgets.HBox([self.sliders[name], self.numbers[name]])])
            for name in LEVERS
        ]
        grid = widgets.Layout(grid_template_columns="repeat(auto-fill, minmax(330px, 1fr))", width="100%")
        self.widget = widgets.VBox(
            [
                self._language,
                self._titles[0],
                widgets.GridBox(rows, layout=grid),
                self.message,
                self._titles[1],
                self.outcome,
            ]
        )
        self._show()

    def set(self, name: str, value: float) -> None:
        """Set one input, as the number box does; an invalid value shows the message and changes nothing else.

        Raises
        ------
        ValueError
            If there is no such input.
        """
        try:
            self.inputs = self.inputs.with_base(name, value)
        except InputError as error:
            self.problem = error
        else:
            self.problem = None
            self.report = compute(self.inputs)
        self._show()

    def _repr_mimebundle_(self, **options: Any) -> Any:
        return self.widget._repr_mimebundle_(**options)

    def _add(self, name: str, lever: Lever) -> None:
        base, spec = self.inputs.estimate(name).base, SPECS[name]
        kind = widgets.FloatLogSlider if lever.logarithmic else widgets.FloatSlider
        ends = (math.log10(lever.low), math.log10(lever.high)) if lever.logarithmic else (lever.low, lever.high)
        slider = kind(
            value=min(max(base, lever.low), lever.high),
            min=ends[0],
            max=ends[1],
            step=0.1 if lever.logarithmic else lever.step,
            continuous_update=False,
            readout=False,
            layout=widgets.Layout(width="190px"),
        )
        number = widgets.FloatText(
            value=base,
            step=1 if spec.unit in ("months", "per_month") else lever.step,
            continuous_update=False,
            layout=widgets.Layout(width="120px"),
        )
        slider.observe(self._on_slider(name), "value")
        number.observe(self._on_number(name), "value")
        self.sliders[name], self.numbers[name] = slider, number

    def _on_slider(self, name: str) -> Callable[[Any], None]:
        def handle(change: Any) -> None:
            if not self._quiet:
                # Three digits: a logarithmic slider would otherwise offer 199.52623 trainings.
                value = float(f"{change['new']:.3g}") if LEVERS[name].logarithmic else float(change["new"])
                self._mirror(self.numbers[name], value)
                self.set(name, value)

        return handle

    def _on_number(self, name: str) -> Callable[[Any], None]:
        def handle(change: Any) -> None:
            if not self._quiet:
                value, lever = float(change["new"]), LEVERS[name]
                if math.isfinite(value):
                    # The box may leave the slider's range: the slider then rests at its end.
                    self._mirror(self.sliders[name], min(max(value, lever.low), lever.high))
                self.set(name, value)

        return handle

    def _mirror(self, other: Any, value: float) -> None:
        """Show ``value`` in the other half of a pair without setting the input a second time."""
        self._quiet = True
        try:
            other.value = value
        finally:
            self._quiet = False

    def _on_language(self, change: Any) -> None:
        self.lang = change["new"]
        self._show()

    def _show(self) -> None:
        t = translator(self.lang)
        currency = currency_name(self.inputs.currency, self.lang)
        for name, label in self._labels.items():
            unit = t(f"unit.{SPECS[name].unit}", currency=currency)
            text = f"{t(f'input.{name}')} ({unit})"
            label.value = f"<b>{escape(text)}</b>"
            self.sliders[name].tooltip = text
            self.numbers[name].tooltip = t("panel.number", input=text)
        self._titles[0].value = f"<h3>{escape(t('panel.title'))}: {escape(t('panel.inputs'))}</h3>"
        self._titles[1].value = f"<h3>{escape(t('panel.outcome'))}</h3>"
        self.message.value = self._message()
        self.outcome.value = outcome_html(self.report, self.lang)

    def _message(self) -> str:
        if self.problem is None:
            return ""
        t, error = translator(self.lang), self.problem
        text = t(
            "panel.bad_value",
            input=t(f"input.{error.field}"),
            value=plain(error.value) if math.isfinite(error.value) else str(error.value),
            low=plain(error.minimum),
            high=plain(error.maximum),
            unit=t(f"unit.{SPECS[error.field].unit}", currency=currency_name(self.inputs.currency, self.lang)),
        )
        return (
            '<div role="alert" style="border-left:4px solid #b42318;background:#fef3f2;color:#7a1a12;'
            f'padding:.6em .9em">✕ {escape(text)}</div>'
        )


def outcome_html(report: RoiReport, lang: str) -> str:
    """Return the outcome as escaped HTML tables, the three axes first: the panel's static twin."""
    t = translator(lang)
    head = t("roi.measure"), t("roi.value"), t("roi.meaning")
    rest = [*roi_text.key_figures(report, lang), *roi_text.energy(report, lang)]
    last = [roi_text.decision(report, lang), roi_text.flip(report, lang)]
    return (
        f'{_STYLE}<div class="pocket-roi" lang="{escape(lang)}">'
        + table(head, roi_text.axes(report, lang), t("axis.title"))
        + table(head, [*rest, *last], t("panel.outcome"))
        + "</div>"
    )
