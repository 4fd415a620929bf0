"""What the benchmark's table says: groups over seeds, claims with their intervals, and what they cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from pocket.presentation.figures import NAMES
from pocket.runs.records import Summary, summarise
from pocket.runs.results import Row, by_teacher, of_patchworks

PUBLISHED = "paper"  # the variant of IEM that is the source's method; "" is `IEMConfig.best`
EXPERTS = "experts"  # the variant that is `IEMConfig.experts`, the same task with a GPU and without
TRANSFORMED = "with every transform"  # the variant of DM with siamese transforms of all six kinds


class Task(NamedTuple):
    """What must be equal for two rows to be compared."""

    dataset: str
    protocol: str
    train_images: int
    resolution: int
    backbone: str
    width: int
    hashing: str
    bits: int


class Teaching(NamedTuple):
    """How a model is trained on a set, which is equal for sets that are compared."""

    codes: bool  # with code labels
    patient: bool  # for longer: `TrainConfig.patient` or `published`
    epochs: int = 0  # of the full-data model that was asked; 0: none was, or the one that full data is measured on
    cutmix: bool = False  # on images pasted together, half of the time
    mixes: int = 0  # patchworks of each view that have codes; 0: as many as usual


class Group(NamedTuple):
    """The rows of one kind of training set, one a seed."""

    task: Task
    method: str
    variant: str
    ipc: int
    formation: int
    labels: bool
    patient: bool
    epochs: int
    cutmix: bool
    mixes: int
    rows: tuple[Row, ...]

    @property
    def name(self) -> str:
        """What the group is called in tables."""
        if self.method == "full":
            return f"full data ({self.variant})" if self.variant else "full data"
        tiles = " tiles" if self.formation > 1 and self.method in ("random", "dm", "herding", "kcenter") else ""
        changed = self.variant.removeprefix(PUBLISHED).removeprefix(", ")
        variant = " as published" if changed != self.variant else ""
        variant += f" ({changed})" if changed else ""
        name = f"{NAMES.get(self.method, self.method)}{tiles}{variant}, {self.ipc} a class"
        taught = by_teacher(self.epochs, codes=self.labels)
        student = (", patient" if self.patient else "") + (", CutMix" if self.cutmix else "")
        codes = f", codes{of_patchworks(self.mixes)}" if self.labels else ""
        return name + codes + taught + student

    @property
    def teaching(self) -> Teaching:
        """How a model was trained on the set; a teacher counts that made the set or gave its codes."""
        taught = any(row.teacher_seconds for row in self.rows)
        return Teaching(self.labels, self.patient, self.epochs if taught else 0, self.cutmix, self.mixes)

    @property
    def shared(self) -> bool:
        """Whether other benches used the device while any row was measured: its seconds are too long."""
        return any(row.shared > 1 for row in self.rows)

    @property
    def device(self) -> str:
        """Where the rows were measured; several devices are all named, and their seconds are of no one of them."""
        return " and ".join(sorted({row.device for row in self.rows}))

    @property
    def clocks(self) -> frozenset[str]:
        """What the seconds of its rows are of; see `Row.clocks`."""
        return frozenset().union(*(row.clocks for row in self.rows))

    @property
    def map(self) -> Summary:
        """Expected mAP over seeds, the head recalibrated."""
        return summarise(row.map for row in self.rows)

    def mean(self, of: Callable[[Row], float]) -> float:
        """Return the mean over seeds of any figure of a row."""
        return summarise(of(row) for row in self.rows).mean


def groups(rows: Iterable[Row]) -> list[Group]:
    """Gather rows that differ in their seed alone: full data first, then by size, best first."""
    found: dict[tuple[Task, str, str, int, int, tuple[bool, bool, int, bool, int]], list[Row]] = {}
    for row in rows:
        task = Task(
            row.dataset, row.protocol, row.train_images, row.resolution, row.backbone, row.width, row.hashing, row.bits
        )
        # The number of images that fill equal bytes differs from seed to seed: the cell's own does not.
        taught = row.code_labels, row.patient, row.teacher_epochs, row.cutmix, row.mixes
        key = task, row.method, row.variant, row.cell_ipc, row.formation, taught
        found.setdefault(key, []).append(row)
    made = [
        Group(task, method, variant, max(r.ipc for r in members), formation, *taught, tuple(members))
        for (task, method, variant, _, formation, taught), members in found.items()
    ]
    return sorted(made, key=lambda g: (g.task, g.method != "full", g.teaching, g.ipc, -g.map.mean))


def recorded_on(rows: Iterable[Row]) -> str:
    """Say how many rows there are of the whole and of the reduced task, and on which device; empty where none are."""
    found = Counter((row.reduced, row.device) for row in rows)
    return "; ".join(
        f"{count} row{'s' if count > 1 else ''}{', reduced task' if reduced else ''}, {device}"
        for (reduced, device), count in found.items()
    )


def full_data(among: Iterable[Group], task: Task) -> Group | None:
    """Return the full-data group of a task, where it was measured, with its usual schedule."""
    return next((g for g in among if (g.task, g.method, g.variant) == (task, "full", "")), None)


def saved_seconds(group: Group, whole: Group) -> Summary:
    """Return the seconds that a training on the set saves against one on the full data, paired over seeds."""
    full = {row.seed: row.train_seconds for row in whole.rows}
    saved = [full[row.seed] - row.train_seconds for row in group.rows if row.seed in full]
    return summarise(saved) if saved else Summary(0.0, 0.0, 0)


def break_even(group: Group, whole: Group | None, *, teacher: bool) -> float | None:
    """Return after how many trainings condensing has paid for itself in seconds; None is never.

    ``(T_teacher + T_pool + T_condense + T_label) / (T_full - T_condensed)``, means over seeds; ``teacher`` says
    whether the full-data model that a set used counts (it does not where one trains it anyway).
    """
    if whole is None:
        return None
    saved = whole.mean(lambda r: r.train_seconds) - group.mean(lambda r: r.train_seconds)
    spent = group.mean(lambda r: r.make_seconds - (0.0 if teacher else r.teacher_seconds))
    return spent / saved if saved > 0 else None


def pays_after(group: Group, whole: Group | None) -> str:
    """Return the break-even as text; where the seconds saved do not stand out from their noise, that is said.

    Seconds of a device that several benches shared are too long by what nobody knows: nothing is told from them, nor
    from those of two devices, or of two precisions or numbers of threads on one.
    """
    if whole is None or (group.method, group.variant) == ("full", ""):
        return "–"
    if group.shared or whole.shared:
        return "shared device"
    if len(group.clocks | whole.clocks) > 1:
        return "other device"
    if group.method == "full":
        return "–"
    saved, trainings = saved_seconds(group, whole), break_even(group, whole, teacher=True)
    if saved.seeds > 1 and abs(saved.mean) <= saved.half_width:
        return "within noise"
    return "never" if trainings is None else f"{trainings:.1f}"


def main_tasks(among: Sequence[Group]) -> list[Task]:
    """Return, of each image set and protocol, the task that was measured in most ways, whole and reduced."""
    best: dict[tuple[str, str, bool], Task] = {}
    for reduced in (False, True):
        sizes = Counter(group.task for group in among if group.rows[0].reduced is reduced)
        for task in sizes:
            key = task.dataset, task.protocol, reduced
            if key not in best or sizes[task] > sizes[best[key]]:
                best[key] = task
    return list(best.values())


def answers(among: Sequence[Group], task: Task) -> list[str]:
    """Say for each of IEM's sets what is kept, what the best other family keeps, and when condensing has paid."""
    whole = full_data(among, task)
    told = []
    for group in among:
        if (group.task, group.method, group.variant) != (task, "iem", "") or whole is None:
            continue
        saved = saved_seconds(group, whole)
        trainings = pays_after(group, whole)
        cost = f"{group.mean(lambda r: r.make_seconds):.0f} s to make"
        if trainings == "other device":
            cost += f" and {group.mean(lambda r: r.train_seconds):.0f} s to train on, on {group.device}"
        elif trainings != "shared device":
            cost += f", {abs(saved.mean):.1f} s {'lost' if saved.mean < 0 else 'saved'} a training"
        if _as_long(group, whole):
            cost += ", which has as many steps of as many images as on full data"
        when = _comes_back(trainings)
        kept = f"mAP {group.map.mean:.3f} ({_best_other(group, among)})"
        lost = f"{whole.map.mean - group.map.mean:.3f} less than full data"
        told.append(f"{task.dataset}, {group.name}: {kept}, {lost}; {cost}: {when}.")
    return told


