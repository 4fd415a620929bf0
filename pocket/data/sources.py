"""`load`: from a name or a path to a `RetrievalSplit`."""

from __future__ import annotations

import json
import tomllib
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pocket.data.decoding import Fit, decode_all, known_fit
from pocket.data.images import ImageSet, RetrievalSplit
from pocket.data.intake import Findings, IntakeError, SplitRecord, list_images, store_split, stored_split, take_in
from pocket.data.intake.intake import TABLES
from pocket.data.intake.listing import Listing
from pocket.data.intake.sizes import usual_size
from pocket.data.readers import Encoded, read_digits, read_parquet, read_torchvision
from pocket.runs.paths import data_home, kit_dir

DOWNLOADS: dict[str, Callable[[], tuple[Encoded, Encoded]]] = {
    "cifar10": partial(read_torchvision, "cifar10", "CIFAR10", {"train": True}, {"train": False}),
    "fashion_mnist": partial(read_torchvision, "fashion_mnist", "FashionMNIST", {"train": True}, {"train": False}),
    "imagenette": partial(
        read_torchvision,
        "imagenette",
        "Imagenette",
        {"split": "train", "size": "160px"},
        {"split": "val", "size": "160px"},
    ),
}


class LeftOutWarning(UserWarning):
    """Some of the images of one's own were left out; ``pocket check`` tells which, and why."""


def registry() -> dict[str, dict[str, Any]]:
    """Return what the kit knows of each named image set (``data/datasets.toml``)."""
    return tomllib.loads((kit_dir("data") / "datasets.toml").read_text(encoding="utf-8"))


def load(
    name_or_path: str | Path,
    *,
    resolution: int | None = None,
    train_per_class: int | None = None,
    protocol: str | None = None,
    groups: str | Path | None = None,
    fit: Fit | None = None,
) -> RetrievalSplit:
    """Load an image set as train, database and query.

    Parameters
    ----------
    name_or_path : str or Path
        ``"digits"`` (offline), ``"cifar10"``, ``"fashion_mnist"``, ``"imagenette"``, or a path: a folder with one
        sub-folder per class, a CSV list of images (``path,label[,split,group]``), or Hugging Face image Parquet (a
        folder with ``train-*.parquet`` and ``test-*.parquet``, or one file).
        For a name, image Parquet in the folder ``POCKET_DATA/NAME`` goes before a download.
    resolution : int, optional
        Pixels a side, 8 to 512. Default: the set's own (``data/datasets.toml``); for a path 32 to 256, chosen from
        the images (`pocket.data.intake.sizes.choose_size`).
    train_per_class : int, optional
        Keep so many train images of each class (the same ones every time), also as database.
    protocol : str, optional
        For sets with several, such as ``"cifar10-unseen"``: who is trained on, searched and asked. Default: the
        first that ``data/datasets.toml`` names.
    groups : str or Path, optional
        For a folder or list: a table ``path,group`` of images that show the same thing. Default: the folder's
        ``groups.csv``, the list's column ``group``, or what ``pocket check`` was given.
    fit : {"crop", "pad"}, optional
        What to do with an image that is not square: take its central square, or the whole image, padded. Default:
        what ``pocket check`` was given for these very images, else "crop".

    Returns
    -------
    RetrievalSplit
        With the protocol id that every number measured on it carries. Images of one's own that come without a split
        are split about 80 : 20 by class; copies and groups stay on one side. The split is kept (that of
        ``pocket check``, or one made here), so that it is the same every time.

    Raises
    ------
    ValueError
        If the name or the protocol is unknown, the folder holds no class with at least two images, or a size is
        out of range.
    ConnectionError
        If a download fails.
    """
    if resolution is not None and not 8 <= resolution <= 512:
        raise ValueError(f"resolution={resolution}: choose 8 to 512 pixels a side")
    fit = known_fit(fit) if fit is not None else None
    known = registry()
    name = str(name_or_path)
    if name in known:
        entry = known[name]
        chosen = protocol or entry["protocols"][0]
        if chosen not in entry["protocols"]:
            raise ValueError(f"{name} has no protocol {chosen!r}; choose one of {', '.join(entry['protocols'])}")
        train, query = _read_named(name)
        size, mirror = resolution or entry["resolution"], entry["mirror"]
    else:
        path = Path(name_or_path).expanduser()
        if not path.is_dir() and not (path.is_file() and path.suffix.lower() in (*TABLES, ".parquet")):
            raise ValueError(
                f"{name!r} is neither an image set that pocket knows ({', '.join(known)}) nor a folder; "
                "give one of these names, or the path of a folder with one sub-folder per class, of a CSV list, or of "
                "a Parquet file"
            )
        if is_halves(path):
            chosen, (train, query) = "holdout", read_parquet(path)
            own = usual_size(train.sources, fit or "crop")
        else:
            if protocol not in (None, "own-data"):
                raise ValueError(f"{path} is split by protocol 'own-data', not {protocol!r}")
            return load_own(path, groups, resolution=resolution, train_per_class=train_per_class, fit=fit)
        if protocol not in (None, chosen):
            raise ValueError(f"{path} is split by protocol {chosen!r}, not {protocol!r}")
        name, size, mirror = path.resolve().name, resolution or own.resolution, False
    train, database, query = PROTOCOLS.get(chosen, _searched_is_train)(train, query)
    if train_per_class is not None:
        kept = _keep(train, train_per_class, name)
        train, database = kept, kept if database is train else database
    channels = usual_size(train.sources).channels
    finish = partial(_decode, size=size, channels=channels, mirror=mirror, fit=fit or "crop")
    trained = finish(train, name=name)
    searched = trained if database is train else finish(database, name=f"{name} database")
    return RetrievalSplit(trained, searched, finish(query, name=f"{name} queries"), chosen)


