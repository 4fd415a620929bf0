"""Small pieces of safe HTML: escaped text, tables with headers, figures with alternative text."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Sequence
from html import escape as _escape
from html import unescape
from io import BytesIO

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure


def escape(text: object) -> str:
    """Return ``text`` safe for HTML content and attributes."""
    return _escape(str(text), quote=True)


def visible(page: str) -> str:
    """Return what is read in a page: its text without tags, style and head."""
    body = page.partition("<body")[2] or page
    return unescape(re.sub(r"<[^>]*>", " ", re.sub(r'<span class="kept">([^<]*)</span>', r"\1", "<body" + body)))


def unbroken(page: str, pattern: str) -> str:
    """Return a page in whose body nothing that fits ``pattern`` breaks over two lines (style: ``.kept``).

    Only text is changed, no tag: in an attribute, ``>`` is written ``&gt;``.
    """
    head, body, rest = page.partition("<body")
    parts = re.split(r"(<[^>]*>)", body + rest)
    parts[::2] = [re.sub(pattern, r'<span class="kept">\g<0></span>', text) for text in parts[::2]]
    return head + "".join(parts)


def png_bytes(figure: Figure, dpi: int = 200) -> bytes:
    """Return a figure as a PNG file; ``dpi`` dots per inch, which the figure keeps, on white."""
    buffer = BytesIO()
    figure.set_dpi(dpi)
    figure.set_facecolor("white")
    # Figure.savefig gives the same bytes, but goes over every artist twice. Without the software tag the same figure
    # gives the same bytes under every version of matplotlib.
    FigureCanvasAgg(figure).print_png(buffer, metadata={"Software": None})
    return buffer.getvalue()


def png_uri(figure: Figure, dpi: int = 200) -> str:
    """Return a figure as a ``data:`` address of a PNG; ``dpi`` dots per inch."""
    return "data:image/png;base64," + base64.b64encode(png_bytes(figure, dpi)).decode("ascii")


def as_html(figure: Figure, alt: str) -> str:
    """Return a figure as an ``<img>`` that needs no other file.

    Raises
    ------
    ValueError
        If ``alt``, the text that stands for the picture, is empty.
    """
    if not alt.strip():
        raise ValueError("alt is empty; allowed: a sentence that says what the picture shows")
    return f'<img src="{png_uri(figure)}" alt="{escape(alt)}" style="max-width:100%;height:auto">'


_NOTEBOOK = (
    "<style>.pocket-cells{overflow-x:auto}"
    ".pocket-cells table{border-collapse:collapse;font-size:13px;line-height:1.5;font-variant-numeric:tabular-nums}"
    ".pocket-cells caption{text-align:left;padding:4px 10px;font-weight:600}"
    ".pocket-cells th,.pocket-cells td{padding:3px 10px;text-align:right;white-space:nowrap}"
    ".pocket-cells th:first-child{text-align:left}"
    ".pocket-cells thead th{white-space:normal;vertical-align:bottom;border-bottom:1px solid}"
    ".pocket-cells tbody th{font-weight:400}"
    ".pocket-cells.told :is(th,td):last-child{text-align:left;white-space:normal;min-width:18em}</style>"
)


def notebook_table(
    head: Sequence[object], rows: Iterable[Sequence[object]], caption: str, *, told: bool = False
) -> str:
    """Return a `table` of figures with a style of its own: widgets of notebooks give it none.

    A figure and its interval stay on one line without that style, too: JupyterLab leaves it out of what it doesn't
    trust, such as a notebook of another machine that is not run yet.

    Parameters
    ----------
    head, rows, caption
        As of `table`.
    told : bool
        The last column holds words, which break into lines.
    """
    whole = ([str(cell).replace(" ± ", "\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}") for cell in row] for row in rows)
    return f'{_NOTEBOOK}<div class="pocket-cells{" told" * told}">{table(head, whole, caption)}</div>'


def table(head: Sequence[object], rows: Iterable[Sequence[object]], caption: str) -> str:
    """Return an escaped table; the first cell of each row is its header."""
    heads = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in head)
    body = "".join(
        f'<tr><th scope="row">{escape(row[0])}</th>' + "".join(f"<td>{escape(c)}</td>" for c in row[1:]) + "</tr>"
        for row in rows
    )
    return (
        f'<table class="pocket"><caption>{escape(caption)}</caption>'
        f"<thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>"
    )
