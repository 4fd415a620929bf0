"""A small run with real records, made in a temporary folder: what ROI, panel and brief are tested on."""

from __future__ import annotations

from pathlib import Path

import pytest

from pocket.runs import Run, open_run, provenance
from pocket.runs.records import Cell, CondensationRecord, TrainingRecord

SEEDS = (0, 1, 2)


def cell(method: str, seed: int, *, dataset: str = "digits", **changes: object) -> Cell:
    """One cell of a plausible mini run; ``changes`` replace fields."""
    wobble = (0.0, 0.012, -0.009)[seed % 3]
    known: dict[str, dict[str, object]] = {
        "full": dict(
            ipc=0, images=1437, image_bytes=1437 * 256, steps=600, train_seconds=9 + seed / 4, map=0.971
        ),
        "iem": dict(
            ipc=10, formation=2, images=100, image_bytes=25600, steps=200, pool_seconds=2.2,
            condense_seconds=21 + seed, train_seconds=2.9 + seed / 10, map=0.944 + wobble,
        ),
        "random": dict(
            ipc=10, images=100, image_bytes=25600, steps=200, train_seconds=3.0, map=0.885 + 2 * wobble
        ),
    }  # fmt: skip
    fields: dict[str, object] = (
        dict(dataset=dataset, protocol="digits-v1", hashing="orthohash", bits=32, seed=seed, device="cpu")
        | dict(method=method)
        | known[method]
        | changes
    )
    score = float(fields["map"])  # type: ignore[arg-type]
    return Cell.model_validate(fields | {"map_low": max(score - 0.01, 0), "map_high": min(score + 0.01, 1)})


def make_run(name: str = "tour", *, dataset: str = "digits", sample: bool = False) -> Run:
    """Make a run below ``POCKET_HOME`` with its training and condensation records."""
    run = open_run(name)
    if sample:
        run.record = run.record.model_copy(update={"sample": True})
    made = provenance()
    plain = [cell(method, seed, dataset=dataset) for method in ("full", "random") for seed in SEEDS]
    tiles = [cell("random", seed, dataset=dataset, formation=2, map=0.912 + seed / 200) for seed in SEEDS]
    coarse = [cell("iem", seed, dataset=dataset, ipc=1, images=10, image_bytes=2560, map=0.88) for seed in SEEDS]
    fine = [cell("iem", seed, dataset=dataset) for seed in SEEDS]
    run.save(TrainingRecord(cells=tuple(plain + tiles), provenance=made), "training.json")
    run.save(CondensationRecord(cells=tuple(coarse + fine), provenance=made), "condensation.json")
    return run


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The run that most tests read."""
    monkeypatch.setenv("POCKET_HOME", str(tmp_path))
    return make_run()
