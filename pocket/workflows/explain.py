"""Where does the condensed model answer otherwise than the full one, through which bits, and what shaped it?"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from pocket.data import CondensedSet, ImageSet, RetrievalSplit
from pocket.evaluation import Hit, ImageSearch
from pocket.hashing import HashModel, recalibrate
from pocket.hashing.calibration import represent
from pocket.presentation.i18n import number, translator


class Side(NamedTuple):
    """One model's answer: what it found, and the bits in which the query strays from its class.

    ``strays`` are the numbers of the bits where the query's code differs from most of its own class's codes;
    ``rival`` is the class of most wrong answers (None: none is wrong), and ``shared`` those of the straying bits that
    the rival's codes mostly have the other way too, as the query does; ``distances`` those to every item.
    """

    hits: list[Hit]
    strays: tuple[int, ...]
    rival: str | None
    shared: tuple[int, ...]
    distances: npt.NDArray[np.int64]

    def lacks(self, hit: Hit) -> bool:
        """Whether an item lies farther than the last answer."""
        return bool(self.distances[hit.place] > self.hits[-1].distance)


class View(NamedTuple):
    """A synthetic view: the stored image it is decoded from, its tile, its class, and its likeness (cosine of V)."""

    stored: int
    tile: int
    label: str
    likeness: float


class Explanation(NamedTuple):
    """A query under two models, and the synthetic views that lie nearest to it under the condensed one.

    ``file`` is that of the query's image, "" where it has none.
    ``only_full`` and ``only_condensed`` are answers that the other model holds farther than its own last one: of equal
    distance either might have been named.
    """

    query: int
    label: str
    file: str
    full: Side
    condensed: Side
    only_full: list[Hit]
    only_condensed: list[Hit]
    views: list[View]


def explain(
    split: RetrievalSplit,
    query: int,
    full: HashModel,
    condensed: HashModel,
    images: CondensedSet,
    *,
    k: int = 10,
    device: str = "auto",
    lang: str = "en",
) -> Explanation:
    """Compare two models' answers to one query.

    Bits are compared through each class's majority code, so that they need not mean the same under both models; of
    equal seeds they do, since these share their codewords.

    Parameters
    ----------
    split : RetrievalSplit
    query : int
        Place among ``split.query``.
    full, condensed : HashModel
        As trained; both are recalibrated on the database, as `pocket.evaluate` does.
    images : CondensedSet
        What ``condensed`` was trained on.
    k : int
        Answers to compare, and synthetic views to name.
    device : str
    lang : {"en", "ja"}
        Of errors.

    Raises
    ------
    ValueError
        If there is no such query, or k is not in 1 to the size of the database.
    """
    asked, t = split.query, translator(lang)
    if not 0 <= query < len(asked):
        raise ValueError(t("explain.no_query", query=query, last=len(asked) - 1, name=asked.name))
    if not 1 <= k <= len(split.database):
        raise ValueError(t("explain.no_k", k=k, most=len(split.database)))
    one = asked.subset([query])
    sides = [_side(ImageSearch(model, split.database, device=device), one, k) for model in (full, condensed)]
    views = _views(recalibrate(condensed, split.database, device=device), one, images, k, device)
    return Explanation(
        query=query,
        label=asked.class_names[asked.labels[query]],
        file=asked.files[query] if asked.files else "",
        full=sides[0],
        condensed=sides[1],
        only_full=[hit for hit in sides[0].hits if sides[1].lacks(hit)],
        only_condensed=[hit for hit in sides[1].hits if sides[0].lacks(hit)],
        views=views,
    )


def _side(search: ImageSearch, one: ImageSet, k: int) -> Side:
    hits = search.nearest(one.images[0], k)
    names, own = one.class_names, int(one.labels[0])
    bits, labels = search.codes.unpack().astype(bool), search.codes.labels
    code = search.encode(one).unpack()[0].astype(bool)
    distances = (bits != code).sum(axis=1)
    strays = code != _majority(bits, labels, own)
    wrong = [hit.label for hit in hits if hit.label != names[own]]
    if not wrong:
        return Side(hits, _numbers(strays), None, (), distances)
    rival = max(dict.fromkeys(wrong), key=wrong.count)
    shared = strays & (code == _majority(bits, labels, names.index(rival)))
    return Side(hits, _numbers(strays), rival, _numbers(shared), distances)


def _majority(bits: npt.NDArray[np.bool_], labels: npt.NDArray[np.int64] | None, of: int) -> npt.NDArray[np.bool_]:
    assert labels is not None
    return np.asarray(bits[labels == of].mean(axis=0) > 0.5)


def _numbers(chosen: npt.NDArray[np.bool_]) -> tuple[int, ...]:
    return tuple(int(bit) for bit in np.flatnonzero(chosen))


def _views(model: HashModel, one: ImageSet, images: CondensedSet, k: int, device: str) -> list[View]:
    """Return the synthetic views whose V is most like the query's."""
    decoded = (images.decode() * 255).round().clamp(0, 255).byte().numpy()
    shown = ImageSet(decoded, images.view_labels, images.card.class_names, images.name)
    asked, views = (represent(model, of, device=device) for of in (one, shown))
    likeness = functional.cosine_similarity(views, asked, dim=1)
    stored = images.view_images
    return [
        View(
            stored=int(stored[place]),
            tile=place - int(np.searchsorted(stored, stored[place])),
            label=shown.class_names[shown.labels[place]],
            likeness=float(likeness[place]),
        )
        for place in torch.argsort(likeness, descending=True)[:k].tolist()
    ]


def told(found: Explanation, lang: str = "en") -> list[str]:
    """Return an explanation in plain lines; every answer is named once."""
    t, full, condensed = translator(lang), found.full, found.condensed
    alone = {hit.place for hit in (*found.only_full, *found.only_condensed)}
    both = {hit.place: hit for hit in (*full.hits, *condensed.hits) if hit.place not in alone}

    def answers(hits: Iterable[Hit]) -> str:
        each = (
            f"{hit.file or hit.place} ({hit.label}, {full.distances[hit.place]} | {condensed.distances[hit.place]})"
            for hit in hits
        )
        return ", ".join(each) or t("explain.none")

    def numbers(bits: tuple[int, ...]) -> str:
        return ", ".join(map(str, bits)) or t("explain.none")

    lines = [t("explain.query", query=found.query, label=found.label)]
    if found.file:
        lines.append(t("explain.file", file=found.file))
    for key, side in (("full", full), ("condensed", condensed)):
        name, right = t(f"explain.{key}"), sum(hit.label == found.label for hit in side.hits)
        lines.append(t("explain.nearest", name=name, right=right, count=len(side.hits)))
        lines.append(t("explain.strays", name=name, bits=numbers(side.strays)))
        if side.rival is not None:
            lines.append(t("explain.rival", name=name, rival=side.rival, bits=numbers(side.shared)))
    lines.append(t("explain.answers"))
    lines.append(t("explain.both", answers=answers(both.values())))
    lines.append(t("explain.only_full", answers=answers(found.only_full)))
    lines.append(t("explain.only_condensed", answers=answers(found.only_condensed)))
    shaped = [
        t("explain.view", stored=v.stored, tile=v.tile, label=v.label, likeness=number(v.likeness, 2))
        for v in found.views
    ]
    lines.append(t("explain.views", views=", ".join(shaped)))
    return lines
