"""Artefacts on disk, provenance and the audit log of a run."""

from pocket.runs.artefacts import ArtefactError, Record, load_tensors, save_tensors, write_bytes, write_text
from pocket.runs.provenance import Provenance, provenance
from pocket.runs.run import PROFILES, Run, RunRecord, RunSettings, open_run

__all__ = [
    "PROFILES",
    "ArtefactError",
    "Provenance",
    "Record",
    "Run",
    "RunRecord",
    "RunSettings",
    "load_tensors",
    "open_run",
    "provenance",
    "save_tensors",
    "write_bytes",
    "write_text",
]
