"""Our sets under a linear head beside published accuracies: does our DM do what DM does?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from pocket.presentation.benchmark import EXPERTS, TRANSFORMED, Group, groups, interval
from pocket.runs.records import Summary, summarise
from pocket.runs.results import Row

# Accuracy on CIFAR-10 with a ConvNet of 3 blocks and width 128, by method and images a class. DM: Zhao and Bilen, WACV
# 2023. DANCE, IJCAI 2024, is the best published of IEM's kind: a mark for our IEM, which nobody has published there.
KNOWN = {
    ("dm", 10): ("DM", 0.489),
    ("dm", 50): ("DM", 0.630),
    ("iem", 10): ("DANCE", 0.708),
    ("iem", 50): ("DANCE", 0.761),
}


HEAD = ("training set", "accuracy", "as published", "steps of condensing", "of training", "device")


class Line(NamedTuple):
    """A training set under a linear head."""

    group: Group
    name: str  # with the task, where it is a reduced one
    accuracy: str
    known: tuple[str, float] | None  # what it is held against, and the accuracy published of it
    devices: str

    @property
    def steps(self) -> tuple[int, int]:
        """Of condensing, 0 where nothing is condensed, and of training."""
        return self.group.rows[0].condense_steps, self.group.rows[0].steps


def measured(rows: Sequence[Row]) -> list[Line]:
    """Return a line a training set: its accuracy, and the published one that it is held against.

    Published figures are of the original images and of many more steps of condensing. Students of DM as published are
    trained as long as the patient ones here, without CutMix; those of DANCE have it, and longer than the ones with it
    here. Sets that a reduced task makes with other steps stand apart.
    """
    found: list[Line] = []
    for less in (False, True):
        alike = groups(row for row in rows if row.accuracy is not None and row.reduced is less)
        alike.sort(key=lambda g: (g.task, g.method != "full", g.teaching, g.ipc, -accuracy(g).mean))
        found += [_line(group, ", reduced task" if less else "") for group in alike]
    return found


def heading(found: Sequence[Line]) -> str:
    """Say of what task the lines are, and how long their students are trained."""
    head = "Linear head, CIFAR-10, all 50,000 images, width 128 (suite `classification`)"
    if any(line.group.patient for line in found):
        head += "; patient students are trained as long as those of DM as published, 1,000 epochs of the stored images"
    if any(line.group.cutmix for line in found):
        head += ", those with CutMix four times as long, which are 1,000 epochs of the views of tiles, as those of IDC"
    return head


def lines(rows: Sequence[Row]) -> list[str]:
    """Return `measured` as a list in Markdown."""
    found = measured(rows)
    told = [
        f"- {line.name}: accuracy {line.accuracy}"
        f"{f'; {line.known[0]} as published {line.known[1]:.1%}' if line.known else ''}"
        f" ({f'{line.steps[0]:,} steps of condensing, ' if line.steps[0] else ''}{line.steps[1]:,} of training; "
        f"{line.devices})"
        for line in found
    ]
    return [f"{heading(found)}:", "", *told] if told else []


def table_rows(found: Sequence[Line]) -> list[tuple[str, ...]]:
    """Return one line of text a training set, in the order of `HEAD`."""
    return [
        (
            line.name,
            line.accuracy,
            f"{line.known[0]} {line.known[1]:.1%}" if line.known else "",
            f"{line.steps[0]:,}" if line.steps[0] else "–",
            f"{line.steps[1]:,}",
            line.devices,
        )
        for line in found
    ]


def score(line: Line) -> float:
    """Return the mean accuracy over seeds."""
    return accuracy(line.group).mean


def accuracy(group: Group) -> Summary:
    """Return the accuracy over seeds."""
    return summarise(row.accuracy for row in group.rows if row.accuracy is not None)


def _line(group: Group, task: str) -> Line:
    found = accuracy(group)
    as_dm = group.formation == 1 and not group.cutmix  # it was published without tiles, and without CutMix
    like = as_dm if group.method == "dm" else group.method == "iem"
    like = like and group.variant in ("", EXPERTS, TRANSFORMED)
    return Line(
        group,
        f"{group.name}{task}",
        interval(found, percent=True),
        KNOWN.get((group.method, group.ipc)) if like else None,
        " and ".join(sorted({row.device for row in group.rows})),
    )
