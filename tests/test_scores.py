"""Scores under ties against enumeration, and the field's tools against those tools themselves."""

from __future__ import annotations

import itertools
import math
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, ndcg_score
from test_evaluation import every_order, plain_ap, small_groups
from torchmetrics.functional.retrieval import retrieval_average_precision

from pocket import Codes
from pocket.evaluation import distance_histograms, evaluate_codes, metrics
from pocket.evaluation.compatibility import STYLES, compatible_map, ranked_average_precision
from pocket.evaluation.intervals import bootstrap_mean

Groups = list[tuple[int, int]]


def tables(groups: Groups) -> tuple[np.ndarray, np.ndarray]:
    total, relevant = (np.array([column]) for column in zip(*groups, strict=True))
    return total, relevant


@settings(max_examples=150, deadline=None)
@given(small_groups, st.integers(1, 16))
def test_scores_at_a_rank_equal_enumeration(groups: Groups, k: int) -> None:
    total, relevant = tables(groups)
    items, found = total.sum(), relevant.sum()
    k = min(k, int(items))
    orders = every_order(groups)
    hits = [sum(order[:k]) for order in orders]
    assert metrics.precision_at(total, relevant, k)[0] == pytest.approx(np.mean(hits) / k, abs=1e-12)
    assert metrics.recall_at(total, relevant, k)[0] == pytest.approx(np.mean(hits) / found, abs=1e-12)
    assert metrics.hit_rate_at(total, relevant, k)[0] == pytest.approx(np.mean([h > 0 for h in hits]), abs=1e-12)
    at_r = metrics.average_precision(total, relevant, relevant.sum(axis=1)).expected[0]
    assert at_r == pytest.approx(np.mean([plain_ap(order, found, found) for order in orders]), abs=1e-12)
    best = sum(1 / math.log2(i + 2) for i in range(min(k, found)))
    gains = [sum(hit / math.log2(i + 2) for i, hit in enumerate(order[:k])) for order in orders]
    assert metrics.ndcg(total, relevant, k)[0] == pytest.approx(np.mean(gains) / best, abs=1e-12)


def test_ndcg_shares_ties_as_scikit_learn_does() -> None:
    random = np.random.default_rng(0)
    for _ in range(20):
        distance, relevant = random.integers(0, 9, 200), random.integers(0, 2, 200)
        total = np.bincount(distance, minlength=9)[None]
        hits = np.bincount(distance, weights=relevant, minlength=9).astype(int)[None]
        for at in (None, 1, 30):
            theirs = ndcg_score([relevant], [-distance], k=at)
            assert metrics.ndcg(total, hits, at)[0] == pytest.approx(theirs, abs=1e-9)


def test_scores_of_a_query_without_relevant_items() -> None:
    total, none = np.array([[2, 0, 3]]), np.zeros((1, 3), dtype=int)
    assert metrics.precision_at(total, none, 2)[0] == metrics.hit_rate_at(total, none, 2)[0] == 0
    for undefined in (metrics.recall_at(total, none, 2), metrics.ndcg(total, none)):
        assert np.isnan(undefined[0])


def test_precision_within_a_radius_by_hand() -> None:
    total, relevant = np.array([[0, 2, 2], [0, 0, 4]]), np.array([[0, 1, 2], [0, 0, 1]])
    assert metrics.precision_within(total, relevant, 0).tolist() == [0, 0], "an empty answer is a failed one"
    assert metrics.precision_within(total, relevant, 1).tolist() == [0.5, 0]
    assert metrics.precision_within(total, relevant, 2).tolist() == [0.75, 0.25]


def tie_free(seed: int, queries: int = 20, items: int = 60) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    distance = np.stack([random.permutation(items) for _ in range(queries)])
    relevant = random.random((queries, items)) < 0.2
    relevant[:, 0] = True
    return distance, relevant


@pytest.mark.parametrize("at", [None, 1, 7, 60, 100])
def test_without_ties_the_tools_are_reproduced(at: int | None) -> None:
    distance, relevant = tie_free(1)
    ours = {style: ranked_average_precision(distance, relevant, style, at) for style in ("torchmetrics", "retrieved")}
    scores = torch.tensor(distance.max() + 1 - distance).float()  # positive: 0 and below reads as irrelevant there
    theirs = [retrieval_average_precision(s, torch.tensor(r), top_k=at) for s, r in zip(scores, relevant, strict=True)]
    assert ours["torchmetrics"] == pytest.approx(np.array(theirs), abs=1e-6)
    ordered = [relevant[q][np.argsort(distance[q])] for q in range(len(distance))]
    by_hand = [sum(r[: i + 1].mean() for i in np.flatnonzero(r[:at])) / max(1, r[:at].sum()) for r in ordered]
    assert ours["retrieved"] == pytest.approx(by_hand, abs=1e-12)
    by_all = [sum(r[: i + 1].mean() for i in np.flatnonzero(r[:at])) / r.sum() for r in ordered]
    assert ranked_average_precision(distance, relevant, "all", at) == pytest.approx(by_all, abs=1e-12)


def test_scikit_learn_is_reproduced_with_ties_and_without() -> None:
    for distance, relevant in (tie_free(2), (np.random.default_rng(3).integers(0, 6, (20, 60)), tie_free(3)[1])):
        theirs = [average_precision_score(r, -d) for d, r in zip(distance, relevant, strict=True)]
        assert ranked_average_precision(distance, relevant, "scikit-learn") == pytest.approx(theirs, abs=1e-6)


