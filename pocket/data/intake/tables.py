"""Tables that people write: a list of images (``path,label[,split,group]``) and ``groups.csv`` (``path,group``)."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pocket.data.intake.findings import Findings
from pocket.data.intake.names import shown


@dataclass(frozen=True)
class Table:
    """Rows of a CSV file by the wanted columns, each with its line number."""

    file: Path
    encoding: str
    columns: tuple[str, ...]
    rows: tuple[tuple[int, dict[str, str]], ...]


def read_table(file: Path, needed: tuple[str, ...], optional: tuple[str, ...], findings: Findings) -> Table:
    """Read a CSV file in UTF-8 (with or without a byte-order mark), UTF-16 or Shift-JIS (cp932), whichever fits.

    Columns are found by name, in any order and case; ``,``, ``;`` or tabs separate them. Rows that cannot be used are
    noted with their line number and left out.

    Raises
    ------
    IntakeError
        If it cannot be read, or a needed column is missing.
    """
    text, encoding = _decoded(file, findings)
    head, _, _ = text.partition("\n")
    delimiter = max(",;\t", key=head.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows: list[tuple[int, dict[str, str]]] = []
    places: dict[str, int] = {}
    wide = 0
    try:
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if not places:
                titles = [cell.strip().lower() for cell in cells]
                places = {c: titles.index(c) for c in (*needed, *optional) if c in titles}
                wide = len(cells)
                _check_titles(file, titles, needed, findings)
                continue
            found = {c: cells[i] if i < len(cells) else "" for c, i in places.items()}
            if len(cells) > wide or not all(found[c].strip() for c in needed):
                findings.add("bad_row", f"{shown(file.name)}:{reader.line_num}", delimiter.join(cells)[:200])
                continue
            rows.append((reader.line_num, found))
    except csv.Error as error:
        raise findings.stop(
            "bad_manifest",
            f"{file}, line {reader.line_num}: not a table ({error}); save it as CSV again",
            f"{shown(file.name)}:{reader.line_num}",
            reason=str(error),
            wanted=",".join(needed),
        ) from None
    if not places:
        _check_titles(file, [], needed, findings)
    return Table(file, encoding, tuple(places), tuple(rows))


def _check_titles(file: Path, titles: list[str], needed: tuple[str, ...], findings: Findings) -> None:
    several = [title for title in titles if title in ("labels", "classes", "tags")]
    if "label" in needed and "label" not in titles and several:
        raise findings.stop(
            "multi_label",
            f"{file} has a column {several[0]!r}: several labels an image are not supported yet; give each image the "
            "one label that matters for the search, in a column named label",
            shown(file.name),
        )
    if lacking := [title for title in needed if title not in titles]:
        raise findings.stop(
            "bad_manifest",
            f"{file} has no column {' and '.join(lacking)} (found: {', '.join(titles) or 'nothing'}); its first line "
            f"must name the columns {','.join(needed)}",
            shown(file.name),
            reason=f"{', '.join(titles) or '–'}",
            wanted=",".join(needed),
        )


def _decoded(file: Path, findings: Findings) -> tuple[str, str]:
    try:
        data = file.read_bytes()
    except OSError as error:
        raise findings.stop(
            "no_permission", f"{file} cannot be read ({error.strerror}); allow it to be read", shown(file.name)
        ) from None
    wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    for encoding in ["utf-16"] if wide else ["utf-8-sig", "cp932"]:
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if encoding == "cp932":
            findings.add("decoded_table", shown(file.name), "Shift-JIS (cp932)")
        return text, encoding
    raise findings.stop(
        "bad_manifest",
        f"{file} is neither UTF-8 nor Shift-JIS (cp932); save it as CSV in UTF-8",
        shown(file.name),
        reason="UTF-8 / cp932",
        wanted="UTF-8",
    )


def read_groups(file: Path, findings: Findings) -> Iterator[tuple[str, str, str]]:
    """Yield ``(place, path, group)`` of a table with the columns ``path`` and ``group``."""
    table = read_table(file, ("path", "group"), (), findings)
    for line, row in table.rows:
        yield f"{shown(file.name)}:{line}", row["path"].strip(), row["group"].strip()
