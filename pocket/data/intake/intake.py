"""From a path to images that can be used and a split that does not leak: what `load` and ``pocket check`` share."""

from __future__ import annotations

import errno
import os
import unicodedata
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pocket.data.decoding import FAULTS, Fit
from pocket.data.intake.contents import contents_of
from pocket.data.intake.copies import NearCopies, Pairs, exact_copies, linked, near_copies
from pocket.data.intake.findings import Findings, IntakeError
from pocket.data.intake.folders import GROUPS_FILE, list_folder
from pocket.data.intake.listing import ENDINGS, Listing
from pocket.data.intake.look import Looks, Progress, Trouble, look_at_all
from pocket.data.intake.manifests import list_manifest
from pocket.data.intake.names import shown
from pocket.data.intake.parquets import list_parquet
from pocket.data.intake.records import Size, SplitRecord
from pocket.data.intake.sizes import choose_size
from pocket.data.intake.splits import QUERY_SHARE
from pocket.data.intake.tables import read_groups
from pocket.data.intake.units import SEED, queries_of, things_of, units_of

TABLES = (".csv", ".tsv", ".txt")


def list_images(path: Path, findings: Findings, groups: Path | None = None) -> Listing:
    """List the images of a folder of classes, of a CSV list, or of Parquet, whichever ``path`` is.

    Parameters
    ----------
    path : Path
    findings : Findings
        What is noted on the way.
    groups : Path, optional
        A table ``path,group``. Default for a folder: its ``groups.csv``.

    Raises
    ------
    IntakeError
        If there is nothing that could be used.
    """
    listing = _list(path, findings)
    table = groups
    if table is None and path.is_dir() and (path / GROUPS_FILE).is_file():
        table = path / GROUPS_FILE
    if table is not None:
        listing = _grouped(listing, table, findings)
    return listing


def _list(path: Path, findings: Findings) -> Listing:
    ending = path.suffix.lower()
    try:
        if path.is_dir():
            if any(path.glob("train-*.parquet")):
                return list_parquet(path, findings)
            return list_folder(path, findings)
        exists = path.is_file()
    except PermissionError:
        message = f"{path} cannot be read: ask its owner for the right to read it"
        raise findings.stop("no_permission", message, shown(path)) from None
    if exists and ending == ".parquet":
        return list_parquet(path, findings)
    if exists and ending in TABLES:
        return list_manifest(path, findings)
    if exists and ending in (".zip", ".tar", ".gz", ".tgz", ".7z", ".rar", ".lzh"):
        raise findings.stop(
            "is_zip",
            f"{path} is an archive: unpack it first and name the folder (with Japanese names from Windows: "
            f"unzip -O cp932 {path.name})",
            shown(path.name),
        )
    if exists:
        raise findings.stop(
            "is_other_file",
            f"{path} is a file, but no list of images: name the folder that holds one sub-folder per class, a CSV "
            "file with the columns path,label, or a .parquet file",
            shown(path.name),
        )
    raise findings.stop("not_a_folder", f"{path}: {os.strerror(errno.ENOENT)}; check how it is written", shown(path))


def _grouped(listing: Listing, table: Path, findings: Findings) -> Listing:
    """Take the groups of a table; rows that name no image are noted."""

    def plain(path: str) -> str:
        return unicodedata.normalize("NFC", path.replace("\\", "/").removeprefix("./"))

    place = {plain(name): i for i, name in enumerate(listing.names)}
    for i, name in enumerate(listing.names):  # a row of Parquet goes by the path that it carries, too
        place.setdefault(plain(name.partition(" ")[2]) if "#" in name else plain(name), i)
    given = [""] * len(listing)
    for line, path, group in read_groups(table, findings):
        found = place.get(plain(path))
        if found is None:
            findings.add("group_unmatched", line, path)
        else:
            given[found] = group
    return replace(listing, groups=tuple(given), own_groups=True)


@dataclass(frozen=True)
class Intake:
    """Images that were looked at, with the split that was chosen.

    Attributes
    ----------
    listing : Listing
    looks : Looks
    usable : ndarray of bool, shape (N,)
        Readable, of a class with two readable images or more.
    single : tuple of str
        Classes left out for having fewer.
    exact : ndarray of int64, shape (P, 2)
        Pairs that join exact copies.
    near : NearCopies
    units : ndarray of int64, shape (N,)
        What stays on one side: groups, exact and near copies.
    loose : ndarray of bool, shape (N,)
        Images whose near copies had to be let go, since all of their class hung together by them.
    query : ndarray of bool, shape (N,)
    kept_apart : ndarray of bool, shape (N,)
        Given queries that are left out for having a copy, or their group, on the other side, or a copy under another
        label.
    disputed : ndarray of bool, shape (N,)
        Images that have a copy under another label. They are trained on and searched, never asked with.
    rivals : dict of int to int
        Of each of these, the position of such a copy.
    withdrawn : ndarray of bool, shape (N,)
        Disputed images that an earlier split asked with.
    size : Size
    """

    listing: Listing
    looks: Looks
    usable: npt.NDArray[np.bool_]
    single: tuple[str, ...]
    exact: Pairs
    near: NearCopies
    units: npt.NDArray[np.int64]
    loose: npt.NDArray[np.bool_]
    query: npt.NDArray[np.bool_]
    kept_apart: npt.NDArray[np.bool_]
    disputed: npt.NDArray[np.bool_]
    rivals: dict[int, int]
    withdrawn: npt.NDArray[np.bool_]
    size: Size

    @property
    def train(self) -> npt.NDArray[np.bool_]:
        """Images to train on, shape (N,)."""
        if self.listing.sides:
            return self.usable & (np.array(self.listing.sides) == "train")
        return self.usable & ~self.query

    @property
    def database(self) -> npt.NDArray[np.bool_]:
        """Images to search where the source says so, shape (N,); none: the train images are searched."""
        return self.usable & (np.array(self.listing.sides or ("",) * len(self.listing)) == "database")

    @property
    def record(self) -> SplitRecord:
        """The split by name."""
        names = np.array(self.listing.names, dtype=object)

        def named(mask: npt.NDArray[np.bool_]) -> tuple[str, ...]:
            return tuple(names[mask])

        return SplitRecord(
            name=self.listing.name,
            key=self.listing.key,
            groups_key=self.listing.groups_key,
            seed=SEED,
            share=QUERY_SHARE,
            given=bool(self.listing.sides),
            size=self.size,
            fit=self.looks.fit,
            train=named(self.train),
            database=named(self.database),
            query=named(self.query),
            unreadable={self.listing.names[i]: trouble_text(t) for i, t in self.looks.troubles.items()},
            single=self.single,
            kept_apart=named(self.kept_apart),
            contents=contents_of(self.listing, self.looks),
            things=things_of(self.listing, self.usable, self.units),
        )


