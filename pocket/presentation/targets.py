"""What we set out to reach, and how far the recorded results are from it; nothing measured is typed by hand."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from pocket.presentation import ahead, crosscheck
from pocket.presentation.benchmark import Group, Task, full_data, groups, interval, pays_after
from pocket.presentation.figures import NAMES
from pocket.runs.records import Summary, summarise
from pocket.runs.results import Row

HEAD = ("what", "target", "measured", "", "of")
OFFICIAL, UNSEEN = "cifar10-official", "cifar10-unseen"
SHARES = {10: 0.60, 50: 0.75, 500: 0.92}  # of full data's mAP, by images a class
WITHIN = 0.03  # of DM's published accuracies
LINEAR = {10: 0.65, 50: 0.73}  # accuracy of our IEM
TRAININGS = 8  # until condensing has paid for itself
SECONDS = 60
GIGABYTES = 8
DIGITS_SHARE, DIGITS_SECONDS = 0.97, 30
FASHION_GAIN, FASHION_SHARE = 1.22, 0.95

# What was tried where a target is missed, and what limits it; by the start of `Target.what`.
LIMITS = {
    "mAP / full-data mAP, CIFAR-10, 500": "tried: two step sizes, patient students of as many steps as full data; "
    "random whole images are as good at this size, so little is left to win by the images; not tried, for want of a "
    "GPU: codes of more patchworks, sets matched under experts",
    "IEM ahead of every family, suite paper": "random whole images are as good at 500 a class, within noise, where two "
    "step sizes and patient students were tried; the families that are missing there take a GPU, and the reduced task "
    "has them all",
    "DM": "these images are JPEG copies, the siamese transforms milder and all at once, the optimiser is Adam, and the "
    "sets are condensed for 500 or 1,000 steps, the published ones for 20,000; tried: shift and every transform, "
    "quick students and such as long as published, step sizes (docstring of the suite `classification`); SGD at "
    "the published rate with one strong transform at a time went astray within 500 steps (0.134 at 10 a class, "
    "seed 0), and other rates of it and more steps were not tried; which of these limits it is not known, and DM "
    "stands that much below its published self wherever IEM is compared with it",
    "the same, students": "random images are at their best after fewer steps than the kit's students have, and IEM "
    "after more, or with less of a warp; tried there: three times the steps of condensing, more real images, experts "
    "(comment at `STUDENTS` of the suites)",
    "IEM, linear": "tried: `best` and experts, CutMix, stronger augmentation of sets and of students, step sizes, "
    "weights, kinds of networks (same docstring); not tried, for want of a GPU: more steps and experts than two cores "
    "have time for, and students that are trained as long as those of DANCE",
}


class Target(NamedTuple):
    """A target and what was measured."""

    what: str
    wanted: str
    measured: str
    met: bool | None  # None: not measured
    of: str = ""  # the set that it was measured of, where that is chosen among several
    near: bool = False  # the bound lies within the 95 % interval over seeds
    whole: bool = True  # all is measured that the target speaks of

    @property
    def said(self) -> str:
        """Met or missed, and how sure that is."""
        if self.met is None:
            return "not measured"
        told = "missed" if not self.met else "met" if self.whole else "met so far"
        return told + (", within noise" if self.near else "")


class _Share(NamedTuple):
    """A set's mAP as a share of full data's, and of full data's that was trained for longer."""

    group: Group
    whole: Group
    longer: tuple[Group, ...]

    @property
    def of_full(self) -> Summary:
        return _ratio(self.group, self.whole)

    @property
    def name(self) -> str:
        suites = self.group.rows[0].suite, self.whole.rows[0].suite
        name = self.group.name + (f"; full data of suite {suites[1]}" if len(set(suites)) > 1 else "")
        return name + self.of_longer

    @property
    def of_longer(self) -> str:
        return "".join(f"; of {full.name} {interval(_ratio(self.group, full))}" for full in self.longer)


