"""`CodeStore`: codes on disk in LanceDB, searched in place; and Parquet files for other engines."""

from __future__ import annotations

import math
import os
import warnings
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
import numpy.typing as npt
from pydantic import NonNegativeInt, PositiveInt

from pocket.evaluation.codes import Codes, check_ids
from pocket.runs.artefacts import ArtefactError, Record

if TYPE_CHECKING:
    import pyarrow as pa

    from pocket.evaluation.engines import Distances, Rows

_TABLE = "codes"
_AT_ONCE = 256  # queries in one call
_TRIED = 64  # stored codes asked for when lists are tried


class StoreCard(Record):
    """``store.json``: what the folder of a `CodeStore` holds."""

    kind: ClassVar[str] = "code-store"
    bits: PositiveInt
    probes: NonNegativeInt = 0


class CodeStore:
    """Codes in a folder, in LanceDB's format: larger than memory, kept between processes, no server.

    Needs ``pip install "pocket[store]"``. One process writes at a time.

    Parameters
    ----------
    folder : Path
        Of a store that `CodeStore.create` made.

    Raises
    ------
    ArtefactError
        If the folder does not hold a store.
    ImportError
        If LanceDB is not installed; the message says how to install it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        self._card = StoreCard.load(self.folder / "store.json")
        try:
            self._table = _connect(self.folder).open_table(_TABLE)
        except (ValueError, OSError, RuntimeError) as error:
            raise ArtefactError(f"{self.folder} does not hold a table of codes ({error}); create it again") from None

    @classmethod
    def create(cls, folder: Path, codes: Codes) -> Self:
        """Write codes, their ids and their labels into a new store.

        Raises
        ------
        ValueError
            If the folder holds something, there is no code, or ids repeat.
        """
        folder = Path(folder)
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise ValueError(f"{folder} is not an empty folder: choose another for the new store")
        if not len(codes):
            raise ValueError("there is no code to store")
        assert codes.ids is not None
        check_ids(codes.ids)
        _connect(folder).create_table(_TABLE, _to_arrow(codes))
        StoreCard(bits=codes.bits).save(folder / "store.json")
        return cls(folder)

    @property
    def bits(self) -> int:
        """Code length K."""
        return self._card.bits

    @property
    def indexed(self) -> bool:
        """Whether searches look into lists of neighbouring codes only."""
        return self._card.probes > 0

    def __len__(self) -> int:
        return int(self._table.count_rows())

    def add(self, codes: Codes) -> None:
        """Add items; those that no list holds yet are searched one by one until `index` is called again.

        Raises
        ------
        ValueError
            If the code length does not fit, an id repeats or is in the store already, or only one side has labels.
        """
        if codes.bits != self.bits:
            raise ValueError(f"the codes have {codes.bits} bits, the store has {self.bits}")
        assert codes.ids is not None
        check_ids(codes.ids)
        bare = int(self._table.count_rows("label IS NULL"))
        if len(codes) and len(self) and (codes.labels is None) != (bare > 0):
            raise ValueError(f"the store's codes have {'no ' if bare else ''}labels: add codes of the same kind")
        there = self._known(codes.ids)
        if len(there):
            raise ValueError(f"id {there[0]} is in the store already ({len(there)} of {len(codes)} are)")
        self._table.add(_to_arrow(codes))

    def remove(self, ids: npt.ArrayLike) -> None:
        """Remove items by id.

        Raises
        ------
        ValueError
            If an id is not in the store; nothing is removed then.
        """
        gone = np.asarray(ids, dtype=np.int64).ravel()
        unknown = np.setdiff1d(gone, self._known(np.unique(gone)))
        if len(unknown):
            raise ValueError(f"id {unknown[0]} is not in the store ({len(unknown)} of {len(gone)} are not)")
        if len(gone):
            self._table.delete(_among(gone))

    def _known(self, ids: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return those of the ids that the store holds."""
        if not len(ids):
            return ids
        found = self._table.search().where(_among(ids)).select(["id"]).limit(len(ids)).to_arrow()
        known: npt.NDArray[np.int64] = found["id"].to_numpy()
        return known

    def index(self, recall: float = 0.99) -> bool:
        """Lay codes out in lists of neighbours, so that a search looks into some of them only.

        How many is tried on codes of the store; where the wanted recall is not reached, as with codes that have no
        near neighbours, there is a warning and searches stay exact.

        Parameters
        ----------
        recall : float
            Wanted share of answers no farther than the tenth nearest.

        Returns
        -------
        bool
            Whether the store is indexed now.
        """
        from lancedb.index import IvfFlat

        count = len(self)
        lists = 2 ** max(0, round(math.log2(max(1, count)) / 2) - 1)
        self._table.create_index("code", config=IvfFlat(distance_type="hamming", num_partitions=lists), replace=True)
        some = self._table.search().select(["code"]).limit(count).to_arrow().take(self._sample(count))
        asked = Codes(_packed(some["code"], self.bits))
        k = min(10, count)
        farthest = self._search(asked, k, probes=0)[0][:, -1:]
        reached = 0.0
        steps = sorted({whole for power in range(lists.bit_length()) for whole in (2**power, 3 * 2**power)})
        for probes, more in pairwise(steps):
            distances, ids = self._search(asked, k, probes=probes)
            reached = float(((distances <= farthest) & (ids >= 0)).mean())
            if reached >= recall and 4 * probes <= lists:
                # A step more than the sample needs: other queries lie farther from the centre of their list.
                return self._note(more)
            if probes >= lists:
                break
        warnings.warn(f"searches stay exact: lists reach a recall of {reached:.2f} only", stacklevel=2)
        self._table.drop_index("code_idx")
        return self._note(0)

    def _note(self, probes: int) -> bool:
        self._card = StoreCard(bits=self.bits, probes=probes)
        self._card.save(self.folder / "store.json")
        return probes > 0

    @staticmethod
    def _sample(count: int) -> npt.NDArray[np.int64]:
        return np.sort(np.random.default_rng(0).permutation(count)[:_TRIED])

    def search(self, queries: Codes, k: int = 10, *, exact: bool = False) -> tuple[Distances, Rows]:
        """Return the k nearest items of each query, as `HammingIndex.search` does.

        Parameters
        ----------
        queries : Codes
        k : int
            1 to the size of the store.
        exact : bool
            Look at every code even where the store is indexed.

        Returns
        -------
        distances : ndarray of int32, shape (Q, k)
            Increasing; K + 1 where lists held fewer than k items.
        ids : ndarray of int64, shape (Q, k)
            And -1 there.

        Raises
        ------
        ValueError
            If k or the code length does not fit.
        """
        if queries.bits != self.bits:
            raise ValueError(f"queries have {queries.bits} bits, the store has {self.bits}")
        size = len(self)
        if not 1 <= k <= size:
            raise ValueError(f"k={k}: choose 1 to {size}, the size of the store")
        return self._search(queries, k, probes=0 if exact else self._card.probes)

    def _search(self, queries: Codes, k: int, *, probes: int) -> tuple[Distances, Rows]:
        distances = np.full((len(queries), k), self.bits + 1, dtype=np.int32)
        ids = np.full((len(queries), k), -1, dtype=np.int64)
        for start in range(0, len(queries), _AT_ONCE):
            part = queries.packed[start : start + _AT_ONCE]
            asked = self._table.search(part if len(part) > 1 else part[0], vector_column_name="code")
            asked = asked.distance_type("hamming").limit(k).select(["id", "_distance"])
            found = (asked.nprobes(probes) if probes else asked.bypass_vector_index()).to_arrow()
            near, names = found["_distance"].to_numpy(), found["id"].to_numpy()
            query = found["query_index"].to_numpy() if len(part) > 1 else np.zeros(len(near), dtype=np.int64)
            order = np.lexsort((near, query))
            query = query[order].astype(np.int64)
            place = np.arange(len(query)) - np.searchsorted(query, query)
            distances[start + query, place] = near[order]
            ids[start + query, place] = names[order]
        return distances, ids

    def codes(self) -> Codes:
        """Return all codes with ids and labels, in memory."""
        if not len(self):
            return Codes(np.empty((0, self.bits // 8), dtype=np.uint8))
        return _from_arrow(self._table.to_arrow(), self.bits)


def export_parquet(codes: Codes, path: Path) -> Path:
    """Write codes for engines that count bits of whole numbers, such as ClickHouse's ``bitHammingDistance``.

    Columns: ``id`` (int64), ``label`` (int64, null without labels) and ``code`` (uint64, the first bit highest;
    shorter codes have zeros in front, of longer ones ``code`` holds the first 64 bits and ``code_1`` the next).

    Parameters
    ----------
    codes : Codes
        Of 8 to 128 bits.
    path : Path
        Written atomically.
    """
    import io

    import pyarrow as pa
    import pyarrow.parquet as pq

    from pocket.runs.artefacts import write_bytes

    table = {"id": pa.array(codes.ids), "label": _labels(codes)}
    for number, start in enumerate(range(0, codes.packed.shape[1], 8)):
        part = codes.packed[:, start : start + 8]
        word = np.zeros((len(codes), 8), dtype=np.uint8)
        word[:, 8 - part.shape[1] :] = part
        table["code" if not number else f"code_{number}"] = pa.array(word.view(">u8")[:, 0].astype(np.uint64))
    file = io.BytesIO()
    pq.write_table(pa.table(table, metadata={"bits": str(codes.bits)}), file)
    return write_bytes(path, file.getvalue())


def _connect(folder: Path):  # type: ignore[no-untyped-def]
    """Open a folder as a LanceDB database."""
    os.environ.setdefault("LANCEDB_LOG", "error")  # one line a list that stays empty, otherwise
    try:
        import lancedb
    except ImportError:
        raise ImportError('CodeStore keeps its codes in LanceDB: pip install "pocket[store]"', name="lancedb") from None
    return lancedb.connect(folder)


def _among(ids: npt.NDArray[np.int64]) -> str:
    return f"id IN ({', '.join(map(str, ids.tolist()))})"


def _labels(codes: Codes) -> pa.Array:
    import pyarrow as pa

    return pa.nulls(len(codes), pa.int64()) if codes.labels is None else pa.array(codes.labels)


def _to_arrow(codes: Codes) -> pa.Table:
    import pyarrow as pa

    packed = pa.FixedSizeListArray.from_arrays(pa.array(codes.packed.ravel()), codes.packed.shape[1])
    return pa.table({"id": pa.array(codes.ids), "label": _labels(codes), "code": packed})


def _packed(column: pa.ChunkedArray, bits: int) -> npt.NDArray[np.uint8]:
    return np.concatenate([chunk.flatten().to_numpy() for chunk in column.chunks]).reshape(-1, bits // 8)


def _from_arrow(table: pa.Table, bits: int) -> Codes:
    labels = None if table["label"].null_count else table["label"].to_numpy()
    return Codes(_packed(table["code"], bits), labels, table["id"].to_numpy())
