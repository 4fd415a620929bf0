"""The report of a check as one page without scripts, and as lines for the console."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image

from pocket.data.decoding import opened, to_8_bit
from pocket.data.intake.findings import Affected, Finding
from pocket.data.intake.listing import Listing
from pocket.data.intake.records import CheckRecord
from pocket.presentation.fit_text import fit_text, share_text
from pocket.presentation.i18n import colon, duration, number, percent, sentences, translator
from pocket.runs.artefacts import write_text
from pocket.runs.commands import command

SHOWN = 50  # affected files of a kind on the page; all are in check.json
_ON_CONSOLE = 3
_CLASSES = 20  # lines of classes on the console
_COPY_SETS = 12
_IN_SET = 4
_SIDE = 96  # pixels of a picture on the page


class Told(NamedTuple):
    """A finding in words."""

    kind: str
    level: str
    level_name: str
    what: str
    todo: str
    affected: tuple[tuple[str, str], ...]
    more: str


def told(finding: Finding, lang: str, shown: int = SHOWN) -> Told:
    """Return a finding in a language, with the first of what it affects."""
    t = translator(lang)
    values = _written(finding.values) | {"count": number(finding.count)}
    rest = len(finding.affected) - shown

    def detail(one: Affected) -> str:
        if not one.values:
            return one.detail
        fault = one.values.get("fault")
        return t(f"check.fault.{fault}" if fault else f"check.kind.{finding.kind}.each", **_written(one.values))

    return Told(
        finding.kind,
        finding.level,
        t(f"check.{finding.level}"),
        t(f"check.kind.{finding.kind}.what", **values),
        t(f"check.kind.{finding.kind}.todo", **values),
        tuple((one.name, detail(one)) for one in finding.affected[:shown]),
        t("check.more", count=number(rest)) if rest > 0 else "",
    )


def _written(values: Mapping[str, str | int | float]) -> dict[str, object]:
    return {key: number(value) if isinstance(value, int) else value for key, value in values.items()}


def console_lines(record: CheckRecord, lang: str) -> Iterator[str]:
    """Yield what the console says of a check: the verdict, then a line or two a finding."""
    t = translator(lang)
    for finding in record.findings:
        one = told(finding, lang, _ON_CONSOLE)
        yield f"[{one.level_name}] {one.what}"
        for name, detail in one.affected:
            yield f"       {name}" + (f"  ({detail})" if detail else "")
        if one.more:
            yield f"       {one.more}"
        if finding.level != "note" or finding.kind == "confidential":
            yield f"    -> {one.todo}"
    if record.size is not None:
        yield f"{t('check.size')}{colon(lang)}{sentences(size_text(record, lang), lang)}"
        yield suggestion(record, lang)
    if record.classes:
        yield ""
        yield from _class_lines(record, lang)
        if things := things_text(record, lang):
            yield things
    yield ""
    yield f"{t(f'check.{record.verdict}')}{colon(lang)}{t(f'check.{record.verdict}_text')}"
    if caution := too_few(record, lang):
        yield caution
    if record.classes:
        yield t("check.counts", **_counts(record))


def _class_lines(record: CheckRecord, lang: str) -> Iterator[str]:
    """Yield a line a class, those with the fewest independent queries first."""
    t = translator(lang)
    yield t("check.classes_few_first")
    rows = sorted(record.classes, key=lambda row: row.query_units)
    for row in rows[:_CLASSES]:
        counts = row.model_dump(include={"images", "units", "train", "query", "query_units"})
        yield "  " + t("check.class_line", name=row.name, **{key: number(n) for key, n in counts.items()})
    if rest := len(rows[_CLASSES:]):
        yield "  " + t("check.more", count=number(rest))


def too_few(record: CheckRecord, lang: str) -> str:
    """Return that no decision can rest on so few queries, to stand beside the verdict; "" where they are enough."""
    return next((told(finding, lang).what for finding in record.findings if finding.kind == "few_in_all"), "")


def size_text(record: CheckRecord, lang: str) -> tuple[str, ...]:
    """Return the chosen size and the reasons for it, as sentences.

    Raises
    ------
    ValueError
        If the check stopped before one was chosen.
    """
    t, size = translator(lang), record.size
    if size is None:
        raise ValueError("the check stopped before a size was chosen")
    return (
        t(
            "check.size_text",
            resolution=size.resolution,
            channels=t("check.grey" if size.channels == 1 else "check.colour"),
        ),
        t(
            f"check.why_{size.why}",
            side=size.side,
            which=t(f"check.side_{record.fit}"),
            kept=percent(size.kept, lang, 0),
        ),
        t(
            "check.why_grey" if size.channels == 1 else "check.why_colour",
            coloured=number(size.coloured),
            images=number(record.images - sum(f.count for f in record.findings if f.kind in _UNREADABLE)),
        ),
        fit_text(record, lang),
    )


def _size(record: CheckRecord, lang: str) -> tuple[str, str]:
    """Return the chosen size and what is said of it; empty texts where the check stopped before."""
    chosen, *reasons = size_text(record, lang) if record.size is not None else ("",)
    return chosen, sentences(reasons, lang)


_UNREADABLE = {"zero_bytes", "broken", "too_large", "locked"}


def suggestion(record: CheckRecord, lang: str) -> str:
    """Return how many condensed images a class are suggested, as a sentence."""
    t = translator(lang)
    return t("check.per_ratio", ratio=record.ratio) if record.ratio else t("check.per_ipc", ipc=record.ipc)


def next_command(record: CheckRecord, options: Sequence[object], lang: str) -> str:
    """Return the command that goes on from here, with the options that the check was called with."""
    return command("poc", record.path, *options, lang=lang)


def _counts(record: CheckRecord) -> dict[str, str]:
    return {
        "usable": number(record.usable),
        "images": number(record.images),
        "classes": number(len(record.classes)),
    }


def write_check_page(
    record: CheckRecord, path: Path, lang: str, listing: Listing | None, options: Sequence[object] = ()
) -> Path:
    """Write the report; it opens offline, without scripts, on a phone as well.

    Parameters
    ----------
    record : CheckRecord
    path : Path
    lang : {"en", "ja"}
    listing : Listing or None
        Where the pictures of doubtful labels and of copies are read from; None shows none.
    options : sequence
        Of the command that goes on from here.
    """
    t = translator(lang)
    suspects = record.suspects[:SHOWN]
    # Those that their labels tell apart come first: somebody has to decide.
    sets = sorted((*record.exact, *record.near), key=lambda found: len(set(found.labels)) < 2)[:_COPY_SETS]
    wanted = {s.name for s in suspects} | {name for found in sets for name in found.names[:_IN_SET]}
    pictures = _pictures(listing, wanted) if listing is not None else {}
    environment = Environment(
        loader=PackageLoader("pocket.presentation"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    html = environment.get_template("check.html.j2").render(
        t=t,
        lang=lang,
        record=record,
        caution=too_few(record, lang),
        counts=t("check.counts", **_counts(record)),
        findings=[told(finding, lang) for finding in record.findings],
        colon=colon(lang),
        size=_size(record, lang),
        suggestion=suggestion(record, lang) if record.classes else "",
        rows=_class_rows(record, lang),
        things=things_text(record, lang) if record.classes else "",
        kinds=[(name, number(count)) for part in (record.formats, record.modes) for name, count in part.items()],
        suspects=suspects,
        suspects_text=t(
            "check.suspects_text",
            shown=number(len(suspects)),
            count=number(len(record.suspects)),
            agreement=percent(record.agreement or 0.0, lang, 0),
        ),
        copies=[list(zip(found.names[:_IN_SET], found.labels, strict=False)) for found in sets],
        copies_text=t("check.copies_text", shown=number(len(sets)), count=number(len(record.exact) + len(record.near))),
        pictures=pictures,
        command=next_command(record, options, lang) if record.verdict != "stop" else "",
        split_given=record.split_given,
        made=t(
            "check.made",
            images=number(record.images),
            seconds=duration(record.seconds, lang),
            memory=number(record.peak_mb or 0),
            created=record.provenance.created,
            version=record.provenance.pocket,
        ),
    )
    return write_text(path, html)


def things_text(record: CheckRecord, lang: str) -> str:
    """Say how many different things there are in all, and why the classes may add up to more."""
    t = translator(lang)
    if record.units is None:
        return ""
    text = t("check.things", units=number(record.units), query_units=number(record.query_units))
    summed, asked = sum(row.units for row in record.classes), sum(row.query_units for row in record.classes)
    if summed == record.units:
        return text
    return text + t("check.things_shared", summed=number(summed), query_summed=number(asked))


def _class_rows(record: CheckRecord, lang: str) -> list[dict[str, Any]]:
    largest = max((row.images for row in record.classes), default=1)
    return [
        {
            "name": row.name,
            "share": round(100 * row.images / largest, 1),
            "cells": [
                *(number(n) for n in (row.images, row.units, row.train, row.query, row.query_units, row.ipc)),
                *([share_text(row, lang)] if record.fit == "crop" else []),
            ],
        }
        for row in record.classes
    ]


def _pictures(listing: Listing, names: set[str]) -> dict[str, str]:
    """Return small pictures of images as ``data:`` addresses, by name, but of those that are gone by now."""
    places = [i for i, name in enumerate(listing.names) if name in names]
    found = {}
    for i, source in zip(places, listing.open(places), strict=True):
        try:
            with opened(source) as image:
                small = to_8_bit(image, at_least=2 * _SIDE)
        except Exception:  # it is gone by now, or was never whole: the page does without
            continue
        small.thumbnail((_SIDE, _SIDE))
        if max(small.size) < _SIDE // 2:  # digits and the like are too small to be seen
            factor = _SIDE // max(small.size)
            small = small.resize((small.width * factor, small.height * factor), Image.Resampling.NEAREST)
        buffer = io.BytesIO()
        small.save(buffer, "JPEG", quality=80)
        found[listing.names[i]] = "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
    return found


__all__: Sequence[str] = [
    "console_lines",
    "next_command",
    "size_text",
    "suggestion",
    "told",
    "too_few",
    "write_check_page",
]
