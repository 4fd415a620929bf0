"""`pocket check`: from a path to a go or no-go, before any training. The images are read, never changed."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pocket.data.decoding import Fit
from pocket.data.intake import (
    CheckRecord,
    Findings,
    Intake,
    IntakeError,
    Listing,
    SplitRecord,
    list_images,
    store_split,
    stored_split,
    take_in,
)
from pocket.data.intake.judge import (
    judge_classes,
    judge_copies,
    judge_groups,
    judge_images,
    judge_labels,
    relabel_rows,
)
from pocket.data.intake.names import shown
from pocket.presentation.check_page import console_lines, write_check_page
from pocket.presentation.i18n import Translate, duration, number, translator
from pocket.runs.artefacts import ArtefactError, write_text
from pocket.runs.paths import home
from pocket.runs.provenance import peak_mb, provenance

Say = Callable[[str], None]


class UsageError(ValueError):
    """The command was called in a way that cannot be meant; nothing was read or written."""


class Checked(NamedTuple):
    """What a check has found, and the folder that it was written to."""

    record: CheckRecord
    out: Path


def check(
    path: Path,
    *,
    out: Path | None = None,
    groups: Path | None = None,
    fit: Fit = "crop",
    options: Sequence[object] = (),
    lang: str = "en",
    say: Say = print,
) -> Checked:
    """Check images and write ``check.html``, ``check.json``, ``split.json`` and ``relabel.csv``.

    Parameters
    ----------
    path : Path
        A folder with one sub-folder per class, a CSV list, or Parquet.
    out : Path, optional
        The folder to write to, never inside ``path``. Default: ``runs/check-NAME``.
    groups : Path, optional
        A table ``path,group`` of images that show the same thing.
    fit : {"crop", "pad"}
        What will be made of images that are not square. It is kept with the split, so that `pocket.load` does the same.
    options : sequence
        Of the command that goes on from here, as the page gives it, besides the table and ``fit``.
    lang : {"en", "ja"}
        Of the report and of what is said.
    say : callable
        Called with each line.

    Raises
    ------
    UsageError
        If there is nothing at ``path``, ``out`` lies inside it, or ``groups`` is no file.
    """
    t = translator(lang)
    refuse_nowhere(path, lang)
    target = _target(path, out, t)
    if groups is not None and not groups.is_file():
        raise UsageError(t("check.no_groups", groups=groups))
    started = time.perf_counter()
    findings = Findings()
    listing = intake = None
    parts = _Parts()
    say(t("check.listing", path=shown(path)))
    try:
        listing = list_images(path, findings, groups)
        with _Progress(lang, say) as progress:
            intake = take_in(listing, findings, progress, before=stored_split(listing), fit=fit)
        say(t("check.comparing"))
        judge_images(intake, findings)
        parts = _judged(intake, findings)
    except IntakeError:
        pass  # it is among the findings, as a stop
    findings.say("confidential")
    record = _record(path, fit, listing, intake, findings, parts, time.perf_counter() - started)
    table = ["--groups", groups.resolve()] if groups is not None else []
    whole = ["--fit", fit] if fit != "crop" else []
    _write(target, record, intake, lang, [*table, *whole, *options])
    for line in console_lines(record, lang):
        say(line)
    say(t("check.wrote", path=target / "check.html"))
    names = ("check.json", "split.json", *(("relabel.csv",) if record.suspects else ()))
    beside = [name for name in names if (target / name).is_file()]
    say(t("check.also", names=", ".join(beside)))
    return Checked(record, target)


def refuse_nowhere(path: Path, lang: str) -> None:
    """Refuse a path that was mistyped, or a drive that is not there: of those no report is kept, and none replaced.

    Raises
    ------
    UsageError
        If there is nothing at the path.
    """
    try:
        there = path.exists()
    except PermissionError:
        there = True  # something that may not be read: the check says so
    except OSError:  # such as a name that is too long
        there = False
    if not there:
        raise UsageError(translator(lang)("check.nowhere", path=shown(path)))


class _Parts(NamedTuple):
    """The lists of a record, as far as the check came."""

    fields: dict[str, object] = {}  # noqa: RUF012 (never written to)


def _judged(intake: Intake, findings: Findings) -> _Parts:
    copies = judge_copies(intake, findings)
    judge_groups(intake, findings)
    classes = judge_classes(intake, findings)
    doubts = judge_labels(intake, findings)
    good = np.flatnonzero(intake.looks.good)
    sides = intake.looks.sizes[good].min(axis=1)
    return _Parts(
        {
            "classes": classes.rows,
            "units": classes.units,
            "query_units": classes.query_units,
            "ratio": classes.ratio,
            "ipc": classes.ipc,
            "modes": dict(Counter(intake.looks.modes[i] for i in good).most_common()),
            "formats": dict(Counter(intake.looks.formats[i] for i in good).most_common()),
            "sides": (int(sides.min()), int(np.median(sides)), int(sides.max())),
            "size": intake.size,
            "split": _digest(intake.record),
            "split_given": bool(intake.listing.sides),
            "near_threshold": intake.near.threshold,
            "exact": copies.exact,
            "near": copies.near,
            "agreement": doubts.agreement,
            "suspects": doubts.suspects,
        }
    )


def _digest(split: SplitRecord) -> str:
    """Return the SHA-256 of who is on which side."""
    sides = json.dumps([split.train, split.database, split.query])
    return hashlib.sha256(sides.encode("utf-8", "surrogatepass")).hexdigest()


def _record(
    path: Path,
    fit: Fit,
    listing: Listing | None,
    intake: Intake | None,
    findings: Findings,
    parts: _Parts,
    seconds: float,
) -> CheckRecord:
    found = findings.all()
    levels = {finding.level for finding in found}
    return CheckRecord(
        path=shown(path.resolve()),
        name=listing.name if listing is not None else shown(path.resolve().name),
        verdict="stop" if "stop" in levels else "warn" if "warn" in levels else "pass",
        findings=found,
        fit=fit,
        images=len(listing) if listing is not None else 0,
        usable=int(intake.usable.sum()) if intake is not None else 0,
        seconds=round(seconds, 2),
        peak_mb=peak_mb(),
        provenance=provenance(),
        **parts.fields,  # type: ignore[arg-type]
    )


def _write(out: Path, record: CheckRecord, intake: Intake | None, lang: str, options: Sequence[object]) -> None:
    """Write the reports; what an earlier check has left there and this one does not write is taken away."""
    for name in ("split.json", "relabel.csv"):
        (out / name).unlink(missing_ok=True)
    record.save(out / "check.json")
    pictures = None
    if intake is not None and record.verdict != "stop":
        store_split(intake).save(out / "split.json")
        table = io.StringIO(newline="")
        csv.writer(table, lineterminator="\r\n").writerows(relabel_rows(record.suspects))
        write_text(out / "relabel.csv", "\ufeff" + table.getvalue())  # the mark lets Excel read Japanese
        pictures = intake.listing
    write_check_page(record, out / "check.html", lang, pictures, options)


def _target(path: Path, out: Path | None, t: Translate) -> Path:
    """Return the folder to write to, which is never inside what is checked."""
    inside = path.resolve()
    if out is not None:
        target = out.resolve()
        if target.exists() and not target.is_dir():
            raise UsageError(t("check.out_is_file", out=out))
    else:
        target = _free_folder(inside, t)
    if target == inside or target.is_relative_to(inside):
        raise UsageError(t("check.out_inside", folder=target))
    return target


def _free_folder(path: Path, t: Translate) -> Path:
    """Return ``runs/check-NAME``, with a number where another path of that name was checked before."""
    name = re.sub(r"[^\w.-]+", "-", shown(path.stem if path.is_file() else path.name)).strip("-.")[:48] or "images"
    runs = home() / "runs"
    for number_ in range(1, 1000):
        folder = runs / (f"check-{name}" if number_ == 1 else f"check-{name}-{number_}")
        try:
            known = CheckRecord.load(folder / "check.json").path
        except ArtefactError:
            # Nothing there, or a report of another version of the kit, which is replaced.
            return folder
        if known == shown(path):
            return folder
    raise UsageError(t("check.too_many", folder=runs, name=name))


class _Progress:
    """Say how far the look at the images has come: on a screen in one line, elsewhere a line now and then."""

    def __init__(self, lang: str, say: Say) -> None:
        self.lang, self.say, self.t = lang, say, translator(lang)
        self.screen = sys.stderr.isatty()
        self.pause = 0.2 if self.screen else 15.0
        self.started = self.last = time.monotonic()

    def __enter__(self) -> _Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if self.screen:
            sys.stderr.write("\r\x1b[K")

    def __call__(self, done: int, count: int) -> None:
        now = time.monotonic()
        if now - self.last < self.pause or done < count // 100:
            return
        self.last = now
        left = (now - self.started) * (count - done) / done
        line = self.t("check.looking", done=number(done), count=number(count), left=duration(round(left), self.lang))
        if self.screen:
            sys.stderr.write(f"\r{line}\x1b[K")
            sys.stderr.flush()
        else:
            self.say(line)


def exit_code(record: CheckRecord, *, strict: bool = False) -> int:
    """Return what the command exits with: 0 pass or warn, 3 warn under ``strict``, 4 stop."""
    return 4 if record.verdict == "stop" else 3 if strict and record.verdict == "warn" else 0


__all__: Sequence[str] = ["Checked", "UsageError", "check", "exit_code"]
