"""`pocket search`: the nearest images of image files, under the models of a run."""

from __future__ import annotations

import itertools
import shlex
import unicodedata
from collections.abc import Callable, Container, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pocket.data.decoding import decode_image
from pocket.hashing import HashModel
from pocket.presentation.i18n import number, translator
from pocket.runs import Run, write_bytes
from pocket.runs.artefacts import ArtefactError
from pocket.workflows.poc_images import images_of

MOST, _ON_SHEET = 100, 16  # images to find, and how many of them the sheet shows


def model_files(run: Run) -> dict[str, Path]:
    """Return the models that a run has kept, of its first seed: full data, IEM and random, those that are there."""
    files = {"full": f"full_{run.settings.seeds[0]}", "iem": "iem", "random": "random"}
    paths = {name: run.path("models", f"{file}.safetensors") for name, file in files.items()}
    return {name: path for name, path in paths.items() if path.is_file()}


def command_of(run: Run) -> str:
    """Return the command that makes a run, and goes on with it."""
    if run.path("check.json").is_file():
        return shlex.join(["pocket", "poc", run.settings.dataset, "--run", run.name])
    return f"pocket tour --run {run.name}"


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

    if not 1 <= k <= MOST:
        raise ValueError(f"k={k}: find 1 to {MOST} images")
    if out is not None and (out.suffix.lower() != ".png" or out.exists()):
        raise ValueError(f"--out {out}: name a new file that ends in .png; what exists is not written over")
    kept = model_files(run)
    models = [name.lower() for name in models]
    if missing := [name for name in models if name not in kept]:
        has = f"it has {', '.join(kept)}" if kept else "it has none"
        raise ArtefactError(
            f"run {run.name!r} has kept no model {', '.join(missing)}: {has}; {command_of(run)} trains them"
        )
    troubles = [_trouble(path) for path in paths]
    unreadable = [trouble for trouble in troubles if trouble]
    if len(unreadable) == len(paths):
        raise ValueError("; ".join(unreadable) or "name at least one image file")
    split = images_of(run, lang)
    database = split.database
    images: dict[str, npt.NDArray[np.uint8]] = {}
    for path in (path for path, trouble in zip(paths, troubles, strict=True) if not trouble):
        try:
            images[_title(path, images)] = decode_image(path, database.size, database.channels, database.fit)
        except ValueError as error:
            unreadable.append(f"{path}: {error}")
    if not images:
        raise ValueError("; ".join(unreadable))
    t = translator(lang)
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
    sheet, _ = contact_sheet(searches, images, k=min(k, _ON_SHEET))
    if k > _ON_SHEET:
        say(t("search.first", count=_ON_SHEET))
    names = (f"search-{n}.png" if n > 1 else "search.png" for n in itertools.count(1))
    free = (path for path in map(run.path, names) if not path.exists())
    return write_bytes(out or next(free), png_bytes(sheet, dpi=150)), unreadable


def _trouble(path: Path) -> str:
    """Say why nothing can be read from a path; empty where something may."""
    try:
        return "" if path.is_file() else f"{path}: {'this is a folder' if path.is_dir() else 'there is no such file'}"
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
