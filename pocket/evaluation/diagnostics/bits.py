"""Are the bits healthy? Balance, entropy, correlation, and how often codes are shared."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pocket.evaluation.codes import Codes
from pocket.runs.diagnostics import BitHealth


def bit_health(codes: Codes) -> BitHealth:
    """Measure the bits of a set of codes.

    A hash layer trained to one codeword a class has few different codes and correlated bits, and is none the worse
    for it: read these figures beside mAP, and against those of the full-data model.

    Parameters
    ----------
    codes : Codes
        At least 2.

    Raises
    ------
    ValueError
        If there are fewer than 2 codes.
    """
    if len(codes) < 2:
        raise ValueError(f"bit health needs at least 2 codes, not {len(codes)}")
    ones = np.zeros(codes.bits)
    together = np.zeros((codes.bits, codes.bits))
    for start in range(0, len(codes), 2**16):  # sums of whole numbers: exact, in memory that does not grow
        part = np.unpackbits(codes.packed[start : start + 2**16], axis=1).astype(np.float64)
        ones += part.sum(axis=0)
        together += part.T @ part
    p = ones / len(codes)
    covariance = together / len(codes) - np.outer(p, p)
    spread = np.sqrt(np.clip(np.diag(covariance), 0, None))
    varying = (p > 0) & (p < 1)
    correlation = covariance[np.ix_(varying, varying)] / np.outer(spread[varying], spread[varying])
    pairs = np.abs(correlation[np.triu_indices(len(correlation), 1)]).clip(0, 1)
    values = np.linalg.eigvalsh(covariance).clip(0, None)
    different, collisions = _sharing(codes)
    return BitHealth(
        ones=tuple(p.tolist()),
        entropy=float(np.mean(_entropy(p))),
        constant_bits=int((~varying).sum()),
        correlation=float(pairs.mean()) if len(pairs) else 0.0,
        correlation_worst=float(pairs.max()) if len(pairs) else 0.0,
        effective_bits=float(values.sum() ** 2 / np.square(values).sum()) if varying.any() else 0.0,
        unique=different,
        collisions=collisions,
    )


def _entropy(p: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    q = np.clip(np.stack([p, 1 - p]), 1e-300, 1)
    return np.asarray(-(q * np.log2(q)).sum(axis=0)).clip(0, 1)


def _sharing(codes: Codes) -> tuple[float, float | None]:
    """Return the share of different codes, and of items whose code another class uses too."""
    different, which = np.unique(codes.packed, axis=0, return_inverse=True)
    shared = None
    if codes.labels is not None:
        first = np.full(len(different), np.iinfo(np.int64).max)
        last = np.full(len(different), np.iinfo(np.int64).min)
        np.minimum.at(first, which.ravel(), codes.labels)
        np.maximum.at(last, which.ravel(), codes.labels)
        shared = float((first != last)[which.ravel()].mean())
    return len(different) / len(codes), shared
