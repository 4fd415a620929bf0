"""numba's threads, started without a change to torch's."""

from __future__ import annotations

import sys
from functools import cache


@cache
def start_numba() -> str:
    """Start numba's threads, and return the name of what runs them: ``"omp"``, ``"tbb"`` or ``"workqueue"``.

    Where both libraries share OpenMP, torch would then take as many threads, too, and what is trained next would have
    other bits: torch's number is put back. torch is not imported for it.

    Raises
    ------
    ImportError
        If numba is missing.
    """
    import numba

    torch = sys.modules.get("torch")
    threads = torch.get_num_threads() if torch else 0
    numba.get_num_threads()
    if torch:
        torch.set_num_threads(threads)
    return numba.threading_layer()  # type: ignore[attr-defined]