def targets(
    recorded: Mapping[str, Sequence[Row]], unfinished: Collection[tuple[str, bool]] = frozenset()
) -> list[Target]:
    """Hold the recorded rows of every suite against the targets.

    Parameters
    ----------
    recorded : mapping of str to sequence of Row
        The rows of each suite by its name; a suite that is not there was not measured.
    unfinished : collection of (str, bool)
        Suites that lack rows, each with whether of their reduced task: what is met there is met so far.

    Returns
    -------
    list of Target
        One a line of the table; of what is not recorded ``met`` is None.
    """
    made = {suite: groups(row for row in rows if not row.reduced) for suite, rows in recorded.items()}
    cifar = _shares([group for suite in ("paper", "economy") for group in made.get(suite, ())], "cifar10")
    timed = [share for share in cifar if share.group.rows[0].suite == "paper"]
    small = groups(recorded.get("mini", ()))
    return [
        *(_quality(cifar, ipc) for ipc in SHARES),
        _unseen(cifar),
        *_in_all_cells(recorded, unfinished),
        *_linear(recorded.get("classification", ())),
        _seconds(made.get("paper", ()), timed),
        _pays(timed),
        *_digits(small),
        *_fashion(small),
        _memory(recorded.get("memory", ())),
    ]


def table_rows(found: Sequence[Target]) -> list[tuple[str, ...]]:
    """Return one line of text a target, in the order of `HEAD`."""
    return [(each.what, each.wanted, each.measured, each.said, each.of) for each in found]


def limits(found: Sequence[Target]) -> list[str]:
    """Say of the targets that are missed what was tried and what limits them."""
    missed = [each.what for each in found if each.met is False]
    return [f"{'; '.join(w for w in missed if w.startswith(key))}: {told}." for key, told in LIMITS.items()
            if any(what.startswith(key) for what in missed)]  # fmt: skip


def _shares(found: Sequence[Group], dataset: str) -> list[_Share]:
    """Return IEM's sets with code labels, OrthoHash and 64 bits, beside the full data of most seeds of their task."""
    told = []
    for group in found:
        task = group.task
        if (task.dataset, task.hashing, task.bits) != (dataset, "orthohash", 64):
            continue
        if (group.method, group.labels, group.variant) != ("iem", True, ""):
            continue
        full = [g for g in found if (g.task, g.method) == (task, "full") and _ratio(group, g).seeds]
        usual, longer = [g for g in full if not g.variant], tuple(g for g in full if g.variant)
        if usual:
            told.append(_Share(group, max(usual, key=lambda whole: whole.map.seeds), longer))
    return told


def _ratio(ours: Group, theirs: Group) -> Summary:
    """Return the ratio of two scores, paired over the seeds that both have."""
    other = {row.seed: row.map for row in theirs.rows}
    ratios = [row.map / other[row.seed] for row in ours.rows if row.seed in other]
    return summarise(ratios) if ratios else Summary(0.0, 0.0, 0)


def _quality(shares: Sequence[_Share], ipc: int) -> Target:
    """Hold the best set of a size against its share; one by a weaker teacher beside what full data's own one gives."""
    what = f"mAP / full-data mAP, CIFAR-10, {ipc} a class"
    mine = [s for s in shares if (s.group.ipc, s.group.task.protocol) == (ipc, OFFICIAL)]
    best, own = _highest(mine), _highest([s for s in mine if not s.group.teaching.epochs])
    name = best.name if best else ""
    if best and own and best is not own:
        beside = _at_least(what, SHARES[ipc], own.of_full)
        name += f"; with full data's own teacher {beside.measured}, {beside.said}"
    return _at_least(what, SHARES[ipc], best.of_full if best else None, name)


def _highest(shares: Sequence[_Share]) -> _Share | None:
    return max(shares, key=lambda share: share.of_full.mean, default=None)


