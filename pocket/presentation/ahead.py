"""Is IEM ahead, and which of its parts make it so? Paired over seeds, with equal task, size and teaching."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from pocket.presentation.benchmark import EXPERTS, PUBLISHED, TRANSFORMED, Group, interval
from pocket.presentation.figures import NAMES
from pocket.runs.records import Summary, summarise

RIVALS = ("random", "herding", "kcenter", "dm", "gradient", "idc")
HEAD = ("task", "set", "mAP", "against", "mAP", "difference", "")
LEAST = 0.95  # of the comparisons, to be ahead in all cells
MOST_NAMED = 3  # comparisons that a verdict names one by one
PARTS_HEAD = ("training set", "mAP", "difference to the whole method", "")


class Comparison(NamedTuple):
    """IEM against one rival in one cell, paired over the seeds that both have."""

    ours: Group
    theirs: Group
    gap: Summary

    @property
    def ahead(self) -> bool:
        """Whether the paired mean is above 0."""
        return self.gap.mean > 0

    @property
    def decided(self) -> bool:
        """Whether the 95 % interval of the paired differences (Student t) leaves out 0."""
        return self.gap.seeds > 1 and abs(self.gap.mean) > self.gap.half_width

    @property
    def behind(self) -> bool:
        """Whether the interval lies wholly below 0."""
        return self.decided and self.gap.mean < 0


def comparisons(among: Sequence[Group], ours: str = "") -> list[Comparison]:
    """Compare IEM with every rival family at equal task, size and teaching; each in the strongest form measured.

    DM's forms are whole images and tiles, each with the siamese transforms that all methods have here and with all
    kinds that it was published with. One that is measured with a single seed, while others have more, has no interval
    and does not stand in yet.

    Parameters
    ----------
    among : sequence of Group
    ours : str
        Variant of IEM; "" is `IEMConfig.best`.

    Returns
    -------
    list of Comparison
    """
    found: list[Comparison] = []
    for mine in (g for g in among if g.method == "iem" and g.variant == ours):
        for rival in RIVALS:
            wanted = mine.task, rival, mine.ipc, mine.teaching
            forms = [
                g for g in among if (g.task, g.method, g.ipc, g.teaching) == wanted and g.variant in ("", TRANSFORMED)
            ]
            if forms:
                found += _paired(mine, max(forms, key=lambda g: (min(_shared(mine, g), 2), g.map.mean)))
    return found


def _shared(ours: Group, theirs: Group) -> int:
    """Return how many seeds two groups share."""
    return len({row.seed for row in ours.rows} & {row.seed for row in theirs.rows})


def _paired(ours: Group, theirs: Group) -> list[Comparison]:
    """Compare two groups over the seeds that both have; none where they share none."""
    other = {row.seed: row.map for row in theirs.rows}
    gaps = [row.map - other[row.seed] for row in ours.rows if row.seed in other]
    return [Comparison(ours, theirs, summarise(gaps))] if gaps else []


def parts(among: Sequence[Group]) -> list[Comparison]:
    """Compare each variant of IEM, and of IEM as published, with the whole method: ours is the variant."""
    found: list[Comparison] = []
    for group in (g for g in among if g.method == "iem" and g.variant not in ("", PUBLISHED, EXPERTS)):
        whole = PUBLISHED if group.variant.startswith(PUBLISHED) else ""
        wanted = group.task, "iem", whole, {row.cell_ipc for row in group.rows}, group.teaching
        for other in among:
            if (other.task, other.method, other.variant, {r.cell_ipc for r in other.rows}, other.teaching) == wanted:
                found += _paired(group, other)
    return found


def parts_rows(found: Sequence[Comparison]) -> list[tuple[str, ...]]:
    """Return one line of text a variant in the order of `PARTS_HEAD`, below the whole method that it was held against.

    Of a variant *without* a part, "worse" says that the part is worth having; of one *with* something, that it is not.
    """
    lines: list[tuple[str, ...]] = []
    for whole in _wholes(found):
        lines.append((whole.name, interval(whole.map), "–", ""))
        for each in sorted((c for c in found if c.theirs is whole), key=lambda c: c.gap.mean):
            said = ("better" if each.ahead else "worse") if each.decided else "within noise"
            lines.append((each.ours.name, interval(each.ours.map), interval(each.gap, "+"), said))
    return lines


def parts_verdict(found: Sequence[Comparison]) -> str:
    """Say which changes of the whole method stand out of the noise, of each version of it."""
    told = []
    for whole in _wholes(found):
        mine = sorted((c for c in found if c.theirs is whole and c.decided), key=lambda c: -abs(c.gap.mean))
        worse, better = (
            ", ".join(f"{_change(c)} ({interval(c.gap, '+')})" for c in mine if c.ahead is wanted) or "nothing"
            for wanted in (False, True)
        )
        told.append(f"Worse than {whole.name.split(',')[0]}: {worse}; better: {better}; the others are within noise.")
    return " ".join(told)


def _wholes(found: Sequence[Comparison]) -> list[Group]:
    """Return the whole methods that variants were held against, our own first."""
    return sorted({each.theirs for each in found}, key=lambda group: (group.task, group.variant, group.ipc))


def _change(each: Comparison) -> str:
    """Return what a variant changes, such as "without V"."""
    return each.ours.variant.removeprefix(PUBLISHED).removeprefix(", ")


def equal_disk(among: Sequence[Group]) -> list[Comparison]:
    """Compare IEM with random subsets that fill the same bytes as PNG files, codes included, in the stronger form."""
    found: list[Comparison] = []
    for mine in (g for g in among if (g.method, g.variant) == ("iem", "")):
        wanted = mine.task, "random", "equal disk", mine.teaching, {row.cell_ipc for row in mine.rows}
        forms = [
            g for g in among if (g.task, g.method, g.variant, g.teaching, {row.cell_ipc for row in g.rows}) == wanted
        ]
        if forms:
            found += _paired(mine, max(forms, key=lambda g: g.map.mean))
    return found


def once(found: Sequence[Comparison]) -> list[Comparison]:
    """Keep one comparison of models that were scored under several protocols: that of the first one by name.

    On CIFAR-10 that is ``cifar10-official``: the same two models under ``cifar10-unseen`` are no second cell.
    """
    first: dict[object, Comparison] = {}
    for each in sorted(found, key=lambda c: c.ours.task.protocol):
        first.setdefault((each.ours.task._replace(protocol=""), each.ours.name, each.theirs.method), each)
    return list(first.values())


def in_all_cells(found: Sequence[Comparison]) -> bool:
    """Return whether the mean is above 0 in at least 95 % of comparisons, and significantly below it in none.

    Models that were scored under several protocols count `once` for the first; they may be behind under none.
    """
    counted = once(found)
    return sum(c.ahead for c in counted) >= LEAST * len(counted) and not any(c.behind for c in found)


def against(found: Sequence[Comparison]) -> str:
    """Name the families that IEM was compared with where some are missing, by size where sizes differ; else ""."""
    by: dict[int, set[str]] = {}
    for each in found:
        by.setdefault(each.ours.ipc, set()).add(each.theirs.method)
    if all(set(RIVALS) <= rivals for rivals in by.values()):
        return ""
    named = {ipc: _listed([NAMES[rival] for rival in RIVALS if rival in rivals]) for ipc, rivals in sorted(by.items())}
    if len(set(named.values())) == 1:
        return f"against {named.popitem()[1]} alone"
    return "against " + "; ".join(f"{rivals} with {ipc} a class" for ipc, rivals in named.items())


def verdict(found: Sequence[Comparison]) -> str:
    """Say whether IEM is ahead in all cells (see `in_all_cells`), and against whom where families are missing.

    What it is behind of is named with size and teaching, more than `MOST_NAMED` by how often each rival is ahead; so is
    where it is not ahead, but within the noise. The same models under another protocol are counted apart.
    """
    if not found:
        return "Nothing to compare yet."
    counted = once(found)
    ahead, behind = sum(c.ahead for c in counted), [c for c in counted if c.behind]
    surely = sum(c.ahead and c.decided for c in counted)
    level = [c for c in counted if not c.ahead and not c.behind]
    told = (
        f"{found[0].ours.name.split(',')[0]} is ahead in {ahead} of {len(counted)} comparisons ({surely} significantly)"
    )
    if patient := sum(c.ours.patient for c in counted):
        told += f", {patient} of them of patient students"
    told += f" and significantly behind in {len(behind)}" if behind else ", significantly behind in none"
    told += f" ({_named(behind)})" if behind else ""
    told += f"; not ahead, within noise, in {len(level)} ({_named(level)})" if level else ""
    rule = (
        "ahead in all cells"
        if in_all_cells(found)
        else "not ahead in all cells, which takes 95 % ahead and none significantly behind"
    )
    whom = f", {told_of}" if (told_of := against(found)) else ""
    return f"{told}: {rule}{whom}.{_elsewhere(found, counted)}"


def _listed(names: Sequence[str]) -> str:
    """Return ``"a, b and c"``."""
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last


def _elsewhere(found: Sequence[Comparison], counted: Sequence[Comparison]) -> str:
    """Say how the same models stand under the other protocols."""
    told = ""
    for protocol in sorted({each.ours.task.protocol for each in found} - {c.ours.task.protocol for c in counted}):
        there = [each for each in found if each.ours.task.protocol == protocol]
        behind = sum(each.behind for each in there)
        told += f" The same models under {protocol}: ahead in {sum(c.ahead for c in there)} of {len(there)}"
        told += f", significantly behind in {behind}." if behind else "."
    return told


def _named(found: Sequence[Comparison]) -> str:
    """Name the rivals of some comparisons, more than `MOST_NAMED` by how often each stands there."""
    named = [c.theirs.name if len(found) <= MOST_NAMED else c.theirs.name.split(",")[0] for c in found]
    each = Counter(f"{name} on {c.ours.task.dataset}" for name, c in zip(named, found, strict=True))
    return "; ".join(f"{name}{f' in {count}' if count > 1 else ''}" for name, count in each.most_common())


def table_rows(found: Iterable[Comparison]) -> list[tuple[str, ...]]:
    """Return one line of text a comparison, in the order of `HEAD`; last whether it is decided, and for whom.

    Our set is named by its size, labels and students, which a rival shares: that of the same size by its family.
    """
    return [
        (
            f"{(task := each.ours.task).dataset}, {task.protocol}, {task.hashing} {task.bits}",
            each.ours.name.partition(", ")[2],
            f"{each.ours.map.mean:.3f}",
            each.theirs.name.split(",")[0] if each.theirs.ipc == each.ours.ipc else each.theirs.name,
            f"{each.theirs.map.mean:.3f}",
            interval(each.gap, "+"),
            ("ahead" if each.ahead else "behind") if each.decided else "within noise",
        )
        for each in found
    ]
