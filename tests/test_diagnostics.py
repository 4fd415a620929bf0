"""Diagnostics against textbook implementations, against what is planted, and on a real model."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from sklearn.manifold import trustworthiness as sklearn_trustworthiness
from sklearn.neighbors import NearestNeighbors

import pocket
from pocket.evaluation import clustered_codes, diagnostics
from pocket.evaluation.diagnostics import CORRUPTIONS, DriftMonitor, corrupt


@pytest.fixture
def rng():
    return np.random.default_rng(5)


def test_bit_health_of_planted_codes(rng):
    bits = rng.integers(0, 2, (4000, 16))
    bits[:, 1], bits[:, 2] = bits[:, 0], 1 - bits[:, 0]  # one bit three times
    bits[:, 3] = 1  # constant
    health = diagnostics.bit_health(pocket.Codes.from_bits(bits, np.arange(4000) % 2))
    assert health.constant_bits == 1
    assert health.ones[3] == 1
    assert health.ones[1] == health.ones[0]
    assert health.correlation_worst == pytest.approx(1)
    # 13 independent directions, one of three times the variance.
    assert health.effective_bits == pytest.approx(15**2 / (12 + 9), rel=0.05)
    assert health.unique == len(np.unique(bits, axis=0)) / 4000
    assert health.entropy == pytest.approx(15 / 16, abs=0.001)


def test_collisions_across_classes():
    bits = np.zeros((4, 8), dtype=int)
    bits[2:, 0] = 1
    assert diagnostics.bit_health(pocket.Codes.from_bits(bits, [0, 1, 2, 2])).collisions == 0.5
    assert diagnostics.bit_health(pocket.Codes.from_bits(bits)).collisions is None
    with pytest.raises(ValueError, match="at least 2 codes"):
        diagnostics.bit_health(pocket.Codes.from_bits(bits[:1]))


def euclidean(x):
    return np.linalg.norm(x[:, None] - x[None], axis=2)


def test_neighbour_measures_agree_with_the_textbook_without_ties(rng):
    x = rng.normal(size=(120, 8))
    y = x[:, :3] + 0.3 * rng.normal(size=(120, 3))
    ours = diagnostics.trustworthiness(euclidean(x), euclidean(y), 7)
    assert ours == pytest.approx(sklearn_trustworthiness(x, y, n_neighbors=7), abs=1e-12)
    near = [set(map(tuple, np.argwhere(NearestNeighbors(n_neighbors=7).fit(z).kneighbors_graph()))) for z in (x, y)]
    assert diagnostics.neighbour_overlap(euclidean(x), euclidean(y), 7) == pytest.approx(
        len(near[0] & near[1]) / (7 * 120)
    )


def test_neighbour_measures_are_whole_against_themselves_under_ties():
    distance = diagnostics.hamming_matrix(clustered_codes(300, bits=16, classes=5, seed=0)[0])
    for k in (1, 10, 100):
        assert np.allclose(diagnostics.chance_among(distance, k).sum(axis=1), k)
        assert diagnostics.neighbour_overlap(distance, distance, k) == pytest.approx(1)
        assert diagnostics.trustworthiness(distance, distance, k) == 1


def test_neighbour_measures_do_not_depend_on_the_order_of_ties(rng):
    a, b = (diagnostics.hamming_matrix(clustered_codes(200, bits=16, classes=5, seed=s)[0]) for s in (1, 2))
    order = rng.permutation(200)
    turned = [m[np.ix_(order, order)] for m in (a, b)]
    assert diagnostics.trustworthiness(a, b, 10) == pytest.approx(diagnostics.trustworthiness(*turned, 10), abs=1e-12)


def test_cka_does_not_see_rotation_and_scale(rng):
    x = rng.normal(size=(50, 6))
    turn = np.linalg.qr(rng.normal(size=(6, 6)))[0]
    assert diagnostics.linear_cka(x, 3 * x @ turn + 1) == pytest.approx(1)
    assert diagnostics.linear_cka(x, rng.normal(size=(50, 6))) < 0.5
    assert diagnostics.linear_cka(x, np.ones((50, 2))) == 0


def test_coverage_and_density_against_loops(rng):
    x, y = rng.normal(size=(40, 3)), rng.normal(size=(15, 3))
    radius = np.sort(euclidean(x), axis=1)[:, 4]
    inside = np.linalg.norm(y[:, None] - x[None], axis=2) <= radius
    covered, density = diagnostics.coverage_density(x, y, 4)
    assert covered == inside.any(axis=0).mean()
    assert density == pytest.approx(inside.sum() / (4 * 15))


def test_effective_rank_and_spread(rng):
    basis = np.linalg.qr(rng.normal(size=(64, 64)))[0]
    assert diagnostics.effective_rank(np.concatenate([np.eye(3), -np.eye(3)])) == pytest.approx(3)
    assert diagnostics.effective_rank(np.ones((5, 4))) == 0
    assert diagnostics.effective_rank(basis[:, :2] @ rng.normal(size=(2, 9))) <= 2 + 1e-9
    x, labels = rng.normal(size=(600, 4)), np.repeat([0, 1, 2], 200)
    assert diagnostics.spread_ratio(x, labels, x / 2, labels) == pytest.approx(0.25)
    assert diagnostics.spread_ratio(x, labels, x[::200], labels[::200]) is None
    assert diagnostics.diversity(x, labels, x, labels).nearest == 0


def test_leakage_finds_planted_copies(rng):
    real = rng.normal(size=(500, 10))
    synthetic = rng.normal(size=(20, 10))
    synthetic[:5] = real[[7, 8, 9, 10, 11]]
    found = diagnostics.leakage(real, synthetic)
    assert 0.25 <= found.near_copies <= 0.35
    assert found.nearest_real[:5] == (7, 8, 9, 10, 11)
    with pytest.raises(ValueError, match="2 of 20 rows of synthetic hold NaN"):
        diagnostics.leakage(real, np.where(np.arange(20)[:, None] < 2, np.nan, synthetic))


def test_anomalies():
    zero, one = np.zeros((6, 16), dtype=int), np.ones((6, 16), dtype=int)
    index = pocket.HammingIndex(pocket.Codes.from_bits(zero))
    known, unknown = pocket.Codes.from_bits(zero), pocket.Codes.from_bits(one)
    apart = diagnostics.anomaly_detection(index, known, unknown)
    assert (apart.auroc, apart.fpr95, apart.unknown_distance) == (1, 0, 16)
    alike = diagnostics.anomaly_detection(index, known, known)
    assert (alike.auroc, alike.fpr95) == (0.5, 1)
    with pytest.raises(ValueError, match="unknown side holds no code"):
        diagnostics.anomaly_detection(index, known, pocket.Codes(np.zeros((0, 2), np.uint8)))


def test_rare_classes_against_a_database_thinned_by_hand():
    database, query = clustered_codes(300, 100, bits=32, classes=4, seed=3)
    names = tuple("abcd")
    found = diagnostics.rare_classes(query, database, names, shares=(1.0, 1e-9), draws=1)
    assert found.map[0] == pytest.approx(pocket.evaluate_codes(query, database, class_names=names).macro_map)
    assert len(found.rarest) == 1
    assert found.map[1] < found.map[0]
    with pytest.raises(ValueError, match="above 0"):
        diagnostics.rare_classes(query, database, names, shares=(0.0,))


def test_bias_names_the_planted_class():
    bits = np.zeros((40, 8), dtype=int)
    labels = np.arange(40) % 4
    for c in range(4):
        bits[labels == c, c] = 1
    good = pocket.Codes.from_bits(bits, labels)
    bits[labels == 2] = np.random.default_rng(0).integers(0, 2, (10, 8))
    poor = pocket.Codes.from_bits(bits, labels)
    reports = [pocket.evaluate_codes(codes, codes, class_names=tuple("abcd")) for codes in (poor, good)]
    bias = diagnostics.class_bias(*reports)
    assert (bias.worst, bias.worst_against) == ("c", "c")
    assert bias.against is not None
    assert bias.against["c"] < 0
    assert diagnostics.class_bias(reports[1]).gini == pytest.approx(0, abs=1e-9)


def bernoulli_codes(rng, count, p):
    return pocket.Codes.from_bits(rng.random((count, 64)) < p)


def test_drift_keeps_its_false_alarm_rate_and_fires(rng):
    p = rng.uniform(0.2, 0.8, 64)
    index = pocket.HammingIndex(bernoulli_codes(rng, 2000, p))
    rates, power = [], []
    for trial in range(5):  # the limits themselves vary with the reference
        monitor = DriftMonitor.fit(index, bernoulli_codes(rng, 400, p), window=50, false_alarm=0.05, seed=trial)
        rates.append(np.mean([monitor.check(bernoulli_codes(rng, 50, p)).alarm for _ in range(200)]))
        power.append(np.mean([monitor.check(bernoulli_codes(rng, 50, 0.8 * p)).alarm for _ in range(20)]))
    assert 0.005 < np.mean(rates) < 0.07
    assert np.mean(power) > 0.8
    with pytest.raises(ValueError, match="windows of 50 items, not 20"):
        monitor.check(bernoulli_codes(rng, 20, p))
    with pytest.raises(ValueError, match="window=200"):
        DriftMonitor.fit(index, bernoulli_codes(rng, 400, p), window=200)


@pytest.fixture(scope="module")
def digits():
    return pocket.load("digits")


def pictures(size, channels):
    grid = np.linspace(0, 1, size)
    plane = 0.5 + 0.4 * np.sin(9 * grid[:, None] + 5 * grid)
    pixels = np.stack([np.stack([plane ** (c + 1 + 0.1 * i) for c in range(channels)]) for i in range(6)])
    return pocket.ImageSet((pixels * 255).astype(np.uint8), np.zeros(6, dtype=int), ("x",), "waves")


@pytest.mark.parametrize("name", CORRUPTIONS)
@pytest.mark.parametrize(("size", "channels"), [(8, 1), (32, 3), (50, 3)])
def test_corruptions_grow_and_repeat(name, size, channels):
    images = pictures(size, channels)
    before = images.images.astype(float)
    found = [corrupt(images, name, severity, seed=1) for severity in (1, 3, 5)]
    off = [np.abs(x.images - before).mean() for x in found]
    assert all(x.images.shape == images.images.shape for x in found)
    # Elastic's first step is the largest move, glass is not blurred at its first, pixels move by half of one at any;
    # at 8 px little of it is seen.
    assert min(off) > (0.1 if size >= 32 else 0.02)
    assert max(off) < 128
    if name not in ("elastic_transform", "glass_blur", "pixelate") and size >= 32:
        assert off[2] > off[0]
    assert (corrupt(images, name, 3, seed=1).images == found[1].images).all()


@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_is_near_the_real_one(channels):
    images = pictures(48, channels)
    for severity, quality in ((1, 80), (5, 40)):
        ours = corrupt(images, "jpeg_compression", severity).images
        for mine, source in zip(ours, images.images.astype(float), strict=True):
            file = io.BytesIO()
            pixels = source.astype(np.uint8)
            Image.fromarray(pixels.transpose(1, 2, 0) if channels == 3 else pixels[0]).save(
                file, "jpeg", quality=quality
            )
            read = np.asarray(Image.open(file), dtype=float)
            real = read.transpose(2, 0, 1) if channels == 3 else read[None]
            # Decoders enlarge the halved colour in their own ways.
            assert np.abs(mine - real).mean() < (0.3 if channels == 1 else 0.55) * np.abs(real - source).mean()
            assert np.abs(mine - source).mean() == pytest.approx(np.abs(real - source).mean(), rel=0.1)


def test_corruptions_refuse_the_unknown(digits):
    with pytest.raises(ValueError, match="unknown corruption 'frost'"):
        corrupt(digits.query, "frost", 1)
    with pytest.raises(ValueError, match="severity=6"):
        corrupt(digits.query, "fog", 6)


def test_diagnose_on_real_digits(digits, tmp_path):
    condensed = pocket.condense(digits.train, 5, method="random", seed=0)
    config = pocket.TrainConfig(steps=60)
    model = pocket.train(condensed, bits=32, width=16, config=config, seed=0)
    full = pocket.train(digits.train, bits=32, width=16, config=config, seed=0)
    noise = pocket.ImageSet(
        np.random.default_rng(0).integers(0, 256, (50, 1, 16, 16)).astype(np.uint8),
        np.zeros(50, dtype=int),
        ("noise",),
        "noise",
    )
    found = pocket.diagnose(
        model,
        digits,
        reference=full,
        condensed=condensed,
        unknown=noise,
        corruptions=("gaussian_noise", "fog"),
        severities=(1, 5),
        sample=300,
    )
    assert not found.skipped
    assert found.neighbours is not None
    assert 0 < found.neighbours.overlap < 1
    assert found.anomalies is not None
    assert found.anomalies.auroc > 0.5
    assert found.robustness.map["fog"][1] < found.robustness.clean
    assert found.leakage is not None
    assert found.leakage.near_copies > 0.1  # a random subset is made of real images
    assert found.drifted is not None
    assert found.drifted.divergence > 0
    path = found.save(tmp_path / "diagnostics.json")
    assert type(found).load(path) == found
    bare = pocket.diagnose(model, digits, corruptions=("fog",), severities=(5,), sample=100)
    assert set(bare.skipped) == {"neighbours", "diversity", "leakage", "anomalies"}


def test_robustness_by_class_adds_up_to_that_of_all_queries(digits):
    model = pocket.train(digits.train, bits=16, width=8, config=pocket.TrainConfig(steps=20), seed=0)
    some = digits.query.subset(np.flatnonzero(digits.query.labels != 3))
    database = pocket.encode(model, digits.database)
    found = diagnostics.robustness(model, some, database, corruptions=("fog", "contrast"), severities=(1, 5))
    assert found.class_mean is not None
    assert list(found.class_mean) == [name for name in some.class_names if name != some.class_names[3]], "not asked for"
    counts = [some.counts[some.class_names.index(name)] for name in found.class_mean]
    for place, mean in enumerate(found.mean):
        each = [maps[place] for maps in found.class_mean.values()]
        assert np.average(each, weights=counts) == pytest.approx(mean) and min(each) < mean < max(each)


def test_a_model_that_diverged_is_named(digits):
    model = pocket.train(digits.train, bits=8, width=8, config=pocket.TrainConfig(steps=1), seed=0)
    model.scale[0] = np.nan
    with pytest.raises(ValueError, match="NaN or infinity for 360 of 360"):
        pocket.evaluate(model, digits)


def test_missing_classes_by_hand():
    database = pocket.Codes.from_bits([[0] * 8, [0] * 8, [1] * 8], [0, 0, 1])
    query = pocket.Codes.from_bits([[0] * 8, [1] * 8, [0] * 4 + [1] * 4], [0, 1, 2])
    # The query of class 2, which the database never had, is neither known nor missing.
    assert diagnostics.missing_classes(query, database, ("a", "b", "c")) == {"a": 1.0, "b": 1.0}
    alone = pocket.Codes(database.packed[:2], database.labels[:2])
    assert diagnostics.missing_classes(alone, alone, ("a",)) == {}
    with pytest.raises(ValueError, match="labels on both sides"):
        diagnostics.missing_classes(pocket.Codes(query.packed), database, ("a", "b", "c"))


@pytest.mark.parametrize("classes", range(2, 8))
@pytest.mark.parametrize("each", range(4, 11))
def test_a_collapsed_model_is_reported_and_not_died_of(classes, each):
    codes = pocket.Codes(np.full((classes * each, 1), 5, dtype=np.uint8), np.repeat(np.arange(classes), each))
    report = pocket.evaluate_codes(codes, codes)
    assert diagnostics.class_bias(report).gini == pytest.approx(0, abs=1e-12)
    same = np.zeros((classes * each, 8))
    near = diagnostics.neighbourhood(codes, codes, same, same, k=3)
    assert near.overlap == pytest.approx(1, abs=1e-12)


def test_every_copy_is_seen_however_many_images_there_are(digits):
    copies = digits.train.subset(np.arange(0, 1400, 7))
    condensed = pocket.condense(copies, 5, method="random", formation=1, seed=0)
    model = pocket.train(digits.train, bits=16, width=8, config=pocket.TrainConfig(steps=30), seed=0)
    found = pocket.diagnose(
        model, digits, condensed=condensed, corruptions=("fog",), severities=(1,), sample=100
    ).leakage
    assert found is not None
    assert found.real == len(digits.train)
    assert found.near_copies == 1
    views = (condensed.decode() * 255).round().byte().numpy()
    assert (digits.train.images[list(found.nearest_real)] == views).all()


def test_random_images_are_not_measured_against_themselves(digits):
    """As many random real images as the set: their nearest is another image, not they."""
    condensed = pocket.condense(digits.train, 10, method="random", formation=1, seed=3)
    model = pocket.train(digits.train, bits=16, width=8, config=pocket.TrainConfig(steps=30), seed=0)
    found = pocket.diagnose(model, digits, condensed=condensed, corruptions=("fog",), severities=(1,), sample=400)
    assert found.diversity_of_random is not None
    assert found.diversity is not None
    assert found.diversity_of_random.items == found.diversity.items == 100
    assert found.diversity_of_random.coverage < 1
    assert found.diversity_of_random.nearest > 0.9 * found.diversity.nearest
