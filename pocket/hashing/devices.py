"""Where and how numbers are computed: devices, precision, seeds and determinism; the kernels are in `fusion`."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pocket.runs.provenance import installed


def pick_device(device: str | torch.device = "auto") -> torch.device:
    """Return the device to compute on.

    Parameters
    ----------
    device : str
        ``"auto"`` (CUDA when there is one, else the CPU), ``"cpu"``, ``"cuda"`` or ``"cuda:N"``.

    Raises
    ------
    ValueError
        If CUDA is asked for by name and there is none: it is never replaced in silence. If the device is another one.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except RuntimeError:
        chosen = None
    if chosen is None or chosen.type not in ("cpu", "cuda"):
        raise ValueError(
            f"device={str(device)!r} is none that the kit computes on; take 'auto', 'cpu', 'cuda' or 'cuda:1'"
        )
    if chosen.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"device={device!r}, but torch sees no CUDA GPU here; take device='cpu' or device='auto'")
    return chosen


def generator(device: torch.device, *entropy: int) -> torch.Generator:
    """Return a generator on ``device`` that depends on all of ``entropy`` and on nothing else.

    A step's generator is made from (seed, stage, step): a resumed run draws the same numbers without
    any generator state on disk.
    """
    return torch.Generator(device).manual_seed(derive(*entropy))


class Pace:
    """Keeps the processor at most a step ahead of its device, so that a clock tells of work that is done.

    A GPU works off what is queued: waiting for all of it at every step would leave the GPU idle until the next step is
    queued, waiting for the step before leaves it one to do. A CPU does each step at once.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._before: torch.cuda.Event | None = None

    def step(self) -> None:
        """Call after each step is queued: returns once the step before it is done."""
        if self._device.type != "cuda":
            return
        if self._before is not None:
            self._before.synchronize()
        self._before = torch.cuda.current_stream(self._device).record_event()


def derive(*entropy: int) -> int:
    """Mix integers into one 63-bit seed."""
    return int(np.random.SeedSequence(list(entropy)).generate_state(1, np.uint64)[0] >> np.uint64(1))


@contextmanager
def precision(device: torch.device) -> Iterator[None]:
    """Compute networks in bfloat16 where that is faster, for as long as the block lasts; weights stay float32.

    On a GPU with bfloat16 units (Ampere and later), else in float32. The environment variable ``POCKET_PRECISION``
    chooses for every device: ``bf16`` or ``fp32``. On a CPU with AMX a ConvNet takes half the time in bfloat16 from
    24 x 24 pixels on (`kernels_cpu`), and for smaller images about as long as in float32; other processors were not
    measured, and some emulate it. So the CPU computes in float32 unless asked. torch's compiler took 70 s and gained
    nothing.

    Raises
    ------
    ValueError
        If ``POCKET_PRECISION`` says something else.
    """
    with torch.autocast(device.type, torch.bfloat16, enabled=_reduced(device)):
        yield


def _reduced(device: torch.device) -> bool:
    """Whether networks are computed in bfloat16."""
    chosen = os.environ.get("POCKET_PRECISION", "auto")
    if chosen not in ("auto", "bf16", "fp32"):
        raise ValueError(f"POCKET_PRECISION={chosen!r}: set it to bf16 or fp32, or leave it out")
    if chosen == "auto":  # torch calls bfloat16 supported, too, where it only emulates it
        return device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0)
    return chosen == "bf16"


@contextmanager
def deterministic() -> Iterator[None]:
    """Choose convolution algorithms that give the same bits every time, for as long as the block lasts."""
    before = torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False
    try:
        yield
    finally:
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = before


@cache
def warm_up() -> None:
    """Pay once, outside every timing, for what the first training of a process pays.

    torch's optimizers import its compiler on first use (seconds). And glibc hands large freed blocks back
    to the system, so that every tensor of a step is mapped and page-faulted in anew: keeping them halves
    the time of a CPU step (12.5 against 27 ms, ConvNet width 32, 100 images of 16 px, 2 cores).
    """
    torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # absent from other C libraries
        if mallopt is not None:
            trim_threshold, mmap_threshold = -1, -3  # M_TRIM_THRESHOLD, M_MMAP_THRESHOLD of malloc.h
            mallopt(trim_threshold, 1 << 30)
            mallopt(mmap_threshold, 1 << 30)


def to_float(images: npt.NDArray[np.uint8] | Tensor, device: torch.device | None = None) -> Tensor:
    """Return stored uint8 pixels as float32 in [0, 1], and floating-point ones as they are."""
    if not isinstance(images, Tensor):
        # torch wants to own writable memory; stored images are read-only on purpose.
        images = torch.tensor(images)
    images = images.to(device or images.device)
    return images if images.is_floating_point() else images.float().div_(255)


def surroundings(device: torch.device) -> dict[str, object]:
    """Return what the bits of a result depend on beside its settings: versions, device, and on a CPU the threads.

    Sums of a CPU are taken in as many parts as there are threads, so that their last digits follow them.
    """
    threads = torch.get_num_threads() if device.type == "cpu" else 0
    versions = {"torch": torch.__version__, "kit": installed("pocket")}
    return {**versions, "device": describe(device), "threads": threads}


def describe(device: torch.device) -> str:
    """Return ``"cpu"`` or the GPU's name, and the precision where it is reduced, for records."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
    return f"{name}, bf16" if _reduced(device) else name
