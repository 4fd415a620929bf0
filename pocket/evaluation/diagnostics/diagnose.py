"""`diagnose`: every diagnostic of one model in one report."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pocket.data import CondensedSet, ImageSet, RetrievalSplit
from pocket.evaluation.codes import Codes, encode
from pocket.evaluation.diagnostics.anomaly import anomaly_detection, missing_classes
from pocket.evaluation.diagnostics.bits import bit_health
from pocket.evaluation.diagnostics.classes import class_bias, rare_classes
from pocket.evaluation.diagnostics.corruptions import CORRUPTIONS, SEVERITIES, corrupt
from pocket.evaluation.diagnostics.diversity import diversity
from pocket.evaluation.diagnostics.drift import DriftMonitor
from pocket.evaluation.diagnostics.leakage import leakage
from pocket.evaluation.diagnostics.neighbourhood import neighbourhood
from pocket.evaluation.diagnostics.robustness import robustness
from pocket.evaluation.report import evaluate_codes
from pocket.evaluation.search import HammingIndex
from pocket.hashing import HashModel, recalibrate
from pocket.hashing.calibration import features, represent
from pocket.runs.diagnostics import DiagnosticReport


def diagnose(
    model: HashModel,
    split: RetrievalSplit,
    *,
    reference: HashModel | None = None,
    condensed: CondensedSet | None = None,
    unknown: ImageSet | None = None,
    corruptions: Sequence[str] = tuple(CORRUPTIONS),
    severities: Sequence[int] = SEVERITIES,
    sample: int = 2000,
    false_alarm: float = 0.01,
    recalibrated: bool = True,
    seed: int = 0,
    device: str = "auto",
) -> DiagnosticReport:
    """Look at a model from all sides.

    Parameters
    ----------
    model : HashModel
    split : RetrievalSplit
    reference : HashModel, optional
        Trained on the full data: neighbourhoods and classes are compared with it.
    condensed : CondensedSet, optional
        What the model was trained on: its diversity and leakage are measured.
    unknown : ImageSet, optional
        Images of no class of the split, of the same size and channels.
    corruptions, severities
        See `robustness`.
    sample : int
        Images at most, drawn by ``seed``, where cost grows with pairs of images or with corruptions.
    false_alarm : float
        Of the drift monitor.
    recalibrated : bool
        Recalibrate the heads on the database first, as `evaluate` does.
    seed : int
    device : str

    Returns
    -------
    DiagnosticReport

    Raises
    ------
    ValueError
        If images have another shape than the model takes, or nothing is relevant to any query.
    """
    ours = recalibrate(model, split.database, device=device) if recalibrated else model
    database, query = (encode(ours, side, device=device) for side in (split.database, split.query))
    names, index = split.query.class_names, HammingIndex(database)
    report = evaluate_codes(query, database, protocol=split.protocol, class_names=names)
    skipped: dict[str, str] = {}
    near = theirs = None
    if reference is None:
        skipped["neighbours"] = "no reference model was given"
    else:
        other = recalibrate(reference, split.database, device=device) if recalibrated else reference
        first, second = (encode(other, side, device=device) for side in (split.database, split.query))
        values = [represent(m, split.database, device=device).numpy() for m in (other, ours)]
        near = neighbourhood(first, database, *values, sample=sample, seed=seed)
        theirs = evaluate_codes(second, first, protocol=split.protocol, class_names=names)
    rich = rich_random = copies = None
    if condensed is None:
        skipped |= dict.fromkeys(("diversity", "leakage"), "no condensed set was given")
    else:
        pixels = (condensed.decode() * 255).round().byte().numpy()
        views = ImageSet(pixels, condensed.view_labels, names, "condensed views")
        z_train, z_views = (features(ours, images, device=device).numpy() for images in (split.train, views))
        # As many random images for comparison, which must not be measured against themselves.
        order = np.random.default_rng([seed, 1]).permutation(len(split.train))
        chance, real = np.split(order, [min(len(views), len(order) // 2)])
        real, labels = real[:sample], split.train.labels
        rich = diversity(z_train[real], labels[real], z_views, views.labels)
        rich_random = diversity(z_train[real], labels[real], z_train[chance], labels[chance])
        copies = leakage(z_train, z_views, sample=sample, seed=seed)
    strange = None
    if unknown is None:
        skipped["anomalies"] = "no images of unknown classes were given"
    else:
        familiar = Codes(query.packed[np.isin(split.query.labels, split.database.labels)])
        strange = anomaly_detection(index, familiar, encode(ours, unknown, device=device))
    asked = _some(split.query, sample, seed)
    robust = robustness(ours, asked, database, corruptions=corruptions, severities=severities, seed=seed, device=device)
    calm = drifted = None
    window = min(100, len(query) // 4)
    if window < 10:
        skipped |= dict.fromkeys(("calm", "drifted"), f"{len(query)} queries are too few to learn what is calm")
    else:
        order = np.random.default_rng([seed, 2]).permutation(len(query))
        fresh, known = order[:window], order[window:]
        monitor = DriftMonitor.fit(index, Codes(query.packed[known]), window=window, false_alarm=false_alarm, seed=seed)
        calm = monitor.check(Codes(query.packed[fresh]))
        changed = corrupt(split.query.subset(fresh), robust.worst, robust.severities[-1], seed=seed)
        drifted = monitor.check(encode(ours, changed, device=device))
    return DiagnosticReport(
        protocol=split.protocol,
        bits=bit_health(database),
        neighbours=near,
        diversity=rich,
        diversity_of_random=rich_random,
        robustness=robust,
        rare=rare_classes(query, database, names, seed=seed),
        anomalies=strange,
        missing=missing_classes(query, database, names),
        bias=class_bias(report, theirs),
        leakage=copies,
        calm=calm,
        drifted=drifted,
        drifted_by=robust.worst if drifted else None,
        skipped=skipped,
    )


def _some(images: ImageSet, count: int, seed: int) -> ImageSet:
    """Return at most so many images, drawn by the seed, in their order."""
    return images.subset(np.sort(np.random.default_rng([seed, 0]).permutation(len(images))[:count]))
