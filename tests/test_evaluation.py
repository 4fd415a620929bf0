"""Scores against exact enumeration and against scikit-learn; codes, search and the errors of each."""

from __future__ import annotations

import doctest
import itertools
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

import pocket.evaluation.codes
import pocket.evaluation.intervals
import pocket.evaluation.search
from pocket import Codes, HammingIndex, evaluate_codes
from pocket.evaluation import histograms, metrics
from pocket.evaluation.compatibility import compatible_map
from pocket.evaluation.intervals import bootstrap_mean


def every_order(groups: list[tuple[int, int]]) -> list[list[int]]:
    """All distinct rankings (1 relevant, 0 not) of groups of (items, relevant) with random order inside each."""
    per_group = []
    for items, relevant in groups:
        places = itertools.combinations(range(items), relevant)
        per_group.append([[int(i in chosen) for i in range(items)] for chosen in places])
    return [list(itertools.chain(*order)) for order in itertools.product(*per_group)]


def plain_ap(ranking: list[int], found: int, at: int | None) -> float:
    hits, total = 0, 0.0
    for place, relevant in enumerate(ranking[:at], start=1):
        hits += relevant
        total += relevant * hits / place
    return total / (found if at is None else min(at, found))


small_groups = st.lists(
    st.integers(0, 4).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n))), min_size=1, max_size=4
).filter(lambda groups: sum(r for _, r in groups) > 0)


@settings(max_examples=300, deadline=None)
@given(small_groups, st.one_of(st.none(), st.integers(1, 12)))
def test_expected_ap_and_its_bounds_equal_enumeration(groups: list[tuple[int, int]], at: int | None) -> None:
    total, relevant = (np.array([column]) for column in zip(*groups, strict=True))
    ap = metrics.average_precision(total, relevant, at)
    found = sum(r for _, r in groups)
    each = [plain_ap(order, found, at) for order in every_order(groups)]
    assert ap.expected[0] == pytest.approx(np.mean(each), abs=1e-12)
    assert ap.low[0] == pytest.approx(min(each), abs=1e-12)
    assert ap.high[0] == pytest.approx(max(each), abs=1e-12)


@st.composite
def code_tables(draw: st.DrawFn) -> tuple[Codes, Codes]:
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    bits, classes = 8 * draw(st.integers(1, 9)), draw(st.integers(1, 4))
    made = []
    for count in (draw(st.integers(1, 12)), draw(st.integers(1, 60))):
        # Few distinct codes, so that there are many ties.
        values = random.integers(0, 2, (4, bits))[random.integers(0, 4, count)]
        made.append(Codes.from_bits(values, random.integers(0, classes, count)))
    return made[0], Codes(made[1].packed, np.append(made[0].labels[:1], made[1].labels[1:]))


@settings(max_examples=100, deadline=None)
@given(code_tables(), st.integers(0, 2**32))
def test_order_blocks_and_a_mask_change_nothing(tables: tuple[Codes, Codes], seed: int) -> None:
    query, database = tables
    report = evaluate_codes(query, database)
    assert report.map_low - 1e-12 <= report.map <= report.map_high + 1e-12
    random = np.random.default_rng(seed)
    order = random.permutation(len(database))
    assert evaluate_codes(query, Codes(database.packed[order], database.labels[order])) == report
    mask = random.integers(0, 256, query.packed.shape[1], dtype=np.uint8)
    assert (
        evaluate_codes(Codes(query.packed ^ mask, query.labels), Codes(database.packed ^ mask, database.labels))
        == report
    )


def test_block_size_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    query, database = (Codes.from_bits(random.integers(0, 2, (n, 64)), random.integers(0, 5, n)) for n in (50, 300))
    whole = evaluate_codes(query, database)
    monkeypatch.setattr(histograms, "_BLOCK_BYTES", 1)
    assert evaluate_codes(query, database) == whole