def _as_long(group: Group, whole: Group) -> bool:
    """Whether training on a set takes full data's steps, in its batches: a set of 500 images and more has those."""
    fewest = min(row.images for row in group.rows)
    return fewest >= 500 and min(row.steps for row in group.rows) >= max(row.steps for row in whole.rows)


def _best_other(group: Group, among: Sequence[Group]) -> str:
    """Name the best other family of equal size and teaching; variants of a family, but DM's transforms, are not it."""
    forms = strongest_forms(among, group.task, group.rows[0].cell_ipc, teaching=group.teaching)
    others = [g for g in forms if g.method not in ("full", "iem") and g.variant in ("", TRANSFORMED)]
    if not others:
        return "no other family was measured so"
    return f"best other: {others[0].name.split(',')[0]}, {others[0].map.mean:.3f}"


def _comes_back(trainings: str) -> str:
    """Return a clause of what `pays_after` tells."""
    told = {
        "never": "these seconds never come back",
        "within noise": "whether they come back is within the noise",
        "shared device": "whether they come back is not known, for the device was shared",
        "other device": "whether they come back is not known, for full data had another device, precision or threads",
    }
    if trainings in told:
        return told[trainings]
    when = "within the first training" if float(trainings) < 1 else f"after {trainings} trainings"
    return f"these seconds come back {when}"


