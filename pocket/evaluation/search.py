"""`HammingIndex`: the nearest codes, by FAISS."""

from __future__ import annotations

import hashlib
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pocket.evaluation.choice import KINDS, choose
from pocket.evaluation.codes import Codes, check_ids, check_type
from pocket.evaluation.engines import Distances, Flat, Ivf, Lists, Packed, Rows, Unique, assign, expanded, unique
from pocket.runs.artefacts import ArtefactError, load_tensors, save_tensors


class Within(NamedTuple):
    """Answer of a range search: query q has ``distances[bounds[q] : bounds[q + 1]]``, nearest first, and so ``ids``."""

    bounds: Rows
    distances: Distances
    ids: Rows


class HammingIndex:
    """An index of packed codes.

    Parameters
    ----------
    codes : Codes
        The database. Results name items by ``codes.ids``, which must differ.
    kind : str
        ``"flat"`` looks at every code. ``"unique"`` looks at every distinct code once and gives all items that carry
        it: exact too, and faster where many repeat. ``"ivf"`` looks only into lists of neighbouring distinct codes, as
        many as are needed for ``recall``; it is tried on a sample of the codes, and where it does not reach that, or
        looks at more than a fifth of all codes for it, the index is an exact one, with a warning. ``"auto"``: ivf
        from 2 million codes on, unique from 100,000 on where two fifths of them repeat another, else flat.
        Attributes ``kind`` and ``reason`` say what was chosen.
    gpu : bool, optional
        None takes a GPU when FAISS finds one; True asks for it; False stays on the CPU. A GPU searches flat.
    recall : float
        Wanted of ivf: share of the answers no farther than the k-th nearest, k up to 100.

    Raises
    ------
    ValueError
        If there is no code to index, the kind is unknown, ids repeat, or a GPU is asked for and there is none.

    Examples
    --------
    >>> database = Codes.from_bits([[0] * 8, [1] * 8], [0, 1])
    >>> HammingIndex(database, gpu=False).search(Codes.from_bits([[1] * 7 + [0]]), k=2)
    (array([[1, 7]], dtype=int32), array([[1, 0]]))
    """

    def __init__(self, codes: Codes, kind: str = "auto", *, gpu: bool | None = None, recall: float = 0.99) -> None:
        import faiss

        check_type(codes)
        if not len(codes):
            raise ValueError("there is no code to index: the database is empty")
        if kind not in KINDS:
            raise ValueError(f"unknown kind of index {kind!r}; choose one of {', '.join(KINDS)}")
        if not 0 < recall <= 1:
            raise ValueError(f"recall={recall}: choose a share above 0 and up to 1")
        gpus = faiss.get_num_gpus() if hasattr(faiss, "get_num_gpus") else 0
        if gpu and not gpus:
            raise ValueError("gpu=True, but FAISS finds no GPU here; leave gpu out to search on the CPU")
        assert codes.ids is not None
        check_ids(codes.ids)
        self.bits, self.recall = codes.bits, recall
        self.on_gpu = bool(gpus) if gpu is None else gpu
        self._packed, self._ids = codes.packed, codes.ids
        if kind == "ivf":
            self.on_gpu = False
        found = choose(
            kind,
            self._packed,
            self.bits,
            recall,
            on_gpu=self.on_gpu,
            table=lambda: self._unique,
            flat=lambda: self._flat,
        )
        self.kind, self.reason, self._lists, self._probes = found[:4]
        if found.engine is not None:
            self._ivf = found.engine

    @cached_property
    def _unique(self) -> Unique:
        return unique(self._packed)

    @cached_property
    def _flat(self) -> Flat:
        return Flat(self._packed, gpu=self.on_gpu)

    @cached_property
    def _distinct(self) -> Flat:
        return Flat(self._unique.packed, gpu=self.on_gpu and self.kind == "unique")

    @cached_property
    def _ivf(self) -> Ivf:
        return Ivf(self._unique.packed, self._laid, self._probes)

    @property
    def _laid(self) -> Lists:
        assert self._lists is not None
        return self._lists

    def __len__(self) -> int:
        return len(self._packed)

    def search(self, queries: Codes, k: int = 10) -> tuple[Distances, Rows]:
        """Return the k nearest items of each query.

        Parameters
        ----------
        queries : Codes
        k : int
            1 to the size of the index.

        Returns
        -------
        distances : ndarray of int32, shape (Q, k)
            Hamming distances, increasing. Items at equal distance stand in no meaningful order. With ivf, K + 1
            where fewer than k items lie in the lists looked into.
        ids : ndarray of int64, shape (Q, k)
            And -1 there.

        Raises
        ------
        ValueError
            If k or the code length does not fit.
        """
        asked = self._asked(queries)
        if not isinstance(k, int | np.integer) or not 1 <= k <= len(self):
            raise ValueError(f"k={k}: choose 1 to {len(self)}, the size of the index")
        if self.kind == "flat":
            distances, rows = self._flat.search(asked, k)
            return distances, self._ids[rows]
        distances, rows = self._expanded(asked, k)
        return distances, np.where(rows >= 0, self._ids[rows], -1)

    def _expanded(self, asked: Packed, k: int) -> tuple[Distances, Rows]:
        return expanded(self._distinct if self._lists is None else self._ivf, self._unique, asked, k, self.bits)

    def within(self, queries: Codes, radius: int) -> Within:
        """Return every item within a Hamming radius (inclusive) of each query; exact with every kind of index.

        Parameters
        ----------
        queries : Codes
        radius : int
            0 to K; 0 finds the items of equal code.

        Returns
        -------
        Within

        Raises
        ------
        ValueError
            If the radius or the code length does not fit.
        """
        asked = self._asked(queries)
        if not 0 <= radius <= self.bits:
            raise ValueError(f"radius={radius}: choose 0 to {self.bits}, the code length")
        if self.kind == "flat":
            bounds, distances, rows = self._flat.within(asked, radius)
        else:
            bounds, distances, found = self._distinct.within(asked, radius)
            table = self._unique
            counts = table.counts[found]
            inside = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
            rows = table.order[np.repeat(table.starts[found], counts) + inside]
            distances = np.repeat(distances, counts)
            bounds = np.concatenate([[0], np.cumsum(counts)])[bounds]
        order = np.lexsort((rows, distances, np.repeat(np.arange(len(asked)), np.diff(bounds))))
        return Within(bounds, distances[order], self._ids[rows[order]])

    def _asked(self, queries: Codes) -> Packed:
        check_type(queries)
        if queries.bits != self.bits:
            raise ValueError(f"queries have {queries.bits} bits, the index has {self.bits}")
        if not len(self):
            raise ValueError("the index is empty: add codes before searching")
        return np.ascontiguousarray(queries.packed)

    def add(self, codes: Codes) -> None:
        """Add items; lists stay as they were laid out, and take the new codes in.

        Raises
        ------
        ValueError
            If the code length does not fit, or an id is in the index already.
        """
        if codes.bits != self.bits:
            raise ValueError(f"the codes have {codes.bits} bits, the index has {self.bits}")
        assert codes.ids is not None
        ids = np.concatenate([self._ids, codes.ids])
        check_ids(ids)
        self._replace(np.concatenate([self._packed, codes.packed]), ids)

    def remove(self, ids: npt.ArrayLike) -> None:
        """Remove items by id.

        Raises
        ------
        ValueError
            If an id is not in the index; nothing is removed then.
        """
        gone = np.asarray(ids, dtype=np.int64).ravel()
        unknown = np.setdiff1d(gone, self._ids)
        if len(unknown):
            raise ValueError(f"id {unknown[0]} is not in the index ({len(unknown)} of {len(gone)} are not)")
        keep = ~np.isin(self._ids, gone)
        self._replace(self._packed[keep], self._ids[keep])

    def _replace(self, packed: Packed, ids: npt.NDArray[np.int64]) -> None:
        """Take another table of codes; what is known of those that stay is kept."""
        before = self._unique if self._lists is not None else None
        self._packed, self._ids = packed, ids
        for name in ("_unique", "_flat", "_distinct", "_ivf"):
            self.__dict__.pop(name, None)
        if before is None or not len(self):
            return
        lists = self._laid
        both = unique(np.concatenate([before.packed, self._unique.packed]))
        # Of each code that is there now: the place of the same code before, or beyond it where it is new.
        first = np.minimum.reduceat(both.order, both.starts[:-1])
        last = np.maximum.reduceat(both.order, both.starts[:-1])
        known = np.empty(len(self._unique.packed), dtype=np.int64)
        there = last >= len(before.packed)
        known[last[there] - len(before.packed)] = first[there]
        member = np.empty(len(known), dtype=np.int64)
        old = known < len(before.packed)
        member[old] = lists.member[known[old]]
        if not old.all():
            member[~old] = assign(self._unique.packed[~old], lists.centres)
        self._lists = Lists(lists.centres, member)

    def save(self, path: Path) -> Path:
        """Save codes, ids and lists as one safetensors file with a checksum."""
        arrays: dict[str, np.ndarray] = {"packed": self._packed, "ids": self._ids}
        if self._lists is not None:
            arrays |= {"centres": self._lists.centres, "member": self._lists.member}
        card = {
            "kind": "hamming-index",
            "index": self.kind,
            "reason": self.reason,
            "recall": repr(self.recall),
            "probes": str(self._probes),
            "sha256": _checksum(arrays),
        }
        return save_tensors(path, arrays, card)

    @classmethod
    def load(cls, path: Path, *, gpu: bool | None = None) -> HammingIndex:
        """Load what `save` wrote.

        Raises
        ------
        ArtefactError
            If the file is missing, damaged, altered, or holds something else.
        """
        arrays, card = load_tensors(path)
        if card.get("kind") != "hamming-index":
            raise ArtefactError(f"{path} does not hold a HammingIndex; save one with index.save(path)")
        if card.get("sha256") != _checksum(arrays):
            raise ArtefactError(f"{path} is damaged: its checksum differs; build the index again and save it")
        try:
            kind, recall, probes = card["index"], float(card["recall"]), int(card["probes"])
            codes = Codes(arrays["packed"], ids=arrays["ids"])
            index = cls(codes, "flat" if kind == "ivf" else kind, gpu=gpu, recall=recall)
            if kind == "ivf":
                lists = Lists(arrays["centres"], arrays["member"])
                fits = lists.centres.shape[1:] == codes.packed.shape[1:] and lists.centres.dtype == np.uint8
                same = lists.member.shape == (len(index._unique.packed),) and lists.member.dtype == np.int64
                if not (fits and same and probes > 0 and 0 <= lists.member.min() <= lists.member.max() < len(lists[0])):
                    raise ValueError("its lists do not fit its codes")
                index.on_gpu, index._lists, index._probes, index.kind = False, lists, probes, kind
                index.__dict__.pop("_flat", None)
            index.reason = card["reason"]
        except (KeyError, ValueError) as error:
            raise ArtefactError(f"{path} does not hold a HammingIndex ({error}); build it again and save it") from None
        return index


def _checksum(arrays: dict[str, np.ndarray]) -> str:
    """Return a digest of arrays, their names, types and shapes."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(array.data)
    return digest.hexdigest()
