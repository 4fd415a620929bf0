"""Our sets under a linear head beside published accuracies: does our DM do what DM does?"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from pocket.presentation.benchmark import groups
from pocket.runs.records import summarise
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

    Published figures are of the original images, and of students that are trained as long as the patient ones here.
    """
    told = []
    measured = [row for row in rows if row.accuracy is not None]
    for group in itertools.chain(*(groups(row for row in measured if row.reduced is less) for less in (False, True))):
        found = summarise(row.accuracy for row in group.rows if row.accuracy is not None)
        name, known = KNOWN.get((group.method, group.ipc), ("", 0.0))
        like = not group.variant and (group.formation == 1 or group.method == "iem")  # DM was published without tiles
        beside = f"; {name} as published {known:.1%}" if known and like else ""
        spread = f" ± {100 * found.half_width:.1f}" if found.seeds > 1 else " (one seed)"
        steps = group.rows[0].condense_steps
        devices = " and ".join(sorted({row.device for row in group.rows}))
        told.append(
            f"- {group.name}: accuracy {100 * found.mean:.1f}{spread} %{beside}"
            f" ({f'{steps:,} steps of condensing, ' if steps else ''}{group.rows[0].steps:,} of training; {devices})"
        )
    head = "Linear head, CIFAR-10, all 50,000 images, width 128 (suite `classification`)"
    if any(row.patient for row in measured):
        head += "; patient students are trained for 1,000 epochs of the stored images, as the published ones"
    return [f"{head}:", "", *told] if told else []
