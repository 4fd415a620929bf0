"""The query explorer: an image, and what each model finds nearest to it, side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import ipywidgets as widgets
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from pocket.data import ImageSet
from pocket.data.decoding import decode_image
from pocket.evaluation import Hit, ImageSearch
from pocket.presentation.figures import image_rows
from pocket.presentation.html import escape
from pocket.presentation.i18n import translator
from pocket.presentation.widgets import strip

Pixels = npt.NDArray[np.uint8]
Searches = Mapping[str, ImageSearch]


def caption(hit: Hit) -> str:
    """Return what a found image is called: its class and its Hamming distance."""
    return f"{hit.label}, distance {hit.distance}"


def neighbours_html(searches: Searches, image: Pixels, title: str, *, k: int = 8, note: str = "") -> str:
    """Return an image and, for each model, a row of the images it finds nearest, as safe HTML.

    Parameters
    ----------
    searches : mapping of str to ImageSearch
        By the name of the model.
    image : ndarray of uint8, shape (C, H, W)
    title : str
        What the image is called.
    k : int
    note : str
        Said below the image.
    """
    parts = [strip(image[None], [title]), f"<p>{escape(note)}</p>" if note else ""]
    for name, search in searches.items():
        hits = search.nearest(image, k)
        found = search.database.images[[hit.place for hit in hits]]
        parts.append(f"<p><b>{escape(name)}</b></p>{strip(found, [caption(hit) for hit in hits])}")
    return "".join(parts)


def contact_sheet(
    searches: Searches,
    images: Mapping[str, Pixels],
    *,
    k: int = 8,
    labels: Mapping[str, str] | None = None,
    lang: str = "en",
) -> tuple[Figure, str]:
    """Draw each image with what each model finds nearest to it, a row a model: the explorer on paper.

    Where the class of an image is known, found images of other classes have a red frame and a cross.

    Parameters
    ----------
    searches : mapping of str to ImageSearch
    images : mapping of str to ndarray of uint8, shape (C, H, W)
        By what they are called.
    k : int
    labels : mapping of str to str, optional
        The class of each image.
    lang : {"en", "ja"}
        Of captions and alternative text.

    Returns
    -------
    figure : Figure
    alt : str
        Its alternative text: what is found, in words.
    """
    t, rows, captions, framed, told = translator(lang), {}, {}, {}, []
    between = "、" if lang == "ja" else ", "
    for title, image in images.items():
        for name, search in searches.items():
            hits = search.nearest(image, k)
            row = f"{title}\n{name}"
            rows[row] = np.stack([image, *search.database.images[[hit.place for hit in hits]]])
            wrong = [labels is not None and hit.label != labels[title] for hit in hits]
            framed[row] = [False, *wrong]
            captions[row] = [
                t("search.asked"),
                *(
                    f"{'× ' if no else ''}{hit.label}\n{t('search.sheet_distance', distance=hit.distance)}"
                    for hit, no in zip(hits, wrong, strict=True)
                ),
            ]
            told.append(
                t(
                    "search.sheet",
                    title=title,
                    model=name,
                    labels=between.join(hit.label for hit in hits),
                    missed=t("search.sheet_missed", wrong=sum(wrong), count=len(hits)) if labels else "",
                    first=hits[0].distance,
                    last=hits[-1].distance,
                )
            )
    return image_rows(rows, captions, framed), t("format.between").join(told)


def explorer(
    searches: Searches, query: ImageSet, options: Sequence[tuple[str, int]], note: Callable[[int], str], *, k: int = 8
) -> widgets.VBox:
    """Return a list of queries, a button to upload an image of one's own, and what each model finds nearest.

    The uploaded image stays in the notebook's kernel: it is decoded in memory, and neither kept nor sent anywhere.

    Parameters
    ----------
    searches : mapping of str to ImageSearch
    query : ImageSet
        The queries to choose from.
    options : sequence of (text, place)
        What the list shows, and which query it is.
    note : callable
        From a query's place to what is said below it.
    k : int
    """
    choice = widgets.Dropdown(options=list(options), description="query", style={"description_width": "initial"})
    upload = widgets.FileUpload(accept="image/*", multiple=False, description="or upload an image")
    upload.layout.width = "auto"
    view = widgets.HTML()

    def show_query(place: int) -> None:
        title = f"query {place}: {query.class_names[query.labels[place]]}"
        view.value = neighbours_html(searches, query.images[place], title, k=k, note=note(place))

    def show_upload(files: Sequence[Any]) -> None:
        if not files:
            return
        try:
            image = decode_image(bytes(files[0]["content"]), query.size, query.channels, query.fit)
        except ValueError as error:
            trouble = f"{files[0]['name']}: {error}; choose a PNG, JPEG or another image file"
            view.value = f'<p role="alert"><b>{escape(trouble)}</b></p>'
            return
        made = "cropped to its central square" if query.fit == "crop" else "padded to a square as a whole"
        note = f"your image, {made} and brought to {query.size} x {query.size} pixels"
        view.value = neighbours_html(searches, image, files[0]["name"], k=k, note=note)

    choice.observe(lambda change: show_query(change["new"]), names="value")
    upload.observe(lambda change: show_upload(change["new"]), names="value")
    show_query(choice.value)
    return widgets.VBox([widgets.HBox([choice, upload]), view])
