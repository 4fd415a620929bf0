"""Watching a condensation: loss and thumbnails while it runs, snapshots to look back at afterwards."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pocket.presentation.widgets import strip

if TYPE_CHECKING:
    from pocket.condensation import Step


@dataclass
class Watcher:
    """Pass it to ``pocket.condense(watch=...)``.

    Parameters
    ----------
    steps : int
        Steps of the condensation, for the time left.
    snapshots : int
        How many stages of the images to keep, evenly spread, first and last included.
    thumbnails : int
        Stored images to show; the first of each class.
    ipc : int
        Stored images per class.

    Attributes
    ----------
    kept : list of (int, ndarray)
        Step and images, uint8 of shape (thumbnails, C, H, W).
    losses : list of float
        The loss at every kept or shown step after the first.
    """

    steps: int
    snapshots: int = 6
    thumbnails: int = 10
    ipc: int = 1
    kept: list[tuple[int, npt.NDArray[np.uint8]]] = field(default_factory=list)
    losses: list[tuple[int, float]] = field(default_factory=list)
    _view: Any = None
    _shown: float = 0.0
    _started: float = 0.0
    _first: int = 0

    def __call__(self, step: Step) -> None:
        """Take a step: keep a snapshot where one is due, and redraw at most twice a second."""
        if not self._started:
            self._started, self._first = time.monotonic(), step.number
        marks = np.linspace(0, self.steps, self.snapshots).round().astype(int)
        due = step.number in marks
        live = os.environ.get("POCKET_BATCH") != "1" and time.monotonic() - self._shown > 0.5
        # Reading loss or images waits for the device, so most steps read neither.
        if not due and not live:
            return
        if step.number:
            self.losses.append((step.number, float(step.loss)))
        images = (step.images[:: self.ipc][: self.thumbnails] * 255).round().byte().cpu().numpy()
        if due:
            self.kept.append((step.number, images))
        if os.environ.get("POCKET_BATCH") != "1":
            self._draw(step.number, images)

    def _draw(self, number: int, images: npt.NDArray[np.uint8]) -> None:
        import ipywidgets as widgets
        from IPython.display import display

        if self._view is None:
            self._view = widgets.HTML()
            display(self._view)
        self._shown = time.monotonic()
        spent = self._shown - self._started
        done = number - self._first  # a resumed run begins later
        left = spent / done * (self.steps - number) if done else 0.0
        loss = f", loss {self.losses[-1][1]:.4g}" if self.losses else ""
        time_left = f", about {left:.0f} s left" if done else ""
        captions = [""] * len(images)
        self._view.value = f"<p>step {number} of {self.steps}{loss}{time_left}</p>" + strip(images, captions)
