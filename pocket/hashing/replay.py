"""CUDA graphs: the kernels of a step are recorded once and then sent to the GPU all together.

Small networks keep a GPU waiting for Python, which sends it some hundred kernels a step, one by one. ConvNet of width
128 on an NVIDIA H200, ms a step one by one / replayed: training on 128 images of 32 px 7.9 / 1.5, IEM of 100 images in
2 x 2 tiles 18.0 / 4.3; the bits are the same.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

_EAGER = 3  # steps before recording: libraries choose their algorithms, and Triton compiles, in the first


class Replay:
    """Computes a loss and its gradients; on a GPU the steps after the first few are replays of one recording.

    Parameters
    ----------
    compute : callable
        From tensors, or tuples of tensors and None, to the loss, a scalar. All else that changes from step to step,
        weights and images, must be changed in place. No wait for the GPU and no random draws in it.
    learned : iterable of Tensor
        What gradients are wanted of: in ``grad`` after each call.
    device : torch.device
    on : bool
        False: every step is computed as it comes, as on a CPU, and as wherever the environment variable
        ``POCKET_GRAPHS`` is ``off``.
    """

    def __init__(
        self, compute: Callable[..., Tensor], learned: Iterable[Tensor], device: torch.device, *, on: bool = True
    ) -> None:
        self._compute, self._learned = compute, list(learned)
        self._on, self._device = on and device.type == "cuda" and wanted(), device
        self._steps = 0
        self._graph: torch.cuda.CUDAGraph | None = None
        self._inputs: Any = None
        self._loss: Tensor | None = None

    def __call__(self, *inputs: Any) -> Tensor:
        """Return the loss of these inputs, detached; gradients are set, not added to."""
        if not self._on:
            return self._now(inputs)
        with torch.cuda.device(self._device):
            return self._next(inputs)

    def _next(self, inputs: Any) -> Tensor:
        self._steps += 1
        if self._steps <= _EAGER:
            return self._aside(inputs)
        if self._graph is None:
            self._record(inputs)
        _fill(self._inputs, inputs)
        assert self._graph is not None
        assert self._loss is not None
        self._graph.replay()
        return self._loss.clone()  # the next replay overwrites it

    def _now(self, inputs: Any) -> Tensor:
        for tensor in self._learned:
            tensor.grad = None
        loss = self._compute(*inputs)
        loss.backward()
        return loss.detach()

    def _aside(self, inputs: Any) -> Tensor:
        """Compute on a stream of its own, as recording does: gradients remember the stream that they came on."""
        here, aside = torch.cuda.current_stream(), torch.cuda.Stream()
        aside.wait_stream(here)
        with torch.cuda.stream(aside):
            loss = self._now(inputs)
        here.wait_stream(aside)
        return loss

    def _record(self, inputs: Any) -> None:
        self._inputs = _copies(inputs)
        for tensor in self._learned:
            tensor.grad = None
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph, stream=torch.cuda.Stream()):
            loss = self._compute(*self._inputs)
            loss.backward()
        self._loss = loss.detach()


def wanted() -> bool:
    """Return whether the environment variable ``POCKET_GRAPHS`` leaves graphs on.

    Raises
    ------
    ValueError
        If it says something else than ``on`` or ``off``.
    """
    chosen = os.environ.get("POCKET_GRAPHS", "on")
    if chosen not in ("on", "off"):
        raise ValueError(f"POCKET_GRAPHS={chosen!r}: set it to on or off, or leave it out")
    return chosen == "on"


def _copies(given: Any) -> Any:
    if isinstance(given, Tensor):
        return given.clone()
    if given is None:
        return None
    parts = [_copies(part) for part in given]
    return type(given)(*parts) if hasattr(given, "_fields") else tuple(parts)


def _fill(mine: Any, given: Any) -> None:
    if isinstance(mine, Tensor):
        mine.copy_(given)
    elif mine is not None:
        for part, new in zip(mine, given, strict=True):
            _fill(part, new)
