"""Codes, search and scores."""

from pocket.evaluation.by_class import by_class, chance_level
from pocket.evaluation.codes import Codes, encode
from pocket.evaluation.compatibility import STYLES, compatible_map
from pocket.evaluation.diagnostics import DriftMonitor, diagnose
from pocket.evaluation.histograms import Histograms, distance_histograms
from pocket.evaluation.intervals import Interval, bootstrap_mean
from pocket.evaluation.latency import search_latency
from pocket.evaluation.lookup import Hit, ImageSearch
from pocket.evaluation.over import over_queries
from pocket.evaluation.report import evaluate, evaluate_codes
from pocket.evaluation.search import HammingIndex, Within
from pocket.evaluation.synthetic import clustered_codes, uniform_codes
from pocket.runs.diagnostics import DiagnosticReport, DiagnosticsRecord
from pocket.runs.retrieval import Latency, RetrievalComparison, RetrievalReport

__all__ = [
    "STYLES",
    "Codes",
    "DiagnosticReport",
    "DiagnosticsRecord",
    "DriftMonitor",
    "HammingIndex",
    "Histograms",
    "Hit",
    "ImageSearch",
    "Interval",
    "Latency",
    "RetrievalComparison",
    "RetrievalReport",
    "Within",
    "bootstrap_mean",
    "by_class",
    "chance_level",
    "clustered_codes",
    "compatible_map",
    "diagnose",
    "distance_histograms",
    "encode",
    "evaluate",
    "evaluate_codes",
    "over_queries",
    "search_latency",
    "uniform_codes",
]
