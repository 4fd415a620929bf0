"""Images in: `ImageSet`, `RetrievalSplit`, `CondensedSet` and where they come from."""

from pocket.data.condensed import CondensedCard, CondensedSet
from pocket.data.images import ImageSet, RetrievalSplit, images_per_class
from pocket.data.sources import load, registry
from pocket.data.strangers import photographs
from pocket.data.summary import DataRecord, describe

__all__ = [
    "CondensedCard",
    "CondensedSet",
    "DataRecord",
    "ImageSet",
    "RetrievalSplit",
    "describe",
    "images_per_class",
    "load",
    "photographs",
    "registry",
]