def is_halves(path: Path) -> bool:
    """Return whether a path is a folder of Parquet that comes as train and test, and is taken as it comes."""
    return path.is_dir() and any(path.glob("train-*.parquet"))


def load_own(
    path: Path,
    groups: str | Path | None = None,
    *,
    resolution: int | None = None,
    train_per_class: int | None = None,
    fit: Fit | None = None,
    split: SplitRecord | None = None,
) -> RetrievalSplit:
    """Load images of one's own by the split that a check has made, or by one that is made and kept here; see `load`.

    Parameters
    ----------
    split : SplitRecord, optional
        The split of a run: its models go by it, whatever has been made of the same images since.

    Raises
    ------
    ValueError
        If ``split`` names images that are not there, or as `load` does.
    """
    findings = Findings()
    listing = list_images(path, findings, Path(groups).expanduser() if groups else None)
    try:
        record = split or stored_split(listing, fit) or store_split(take_in(listing, findings, fit=fit or "crop"))
    except IntakeError as error:
        if error.finding.kind == "none_readable":
            _warn_of_unreadable(path, {file.name: file.detail for file in error.finding.affected})
        raise
    name, size = listing.name, resolution or record.size.resolution
    _warn_of(path, record)
    place = {image: i for i, image in enumerate(listing.names)}
    used = (*record.train, *record.database, *record.query)
    if lost := [image for image in used if image not in place]:
        raise ValueError(f"{path} no longer holds {len(lost)} images of this split, such as {lost[0]}: put them back")
    present = sorted({int(listing.labels[place[image]]) for image in (*record.train, *record.query)})
    number = {c: i for i, c in enumerate(present)}
    names = tuple(listing.class_names[c] for c in present)

    def half(images: tuple[str, ...]) -> Encoded:
        places = sorted(place[image] for image in images)
        labels = np.array([number[int(listing.labels[i])] for i in places], dtype=np.int64)
        return Encoded(list(listing.open(places)), labels, names, _things(listing, record, places))

    train = half(record.train)
    if train_per_class is not None:
        train = _keep(train, train_per_class, name)
    finish = partial(_decode, size=size, channels=record.size.channels, mirror=False, fit=fit or record.fit)
    trained = finish(train, name=name)
    searched = finish(half(record.database), name=f"{name} database") if record.database else trained
    return RetrievalSplit(trained, searched, finish(half(record.query), name=f"{name} queries"), "own-data")


def _things(listing: Listing, record: SplitRecord, places: list[int]) -> tuple[str, ...]:
    """Return what images show: groups as copies join them, as the check counts them; groups alone by an older split."""
    if record.things is None:
        return tuple(listing.groups[i] for i in places) if listing.own_groups else ()
    found = tuple(record.things.get(listing.names[i], "") for i in places)
    return found if listing.own_groups or any(found) else ()


def _warn_of(path: Path, record: SplitRecord) -> None:
    """Say aloud what a split leaves out."""
    if record.single:
        told = ", ".join(record.single)
        warnings.warn(f"{path}: classes with a single image were left out: {told}", LeftOutWarning, stacklevel=4)
    if record.unreadable:
        _warn_of_unreadable(path, record.unreadable)
    if record.kept_apart:
        shown = ", ".join(record.kept_apart[:5])
        warnings.warn(
            f"{path}: {len(record.kept_apart)} queries were left out, since a copy or their group is on the other "
            f"side, or a copy has another label: {shown}",
            LeftOutWarning,
            stacklevel=4,
        )


