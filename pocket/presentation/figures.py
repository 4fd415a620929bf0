"""Figures of the notebooks, as matplotlib objects without global state, each shown with its alternative text."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from pocket.presentation.roi_figures import BLUE, GREY, ORANGE, figure_style
from pocket.runs.records import Cell, select, summarise

if TYPE_CHECKING:
    from pocket.evaluation import RetrievalReport

COLOURS = {
    "full": GREY,
    "iem": BLUE,
    "random": ORANGE,
    "dm": "#0f766e",
    "herding": "#7c3aed",
    "kcenter": "#be185d",
    "gradient": "#4d7c0f",
    "idc": "#854d0e",
}
HATCHES = {"full": "", "iem": "", "random": "///", "dm": "..."}
_COLOURS_OF_MODELS = (GREY, BLUE, ORANGE, "#0f766e")  # full data, IEM, random, as in the other charts
MARKERS = {
    "full": "*",
    "iem": "o",
    "random": "s",
    "dm": "D",
    "herding": "^",
    "kcenter": "v",
    "gradient": "P",
    "idc": "X",
}
NAMES = {
    "full": "full data",
    "iem": "IEM",
    "random": "random",
    "dm": "DM",
    "herding": "herding",
    "kcenter": "k-center",
    "gradient": "DC",
    "idc": "IDC",
}


def show(figure: Figure, alt: str) -> None:
    """Display a figure in a notebook with ``alt`` as its alternative text.

    Raises
    ------
    ValueError
        If ``alt`` is empty.
    """
    from IPython.display import display

    if not alt.strip():
        raise ValueError("a figure needs alternative text: a sentence that says what it shows")
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=110, bbox_inches="tight", facecolor="white")
    bundle = {"image/png": buffer.getvalue(), "text/plain": f"[figure] {alt}"}
    display(bundle, raw=True, metadata={"image/png": {"alt": alt}})


def cell_name(cell: Cell) -> str:
    """Return what a cell is called in charts: ``"IEM, 10 a class"``, ``"random tiles, 1 a class"``."""
    if cell.method == "full":
        return "full data"
    tiles = " tiles" if cell.method in ("random", "dm") and cell.formation > 1 else ""
    return f"{NAMES.get(cell.method, cell.method)}{tiles}, {cell.ipc} a class"


def image_grid(
    images: npt.NDArray[np.uint8], titles: Sequence[str] = (), *, columns: int = 10, scale: float = 0.9
) -> Figure:
    """Draw images, shape (N, C, H, W), row by row with their titles below."""
    with figure_style("en"):
        rows = max(1, math.ceil(len(images) / columns))
        figure = Figure(figsize=(columns * scale, rows * scale * (1.25 if titles else 1.0)), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False)
        for position, axis in enumerate(axes.flat):
            axis.axis("off")
            if position < len(images):
                _picture(axis, images[position])
                if titles:
                    axis.set_title(titles[position], fontsize=7, loc="center", y=-0.32)
        return figure


def image_rows(
    rows: Mapping[str, npt.NDArray[np.uint8]],
    captions: Mapping[str, Sequence[str]] | None = None,
    framed: Mapping[str, Sequence[bool]] | None = None,
    *,
    scale: float = 0.9,
) -> Figure:
    """Draw one named row of images per entry, such as the same ones at several steps, with captions below each.

    Images in ``framed`` get a red frame; say in their captions what it means.
    """
    with figure_style("en"):
        columns = max(len(images) for images in rows.values())
        size = columns * scale + 1.6, len(rows) * scale * (1.4 if captions else 1)
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots(len(rows), columns, squeeze=False)
        for line, (name, images) in zip(axes, rows.items(), strict=True):
            for axis in line:
                axis.axis("off")
            for axis, image in zip(line, images, strict=False):
                _picture(axis, image)
            for axis, red in zip(line, framed[name] if framed else (), strict=False):
                if red:
                    frame = Rectangle(
                        (0, 0), 1, 1, transform=axis.transAxes, fill=False, ec="#b42318", lw=3, clip_on=False
                    )
                    axis.add_patch(frame)
            for axis, text in zip(line, captions[name] if captions else (), strict=False):
                axis.text(0.5, -0.05, text, transform=axis.transAxes, ha="center", va="top", fontsize=7)
            label = "\n".join(_short(part) for part in name.split("\n"))
            line[0].text(-0.15, 0.5, label, transform=line[0].transAxes, ha="right", va="center", fontsize=8)
        return figure


def _short(text: str, longest: int = 24) -> str:
    """Return text that leaves room for the images beside it, its middle left out where it is long."""
    return text if len(text) <= longest else f"{text[: longest // 2]}…{text[-(longest // 2 - 1) :]}"


def _picture(axis: Axes, image: npt.NDArray[np.uint8]) -> None:
    pixels = image[0] if len(image) == 1 else image.transpose(1, 2, 0)
    axis.imshow(pixels, cmap="gray", vmin=0, vmax=255, interpolation="nearest")


def figure_counts(counts: Mapping[str, npt.NDArray[np.int64]], class_names: Sequence[str]) -> Figure:
    """Draw images per class for each side of a split."""
    with figure_style("en"):
        figure = Figure(figsize=(7, 2.4), layout="constrained")
        axis = figure.subplots()
        width = 0.8 / len(counts)
        for i, (name, values) in enumerate(counts.items()):
            places = np.arange(len(values)) + (i - (len(counts) - 1) / 2) * width
            axis.bar(places, values, width, label=name, hatch="///" if i else "")
        axis.set_xticks(range(len(class_names)), class_names, rotation=0 if max(map(len, class_names)) < 4 else 30)
        axis.set_ylabel("images")
        axis.legend(frameon=False, ncols=len(counts))
        return figure


def figure_map(cells: Sequence[Cell], title: str = "Expected mAP (mean and 95 % interval over seeds)") -> Figure:
    """Draw mean mAP with its interval, one bar per kind of training set, in the order they first appear."""
    kinds = list(dict.fromkeys((c.method, c.ipc, c.formation, cell_name(c)) for c in cells))
    with figure_style("en"):
        figure = Figure(figsize=(7, 0.36 * len(kinds) + 0.9), layout="constrained")
        axis = figure.subplots()
        for place, (method, ipc, formation, _) in enumerate(kinds):
            group = [c.map for c in select(cells, method=method, ipc=ipc, formation=formation)]
            mean, half, _ = summarise(group)
            axis.barh(
                place,
                mean,
                0.7,
                color=COLOURS.get(method, GREY),
                hatch=HATCHES.get(method, ""),
                alpha=0.9,
                edgecolor="white",
            )
            axis.errorbar(mean, place, xerr=half, color="black", capsize=3, lw=1)
            axis.plot(group, [place] * len(group), "o", color="black", ms=2.5)
            axis.text(max([mean + half, *group]) + 0.015, place, f"{mean:.3f}", va="center", fontsize=8)
        axis.set_yticks(range(len(kinds)), [name for *_, name in kinds])
        axis.invert_yaxis()
        axis.set_xlim(0, 1.1)
        axis.set_xticks(np.linspace(0, 1, 6))
        axis.set_title(title)
        return figure


def figure_precision_recall(reports: Mapping[str, RetrievalReport]) -> Figure:
    """Draw precision against recall at every Hamming radius, one line per model."""
    styles = ("-", "--", ":", "-.")
    with figure_style("en"):
        figure = Figure(figsize=(5, 3.2), layout="constrained")
        axis = figure.subplots()
        for i, (name, report) in enumerate(reports.items()):
            axis.plot(
                report.radius_recall,
                report.radius_precision,
                styles[i % 4],
                marker="osv^"[i % 4],
                color=_COLOURS_OF_MODELS[i % 4],
                ms=3,
                label=name,
            )
        axis.set(xlabel="recall", ylabel="precision", xlim=(0, 1.02), ylim=(0, 1.04))
        axis.set_title("Precision and recall at Hamming radius 0, 1, 2, ...")
        axis.legend(frameon=False)
        return figure


def figure_classes(reports: Mapping[str, RetrievalReport]) -> Figure:
    """Draw mean AP per class, one marker per model, so that a class that loses stands out."""
    with figure_style("en"):
        figure = Figure(figsize=(7, 2.6), layout="constrained")
        axis = figure.subplots()
        for i, (name, report) in enumerate(reports.items()):
            values = [np.nan if value is None else value for value in report.class_map]
            axis.plot(values, "osv^"[i % 4], color=_COLOURS_OF_MODELS[i % 4], label=name, ms=6, alpha=0.85)
        names = next(iter(reports.values())).class_names
        axis.set_xticks(range(len(names)), names, rotation=0 if max(map(len, names)) < 4 else 30)
        axis.set(xlabel="class", ylabel="mean AP of its queries", title="How well each class is found")
        axis.legend(frameon=False, ncols=len(reports))
        return figure


def figure_decline(ticks: Sequence[object], series: Mapping[str, Sequence[float]], xlabel: str, title: str) -> Figure:
    """Draw how a score falls as something gets harder, one line per model, over evenly spaced ticks."""
    with figure_style("en"):
        figure = Figure(figsize=(6, 2.8), layout="constrained")
        axis = figure.subplots()
        for i, (name, values) in enumerate(series.items()):
            marker, colour = "osv^"[i % 4], _COLOURS_OF_MODELS[i % 4]
            axis.plot(values, ("-", "--", ":", "-.")[i % 4], marker=marker, color=colour, ms=5, label=name)
        axis.set_xticks(range(len(ticks)), [str(tick) for tick in ticks])
        axis.set(xlabel=xlabel, ylabel="expected mAP", title=title)
        axis.legend(frameon=False)
        return figure


def figure_seconds(cells: Sequence[Cell]) -> Figure:
    """Draw mean mAP against the mean seconds for one trained model, all stages counted, a mark per training set."""
    kinds = list(dict.fromkeys((c.method, c.ipc, c.formation, cell_name(c)) for c in cells))
    with figure_style("en"):
        figure = Figure(figsize=(7, 3.6), layout="constrained")
        axis = figure.subplots()
        for method, ipc, formation, name in kinds:
            group = select(cells, method=method, ipc=ipc, formation=formation)
            score = summarise(c.map for c in group)
            axis.errorbar(
                summarise(c.make_seconds + c.train_seconds for c in group).mean,
                score.mean,
                yerr=score.half_width,
                marker=MARKERS.get(method, "o"),
                color=COLOURS.get(method, GREY),
                mfc="white" if formation > 1 and method in ("random", "dm") else None,  # tiles, whole images filled
                ms=4 + 2 * math.log10(max(ipc, 1) * 10),
                elinewidth=0.6,
                lw=0,
                label=name,
            )
        axis.set_xscale("log")
        axis.xaxis.set_major_formatter("{x:g}")
        axis.xaxis.set_minor_formatter("{x:g}")
        axis.set(xlabel="seconds for one trained model: making the set, and training on it", ylabel="expected mAP")
        axis.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5), fontsize=8)
        return figure
