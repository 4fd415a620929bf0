"""The audit log of a run: one JSON line a step, each holding the digest of the line before it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pocket.runs.artefacts import ArtefactError

GENESIS = "0" * 64


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def append(log: Path, event: str, **details: Any) -> tuple[int, str]:
    """Append one line and return the new ``(line count, head digest)``.

    The digest of a line is the SHA-256 of its own text, which holds the digest of the line before:
    altering, removing or reordering a line breaks every digest after it.
    """
    _drop_torn_tail(log)
    count, head = verify(log)
    line = json.dumps(
        {
            "line": count + 1,
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "event": event,
            "details": details,
            "previous": head,
        },
        ensure_ascii=False,
        sort_keys=True,
    )
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a", encoding="utf-8", newline="\n") as file:
        file.write(line + "\n")
        file.flush()
        os.fsync(file.fileno())
    return count + 1, _digest(line.encode("utf-8"))


def verify(log: Path) -> tuple[int, str]:
    """Check the chain and return its ``(line count, head digest)``; a missing log is ``(0, GENESIS)``.

    Raises
    ------
    ArtefactError
        If a line is damaged, or does not follow from the line before it.
    """
    count, head = 0, GENESIS
    for count, head in _chain(log):  # noqa: B007 (the last ones are wanted)
        pass
    return count, head


def digest_at(log: Path, line: int) -> str | None:
    """Return the digest of a line, counted from 1, which holds all lines before it; None where there are fewer.

    Raises
    ------
    ArtefactError
        If the chain is broken at the line or before it.
    """
    return next((digest for count, digest in _chain(log) if count == line), None)


def _chain(log: Path) -> Iterator[tuple[int, str]]:
    """Yield number and digest of each line, checked against the line before."""
    head = GENESIS
    if not log.is_file() or not log.stat().st_size:
        return
    # Bytes, cut at newlines only: str.splitlines would also cut at U+2028 or U+0085 inside a detail.
    for count, line in enumerate(log.read_bytes().removesuffix(b"\n").split(b"\n"), start=1):
        try:
            fields = json.loads(line.decode("utf-8"))
            good = fields["line"] == count and fields["previous"] == head
        except (UnicodeDecodeError, json.JSONDecodeError, KeyError, TypeError):
            good = False
        if not good:
            raise ArtefactError(
                f"{log}, line {count}: the chain is broken (a line was altered, removed, added or reordered); "
                "keep the file as evidence and start a new run"
            )
        head = _digest(line)
        yield count, head


def _drop_torn_tail(log: Path) -> None:
    """Remove a last line that a killed process left half-written: it was never counted."""
    if log.is_file() and (data := log.read_bytes()) and not data.endswith(b"\n"):
        with log.open("r+b") as file:
            file.truncate(data.rfind(b"\n") + 1)


def _digest(line: bytes) -> str:
    return hashlib.sha256(line).hexdigest()
