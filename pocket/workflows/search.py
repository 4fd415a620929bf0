"""`pocket search`: the nearest images of image files, under the models of a run."""

from __future__ import annotations

import itertools
import unicodedata
from collections.abc import Callable, Container, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pocket.data.decoding import UnreadableError, decode_image
from pocket.hashing import HashModel
from pocket.presentation.i18n import Translate, number, translator
from pocket.runs import Run, write_bytes
from pocket.runs.artefacts import ArtefactError
from pocket.runs.commands import command_of
from pocket.workflows.poc_images import images_of

MOST, _ON_SHEET = 100, 16  # images to find, and how many of them the sheet shows


def model_files(run: Run) -> dict[str, Path]:
    """Return the models that a run has kept, of its first seed: full data, IEM and random, those that are there."""
    files = {"full": f"full_{run.settings.seeds[0]}", "iem": "iem", "random": "random"}
    paths = {name: run.path("models", f"{file}.safetensors") for name, file in files.items()}
    return {name: path for name, path in paths.items() if path.is_file()}


def search_images(
    run: Run,
    paths: Sequence[Path],
    *,
    models: Sequence[str] = ("full", "iem"),
    k: int = 8,
    out: Path | None = None,
    device: str = "auto",
    lang: str = "en",
    say: Callable[[str], None] = print,
) -> tuple[Path, list[str]]:
    """Find the images of a run's database that are nearest to image files, and write a contact sheet.

    Parameters
    ----------
    run : Run
        Its models and image set are used.
    paths : sequence of Path
        Image files; read, never changed.
    models : sequence of str
        "full", "iem", "random": those that the run has kept.
    k : int
        Images to find, up to `MOST`; the sheet shows the first 16.
    out : Path, optional
        PNG file of the contact sheet, which must not exist yet. Default: in the run's folder ``search.png``, or
        ``search-2.png`` and so on where that is taken.
    device : str
    lang : {"en", "ja"}
        Of what is said.
    say : callable
        Takes each line of the table.

    Returns
    -------
    sheet : Path
    unreadable : list of str
        What could not be searched for, and why.

    Raises
    ------
    ArtefactError
        If the run has not kept a model that is asked for.
    ValueError
        If no file is a whole image, k is not in 1 ... 100, or ``out`` is no new PNG file.
    """
    from pocket.evaluation import ImageSearch
    from pocket.presentation.explorer import contact_sheet
    from pocket.presentation.html import png_bytes

    t = translator(lang)
    if not 1 <= k <= MOST:
        raise ValueError(t("search.no_k", k=k, most=MOST))
    if out is not None and (out.suffix.lower() != ".png" or out.exists()):
        raise ValueError(t("search.no_out", out=out))
    kept = model_files(run)
    models = [name.lower() for name in models]
    if missing := [name for name in models if name not in kept]:
        raise ArtefactError(no_model(run, missing, lang))
    troubles = [_trouble(path, t) for path in paths]
    unreadable = [trouble for trouble in troubles if trouble]
    if len(unreadable) == len(paths):
        raise ValueError(t("format.between").join(unreadable) or t("search.no_images"))
    split = images_of(run, lang, say)
    database = split.database
    images: dict[str, npt.NDArray[np.uint8]] = {}
    for path in (path for path, trouble in zip(paths, troubles, strict=True) if not trouble):
        try:
            images[_title(path, images)] = decode_image(path, database.size, database.channels, database.fit)
        except UnreadableError as error:
            unreadable.append(f"{path}: {t(error.key, **error.values)}")
    if not images:
        raise ValueError(t("format.between").join(unreadable))
    say(t("search.encoding", count=number(len(database)), name=database.name, models=", ".join(models)))
    searches = {name: ImageSearch(HashModel.load(kept[name]), database, device=device) for name in models}
    usual = {name: search.usual_distance(split.query) for name, search in searches.items()}
    colour = t("search.grey" if database.channels == 1 else "search.colour")
    brought = "search.brought" if database.fit == "crop" else "search.brought_padded"
    say(t(brought, size=database.size, colour=colour, bits=run.settings.bits))
    model, rank, distance, label = (t(f"search.{column}") for column in ("model", "rank", "distance", "class"))
    where = t("search.file" if database.files else "search.place")
    head = f"  {_wide(model, 8)}{_wide(rank, -5)}{_wide(distance, -10)}  {_wide(label, 20)} {where}"
    for title, image in images.items():
        say(f"\n{title}\n{head}")
        if (split.train.images == image).all(axis=(1, 2, 3)).any():
            say("  " + t("search.trained"))
        for name, search in searches.items():
            hits = search.nearest(image, k)
            for place, hit in enumerate(hits, start=1):
                say(f"  {name:8}{place:>5}{hit.distance:>10}  {_wide(hit.label, 20)} {hit.file or hit.place}")
            if hits[0].distance > usual[name]:
                say("  " + t("search.unsure", model=f"{name:8}", distance=usual[name]))
    sheet, _ = contact_sheet(searches, images, k=min(k, _ON_SHEET), lang=lang)
    if k > _ON_SHEET:
        say(t("search.first", count=_ON_SHEET))
    names = (f"search-{n}.png" if n > 1 else "search.png" for n in itertools.count(1))
    sheet_file = out or next(path for path in map(run.path, names) if not path.exists())
    try:
        return write_bytes(sheet_file, png_bytes(sheet, dpi=150)), unreadable
    except OSError as error:  # such as the run of somebody else, who lets one read it
        raise ValueError(t("search.unwritable", path=sheet_file, reason=error.strerror)) from None


def no_model(run: Run, missing: Sequence[str], lang: str) -> str:
    """Say which models a run has not kept, which it has, and what trains them."""
    t = translator(lang)
    kept = ", ".join(model_files(run)) or t("explain.none")
    return t("search.no_model", run=run.name, missing=", ".join(missing), kept=kept, command=command_of(run, lang))


def _trouble(path: Path, t: Translate) -> str:
    """Say why nothing can be read from a path; empty where something may."""
    try:
        return "" if path.is_file() else f"{path}: {t('search.is_folder' if path.is_dir() else 'search.no_file')}"
    except OSError as error:  # such as a name that is too long
        return f"{path}: {error.strerror}"


def _title(path: Path, taken: Container[str]) -> str:
    """Return the file's name, numbered where another file has it too."""
    names = (f"{path.name} ({n})" if n > 1 else path.name for n in itertools.count(1))
    return next(name for name in names if name not in taken)


def _wide(text: str, width: int) -> str:
    """Fill a text up to a width of columns, of which a Japanese character takes two; a negative one fills before it."""
    taken = sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)
    blank = " " * (abs(width) - taken)
    return text + blank if width > 0 else blank + text
