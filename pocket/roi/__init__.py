"""Does condensing pay? Cost model, finance and decision: pure Python and numpy, no torch."""

from pocket.roi.bound import Ceiling, ceiling, ceiling_at
from pocket.roi.fields import SPECS, Estimate, InputError, Thresholds
from pocket.roi.finance import break_even, irr, npv, payback
from pocket.roi.inputs import RoiInputs
from pocket.roi.measured import alternatives, disturbed, equal_steps
from pocket.roi.model import compute
from pocket.roi.report import RoiReport
from pocket.roi.scenarios import differences, load_scenario, save_scenario, scenario_names
from pocket.roi.table import schedule_csv
from pocket.roi.uncertainty import FAILED, monte_carlo

__all__ = [
    "FAILED",
    "SPECS",
    "Ceiling",
    "Estimate",
    "InputError",
    "RoiInputs",
    "RoiReport",
    "Thresholds",
    "alternatives",
    "break_even",
    "ceiling",
    "ceiling_at",
    "compute",
    "differences",
    "disturbed",
    "equal_steps",
    "irr",
    "load_scenario",
    "monte_carlo",
    "npv",
    "payback",
    "save_scenario",
    "scenario_names",
    "schedule_csv",
]
