"""Hugging Face image Parquet: ``image`` = struct{bytes, path}, ``label``, and ``group`` where there is one."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pocket.data.decoding import Source
from pocket.data.intake.findings import Findings
from pocket.data.intake.listing import Listing, labelled
from pocket.data.intake.names import shown

if TYPE_CHECKING:
    import pyarrow.parquet as pq

_PARTS = {"train": "train", "test": "query"}
_ROWS = 64  # decoded at a time: a file larger than the memory is read, too


def list_parquet(path: Path, findings: Findings) -> Listing:
    """List the rows of one Parquet file, or of a folder's ``train-*.parquet`` and ``test-*.parquet``.

    Raises
    ------
    IntakeError
        If one of the halves is missing, or a file is not image Parquet with one label a row.
    """
    if path.is_file():
        files = [(path, "")]
    else:
        files = [(f, side) for part, side in _PARTS.items() for f in sorted(path.glob(f"{part}-*.parquet"))]
        if lacking := [part for part, side in _PARTS.items() if side not in {s for _, s in files}]:
            raise findings.stop(
                "bad_parquet",
                f"{path} holds train-*.parquet but no {lacking[0]}-*.parquet: both are needed, or name the one file "
                "itself, which is then split here",
                *(shown(file.name) for file, _ in files),
                reason=f"{lacking[0]}-*.parquet",
            )
    texts: list[str] = []
    names, groups, sides, stamps = [], [], [], []
    rows: list[list[int]] = []
    grouped = False
    for file, side in files:
        label, group, where = _columns(file, findings)
        status = file.stat()
        kept = []
        for row, text in enumerate(label):
            name = f"{shown(file.name)}#{row}" + (f" {shown(path_in)}" if (path_in := where[row]) else "")
            if text is None:
                findings.add("bad_row", name, "label")
                continue
            kept.append(row)
            names.append(name)
            texts.append(text)
            groups.append("" if group is None or group[row] is None else str(group[row]))
            sides.append(side)
            stamps.append(f"{status.st_size} {status.st_mtime_ns}")
        rows.append(kept)
        grouped = grouped or group is not None
    labels, class_names = labelled(texts)
    return Listing(
        root=path,
        name=shown(path.resolve().stem if path.is_file() else path.resolve().name),
        names=tuple(names),
        labels=labels,
        class_names=class_names,
        groups=tuple(groups),
        sides=() if path.is_file() else tuple(sides),
        stamps=tuple(stamps),
        open=_Opener([file for file, _ in files], rows),
        own_groups=grouped,
    )


def _columns(file: Path, findings: Findings) -> tuple[list[str | None], list[Any] | None, list[str | None]]:
    """Return labels as text (None where a row has none), groups, and the images' own paths."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        parquet = pq.ParquetFile(file, pre_buffer=False)
        schema = parquet.schema_arrow
        kind = schema.field("label").type
        if pa.types.is_list(kind) or pa.types.is_large_list(kind):
            raise findings.stop(
                "multi_label",
                f"{file}: its column label holds lists, and several labels an image are not supported yet; give each "
                "image the one label that matters for the search",
                shown(file.name),
            )
        image = schema.field("image").type
        if not pa.types.is_struct(image) or image.get_field_index("bytes") < 0:
            raise KeyError("image is no struct with a field bytes")
        wanted = ["label", *(["group"] if "group" in schema.names else [])]
        if image.get_field_index("path") >= 0:
            wanted.append("image.path")
        table = parquet.read(columns=wanted)
        given = table["label"].to_pylist()
        paths: list[str | None] = [None] * len(given)
        if "image" in table.column_names:
            paths = [None if cell is None else cell.get("path") for cell in table["image"].to_pylist()]
    except (pa.ArrowException, KeyError, OSError) as error:
        raise findings.stop(
            "bad_parquet",
            f"{file} is not image Parquet with the columns image and label ({error})",
            shown(file.name),
            reason=str(error),
        ) from None
    group = table["group"].to_pylist() if "group" in table.column_names else None
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return [text or None for text in given], group, paths
    known = class_names(schema.metadata or {}, [int(number) for number in given if number is not None])
    return (
        [known[int(n)] if n is not None and float(n).is_integer() and 0 <= n < len(known) else None for n in given],
        group,
        paths,
    )


def class_names(metadata: dict[bytes, bytes], labels: Sequence[int]) -> tuple[str, ...]:
    """Return the class names that Hugging Face's metadata gives, else numbers."""
    try:
        features = json.loads(metadata[b"huggingface"])["info"]["features"]
        return tuple(map(str, features["label"]["names"]))
    except (KeyError, TypeError, json.JSONDecodeError):
        return tuple(f"class {c}" for c in range(max(labels, default=-1) + 1))


class _Opener:
    """Read the images of Parquet files in order, some rows at a time."""

    def __init__(self, files: Sequence[Path], rows: Sequence[Sequence[int]]) -> None:
        self.files, self.rows = files, rows

    def __call__(self, positions: Sequence[int] | None = None) -> Iterator[Source]:
        import pyarrow.parquet as pq

        wanted = None if positions is None else set(positions)
        first = 0
        for file, rows in zip(self.files, self.rows, strict=True):
            mine = {row for i, row in enumerate(rows, start=first) if wanted is None or i in wanted}
            first += len(rows)
            if mine:
                yield from _some(pq.ParquetFile(file, pre_buffer=False), mine)


def _some(parquet: pq.ParquetFile, rows: set[int]) -> Iterator[Source]:
    at = 0
    for batch in parquet.iter_batches(batch_size=_ROWS, columns=["image"]):
        here = [row for row in range(at, at + len(batch)) if row in rows]
        if here:
            data = batch.column(0).field("bytes")
            for row in here:
                yield data[row - at].as_py() or b""
        at += len(batch)
