"""Widgets of the notebooks: choose something, see it. Each has a static twin in `pocket.presentation.figures`."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from io import BytesIO
from typing import Any

import ipywidgets as widgets
import numpy as np
import numpy.typing as npt
from PIL import Image

from pocket.presentation.html import escape


def picture(image: npt.NDArray[np.uint8], alt: str, size: int = 72) -> str:
    """Return one image, shape (C, H, W), as an ``<img>`` with its pixels enlarged to ``size`` and its text."""
    pixels = Image.fromarray(image[0] if len(image) == 1 else image.transpose(1, 2, 0))
    buffer = BytesIO()
    pixels.save(buffer, format="png")
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    return (
        f'<img src="data:image/png;base64,{data}" alt="{escape(alt)}" width="{size}" height="{size}" '
        'style="image-rendering:pixelated;margin:2px;border:1px solid #cbd2d9">'
    )


def strip(images: npt.NDArray[np.uint8], captions: Sequence[str], size: int = 72) -> str:
    """Return images side by side, each over its caption, which is its alternative text too."""
    cells = [
        f'<figure style="display:inline-block;margin:2px;text-align:center">{picture(image, caption, size)}'
        f'<figcaption style="font-size:11px;max-width:{size + 8}px">{escape(caption)}</figcaption></figure>'
        for image, caption in zip(images, captions, strict=True)
    ]
    return f"<div>{''.join(cells)}</div>"


def chooser(label: str, options: Sequence[tuple[str, Any]], render: Callable[[Any], str]) -> widgets.VBox:
    """Return a drop-down list and, below it, what ``render`` makes of the choice.

    Parameters
    ----------
    label : str
    options : sequence of (text, value)
    render : callable
        From the chosen value to safe HTML. Its exceptions reach the reader.
    """
    choice = widgets.Dropdown(
        options=list(options),
        description=label,
        style={"description_width": "initial"},
        layout=widgets.Layout(width="max-content", min_width="300px", max_width="100%"),  # no option is cut off
    )
    return _linked(choice, choice, render)


def slider(label: str, count: int, render: Callable[[int], str]) -> widgets.VBox:
    """Return a slider over 0 ... count - 1 with a number box beside it, and what ``render`` makes of the place.

    The handle of a stock slider has no accessible name; the number box does the same and has one.
    """
    handle = widgets.IntSlider(
        value=count - 1,
        min=0,
        max=count - 1,
        readout=False,
        continuous_update=True,
        layout=widgets.Layout(width="240px"),
    )
    box = widgets.BoundedIntText(
        value=count - 1, min=0, max=count - 1, description=label, style={"description_width": "initial"}
    )
    widgets.link((handle, "value"), (box, "value"))
    return _linked(widgets.HBox([box, handle]), box, render)


def _linked(shown: widgets.Widget, source: Any, render: Callable[[Any], str]) -> widgets.VBox:
    view = widgets.HTML(render(source.value))

    def follow(change: Any) -> None:
        view.value = render(change["new"])

    source.observe(follow, names="value")
    return widgets.VBox([shown, view])
