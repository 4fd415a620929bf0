"""Images in: `ImageSet`, `RetrievalSplit`, `CondensedSet` and where they come from."""

from pocket.data.condensed import CondensedCard, CondensedSet
from pocket.data.images import ImageSet, RetrievalSplit
from pocket.data.sources import load, registry

__all__ = ["CondensedCard", "CondensedSet", "ImageSet", "RetrievalSplit", "load", "registry"]
