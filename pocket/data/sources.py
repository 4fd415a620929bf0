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

from pocket.data.decoding import decode_all, usual_channels, usual_size
from pocket.data.images import ImageSet, RetrievalSplit
from pocket.data.readers import Encoded, read_digits, read_folder, read_parquet, read_torchvision
from pocket.runs.paths import data_home, kit_dir

QUERY_SHARE = 0.2

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


def registry() -> dict[str, dict[str, Any]]:
    """Return what the kit knows of each named image set (``data/datasets.toml``)."""
    return tomllib.loads((kit_dir("data") / "datasets.toml").read_text(encoding="utf-8"))


def load(
    name_or_path: str | Path,
    *,
    resolution: int | None = None,
    train_per_class: int | None = None,
    protocol: str | None = None,
) -> RetrievalSplit:
    """Load an image set as train, database and query.

    Parameters
    ----------
    name_or_path : str or Path
        ``"digits"`` (offline), ``"cifar10"``, ``"fashion_mnist"``, ``"imagenette"``, or a folder: one
        sub-folder per class, or Hugging Face image Parquet (``train-*.parquet``, ``test-*.parquet``).
        For a name, image Parquet in the folder ``POCKET_DATA/NAME`` goes before a download.
    resolution : int, optional
        Pixels a side, 8 to 512. Default: the set's own (``data/datasets.toml``); for a folder 32 or 64,
        whichever its images fill.
    train_per_class : int, optional
        Keep so many train images of each class (the same ones every time), also as database.
    protocol : str, optional
        For sets with several, such as ``"cifar10-unseen"``: who is trained on, searched and asked. Default: the
        first that ``data/datasets.toml`` names.

    Returns
    -------
    RetrievalSplit
        With the protocol id that every number measured on it carries. A folder of classes is split
        80 : 20 by class, always in the same way.

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
        folder = Path(name_or_path).expanduser()
        if not folder.is_dir():
            raise ValueError(
                f"{name!r} is neither an image set that pocket knows ({', '.join(known)}) nor a folder; "
                "give one of these names, or the path of a folder with one sub-folder per class"
            )
        if sorted(folder.glob("train-*.parquet")):
            chosen, (train, query) = "holdout", read_parquet(folder)
        else:
            chosen, (train, query) = "own-data", _split(read_folder(folder))
        if protocol not in (None, chosen):
            raise ValueError(f"{folder} is split by protocol {chosen!r}, not {protocol!r}")
        name, size, mirror = folder.resolve().name, resolution or usual_size(train.sources), False
    train, database, query = PROTOCOLS.get(chosen, _searched_is_train)(train, query)
    if train_per_class is not None:
        kept = _keep(train, train_per_class, name)
        train, database = kept, kept if database is train else database
    finish = partial(_decode, size=size, channels=usual_channels(train.sources), mirror=mirror)
    trained = finish(train, name=name)
    searched = trained if database is train else finish(database, name=f"{name} database")
    return RetrievalSplit(trained, searched, finish(query, name=f"{name} queries"), chosen)


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


def _split(whole: Encoded) -> tuple[Encoded, Encoded]:
    """Split by class, a fifth (at least one image) of each as queries; the same split every time."""
    order = np.random.default_rng(0).permutation(len(whole.labels))
    query = np.zeros(len(order), dtype=bool)
    for c in range(len(whole.class_names)):
        members = order[whole.labels[order] == c]
        query[members[: max(1, round(QUERY_SHARE * len(members)))]] = True
    return whole.take(np.flatnonzero(~query)), whole.take(np.flatnonzero(query))


def _decode(half: Encoded, *, name: str, size: int, channels: int, mirror: bool) -> ImageSet:
    """Decode all images; those that cannot be read are left out and named in a warning."""
    images, bad = decode_all(half.sources, size, channels)
    if bad:
        names = {i: str(half.sources[i]) if isinstance(half.sources[i], Path) else f"image {i}" for i in bad}
        shown = "; ".join(f"{names[i]}: {why}" for i, why in list(bad.items())[:5])
        warnings.warn(f"{name}: {len(bad)} unreadable images were left out: {shown}", stacklevel=3)
    if not len(images):
        raise ValueError(f"{name}: none of its {len(half.sources)} images could be read")
    paths = [str(s) for i, s in enumerate(half.sources) if isinstance(s, Path) and i not in bad]
    return ImageSet(images, np.delete(half.labels, list(bad)), half.class_names, name, mirror, tuple(paths))
