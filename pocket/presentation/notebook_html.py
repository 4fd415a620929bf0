"""An executed notebook as one HTML page that needs no network and no script."""

from __future__ import annotations

from pathlib import Path

import nbformat

from pocket.runs.artefacts import write_text

_WIDGET = "application/vnd.jupyter.widget-view+json"


def without_widgets(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Remove live widgets from outputs and metadata: outside Jupyter only their static twins can be seen."""
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if _WIDGET not in output.get("data", {})]
    return notebook


def write_html(executed: Path) -> Path:
    """Write ``NAME.html`` beside an executed ``NAME.ipynb``.

    Parameters
    ----------
    executed : Path

    Returns
    -------
    Path
        The page: pictures embedded, nothing fetched from elsewhere.
    """
    from nbconvert import HTMLExporter

    exporter = HTMLExporter(embed_images=True)
    exporter.require_js_url = exporter.mathjax_url = exporter.jquery_url = ""
    exporter.widget_renderer_url = exporter.mermaid_js_url = ""
    notebook = without_widgets(nbformat.read(executed, as_version=4))
    body, _ = exporter.from_notebook_node(notebook)
    return write_text(executed.with_suffix(".html"), body)
