"""The panel: values reach the model, bad ones give a message, both languages, and its static twins."""

from __future__ import annotations

import matplotlib
import pytest
from runs_for_tests import run  # noqa: F401 (a fixture)

from pocket.presentation import roi_figures
from pocket.presentation.html import as_html, table
from pocket.presentation.roi_panel import LEVERS, RoiPanel, outcome_html
from pocket.roi import SPECS, RoiInputs, compute
from pocket.runs import Run


@pytest.fixture
def panel(run: Run) -> RoiPanel:  # noqa: F811
    return RoiPanel(RoiInputs.from_run(run))


def test_a_number_box_reaches_the_report_and_its_slider(panel: RoiPanel) -> None:
    before = panel.report.npv
    panel.numbers["migration_days"].value = 20
    assert panel.inputs.migration_days.base == 20
    assert panel.sliders["migration_days"].value == 20
    assert panel.report.npv < before
    assert panel.report == compute(panel.inputs)


def test_a_slider_reaches_its_number_box(panel: RoiPanel) -> None:
    panel.sliders["workload_scale"].value = 1995.262315
    assert panel.numbers["workload_scale"].value == 2000
    assert panel.inputs.workload_scale.base == 2000


def test_a_number_beyond_the_slider_is_kept(panel: RoiPanel) -> None:
    panel.numbers["migration_days"].value = 500
    assert panel.sliders["migration_days"].value == LEVERS["migration_days"].high
    assert panel.numbers["migration_days"].value == panel.inputs.migration_days.base == 500


@pytest.mark.parametrize("bad", [-5.0, 1e12, float("nan"), float("inf")])
def test_a_bad_value_names_field_value_and_range_and_keeps_the_last_result(panel: RoiPanel, bad: float) -> None:
    panel.numbers["migration_days"].value = 20
    good, shown = panel.report, panel.outcome.value
    panel.numbers["migration_days"].value = bad
    assert panel.report == good and panel.outcome.value == shown
    message = panel.message.value
    assert 'role="alert"' in message
    assert "Engineering days to migrate" in message and "0 to 10,000 (days)" in message
    panel._language.value = "ja"
    assert "移行工数" in panel.message.value and "0 〜 10,000（人日）" in panel.message.value
    panel.numbers["migration_days"].value = 10
    assert panel.message.value == "" and panel.problem is None


def test_the_language_changes_at_run_time(panel: RoiPanel) -> None:
    assert "Break-even" in panel.outcome.value
    panel._language.value = "ja"
    assert "損益分岐点" in panel.outcome.value and "Break-even" not in panel.outcome.value
    assert "移行工数" in panel._labels["migration_days"].value
    panel._language.value = "en"
    assert "Break-even" in panel.outcome.value


def test_the_axes_come_first(panel: RoiPanel) -> None:
    html = outcome_html(panel.report, "en")
    assert html.index("Training-time reduction") < html.index("Effort of moving") < html.index("Break-even")


def test_another_error_is_not_swallowed(panel: RoiPanel, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(inputs: RoiInputs) -> None:
        raise RuntimeError("broken model")

    monkeypatch.setattr("pocket.presentation.roi_panel.compute", broken)
    with pytest.raises(RuntimeError, match="broken model"):
        panel.numbers["migration_days"].value = 3


def test_every_lever_is_an_input_within_its_range() -> None:
    for name, lever in LEVERS.items():
        assert SPECS[name].minimum <= lever.low < lever.high <= SPECS[name].maximum


def test_an_unknown_language_is_refused(panel: RoiPanel) -> None:
    with pytest.raises(ValueError, match="unknown language 'fr'"):
        RoiPanel(panel.inputs, "fr")


@pytest.mark.parametrize("lang", ["en", "ja"])
@pytest.mark.parametrize("chart", ["break_even", "cash_flow", "tornado"])
@pytest.mark.filterwarnings("error")
def test_charts_draw_with_every_glyph_and_leave_no_style_behind(panel: RoiPanel, chart: str, lang: str) -> None:
    before = dict(matplotlib.rcParams)
    never = compute(panel.inputs.with_base("seconds_condensed", 20))
    for report in (panel.report, never):
        figure = getattr(roi_figures, f"figure_{chart}")(report, lang)
        html = as_html(figure, getattr(roi_figures, f"alt_{chart}")(report, lang))
        assert html.startswith('<img src="data:image/png;base64,')
    assert dict(matplotlib.rcParams) == before


def test_html_is_escaped(panel: RoiPanel) -> None:
    figure = roi_figures.figure_tornado(panel.report, "en", rows=1)
    assert 'alt="a &quot;b&quot; &lt;i&gt;"' in as_html(figure, 'a "b" <i>')
    with pytest.raises(ValueError, match="alt is empty"):
        as_html(figure, " ")
    with pytest.raises(ValueError, match="rows = 0"):
        roi_figures.figure_tornado(panel.report, "en", rows=0)
    assert "<b>" not in table(["<b>"], [["<b>", "<b>"]], "<b>")
