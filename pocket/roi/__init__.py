"""Does condensing pay? Cost model, finance and decision: pure Python and numpy, no torch."""

from pocket.roi.finance import break_even, irr, npv, payback
from pocket.roi.inputs import SPECS, Estimate, InputError, RoiInputs, Thresholds
from pocket.roi.measured import alternatives
from pocket.roi.model import compute, monte_carlo
from pocket.roi.report import RoiReport
from pocket.roi.scenarios import differences, load_scenario, save_scenario, scenario_names
from pocket.roi.table import schedule_csv

__all__ = [
    "SPECS",
    "Estimate",
    "InputError",
    "RoiInputs",
    "RoiReport",
    "Thresholds",
    "alternatives",
    "break_even",
    "compute",
    "differences",
    "irr",
    "load_scenario",
    "monte_carlo",
    "npv",
    "payback",
    "save_scenario",
    "scenario_names",
    "schedule_csv",
]
