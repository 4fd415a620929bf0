"""The committed notebooks: structure, opening blocks, compared cells, no errors, agreement with the manifest."""

from __future__ import annotations

import io
from contextlib import redirect_stdout

import nbformat
import pytest
from compared_notebooks import TAG, compared_cells, quick_notebooks

from pocket.runs.paths import kit_dir
from pocket.workflows.manifest import Notebook, notebooks

ALL = pytest.mark.parametrize("notebook", notebooks(), ids=lambda n: n.number)


def cells(notebook: Notebook) -> list[nbformat.NotebookNode]:
    return nbformat.read(notebook.path, as_version=4).cells


def test_the_manifest_names_exactly_the_notebooks_that_are_there() -> None:
    assert [n.file for n in notebooks()] == sorted(p.name for p in kit_dir("notebooks").glob("*.ipynb"))


@ALL
def test_opening_block_and_parameters(notebook: Notebook) -> None:
    first, *rest = cells(notebook)
    assert first.source == notebook.opening()
    tagged = [cell for cell in rest if "parameters" in cell.metadata.get("tags", [])]
    assert len(tagged) == 1
    # Scalars only, nothing derived: papermill injects its values after this cell.
    names: dict[str, object] = {}
    exec(tagged[0].source, {}, names)
    assert all(isinstance(value, str | int | float) for value in names.values())
    assert {"RUN", "PROFILE"} <= set(names)


@ALL
def test_code_cells_are_short_and_ran_without_error(notebook: Notebook) -> None:
    code = [cell for cell in cells(notebook) if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in code), "committed notebooks carry the outputs of a real run"
    for cell in code:
        assert len([line for line in cell.source.splitlines() if line.strip()]) <= 20
        assert not [output for output in cell.outputs if output.output_type == "error"]
        assert "injected-parameters" not in cell.metadata.get("tags", [])


@ALL
def test_it_says_what_it_does_not_prove(notebook: Notebook) -> None:
    assert any("What this does not prove" in cell.source for cell in cells(notebook))


@ALL
def test_figures_have_alternative_text(notebook: Notebook) -> None:
    for cell in cells(notebook):
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}):
                assert len(output.metadata["image/png"]["alt"]) > 20


def test_the_comparison_is_not_empty() -> None:
    compared = {n.number: len(compared_cells(n)) for n in notebooks()}
    assert sum(compared.values()) >= 4
    assert {n.number for n in quick_notebooks()} >= {"01", "04", "05"}
    for notebook in notebooks():
        for cell in compared_cells(notebook):
            assert cell.outputs, f"{notebook.file}: a cell tagged {TAG} without output would pass whatever it prints"


def test_the_toy_of_notebook_02_prints_what_is_committed() -> None:
    (notebook,) = (n for n in notebooks() if n.number == "02")
    (cell,) = compared_cells(notebook)
    printed = io.StringIO()
    with redirect_stdout(printed):
        exec("import numpy as np\nimport pocket\n" + cell.source, {})
    assert printed.getvalue() == cell.outputs[0].text
