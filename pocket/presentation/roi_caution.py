"""The caution beside an ROI report: measured seconds may be noise, or those of a busy machine."""

from __future__ import annotations

from typing import NamedTuple, Self

from pocket.presentation.brief_evidence import busy_text, fewer_steps, saving_noise
from pocket.presentation.i18n import sentences
from pocket.roi import RoiInputs, alternatives
from pocket.runs import Run
from pocket.runs.records import Cell

_SECONDS = ("seconds_full", "seconds_condensed")


class MeasuredSaving(NamedTuple):
    """What a run measured of a training on each set: the inputs, and the cells they are of."""

    inputs: RoiInputs
    full: list[Cell]
    condensed: list[Cell]
    random: list[Cell]

    @classmethod
    def of(cls, run: Run, ipc: int) -> Self:
        """Read them from a run; errors as for `pocket.roi.RoiInputs.from_run`."""
        return cls(RoiInputs.from_run(run, ipc or None), *alternatives(run.folder, ipc or None))

    def caution(self, inputs: RoiInputs, lang: str) -> str:
        """Say where the saving is from, and that it is noise or disturbed, while ``inputs`` still hold its seconds."""
        if any(inputs.estimate(name) != self.inputs.estimate(name) for name in _SECONDS):
            return ""
        told = (
            fewer_steps(self.inputs, self.full, self.condensed, lang),
            saving_noise(self.full, self.condensed, lang),
            busy_text([*self.full, *self.condensed, *self.random], lang),
        )
        return sentences(told, lang)
