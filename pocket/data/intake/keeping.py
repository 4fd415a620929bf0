"""Splits that were made once are kept, so that whatever loads the same images takes the same."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from pocket.data.decoding import Fit
from pocket.data.intake.intake import Intake
from pocket.data.intake.listing import Listing
from pocket.data.intake.look import look_at_all
from pocket.data.intake.records import Size, SplitRecord
from pocket.data.intake.sizes import choose_size
from pocket.runs.artefacts import ArtefactError
from pocket.runs.paths import cache_dir, home


def stored_split(listing: Listing, fit: Fit | None = None) -> SplitRecord | None:
    """Return the split that was made before for these very images, by a check or by `load`; else None.

    Where it was kept for another ``fit``, who asks stays, and the size is chosen anew: it depends on what is seen. That
    takes a look at all images, so what it gave is kept.
    """
    places = [_store(listing), *sorted((home() / "runs").glob("*/split.json"))]
    record = next((found for place in places if (found := _kept(place, listing))), None)
    if record is None or fit in (None, record.fit):
        return record
    refitted = _kept(_store(listing, fit), listing)
    if refitted is not None:
        return record.model_copy(update={"fit": fit, "size": refitted.size})  # who asks may have changed since
    size = Size(**choose_size(look_at_all(listing.open(), len(listing), fit=fit))._asdict())
    refitted = record.model_copy(update={"fit": fit, "size": size})
    refitted.save(_store(listing, fit))
    return refitted


def _kept(place: Path, listing: Listing) -> SplitRecord | None:
    """Return the split that lies there, if it is of these very images."""
    with suppress(ArtefactError, OSError):
        record = SplitRecord.load(place)
        if record.key == listing.key and listing.groups_key in ("", record.groups_key):
            return record
    return None


def store_split(intake: Intake) -> SplitRecord:
    """Keep a split, so that whatever loads these images takes the same."""
    record = intake.record
    record.save(_store(intake.listing))
    return record


def _store(listing: Listing, refitted: Fit | None = None) -> Path:
    return cache_dir() / "splits" / f"{listing.key[:32]}{f'-{refitted}' if refitted else ''}.json"
