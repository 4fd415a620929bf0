"""A list of images as CSV: ``path,label[,split,group]``, paths below the list's own folder."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Literal

from pocket.data.intake.findings import Findings
from pocket.data.intake.listing import Listing, labelled, open_paths
from pocket.data.intake.names import many_labels, shown
from pocket.data.intake.tables import read_table

# What people call the sides of a split.
_SIDES = {
    "train": "train",
    "training": "train",
    "test": "query",
    "query": "query",
    "queries": "query",
    "val": "query",
    "valid": "query",
    "validation": "query",
    "database": "database",
    "gallery": "database",
}


def list_manifest(file: Path, findings: Findings) -> Listing:
    """List the images that a CSV file names.

    A path that leads outside the list's folder is refused; a row that cannot be used is left out. Both are noted.

    Raises
    ------
    IntakeError
        If the table cannot be used at all, or gives several labels an image.
    """
    table = read_table(file, ("path", "label"), ("split", "group"), findings)
    root, inside = file.parent, file.parent.resolve()
    split = "split" in table.columns and any(row["split"].strip() for _, row in table.rows)
    paths: dict[str, tuple[Path, str, str, str]] = {}
    stamps: list[str] = []
    disputed: list[str] = []
    for line, row in table.rows:
        place, given = f"{shown(file.name)}:{line}", row["path"].strip()
        label = unicodedata.normalize("NFC", row["label"])
        side = _SIDES.get(row.get("split", "").strip().lower(), "") if split else ""
        if split and not side:
            findings.add("bad_row", place, f"split = {row['split']!r}")
            continue
        found = _find(root, inside, given, place, findings)
        if found is None:
            continue
        path, status = found
        name = shown(path.relative_to(root))
        if name in paths:
            findings.add("repeated_row", place, name)
            if paths[name][1] != label:
                disputed.append(name)
            continue
        paths[name] = (path, label, side, row.get("group", "").strip())
        stamps.append(status)
    _one_label_each(file, [label for _, label, _, _ in paths.values()], disputed, findings)
    labels, class_names = labelled([label for _, label, _, _ in paths.values()])
    return Listing(
        root=file,
        name=shown(file.stem),
        names=tuple(paths),
        labels=labels,
        class_names=class_names,
        groups=tuple(group for *_, group in paths.values()),
        sides=tuple(side for _, _, side, _ in paths.values()) if split else (),
        stamps=tuple(stamps),
        open=open_paths([path for path, *_ in paths.values()]),
        own_groups="group" in table.columns,
        from_table=True,
    )


def _find(root: Path, inside: Path, given: str, place: str, findings: Findings) -> tuple[Path, str] | None:
    """Return a file of the list and its stamp, or None having noted why not.

    Names are tried as they stand, then with Windows' separators, then in Unicode's other form (macOS).
    """
    for text in dict.fromkeys(
        form for t in (given, given.replace("\\", "/")) for form in (t, *(unicodedata.normalize(f, t) for f in FORMS))
    ):
        # Joined by hand: an absolute path, or one that climbs out, is refused even where it leads back inside.
        if Path(text).is_absolute() or ".." in Path(text).parts or text[1:3] == ":/":
            findings.add("outside", text, place)
            return None
        path = root / text
        try:
            target = path.resolve(strict=True)
            status = target.stat()
        except (OSError, RuntimeError, ValueError):
            continue
        if not target.is_relative_to(inside):
            findings.add("outside", text, place)
            return None
        if target.is_file():
            return path, f"{status.st_size} {status.st_mtime_ns}"
    findings.add("missing", given, place)
    return None


FORMS: tuple[Literal["NFC", "NFD"], ...] = ("NFC", "NFD")


def _one_label_each(file: Path, labels: list[str], disputed: list[str], findings: Findings) -> None:
    several = many_labels(labels) or disputed
    if not several:
        return
    examples = ", ".join(map(repr, several[:3]))
    what = "gives some images two labels" if not many_labels(labels) else "holds several labels in one cell"
    raise findings.stop(
        "multi_label",
        f"{file} {what} ({examples}): several labels an image are not supported yet; give each image the one label "
        "that matters for the search",
        *several,
    )
