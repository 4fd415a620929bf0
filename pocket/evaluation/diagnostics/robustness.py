"""Does retrieval survive shift? mAP of corrupted queries against clean images, by severity."""

from __future__ import annotations

from collections.abc import Sequence

from pocket.data import ImageSet
from pocket.evaluation.codes import Codes, encode
from pocket.evaluation.diagnostics.corruptions import CORRUPTIONS, SEVERITIES, corrupt
from pocket.evaluation.report import evaluate_codes
from pocket.hashing import HashModel
from pocket.runs.diagnostics import Robustness


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

    def score(images: ImageSet) -> float:
        return evaluate_codes(encode(model, images, device=device), database).map

    maps = {
        name: tuple(score(corrupt(query, name, severity, seed=seed)) for severity in severities) for name in corruptions
    }
    means = tuple(sum(column) / len(maps) for column in zip(*maps.values(), strict=True))
    return Robustness(severities=tuple(severities), clean=score(query), map=maps, mean=means)
