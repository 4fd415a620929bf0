"""What is in a split: counts, sizes and images that stand on both sides."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import NonNegativeInt, PositiveInt

from pocket.data.images import RetrievalSplit
from pocket.runs.artefacts import Record
from pocket.runs.provenance import Provenance, provenance


class DataRecord(Record):
    """``data.json`` (notebook 01). Counts are per class, in the order of ``class_names``."""

    kind: ClassVar[str] = "data"
    name: str
    protocol: str
    fingerprint: str
    channels: PositiveInt
    size: PositiveInt
    class_names: tuple[str, ...]
    train_counts: tuple[NonNegativeInt, ...]
    database_counts: tuple[NonNegativeInt, ...]
    query_counts: tuple[NonNegativeInt, ...]
    repeated_queries: NonNegativeInt
    provenance: Provenance


def describe(split: RetrievalSplit) -> DataRecord:
    """Count images per class, and queries that are pixel for pixel in the database."""
    return DataRecord(
        name=split.train.name,
        protocol=split.protocol,
        fingerprint=split.train.fingerprint,
        channels=split.train.channels,
        size=split.train.size,
        class_names=split.train.class_names,
        train_counts=tuple(split.train.counts.tolist()),
        database_counts=tuple(split.database.counts.tolist()),
        query_counts=tuple(split.query.counts.tolist()),
        repeated_queries=repeated_queries(split),
        provenance=provenance(),
    )


def repeated_queries(split: RetrievalSplit) -> int:
    """Return how many queries have an identical image in the database: 0 in a split that tests anything."""

    def rows(images: np.ndarray) -> set[bytes]:
        return {image.tobytes() for image in images}

    known = rows(split.database.images)
    return sum(image.tobytes() in known for image in split.query.images)
