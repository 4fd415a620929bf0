"""What images hold, each as one digest: which of them were added, removed or changed since."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import NamedTuple

from pocket.data.intake.listing import Listing
from pocket.data.intake.look import Looks


def contents_of(listing: Listing, looks: Looks) -> dict[str, str]:
    """Return a digest of each image's class and pixels, by name; neither times nor file formats count.

    Parameters
    ----------
    listing : Listing
    looks : Looks
        At the images of the listing.
    """
    found = {}
    for name, label, pixels in zip(listing.names, listing.labels.tolist(), looks.digests, strict=True):
        text = listing.class_names[label].encode("utf-8", "surrogatepass")
        found[name] = hashlib.blake2b(text + b"\0" + pixels, digest_size=8).hexdigest()
    return found


class Changes(NamedTuple):
    """Names of the images that were added, removed and changed."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """All of them."""
        return self.added + self.removed + self.changed


def changes(before: Mapping[str, str], now: Mapping[str, str]) -> Changes:
    """Compare two results of `contents_of`."""
    return Changes(
        added=tuple(name for name in now if name not in before),
        removed=tuple(name for name in before if name not in now),
        changed=tuple(name for name, digest in now.items() if before.get(name, digest) != digest),
    )