def strongest_forms(among: Sequence[Group], task: Task, ipc: int, *, teaching: Teaching) -> list[Group]:
    """Return full data and, of every family and variant at one size, its stronger form, best first."""
    best: dict[tuple[str, str], Group] = {}
    for group in among:
        if group.task != task or (
            group.method != "full" and (group.teaching != teaching or group.rows[0].cell_ipc != ipc)
        ):
            continue
        key = group.method, group.variant
        if key not in best or group.map.mean > best[key].map.mean:
            best[key] = group
    return sorted(best.values(), key=lambda g: (g.method != "full", -g.map.mean))


HEAD = (
    "training set",
    "expected mAP",
    "without recalibration",
    "of full",
    "s to make",
    "s to train",
    "kB stored",
    "kB as PNG",
    "break-even, trainings",
)


def table_rows(among: Sequence[Group]) -> list[tuple[str, ...]]:
    """Return one line of text a group, in the order of `HEAD`."""
    lines: list[tuple[str, ...]] = []
    for group in among:
        whole = full_data(among, group.task)
        plain = [row.map_plain for row in group.rows if row.map_plain is not None]
        lines.append(
            (
                group.name,
                interval(group.map),
                f"{summarise(plain).mean:.3f}" if plain else "–",
                f"{group.map.mean / whole.map.mean:.1%}" if whole else "–",
                f"{group.mean(lambda r: r.make_seconds):.1f}",
                f"{group.mean(lambda r: r.train_seconds):.1f}",
                f"{group.mean(lambda r: r.image_bytes) / 1e3:,.0f}",
                f"{group.mean(lambda r: r.disk_bytes) / 1e3:,.0f}",
                pays_after(group, whole),
            )
        )
    return lines


def interval(score: Summary, sign: str = "", *, percent: bool = False) -> str:
    """Return ``"0.812 ± 0.010"``, with ``sign="+"`` of a difference; fewer than three seeds are said."""
    factor, digits, unit = (100, 1, " %") if percent else (1, 3, "")
    spread = f" ± {factor * score.half_width:.{digits}f}" if score.seeds > 1 else ""
    few = {1: " (one seed)", 2: " (two seeds)"}.get(score.seeds, "")
    return f"{factor * score.mean:{sign}.{digits}f}{spread}{unit}{few}"


def describe(found: Sequence[Group]) -> str:
    """Say of what task some groups are, and on what they were measured."""
    rows = [row for group in found for row in group.rows]
    row = rows[0]
    reduced = "reduced task, " if row.reduced else ""
    where = {f"{each.device}, {each.threads} thread{'s' if each.threads > 1 else ''}" for each in rows}
    return (
        f"{reduced}{row.train_images:,} train images, {row.resolution} px, {row.backbone} width {row.width}, "
        f"{row.hashing}, {row.bits} bits, protocol {row.protocol}, {' and '.join(sorted(where))}"
    )
