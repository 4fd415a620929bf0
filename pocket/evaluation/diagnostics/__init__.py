"""Diagnostics: what a mean score does not say. `pocket.diagnose` runs them all."""

from pocket.evaluation.diagnostics.anomaly import anomaly_detection, anomaly_scores, missing_classes
from pocket.evaluation.diagnostics.bits import bit_health
from pocket.evaluation.diagnostics.classes import class_bias, gini, rare_classes
from pocket.evaluation.diagnostics.corruptions import CORRUPTIONS, SEVERITIES, corrupt
from pocket.evaluation.diagnostics.diagnose import diagnose
from pocket.evaluation.diagnostics.diversity import (
    coverage_density,
    diversity,
    effective_rank,
    spread_ratio,
)
from pocket.evaluation.diagnostics.drift import Advice, DriftMonitor, advice, divergence
from pocket.evaluation.diagnostics.leakage import leakage
from pocket.evaluation.diagnostics.neighbourhood import (
    chance_among,
    hamming_matrix,
    linear_cka,
    neighbour_overlap,
    neighbourhood,
    trustworthiness,
)
from pocket.evaluation.diagnostics.robustness import robustness
from pocket.runs.diagnostics import (
    AnomalyDetection,
    BitHealth,
    ClassBias,
    DiagnosticReport,
    DiagnosticsRecord,
    Diversity,
    Drift,
    Leakage,
    Neighbourhood,
    RareClasses,
    Robustness,
)

__all__ = [
    "CORRUPTIONS",
    "SEVERITIES",
    "Advice",
    "AnomalyDetection",
    "BitHealth",
    "ClassBias",
    "DiagnosticReport",
    "DiagnosticsRecord",
    "Diversity",
    "Drift",
    "DriftMonitor",
    "Leakage",
    "Neighbourhood",
    "RareClasses",
    "Robustness",
    "advice",
    "anomaly_detection",
    "anomaly_scores",
    "bit_health",
    "chance_among",
    "class_bias",
    "corrupt",
    "coverage_density",
    "diagnose",
    "divergence",
    "diversity",
    "effective_rank",
    "gini",
    "hamming_matrix",
    "leakage",
    "linear_cka",
    "missing_classes",
    "neighbour_overlap",
    "neighbourhood",
    "rare_classes",
    "robustness",
    "spread_ratio",
    "trustworthiness",
]
