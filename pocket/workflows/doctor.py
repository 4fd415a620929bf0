"""`pocket doctor`: what is here, what is missing and what to do about it."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from typing import ClassVar, Literal, NamedTuple

from pocket.runs.extras import command, missing
from pocket.runs.paths import data_home, home
from pocket.runs.provenance import installed
from pocket.runs.records import Cells


class Finding(NamedTuple):
    """One line of the report."""

    level: Literal["ok", "warn", "stop"]
    what: str
    found: str
    advice: str = ""

    def __str__(self) -> str:
        line = f"[{self.level}]".ljust(7) + f"{self.what}: {self.found}"
        return line + (f"\n       -> {self.advice}" if self.advice else "")


class EnvironmentRecord(Cells):
    """``environment.json`` (notebook 00): what the doctor found, and the cells of the one-minute result."""

    kind: ClassVar[str] = "environment"
    findings: tuple[tuple[str, str, str, str], ...]


def examine() -> list[Finding]:
    """Look at Python, torch, the device, FAISS, the dashboard, memory, disk, data folder and browser.

    Returns
    -------
    list of Finding
        ``stop`` means that the tour cannot run, though the extra ``kit`` was installed for it.
    """
    return [_python(), *_kit(), _dashboard(), _memory(), _disk(), _data(), _browser()]


def _python() -> Finding:
    found = platform.python_version()
    if (3, 11) <= sys.version_info < (3, 14):
        return Finding("ok", "Python", found)
    return Finding("stop", "Python", found, "pocket runs on Python 3.11 to 3.13: make an environment with one of them")


def _kit() -> list[Finding]:
    absent = missing("kit")
    if {"torch", "torchvision", "faiss"} <= set(absent):
        advice = f"to condense, to train and to run the tour: {command('kit')}"
        return [Finding("warn", "kit", "light install without torch: ROI, brief, workbook, dashboard only", advice)]
    findings = [*_torch(), _faiss()]
    if rest := set(absent) - {"torch", "torchvision", "faiss"}:
        findings.append(Finding("stop", "kit", f"lacks {', '.join(sorted(rest))}", f"{command('kit')} brings it"))
    return findings


def _dashboard() -> Finding:
    if absent := missing("dashboard"):
        found = f"not installed ({', '.join(absent)} missing)"
        return Finding("ok", "dashboard", found, f"to open the ROI panel as a page: {command('dashboard')}")
    return Finding("ok", "dashboard", f"Voila {installed('voila')}")


def _torch() -> list[Finding]:
    try:
        import torch
    except (ImportError, OSError) as error:
        return [Finding("stop", "torch", f"cannot be imported ({error})", f"install the kit: {command('kit')}")]
    findings = [Finding("ok", "torch", torch.__version__)]
    try:
        import torchvision

        findings.append(Finding("ok", "torchvision", torchvision.__version__))
    except (ImportError, RuntimeError) as error:
        advice = "torch and torchvision must be of one release: pip install -c constraints.txt torch torchvision"
        findings.append(Finding("stop", "torchvision", f"cannot be imported ({error})", advice))
    if torch.cuda.is_available():
        gigabytes = torch.cuda.get_device_properties(0).total_memory / 2**30
        findings.append(Finding("ok", "device", f"{torch.cuda.get_device_name(0)}, {gigabytes:.0f} GiB"))
    else:
        advice = "the mini tour is made for this; the paper profile wants a GPU"
        findings.append(Finding("warn", "device", f"no CUDA GPU; {os.cpu_count()} CPU cores are used", advice))
    return findings


def _faiss() -> Finding:
    try:
        import faiss
    except ImportError as error:
        advice = "install exactly one of faiss-gpu (Linux x86-64) and faiss-cpu"
        return Finding("stop", "FAISS", f"cannot be imported ({error})", advice)
    both = [name for name in ("faiss-gpu", "faiss-cpu") if installed(name)]
    if len(both) == 2:
        advice = f"both give the module faiss: pip uninstall both, then {command('kit')}"
        return Finding("warn", "FAISS", f"{faiss.__version__}, twice: {' and '.join(both)}", advice)
    gpus = faiss.get_num_gpus() if hasattr(faiss, "get_num_gpus") else 0
    return Finding("ok", "FAISS", f"{faiss.__version__} ({', '.join(both) or 'not from a wheel'}), {gpus} GPUs")


def _memory() -> Finding:
    import psutil

    free = psutil.virtual_memory().available / 2**30
    if free < 2.5:
        return Finding("warn", "memory", f"{free:.1f} GiB free", "the mini tour needs 2.5 GB: close other programs")
    return Finding("ok", "memory", f"{free:.1f} GiB free")


def _disk() -> Finding:
    there = next(folder for folder in (home(), *home().parents) if folder.exists())  # POCKET_HOME may be made later
    free = shutil.disk_usage(there).free / 2**30
    if free < 1:
        return Finding("warn", "disk", f"{free:.1f} GiB free", "a run writes up to 1 GB: make room")
    return Finding("ok", "disk", f"{free:.0f} GiB free where runs are written")


def _data() -> Finding:
    folder = data_home()
    if folder is None:
        advice = "digits needs none; to use image sets of your own, set POCKET_DATA to the folder that holds them"
        return Finding("ok", "data folder", "POCKET_DATA is not set", advice)
    if not folder.is_dir():
        return Finding("warn", "data folder", f"POCKET_DATA names {folder}, which is no folder", "correct or unset it")
    sets = sorted(path.name for path in folder.iterdir() if path.is_dir() and any(path.glob("train-*.parquet")))
    return Finding("ok", "data folder", f"{folder}: {', '.join(sets) or 'no image Parquet in it'}")


def _browser() -> Finding:
    from pocket.presentation.pdf import find_browser

    if found := find_browser():
        return Finding("ok", "Chromium", found)
    return Finding("ok", "Chromium", "not found; only PDFs of the brief and the browser tests need it")
