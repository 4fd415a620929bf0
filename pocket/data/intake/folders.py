"""A folder with one sub-folder per class: which of its files are images, and what is said of the others."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from pocket.data.intake.findings import Findings
from pocket.data.intake.listing import ENDINGS, Listing, labelled, open_paths
from pocket.data.intake.names import is_dropping, label_of, shown

GROUPS_FILE = "groups.csv"

_ARCHIVES = {".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".7z", ".rar", ".lzh", ".cab"}

# Images that the kit does not read: formats that are rarely tested, or that take a program of their own.
_UNSUPPORTED = {
    *(".heic", ".heif", ".avif", ".jxl", ".jp2", ".j2k", ".jpx", ".psd", ".ai", ".eps", ".svg", ".pdf", ".ico", ".tga"),
    *(".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".raf", ".raw", ".dcm", ".exr", ".hdr", ".mp4", ".mov"),
}

_MAGIC = (b"\x89PNG\r\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a", b"II*\0", b"MM\0*")


class _File(NamedTuple):
    path: Path
    size: int
    time: int


def list_folder(folder: Path, findings: Findings) -> Listing:
    """List the images of a folder with one sub-folder per class; folders below it belong to the class.

    Links are followed as long as they stay inside the folder.

    Raises
    ------
    IntakeError
        If the folder cannot be read.
    """
    walk = _Walk(folder, findings)
    texts: list[str] = []
    files: list[_File] = []
    by_label: dict[str, list[str]] = {}
    for entry in walk.entries(folder):
        name = walk.name(entry)
        if walk.refused(entry):
            continue
        if not _is_dir(entry):
            if entry.name != GROUPS_FILE:
                _say_of_file(entry, name, findings, images="loose")
            continue
        label, encoding = label_of(entry.name)
        found = list(walk.images(Path(entry.path)))
        if not found:
            findings.add("empty_class", f"{name}/")
            continue
        if encoding:
            findings.add("decoded_name", f"{name}/", label)
        elif label != entry.name and not encoding:
            findings.add("normalised", f"{name}/", label)
        by_label.setdefault(label, []).append(name)
        files += found
        texts += [label] * len(found)
    for label, folders in by_label.items():
        if len(folders) > 1:
            findings.add("joined", label, " + ".join(f"{name}/" for name in folders))
    labels, class_names = labelled(texts)
    return Listing(
        root=folder,
        name=shown(folder.resolve().name),
        names=tuple(shown(file.path.relative_to(folder)) for file in files),
        labels=labels,
        class_names=class_names,
        groups=("",) * len(files),
        sides=(),
        stamps=tuple(f"{file.size} {file.time}" for file in files),
        open=open_paths([file.path for file in files]),
    )


class _Walk:
    """A walk that stays inside its folder and goes round no loop."""

    def __init__(self, root: Path, findings: Findings) -> None:
        self.root, self.inside, self.findings = root, root.resolve(), findings

    def name(self, entry: os.DirEntry[str]) -> str:
        return shown(Path(entry.path).relative_to(self.root))

    def entries(self, folder: Path) -> list[os.DirEntry[str]]:
        """Return what lies in a folder, by name."""
        try:
            with os.scandir(folder) as found:
                return sorted(found, key=lambda entry: entry.name)
        except PermissionError:
            if folder == self.root:
                message = f"{folder} cannot be read: ask its owner for the right to read it"
                raise self.findings.stop("no_permission", message, shown(folder)) from None
            self.findings.add("locked", shown(folder.relative_to(self.root)) + "/")
        except OSError as error:
            self.findings.add("locked", shown(folder.relative_to(self.root)) + "/", error.strerror or str(error))
        return []

    def refused(self, entry: os.DirEntry[str]) -> bool:
        """Return whether an entry is none of ours: left behind by programs, or a link that leads nowhere or outside."""
        name = self.name(entry)
        if is_dropping(entry.name):
            self.findings.add("ignored", name + ("/" if _is_dir(entry) else ""))
            return True
        if not entry.is_symlink():
            return False
        try:
            target = Path(entry.path).resolve(strict=True)
        except (OSError, RuntimeError):  # RuntimeError: a link to itself, before Python 3.13
            self.findings.add("broken_link", name, shown(Path(entry.path).readlink()))
            return True
        if not target.is_relative_to(self.inside):
            self.findings.add("outside", name, shown(Path(entry.path).readlink()))
            return True
        if target.is_dir() and Path(entry.path).parent.resolve().is_relative_to(target):
            self.findings.add("broken_link", name, shown(Path(entry.path).readlink()))  # it holds itself
            return True
        return False

    def images(self, folder: Path) -> Iterator[_File]:
        """Yield the images in a folder and below."""
        for entry in self.entries(folder):
            if self.refused(entry):
                continue
            if _is_dir(entry):
                yield from self.images(Path(entry.path))
            elif Path(entry.name).suffix.lower() in ENDINGS:
                try:
                    status = entry.stat()
                except OSError as error:
                    self.findings.add("locked", self.name(entry), error.strerror or str(error))
                    continue
                yield _File(Path(entry.path), status.st_size, status.st_mtime_ns)
            else:
                _say_of_file(entry, self.name(entry), self.findings)


def _is_dir(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _say_of_file(entry: os.DirEntry[str], name: str, findings: Findings, images: str = "other_file") -> None:
    """Note a file that is not used, by what it seems to be."""
    ending = Path(entry.name).suffix.lower()
    if ending in ENDINGS:
        findings.add(images, name)
    elif ending in _ARCHIVES:
        findings.add("archive", name)
    elif ending in _UNSUPPORTED:
        findings.add("unsupported", name, ending)
    elif _begins_like_an_image(entry):
        findings.add("hidden_image", name)
    else:
        findings.add("other_file", name)


def _begins_like_an_image(entry: os.DirEntry[str]) -> bool:
    try:
        if not entry.is_file():  # opening a pipe would wait for ever
            return False
        with Path(entry.path).open("rb") as file:
            head = file.read(16)
    except OSError:
        return False
    return head.startswith(_MAGIC) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")
