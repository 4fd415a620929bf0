"""The ROI panel: every input of the model beside its outcome, which follows each change at once."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from pocket.presentation import roi_figures
from pocket.presentation.html import png_uri
from pocket.presentation.i18n import currency_name, plain, translator
from pocket.presentation.roi_caution import MeasuredSaving
from pocket.presentation.roi_form import LIMITS, form, shown, values
from pocket.presentation.roi_html import compare_html, headline, outcome_html, top_html
from pocket.roi import SPECS, InputError, RoiInputs, RoiReport, compute, load_scenario, save_scenario, scenario_names
from pocket.roi.scenarios import MOST_LETTERS
from pocket.runs import ArtefactError, Run

PAUSE = 0.15  # seconds after which charts follow a slider that has moved; while it moves, it sends every 0.08
_BREATH = 0.01  # seconds before a chart, which takes about 0.1 itself: a change of an input is answered in between
CHARTS = ("break_even", "cash_flow", "tornado", "fan")
_MOST_COMPARED = 5


def _static(name: str) -> str:
    return files("pocket.presentation").joinpath("static", name).read_text(encoding="utf-8")


class PanelView(anywidget.AnyWidget):
    """What the browser shows; `RoiPanel` sets its traits and answers its messages."""

    _esm = _static("roi_panel.js")
    _css = _static("roi_panel.css")
    form = traitlets.Dict().tag(sync=True)
    values = traitlets.Dict().tag(sync=True)
    problem = traitlets.Dict().tag(sync=True)
    said = traitlets.Unicode().tag(sync=True)
    top = traitlets.Unicode().tag(sync=True)
    outcome = traitlets.Unicode().tag(sync=True)
    scenarios = traitlets.Dict().tag(sync=True)
    # `CHARTS`, each with ``source``, the address of the picture, and ``alt``.
    break_even = traitlets.Dict().tag(sync=True)
    cash_flow = traitlets.Dict().tag(sync=True)
    tornado = traitlets.Dict().tag(sync=True)
    fan = traitlets.Dict().tag(sync=True)


class RoiPanel:
    """A panel that computes the return on investment while its inputs are changed.

    Parameters
    ----------
    inputs : RoiInputs
        Where it starts.
    lang : {"en", "ja"}
        Language it starts in; a switch in the panel changes it.
    scenarios : Path, optional
        Folder in which scenarios are saved. Without it none can be saved, and the panel says so.
    run : Run, optional
        The run that was measured: where the seconds it saves are noise, the panel says so.

    Attributes
    ----------
    inputs : RoiInputs
        The last valid inputs.
    report : RoiReport
        The outcome of ``inputs``.
    problem : InputError or None
        What was wrong with the last change of an input.
    widget : PanelView
        What is shown.

    Raises
    ------
    ValueError
        If the language is unknown, or the run lacks one of the alternatives.
    """

    def __init__(
        self, inputs: RoiInputs, lang: str = "en", *, scenarios: Path | None = None, run: Run | None = None
    ) -> None:
        translator(lang)
        self._measured = MeasuredSaving.of(run, inputs.ipc) if run else None
        self.inputs, self.lang, self.folder = inputs, lang, scenarios
        self.report: RoiReport = compute(inputs)
        self.problem: InputError | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._changed = -math.inf
        self._begin(inputs)
        self.widget = PanelView()
        self.widget.on_msg(lambda _, content, buffers: self.receive(content))
        self._actions: dict[str, Callable[..., None]] = {
            "set": self.set,
            "setting": self.set_setting,
            "language": self.set_language,
            "save": self.save,
            "load": self.load,
        }
        self._show_form()
        self._show()

    def _begin(self, inputs: RoiInputs) -> None:
        """Note how far sliders reach, and the ranges that a moved base keeps in proportion."""
        self._start = inputs
        self._ranges = {name: inputs.estimate(name) for name in SPECS}

    def receive(self, message: Mapping[str, Any]) -> None:
        """Do what a message of the page asks: ``{"do": "set", "name": ..., "text": ...}`` calls ``set(name, text)``.

        Raises
        ------
        ValueError
            If the message asks for something else.
        """
        arguments = {key: value for key, value in message.items() if key != "do"}
        action = self._actions.get(str(message.get("do")))
        if action is None:
            raise ValueError(f"unknown message {message!r}; choose one of {', '.join(self._actions)}")
        action(**arguments)

    def set(self, name: str, text: str | float, end: str = "base") -> None:
        """Set an input or a limit of the decision, in the unit shown; a bad value shows a message and changes nothing.

        Parameters
        ----------
        name : str
            A key of `pocket.roi.SPECS`, or a field of `pocket.roi.Thresholds`.
        text : str or float
            What was typed.
        end : {"base", "low", "high"}
            Which of the three figures of an input.

        Raises
        ------
        ValueError
            If there is no such input.
        """
        times = shown(name).times
        try:
            value = float(text) / times
        except ValueError:
            value = math.nan
        try:
            if name in LIMITS:
                changed = self.inputs.with_threshold(name, value)
            elif end == "base":
                changed = self.inputs.with_base(name, value, of=self._ranges.get(name))
            else:
                changed = self.inputs.with_end(name, "low" if end == "low" else "high", value)
                self._ranges[name] = changed.estimate(name)
        except InputError as error:
            self.problem = error
            typed = str(text)
            self.widget.problem = {"name": name, "end": end, "typed": typed, "text": self._message(error, typed)}
        else:
            self._take(changed)

    def set_setting(self, name: str, value: object) -> None:
        """Set ``tax``, ``fiscal_year_month``, ``count_teacher`` or ``keep_full_data``."""
        self._take(self.inputs.with_setting(**{name: value}))

    def set_language(self, code: str) -> None:
        """Show everything in another language.

        Raises
        ------
        ValueError
            If it is unknown.
        """
        translator(code)
        self.lang = code
        self._show_form()
        self._show()
        if self.problem is not None:
            known = self.widget.problem
            self.widget.problem = known | {"text": self._message(self.problem, known.get("typed", ""))}

    def save(self, name: str) -> None:
        """Save the inputs as a scenario; one of the same name is replaced."""
        t = translator(self.lang)
        if self.folder is None:
            self.widget.said = t("panel.scenario_nowhere")
            return
        try:
            save_scenario(self.folder, name, self.inputs)
        except ValueError:
            self.widget.said = t("panel.scenario_bad_name", name=name, most=MOST_LETTERS)
        except OSError as error:  # the folder cannot be written to, or the name is too long for the disk
            self.widget.said = t("panel.scenario_unsaved", name=name, error=error.strerror or str(error))
        else:
            self.widget.said = t("panel.scenario_saved", name=name)
            self._show_scenarios()

    def load(self, name: str) -> None:
        """Take the inputs of a saved scenario."""
        t = translator(self.lang)
        try:
            if self.folder is None:
                raise ArtefactError("no folder of scenarios")
            found = load_scenario(self.folder, name)
        except ValueError:  # an ArtefactError is one
            self.widget.said = t("panel.scenario_broken", name=name)
        else:
            self._begin(found)
            self._show_form()
            self._take(found)
            self.widget.said = t("panel.scenario_loaded", name=name)

    def scenarios(self) -> dict[str, RoiInputs]:
        """Return the inputs as they are now and those of the first saved scenarios that can be read, by name."""
        found = {translator(self.lang)("panel.current"): self.inputs}
        for name in scenario_names(self.folder) if self.folder else []:
            try:
                saved = load_scenario(self.folder, name) if self.folder else self.inputs
            except ValueError:
                continue  # the list still shows it, and loading says what is wrong
            found[f"{name} (2)" if name in found else name] = saved
        return dict(list(found.items())[: 1 + _MOST_COMPARED])

    def _repr_mimebundle_(self, **options: Any) -> Any:
        return self.widget._repr_mimebundle_(**options)

    def _take(self, inputs: RoiInputs) -> None:
        """Compute and show other inputs."""
        self.inputs, self.problem = inputs, None
        self.report = compute(inputs)
        self._show()

    def _show_form(self) -> None:
        self.widget.form = form(self._start, self.lang)

    def _show(self) -> None:
        """Show the numbers at once, and the charts next: of a slider that moves, when it rests."""
        view = self.widget
        with view.hold_sync():
            view.values = values(self.inputs, self.lang)
            view.problem = {} if self.problem is None else view.problem
            view.said = headline(self.report, self.lang)
            caution = self._measured.caution(self.inputs, self.lang) if self._measured else ""
            view.top = top_html(self.report, self.lang, caution)
            view.outcome = outcome_html(self.report, self.lang)
        self._show_scenarios()
        self._draw_later()

    def _show_scenarios(self) -> None:
        found = self.scenarios()
        self.widget.scenarios = {
            "names": scenario_names(self.folder) if self.folder else [],
            "table": compare_html(found, self.lang) if len(found) > 1 else "",
            "possible": self.folder is not None,
        }

    def _draw_later(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        try:
            now = asyncio.get_running_loop().time()
        except RuntimeError:  # no event loop, so nobody who drags a slider either
            self.draw()
        else:
            moving, self._changed = now - self._changed < 2 * PAUSE, now
            self._draw_after(PAUSE if moving else _BREATH, CHARTS)

    def _draw_after(self, seconds: float, names: Sequence[str]) -> None:
        """Draw charts one by one, each shown at once; a change in between is answered, and begins them anew."""

        def step() -> None:
            try:
                self.draw(names[:1])
            finally:  # one that fails is told by the event loop, and leaves no other one of an earlier report
                if names[1:]:
                    self._draw_after(_BREATH, names[1:])

        self._timer = asyncio.get_running_loop().call_later(seconds, step)

    def draw(self, names: Sequence[str] = CHARTS) -> None:
        """Draw charts of the report."""
        self._timer = None
        for name in names:
            figure = getattr(roi_figures, f"figure_{name}")(self.report, self.lang)
            alt = getattr(roi_figures, f"alt_{name}")(self.report, self.lang)
            setattr(self.widget, name, {"source": png_uri(figure, dpi=150), "alt": alt})

    def _message(self, error: InputError, typed: str) -> str:
        """Return what was wrong, with field, value and range in the unit shown."""
        t, (unit, times) = translator(self.lang), shown(error.field)
        return t(
            "panel.bad_value",
            input=t(f"input.{error.field}"),
            value=plain(error.value * times) if math.isfinite(error.value) else typed.strip() or t("panel.empty"),
            low=plain(error.minimum * times),
            high=plain(error.maximum * times),
            unit=t(f"unit.{unit}", currency=currency_name(self.inputs.currency, self.lang)),
        )
