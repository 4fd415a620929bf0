"""Codes, search and scores."""

from pocket.evaluation.codes import Codes, encode
from pocket.evaluation.report import RetrievalReport, evaluate, evaluate_codes
from pocket.evaluation.search import HammingIndex

__all__ = ["Codes", "HammingIndex", "RetrievalReport", "encode", "evaluate", "evaluate_codes"]
