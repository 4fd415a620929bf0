"""Which committed notebooks hold compared cells and are quick enough to run again: what nbval is given.

Notebook 02 holds a compared cell too, but trains for minutes; `test_notebooks.py` compares its cell alone.
"""

from __future__ import annotations

import nbformat

from pocket.workflows.manifest import Notebook, notebooks

TAG = "nbval-check-output"
SLOW = ("02", "03")


def compared_cells(notebook: Notebook) -> list[nbformat.NotebookNode]:
    """Return the cells whose outputs are compared."""
    cells = nbformat.read(notebook.path, as_version=4).cells
    return [cell for cell in cells if TAG in cell.metadata.get("tags", [])]


def quick_notebooks() -> list[Notebook]:
    """Return the notebooks that nbval runs."""
    return [notebook for notebook in notebooks() if compared_cells(notebook) and notebook.number not in SLOW]


if __name__ == "__main__":
    print(*(notebook.path for notebook in quick_notebooks()))
