"""What part of the images is seen, class by class, in words: of an image that is not square, or whole ones."""

from __future__ import annotations

from pocket.data.intake.records import CheckRecord, ClassRow
from pocket.presentation.i18n import listed, percent, translator

_CLASSES = 8  # named in a sentence


def fit_text(record: CheckRecord, lang: str) -> str:
    """Say what is made of images that are not square, and where they are cropped, how much of them is left by class.

    A check of an earlier version of the kit has not measured that; then it is said that they are cropped.
    """
    t = translator(lang)
    if record.fit == "pad":
        return t("check.padded")
    known = sorted((row for row in record.classes if row.inside is not None), key=lambda row: row.inside or 0)
    if not known or share_text(known[0], lang) == percent(1, lang, 0):
        return t("check.cropped")
    shares = [t("check.cropped_one", name=row.name, share=share_text(row, lang)) for row in known[:_CLASSES]]
    if len(known) > _CLASSES:
        shares.append(t("classes.more", count=len(known) - _CLASSES))
    return t("check.cropped_by_class", classes=listed(shares, lang))


def share_text(row: ClassRow, lang: str) -> str:
    """Return the share of a class's images that lies in their central square, at the median; a dash: not measured."""
    return "–" if row.inside is None else percent(row.inside, lang, 0)