def _unseen(shares: Sequence[_Share]) -> Target:
    """Compare the same sets on classes' own images and on images that no model has seen."""
    by = {(s.group.rows[0].suite, s.group.task.protocol, s.group.name): s for s in shares}
    pairs = [(by[suite, OFFICIAL, name], s) for (suite, protocol, name), s in by.items()
             if protocol == UNSEEN and (suite, OFFICIAL, name) in by]  # fmt: skip
    higher = sum(unseen.of_full.mean > official.of_full.mean for official, unseen in pairs)
    return Target(
        f"the same share on {UNSEEN}",
        f"above {OFFICIAL}",
        f"in {higher} of {len(pairs)} sets" if pairs else "–",
        higher == len(pairs) if pairs else None,
    )


def _in_all_cells(recorded: Mapping[str, Sequence[Row]], unfinished: Collection[tuple[str, bool]]) -> list[Target]:
    told = []
    for suite in ("paper", "imagenette", "mini"):
        for reduced in (False, True):
            found = ahead.comparisons(groups(r for r in recorded.get(suite, ()) if r.reduced is reduced))
            if found:
                what = f"IEM ahead of every family, suite {suite}{', reduced task' if reduced else ''}"
                counted = ahead.once(found)
                measured = f"{sum(c.ahead for c in counted)} of {len(counted)} measured"
                whole = (suite, reduced) not in unfinished
                met, whom = ahead.in_all_cells(found), ahead.against(found)
                told.append(Target(what, f"≥ {ahead.LEAST:.0%}, none behind", measured, met, whom, whole=whole))
    return told


def _linear(rows: Sequence[Row]) -> list[Target]:
    """Hold the best set of each size that a published accuracy stands beside against its target."""
    held = [line for line in crosscheck.measured(rows) if line.known]
    told = []
    for method, ipc in crosscheck.KNOWN:
        mine = [line for line in held if (line.group.method, line.group.ipc) == (method, ipc)]
        best = max(mine, key=crosscheck.score, default=None)
        _, published = crosscheck.KNOWN[method, ipc]
        least = published - WITHIN if method == "dm" else LINEAR[ipc]
        wanted = f"{published:.1%} as published, within 3 points" if method == "dm" else f"≥ {least:.0%}"
        told.append(
            Target(
                f"{NAMES[method]}, linear head, CIFAR-10, {ipc} a class",
                wanted,
                best.accuracy if best else "–",
                crosscheck.score(best) >= least if best else None,
                best.name if best else "",
                _near(crosscheck.accuracy(best.group), least) if best else False,
            )
        )
    return told


def _seconds(found: Sequence[Group], shares: Sequence[_Share]) -> Target:
    mine = [g for g in found if (g.method, g.variant, g.ipc) == ("iem", "", 10) and not g.shared]
    took = max((g.mean(lambda r: r.make_seconds) for g in mine), default=None)
    best = _highest([s for s in shares if (s.group.ipc, s.group.task.protocol) == (10, OFFICIAL)])
    name = f"a set with a share of full data's mAP of {best.of_full.mean:.3f} at most" if best else ""
    return _at_most("IEM, CIFAR-10, 10 a class, one GPU, all stages", SECONDS, "s", took, name)


def _pays(shares: Iterable[_Share]) -> Target:
    """Return the earliest break-even of a set that meets the row of its quality, too."""
    found = []
    for share in shares:
        good = share.group.task.protocol == OFFICIAL and share.of_full.mean >= SHARES.get(share.group.ipc, 2.0)
        trainings = pays_after(share.group, share.whole)
        if good and trainings[0].isdigit():
            found.append((float(trainings), share))
    after, best = min(found, key=lambda each: each[0]) if found else (None, None)
    name = f"{best.group.name}, with a share of {best.of_full.mean:.3f}{best.of_longer}" if best else ""
    if best and (without := [str(ipc) for ipc in SHARES if ipc not in {share.group.ipc for _, share in found}]):
        name += f"; none of {' or '.join(without)} a class has both"
    return _at_most("break-even on one GPU of a set that meets its share of mAP", TRAININGS, "trainings", after, name)


