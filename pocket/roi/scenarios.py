"""Named sets of inputs on disk: saved, loaded and compared."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from pocket.roi.fields import SPECS
from pocket.roi.inputs import RoiInputs

MOST_LETTERS = 60
_SUFFIX = ".roi.json"


def file_of(folder: Path, name: str) -> Path:
    """Return the file of a scenario, inside ``folder`` whatever its name.

    Raises
    ------
    ValueError
        If the name is empty, longer than `MOST_LETTERS`, begins with a dot, or holds anything but letters of any
        script, digits, spaces and ``. _ -``.
    """
    if not re.fullmatch(rf"(?!\.)[\w .-]{{1,{MOST_LETTERS}}}", name) or name != name.strip():
        raise ValueError(
            f"{name!r} cannot name a scenario; allowed: 1 to {MOST_LETTERS} letters, digits, spaces and . _ -, "
            "not beginning with a dot or a space"
        )
    return folder / f"{name}{_SUFFIX}"


def save_scenario(folder: Path, name: str, inputs: RoiInputs) -> Path:
    """Write inputs under a name; one of the same name is replaced. Errors as for `file_of`."""
    return inputs.save(file_of(folder, name))


def load_scenario(folder: Path, name: str) -> RoiInputs:
    """Read the inputs saved under a name.

    Raises
    ------
    ArtefactError
        If there is no such scenario, or its file is damaged or of another version.
    ValueError
        As for `file_of`.
    """
    return RoiInputs.load(file_of(folder, name))


def scenario_names(folder: Path) -> list[str]:
    """Return the names of the scenarios in ``folder``, in order."""
    return sorted(path.name.removesuffix(_SUFFIX) for path in folder.glob(f"*{_SUFFIX}") if path.is_file())


def differences(scenarios: Mapping[str, RoiInputs]) -> dict[str, tuple[float, ...]]:
    """Return the base values of every input in which the scenarios differ, one value a scenario.

    Examples
    --------
    >>> differences({})
    {}
    """
    columns = {name: tuple(inputs.estimate(name).base for inputs in scenarios.values()) for name in SPECS}
    return {name: values for name, values in columns.items() if len(set(values)) > 1}