def test_tie_free_ap_agrees_with_scikit_learn() -> None:
    random = np.random.default_rng(1)
    for _ in range(20):
        relevant = random.integers(0, 2, 65)
        relevant[random.integers(65)] = 1
        ap = metrics.average_precision(np.ones((1, 65), dtype=int), relevant[None])
        oracle = average_precision_score(relevant, -np.arange(65))
        assert ap.expected[0] == pytest.approx(oracle, abs=1e-6)
        assert ap.low[0] == pytest.approx(ap.high[0], abs=1e-12)


def test_large_databases_lose_no_digits() -> None:
    """Everything relevant: AP is 1 at any size, although the closed form subtracts large numbers."""
    total = np.array([[3, 0, 400_000, 600_000]])
    ap = metrics.average_precision(total, total)
    assert ap.expected[0] == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("engine", ["numpy", "numba"])
def test_histograms_equal_plain_counting(engine: str) -> None:
    random = np.random.default_rng(2)
    for bits in (8, 24, 64, 72, 128):
        q, d = random.integers(0, 2, (7, bits)), random.integers(0, 2, (40, bits))
        ql, dl = random.integers(0, 4, 7), random.choice([-2, 1, 2, 9], 40)  # classes that the other side lacks
        packed = np.packbits(q, axis=1), ql, np.packbits(d, axis=1), dl
        total, relevant = histograms.distance_histograms(*packed, engine=engine)
        distance = (q[:, None] != d).sum(axis=2)
        for i in range(7):
            assert (total[i] == np.bincount(distance[i], minlength=bits + 1)).all()
            assert (relevant[i] == np.bincount(distance[i][dl == ql[i]], minlength=bits + 1)).all()


def test_precision_and_recall_by_hand() -> None:
    total, relevant = np.array([[1, 3, 0, 4]]), np.array([[1, 1, 0, 2]])
    assert metrics.precision_at(total, relevant, 1)[0] == 1
    assert metrics.precision_at(total, relevant, 2)[0] == pytest.approx((1 + 1 / 3) / 2)
    assert metrics.precision_at(total, relevant, 8)[0] == pytest.approx(4 / 8)
    precision, recall = metrics.precision_recall(total, relevant)
    assert precision == pytest.approx([1, 2 / 4, 2 / 4, 4 / 8])
    assert recall == pytest.approx([1 / 4, 2 / 4, 2 / 4, 1])
    with pytest.raises(ValueError, match="k=9: choose 1 to 8"):
        metrics.precision_at(total, relevant, 9)


def test_a_query_without_relevant_items_is_counted_and_left_out() -> None:
    query = Codes.from_bits([[0] * 8, [1] * 8], [0, 7])
    report = evaluate_codes(query, Codes.from_bits([[0] * 8, [1] * 8], [0, 1]))
    assert (report.queries, report.queries_without_relevant) == (2, 1)
    assert report.map == 1
    assert report.query_ap == (1.0, None)
    assert report.worst(5) == [0]


def test_perfect_and_worst_retrieval() -> None:
    codes = Codes.from_bits([[0] * 8, [1] * 8], [0, 1])
    assert evaluate_codes(codes, codes).map == 1
    swapped = Codes(codes.packed, np.array([1, 0]))
    assert evaluate_codes(codes, swapped).map == 0.5


