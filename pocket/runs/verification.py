"""Does a run still hold what its audit log says? Any altered, removed or reordered line or artefact is found."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from pocket.runs import audit
from pocket.runs.artefacts import ArtefactError
from pocket.runs.run import Run, RunRecord

HIDDEN = (
    "What this cannot show: whoever rewrites the whole log, run.json and the files with it makes a chain that agrees "
    "with itself. Compare with what was printed elsewhere: the section “Audit” of a brief gives the command for it."
)
_OWN = {"run.json", "audit.jsonl"}


class Printed(NamedTuple):
    """What a brief says of the log as it was then: how many lines it had, and the digest of the last."""

    line: int
    digest: str


class Verification(NamedTuple):
    """What was checked and found.

    ``problems`` says what does not hold, each with the file or line; ``unlogged`` are files that the log does not know;
    ``agrees`` whether the log still begins with the lines that something printed was made from (None: not asked).
    """

    lines: int
    head: str
    files: int
    problems: tuple[str, ...]
    unlogged: tuple[str, ...]
    agrees: bool | None = None


def verify_run(folder: Path, printed: Printed | None = None) -> Verification:
    """Check a run's audit log against itself, against ``run.json`` and against the files of the run.

    Parameters
    ----------
    folder : Path
        Of the run; nothing in it is changed.
    printed : Printed, optional
        To compare with; lines that were added since do not count.

    Raises
    ------
    ArtefactError
        If there is no readable ``run.json``.
    """
    record = RunRecord.load(folder / "run.json")
    log = folder / "audit.jsonl"
    try:
        lines, head = audit.verify(log)
    except ArtefactError as error:
        return Verification(0, "", 0, (str(error),), ())
    problems = []
    if (lines, head) != (record.audit_lines, record.audit_head):
        problems.append(
            f"{log} has {lines} lines with head {head[:12]}, but run.json notes {record.audit_lines} with head "
            f"{record.audit_head[:12]}: lines were added or cut off at its end, or run.json was changed"
        )
    known = _logged(log)
    for name, digest in known.items():
        path = folder / name
        if not path.resolve().is_relative_to(folder.resolve()):
            problems.append(f"{log} names {name!r}, which lies outside the run")
        elif not path.is_file():
            problems.append(f"{path} is missing: it was logged, and removed or renamed since")
        elif audit.digest_of(path) != digest:
            problems.append(f"{path} is not the file that was logged last: it was altered since")
    present = (path for path in sorted(folder.rglob("*")) if path.is_file())
    there = [path.relative_to(folder).as_posix() for path in present]
    unlogged = tuple(name for name in there if name not in {*known, *_OWN})
    agrees = None if printed is None else audit.digest_at(log, printed.line) == printed.digest
    return Verification(lines, head, len(known), tuple(problems), unlogged, agrees)


def note_changed(run: Run, paths: Iterable[Path]) -> None:
    """Log those files that the log does not know as they are: a process may be killed between a file and its line."""
    known = _logged(run.path("audit.jsonl"))
    for path in paths:
        name = path.resolve().relative_to(run.folder.resolve()).as_posix()
        if path.is_file() and known.get(name) != audit.digest_of(path):
            run.note(path)


def _logged(log: Path) -> dict[str, str]:
    """Return the last digest that the log holds of every file."""
    found: dict[str, str] = {}
    if log.is_file():
        for line in log.read_bytes().removesuffix(b"\n").split(b"\n"):
            details = json.loads(line)["details"]
            if {"file", "sha256"} <= details.keys():
                found[details["file"]] = details["sha256"]
            elif {"folder", "files"} <= details.keys():
                folder = details["folder"] + "/"
                found = {name: digest for name, digest in found.items() if not name.startswith(folder)}
                found |= {folder + name: digest for name, digest in details["files"].items()}
    return found
