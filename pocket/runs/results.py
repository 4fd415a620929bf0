"""The benchmark's results: one flat table, a row a measured cell, kept as CSV (to read and compare) and Parquet."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, NonNegativeInt, PositiveInt, ValidationError

from pocket.runs.artefacts import ArtefactError, write_bytes, write_text
from pocket.runs.paths import kit_dir
from pocket.runs.records import Cell


class Row(Cell):
    """One line of the table: a `Cell` with all that it takes to measure it again.

    ``image_bytes`` counts stored pixels and code labels; ``disk_bytes`` the same with every image as a PNG file,
    which is what a folder of them takes.
    """

    suite: str
    reduced: bool = Field(description="of a smaller task than the suite's own, for want of a GPU; not what both have")
    shared: PositiveInt = Field(1, description="benches that used the device at once: their seconds are longer for it")
    variant: str = Field("", description="what was changed from the method's own configuration; empty: nothing")
    patient: bool = Field(False, description="trained for longer: `TrainConfig.patient` or `published`")
    cutmix: bool = Field(False, description="and half of its steps on images pasted together: `TrainConfig.cutmix`")
    teacher_epochs: NonNegativeInt = Field(
        0,
        description="of the full-data model that made the set or gave its codes; 0: the one that stands for full",
    )
    mixes: NonNegativeInt = Field(0, description="patchworks of each view that have codes; 0: as many as usual")
    settings: str = Field(description="digest of the settings (not of code or versions); equal ones are one cell")
    cell_ipc: NonNegativeInt = Field(description="images a class of the cell; a set of equal disk bytes may hold more")
    train_images: PositiveInt = Field(description="real images that the set was made from")
    resolution: PositiveInt
    backbone: str
    width: NonNegativeInt
    condense_steps: NonNegativeInt = Field(0, description="0 also where seconds and not steps were the limit")
    made_on: str = Field("", description="devices of the set and its teachers; empty: there are none, or not recorded")
    label_seconds: NonNegativeFloat = Field(0.0, description="a trained teacher's labelling of the views")
    evaluate_seconds: NonNegativeFloat
    disk_bytes: NonNegativeInt
    accuracy: float | None = Field(None, ge=0, le=1, description="of a linear head on the queries")
    peak_mb: NonNegativeFloat = Field(description="peak memory of the process up to this cell, in MB; 0 where unknown")
    threads: PositiveInt
    python: str
    torch: str
    commit: str | None
    created: str

    @property
    def make_seconds(self) -> float:
        """Seconds to make the set, all stages, labelling included."""
        return super().make_seconds + self.label_seconds

    @property
    def clocks(self) -> set[str]:
        """What its seconds are of: each device, and of a CPU the threads, too."""
        threads = f" of {self.threads} threads" if self.device.startswith("cpu") else ""
        return {device + threads for device in (self.device, self.made_on) if device}


class SearchRow(BaseModel):
    """One line of the table of the suite ``search``: an index, or the scores, on codes of one kind and number."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    what: str = Field(description="index or tool that was measured")
    codes: str = Field(description="clustered or uniform; see pocket.evaluation.synthetic")
    database: PositiveInt
    queries: PositiveInt = Field(description="in one batch")
    bits: PositiveInt
    k: NonNegativeInt = Field(description="neighbours; 0 for scores, which rank all")
    unique_share: float = Field(ge=0, le=1, description="distinct codes of the database")
    kind: str = Field("", description="kind of index that was chosen")
    reason: str = Field("", description="and why")
    build_seconds: NonNegativeFloat = Field(description="first call of scores: compiling included")
    batch_seconds: NonNegativeFloat = Field(description="median of repeats")
    p50_ms: NonNegativeFloat | None = Field(None, description="single queries")
    p95_ms: NonNegativeFloat | None = None
    p99_ms: NonNegativeFloat | None = None
    recall: float = Field(ge=0, le=1, description="answers no farther than the true k-th nearest")
    added_mb: NonNegativeFloat | None = Field(None, description="peak memory above the codes; scores only")
    device: str
    threads: PositiveInt
    python: str
    numpy: str
    faiss: str
    commit: str | None
    created: str

    @property
    def queries_per_second(self) -> float:
        """Throughput of one batch."""
        return self.queries / self.batch_seconds


R = TypeVar("R", bound=BaseModel)


def by_teacher(epochs: int, *, codes: bool) -> str:
    """Name the full-data model of so many epochs that a set was made with; empty where no number is given."""
    return f"{' of a' if codes else ', made with a'} {epochs}-epoch teacher" if epochs else ""


def of_patchworks(mixes: int) -> str:
    """Name the patchworks of each view that have codes, where they are not as many as usual."""
    return f" of {mixes} patchworks" if mixes else ""


def results_folder() -> Path:
    """Return the folder of the recorded results that come with the kit."""
    return kit_dir("data") / "results"


def read(path: Path) -> list[Row]:
    """Read a table of measured cells; see `read_as`."""
    return read_as(path, Row)


def read_as(path: Path, kind: type[R]) -> list[R]:
    """Read a table of rows of one kind that `write` wrote; an absent file is an empty table.

    Raises
    ------
    ArtefactError
        If a line does not hold a row; the message names it.
    """
    if not path.is_file():
        return []
    rows = []
    with path.open(encoding="utf-8", newline="") as file:
        for number, fields in enumerate(csv.DictReader(file), start=2):
            try:
                rows.append(kind.model_validate({key: value for key, value in fields.items() if value != ""}))
            except ValidationError as error:
                first = error.errors()[0]
                raise ArtefactError(
                    f"{path}, line {number}, {'.'.join(map(str, first['loc']))}: {first['msg']}; "
                    "take the file from the repository again, or delete it and run pocket bench"
                ) from None
    return rows


def write(path: Path, rows: Iterable[BaseModel], kind: type[BaseModel] = Row) -> None:
    """Write the table of one kind of rows as ``path`` (``.csv``) and as Parquet beside it, whole or not at all."""
    import pyarrow as pa
    from pyarrow import parquet

    columns = list(kind.model_fields)
    table = [row.model_dump(mode="json") for row in rows]
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(table)
    write_text(path, text.getvalue())
    data = io.BytesIO()
    parquet.write_table(pa.table({name: [row[name] for row in table] for name in columns}), data, compression="zstd")
    write_bytes(path.with_suffix(".parquet"), data.getvalue())
