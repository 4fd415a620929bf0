"""The panel: values reach the model, bad ones give a message, both languages, scenarios, and its static twins."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import pytest
from runs_for_tests import cell, run  # noqa: F401 (run is a fixture)

from pocket.presentation import dashboard, roi_figures, roi_panel, roi_text
from pocket.presentation.brief_evidence import fewer_steps, saving_noise
from pocket.presentation.html import as_html, escape, notebook_table, table
from pocket.presentation.i18n import LANGUAGES, sentences, translator
from pocket.presentation.roi_form import LIMITS, form, shown, slider, values
from pocket.presentation.roi_html import compare_html, outcome_html, static_html, top_html
from pocket.presentation.roi_panel import CHARTS, PAUSE, RoiPanel
from pocket.roi import SPECS, RoiInputs, RoiReport, alternatives, compute
from pocket.runs import Run
from pocket.runs.records import TrainingRecord


@pytest.fixture
def panel(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RoiPanel:  # noqa: F811
    """A panel whose charts wait until a test draws them: they take a second."""
    with monkeypatch.context() as patched:
        patched.setattr(RoiPanel, "_draw_later", lambda self: None)
        made = RoiPanel(RoiInputs.from_run(run), scenarios=tmp_path / "scenarios")
    monkeypatch.setattr(made, "_draw_later", lambda: None)
    return made


def charts(panel: RoiPanel) -> list[dict[str, str]]:
    return [chart for name in CHARTS if (chart := getattr(panel.widget, name))]


def ask(panel: RoiPanel, **message: object) -> None:
    """Send what the page would send, through the widget's own message channel."""
    panel.widget._handle_custom_msg(message, [])


def test_a_message_of_the_page_reaches_report_and_boxes(panel: RoiPanel) -> None:
    before = panel.report.npv
    ask(panel, do="set", name="migration_days", text="20", end="base")
    assert panel.inputs.migration_days.base == 20
    assert panel.widget.values["fields"]["migration_days"]["base"] == 20
    assert panel.report.npv < before
    assert panel.report == compute(panel.inputs)
    assert panel.widget.outcome == outcome_html(panel.report, "en")


def test_low_and_high_are_set_too(panel: RoiPanel) -> None:
    ask(panel, do="set", name="migration_days", text="12", end="high")
    assert (panel.inputs.migration_days.base, panel.inputs.migration_days.high) == (10, 12)
    ask(panel, do="set", name="migration_days", text="11", end="low")
    assert "outside the allowed range 0 to 10 (days)" in panel.widget.problem["text"]


def test_people_write_percent_points_and_megabytes(panel: RoiPanel) -> None:
    ask(panel, do="set", name="discount_rate", text="7", end="base")
    ask(panel, do="set", name="map_decay_per_month", text="0.5", end="base")
    ask(panel, do="set", name="bytes_full", text="12", end="base")
    ask(panel, do="set", name="go_map_loss", text="3", end="base")
    found = panel.inputs
    assert found.discount_rate.base == pytest.approx(0.07)
    assert found.map_decay_per_month.base == pytest.approx(0.005)
    assert found.bytes_full.base == pytest.approx(12e6)
    assert found.thresholds.go_map_loss == pytest.approx(0.03)
    assert panel.widget.values["fields"]["discount_rate"]["base"] == 7, "no 7.000000000000001"


@pytest.mark.parametrize("bad", ["-5", "1e12", "nan", "inf", "", "abc"])
@pytest.mark.parametrize("name", ["migration_days", "discount_rate", "go_payback_months"])
def test_a_bad_value_names_field_value_and_range_and_keeps_the_last_result(
    panel: RoiPanel, name: str, bad: str
) -> None:
    ask(panel, do="set", name="migration_days", text="20", end="base")
    good, outcome = panel.report, panel.widget.outcome
    ask(panel, do="set", name=name, text=bad, end="base")
    assert panel.report == good and panel.widget.outcome == outcome
    field, range_of = {
        "migration_days": ("Engineering days to migrate", "0 to 10,000 (days)"),
        "discount_rate": ("Discount rate", "0 to 100 (% a year)"),
        "go_payback_months": ("Go: payback within", "1 to 120 (months)"),
    }[name]
    problem = panel.widget.problem
    assert problem["name"] == name and problem["end"] == "base"
    assert field in problem["text"] and range_of in problem["text"]
    typed = {"-5": "−5", "1e12": "1,000,000,000,000", "": "no number"}.get(bad, bad)
    assert f": {typed} is outside" in problem["text"]
    ask(panel, do="language", code="ja")
    assert "の外です" in panel.widget.problem["text"] and field not in panel.widget.problem["text"]
    ask(panel, do="set", name="migration_days", text="10", end="base")
    assert panel.widget.problem == {} and panel.problem is None


