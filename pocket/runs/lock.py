"""One writer to a run at a time: an operating system's lock, which ends with its process however that ends."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from filelock import FileLock, Timeout

from pocket.runs.errors import ToldError

_HOLDER = "POCKET_WRITER"
_PATIENCE = 1.0  # seconds: a notebook holds a run for the moments that one file takes, a command for minutes


class BusyError(ToldError):
    """Another process is writing to the run; nothing was changed."""


class UnwritableError(ToldError):
    """The run's folder, or the one that it lies in, may not be written to; nothing was changed."""


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Hold a run for writing; inside, the same may be asked for again. Readers need not ask.

    The lock lies beside the run (``runs/.NAME.lock``): the run's own folder holds nothing but the run, and need not be
    there yet. The file stays; that it is there says nothing.

    Parameters
    ----------
    folder : Path
        Of the run.

    Raises
    ------
    BusyError
        If another process holds it.
    UnwritableError
        If nothing may be written there: a folder that is read-only, or no folder at all.
    """
    folder = folder.resolve()
    if _held_above(folder):
        yield
        return
    lock = FileLock(folder.parent / f".{folder.name}.lock", timeout=_PATIENCE, is_singleton=True)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        if folder.exists() and not os.access(folder, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        lock.acquire()
    except Timeout:
        raise BusyError(
            f"another process of pocket is writing to run {folder.name!r} in {folder}: wait until it ends, stop it, or "
            "take another name (--run NAME); nothing was changed",
            "error.busy",
            run=folder.name,
            folder=folder,
        ) from None
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise UnwritableError(
            f"run {folder.name!r} cannot be written in {folder} ({reason}): ask the owner of the folder for the right "
            "to write, or set POCKET_HOME to a folder of your own; nothing was changed",
            "error.unwritable",
            run=folder.name,
            folder=folder,
            reason=reason,
        ) from None
    try:
        yield
    finally:
        lock.release()


def for_children(folder: Path) -> dict[str, str]:
    """Return the environment by which processes that the holder starts, such as a tour's kernels, write in its name.

    It names the holder's process, so that a child that outlives it asks for the lock like anybody else.
    """
    return {_HOLDER: f"{os.getpid()}:{folder.resolve()}"}


def _held_above(folder: Path) -> bool:
    """Whether a process that this one descends from holds the run for it."""
    pid, _, held = os.environ.get(_HOLDER, "").partition(":")
    return held == str(folder) and pid in {str(process.pid) for process in psutil.Process().parents()}
