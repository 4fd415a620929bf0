"""Quality against seconds: the training sets that none beats at their price."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterable, Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from pocket.presentation.benchmark import Group
from pocket.presentation.figures import COLOURS, MARKERS, NAMES
from pocket.presentation.roi_figures import GREY, figure_style


def seconds_for_one(group: Group) -> float:
    """Return the seconds that it takes to have one trained model: making the set, all stages, and training on it."""
    return group.mean(lambda r: r.make_seconds + r.train_seconds)


def timed_alike(among: Iterable[Group]) -> list[Group]:
    """Return the groups of the one device that most were measured on alone: only their seconds can be compared."""
    alone = [group for group in among if not group.shared and len(group.clocks) == 1]
    most = Counter(group.clocks for group in alone).most_common(1)
    return [group for group in alone if group.clocks == most[0][0]]


def unbeaten(among: Iterable[Group]) -> list[Group]:
    """Return the groups that none beats with as few seconds or fewer, cheapest first; see `timed_alike`."""
    best: list[Group] = []
    for group in sorted(timed_alike(among), key=lambda g: (seconds_for_one(g), -g.map.mean)):
        if not best or group.map.mean > best[-1].map.mean:
            best.append(group)
    return best


def told(among: Sequence[Group], *, left_out: bool = True) -> str:
    """Say which sets none beats at their price, and which are left out since their seconds cannot be compared."""
    best, compared = unbeaten(among), timed_alike(among)
    if not best:
        return "No seconds can be compared: every set was measured on shared devices."
    left = [group.name for group in among if group not in compared] if left_out else []
    said = f"Not beaten at their price: {'; '.join(group.name for group in best)}."
    if not any(group.method == "iem" for group in best):
        said += " No set of IEM is among them: where a single model is wanted, other ways give more for less."
    return said + (f" Left out, measured on another device or a shared one: {'; '.join(left)}." if left else "")


def figure(among: Sequence[Group], title: str) -> Figure:
    """Draw mAP against all seconds for one trained model; a line joins the ways that none beats at their price.

    Sets that were measured on a shared device, or another one than most, are left out: see `timed_alike`.

    Colour and shape tell the method, open marks have code labels, larger ones patient students. Those on the line have
    numbers, and their names stand below: beside marks that are close to one another they could not be read.
    """
    with figure_style("en"):
        drawn = Figure(figsize=(7.5, 4.2), layout="constrained")
        axis = drawn.subplots()
        among = timed_alike(among)
        for group in among:
            axis.errorbar(
                seconds_for_one(group),
                group.map.mean,
                yerr=group.map.half_width,
                marker=MARKERS.get(group.method, "o"),
                color=COLOURS.get(group.method, GREY),
                mfc="white" if group.labels else None,
                ms=10 if group.patient else 7,
                elinewidth=0.6,
                lw=0,
            )
        best = unbeaten(among)
        line = [(seconds_for_one(group), group.map.mean) for group in best]
        axis.plot(*zip(*line, strict=True), color=GREY, lw=1, zorder=0)
        for number, place in enumerate(line, 1):
            axis.annotate(str(number), place, textcoords="offset points", xytext=(6, -10), fontsize=8)
        names = "; ".join(f"{number} {group.name}" for number, group in enumerate(best, 1))
        for method in dict.fromkeys(group.method for group in among):
            colour, marker = COLOURS.get(method, GREY), MARKERS.get(method, "o")
            axis.plot([], [], marker=marker, color=colour, lw=0, ms=7, label=NAMES.get(method, method))
        axis.set_xscale("log")
        axis.xaxis.set_major_formatter("{x:g}")
        axis.xaxis.set_minor_locator(NullLocator())
        low, high = axis.get_xlim()
        narrow = high < 10 * low  # for the ticks of a decade
        axis.xaxis.set_major_locator(MaxNLocator(6) if narrow else LogLocator(subs=(1, 2, 5)))
        axis.set(xlabel="seconds for one trained model, all stages", ylabel="expected mAP")
        drawn.supxlabel(textwrap.fill(f"On the line: {names}", 110), fontsize=8, x=0.01, ha="left")
        axis.set_ylim(top=min(axis.get_ylim()[1], 1.0))
        axis.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
        axis.set_title(title)
        return drawn