def test_the_language_changes_every_word_at_run_time(panel: RoiPanel) -> None:
    def shown_text() -> str:
        view = panel.widget
        texts = [field["label"] for group in view.form["groups"] for field in group["fields"]]
        texts += [group["title"] for group in view.form["groups"]] + [text for _, text in view.form["switches"]]
        texts += [text for _, text, _ in view.form["choices"]] + [chart["alt"] for chart in charts(panel)]
        return " ".join([*texts, *view.form["texts"].values(), view.top, view.outcome, view.said])

    panel.draw()
    english = shown_text()
    assert "Break-even" in english and not re.search(r"[぀-ヿ]", english)
    ask(panel, do="language", code="ja")
    panel.draw()
    japanese = re.sub(r"<[^>]+>", " ", shown_text())
    assert "損益分岐点" in japanese
    # What stays in Latin letters are names, units and the field's own words.
    known = "IEM|NPV|IRR|ROI|mAP|MB|GB|CO2|kWh|kg|W|P10|P90|P50|break|even"
    assert re.sub(rf"\b({known})\b", "", re.sub(r"[^A-Za-z0-9]+", " ", japanese)).translate(
        str.maketrans("", "", " 0123456789")
    ) == ""  # fmt: skip
    ask(panel, do="language", code="en")
    panel.draw()
    assert shown_text() == english


def test_our_notes_are_in_the_readers_language_and_the_users_stay_as_written(panel: RoiPanel) -> None:
    price = panel.inputs.storage_price.model_copy(update={"source": "price", "note": "Example Cloud, 2026-11-01"})
    inputs = panel.inputs.with_base("failure_cost", 7).model_copy(update={"storage_price": price})
    for name in SPECS:
        english, japanese = roi_text.note(name, inputs, "en"), roi_text.note(name, inputs, "ja")
        if name == "storage_price":
            assert english == japanese == "Example Cloud, 2026-11-01"
        else:
            assert " " in english and re.search("[ぁ-ん]", japanese), name
        assert values(inputs, "ja")["fields"][name]["note"] == japanese
    assert roi_text.note("map_full", inputs, "en") == "measured on cpu, 3 seeds, protocol digits-v1"
    assert roi_text.note("seconds_full", inputs, "en") == "measured on cpu: the median of 3 seeds"
    assert roi_text.note("failure_cost", inputs, "ja") == translator("ja")("source_note.entered")
    with pytest.raises(ValueError, match="seconds_full: note 'median' needs measured_on"):
        RoiInputs.model_validate(inputs.model_dump() | {"measured_on": None})


def test_settings_and_limits_reach_the_report(panel: RoiPanel) -> None:
    counted = panel.inputs.count_teacher
    ask(panel, do="setting", name="count_teacher", value=not counted)
    ask(panel, do="setting", name="tax", value="included")
    ask(panel, do="setting", name="fiscal_year_month", value=1)
    assert panel.inputs.count_teacher is not counted
    assert "tax included" in panel.widget.outcome
    assert panel.report.years[1].months == 12
    ask(panel, do="set", name="stop_npv", text="-1e12", end="base")
    assert panel.report.decision.reason != "npv_stop"


def test_the_axes_come_first(panel: RoiPanel) -> None:
    html = static_html(panel.report, "en")
    assert (
        html.index("Training-time reduction") < html.index("Effort of moving") < html.index("Machine-time break-even")
    )
    assert top_html(panel.report, "en") in html and outcome_html(panel.report, "en") in html


