"""Codes, search and scores."""

from pocket.evaluation.codes import Codes, encode
from pocket.evaluation.latency import Latency, search_latency
from pocket.evaluation.report import RetrievalComparison, RetrievalReport, evaluate, evaluate_codes
from pocket.evaluation.search import HammingIndex

__all__ = [
    "Codes",
    "HammingIndex",
    "Latency",
    "RetrievalComparison",
    "RetrievalReport",
    "encode",
    "evaluate",
    "evaluate_codes",
    "search_latency",
]
