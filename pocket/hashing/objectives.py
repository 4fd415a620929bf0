"""Hashing objectives: one function each, with the same signature, and one line in `OBJECTIVES`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from pocket.hashing.codebooks import bernoulli_codebook, hadamard_codebook, no_targets, one_hot_rows, proxies

Progress = float | Tensor  # a scalar tensor where a GPU must not wait to be told
Loss = Callable[[Tensor, Tensor, Tensor, Progress], Tensor]
Targets = Callable[[int, int, int], Tensor]
Head = Callable[[int, int], nn.Module]


@dataclass(frozen=True)
class Objective:
    """A hashing method.

    Attributes
    ----------
    loss : callable
        ``loss(v, labels, targets, progress) -> scalar``: v (N, K), labels (N,), targets (num_classes, K),
        progress the share of training done, from 0 to 1.
    targets : callable
        ``targets(num_classes, bits, seed) -> (num_classes, bits)``: the codeword of each class.
    head : callable
        ``head(dim, bits) -> module`` from Z (N, dim) to V (N, bits).
    learned_targets : bool
        The targets are trained with the network, from those of ``targets``.
    two_views : bool
        The loss takes v of shape (2 N, K): N weakly augmented views, then N strongly augmented ones of the
        same images, in the same order.
    lr : float
        Factor on the trainer's peak learning rate.
    """

    loss: Loss
    targets: Targets
    head: Head
    learned_targets: bool = False
    two_views: bool = False
    lr: float = 1.0


# --- losses -------------------------------------------------------------------------------------------


def orthohash(
    v: Tensor, labels: Tensor, targets: Tensor, progress: Progress = 1.0, *, scale: float = 8.0, margin: float = 0.2
) -> Tensor:
    """Cross-entropy on scaled cosines to fixed codewords, with a margin on the true class.

    ``CE(s (cos(v, c_j) - m [j = y]))``. Hoe et al., "One Loss for All: Deep Hashing with a Single Cosine
    Similarity based Learning Objective", NeurIPS 2021, eq. 7; s = 8 and m = 0.2 as in the authors' code.

    Parameters
    ----------
    v : Tensor of float, shape (N, K)
    labels : Tensor of int64, shape (N,)
    targets : Tensor of +1 / -1, shape (num_classes, K)
    progress : float or scalar Tensor
        Not used.
    scale, margin : float
        s and m.

    Returns
    -------
    Tensor
        Mean over the batch, a scalar, 0 or more.
    """
    cosine = functional.normalize(v) @ functional.normalize(targets).T
    cosine = cosine - margin * functional.one_hot(labels, len(targets))
    return functional.cross_entropy(scale * cosine, labels)


def dpn(v: Tensor, labels: Tensor, targets: Tensor, progress: Progress = 1.0, *, margin: float = 1.0) -> Tensor:
    """Hinge that pushes every bit to its target's side of zero, by a margin: the polarization loss.

    ``mean_k max(0, m - v_k t_yk)``. Fan et al., "Deep Polarized Network for Supervised Learning of
    Accurate Binary Hashing Codes", IJCAI 2020, with m = 1.

    Parameters
    ----------
    v : Tensor of float, shape (N, K)
    labels : Tensor of int64, shape (N,)
    targets : Tensor of +1 / -1, shape (num_classes, K)
    progress : float or scalar Tensor
        Not used.
    margin : float
        m.

    Returns
    -------
    Tensor
        Mean over batch and bits, a scalar, 0 or more.

    Notes
    -----
    The paper sums over the bits, which is this loss at K times the learning rate. With the mean one rate serves all
    code lengths. `OBJECTIVES` takes 3 times the trainer's peak rate of 0.1: on held-out training images of digits
    after 300 steps that gave a mAP of 0.990 and 0.981 at 16 and 64 bits, the rate itself 0.973 and 0.960; at 10 times
    a ResNet-18 on CIFAR-10 learned less than at 1 or 3 times (loss 0.79 against 0.71 and 0.73 after 60 steps).
    """
    return functional.relu(margin - v * targets[labels]).mean()


def dhd(
    v: Tensor,
    labels: Tensor,
    targets: Tensor,
    progress: Progress = 1.0,
    *,
    temperature: float = 0.2,
    distil: float = 0.1,
    quantise: float = 0.1,
    sigma: float = 0.5,
) -> Tensor:
    """Cross-entropy on cosines to learned proxies, self-distillation between views, and a quantiser.

    ``CE(cos(t, p_j) / tau) + l_1 (1 - cos(s, stopgrad t)) + l_2 mean_k q(t_k)`` with t the code of an
    image's weakly augmented view (teacher), s that of its strongly augmented one (student), p_j the proxy
    of a class. q is the binary cross-entropy of two Gaussian estimators, ``g+-(t) = exp(-(t -+ 1)^2 / 2 sigma^2)``,
    against the bit that t rounds to: ``q(t) = -log g+(|t|) - log(1 - g-(|t|))``. Jang et al., "Deep Hash
    Distillation for Image Retrieval", ECCV 2022; the defaults are the authors'.

    Parameters
    ----------
    v : Tensor of float in (-1, 1), shape (2 N, K)
        N teachers, then N students of the same images in the same order.
    labels : Tensor of int64, shape (N,)
    targets : Tensor of float, shape (num_classes, K)
        Proxies; trained along.
    progress : float or scalar Tensor
        Not used.
    temperature, distil, quantise, sigma : float
        tau, l_1, l_2, sigma.

    Returns
    -------
    Tensor
        Mean over the batch, a scalar, 0 or more.
    """
    teacher, student = v.chunk(2)
    cosine = functional.normalize(teacher) @ functional.normalize(targets).T
    proxies = functional.cross_entropy(cosine / temperature, labels)
    apart = (1 - functional.cosine_similarity(student, teacher.detach())).mean()
    size, twice = teacher.abs(), 2 * sigma**2
    # |t| >= 0 keeps the exponential below exp(-1 / twice): the logarithm stays finite.
    quantised = (size - 1).square() / twice - torch.log1p(-torch.exp(-(size + 1).square() / twice))
    return proxies + distil * apart + quantise * quantised.mean()


def csq(v: Tensor, labels: Tensor, targets: Tensor, progress: Progress = 1.0, *, quantise: float = 1e-4) -> Tensor:
    """Binary cross-entropy of every bit to its class's hash centre, with a light pull to +-1.

    ``BCE((h + 1) / 2, (c_y + 1) / 2) + l mean_k (|h_k| - 1)^2`` with h = tanh(v). Yuan et al., "Central
    Similarity Quantization for Efficient Image and Video Retrieval", CVPR 2020: the central similarity
    loss, and its quantisation loss with the square in place of log cosh, which near 0 is half of it.
    l = 1e-4.

    Parameters
    ----------
    v : Tensor of float, shape (N, K)
    labels : Tensor of int64, shape (N,)
    targets : Tensor of +1 / -1, shape (num_classes, K)
    progress : float or scalar Tensor
        Not used.
    quantise : float
        l.

    Returns
    -------
    Tensor
        Mean over batch and bits, a scalar, 0 or more.

    Notes
    -----
    Learning rate: as for `dpn`, and for the same reason.
    """
    # (tanh(v) + 1) / 2 is sigmoid(2 v): from the logit, no bit is ever so sure that its logarithm is lost.
    centred = functional.binary_cross_entropy_with_logits(2 * v, (targets[labels] + 1) / 2)
    return centred + quantise * (torch.tanh(v).abs() - 1).square().mean()


def hashnet(
    v: Tensor, labels: Tensor, targets: Tensor, progress: Progress = 1.0, *, alpha: float | None = None
) -> Tensor:
    """Pairwise logistic loss, balanced between similar and dissimilar pairs, on ever sharper codes.

    ``sum_ij w_ij (log(1 + exp(a <h_i, h_j>)) - a s_ij <h_i, h_j>) / |S|`` over the pairs S of different images
    of the batch, s_ij = 1 where they are of one class and 0 elsewhere, w_ij = |S| / |S_1| or |S| / |S_0|,
    h = tanh(beta v). Cao et al., "HashNet: Deep Learning to Hash by Continuation", ICCV 2017, eq. 2 to 4;
    a = 10 / K as in the authors' code. Continuation: beta rises from 1 to sqrt(8) in eight steps, which is
    ``sqrt(floor(epoch / 20) + 1)`` over 150 epochs.

    Parameters
    ----------
    v : Tensor of float, shape (N, K)
    labels : Tensor of int64, shape (N,)
    targets : Tensor
        Not used: there are no codewords.
    progress : float or scalar Tensor
        Share of training done, from 0 to 1.
    alpha : float, optional
        a.

    Returns
    -------
    Tensor
        The mean over similar pairs plus the mean over dissimilar ones, a scalar, 0 or more; a batch without
        pairs of a kind counts 0 for them.
    """
    h = torch.tanh((torch.as_tensor(7.5 * progress).floor() + 1).sqrt() * v)
    inner = (10 / v.shape[1] if alpha is None else alpha) * (h @ h.T)
    similar = labels[:, None] == labels[None, :]
    one_of_each = torch.ones_like(similar).triu(1)

    def mean(values: Tensor, pairs: Tensor) -> Tensor:
        return (values * pairs).sum() / pairs.sum().clamp_min(1)

    # log(1 + e^x) - x is log(1 + e^-x); softplus computes both without overflow.
    alike = mean(functional.softplus(-inner), similar & one_of_each)
    return alike + mean(functional.softplus(inner), ~similar & one_of_each)


def linear(v: Tensor, labels: Tensor, targets: Tensor, progress: Progress = 1.0) -> Tensor:
    """Cross-entropy of a linear classifier: no hashing method, but what the condensation literature evaluates with.

    ``CE(v_1 ... v_C)``: the first num_classes values of V are the logits, the others are not used. `pocket bench
    --suite classification` holds our sets against published accuracies with it.

    Parameters
    ----------
    v : Tensor of float, shape (N, K)
    labels : Tensor of int64, shape (N,)
    targets : Tensor, shape (num_classes, K)
        Rows of the identity.
    progress : float or scalar Tensor
        Not used.

    Returns
    -------
    Tensor
        Mean over the batch, a scalar, 0 or more.
    """
    return functional.cross_entropy(v @ targets.T, labels)


# --- heads --------------------------------------------------------------------------------------------


def linear_head(dim: int, bits: int) -> nn.Module:
    """Return a linear layer with bias (CSQ, HashNet)."""
    return nn.Linear(dim, bits)


def unbiased_head(dim: int, bits: int) -> nn.Module:
    """Return a linear layer without bias (DPN)."""
    return nn.Linear(dim, bits, bias=False)


def batchnorm_head(dim: int, bits: int) -> nn.Module:
    """Return a linear layer without bias, normalised per bit over the batch (OrthoHash)."""
    return nn.Sequential(nn.Linear(dim, bits, bias=False), nn.BatchNorm1d(bits))


def layernorm_head(dim: int, bits: int) -> nn.Module:
    """Return a linear layer without bias, normalised per image over the bits, and tanh (DHD)."""
    return nn.Sequential(nn.Linear(dim, bits, bias=False), nn.LayerNorm(bits), nn.Tanh())


OBJECTIVES: dict[str, Objective] = {
    "orthohash": Objective(orthohash, bernoulli_codebook, batchnorm_head),
    "dpn": Objective(dpn, bernoulli_codebook, unbiased_head, lr=3.0),
    "dhd": Objective(dhd, proxies, layernorm_head, learned_targets=True, two_views=True),
    "csq": Objective(csq, hadamard_codebook, linear_head, lr=3.0),
    "hashnet": Objective(hashnet, no_targets, linear_head),
    "linear": Objective(linear, one_hot_rows, linear_head),
}


def objective(method: str) -> Objective:
    """Look a hashing method up by name."""
    if method not in OBJECTIVES:
        raise ValueError(f"unknown hashing method {method!r}; choose one of {', '.join(OBJECTIVES)}")
    return OBJECTIVES[method]
