"""`evaluate`: from a model, or from codes, to one `RetrievalReport`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pocket.evaluation import metrics
from pocket.evaluation.codes import Codes, check_sides
from pocket.evaluation.histograms import distance_histograms
from pocket.evaluation.intervals import bootstrap_mean
from pocket.runs.retrieval import RADIUS, RetrievalReport

if TYPE_CHECKING:
    from torch import Tensor

    from pocket.data import RetrievalSplit
    from pocket.hashing import HashModel

RANKS = (1, 10, 100)


def evaluate(
    model: HashModel, split: RetrievalSplit, *, at: int | None = None, recalibrate: bool = True, device: str = "auto"
) -> RetrievalReport:
    """Encode database and queries of a split and score the retrieval.

    Parameters
    ----------
    model : HashModel
    split : RetrievalSplit
        Its protocol id goes into the report. Where its queries have groups, the interval is over these.
    at : int, optional
        Cut-off rank; default all ranks.
    recalibrate : bool
        Recalibrate the head on the database images first, without their labels (`pocket.recalibrate`); the
        report then also says what the score was without (``map_plain``). The model is left as it is.
    device : str
        Where images are encoded.

    Returns
    -------
    RetrievalReport
    """
    from pocket.hashing.calibration import calibration, represent

    sides = split.query, split.database
    query, database = (represent(model, side, device=device) for side in sides)

    def score(*values: Tensor) -> RetrievalReport:
        asked, searched = (Codes.from_bits((v > 0).numpy(), side.labels) for v, side in zip(values, sides, strict=True))
        groups, names = split.query.independent, split.query.class_names
        report = evaluate_codes(asked, searched, at, protocol=split.protocol, class_names=names, groups=groups)
        return report.model_copy(update={"split": split.fingerprint})

    plain = score(query, database)
    if not recalibrate or len(split.database) < 2:
        return plain
    found = calibration(model, database)
    return score(found.apply(query), found.apply(database)).model_copy(update={"map_plain": plain.map})


def evaluate_codes(
    query: Codes,
    database: Codes,
    at: int | None = None,
    *,
    protocol: str = "own-codes",
    class_names: tuple[str, ...] | None = None,
    groups: npt.ArrayLike | None = None,
    engine: str = "auto",
) -> RetrievalReport:
    """Score the retrieval of codes alone, whatever made them.

    Parameters
    ----------
    query, database : Codes
        With labels, of one code length.
    at : int, optional
        Cut-off rank; default all ranks.
    protocol : str
        An id for the report.
    class_names : tuple of str, optional
    groups : array_like, shape (Q,), optional
        Queries that do not vary independently, such as photographs of one part, for the interval.
    engine : str
        What counts distances; see `distance_histograms`. Changes seconds, not scores.

    Returns
    -------
    RetrievalReport

    Raises
    ------
    ValueError
        If a side is empty or has no labels, code lengths differ, or no query has a relevant item.
    """
    check_sides(query, database)
    at = metrics.cut_off(at)
    assert query.labels is not None
    assert database.labels is not None
    total, relevant = distance_histograms(query.packed, query.labels, database.packed, database.labels, engine=engine)
    ap = metrics.average_precision(total, relevant, at)
    scored = ~np.isnan(ap.expected)
    if not scored.any():
        raise ValueError("no query has an item of its class in the database: check that both sides use the same labels")
    classes = np.unique(query.labels) if class_names is None else np.arange(len(class_names))
    if not np.isin(query.labels, classes).all():
        raise ValueError(f"query labels must lie in 0..{len(classes) - 1}, the places of class_names")
    names = class_names or tuple(f"class {c}" for c in classes)
    per_class = [
        mean_of(ap.expected[members]) if (members := scored & (query.labels == c)).any() else None for c in classes
    ]
    precision, recall = metrics.precision_recall(total, relevant)
    ranks = [k for k in RANKS if k <= len(database)]
    interval = bootstrap_mean(ap.expected, groups)
    return RetrievalReport(
        protocol=protocol,
        bits=query.bits,
        at=at,
        denominator="all relevant items" if at is None else "min(at, all relevant items)",
        queries=len(query),
        database=len(database),
        queries_without_relevant=int((~scored).sum()),
        map=mean_of(ap.expected),
        map_low=mean_of(ap.low),
        map_high=mean_of(ap.high),
        map_interval=None if math.isnan(interval.low) else interval,
        groups=None if groups is None else len(np.unique(np.asarray(groups)[scored])),
        map_at_r=mean_of(metrics.average_precision(total, relevant, relevant.sum(axis=1), bounds=False).expected),
        ndcg=mean_of(metrics.ndcg(total, relevant, at)),
        macro_map=mean_of(np.array([value for value in per_class if value is not None])),
        class_names=names,
        class_map=tuple(per_class),
        precision_at={k: mean_of(metrics.precision_at(total, relevant, k)) for k in ranks},
        recall_at={k: mean_of(metrics.recall_at(total, relevant, k)) for k in ranks},
        hit_rate_at={k: mean_of(metrics.hit_rate_at(total, relevant, k)) for k in ranks},
        precision_within=mean_of(metrics.precision_within(total, relevant, min(RADIUS, query.bits))),
        radius_precision=tuple(precision.tolist()),
        radius_recall=tuple(recall.tolist()),
        query_ap=tuple(float(value) if ok else None for value, ok in zip(ap.expected, scored, strict=True)),
    )


def mean_of(values: npt.NDArray[np.float64]) -> float:
    """Return the mean of all that are defined, rounding errors beyond 0 and 1 clipped.

    The sum is exact, so that the order of the queries, and of the processor's additions, cannot matter.
    """
    known = values[~np.isnan(values)]
    return min(max(math.fsum(known) / len(known), 0.0), 1.0)