def test_a_saving_within_the_noise_is_said_below_the_axes_while_it_is_the_measured_one(
    run: Run,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    inputs = RoiInputs.from_run(run)
    steps = fewer_steps(inputs, *alternatives(run.folder)[:2], "en")
    assert f"<p class='caution'>{escape(steps)}</p>" in RoiPanel(inputs, run=run).widget.top, "where the saving is from"
    noisy = [cell("full", seed, train_seconds=3 + 6 * seed) for seed in (0, 1, 2)]
    record = TrainingRecord.load(run.path("training.json"))
    others = [c for c in record.cells if c.method != "full"]
    run.save(record.model_copy(update={"cells": (*noisy, *others)}), "training.json")
    panel = RoiPanel(RoiInputs.from_run(run), run=run)
    for lang in ("en", "ja"):
        ask(panel, do="language", code=lang)
        full, condensed, _ = alternatives(run.folder)
        told = (fewer_steps(panel.inputs, full, condensed, lang), saving_noise(full, condensed, lang))
        said = f"<p class='caution'>{escape(sentences(told, lang))}"
        assert f"</ol>{said}" in panel.widget.top and said in static_html(panel.report, lang, run)
        for name, value in dashboard.environment(run, lang).items():
            monkeypatch.setenv(name, value)
        assert said in dashboard.panel().widget.top
    assert "caution'" not in static_html(panel.report, "en"), "without the run nothing is known of it"
    ask(panel, do="set", name="migration_days", text="3", end="base")
    assert "caution" in panel.widget.top
    ask(panel, do="set", name="seconds_full", text="500", end="base")
    assert "caution" not in panel.widget.top, "the figure is the user's own now"


def test_scenarios_are_saved_loaded_and_compared(panel: RoiPanel, tmp_path: Path) -> None:
    ask(panel, do="save", name="今期の計画")
    assert panel.widget.scenarios["names"] == ["今期の計画"]
    before = panel.inputs
    ask(panel, do="set", name="compute_price", text="900", end="base")
    assert "Compute price" in panel.widget.scenarios["table"], "the comparison names the input that differs"
    assert (
        "JPY 900 per hour" in panel.widget.scenarios["table"].replace("\xa0", " ")
        or "900" in panel.widget.scenarios["table"]
    )
    ask(panel, do="load", name="今期の計画")
    assert panel.inputs == before and "今期の計画" in panel.widget.said
    ask(panel, do="save", name="../../outside")
    assert "cannot name a scenario" in panel.widget.said
    assert sorted(path.name for path in tmp_path.rglob("*outside*")) == []
    (tmp_path / "scenarios" / "broken.roi.json").write_text("{", encoding="utf-8")
    ask(panel, do="load", name="broken")
    assert "cannot be read" in panel.widget.said and panel.inputs == before
    ask(panel, do="save", name="again")  # a broken file beside it is no obstacle
    assert panel.widget.scenarios["names"] == ["again", "broken", "今期の計画"]


def test_a_slider_to_its_end_and_back_gives_the_range_back(panel: RoiPanel) -> None:
    before = panel.inputs.migration_days
    for days in ("0", "100", "10"):
        ask(panel, do="set", name="migration_days", text=days, end="base")
    assert (panel.inputs.migration_days.low, panel.inputs.migration_days.high) == (before.low, before.high)
    ask(panel, do="set", name="migration_days", text="12", end="high")
    ask(panel, do="set", name="migration_days", text="20", end="base")
    assert panel.inputs.migration_days.high == pytest.approx(24), "a range that was set keeps its own proportion"


def test_a_scenario_called_as_the_present_hides_nothing(panel: RoiPanel) -> None:
    ask(panel, do="save", name="Now")
    ask(panel, do="set", name="migration_days", text="33", end="base")
    ask(panel, do="setting", name="count_teacher", value=not panel.inputs.count_teacher)
    assert list(panel.scenarios()) == ["Now", "Now (2)"]
    assert panel.scenarios()["Now"] == panel.inputs
    assert "Count the training of the full-data model" in panel.widget.scenarios["table"]


def test_a_name_that_the_disk_refuses_is_said(panel: RoiPanel) -> None:
    ask(panel, do="save", name="𠮷" * 60)
    assert "could not be saved" in panel.widget.said


def test_a_panel_without_a_folder_says_that_nothing_is_saved(run: Run) -> None:  # noqa: F811
    panel = RoiPanel(RoiInputs.from_run(run), "ja")
    assert panel.widget.scenarios == {"names": [], "table": "", "possible": False}
    ask(panel, do="save", name="x")
    assert "保存されません" in panel.widget.said


@pytest.fixture
def drawn(run: Run, monkeypatch: pytest.MonkeyPatch) -> tuple[RoiPanel, list[tuple[str, float]]]:  # noqa: F811
    """A panel, and the charts that it draws with the days of migration they show."""
    panel, seen = RoiPanel(RoiInputs.from_run(run)), []
    draw = panel.draw

    def note(names: Sequence[str]) -> None:
        seen.extend((name, panel.inputs.migration_days.base) for name in names)
        draw(names)

    monkeypatch.setattr(panel, "draw", note)
    return panel, seen


def test_charts_follow_once_nothing_moves_any_more(
    drawn: tuple[RoiPanel, list[tuple[str, float]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    panel, seen = drawn

    async def drag() -> None:
        with monkeypatch.context() as patched:
            patched.setattr(roi_panel, "PAUSE", 3600)
            for days in range(19):
                panel.set("migration_days", days)
            assert not seen, "numbers come first"
            await asyncio.sleep(PAUSE)
            assert not seen, "it may move on"
            patched.setattr(roi_panel, "_BREATH", 3600)  # from here on, nothing but the pause can begin a drawing
            patched.setattr(roi_panel, "PAUSE", PAUSE)
            panel.set("migration_days", 19)
        async with asyncio.timeout(60):
            while len(seen) < len(CHARTS):
                await asyncio.sleep(0.01)
        await asyncio.sleep(2 * PAUSE)

    asyncio.run(drag())
    assert seen == [(name, 19.0) for name in CHARTS], "one drawing for the last value, none on the way"
    assert [chart["source"][:22] for chart in charts(panel)] == ["data:image/png;base64,"] * len(CHARTS)
    assert len({chart["alt"] for chart in charts(panel)}) == len(CHARTS)


def test_a_change_between_two_charts_is_answered_and_begins_them_anew(
    drawn: tuple[RoiPanel, list[tuple[str, float]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    panel, seen = drawn

    async def change() -> None:
        with monkeypatch.context() as patched:
            patched.setattr(roi_panel, "PAUSE", 3600)  # a change after a rest is drawn without it
            panel.set_language("ja")
            async with asyncio.timeout(60):
                while not seen:
                    await asyncio.sleep(0)
        shown = [name for name in CHARTS if getattr(panel.widget, name) != before[name]]
        assert shown == [CHARTS[0]], "each is shown as soon as it is drawn"
        panel.set("migration_days", 2)
        async with asyncio.timeout(60):
            while len(seen) < 1 + len(CHARTS):
                await asyncio.sleep(0.01)

    before = {name: getattr(panel.widget, name) for name in CHARTS}
    days = panel.inputs.migration_days.base
    asyncio.run(change())
    assert seen == [(CHARTS[0], days), *((name, 2.0) for name in CHARTS)]
    assert all(re.search(r"[ぁ-ん]", chart["alt"]) for chart in charts(panel))


def test_a_chart_that_fails_is_told_and_leaves_the_others(
    drawn: tuple[RoiPanel, list[tuple[str, float]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    panel, _ = drawn
    told: list[dict[str, object]] = []

    def broken(report: RoiReport, lang: str) -> None:
        raise RuntimeError("broken chart")

    monkeypatch.setattr(roi_panel.roi_figures, "figure_cash_flow", broken)
    before = {name: getattr(panel.widget, name) for name in CHARTS}

    async def change() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
        panel.set("seconds_full", 100_000)
        async with asyncio.timeout(60):
            while panel.widget.fan == before["fan"]:
                await asyncio.sleep(0.01)

    asyncio.run(change())
    assert [str(context["exception"]) for context in told] == ["broken chart"]
    assert [name for name in CHARTS if getattr(panel.widget, name) == before[name]] == ["cash_flow"]


def test_another_error_is_not_swallowed(panel: RoiPanel, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(inputs: RoiInputs) -> None:
        raise RuntimeError("broken model")

    monkeypatch.setattr("pocket.presentation.roi_panel.compute", broken)
    with pytest.raises(RuntimeError, match="broken model"):
        panel.set("migration_days", 3)
    with pytest.raises(ValueError, match="unknown message"):
        panel.receive({"do": "delete"})


def test_every_input_has_a_field_and_a_slider_within_its_range(panel: RoiPanel) -> None:
    found = form(panel.inputs, "en")
    names = [field["name"] for group in found["groups"] for field in group["fields"]]
    assert sorted(names) == sorted([*SPECS, *LIMITS])
    assert set(values(panel.inputs, "en")["fields"]) == set(names)
    labels = [field["label"] for group in found["groups"] for field in group["fields"]]
    assert len(set(labels)) == len(labels), "two controls of the same name cannot be told apart by ear"
    for lang in LANGUAGES:
        for field in (field for group in form(panel.inputs, lang)["groups"] for field in group["fields"]):
            assert len(re.findall(r"[(（]", field["label"])) == 1, (
                f"brackets within or after brackets: {field['label']}"
            )
    for name in names:
        reach, times = slider(name, panel.inputs), shown(name).times
        low, high = (SPECS[name].minimum, SPECS[name].maximum) if name in SPECS else (-1e15, 1e15)
        assert low * times <= reach.low < reach.high <= high * times, name
        assert reach.low > 0 or not reach.logarithmic


def test_an_unknown_language_is_refused(panel: RoiPanel) -> None:
    with pytest.raises(ValueError, match="unknown language 'fr'"):
        RoiPanel(panel.inputs, "fr")


@pytest.mark.parametrize("lang", ["en", "ja"])
@pytest.mark.parametrize("chart", CHARTS)
@pytest.mark.filterwarnings("error")
def test_charts_draw_with_every_glyph_and_leave_no_style_behind(panel: RoiPanel, chart: str, lang: str) -> None:
    before = dict(matplotlib.rcParams)
    never = compute(panel.inputs.with_base("seconds_condensed", 20))
    late = compute(panel.inputs.with_base("workload_scale", 3e6))
    for report in (panel.report, never, late):
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
    for made in (table, notebook_table):
        assert "<b>" not in made(["<b>"], [["<b>", "<b>"]], "<b>")
    assert "<td>0.9\xa0±\xa00.1</td>" in notebook_table(["set", "mAP"], [["full", "0.9 ± 0.1"]], "")
    assert "<b>" not in compare_html({"<b>": panel.inputs, "now": panel.inputs}, "en")
