"""The charts of the ROI, measured as they are drawn: nothing is cut off, runs together or is too small for a phone."""

from __future__ import annotations

from io import BytesIO
from itertools import pairwise

import numpy as np
import pytest
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from runs_for_tests import run  # noqa: F401 (fixture)

from pocket.presentation import roi_figures
from pocket.presentation.html import png_bytes
from pocket.presentation.i18n import LANGUAGES
from pocket.presentation.roi_panel import CHARTS
from pocket.roi import RoiInputs, RoiReport, compute
from pocket.runs import Run

_PHONE = 350  # CSS pixels between the margins of a page


def late_payback(inputs: RoiInputs) -> RoiReport:
    """Return a report whose payback lies in the last months, where its words have no room on the right."""
    for scale in np.geomspace(1e3, 1e9, 200):
        found = compute(inputs.with_base("workload_scale", float(scale)), draws=200)
        if found.payback and found.payback > 30:
            return found
    raise AssertionError("no scale pays back so late")


def drawn(report: RoiReport, chart: str, lang: str) -> tuple[Figure, FigureCanvasAgg]:
    figure = getattr(roi_figures, f"figure_{chart}")(report, lang)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return figure, canvas


def tick_texts(axis: Axis, *, within: bool = True) -> list[Text]:
    """Return what stands at the ticks of an axis; matplotlib keeps some beyond its ends, which it does not draw."""
    low, high = sorted(axis.get_view_interval())
    return [tick.label1 for tick in axis.get_major_ticks() if (low <= tick.get_loc() <= high) == within]


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("chart", CHARTS)
def test_nothing_in_a_chart_is_cut_or_too_small(run: Run, chart: str, lang: str) -> None:  # noqa: F811
    inputs = RoiInputs.from_run(run)
    for report in (compute(inputs, draws=200), late_payback(inputs)):
        figure, canvas = drawn(report, chart, lang)
        renderer, paper = canvas.get_renderer(), figure.bbox
        (axes,) = figure.axes
        beyond = {id(text) for axis in (axes.xaxis, axes.yaxis) for text in tick_texts(axis, within=False)}
        written = [t for t in figure.findobj(Text) if t.get_visible() and t.get_text() and id(t) not in beyond]
        for text in written:
            box = text.get_window_extent(renderer)
            assert paper.x0 - 1 <= box.x0 and box.x1 <= paper.x1 + 1, text.get_text()
            assert paper.y0 - 1 <= box.y0 and box.y1 <= paper.y1 + 1, text.get_text()
            assert text.get_fontsize() * _PHONE / (72 * figure.get_figwidth()) >= 8, f"{text.get_text()}, on a phone"
        assert axes.get_window_extent().width > 0.45 * paper.width, "its words leave the chart no room"
        boxes = [text.get_window_extent(renderer) for text in tick_texts(axes.xaxis)]
        ends = sorted((box.x0, box.x1) for box in boxes)
        assert all(after[0] > before[1] for before, after in pairwise(ends)), "figures of the axis run together"


@pytest.mark.parametrize("chart", CHARTS)
def test_ticks_have_the_digits_they_need_and_no_more(run: Run, chart: str) -> None:  # noqa: F811
    figure, _ = drawn(compute(RoiInputs.from_run(run), draws=200), chart, "en")
    (axes,) = figure.axes
    texts = [text.get_text() for text in tick_texts(axes.xaxis if chart == "tornado" else axes.yaxis)]
    assert len(set(texts)) == len(texts) >= 3
    assert not all(text.endswith("0") for text in texts if "." in text) or not any("." in text for text in texts)


@pytest.mark.parametrize("chart", ["cash_flow", "fan"])
def test_a_legend_hides_no_line(run: Run, chart: str) -> None:  # noqa: F811
    inputs = RoiInputs.from_run(run)
    for report in (compute(inputs, draws=200), late_payback(inputs)):
        figure, canvas = drawn(report, chart, "ja")
        (legend,) = figure.legends
        assert legend.get_window_extent(canvas.get_renderer()).y1 < figure.axes[0].get_window_extent().y0


@pytest.mark.parametrize("chart", CHARTS)
def test_a_chart_drawn_once_is_the_one_that_savefig_draws_twice(run: Run, chart: str) -> None:  # noqa: F811
    report, saved = compute(RoiInputs.from_run(run), draws=200), BytesIO()
    draw = getattr(roi_figures, f"figure_{chart}")
    draw(report, "ja").savefig(saved, format="png", dpi=150, facecolor="white", metadata={"Software": None})
    assert png_bytes(draw(report, "ja"), dpi=150) == saved.getvalue()