GOOD = Codes.from_bits([[0] * 8, [1] * 8], [0, 1])
SIDE = (GOOD.packed, np.array([0, 1]))
ONE = np.ones((1, 9), dtype=np.int64)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: evaluate_codes(Codes(GOOD.packed[:0], GOOD.labels[:0]), GOOD), "query side holds no code"),
        (lambda: evaluate_codes(GOOD, Codes(GOOD.packed)), "database codes have no labels"),
        (lambda: evaluate_codes(GOOD, Codes.from_bits([[0] * 16], [0])), "8 bits, database codes 16"),
        (lambda: evaluate_codes(GOOD, Codes(GOOD.packed, np.array([5, 6]))), "same labels"),
        (lambda: evaluate_codes(GOOD, GOOD, at=0), "at=0"),
        (lambda: metrics.precision_within(ONE, ONE, 9), "radius=9: choose 0 to 8"),
        (lambda: histograms.distance_histograms(*SIDE, *SIDE, engine="cuda"), "auto, numba, numpy"),
        (lambda: bootstrap_mean([0.1, 0.2], [1]), "one score and one group"),
        (lambda: bootstrap_mean([0.1], level=95), "level lies between 0 and 1"),
        (lambda: compatible_map(GOOD, GOOD, "mine"), "retrieved, all, map@r, scikit-learn, torchmetrics"),
        (lambda: compatible_map(GOOD, Codes(GOOD.packed), "all"), "database codes have no labels"),
        (lambda: compatible_map(GOOD, GOOD, "scikit-learn", at=5), "has no cut-off"),
        (lambda: compatible_map(GOOD, GOOD, "all", at=0), "at=0"),
        (lambda: compatible_map(GOOD, GOOD, "map@r", at=5), "leave `at` out"),
        (lambda: compatible_map(GOOD, Codes(GOOD.packed[:0], GOOD.labels[:0]), "all"), "database side holds no code"),
        (lambda: evaluate_codes(GOOD, GOOD, at=np.int64(0)), "at=0"),
        (lambda: evaluate_codes(GOOD, GOOD, at=2.0), "a whole number from 1"),
        (lambda: Codes.from_bits([[0] * 7]), "multiple of 8"),
        (lambda: Codes.from_bits([[0.5] * 8]), "0 or 1"),
        (lambda: Codes(np.zeros((2, 4))), "packed bits"),
        (lambda: Codes(np.zeros((2, 0), dtype=np.uint8)), "at least 8 bits"),
        (lambda: Codes(GOOD.packed, np.array([1])), "labels must be whole numbers"),
        (lambda: Codes(GOOD.packed, np.array([0.0, 1.0])), "labels must be whole numbers"),
        (lambda: HammingIndex(Codes(GOOD.packed[:0])), "database is empty"),
        (lambda: HammingIndex(GOOD).search(GOOD, k=0), "k=0: choose 1 to 2"),
        (lambda: HammingIndex(GOOD).search(GOOD, k=3), "k=3: choose 1 to 2"),
        (lambda: HammingIndex(GOOD).search(Codes.from_bits([[0] * 16])), "queries have 16 bits"),
    ],
)
def test_bad_input_gets_a_clear_error(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_search_agrees_with_brute_force() -> None:
    random = np.random.default_rng(3)
    bits = random.integers(0, 2, (500, 32))
    database = Codes.from_bits(bits, ids=np.arange(500) + 1000)
    queries = random.integers(0, 2, (20, 32))
    distances, ids = HammingIndex(database, gpu=False).search(Codes.from_bits(queries), k=50)
    brute = (queries[:, None] != bits).sum(axis=2)
    assert (distances == np.sort(brute, axis=1)[:, :50]).all()
    assert (np.take_along_axis(brute, ids - 1000, axis=1) == distances).all()


def test_a_gpu_that_is_not_there_is_not_replaced_in_silence() -> None:
    import faiss

    if faiss.get_num_gpus():
        pytest.skip("FAISS finds a GPU here")
    with pytest.raises(ValueError, match="finds no GPU"):
        HammingIndex(GOOD, gpu=True)


def test_packing_round_trip_and_doctests() -> None:
    bits = np.random.default_rng(4).integers(0, 2, (9, 40))
    assert (Codes.from_bits(bits).unpack() == bits).all()
    for module in (pocket.evaluation.codes, pocket.evaluation.intervals, pocket.evaluation.search):
        outcome = doctest.testmod(module, extraglobs={"Codes": Codes})
        assert outcome.attempted
        assert not outcome.failed
