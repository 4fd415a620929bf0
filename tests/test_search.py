"""Every kind of index against brute force, with repeated codes; changing, saving and damaging one."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pocket import Codes, HammingIndex
from pocket.evaluation import clustered_codes, search, uniform_codes
from pocket.evaluation.engines import unique
from pocket.runs import ArtefactError


def few(count: int, bits: int = 24, distinct: int = 20, seed: int = 0) -> Codes:
    """Codes of which many are equal, with ids out of order."""
    random = np.random.default_rng(seed)
    values = random.integers(0, 2, (distinct, bits))[random.integers(distinct, size=count)]
    return Codes.from_bits(values, ids=random.permutation(count) * 3)


def brute(database: Codes, queries: Codes) -> np.ndarray:
    return (queries.unpack()[:, None] != database.unpack()).sum(axis=2)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(["flat", "unique"]), st.integers(1, 80), st.sampled_from([8, 24, 72, 128]), st.integers(0, 99))
def test_exact_kinds_agree_with_brute_force(kind: str, count: int, bits: int, seed: int) -> None:
    database, queries = few(count, bits, seed=seed), few(7, bits, seed=seed + 1)
    index = HammingIndex(database, kind, gpu=False)
    all_distances = brute(database, queries)
    place = {int(i): n for n, i in enumerate(database.ids)}
    for k in {1, min(11, count), count}:
        distances, ids = index.search(queries, k)
        assert (distances == np.sort(all_distances, axis=1)[:, :k]).all()
        rows = np.vectorize(place.get)(ids)
        assert (np.take_along_axis(all_distances, rows, axis=1) == distances).all()
        assert all(len(set(row)) == k for row in ids.tolist()), "no item twice"
    for radius in (0, 3, bits):
        found = index.within(queries, radius)
        assert len(found.bounds) == 8
        for q, (first, last) in enumerate(itertools.pairwise(found.bounds)):
            assert set(found.ids[first:last]) == set(database.ids[all_distances[q] <= radius])
            assert (np.diff(found.distances[first:last]) >= 0).all()
            assert (found.distances[first:last] <= radius).all()


def test_unique_gathers_equal_codes() -> None:
    codes = few(100)
    table = unique(codes.packed)
    assert len(table.packed) == len({bytes(code) for code in codes.packed})
    for code, (first, last) in zip(table.packed, itertools.pairwise(table.starts), strict=True):
        assert (codes.packed[table.order[first:last]] == code).all()
    assert sorted(table.order) == list(range(100))


def test_kinds_are_chosen_by_what_repeats() -> None:
    assert HammingIndex(clustered_codes(100_000, 1)[0], gpu=False).kind == "unique"
    assert HammingIndex(few(200), gpu=False).kind == "flat", "too few for the distinct ones to pay"
    index = HammingIndex(uniform_codes(200)[0], gpu=False)
    assert (index.kind, index.reason) == ("flat", "0% of 200 codes repeat another")


@pytest.fixture(scope="module")
def lists() -> tuple[HammingIndex, Codes, Codes]:
    database, queries = clustered_codes(300_000, 100)
    index = HammingIndex(database, "ivf", gpu=False)
    assert index.kind == "ivf", index.reason
    return index, database, queries


def recall(index: HammingIndex, database: Codes, queries: Codes, k: int = 100) -> float:
    farthest = HammingIndex(database, "flat", gpu=False).search(queries, k)[0][:, -1:]
    distances, ids = index.search(queries, k)
    assert len(np.unique(ids[0])) == k
    return float(((distances <= farthest) & (ids >= 0)).mean())


def test_lists_find_nearly_all_of_clustered_codes(lists: tuple[HammingIndex, Codes, Codes]) -> None:
    index, database, queries = lists
    assert recall(index, database, queries) >= 0.99
    few_queries = Codes(queries.packed[:5])
    found, exact = index.within(few_queries, 4), HammingIndex(database, "flat", gpu=False).within(few_queries, 4)
    assert (found.bounds == exact.bounds).all(), "a range is exact with every kind"
    assert (found.distances == exact.distances).all()


def test_lists_take_in_what_is_added_and_forget_what_is_removed(lists: tuple[HammingIndex, Codes, Codes]) -> None:
    _, database, queries = lists
    half = len(database) // 2
    index = HammingIndex(Codes(database.packed[:half], ids=database.ids[:half]), "ivf", gpu=False)
    centres = index._laid.centres
    index.add(Codes(database.packed[half:], ids=database.ids[half:]))
    assert index.kind == "ivf"
    assert recall(index, database, queries) >= 0.98
    gone = np.random.default_rng(0).permutation(len(database))[:half]
    index.remove(database.ids[gone])
    left = np.setdiff1d(database.ids, gone)
    assert recall(index, Codes(database.packed[left], ids=left), queries) >= 0.98
    assert not np.isin(index.search(queries, 100)[1], gone).any()
    assert index._laid.centres is centres, "the lists stay as they were laid out"
    assert len(index._laid.member) == len(unique(database.packed[left]).packed)


def test_lists_give_way_to_flat_on_uniform_codes_and_say_so() -> None:
    database, queries = uniform_codes(100_000, 10)
    with pytest.warns(UserWarning, match="the index is flat: looking into"):
        index = HammingIndex(database, "ivf", gpu=False)
    assert index.kind == "flat"
    assert recall(index, database, queries) == 1


@pytest.mark.parametrize("kind", ["flat", "unique"])
def test_items_are_added_and_removed(kind: str) -> None:
    first, codes = few(40), few(60, seed=1)
    second = Codes(codes.packed, ids=codes.ids + 1000)
    index = HammingIndex(first, kind, gpu=False)
    index.search(first, 3)
    index.add(second)
    both = Codes(np.concatenate([first.packed, second.packed]), ids=np.concatenate([first.ids, second.ids]))
    queries = few(5, seed=2)
    fresh = HammingIndex(both, kind, gpu=False)
    assert len(index) == 100
    assert all((a == b).all() for a, b in zip(index.search(queries, 100), fresh.search(queries, 100), strict=True))
    index.remove(second.ids)
    again = HammingIndex(first, kind, gpu=False)
    assert all((a == b).all() for a, b in zip(index.search(queries, 40), again.search(queries, 40), strict=True))
    index.remove(first.ids)
    with pytest.raises(ValueError, match="the index is empty"):
        index.search(queries, 1)
    index.add(first)
    assert len(index) == 40


@pytest.mark.parametrize("kind", ["flat", "unique", "ivf"])
def test_an_index_is_saved_and_loaded(kind: str, tmp_path: Path, lists: tuple[HammingIndex, Codes, Codes]) -> None:
    index, queries = (lists[0], lists[2]) if kind == "ivf" else (HammingIndex(few(50), kind, gpu=False), few(5, seed=1))
    path = index.save(tmp_path / "index.safetensors")
    loaded = HammingIndex.load(path, gpu=False)
    assert (loaded.kind, loaded.reason, len(loaded)) == (index.kind, index.reason, len(index))
    assert all((a == b).all() for a, b in zip(index.search(queries, 20), loaded.search(queries, 20), strict=True))


def test_an_altered_or_foreign_file_is_refused(tmp_path: Path) -> None:
    path = HammingIndex(few(50), "flat", gpu=False).save(tmp_path / "index.safetensors")
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(ArtefactError, match="checksum differs"):
        HammingIndex.load(path)
    path.write_bytes(whole[:-5])
    with pytest.raises(ArtefactError, match="damaged"):
        HammingIndex.load(path)
    other = search.save_tensors(tmp_path / "other.safetensors", {"packed": np.zeros((2, 1), dtype=np.uint8)})
    with pytest.raises(ArtefactError, match="does not hold a HammingIndex"):
        HammingIndex.load(other)
    with pytest.raises(ArtefactError, match="missing"):
        HammingIndex.load(tmp_path / "none.safetensors")
    arrays = {"packed": few(50).packed, "ids": few(50).ids, "centres": np.zeros((2, 3), dtype=np.uint8)}
    arrays["member"] = np.full(len(unique(few(50).packed).packed), 7)  # beyond the lists
    card = {"kind": "hamming-index", "index": "ivf", "reason": "", "recall": "0.9", "probes": "1"}
    search.save_tensors(path, arrays, card | {"sha256": search._checksum(arrays)})
    with pytest.raises(ArtefactError, match="lists do not fit"):
        HammingIndex.load(path)


CODES = few(20)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: HammingIndex(CODES, "hnsw"), "auto, flat, unique, ivf"),
        (lambda: HammingIndex(CODES, recall=99), "recall=99"),
        (lambda: HammingIndex(Codes(CODES.packed, ids=np.zeros(20, dtype=int))), "id 0 is there twice"),
        (lambda: HammingIndex(CODES, gpu=False).within(CODES, 25), "radius=25: choose 0 to 24"),
        (lambda: HammingIndex(CODES, gpu=False).within(CODES, -1), "radius=-1"),
        (lambda: HammingIndex(CODES, gpu=False).add(CODES), "is there twice"),
        (lambda: HammingIndex(CODES, gpu=False).add(few(3, bits=16)), "16 bits, the index has 24"),
        (lambda: HammingIndex(CODES, gpu=False).remove([0, 1]), r"id 1 is not in the index \(1 of 2"),
    ],
)
def test_bad_input_gets_a_clear_error(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_clustered_codes_are_what_they_say() -> None:
    database, queries = clustered_codes(50_000, 200, repeated=0.4)
    assert (len(database), len(queries), database.bits) == (50_000, 200, 64)
    repeated = 1 - len(unique(database.packed).packed) / 50_000
    assert 0.4 <= repeated <= 0.45
    same, other = clustered_codes(50_000, 200)[0], clustered_codes(50_000, 200, seed=1)[0]
    assert (same.packed == database.packed).all()
    assert not (other.packed == database.packed).all()


@pytest.mark.parametrize("count", [5, 5_000, 150_000])
def test_a_few_distinct_codes_are_searched_exactly_and_it_says_so(count: int) -> None:
    """A model with one codeword a class gives ten codes for millions of images."""
    codes = few(count, distinct=10)
    with pytest.warns(UserWarning, match=r"the index is (flat|unique): its codes have \d+ distinct values only"):
        index = HammingIndex(codes, "ivf", gpu=False)
    assert index.kind == ("unique" if count >= 100_000 else "flat")
    query = few(3, distinct=3, seed=1)
    distances, _ = index.search(query, 5)
    assert (distances == np.sort(brute(codes, query), axis=1)[:, :5]).all()


def test_something_else_than_codes_is_named() -> None:
    packed = few(4).packed
    for call in (lambda: HammingIndex(packed), lambda: HammingIndex(few(4)).search(packed)):  # type: ignore[arg-type]
        with pytest.raises(TypeError, match=r"a pocket\.Codes, not ndarray: Codes\.from_bits"):
            call()
    with pytest.raises(ValueError, match=r"k=1\.5"):
        HammingIndex(few(4)).search(few(1), 1.5)  # type: ignore[arg-type]


def test_bits_that_are_not_packed_are_noticed() -> None:
    bits = np.random.default_rng(0).integers(0, 2, (50, 32)).astype(np.uint8)
    with pytest.warns(UserWarning, match="if these are 32 bits that are not packed yet"):
        Codes(bits)
    with pytest.raises(ValueError, match=r"np\.unique\(names, return_inverse=True\)"):
        Codes(np.packbits(bits, axis=1), np.array(["cat"] * 50))


def test_heap_and_counting_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    database, queries = clustered_codes(20_000, 300)
    found = []
    for heap in (True, False):
        monkeypatch.setattr("pocket.evaluation.engines.Flat._heap_is_faster", lambda *_, heap=heap: heap)
        index = HammingIndex(database, "flat", gpu=False)
        found.append(index.search(queries, 50))
        assert index._flat._heap is heap
    for one, other in zip(*found, strict=True):
        assert (one == other).all()
