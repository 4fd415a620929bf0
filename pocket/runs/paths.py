"""Where things are: the kit's own notebooks and data, and the folder that runs are written to."""

from __future__ import annotations

import os
import re
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent.parent
_RUN_NAME = re.compile(r"\w[\w.-]{0,63}")


def kit_dir(part: str) -> Path:
    """Return the kit's own folder ``notebooks`` or ``data``.

    In a clone it lies beside the package; in an installed wheel inside it.
    """
    for folder in (_PACKAGE.parent / part, _PACKAGE / "_kit" / part):
        if (folder / ("manifest.toml" if part == "notebooks" else "README.md")).is_file():
            return folder
    raise FileNotFoundError(f"pocket's own folder {part!r} is missing beside {_PACKAGE}; reinstall with: pip install .")


def home() -> Path:
    """Return the folder that holds ``runs/``.

    ``POCKET_HOME`` where it is set, else the nearest folder at or above the working directory that
    holds ``notebooks/manifest.toml`` (a clone), else the working directory itself.
    """
    if named := os.environ.get("POCKET_HOME"):
        return Path(named).expanduser().resolve()
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "notebooks" / "manifest.toml").is_file():
            return folder
    return here


def run_dir(name: str) -> Path:
    """Return the folder of the run ``name`` (it may not exist yet).

    Raises
    ------
    ValueError
        If the name could leave the runs folder or is not a plain word of up to 64 characters.
    """
    if not _RUN_NAME.fullmatch(name) or ".." in name:
        raise ValueError(
            f"run name {name!r} is not usable: take up to 64 letters, digits, '_', '-' or '.', "
            "starting with a letter or digit, for example --run autumn-poc"
        )
    return home() / "runs" / name


def data_home() -> Path | None:
    """Return the folder of image sets that ``POCKET_DATA`` names, or None where it is not set."""
    named = os.environ.get("POCKET_DATA")
    return Path(named).expanduser().resolve() if named else None


def cache_dir() -> Path:
    """Return the folder that downloads go to: ``POCKET_CACHE``, else ``~/.cache/pocket``."""
    return Path(os.environ.get("POCKET_CACHE", "~/.cache/pocket")).expanduser()
