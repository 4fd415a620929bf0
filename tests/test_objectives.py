"""Objectives: every loss by hand, its limits and invariances, its targets and its head."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from pocket.hashing import OBJECTIVES
from pocket.hashing.codebooks import bernoulli_codebook, hadamard_codebook, proxies
from pocket.hashing.objectives import csq, dhd, dpn, hashnet, objective, orthohash

E = math.e
FIXED = ["orthohash", "dpn", "csq"]  # objectives with +1 / -1 codewords


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def batch(method: str, classes: int = 4, bits: int = 16) -> tuple[Tensor, Tensor, Tensor]:
    """V, labels and targets, as the trainer would give them."""
    labels = torch.tensor([0, 1, 2, 3, 0, 1])
    v = numbers(len(labels) * (2 if OBJECTIVES[method].two_views else 1), bits)
    return v, labels, OBJECTIVES[method].targets(classes, bits, 0)


def apart(codebook: Tensor) -> Tensor:
    """Hamming distances between codewords; K from each to itself."""
    bits = codebook.shape[1]
    return (bits - codebook @ codebook.T) / 2 + bits * torch.eye(len(codebook))


# --- losses -------------------------------------------------------------------------------------------


def test_orthohash_equals_values_computed_by_hand() -> None:
    targets = torch.tensor([[1.0, 1.0], [1.0, -1.0]])
    # v = (1, 1): cosines 1 and 0, logits 8 (1 - 0.2) = 6.4 and 0.
    assert float(orthohash(torch.tensor([[1.0, 1.0]]), torch.tensor([0]), targets)) == pytest.approx(
        math.log(1 + E**-6.4), abs=1e-6
    )
    # v = (3, 0): both cosines are 1 / sqrt(2), so the margin alone decides: ln(1 + e^1.6).
    assert float(orthohash(torch.tensor([[3.0, 0.0]]), torch.tensor([1]), targets, 0.5)) == pytest.approx(
        1.7839008, abs=1e-6
    )


def test_dpn_equals_values_computed_by_hand() -> None:
    targets = torch.tensor([[1.0, -1.0, 1.0], [-1.0, -1.0, 1.0]])
    v = torch.tensor([[0.5, -2.0, -1.0], [0.0, -0.25, 1.0]])
    # Class 0: 1 - 0.5, 0 beyond the margin, 1 + 1; class 1: 1 - 0, 1 - 0.25, 1 - 1.
    assert float(dpn(v, torch.tensor([0, 1]), targets)) == pytest.approx((0.5 + 0 + 2 + 1 + 0.75 + 0) / 6)
    assert float(dpn(2 * targets, torch.tensor([0, 1]), targets)) == 0
    # Margin 2: 1.5, 0, 3, 2, 1.75, 1.
    assert float(dpn(v, torch.tensor([0, 1]), targets, margin=2.0)) == pytest.approx(9.25 / 6)


def test_csq_equals_values_computed_by_hand() -> None:
    targets = torch.tensor([[1.0, -1.0]], dtype=torch.float64)
    # tanh(ln(3) / 2) = 1/2: the right bit has probability 3/4; tanh(0) = 0: probability 1/2.
    v = torch.tensor([[math.log(3) / 2, 0.0]], dtype=torch.float64)
    centred = -(math.log(3 / 4) + math.log(1 / 2)) / 2
    assert float(csq(v, torch.tensor([0]), targets, quantise=0.0)) == pytest.approx(centred)
    # (1/2 - 1)^2 and (0 - 1)^2.
    assert float(csq(v, torch.tensor([0]), targets, quantise=0.4)) == pytest.approx(centred + 0.4 * (0.25 + 1) / 2)
    # The default weight; the first bit wrong.
    wrong = (-math.log(1 / 4) + math.log(2)) / 2 + 1e-4 * 0.625
    assert float(csq(-v, torch.tensor([0]), targets)) == pytest.approx(wrong, rel=1e-9)


def test_hashnet_equals_values_computed_by_hand() -> None:
    # tanh(v) = +-1/2 and 0 at beta = 1 (progress 0). Inner products: <0,1> = 1/4 - 1/4 = 0, <0,2> = 1/4, <1,2> = 1/4.
    half = math.log(3) / 2
    v = torch.tensor([[half, half], [half, -half], [half, 0.0]])
    similar, dissimilar = math.log(1 + E**0), [math.log(1 + E ** (4 * 0.25))] * 2
    loss = hashnet(v, torch.tensor([7, 7, 1]), torch.zeros(0), 0.0, alpha=4.0)
    assert float(loss) == pytest.approx(similar + sum(dissimilar) / 2)
    # Classes 7 1 7: <0,2> is the similar pair, log(1 + e^1) - 1.
    loss = hashnet(v, torch.tensor([7, 1, 7]), torch.zeros(0), 0.0, alpha=4.0)
    assert float(loss) == pytest.approx(math.log(1 + E) - 1 + (math.log(2) + math.log(1 + E)) / 2)
    # By default alpha is 10 / K = 5.
    loss = hashnet(v[[0, 2]], torch.tensor([0, 1]), torch.zeros(0), 0.0)
    assert float(loss) == pytest.approx(math.log(1 + E**1.25))


def test_hashnet_weighs_both_kinds_of_pairs_alike() -> None:
    # The paper's sum, pair by pair: 1 similar pair of 6, so w = 6 for it and 6/5 for the others.
    v, labels = 0.3 * numbers(4, 8), torch.tensor([0, 0, 1, 2])
    total = 0.0
    for i, j in [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]:
        x = sum(1.25 * math.tanh(a) * math.tanh(b) for a, b in zip(v[i].tolist(), v[j].tolist(), strict=True))
        alike = (i, j) == (0, 1)
        total += (6 if alike else 6 / 5) * (math.log(1 + math.exp(x)) - (x if alike else 0))
    assert float(hashnet(v, labels, torch.zeros(0), 0.0)) == pytest.approx(total / 6, rel=1e-5)


@pytest.mark.parametrize(("labels", "pairs"), [([0, 0, 0], "similar"), ([0, 1, 2], "dissimilar"), ([0], "no")])
def test_hashnet_takes_batches_with_one_kind_of_pair(labels: list[int], pairs: str) -> None:
    v = numbers(len(labels), 8).requires_grad_()
    loss = hashnet(v, torch.tensor(labels), torch.zeros(0), 0.5)
    loss.backward()
    assert v.grad is not None
    assert torch.isfinite(v.grad).all()
    assert (loss.item() == 0) == (pairs == "no")


@pytest.mark.parametrize(("progress", "beta"), [(0.0, 1), (0.13, 1), (0.14, 2), (0.5, 4), (1.0, 8)])
def test_hashnet_sharpens_its_codes_as_the_paper_does(progress: float, beta: int) -> None:
    """Epoch 150 * progress: sqrt(floor(epoch / 20) + 1), here squared; sharper codes are larger v."""
    v, labels = numbers(5, 8), torch.tensor([0, 0, 1, 1, 2])
    sharp = hashnet(v * math.sqrt(beta), labels, torch.zeros(0), 0.0)
    assert float(hashnet(v, labels, torch.zeros(0), progress)) == pytest.approx(float(sharp))


def test_dhd_equals_values_computed_by_hand() -> None:
    targets = torch.tensor([[2.0, 0.0], [0.0, 0.5]])
    teacher, student = [[0.6, 0.8]], [[0.0, -0.5]]
    v, label = torch.tensor(teacher + student), torch.tensor([0])
    # Cosines 0.6 and 0.8 over 0.2 are 3 and 4; the student's cosine to its teacher is -0.8.
    cross, view = math.log(1 + E), 1 + 0.8
    assert float(dhd(v, label, targets, distil=0.0, quantise=0.0)) == pytest.approx(cross)
    assert float(dhd(v, label, targets, quantise=0.0)) == pytest.approx(cross + 0.1 * view)
    # sigma = 1/2: -log g+ = 2 (t - 1)^2 is 0.32 and 0.08, g- = exp(-2 (t + 1)^2) is e^-5.12 and e^-6.48.
    quantised = (0.32 - math.log(1 - E**-5.12) + 0.08 - math.log(1 - E**-6.48)) / 2
    assert float(dhd(v, label, targets)) == pytest.approx(cross + 0.1 * view + 0.1 * quantised)
    # Equal views at +-1 on their own proxy: cosines 1 and -1, so 5 and -5; only e^-10 and e^-8 are left.
    sure = torch.tensor([[1.0, -1.0], [2.0, -2.0]])
    perfect = math.log(1 + E**-10) - 0.1 * math.log(1 - E**-8)
    assert float(dhd(sure, label, torch.tensor([[1.0, -1.0], [-1.0, 1.0]]))) == pytest.approx(perfect, abs=1e-7)


def test_dhd_is_the_authors_two_cross_entropies() -> None:
    """Both Gaussian estimators against the bit that the code rounds to, in double precision."""
    codes = torch.tensor([[-0.9, -0.3, 0.0001, 0.4, 0.7]], dtype=torch.float64)
    bit = (codes > 0).double()
    plus, minus = torch.exp(-2 * (codes - 1) ** 2), torch.exp(-2 * (codes + 1) ** 2)
    bce = nn.functional.binary_cross_entropy
    quantised = bce(plus, bit) + bce(minus, 1 - bit)
    v, targets, label = torch.cat([codes, codes]), torch.eye(5, dtype=torch.float64), torch.tensor([0])
    with_it, without = dhd(v, label, targets, quantise=1.0), dhd(v, label, targets, quantise=0.0)
    assert float(with_it - without) == pytest.approx(float(quantised))


def test_dhds_teacher_learns_nothing_from_its_student() -> None:
    v, labels, targets = batch("dhd")
    v.requires_grad_()
    targets.requires_grad_()
    dhd(v, labels, targets, quantise=0.0).backward()
    assert v.grad is not None
    with_student = v.grad.clone()
    v.grad = None
    dhd(v, labels, targets, quantise=0.0, distil=0.0).backward()
    torch.testing.assert_close(v.grad[:6], with_student[:6])
    assert (v.grad[6:] == 0).all()
    assert (with_student[6:] != 0).all()
    assert targets.grad is not None
    assert (targets.grad != 0).any(), "the proxies are learned"


@pytest.mark.parametrize("method", sorted(OBJECTIVES))
@pytest.mark.parametrize("size", [1e-6, 1.0, 1e4])
def test_losses_and_gradients_are_finite(method: str, size: float) -> None:
    v, labels, targets = batch(method)
    v = (size * v).requires_grad_()
    for progress in (0.0, 1.0):
        loss = OBJECTIVES[method].loss(v, labels, targets, progress)
        assert loss.shape == ()
        assert loss >= 0
        (gradient,) = torch.autograd.grad(loss, v)
        assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("method", sorted(OBJECTIVES))
def test_a_step_down_the_gradient_lowers_the_loss(method: str) -> None:
    v, labels, targets = batch(method)
    loss = OBJECTIVES[method].loss(v.requires_grad_(), labels, targets, 0.5)
    (gradient,) = torch.autograd.grad(loss, v)
    assert gradient.abs().sum() > 0
    assert OBJECTIVES[method].loss(v - 0.1 * gradient, labels, targets, 0.5) < loss


@pytest.mark.parametrize("method", sorted(OBJECTIVES))
def test_the_order_of_images_and_of_bits_does_not_matter(method: str) -> None:
    v, labels, targets = batch(method)
    loss = OBJECTIVES[method].loss(v, labels, targets, 0.5)
    images, bits = torch.tensor([3, 5, 0, 1, 4, 2]), torch.randperm(16, generator=torch.Generator().manual_seed(1))
    views = torch.cat([images, images + 6]) if OBJECTIVES[method].two_views else images
    again = OBJECTIVES[method].loss(v[views][:, bits], labels[images], targets[:, bits], 0.5)
    assert float(again) == pytest.approx(float(loss), rel=1e-5)


@pytest.mark.parametrize("method", sorted(OBJECTIVES))
def test_flipping_a_bit_everywhere_does_not_matter(method: str) -> None:
    """An XOR mask on all codes and codewords keeps every Hamming distance."""
    v, labels, targets = batch(method)
    flip = torch.where(numbers(16, seed=2) > 0, 1.0, -1.0)
    loss, flipped = (OBJECTIVES[method].loss(v * by, labels, targets * by, 0.5) for by in (torch.ones(16), flip))
    assert float(flipped) == pytest.approx(float(loss), rel=1e-5)


@pytest.mark.parametrize("method", FIXED)
def test_a_class_s_own_codeword_beats_all_others(method: str) -> None:
    targets = OBJECTIVES[method].targets(6, 32, 1)
    own = [float(OBJECTIVES[method].loss(3 * targets[c : c + 1], torch.tensor([c]), targets, 1.0)) for c in range(6)]
    for c, best in enumerate(own):
        for other in range(6):
            loss = OBJECTIVES[method].loss(3 * targets[other : other + 1], torch.tensor([c]), targets, 1.0)
            assert (float(loss) > best) == (other != c)


def test_cosine_losses_do_not_depend_on_the_length_of_v() -> None:
    v, labels, targets = batch("orthohash")
    assert float(orthohash(7 * v, labels, targets)) == pytest.approx(float(orthohash(v, labels, targets)), rel=1e-5)
    v, labels, targets = batch("dhd")
    first, second = (dhd(by * v, labels, by * targets, quantise=0.0) for by in (1, 7))
    assert float(first) == pytest.approx(float(second), rel=1e-5)


# --- targets ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", FIXED)
@pytest.mark.parametrize(("classes", "bits"), [(2, 8), (10, 8), (10, 24), (10, 64), (40, 16), (100, 128)])
def test_codewords_are_distinct_signs_and_follow_their_seed(method: str, classes: int, bits: int) -> None:
    before = torch.get_rng_state()
    book = OBJECTIVES[method].targets(classes, bits, 3)
    assert torch.equal(torch.get_rng_state(), before)
    assert book.shape == (classes, bits)
    assert book.dtype == torch.float32
    assert set(book.unique().tolist()) == {-1.0, 1.0}
    assert apart(book).min() >= 1
    assert torch.equal(book, OBJECTIVES[method].targets(classes, bits, 3))
    assert not torch.equal(book, OBJECTIVES[method].targets(classes, bits, 4))


@pytest.mark.parametrize(("classes", "bits"), [(8, 8), (10, 16), (10, 64), (128, 128)])
def test_hadamard_codewords_lie_half_the_bits_apart(classes: int, bits: int) -> None:
    for seed in range(3):
        book = hadamard_codebook(classes, bits, seed)
        distance = apart(book)
        assert (distance[~torch.eye(classes, dtype=torch.bool)] == bits / 2).all()
        balanced = (book.sum(dim=1) == 0).sum()
        assert balanced == min(classes, bits - 1), "the constant row comes last"


def test_no_bit_is_the_same_in_all_hadamard_codewords() -> None:
    constant = [(hadamard_codebook(16, 16, seed).sum(dim=0).abs() == 16).any().item() for seed in range(50)]
    assert not any(constant)


def test_classes_beyond_the_code_length_take_the_negatives() -> None:
    book = hadamard_codebook(12, 8, 5)
    torch.testing.assert_close(book[8:], -book[:4])
    assert apart(book).min() == 4


@pytest.mark.parametrize(("classes", "bits"), [(17, 8), (10, 24), (10, 40)])
def test_other_centres_are_balanced(classes: int, bits: int) -> None:
    book = hadamard_codebook(classes, bits, 0)
    assert (book.sum(dim=1) == 0).all()
    assert apart(book).min() >= (bits / 4 if classes < bits else 1)


@pytest.mark.parametrize("make", [bernoulli_codebook, hadamard_codebook])
def test_more_tries_do_not_bring_codewords_closer(make: object) -> None:
    gaps = [float(apart(make(10, 24, 0, tries=tries)).min()) for tries in (1, 20, 200)]  # type: ignore[operator]
    assert gaps == sorted(gaps)
    assert gaps[-1] > gaps[0]


def test_bernoulli_codewords_of_eight_bits_differ_in_two_or_more() -> None:
    assert all(apart(bernoulli_codebook(10, 8, seed)).min() >= 2 for seed in range(20))


def test_proxies_are_drawn_in_xaviers_range() -> None:
    book = proxies(10, 64, 0)
    bound = 5 / 3 * math.sqrt(6 / 74)
    assert 0.98 * bound < book.abs().max() <= bound
    assert abs(book.mean()) < 0.1 * bound
    assert torch.equal(book, proxies(10, 64, 0))
    assert not torch.equal(book, proxies(10, 64, 1))


def test_hashnet_has_no_codewords() -> None:
    assert OBJECTIVES["hashnet"].targets(3, 8, 0).tolist() == [[0.0] * 8] * 3


# --- heads --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "layers"),
    [
        ("orthohash", ["Linear", "BatchNorm1d"]),
        ("dpn", ["Linear"]),
        ("dhd", ["Linear", "LayerNorm", "Tanh"]),
        ("csq", ["Linear"]),
        ("hashnet", ["Linear"]),
    ],
)
def test_every_method_has_its_own_head(method: str, layers: list[str]) -> None:
    head = objective(method).head(20, 16)
    leaves = [module for module in head.modules() if not list(module.children())]
    assert [type(leaf).__name__ for leaf in leaves] == layers
    assert isinstance(leaves[0], nn.Linear)
    assert (leaves[0].bias is not None) == (method in ("csq", "hashnet"))
    assert head(numbers(5, 20)).shape == (5, 16)


def test_only_dhd_learns_its_targets_from_two_views() -> None:
    assert [name for name, each in OBJECTIVES.items() if each.learned_targets] == ["dhd"]
    assert [name for name, each in OBJECTIVES.items() if each.two_views] == ["dhd"]


def test_an_unknown_method_is_named_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="unknown hashing method 'dpsh'; choose one of orthohash, dpn, dhd, csq, hash"):
        objective("dpsh")
