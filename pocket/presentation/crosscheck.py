"""Our sets under a linear head beside published accuracies: does our DM do what DM does?"""

from __future__ import annotations

from collections.abc import Sequence

from pocket.presentation.benchmark import Group, groups
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


def lines(rows: Sequence[Row]) -> list[str]:
    """Return a line of Markdown a training set: its accuracy, and the published one that it is held against.

    Published figures are of the original images and of many more steps of condensing. Students of DM as published are
    trained as long as the patient ones here, without CutMix; those of DANCE have it, and longer than the ones with it
    here. Sets that a reduced task makes with fewer steps stand apart; those that nothing is condensed for, or that have
    a teacher of so many epochs, are the same in both.
    """
    told: list[str] = []
    measured = [row for row in rows if row.accuracy is not None]
    for less in (False, True):
        alike = groups(row for row in measured if _fewer_steps(row) is less)
        alike.sort(key=lambda g: (g.task, g.method != "full", g.teaching, g.ipc, -_accuracy(g).mean))
        told += [_line(group, ", reduced task" if less else "") for group in alike]
    head = "Linear head, CIFAR-10, all 50,000 images, width 128 (suite `classification`)"
    if any(row.patient for row in measured):
        head += "; patient students are trained as long as those of DM as published, 1,000 epochs of the stored images"
    if any(row.cutmix for row in measured):
        head += ", those with CutMix four times as long, which are 1,000 epochs of the views of tiles, as those of IDC"
    return [f"{head}:", "", *told] if told else []


def _fewer_steps(row: Row) -> bool:
    return row.reduced and row.condense_steps > 0 and not row.teacher_epochs


def _accuracy(group: Group) -> Summary:
    return summarise(row.accuracy for row in group.rows if row.accuracy is not None)


def _line(group: Group, task: str) -> str:
    found = _accuracy(group)
    name, known = KNOWN.get((group.method, group.ipc), ("", 0.0))
    as_dm = group.formation == 1 and not group.cutmix  # it was published without tiles, and without CutMix
    like = not group.variant and (as_dm or group.method == "iem")
    beside = f"; {name} as published {known:.1%}" if known and like else ""
    spread = f" ± {100 * found.half_width:.1f} %" if found.seeds > 1 else " % (one seed)"
    steps = group.rows[0].condense_steps
    devices = " and ".join(sorted({row.device for row in group.rows}))
    return (
        f"- {group.name}{task}: accuracy {100 * found.mean:.1f}{spread}{beside}"
        f" ({f'{steps:,} steps of condensing, ' if steps else ''}{group.rows[0].steps:,} of training; {devices})"
    )
