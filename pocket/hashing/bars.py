"""How far a training or a condensing has come: a bar where somebody watches, a plain line now and then elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import Any, SupportsFloat, TextIO

from tqdm.auto import tqdm
from tqdm.notebook import tqdm_notebook

EVERY = 30.0  # seconds between plain lines, and before the first


def steps(
    numbers: Iterable[int], label: str, *, shown: bool, loss: Callable[[], SupportsFloat] | None = None, **options: Any
) -> Iterable[int]:
    """Return step numbers that tell how far they have come, on stderr.

    Parameters
    ----------
    numbers : iterable of int
    label : str
        What is being done.
    shown : bool
    loss : callable, optional
        Returns that of the last step, a scalar; it is asked whenever something is drawn, and not at every step, for on
        a GPU that waits for it.
    **options
        Further ones of tqdm, such as ``initial`` and ``total``.
    """
    if loss and shown:
        options["postfix"] = _Loss(loss)
    if not shown or sys.stderr.isatty() or issubclass(tqdm, tqdm_notebook):
        return tqdm(numbers, desc=label, disable=not shown, mininterval=1.0, **options)
    plain = "{desc}: {n_fmt}/{total_fmt}, {elapsed} < {remaining}{postfix}"
    lines: Any = _Lines(sys.stderr)
    # maxinterval: tqdm would draw oftener than mininterval says. miniters: it looks at the clock at every step.
    return tqdm(
        numbers, desc=label, file=lines, delay=EVERY, mininterval=EVERY, maxinterval=float("inf"), miniters=1,
        bar_format=plain, leave=False, **options,
    )  # fmt: skip


class _Loss:
    """What tqdm writes behind the time left: as it takes no text, it is asked for one at each drawing."""

    def __init__(self, of: Callable[[], SupportsFloat]) -> None:
        self._of = of

    def __str__(self) -> str:
        last = float(self._of())
        return f", loss {last:.3g}" if last else ""  # nothing before the first step


class _Lines:
    """A stream on which every drawing of a bar is a line of its own, as a log wants it."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, text: str) -> None:
        if line := text.strip():
            self.stream.write(f"{line}\n")

    def flush(self) -> None:
        self.stream.flush()
