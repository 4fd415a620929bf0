"""What a check may find: kinds of problems with their levels, and the findings of one check."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from pydantic import Field, NonNegativeInt

from pocket.runs.artefacts import Part

Level = Literal["note", "warn", "stop"]

# Every kind of finding. A note needs no action; after a warning the check goes on with the rest; a stop ends it.
# The words for each stand in pocket/presentation/i18n under [check.kind.*].
KINDS: dict[str, Level] = {
    # the whole cannot be used
    "not_a_folder": "stop",
    "no_permission": "stop",
    "is_zip": "stop",
    "is_other_file": "stop",
    "empty": "stop",
    "no_classes": "stop",
    "one_class": "stop",
    "none_readable": "stop",
    "none_asks": "stop",
    "multi_label": "stop",
    "bad_manifest": "stop",
    "bad_parquet": "stop",
    # the whole can be used, and is too little
    "few_in_all": "warn",
    # files
    "ignored": "note",
    "other_file": "note",
    "loose": "warn",
    "empty_class": "warn",
    "locked": "warn",
    "archive": "warn",
    "unsupported": "warn",
    "hidden_image": "warn",
    "outside": "warn",
    "broken_link": "warn",
    "missing": "warn",
    "bad_row": "warn",
    "repeated_row": "warn",
    # images
    "zero_bytes": "warn",
    "broken": "warn",
    "too_large": "warn",
    "large": "note",
    "wrong_ending": "warn",
    "deep": "note",
    "palette": "note",
    "cmyk": "note",
    "transparent": "note",
    "other_mode": "note",
    "rotated": "note",
    "several_frames": "warn",
    "cropped": "warn",
    # names
    "normalised": "note",
    "joined": "warn",
    "decoded_name": "warn",
    "look_alike": "warn",
    "decoded_table": "note",
    # copies and groups
    "exact_copy": "warn",
    "near_copy": "warn",
    "copies_disagree": "warn",
    "disputed": "warn",
    "withdrawn": "note",
    "leak": "warn",
    "group_split": "warn",
    "grouped": "note",
    "ungrouped": "note",
    "group_unmatched": "warn",
    "group_disagrees": "warn",
    "near_chain": "warn",
    # classes and labels
    "single": "warn",
    "tiny": "warn",
    "one_unit": "warn",
    "no_query": "warn",
    "few_queries": "warn",
    "imbalance": "warn",
    "suspect": "warn",
    "suspect_weak": "note",
    "unjudged": "note",
    # always
    "confidential": "note",
}


class Affected(Part):
    """A file, row, folder or class that a finding is about, with the detail that belongs to it.

    ``values``, where there are any, fill the placeholders of the kind's own words for a detail.
    """

    name: str
    detail: str = ""
    values: dict[str, str | int] = Field(default_factory=dict)


class Finding(Part):
    """One kind of problem, with everything that it affects.

    ``values`` fill the placeholders of its texts; ``count`` is how many things are affected.
    """

    kind: str
    level: Level
    count: NonNegativeInt
    values: dict[str, str | int | float] = Field(default_factory=dict)
    affected: tuple[Affected, ...] = ()


class IntakeError(ValueError):
    """A folder, list or file cannot be used at all; its message says why and what to do.

    Attributes
    ----------
    finding : Finding
        The same as data, of level ``stop``.
    """

    def __init__(self, message: str, finding: Finding) -> None:
        super().__init__(message)
        self.finding = finding


class Findings:
    """Collect what is found, one finding a kind."""

    def __init__(self) -> None:
        self._affected: dict[str, list[Affected]] = {}
        self._values: dict[str, dict[str, str | int | float]] = {}

    def add(self, kind: str, name: str, detail: str = "", **values: str | int) -> None:
        """Note one more thing that a kind of problem affects."""
        self._affected.setdefault(kind, []).append(Affected(name=name, detail=detail, values=values))

    def say(self, kind: str, affected: Iterable[tuple[str, str]] = (), **values: str | int | float) -> None:
        """Note a kind of problem as a whole."""
        self._affected.setdefault(kind, []).extend(Affected(name=name, detail=detail) for name, detail in affected)
        self._values.setdefault(kind, {}).update(values)

    def stop(self, kind: str, message: str, /, *affected: str, **values: str | int | float) -> IntakeError:
        """Return the error to raise where nothing can be done, having noted it."""
        self.say(kind, ((name, "") for name in affected), **values)
        return IntakeError(message, next(f for f in self.all() if f.kind == kind))

    def all(self) -> tuple[Finding, ...]:
        """Return the findings: stops, warnings, notes, each in the order of `KINDS`."""
        found = [
            Finding(
                kind=kind,
                level=level,
                count=len(self._affected[kind]) or int(self._values.get(kind, {}).get("count", 1)),
                values=self._values.get(kind, {}),
                affected=tuple(self._affected[kind]),
            )
            for kind, level in KINDS.items()
            if kind in self._affected
        ]
        return tuple(sorted(found, key=lambda f: ("stop", "warn", "note").index(f.level)))
