"""What stays on one side of a split, what has a copy under another label, and who asks."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pocket.data.intake.copies import Pairs, components
from pocket.data.intake.listing import Listing
from pocket.data.intake.records import SplitRecord
from pocket.data.intake.splits import choose_queries

SEED = 0

Mask = npt.NDArray[np.bool_]


class Units(NamedTuple):
    """What the images show, as far as a split cares; see `Intake`."""

    units: npt.NDArray[np.int64]
    loose: Mask
    disputed: Mask
    rivals: dict[int, int]


def units_of(listing: Listing, usable: Mask, exact: Pairs, near: Pairs, groups: Pairs) -> Units:
    """Join what must stay together; where near copies chain all of a class into one unit, they are let go."""
    count = len(listing)
    firm = components(count, exact, groups)
    units = components(count, exact, groups, near)
    loose = np.zeros(count, dtype=bool)
    for c in np.unique(listing.labels[usable]):
        mine = usable & (listing.labels == c)
        if len(np.unique(units[mine])) == 1 and len(np.unique(firm[mine])) > 1:
            loose |= units == units[mine][0]
    if loose.any():
        near = near[~loose[near[:, 0]]]
        units = components(count, exact, groups, near)
    rivals = _rivals(listing, usable, exact, near)
    disputed = np.zeros(count, dtype=bool)
    disputed[list(rivals)] = True
    return Units(units, loose & usable, disputed, rivals)


def _rivals(listing: Listing, usable: Mask, exact: Pairs, near: Pairs) -> dict[int, int]:
    """Return, of each image that has a copy under another label, the first such copy.

    What holds of an image holds of its exact copies, of which one alone is compared with others. Near copies of one
    group are none, since photographs of one thing resemble each other; and a near copy of a near copy may look
    otherwise by then, so it doesn't count.
    """
    same = components(len(listing), exact)
    members: dict[int, list[int]] = {}
    for i in np.flatnonzero(usable).tolist():
        members.setdefault(int(same[i]), []).append(i)
    alike: dict[int, set[int]] = {part: {part} for part in members}
    group = listing.groups
    for one, other in near.tolist():
        if not group[one] or group[one] != group[other]:
            first, second = int(same[one]), int(same[other])
            if first in alike and second in alike:
                alike[first].add(second)
                alike[second].add(first)
    found = {}
    for part, parts in alike.items():
        if len(parts) == 1 and len(members[part]) == 1:
            continue
        earliest: dict[int, int] = {}  # of each label: thousands of blank images may be copies of each other
        for i in sorted(i for other in parts for i in members[other]):
            earliest.setdefault(int(listing.labels[i]), i)
        if len(earliest) > 1:
            for i in members[part]:
                found[i] = min(j for label, j in earliest.items() if label != listing.labels[i])
    return found


class Queries(NamedTuple):
    """Who asks, given queries that are left out, and queries of an earlier split that ask no more."""

    query: Mask
    kept_apart: Mask
    withdrawn: Mask


def queries_of(listing: Listing, usable: Mask, found: Units, before: SplitRecord | None) -> Queries:
    """Choose the queries, or take the given ones less those that can't be asked.

    No unit with an image that has a copy under another label asks: whatever it finds would be right and wrong. A split
    that was made before is taken again unless it asks with such images, as splits of earlier versions of the kit may.
    """
    none = np.zeros(len(listing), dtype=bool)
    units, disputed = found.units, found.disputed
    if listing.sides:
        asked = usable & (np.array(listing.sides) == "query")
        apart = asked & (np.isin(units, units[usable & ~asked]) | disputed)
        # A published split stays as it is; what leaks, or has a copy under another label, is reported.
        return Queries(asked & ~apart, apart, none) if listing.from_table else Queries(asked, none, none)
    places = np.flatnonzero(usable)
    names = [listing.names[i] for i in places]
    query, withdrawn = none.copy(), none
    if before is not None and (before.key, before.groups_key) == (listing.key, listing.groups_key):
        asked_before, known = set(before.query), {*before.train, *before.query}
        query[places] = [name in asked_before for name in names]
        withdrawn = query & disputed
        straddles = np.isin(units[query], units[usable & ~query]).any()
        if known == set(names) and not straddles and not withdrawn.any():
            return Queries(query, none, none)
        query = none.copy()
    barred = np.isin(units[places], units[disputed])
    query[places] = choose_queries(listing.labels[places], units[places], names, seed=SEED, barred=barred)
    return Queries(query, none, withdrawn)


def things_of(listing: Listing, usable: Mask, units: npt.NDArray[np.int64]) -> dict[str, str]:
    """Return, by name, the thing that each image shows, of images that do not stand alone.

    It is called as the first of its groups, or as the first of its images where it has none.
    """
    places = np.flatnonzero(usable)
    count = np.bincount(units[places], minlength=int(units.max(initial=0)) + 1)
    called: dict[int, str] = {}
    for i in places.tolist():
        if listing.groups[i]:
            called.setdefault(int(units[i]), listing.groups[i])
    taken = set(listing.groups)
    found = {}
    for i in places.tolist():
        unit = int(units[i])
        if unit not in called and count[unit] > 1:
            name = listing.names[i]
            called[unit] = name if name not in taken else f"{name} and copies"
        if unit in called:
            found[listing.names[i]] = called[unit]
    return found
