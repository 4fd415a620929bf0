"""Readers: from files or downloads to encoded images with labels, nothing resized yet."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pocket.data.decoding import Source
from pocket.data.intake.parquets import class_names
from pocket.runs.extras import need
from pocket.runs.paths import cache_dir, kit_dir


class Encoded(NamedTuple):
    """Images as they come, with their labels, and the groups they belong to where some were given."""

    sources: Sequence[Source]
    labels: npt.NDArray[np.int64]
    class_names: tuple[str, ...]
    groups: tuple[str, ...] = ()

    def take(self, indices: npt.NDArray[np.int64]) -> Encoded:
        """Return the images at ``indices``, in that order."""
        groups = tuple(self.groups[i] for i in indices) if self.groups else ()
        return Encoded([self.sources[i] for i in indices], self.labels[indices], self.class_names, groups)


def read_parquet(folder: Path) -> tuple[Encoded, Encoded]:
    """Read Hugging Face image Parquet: ``image`` = struct{bytes, path}, ``label`` = int64, and ``group``."""
    need("pyarrow")
    import pyarrow as pa
    import pyarrow.parquet as pq

    def half(part: str) -> Encoded:
        files = sorted(folder.glob(f"{part}-*.parquet"))
        if not files:
            raise ValueError(f"{folder} holds train-*.parquet but no {part}-*.parquet: both are needed")
        try:
            grouped = all("group" in pq.read_schema(file).names for file in files)
            columns = ["image", "label", *(["group"] if grouped else [])]
            table = pa.concat_tables([pq.read_table(file, columns=columns) for file in files])
            images, given = table["image"].combine_chunks(), table["label"]
            # A row that holds a path without bytes becomes an unreadable image: it is named and left out.
            sources = [data or b"" for data in pa.compute.struct_field(images, "bytes").to_pylist()]
        except (pa.ArrowException, KeyError) as error:
            raise ValueError(f"{files[0]} is not image Parquet with the columns image and label ({error})") from None
        labels = given.to_numpy().astype(np.int64)
        groups = tuple("" if g is None else str(g) for g in table["group"].to_pylist()) if grouped else ()
        return Encoded(sources, labels, class_names(table.schema.metadata or {}, labels.tolist()), groups)

    train, query = half("train"), half("test")
    if len(query.class_names) > len(train.class_names):
        raise ValueError(f"{folder}: the test file has classes that the train file lacks")
    return train, query._replace(class_names=train.class_names)


def read_digits() -> tuple[Encoded, Encoded]:
    """Return scikit-learn's digits as train and query of the protocol ``digits-v1``."""
    need("sklearn")
    from sklearn.datasets import load_digits

    bunch = load_digits()
    raw = bunch.images.astype(np.uint8)
    split = json.loads((kit_dir("data") / "splits" / "digits-v1.json").read_text(encoding="utf-8"))
    if hashlib.sha256(raw.tobytes()).hexdigest() != split["sha256_of_images"]:
        raise ValueError(
            "scikit-learn's digits are not those that the protocol digits-v1 was made for; install the versions of "
            "constraints.txt"
        )
    pixels = (raw.astype(np.uint16) * 255 // 16).astype(np.uint8)
    is_query = np.zeros(len(pixels), dtype=bool)
    is_query[split["query"]] = True
    names = tuple(str(digit) for digit in range(10))
    whole = Encoded(list(pixels), bunch.target.astype(np.int64), names)
    return whole.take(np.flatnonzero(~is_query)), whole.take(np.flatnonzero(is_query))


def read_torchvision(name: str, make: str, train: dict[str, Any], query: dict[str, Any]) -> tuple[Encoded, Encoded]:
    """Download a set through ``torchvision.datasets``, which checks the files' digests before it opens them.

    Parameters
    ----------
    name : str
        Ours, for messages and the folder below the cache.
    make : str
        The class in ``torchvision.datasets``.
    train, query : dict
        Its arguments for the two halves.

    Raises
    ------
    ConnectionError
        If the download fails; the message says what to do.
    """
    from torchvision import datasets

    root = cache_dir() / name
    complete = root / ".complete"
    try:
        halves = [
            getattr(datasets, make)(str(root), download=not complete.is_file(), **half) for half in (train, query)
        ]
    except (OSError, RuntimeError) as error:
        raise ConnectionError(
            f"{name} could not be downloaded to {root} ({error}). Check the network and try again, or set POCKET_DATA "
            f"to a folder that holds {name}/train-*.parquet and {name}/test-*.parquet, or take digits, which needs no "
            "download"
        ) from None
    complete.touch()
    first, second = (_encoded(half) for half in halves)
    return first, second


def _encoded(dataset: Any) -> Encoded:
    names = tuple(c if isinstance(c, str) else c[0] for c in dataset.classes)
    if hasattr(dataset, "data"):
        return Encoded(list(np.asarray(dataset.data)), np.asarray(dataset.targets, dtype=np.int64), names)
    paths, labels = zip(*dataset._samples, strict=True)
    return Encoded([Path(path) for path in paths], np.asarray(labels, dtype=np.int64), names)
