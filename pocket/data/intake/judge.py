"""What follows from a look at all images: one finding a kind of problem, and the lists that go with them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from pathlib import PurePosixPath
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pocket.data.decoding import MAX_PIXELS
from pocket.data.images import images_per_class
from pocket.data.intake.copies import components, sets_of
from pocket.data.intake.findings import Findings
from pocket.data.intake.intake import Intake
from pocket.data.intake.listing import ENDINGS
from pocket.data.intake.names import alike, misread
from pocket.data.intake.records import ClassRow, CopySet, Suspect
from pocket.data.intake.splits import QUERY_SHARE, folds_of
from pocket.data.intake.suspects import find_suspects
from pocket.runs.retrieval import ENOUGH_QUERIES, FEW_THINGS

FEW = 10  # images of a class below which its scores say little
INSIDE = 0.75  # of an image, the share in its central square, from which cropping is let pass; 4 : 3 lies just at it
UNEVEN = 10  # times as many images in the largest class as in the smallest: a warning
RATIO_FROM = 3  # times, from which a share of each class is suggested
MOST_DOUBTED = 0.05  # of all labels, the most that are listed where they are hints at most
MOST_IN_LINE = 6  # of a set of copies, the most that are named in a line; check.json lists all
RATIO, IPC = 0.1, 10  # what is suggested: a tenth of each class, or ten images
TRUSTED = 0.8  # agreement with the labels, from which doubts count as a warning
SKILL = 0.25  # of what always naming the largest class gets wrong, the share that a classifier has to get right

_MODES = {"P": "palette", "PA": "palette", "CMYK": "cmyk"}
_PLAIN = {"L", "RGB", "RGBA", "LA"}


def judge_images(intake: Intake, findings: Findings) -> None:
    """Note what single images are like: damaged, too large, named wrongly, of another mode, turned, animated."""
    listing, looks = intake.listing, intake.looks
    for i, trouble in looks.troubles.items():
        fault = {"fault": trouble.fault, "words": trouble.detail} if trouble.kind == "broken" else {}
        findings.add(trouble.kind, listing.names[i], trouble.detail, **fault)
    if any(trouble.kind == "too_large" for trouble in looks.troubles.values()):
        findings.say("too_large", pixels=f"{MAX_PIXELS:,}")
    large = looks.large
    for i in np.flatnonzero(looks.good).tolist():
        name, mode, form = listing.names[i], looks.modes[i], looks.formats[i]
        wanted = ENDINGS.get(PurePosixPath(name).suffix.lower(), form)
        if wanted != form and (wanted, form) != ("JPEG", "MPO"):
            findings.add("wrong_ending", name, form)
        size = f"{looks.sizes[i, 0]} x {looks.sizes[i, 1]}"
        if large[i]:
            findings.add("large", name, size)
        if mode.startswith("I") or mode == "F":
            findings.add("deep", name, mode)
        elif mode not in _PLAIN:
            findings.add(_MODES.get(mode, "other_mode"), name, mode)
        if looks.transparent[i]:
            findings.add("transparent", name)
        if looks.turned[i]:
            findings.add("rotated", name)
        if looks.frames[i]:
            findings.add("several_frames", name)


def judge_fit(intake: Intake, findings: Findings) -> dict[str, float]:
    """Return the median share of an image that lies in its central square, by class; note where cropping takes much."""
    listing, inside = intake.listing, intake.looks.inside
    found = {
        listing.class_names[c]: float(np.median(inside[intake.usable & (listing.labels == c)]))
        for c in np.unique(listing.labels[intake.usable]).tolist()
    }
    if intake.looks.fit == "crop":
        for name, share in sorted(found.items(), key=lambda item: item[1]):
            if share < INSIDE:
                findings.add("cropped", name, kept=round(100 * share))
                findings.say("cropped", limit=round(100 * INSIDE))
    return found


class CopyLists(NamedTuple):
    """Sets of exact and of near copies; near sets hold exact copies too where both hang together."""

    exact: tuple[CopySet, ...]
    near: tuple[CopySet, ...]


def judge_copies(intake: Intake, findings: Findings) -> CopyLists:
    """Note sets of copies, those under different labels apart, and what stands on both sides of a given split.

    Near copies within a group are none: photographs of one thing resemble each other.
    """
    listing, count, near_pairs = intake.listing, len(intake.listing), intake.near.pairs
    exact_part = components(count, intake.exact)
    group = np.array(listing.groups, dtype=object)
    first, second = group[near_pairs[:, 0]], group[near_pairs[:, 1]]
    near_part = components(count, intake.exact, near_pairs[(first != second) | (first == "")])
    label = [listing.class_names[c] for c in listing.labels.tolist()]
    exact = sets_of(exact_part, intake.usable)
    near = [m for m in sets_of(near_part, intake.usable) if len(np.unique(exact_part[m])) > 1]
    for kind, sets in (("exact_copy", exact), ("near_copy", near)):
        for members in sets:
            if len({label[i] for i in members}) == 1:
                findings.add(kind, _equation(members, exact_part, listing.names))
    for members in sets_of(near_part, intake.usable):
        held = sorted({label[i] for i in members})
        if len(held) > 1:
            findings.add("copies_disagree", _equation(members, exact_part, listing.names), labels=", ".join(held))
    for i, j in sorted(intake.rivals.items()):
        findings.add("disputed", listing.names[i], label=label[i], copy=listing.names[j], other=label[j])
    for i in np.flatnonzero(intake.withdrawn).tolist():
        findings.add("withdrawn", listing.names[i])
    if listing.sides:
        _judge_sides(intake, components(count, intake.exact, near_pairs), findings)
    if intake.loose.any():
        for c in np.unique(listing.labels[intake.loose]):
            findings.add("near_chain", listing.class_names[c])
    named = [
        tuple(CopySet(names=tuple(listing.names[i] for i in m), labels=tuple(label[i] for i in m)) for m in sets)
        for sets in (exact, near)
    ]
    return CopyLists(named[0], named[1])


def _equation(members: list[int], exact_part: npt.NDArray[np.int64], names: tuple[str, ...]) -> str:
    """Return a set of copies in a line: ＝ between exact ones, ≈ between near ones; the first of many."""
    ordered = sorted(members, key=lambda i: (exact_part[i], i))
    text = names[ordered[0]]
    for before, i in pairwise(ordered[:MOST_IN_LINE]):
        text += f" {'＝' if exact_part[before] == exact_part[i] else '≈'} {names[i]}"
    return text if len(ordered) <= MOST_IN_LINE else f"{text} … (+{len(ordered) - MOST_IN_LINE})"


def _judge_sides(intake: Intake, part: npt.NDArray[np.int64], findings: Findings) -> None:
    """Note queries of a given split that have a copy, or their group, on the other side."""
    listing = intake.listing
    sides = np.array(listing.sides)
    asked = intake.usable & (sides == "query")
    other = intake.usable & (sides != "query")
    first: dict[int, int] = {}
    for i in np.flatnonzero(other).tolist():
        first.setdefault(int(part[i]), i)
    for i in np.flatnonzero(asked).tolist():
        if (partner := first.get(int(part[i]))) is not None:
            findings.add("leak", listing.names[i], f"= {listing.names[partner]}")
    outside = {listing.groups[i] for i in np.flatnonzero(other).tolist()}
    for i in np.flatnonzero(asked).tolist():
        if listing.groups[i] and listing.groups[i] in outside:
            findings.add("group_split", listing.names[i], listing.groups[i])


def judge_groups(intake: Intake, findings: Findings) -> None:
    """Note which images belong together by their group, and groups of several labels."""
    listing = intake.listing
    if not listing.own_groups:
        return
    labels: dict[str, dict[str, int]] = {}
    for i in np.flatnonzero(intake.usable).tolist():
        if group := listing.groups[i]:
            held = labels.setdefault(group, {})
            name = listing.class_names[listing.labels[i]]
            held[name] = held.get(name, 0) + 1
        else:
            findings.add("ungrouped", listing.names[i])
    findings.say("grouped", groups=len(labels), count=sum(sum(held.values()) for held in labels.values()))
    for group, held in labels.items():
        if len(held) > 1:
            findings.add("group_disagrees", group, ", ".join(f"{name}: {n}" for name, n in held.items()))


class Classes(NamedTuple):
    """The classes as they can be used, what is suggested to condense them to, and the different things in all."""

    rows: tuple[ClassRow, ...]
    ratio: float | None
    ipc: int | None
    units: int
    query_units: int


def judge_classes(intake: Intake, findings: Findings) -> Classes:
    """Note classes that are too small, uneven, in one piece, or that look like one another by name.

    An image with a copy under another label is no thing of its class, and no query that says anything of it.
    """
    listing, labels = intake.listing, intake.listing.labels
    inside = judge_fit(intake, findings)
    for name in intake.single:
        findings.add("single", name)
    for names in alike(listing.class_names):
        findings.add("look_alike", " | ".join(f"“{name}”" for name in names))
    for name in listing.class_names:
        if text := misread(name):
            findings.add("look_alike", f"“{name}”", f"“{text}” (Shift-JIS)")

    def counts(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
        return np.bincount(labels[mask], minlength=len(listing.class_names))

    images, train, query = counts(intake.usable), counts(intake.train), counts(intake.query)
    present = np.flatnonzero(images)

    def things(mask: npt.NDArray[np.bool_]) -> dict[int, int]:
        return {int(c): len(np.unique(intake.units[mask & (labels == c)])) for c in present}

    clear = ~intake.disputed
    whole, units, asked = things(intake.usable), things(intake.usable & clear), things(intake.query & clear)
    in_all = len(np.unique(intake.units[intake.query & clear]))
    # One thing in five becomes a query, unless the images came split.
    share = 1 if listing.sides else QUERY_SHARE
    if in_all < ENOUGH_QUERIES:
        more = math.ceil((ENOUGH_QUERIES - in_all) / share)
        findings.say("few_in_all", count=in_all, least=ENOUGH_QUERIES, more=more)
    for c in present.tolist():
        name = listing.class_names[c]
        if images[c] < FEW:
            findings.add("tiny", name, str(images[c]))
        if not query[c] or not train[c]:
            one = whole[c] == 1 and not listing.sides
            findings.add("one_unit" if one else "no_query", name, train=int(train[c]), query=int(query[c]))
        if asked[c] < FEW_THINGS:
            more = math.ceil((FEW_THINGS - asked[c]) / share)
            findings.add("few_queries", name, images=int(query[c]), things=asked[c], more=more)
    most, least = present[images[present].argmax()], present[images[present].argmin()]
    times = images[most] / images[least]
    if times >= UNEVEN:
        findings.say(
            "imbalance",
            most=listing.class_names[most],
            most_images=int(images[most]),
            least=listing.class_names[least],
            least_images=int(images[least]),
        )
    ratio = RATIO if times >= RATIO_FROM else None
    ipc = None if ratio else max(1, min(IPC, int(train[present].min())))
    wanted = images_per_class(train, ratio=ratio, ipc=ipc)
    rows = tuple(
        ClassRow(
            name=listing.class_names[c],
            images=int(images[c]),
            units=units[c],
            train=int(train[c]),
            query=int(query[c]),
            query_units=asked[c],
            ipc=int(wanted[c]),
            inside=inside[listing.class_names[c]],
        )
        for c in present.tolist()
    )
    return Classes(rows, ratio, ipc, len(np.unique(intake.units[intake.usable & clear])), in_all)


class Doubts(NamedTuple):
    """Labels to review, the most doubtful first, and how far the classifier behind them agrees with all labels."""

    suspects: tuple[Suspect, ...]
    agreement: float


def judge_labels(intake: Intake, findings: Findings) -> Doubts:
    """Rank the labels that the images contradict; nothing is changed.

    Where the classifier behind it agrees with few labels, no more than one in twenty is listed; where it is not clearly
    better than always naming the largest class, none: whom it doubts would be chance.
    """
    listing, looks = intake.listing, intake.looks
    places = np.flatnonzero(intake.usable)
    present, labels = np.unique(listing.labels[places], return_inverse=True)
    names = [listing.names[i] for i in places]
    folds = folds_of(labels, intake.units[places], names)
    found = find_suspects(looks.thumbs[places], looks.tints[places], labels, folds)
    largest = float(np.bincount(labels).max() / len(labels))
    by_chance = 2 * math.sqrt(largest * (1 - largest) / len(np.unique(intake.units[places])))
    if found.agreement - largest < max(SKILL * (1 - largest), by_chance):
        findings.say("unjudged", agreement=round(100 * found.agreement), largest=round(100 * largest))
        return Doubts((), found.agreement)
    suspects = tuple(
        Suspect(
            name=names[i],
            label=listing.class_names[present[labels[i]]],
            suggested=listing.class_names[present[other]],
            margin=max(-1.0, float(margin)),
        )
        for i, other, margin in zip(found.places.tolist(), found.suggested, found.margins, strict=True)
    )
    if found.agreement < TRUSTED:
        suspects = suspects[: max(FEW, round(MOST_DOUBTED * len(places)))]
    if suspects:
        kind = "suspect" if found.agreement >= TRUSTED else "suspect_weak"
        findings.say(
            kind,
            ((s.name, f"{s.label} → {s.suggested}") for s in suspects),
            agreement=round(100 * found.agreement),
        )
    return Doubts(suspects, found.agreement)


def relabel_rows(suspects: tuple[Suspect, ...]) -> Iterator[tuple[str, ...]]:
    """Yield the rows of ``relabel.csv``, its head first."""
    yield "rank", "path", "label", "suggested", "margin", "new_label"
    for rank, suspect in enumerate(suspects, start=1):
        yield str(rank), suspect.name, suspect.label, suspect.suggested, f"{suspect.margin:.3f}", ""
