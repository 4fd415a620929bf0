"""Does it know what it does not know? Anomalies by Hamming distance to the nearest codes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from sklearn.metrics import roc_auc_score, roc_curve

from pocket.evaluation.codes import Codes
from pocket.evaluation.search import HammingIndex
from pocket.runs.diagnostics import AnomalyDetection


def anomaly_scores(index: HammingIndex, queries: Codes, k: int = 1) -> npt.NDArray[np.float64]:
    """Return the mean Hamming distance of each query to its k nearest codes, shape (Q,): larger is stranger."""
    return np.asarray(index.search(queries, k)[0].mean(axis=1), dtype=np.float64)


def anomaly_detection(index: HammingIndex, known: Codes, unknown: Codes, *, k: int = 1) -> AnomalyDetection:
    """Score known and unknown queries by distance to the index, and say how well that parts them.

    Parameters
    ----------
    index : HammingIndex
        Of the database.
    known, unknown : Codes
        Queries of classes that the model was trained on, and of none of them.
    k : int
        Nearest codes that are looked at.

    Raises
    ------
    ValueError
        If a side is empty.

    References
    ----------
    AUROC as in Hendrycks and Gimpel, "A baseline for detecting misclassified and out-of-distribution examples", ICLR
    2017; FPR95 after Liang et al., "Enhancing the reliability of out-of-distribution image detection in neural
    networks", ICLR 2018. An unknown image is the positive case.
    """
    for name, side in (("known", known), ("unknown", unknown)):
        if not len(side):
            raise ValueError(f"the {name} side holds no code")
    near, far = anomaly_scores(index, known, k), anomaly_scores(index, unknown, k)
    truth, scores = np.repeat([0, 1], [len(near), len(far)]), np.concatenate([near, far])
    false, true, _ = roc_curve(truth, scores, drop_intermediate=False)
    return AnomalyDetection(
        k=k,
        known=len(known),
        unknown=len(unknown),
        auroc=float(roc_auc_score(truth, scores)),
        fpr95=float(false[true >= 0.95].min()),
        known_distance=float(near.mean()),
        unknown_distance=float(far.mean()),
    )


def missing_classes(query: Codes, database: Codes, class_names: Sequence[str], *, k: int = 1) -> dict[str, float]:
    """Take every class alone out of the database, and say how well its queries stand out from all others.

    A harder question than that of images of another kind: training knew the class, and only the index lost it.

    Parameters
    ----------
    query, database : Codes
        With labels, places in ``class_names``.
    class_names : sequence of str
    k : int
        Nearest codes that are looked at.

    Returns
    -------
    dict
        By class that stands on both sides, the AUROC of `anomaly_detection`; empty if only one class is there.

    Raises
    ------
    ValueError
        If labels are missing.
    """
    if query.labels is None or database.labels is None:
        raise ValueError("missing classes need labels on both sides")
    shown = np.intersect1d(query.labels, database.labels)
    found = {}
    for c in shown if len(shown) > 1 else ():
        index = HammingIndex(Codes(database.packed[database.labels != c]), "flat")
        among = (query.labels != c) & np.isin(query.labels, shown)
        known, gone = (Codes(query.packed[members]) for members in (among, query.labels == c))
        found[class_names[c]] = anomaly_detection(index, known, gone, k=k).auroc
    return found
