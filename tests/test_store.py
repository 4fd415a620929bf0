"""`CodeStore` on a real LanceDB in a folder, against FAISS; Parquet read back as whole numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from pocket import Codes, HammingIndex
from pocket.evaluation import clustered_codes, uniform_codes
from pocket.evaluation.store import CodeStore, export_parquet
from pocket.runs import ArtefactError


def test_exact_search_agrees_with_faiss(tmp_path: Path) -> None:
    database, queries = clustered_codes(3000, 300)
    store = CodeStore.create(tmp_path / "store", database)
    assert (len(store), store.bits, store.indexed) == (3000, 64, False)
    for k in (1, 10, 3000):
        some = Codes(queries.packed[:5]) if k == 3000 else queries
        distances, ids = store.search(some, k)
        assert (distances == HammingIndex(database, "flat", gpu=False).search(some, k)[0]).all()
        brute = np.bitwise_count(some.packed[:, None] ^ database.packed[ids]).sum(axis=2)
        assert (brute == distances).all()
    one = store.search(Codes(queries.packed[:1]), 4)
    assert one[1].shape == (1, 4)


def test_what_is_stored_is_there_in_another_process(tmp_path: Path) -> None:
    database = Codes(clustered_codes(200)[0].packed, np.arange(200) % 7, np.arange(200) * 5)
    CodeStore.create(tmp_path / "store", database)
    back = CodeStore(tmp_path / "store").codes()
    assert (back.packed == database.packed).all()
    assert (back.labels == database.labels).all()
    assert (back.ids == database.ids).all()


def test_lists_find_nearly_all_and_take_in_what_is_added(tmp_path: Path) -> None:
    database, queries = clustered_codes(60_000, 100)
    first = Codes(database.packed[:50_000], ids=database.ids[:50_000])
    store = CodeStore.create(tmp_path / "store", first)
    assert store.index(recall=0.98)
    store.add(Codes(database.packed[50_000:], ids=database.ids[50_000:]))
    again = CodeStore(tmp_path / "store")
    assert again.indexed
    distances, ids = again.search(queries)
    exact = again.search(queries, exact=True)[0]
    assert (exact == HammingIndex(database, "flat", gpu=False).search(queries)[0]).all()
    assert ((distances <= exact[:, -1:]) & (ids >= 0)).mean() >= 0.98
    assert (ids >= 50_000).any()
    again.remove(ids[:, 0])
    assert not np.isin(ids[:, 0], again.search(queries)[1]).any()


def test_uniform_codes_stay_exact(tmp_path: Path) -> None:
    database, queries = uniform_codes(20_000, 10)
    store = CodeStore.create(tmp_path / "store", database)
    with pytest.warns(UserWarning, match="searches stay exact"):
        assert not store.index()
    assert (store.search(queries)[0] == HammingIndex(database, "flat", gpu=False).search(queries)[0]).all()


def test_bad_input_gets_a_clear_error_and_changes_nothing(tmp_path: Path) -> None:
    database = clustered_codes(100)[0]
    store = CodeStore.create(tmp_path / "store", database)
    with pytest.raises(ValueError, match="not an empty folder"):
        CodeStore.create(tmp_path / "store", database)
    with pytest.raises(ValueError, match="no code to store"):
        CodeStore.create(tmp_path / "other", Codes(database.packed[:0]))
    with pytest.raises(ValueError, match=r"id 0 is in the store already \(100 of 100"):
        store.add(database)
    with pytest.raises(ValueError, match="16 bits, the store has 64"):
        store.add(Codes.from_bits([[0] * 16]))
    with pytest.raises(ValueError, match=r"id 777 is not in the store \(1 of 2"):
        store.remove([3, 777])
    with pytest.raises(ValueError, match="queries have 16 bits"):
        store.search(Codes.from_bits([[0] * 16]))
    for k in (0, 101):
        with pytest.raises(ValueError, match=f"k={k}: choose 1 to 100"):
            store.search(database, k)
    store.remove([])
    assert len(store) == 100
    with pytest.raises(ArtefactError, match="missing"):
        CodeStore(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "store.json").write_bytes((tmp_path / "store" / "store.json").read_bytes())
    with pytest.raises(ArtefactError, match="does not hold a table"):
        CodeStore(tmp_path / "empty")


@pytest.mark.parametrize("bits", [8, 64, 72, 128])
def test_parquet_holds_codes_as_whole_numbers(bits: int, tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 2, (50, bits))
    codes = Codes.from_bits(values, np.arange(50) % 3, np.arange(50) + 9)
    table = pq.read_table(export_parquet(codes, tmp_path / "codes.parquet"))
    assert table["id"].to_pylist() == codes.ids.tolist()
    assert table["label"].to_pylist() == codes.labels.tolist()
    names = ["code", "code_1"][: -(-bits // 64)]
    assert table.column_names == ["id", "label", *names]
    for number, name in enumerate(names):
        part = values[:, 64 * number : 64 * number + 64]
        assert str(table.schema.field(name).type) == "uint64"
        assert table[name].to_pylist() == [int("".join(map(str, row)), 2) for row in part]
    assert pq.read_table(export_parquet(Codes(codes.packed), tmp_path / "x.parquet"))["label"].null_count == 50


def test_ids_are_never_twice_and_labels_never_mixed(tmp_path: Path) -> None:
    codes = Codes.from_bits([[0] * 8, [1] * 8], [0, 1])
    twice = Codes(codes.packed, codes.labels, np.array([7, 7]))
    with pytest.raises(ValueError, match="id 7 is there twice"):
        CodeStore.create(tmp_path / "new", twice)
    store = CodeStore.create(tmp_path / "store", codes)
    with pytest.raises(ValueError, match="id 7 is there twice"):
        store.add(twice)
    with pytest.raises(ValueError, match="the store's codes have labels: add codes of the same kind"):
        store.add(Codes(codes.packed, ids=np.array([5, 6])))
    store.remove([0, 0, 1])
    assert len(store) == 0
    assert store.codes().packed.shape == (0, 1)