def _warn_of_unreadable(path: Path, reasons: dict[str, str]) -> None:
    shown = "; ".join(f"{image}: {why}" for image, why in list(reasons.items())[:5])
    warnings.warn(f"{path}: {len(reasons)} unreadable images were left out: {shown}", LeftOutWarning, stacklevel=5)


Halves = tuple[Encoded, Encoded, Encoded]


def _searched_is_train(train: Encoded, test: Encoded) -> Halves:
    """Search the train images, ask with the test images."""
    return train, train, test


def _cifar10_unseen(train: Encoded, test: Encoded) -> Halves:
    """Ask with 100 test images a class, search the other 9,000: a database that no model was trained on."""
    (asked,) = _listed("cifar10-unseen", test, "query")
    return train, test.take(_others(test, asked)), test.take(asked)


def _cifar10_i(train: Encoded, test: Encoded) -> Halves:
    """Ask with 100 images a class of all 60,000, train on 500 a class, search all that are not asked with."""
    whole = Encoded([*train.sources, *test.sources], np.concatenate([train.labels, test.labels]), train.class_names)
    asked, trained = _listed("cifar10-I", whole, "query", "train")
    return whole.take(trained), whole.take(_others(whole, asked)), whole.take(asked)


def _listed(protocol: str, whole: Encoded, *lists: str) -> list[npt.NDArray[np.int64]]:
    """Return the positions of a protocol's images, which ``data/splits`` lists by their places within their class.

    Copies of a set differ in how they order the classes and in what JPEG does to the pixels, but keep the order
    inside a class: so a protocol's id means the same images in all of them.
    """
    path = kit_dir("data") / "splits" / f"{protocol}.json"
    known = json.loads(path.read_text(encoding="utf-8"))
    members = [np.flatnonzero(whole.labels == c) for c in range(len(whole.class_names))]
    wanted, found = [known["images_per_class"]] * len(known[lists[0]]), [len(own) for own in members]
    if found != wanted:
        raise ValueError(
            f"protocol {protocol!r} lists images of {len(wanted)} classes of {wanted[0]:,} ({path.name}), but here are "
            f"{found} images a class: take the whole set, or its first protocol"
        )
    return [np.sort(np.concatenate([m[c] for m, c in zip(members, known[name], strict=True)])) for name in lists]


def _others(whole: Encoded, taken: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return np.setdiff1d(np.arange(len(whole.labels)), taken)


PROTOCOLS: dict[str, Callable[[Encoded, Encoded], Halves]] = {
    "cifar10-I": _cifar10_i,
    "cifar10-unseen": _cifar10_unseen,
}


def _read_named(name: str) -> tuple[Encoded, Encoded]:
    if name == "digits":
        return read_digits()
    home = data_home()
    if home is not None and not home.is_dir():
        raise ValueError(f"POCKET_DATA names {home}, which is no folder: correct it, or unset it to download {name}")
    if home is not None and sorted((home / name).glob("train-*.parquet")):
        return read_parquet(home / name)
    return DOWNLOADS[name]()


def _keep(half: Encoded, per_class: int, name: str) -> Encoded:
    """Keep ``per_class`` images a class by one fixed draw: the task stays the same when the run's seed changes."""
    if per_class < 1:
        raise ValueError(f"train_per_class={per_class}: at least 1 image per class is needed")
    counts = np.bincount(half.labels, minlength=len(half.class_names))
    if short := [f"{half.class_names[c]} has {n}" for c, n in enumerate(counts) if n < per_class]:
        raise ValueError(f"train_per_class={per_class}, but of {name!r} {', '.join(short[:5])}")
    order = np.random.default_rng(0).permutation(len(half.labels))
    return half.take(np.sort(np.concatenate([order[half.labels[order] == c][:per_class] for c in range(len(counts))])))


def _decode(half: Encoded, *, name: str, size: int, channels: int, mirror: bool, fit: Fit) -> ImageSet:
    """Decode all images; those that cannot be read are left out and named in a warning."""
    images, bad = decode_all(half.sources, size, channels, fit)
    if bad:
        names = {i: str(half.sources[i]) if isinstance(half.sources[i], Path) else f"image {i}" for i in bad}
        shown = "; ".join(f"{names[i]}: {why}" for i, why in list(bad.items())[:5])
        warnings.warn(f"{name}: {len(bad)} unreadable images were left out: {shown}", stacklevel=3)
    if not len(images):
        raise ValueError(f"{name}: none of its {len(half.sources)} images could be read")
    paths = [str(s) for i, s in enumerate(half.sources) if isinstance(s, Path) and i not in bad]
    groups = tuple(group for i, group in enumerate(half.groups) if i not in bad)
    labels = np.delete(half.labels, list(bad))
    return ImageSet(images, labels, half.class_names, name, mirror, tuple(paths), groups, fit)
