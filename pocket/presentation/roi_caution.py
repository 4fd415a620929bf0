"""The caution beside an ROI report: the seconds that a training saves may be no more than noise."""

from __future__ import annotations

from typing import NamedTuple, Self

from pocket.presentation.brief_evidence import saving_noise
from pocket.roi import RoiInputs, alternatives
from pocket.runs import Run
from pocket.runs.records import Cell

_SECONDS = ("seconds_full", "seconds_condensed")


class MeasuredSaving(NamedTuple):
    """What a run measured of a training on all data and on the condensed set: the inputs, and the cells they are of."""

    inputs: RoiInputs
    full: list[Cell]
    condensed: list[Cell]

    @classmethod
    def of(cls, run: Run, ipc: int) -> Self:
        """Read them from a run; errors as for `pocket.roi.RoiInputs.from_run`."""
        full, condensed, _ = alternatives(run.folder, ipc or None)
        return cls(RoiInputs.from_run(run, ipc or None), full, condensed)

    def caution(self, inputs: RoiInputs, lang: str) -> str:
        """Say that the seconds saved are noise, where they are and ``inputs`` still hold them; else nothing."""
        held = all(inputs.estimate(name) == self.inputs.estimate(name) for name in _SECONDS)
        return saving_noise(self.full, self.condensed, lang) if held else ""
