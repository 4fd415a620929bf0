"""Names of files and classes: shown safely, normalised as labels, compared for looking alike."""

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence

# What other programs leave behind. Whatever begins with a dot is ignored, too.
_DROPPINGS = {
    "__macosx",
    "thumbs.db",
    "ehthumbs.db",
    "desktop.ini",
    "$recycle.bin",
    "system volume information",
    "@eadir",
}


def is_dropping(name: str) -> bool:
    """Return whether a file or folder is one that programs, not people, leave behind."""
    return name.startswith(".") or name.lower() in _DROPPINGS


def shown(path: str | os.PathLike[str]) -> str:
    """Return a path as text that can be written down: with ``/``, bytes that are no UTF-8 as ``\\x83``."""
    text = os.fspath(path).replace(os.sep, "/")
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def label_of(name: str) -> tuple[str, str]:
    """Return the label that a folder's name means, and ``"cp932"`` where its bytes are Shift-JIS, else ``""``.

    An archive made on Japanese Windows and unpacked elsewhere leaves such bytes. The folder keeps its name.
    """
    raw = os.fsencode(name)
    try:
        return unicodedata.normalize("NFC", raw.decode("utf-8")), ""
    except UnicodeDecodeError:
        pass
    try:
        return unicodedata.normalize("NFC", raw.decode("cp932")), "cp932"
    except UnicodeDecodeError:
        return shown(name), ""


def misread(name: str) -> str | None:
    """Return what a name was before Shift-JIS bytes were read as code page 437, as unzip programs do; else None."""
    if name.isascii():
        return None
    try:
        text = name.encode("cp437").decode("cp932")
    except UnicodeError:
        return None
    japanese = sum(c.isalpha() and unicodedata.name(c, "").startswith(("HIRAGANA", "KATAKANA", "CJK")) for c in text)
    return text if japanese and not any(unicodedata.category(c) == "Cc" for c in text) else None


def alike(class_names: Sequence[str]) -> list[tuple[str, ...]]:
    """Return the sets of class names that a person would take for one.

    They differ only in case, in full and half width (NFKC), or in blanks, ``_`` and ``-``; or one is the other with
    its Shift-JIS bytes misread.
    """
    by_look: dict[str, list[str]] = {}
    for name in class_names:
        by_look.setdefault(_look(misread(name) or name), []).append(name)
    return [tuple(names) for names in by_look.values() if len(names) > 1]


def _look(name: str) -> str:
    return re.sub(r"[\s_\-]+", " ", unicodedata.normalize("NFKC", name)).strip().casefold()


def many_labels(cells: Iterable[str]) -> list[str]:
    """Return the cells that hold several labels, separated by ``;``, ``|`` or ``,``.

    Such parts come back: alone, or in another combination. One odd class name such as ``"scratch; deep"`` is left
    alone, and a comma, which names have too (``"crane, bird"``), counts only where every part comes back.
    """
    distinct = set(cells)
    parts = {cell: {part.strip() for part in re.split(r"[;|,]", cell) if part.strip()} for cell in distinct}
    combined = [cell for cell in distinct if len(parts[cell]) > 1]
    seen = Counter(part for cell in combined for part in parts[cell])
    known = {cell.strip() for cell in distinct if len(parts[cell]) == 1} | {part for part, n in seen.items() if n > 1}
    return sorted(c for c in combined if (parts[c] & known if re.search("[;|]", c) else parts[c] <= known))
