"""The figures of the ROI in words."""

from __future__ import annotations

import pytest
from runs_for_tests import run  # noqa: F401 (fixture)

from pocket.presentation.roi_text import input_range
from pocket.roi import RoiInputs
from pocket.runs import Run


@pytest.mark.parametrize(
    ("name", "low", "high", "english", "japanese"),
    [
        ("migration_days", 5, 20, "5 – 20 days", "5〜20人日"),
        ("engineer_day_rate", 4e4, 9e4, "40,000 – 90,000 JPY per day", "40,000〜90,000円/人日"),
        ("power_watts", 150, 700, "150 – 700 W", "150〜700 W"),
        ("failure_cost", 0, 10, "JPY 0 – 10", "0〜10円"),
        ("failure_cost", 1000, 2e6, "JPY 1,000 – JPY 2.0 million", "1,000円〜2.0百万円"),
        (
            "failure_share_per_point",
            0,
            0.005,
            "0.00 – 0.50 points per mAP point",
            "mAP1ポイントあたり0.00〜0.50ポイント",
        ),
        ("seconds_full", 62, 65, "1 min 2 s – 1 min 5 s", "1分2秒〜1分5秒"),
        ("seconds_full", 5, 65, "5.0 s – 1 min 5 s", "5.0秒〜1分5秒"),
        ("map_full", 0.9, 1, "0.900 – 1.000", "0.900〜1.000"),
    ],
)
def test_a_range_says_its_unit_once(
    run: Run,  # noqa: F811
    name: str,
    low: float,
    high: float,
    english: str,
    japanese: str,
) -> None:
    inputs = RoiInputs.from_run(run)
    for lang, expected in (("en", english), ("ja", japanese)):
        assert input_range(name, low, high, inputs, lang).replace("\N{NO-BREAK SPACE}", " ") == expected
