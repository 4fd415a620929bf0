"""numba's threads, used without a change to torch's."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache


@cache
def numba_fault() -> str:
    """Start numba's threads, and return why several callers must not use them; empty where they may.

    Where both libraries share OpenMP, torch would take as many threads as numba from then on, and what is trained next
    would have other bits: torch's number is put back. torch is not imported for it.
    """
    try:
        import numba

        torch = sys.modules.get("torch")
        threads = torch.get_num_threads() if torch else 0
        numba.get_num_threads()
        if torch:
            torch.set_num_threads(threads)
        ran_by = numba.threading_layer()  # type: ignore[attr-defined]
    except (ImportError, ValueError) as error:  # the latter where the environment asks for threads that are not here
        return f"numba does not work here ({str(error).splitlines()[0]})"
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_in_child)
    # The last resort among numba's threads: two callers at once would end the process.
    return "numba finds neither OpenMP nor TBB here to run its threads" if ran_by == "workqueue" else ""


_forked: list[bool] = []


def _in_child() -> None:
    _forked.append(True)


def forked() -> bool:
    """Return whether this process was forked from one that had started numba's threads: OpenMP would end it."""
    return bool(_forked)


@contextmanager
def numba_threads(count: int) -> Iterator[None]:
    """Let numba use ``count`` of its threads for as long as the block lasts, or all where it has fewer."""
    import numba

    numba_fault()
    before = numba.get_num_threads()
    numba.set_num_threads(min(count, numba.config.NUMBA_NUM_THREADS))  # type: ignore[attr-defined]
    try:
        yield
    finally:
        numba.set_num_threads(before)