def trouble_text(trouble: Trouble) -> str:
    """Return why an image cannot be used, in English."""
    return FAULTS[trouble.fault].format(words=trouble.detail)


def take_in(
    listing: Listing,
    findings: Findings,
    progress: Progress | None = None,
    before: SplitRecord | None = None,
    fit: Fit = "crop",
) -> Intake:
    """Look at all images, find copies, choose the split.

    Parameters
    ----------
    listing : Listing
    findings : Findings
    progress : callable, optional
        Called with (done, count).
    before : SplitRecord, optional
        A split of the same images and groups, which is taken again as long as it keeps copies together and asks with
        no image that has a copy under another label.
    fit : {"crop", "pad"}
        What will be made of images that are not square.

    Raises
    ------
    IntakeError
        If fewer than two classes have two images or more, or none is left to be searched with.
    """
    require_classes(listing, np.ones(len(listing), dtype=bool), findings)
    looks = look_at_all(listing.open(), len(listing), progress, fit)
    if not looks.good.any():
        for i, trouble in looks.troubles.items():
            fault = {"fault": trouble.fault, "words": trouble.detail}
            findings.add("none_readable", listing.names[i], trouble_text(trouble), **fault)
        raise findings.stop("none_readable", f"{listing.root}: none of its {len(listing)} images could be read")
    usable, single = require_classes(listing, looks.good, findings)
    exact = exact_copies(looks.digests)
    near = near_copies(looks.thumbs, looks.good, exact)
    found = units_of(listing, usable, exact, near.pairs, linked(listing.groups))
    query, kept_apart, withdrawn = queries_of(listing, usable, found, before)
    if not query.any():
        raise findings.stop(
            "none_asks",
            f"{listing.root}: no image can be searched with. {found.disputed.sum()} have a copy under another label; "
            "delete the copies under the wrong label, or add images",
            *(listing.names[i] for i in np.flatnonzero(found.disputed)),
        )
    size = Size(**choose_size(looks)._asdict())
    return Intake(
        listing,
        looks,
        usable,
        single,
        exact,
        near,
        found.units,
        found.loose,
        query,
        kept_apart,
        found.disputed,
        found.rivals,
        withdrawn,
        size,
    )


def require_classes(
    listing: Listing, good: npt.NDArray[np.bool_], findings: Findings
) -> tuple[npt.NDArray[np.bool_], tuple[str, ...]]:
    """Return which good images are of a class with two or more, and the names of the other classes.

    Raises
    ------
    IntakeError
        If fewer than two classes are left.
    """
    counts = np.bincount(listing.labels[good], minlength=len(listing.class_names))
    enough = np.flatnonzero(counts >= 2)
    if len(enough) < 2:
        _stop_for_want_of_classes(listing, [listing.class_names[c] for c in enough], findings)
    return good & np.isin(listing.labels, enough), tuple(
        name for c, name in enumerate(listing.class_names) if counts[c] < 2
    )


def _stop_for_want_of_classes(listing: Listing, names: list[str], findings: Findings) -> None:
    root = listing.root
    found = f"only the class {names[0]!r}" if names else "no class"
    message = (
        f"{root} holds {found} with at least two images; retrieval needs two classes or more: put the images of each "
        f"class into a sub-folder of their own ({root.name}/cats/1.png, {root.name}/dogs/1.png, ...)"
    )
    if names:
        raise findings.stop("one_class", message, names[0])
    tables = [shown(p.name) for p in sorted(root.glob("*.csv")) if p.name != GROUPS_FILE] if root.is_dir() else []
    parquets = [shown(p.name) for p in sorted(root.glob("*.parquet"))] if root.is_dir() else []
    if tables or parquets:
        message += f"; or name the list itself: {root / (tables + parquets)[0]}"
    empty = not len(listing) and not (root.is_dir() and any(root.iterdir()))
    raise findings.stop("empty" if empty else "no_classes", message, *tables, *parquets)


__all__ = [
    "ENDINGS",
    "Intake",
    "IntakeError",
    "list_images",
    "require_classes",
    "take_in",
]
