"""State of long work on disk, a condensation or a training: a killed process goes on from it to the same bits."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from pocket.runs.artefacts import ArtefactError, load_tensors, save_tensors

_FORMAT = 2  # of the file: one of an earlier kit is refused like one of another task
_SHARE = 0.1  # of the time, at most, goes into writing where a state is large


class Checkpoint:
    """Keeps tensors and the optimizer's state; random draws depend on the step alone.

    Parameters
    ----------
    path : Path
        A safetensors file.
    identity : dict
        All that the result depends on; a file written for another identity is refused.
    resume : bool
        Continue from the file where there is one; else it is overwritten.
    every : float
        Seconds between two writes: what a kill can lose at most, where a write takes less than a tenth of it.
    """

    def __init__(self, path: Path, identity: dict[str, Any], *, resume: bool = True, every: float = 3.0) -> None:
        self.path, self._resume, self._every = path, resume, every
        self._identity = _digest(identity)
        self._written = time.monotonic()
        self._write: Callable[[], None] | None = None
        if not resume:
            self.remove()

    @classmethod
    def within(cls, folder: Path, identity: dict[str, Any]) -> Self:
        """Return the one of a task in a folder: its file is named by the identity, so that no other is ever met."""
        return cls(folder / f"{_digest(identity)[:16]}.safetensors", identity)

    def restore(self, tensors: Mapping[str, Tensor], optimizer: torch.optim.Optimizer) -> tuple[int, float]:
        """Fill ``tensors`` and the optimizer from disk; return the steps done and the seconds they took."""
        if not self._resume or not self.path.is_file():
            return 0, 0.0
        stored, card = load_tensors(self.path)
        if card.get("identity") != self._identity:
            raise ArtefactError(
                f"{self.path} belongs to other images, settings or another seed, or was written in other threads or by "
                "another version, whose bits differ; delete it, or take resume=False"
            )
        state: dict[int, dict[str, Tensor]] = {}
        with torch.no_grad():
            for name, array in stored.items():
                kind, rest = name.split(".", 1)
                if kind == "tensor":
                    tensors[rest].copy_(torch.tensor(array))
                else:
                    number, key = rest.split(".", 1)
                    state.setdefault(int(number), {})[key] = torch.tensor(array)
        optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
        return int(card["step"]), float(card["seconds"])

    @property
    def due(self) -> bool:
        """Whether the last write is so old that it is time for another."""
        return time.monotonic() - self._written >= self._every

    def keep(self, step: int, tensors: Mapping[str, Tensor], optimizer: torch.optim.Optimizer, seconds: float) -> None:
        """Note the state after a step; it is written where that is `due`, or by `flush`."""
        known = {f"tensor.{name}": tensor for name, tensor in tensors.items()}
        for number, of in optimizer.state_dict()["state"].items():
            known |= {f"optimizer.{number}.{key}": value for key, value in of.items() if isinstance(value, Tensor)}
        # Copies: an interrupt may come in the middle of the next step, which changes these in place.
        copies = {name: tensor.detach().clone() for name, tensor in known.items()}

        def write() -> None:
            save_tensors(
                self.path,
                {name: tensor.cpu().numpy() for name, tensor in copies.items()},
                {"identity": self._identity, "step": str(step), "seconds": repr(seconds)},
            )

        self._write = write
        if self.due:
            self.flush()

    def flush(self) -> None:
        """Write the last noted state now."""
        if self._write:
            started = time.monotonic()
            self._write()
            self._write, self._written = None, time.monotonic()
            self._every = max(self._every, (self._written - started) / _SHARE)

    def beside(self, what: str) -> Path:
        """Return a path beside the file for what else a resumed run would have to make again."""
        return self.path.with_name(f"{self.path.name}.{self._identity[:12]}.{what}")

    def remove(self) -> None:
        """Delete all of it: the work is done."""
        self.path.unlink(missing_ok=True)
        self._remove_beside()

    def _remove_beside(self) -> None:
        self.beside("teacher").unlink(missing_ok=True)
        for folder in ("training", "pool"):
            shutil.rmtree(self.beside(folder), ignore_errors=True)


def _digest(identity: dict[str, Any]) -> str:
    named = json.dumps({"format": _FORMAT, **identity}, sort_keys=True, default=str)
    return hashlib.sha256(named.encode()).hexdigest()


def steps_done(path: Path) -> int:
    """Return the steps that a checkpoint holds; 0 where there is none."""
    return int(load_tensors(path)[1]["step"]) if path.is_file() else 0
