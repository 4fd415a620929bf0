"""How far a training or a condensing has come: a bar where somebody watches, a plain line now and then elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import Any, SupportsFloat, TextIO

from tqdm.auto import tqdm
from tqdm.notebook import tqdm_notebook

EVERY = 30.0  # seconds between plain lines, and before the first


def steps(
    numbers: Iterable[int],
    label: str,
    *,
    shown: bool,
    loss: Callable[[], SupportsFloat] | None = None,
    used: Callable[[], float] | None = None,
    **options: Any,
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
    used : callable, optional
        Returns the share of a time budget that is used; it is asked after every step, and no step begins after all of
        it. What is shown as the number of steps, and as the time left, is what the steps so far let expect.
    **options
        Further ones of tqdm, such as ``initial`` and ``total``.
    """
    if loss and shown:
        options["postfix"] = _Loss(loss)
    if not shown or sys.stderr.isatty() or issubclass(tqdm, tqdm_notebook):
        bar = tqdm(numbers, desc=label, disable=not shown, mininterval=1.0, **options)
    else:
        plain = "{desc}: {n_fmt}/{total_fmt}, {elapsed} < {remaining}{postfix}"
        lines: Any = _Lines(sys.stderr)
        # maxinterval: tqdm would draw oftener than mininterval says. miniters: it looks at the clock at every step.
        bar = tqdm(
            numbers, desc=label, file=lines, delay=EVERY, mininterval=EVERY, maxinterval=float("inf"), miniters=1,
            bar_format=plain, leave=False, **options,
        )  # fmt: skip
    return _until_used_up(bar, used) if used else bar


def _until_used_up(bar: Any, used: Callable[[], float]) -> Iterable[int]:
    """Go through the steps of a bar as far as a budget reaches, and let it show that as its end."""
    most, done, share = bar.total, bar.n, used()
    with bar:
        for number in bar.iterable:
            if share >= 1:
                break
            yield number
            done += 1
            if share := used():
                bar.total = min(most, max(done, round(done / share)))
                if isinstance(bar, tqdm_notebook) and not bar.disable:
                    bar.container.children[1].max = bar.total  # its bar is a widget, which has an end of its own
            bar.update()


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