def _best(found: Sequence[Group], task: Task, method: str, *, labels: bool, variant: str = "") -> Group | None:
    """Return the strongest set of 10 a class with such labels."""
    mine = [g for g in found if (g.task, g.method, g.variant, g.ipc, g.labels) == (task, method, variant, 10, labels)]
    return max(mine, key=lambda group: group.map.mean, default=None)


def _small_task(found: Sequence[Group], dataset: str) -> Task | None:
    """Return the task of a small image set under OrthoHash; the suite has one length of codes."""
    return next((g.task for g in found if (g.task.dataset, g.task.hashing) == (dataset, "orthohash")), None)


def _digits(found: Sequence[Group]) -> list[Target]:
    task = _small_task(found, "digits")
    mine = task and _best(found, task, "iem", labels=False)
    whole = task and full_data(found, task)
    share = _ratio(mine, whole) if mine and whole else None
    took = mine.mean(lambda r: r.make_seconds) if mine else None
    return [
        _at_least("mAP / full-data mAP, digits, 10 a class, 2 cores", DIGITS_SHARE, share),
        _at_most("seconds to make that set, all stages", DIGITS_SECONDS, "s", took),
    ]


def _fashion(found: Sequence[Group]) -> list[Target]:
    task = _small_task(found, "fashion_mnist")
    taught, drawn_taught = (task and _best(found, task, method, labels=True) for method in ("iem", "random"))
    whole = task and full_data(found, task)
    share = _ratio(taught, whole) if taught and whole else None
    held = _at_least(
        "mAP / full-data mAP with codes, Fashion-MNIST, and above random's",
        FASHION_SHARE,
        share if drawn_taught else None,
        taught.name if taught else "",
    )
    above = taught and drawn_taught and taught.map.mean > drawn_taught.map.mean
    return [*_gains(found, task), held._replace(met=held.met and bool(above))]


def _gains(found: Sequence[Group], task: Task | None) -> list[Target]:
    """Hold IEM's lead over random images against its target: with the usual student first, then with every other."""
    what = "IEM / random, Fashion-MNIST, 10 a class, hard labels"
    students = dict.fromkeys(g.variant for g in found if (g.task, g.method, g.labels) == (task, "iem", False))
    told = []
    for student in ("", *filter(None, students)):
        ours, drawn = (
            task and _best(found, task, method, labels=False, variant=student) for method in ("iem", "random")
        )
        if ours and drawn:
            named = f"the same, students of {student}" if student else what
            told.append(_at_least(named, FASHION_GAIN, _ratio(ours, drawn)))
    return told or [_at_least(what, FASHION_GAIN, None)]


def _memory(rows: Sequence[Row]) -> Target:
    most = max((row.peak_mb / 1e3 for row in rows if row.resolution == 224), default=None)
    task = "one step, with a teacher of two" if most else ""
    return _at_most("peak memory, CPU, ResNetAP-10 at 224 px, 10 a class", GIGABYTES, "GB", most, task)


def _near(found: Summary, bound: float) -> bool:
    """Whether a bound lies within the 95 % interval over seeds."""
    return found.seeds > 1 and abs(found.mean - bound) <= found.half_width


def _at_least(what: str, bound: float, found: Summary | None, of: str = "") -> Target:
    if found is None or not found.seeds:
        return Target(what, f"≥ {bound:.2f}", "–", None)
    return Target(what, f"≥ {bound:.2f}", interval(found), found.mean >= bound, of, _near(found, bound))


def _at_most(what: str, bound: float, unit: str, value: float | None, of: str = "") -> Target:
    if value is None:
        return Target(what, f"≤ {bound} {unit}", "–", None)
    return Target(what, f"≤ {bound} {unit}", f"{value:.1f} {unit}", value <= bound, of)
