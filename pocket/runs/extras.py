"""What the light install leaves out, and the sentence that says how to bring it."""

from __future__ import annotations

from importlib.util import find_spec

_KIT = (
    "torch",
    "torchvision",
    "faiss",
    "scipy",
    "sklearn",
    "numba",
    "pyarrow",
    "jupyterlab",
    "papermill",
    "nbformat",
    "nbclient",
    "nbconvert",
    "tqdm",
)
# The modules that an extra of pyproject.toml brings; `test_package` holds the two against each other.
EXTRAS: dict[str, tuple[str, ...]] = {
    "kit": _KIT,
    "dashboard": ("voila", "ipykernel"),
    "store": ("lancedb",),
}
_WANTED_FOR = {
    "kit": "condensing, training, searching and the notebooks need",
    "dashboard": "pocket dashboard needs",
    "store": "codes on disk need",
}


def explain(module: str | None) -> str | None:
    """Return what to do about a module that cannot be imported, or None where no extra of pocket brings it.

    Parameters
    ----------
    module : str or None
        ``ModuleNotFoundError.name``: a dotted name.
    """
    root = (module or "").partition(".")[0]
    for extra, modules in EXTRAS.items():
        if root in modules:
            clone = f'pip install -c constraints.txt ".[{extra}]"'
            return f"{root} is not installed, and {_WANTED_FOR[extra]} it: {command(extra)} (in a clone: {clone})"
    return None


def command(extra: str) -> str:
    """Return the command that adds an extra to an installed pocket."""
    return f'pip install "pocket[{extra}]"'


def missing(extra: str) -> list[str]:
    """Return the modules of an extra that are not installed, without importing any."""
    return [module for module in EXTRAS[extra] if find_spec(module) is None]


def need(*modules: str) -> None:
    """Stop before any work is done where one of an extra's modules is not installed.

    Raises
    ------
    ModuleNotFoundError
        With the command that brings it.
    """
    for module in modules:
        if find_spec(module) is None:
            raise ModuleNotFoundError(explain(module) or f"{module} is not installed", name=module)
