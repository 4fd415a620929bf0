"""Does retrieval survive shift? mAP of corrupted queries against clean images, by severity."""

from __future__ import annotations

import math
from collections.abc import Sequence

from pocket.data import ImageSet
from pocket.evaluation.codes import Codes, encode
from pocket.evaluation.diagnostics.corruptions import CORRUPTIONS, SEVERITIES, corrupt
from pocket.evaluation.report import evaluate_codes
from pocket.hashing import HashModel
from pocket.runs.diagnostics import Robustness
from pocket.runs.retrieval import RetrievalReport


def robustness(
    model: HashModel,
    query: ImageSet,
    database: Codes,
    *,
    corruptions: Sequence[str] = tuple(CORRUPTIONS),
    severities: Sequence[int] = SEVERITIES,
    seed: int = 0,
    device: str = "auto",
) -> Robustness:
    """Corrupt the queries, encode them, and search the clean database.

    Parameters
    ----------
    model : HashModel
        As it is used: recalibrated, if that is how the database was encoded.
    query : ImageSet
    database : Codes
        Of clean images under the same model, with labels.
    corruptions : sequence of str
        Names in `CORRUPTIONS`.
    severities : sequence of int
        1 ... 5.
    seed : int
        Of the corruptions.
    device : str

    Raises
    ------
    ValueError
        If a corruption or severity is unknown, or none is given.
    """
    if not corruptions or not severities:
        raise ValueError("robustness needs at least one corruption and one severity")

    def score(images: ImageSet) -> RetrievalReport:
        return evaluate_codes(encode(model, images, device=device), database, class_names=query.class_names)

    found = [[score(corrupt(query, name, severity, seed=seed)) for severity in severities] for name in corruptions]
    by_class = {
        name: tuple(
            math.fsum(report.class_map[place] or 0.0 for report in column) / len(found)
            for column in zip(*found, strict=True)
        )
        for place, name in enumerate(query.class_names)
        if found[0][0].class_map[place] is not None  # asked for, and in the database: under every corruption alike
    }
    return Robustness(
        severities=tuple(severities),
        clean=score(query).map,
        map={name: tuple(report.map for report in row) for name, row in zip(corruptions, found, strict=True)},
        mean=tuple(sum(report.map for report in column) / len(found) for column in zip(*found, strict=True)),
        class_mean=by_class,
    )
