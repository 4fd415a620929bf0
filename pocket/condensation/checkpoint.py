"""State of a long condensation on disk: a killed process goes on from it to the same bits."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pocket.runs.artefacts import ArtefactError, load_tensors, save_tensors


class Checkpoint:
    """Keeps the synthetic images and the optimizer's moments; random draws depend on the step alone.

    Parameters
    ----------
    path : Path
        A safetensors file.
    identity : dict
        All that the result depends on; a file written for another identity is refused.
    resume : bool
        Continue from the file where there is one; else it is overwritten.
    every : float
        Seconds between two writes: what a kill can lose at most.
    """

    def __init__(self, path: Path, identity: dict[str, Any], *, resume: bool, every: float = 3.0) -> None:
        self.path, self._resume, self._every = path, resume, every
        self._identity = hashlib.sha256(json.dumps(identity, sort_keys=True, default=str).encode()).hexdigest()
        self._written = time.monotonic()
        self._write: Callable[[], None] | None = None
        if not resume:
            self._remove_beside()

    def restore(self, images: Tensor, optimizer: torch.optim.Optimizer) -> tuple[int, float]:
        """Fill ``images`` and the optimizer from disk; return the steps done and the seconds they took."""
        if not self._resume or not self.path.is_file():
            return 0, 0.0
        tensors, card = load_tensors(self.path)
        if card.get("identity") != self._identity:
            raise ArtefactError(
                f"{self.path} belongs to other images, settings or another seed; delete it, or take resume=False"
            )
        with torch.no_grad():
            images.copy_(torch.tensor(tensors.pop("images")))
        step = int(card["step"])
        state = {name: torch.tensor(array) for name, array in tensors.items()}
        optimizer.load_state_dict(
            {
                "state": {0: {"step": torch.tensor(float(step)), **state}},
                "param_groups": optimizer.state_dict()["param_groups"],
            }
        )
        return step, float(card["seconds"])

    def keep(self, step: int, images: Tensor, optimizer: torch.optim.Optimizer, seconds: float) -> None:
        """Note the state after a step; it is written when the last write is ``every`` seconds old."""
        moments = {k: v for k, v in optimizer.state[images].items() if k != "step"}
        # Copies: an interrupt may come in the middle of the next step, which changes these in place.
        tensors = {name: tensor.detach().clone() for name, tensor in {"images": images, **moments}.items()}

        def write() -> None:
            save_tensors(
                self.path,
                {name: tensor.cpu().numpy() for name, tensor in tensors.items()},
                {"identity": self._identity, "step": str(step), "seconds": repr(seconds)},
            )

        self._write = write
        if time.monotonic() - self._written >= self._every:
            self.flush()

    def flush(self) -> None:
        """Write the last noted state now."""
        if self._write:
            self._write()
            self._write, self._written = None, time.monotonic()

    def beside(self, what: str) -> Path:
        """Return a path beside the file for what else a resumed run would have to make again."""
        return self.path.with_name(f"{self.path.name}.{self._identity[:12]}.{what}")

    def remove(self) -> None:
        """Delete all of it: the work is done."""
        self.path.unlink(missing_ok=True)
        self._remove_beside()

    def _remove_beside(self) -> None:
        self.beside("teacher").unlink(missing_ok=True)
        shutil.rmtree(self.beside("pool"), ignore_errors=True)


def steps_done(path: Path) -> int:
    """Return the steps that a checkpoint holds; 0 where there is none."""
    return int(load_tensors(path)[1]["step"]) if path.is_file() else 0