def test_without_ties_all_styles_agree_with_the_expectation() -> None:
    """A database at distances 0, 1, ... 64: every rank is known, and only the cut-off parts the styles."""
    codes = Codes.from_bits(np.tril(np.ones((65, 64), dtype=int), -1), np.random.default_rng(4).integers(0, 3, 65))
    query = Codes(codes.packed[:1], codes.labels[:1])
    ours = evaluate_codes(query, codes)
    assert ours.map_low == pytest.approx(ours.map_high)
    for style in set(STYLES) - {"map@r"}:
        assert compatible_map(query, codes, style) == pytest.approx(ours.map, abs=1e-6)
    assert compatible_map(query, codes, "map@r") == pytest.approx(ours.map_at_r, abs=1e-6)


def test_map_at_r_by_hand() -> None:
    """Relevant at ranks 1, 3 and 6 of six: R = 3, of which ranks 1 and 3 count, (1 + 2/3) / 3."""
    hits = np.array([[True, False, True, False, False, True]])
    assert ranked_average_precision(np.arange(6)[None], hits, "map@r") == pytest.approx((1 + 2 / 3) / 3)
    assert ranked_average_precision(np.arange(6)[None], hits, "all", 3) == pytest.approx((1 + 2 / 3) / 3)
    assert ranked_average_precision(np.arange(6)[None], hits, "retrieved", 3) == pytest.approx((1 + 2 / 3) / 2)


@pytest.mark.parametrize("bits", [248, 256, 512])
def test_long_codes_count_alike(bits: int) -> None:
    """A distance of 256 does not fit a byte."""
    random = np.random.default_rng(bits)
    some = random.integers(0, 2, (20, bits))
    database = Codes.from_bits(np.concatenate([some, 1 - some]), np.arange(40) % 3)
    query = Codes.from_bits(some, np.arange(20) % 3)
    sides = query.packed, query.labels, database.packed, database.labels
    counted = [distance_histograms(*sides, engine=engine) for engine in ("numba", "numpy")]
    assert (counted[0].total == counted[1].total).all()
    assert (counted[0].relevant == counted[1].relevant).all()
    assert counted[0].total[:, bits].all(), "each query's complement lies at distance K"


def test_with_ties_the_order_of_the_file_moves_them_and_not_us() -> None:
    random = np.random.default_rng(5)
    database = Codes.from_bits(random.integers(0, 2, (400, 8)), np.arange(400) // 100)
    query = Codes.from_bits(random.integers(0, 2, (40, 8)), np.zeros(40, dtype=int))  # the class that comes first
    turned = Codes(database.packed[::-1].copy(), database.labels[::-1].copy())
    assert compatible_map(query, database, "all") > compatible_map(query, turned, "all") + 0.01
    one, other = evaluate_codes(query, database), evaluate_codes(query, turned)
    assert one.model_dump() == other.model_dump()
    # The class that comes first wins every tie, and that which comes last loses every one: the two bounds.
    assert compatible_map(query, database, "all") == pytest.approx(one.map_high)
    assert compatible_map(query, turned, "all") == pytest.approx(one.map_low)


def test_bootstrap_covers_and_knows_groups() -> None:
    random = np.random.default_rng(6)
    covered = 0
    for seed in range(200):
        low, high = bootstrap_mean(random.random(60), seed=seed)
        covered += low <= 0.5 <= high
    assert 0.9 <= covered / 200 <= 0.985
    values = np.repeat(random.random(20), 6)
    single, grouped = bootstrap_mean(values), bootstrap_mean(values, np.repeat(np.arange(20), 6))
    assert grouped.high - grouped.low > 1.8 * (single.high - single.low), "copies of a part tell nothing new"
    assert bootstrap_mean([0.2, np.nan, 0.2]) == (0.2, 0.2)
    assert np.isnan(bootstrap_mean([0.2, np.nan])).all()
    assert bootstrap_mean(values, seed=1) == bootstrap_mean(values, seed=1) != bootstrap_mean(values, seed=2)


SCORE = """
import sys, numpy as np
from pocket import Codes
from pocket.evaluation import evaluate_codes
random = np.random.default_rng(0)
query, database = (Codes.from_bits(random.integers(0, 2, (n, 64)), random.integers(0, 7, n)) for n in (300, 2000))
report = evaluate_codes(query, database, at=500, engine=sys.argv[1])
print(report.to_json())
"""


def test_scores_are_the_same_bits_on_any_processor_and_any_number_of_threads() -> None:
    from numpy._core._multiarray_umath import __cpu_dispatch__, __cpu_features__

    present = [name for name in __cpu_dispatch__ if __cpu_features__.get(name)]
    runs: list[tuple[str, dict[str, str]]] = [
        ("numpy", {}),
        ("numpy", {"NPY_DISABLE_CPU_FEATURES": " ".join(present)}),
        *(("numba", {"NUMBA_NUM_THREADS": threads}) for threads in ("1", "2")),
        ("numba", {"NUMBA_CPU_NAME": "generic"}),
    ]
    found = [
        subprocess.run(
            [sys.executable, "-c", SCORE, engine], env=os.environ | extra, capture_output=True, text=True, check=True
        ).stdout
        for engine, extra in runs
    ]
    assert '"map"' in found[0]
    for (engine, extra), other in itertools.islice(zip(runs, found, strict=True), 1, None):
        assert other == found[0], (engine, extra)


def test_counting_leaves_the_number_of_threads_that_training_has() -> None:
    """A training's bits depend on it, and numba may share the OpenMP of torch."""
    tell = "print(torch.get_num_threads())"
    told = subprocess.run(
        [sys.executable, "-c", f"import torch; torch.set_num_threads(1); {tell}{SCORE}{tell}", "numba"],
        env=os.environ | {"NUMBA_NUM_THREADS": "2"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    assert (told[0], told[-1]) == ("1", "1")
