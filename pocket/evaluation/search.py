"""`HammingIndex`: exact nearest codes by FAISS."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pocket.evaluation.codes import Codes

GPU_LIMIT = 2048  # neighbours that FAISS finds on a GPU


class HammingIndex:
    """An exact (flat) index of packed codes.

    Parameters
    ----------
    codes : Codes
        The database. Results name items by ``codes.ids``.
    gpu : bool, optional
        None takes a GPU when FAISS finds one; True asks for it; False stays on the CPU.

    Raises
    ------
    ValueError
        If there is no code to index, or a GPU is asked for and there is none.

    Examples
    --------
    >>> database = Codes.from_bits([[0] * 8, [1] * 8], [0, 1])
    >>> HammingIndex(database, gpu=False).search(Codes.from_bits([[1] * 7 + [0]]), k=2)
    (array([[1, 7]], dtype=int32), array([[1, 0]]))
    """

    def __init__(self, codes: Codes, *, gpu: bool | None = None) -> None:
        import faiss

        if not len(codes):
            raise ValueError("there is no code to index: the database is empty")
        found = faiss.get_num_gpus() if hasattr(faiss, "get_num_gpus") else 0
        if gpu and not found:
            raise ValueError("gpu=True, but FAISS finds no GPU here; leave gpu out to search on the CPU")
        self.bits = codes.bits
        self.on_gpu = bool(found) if gpu is None else gpu
        self._ids = codes.ids
        self._flat = faiss.IndexBinaryFlat(codes.bits)
        self._flat.add(np.ascontiguousarray(codes.packed))
        self._gpu: Any = None
        if self.on_gpu:
            # FAISS wraps the resources itself; its type stubs do not know that.
            self._gpu = faiss.index_binary_cpu_to_gpu(faiss.StandardGpuResources(), 0, self._flat)  # type: ignore[arg-type]

    def __len__(self) -> int:
        return int(self._flat.ntotal)

    def search(self, queries: Codes, k: int = 10) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
        """Return the k nearest items of each query.

        Parameters
        ----------
        queries : Codes
        k : int
            1 to the size of the index.

        Returns
        -------
        distances : ndarray of int32, shape (Q, k)
            Hamming distances, increasing. Items at equal distance stand in no meaningful order.
        ids : ndarray of int64, shape (Q, k)

        Raises
        ------
        ValueError
            If k or the code length does not fit.
        """
        if queries.bits != self.bits:
            raise ValueError(f"queries have {queries.bits} bits, the index has {self.bits}")
        if not 1 <= k <= len(self):
            raise ValueError(f"k={k}: choose 1 to {len(self)}, the size of the index")
        index = self._gpu if self.on_gpu and k <= GPU_LIMIT else self._flat
        distances, rows = index.search(np.ascontiguousarray(queries.packed), k)
        assert self._ids is not None
        return distances, self._ids[rows]
