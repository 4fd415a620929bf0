"""Images of one's own, before any training: what there is, what cannot be used, and a split that does not leak."""

from pocket.data.intake.findings import KINDS, Affected, Finding, Findings, IntakeError, Level
from pocket.data.intake.intake import Intake, list_images, take_in
from pocket.data.intake.keeping import store_split, stored_split
from pocket.data.intake.listing import Listing
from pocket.data.intake.records import CheckRecord, SplitRecord

__all__ = [
    "KINDS",
    "Affected",
    "CheckRecord",
    "Finding",
    "Findings",
    "Intake",
    "IntakeError",
    "Level",
    "Listing",
    "SplitRecord",
    "list_images",
    "store_split",
    "stored_split",
    "take_in",
]
