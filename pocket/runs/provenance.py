"""Where a number comes from: versions, machine, device and commit, stored with every record."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pydantic import BaseModel, ConfigDict

_PACKAGES = (
    "torch",
    "torchvision",
    "faiss-gpu",
    "faiss-cpu",
    "numpy",
    "numba",
    "scikit-learn",
    "safetensors",
    "lancedb",
)


# Of the load for each core. Training by itself fills every core; a quarter more is somebody else's. Before anything of
# ours runs, half of the cores taken is enough to make the clock wrong.
BUSY, TAKEN = 1.25, 0.5


class Provenance(BaseModel):
    """What made an artefact. Times are UTC, ISO 8601."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    created: str
    pocket: str
    commit: str | None
    python: str
    platform: str
    cpu_count: int
    device: str
    packages: dict[str, str]


@cache
def installed(package: str) -> str | None:
    """Return the installed version of ``package`` without importing it, or None."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


@cache
def commit() -> str | None:
    """Return the git commit of the clone that the package runs from (``+`` marks local changes), or None."""
    folder = Path(__file__).resolve().parent.parent.parent
    if not (folder / ".git").exists():
        return None
    try:
        head = _git(folder, "rev-parse", "--short=12", "HEAD")
        return head + ("+" if _git(folder, "status", "--porcelain", "-uno", "--", "pocket") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def _git(folder: Path, *words: str) -> str:
    call = ["git", "-C", str(folder), *words]
    return subprocess.run(call, capture_output=True, text=True, encoding="utf-8", check=True, timeout=10).stdout.strip()


def provenance(device: str = "cpu") -> Provenance:
    """Describe this process; ``device`` is what the numbers were computed on."""
    return Provenance(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        pocket=installed("pocket") or "not installed",
        commit=commit(),
        python=platform.python_version(),
        platform=f"{platform.system()} {platform.machine()}",
        cpu_count=os.cpu_count() or 1,
        device=device,
        packages={name: found for name in _PACKAGES if (found := installed(name))},
    )


def cpu_load() -> float | None:
    """Return what wants the CPU, for each core, over the last minute; None where the system does not say (Windows)."""
    try:
        return os.getloadavg()[0] / (os.cpu_count() or 1)
    except (AttributeError, OSError):
        return None


def peak_mb(*, children: bool = False) -> float | None:
    """Return the peak resident memory of this process, or of its largest child so far, in MB; None where unknown."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_CHILDREN if children else resource.RUSAGE_SELF).ru_maxrss
    return round(peak * (1 if sys.platform == "darwin" else 1024) / 1e6, 1)  # bytes there, KiB elsewhere
