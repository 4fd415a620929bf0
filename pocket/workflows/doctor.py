"""`pocket doctor`: what is here, what is missing and what to do about it."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from typing import ClassVar, Literal, NamedTuple

from pocket.presentation.i18n import Translate, translator
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


def examine(lang: str = "en") -> list[Finding]:
    """Look at Python, torch, the device, FAISS, the dashboard, memory, disk, data folder and browser.

    Parameters
    ----------
    lang : {"en", "ja"}
        Of the report.

    Returns
    -------
    list of Finding
        ``stop`` means that the tour cannot run, though the extra ``kit`` was installed for it.
    """
    t = translator(lang)
    return [_python(t), *_kit(t), _dashboard(t), _memory(t), _disk(t), _data(t), _browser(t)]


def _python(t: Translate) -> Finding:
    found = platform.python_version()
    if (3, 11) <= sys.version_info < (3, 14):
        return Finding("ok", "Python", found)
    return Finding("stop", "Python", found, t("doctor.python_todo"))


def _kit(t: Translate) -> list[Finding]:
    absent, kit = missing("kit"), t("doctor.kit")
    if {"torch", "torchvision", "faiss"} <= set(absent):
        return [Finding("warn", kit, t("doctor.light"), t("doctor.light_todo", command=command("kit")))]
    rest = set(absent) - {"torch", "torchvision", "faiss"}
    findings = [*_torch(t), *(() if absent else _kernels(t)), _faiss(t)]
    if rest:
        lacks = t("doctor.lacks", modules=", ".join(sorted(rest)))
        findings.append(Finding("stop", kit, lacks, t("doctor.lacks_todo", command=command("kit"))))
    return findings


def _dashboard(t: Translate) -> Finding:
    if absent := missing("dashboard"):
        found, todo = t("doctor.no_dashboard", modules=", ".join(absent)), command("dashboard")
        return Finding("ok", t("doctor.dashboard"), found, t("doctor.no_dashboard_todo", command=todo))
    return Finding("ok", t("doctor.dashboard"), f"Voila {installed('voila')}")


def _torch(t: Translate) -> list[Finding]:
    try:
        import torch
    except (ImportError, OSError) as error:
        advice = t("doctor.torch_todo", command=command("kit"))
        return [Finding("stop", "torch", t("doctor.broken", error=error), advice)]
    findings = [Finding("ok", "torch", torch.__version__)]
    try:
        import torchvision

        findings.append(Finding("ok", "torchvision", torchvision.__version__))
    except (ImportError, RuntimeError) as error:
        found = t("doctor.broken", error=error)
        findings.append(Finding("stop", "torchvision", found, t("doctor.torchvision_todo")))
    device = t("doctor.device")
    if torch.cuda.is_available():
        gigabytes = torch.cuda.get_device_properties(0).total_memory / 2**30
        findings.append(Finding("ok", device, f"{torch.cuda.get_device_name(0)}, {gigabytes:.0f} GiB"))
    else:
        found = t("doctor.no_gpu", cores=os.cpu_count())
        findings.append(Finding("warn", device, found, t("doctor.no_gpu_todo")))
    return findings


def _kernels(t: Translate) -> list[Finding]:
    try:
        import torch

        from pocket.hashing.fusion import fault
    except (ImportError, OSError):
        return []  # that torch is broken is said already
    gpu = torch.cuda.is_available()
    if why := fault("cuda" if gpu else "cpu"):
        if gpu:
            return [Finding("warn", "Triton", t("doctor.no_triton", why=why), t("doctor.no_triton_todo"))]
        return [Finding("warn", "numba", t("doctor.no_numba", why=why), t("doctor.no_numba_todo"))]
    if not gpu and hasattr(torch.cpu, "get_capabilities") and torch.cpu.get_capabilities().get("amx_bf16"):
        return [Finding("ok", "bfloat16", t("doctor.amx"))]  # torch 2.11 cannot tell
    return []


def _faiss(t: Translate) -> Finding:
    try:
        import faiss
    except ImportError as error:
        return Finding("stop", "FAISS", t("doctor.broken", error=error), t("doctor.faiss_todo"))
    both = [name for name in ("faiss-gpu", "faiss-cpu") if installed(name)]
    if len(both) == 2:
        found = t("doctor.twice", version=faiss.__version__, names=" & ".join(both))
        return Finding("warn", "FAISS", found, t("doctor.twice_todo", command=command("kit")))
    gpus = faiss.get_num_gpus() if hasattr(faiss, "get_num_gpus") else 0
    names = ", ".join(both) or t("doctor.no_wheel")
    return Finding("ok", "FAISS", t("doctor.faiss", version=faiss.__version__, names=names, gpus=gpus))


def _memory(t: Translate) -> Finding:
    import psutil

    free = psutil.virtual_memory().available / 2**30
    found = t("doctor.free", size=f"{free:.1f}")
    if free < 2.5:
        return Finding("warn", t("doctor.memory"), found, t("doctor.memory_todo"))
    return Finding("ok", t("doctor.memory"), found)


def _disk(t: Translate) -> Finding:
    there = next(folder for folder in (home(), *home().parents) if folder.exists())  # POCKET_HOME may be made later
    free = shutil.disk_usage(there).free / 2**30
    if free < 1:
        return Finding("warn", t("doctor.disk"), t("doctor.free", size=f"{free:.1f}"), t("doctor.disk_todo"))
    return Finding("ok", t("doctor.disk"), t("doctor.disk_free", size=f"{free:.0f}"))


def _data(t: Translate) -> Finding:
    folder, what = data_home(), t("doctor.data")
    if folder is None:
        return Finding("ok", what, t("doctor.no_data"), t("doctor.no_data_todo"))
    if not folder.is_dir():
        return Finding("warn", what, t("doctor.no_folder", folder=folder), t("doctor.no_folder_todo"))
    sets = sorted(path.name for path in folder.iterdir() if path.is_dir() and any(path.glob("train-*.parquet")))
    return Finding("ok", what, f"{folder}: {', '.join(sets) or t('doctor.no_sets')}")


def _browser(t: Translate) -> Finding:
    from pocket.presentation.pdf import find_browser

    return Finding("ok", "Chromium", find_browser() or t("doctor.no_browser"))
