"""Failed searches as measured, beside the assumed link to mAP: what they would change, and where it is said."""

from __future__ import annotations

import shutil
from html import unescape

import pytest
from runs_for_tests import run  # noqa: F401 (fixture)

from pocket.presentation import roi_failed
from pocket.presentation.brief import write_brief
from pocket.presentation.html import visible
from pocket.presentation.i18n import LANGUAGES
from pocket.presentation.roi_figures import alt_tornado
from pocket.presentation.roi_html import top_html
from pocket.roi import FAILED, RoiInputs, RoiReport, compute
from pocket.runs import Run
from pocket.runs.paths import kit_dir
from pocket.runs.retrieval import FAILED_RANK, FailedSearches, RetrievalComparison

FULL, CONDENSED, RANDOM = (0.30, 0.32, 0.31), (0.16, 0.17, 0.15), (0.30, 0.31, 0.30)


def measured(run: Run, condensed: tuple[float, ...] = CONDENSED) -> RoiInputs:  # noqa: F811
    """Inputs of a run whose searches were measured over three seeds; far fewer fail than with all data."""
    known = RetrievalComparison.load(kit_dir("data") / "sample_run" / "retrieval.json")
    failed = FailedSearches(rank=FAILED_RANK, full=FULL, condensed=condensed, random=RANDOM)
    run.save(known.model_copy(update={"failed": failed}), "retrieval.json")
    return RoiInputs.from_run(run)


def cases(report: RoiReport) -> dict[tuple[float, float], tuple[float, str]]:
    return {(round(case.change, 6), case.cost): (case.npv, case.verdict) for case in report.failed}


def test_the_change_is_that_of_the_record_seed_by_seed(run: Run) -> None:  # noqa: F811
    found = measured(run).failed
    assert found is not None and found.seeds == 3
    assert found.mean == pytest.approx(-0.15) and found.random == pytest.approx(-0.02 / 3)
    # Differences −0.14, −0.15, −0.16: spread 0.01, and t of two degrees of freedom.
    assert (found.high - found.mean) == pytest.approx(4.302653 * 0.01 / 3**0.5, rel=1e-3)
    assert found.mean - found.low == pytest.approx(found.high - found.mean)


def test_of_one_seed_there_is_no_interval(run: Run) -> None:  # noqa: F811
    assert RoiInputs.from_run(run).failed is None and compute(RoiInputs.from_run(run), draws=10).failed == ()
    shutil.copy(kit_dir("data") / "sample_run" / "retrieval.json", run.path("retrieval.json"))
    inputs = RoiInputs.from_run(run)
    assert inputs.failed is not None and inputs.failed.seeds == 1
    assert inputs.failed.low == inputs.failed.mean == inputs.failed.high
    assert "one seed, no interval" in roi_failed.told(compute(inputs, draws=10), "en")


def test_the_npv_changes_by_what_the_searches_cost_and_nothing_else(run: Run) -> None:  # noqa: F811
    inputs = measured(run)
    report = compute(inputs, draws=10)
    # Without any link the NPV holds no failed searches at all: the measured ones are added to that.
    none = compute(inputs.with_base("failure_share_per_point", 0), draws=10)
    monthly = (1 + inputs.discount_rate.base) ** (1 / 12) - 1
    paid = sum((1 + monthly) ** -month for month in range(1, len(report.schedule)))
    assert len(report.failed) == 6, "three changes at two costs"
    for case in report.failed:
        expected = none.npv - inputs.searches_per_month.base * case.change * case.cost * paid
        assert case.npv == pytest.approx(expected)
    (row,) = (row for row in report.tornado if row.input == FAILED)
    at_base = {case.change: case.npv for case in report.failed if case.cost == inputs.failure_cost.base}
    assert (row.npv_low, row.npv_high) == (at_base[row.low], at_base[row.high])
    assert report.npv == compute(inputs.model_copy(update={"failed": None}), draws=10).npv, "the base stays"


@pytest.mark.parametrize("lang", LANGUAGES)
def test_where_the_measured_searches_change_the_decision_it_stands_beside_it(run: Run, lang: str) -> None:  # noqa: F811
    report = compute(measured(run), draws=10)
    assert report.decision.verdict == "stop" and report.decision.flip is None, "no input alone does"
    assert cases(report)[-0.15, 1.0][1] == "stop" and cases(report)[-0.15, 10.0][1] == "go"
    flip = roi_failed.flip(report, lang)
    assert "−15.00" in flip and {"en": "“Go”", "ja": "「実施」"}[lang] in flip
    page = unescape(visible(write_brief(run, lang, report).read_text(encoding="utf-8")))
    assert 0 < page.index(flip) < page.index({"en": "The three axes", "ja": "三つの軸"}[lang])
    assert roi_failed.told(report, lang) in page and flip in unescape(top_html(report, lang))
    assert {"en": "as measured", "ja": "実測値"}[lang] in alt_tornado(report.model_copy(
        update={"tornado": tuple(row for row in report.tornado if row.input == FAILED)}), lang)  # fmt: skip


@pytest.mark.parametrize("lang", LANGUAGES)
def test_where_they_change_nothing_that_is_said_too(run: Run, lang: str) -> None:  # noqa: F811
    report = compute(measured(run, condensed=(0.31, 0.31, 0.30)), draws=10)
    assert {verdict for _, verdict in cases(report).values()} == {"stop"} and not roi_failed.flip(report, lang)
    assert {"en": "Nowhere does that change", "ja": "いずれの場合も判定は変わりません"}[lang] in roi_failed.told(
        report, lang
    )


def test_searches_measured_with_other_scores_are_not_priced(run: Run) -> None:  # noqa: F811
    inputs = measured(run)
    assert compute(inputs.with_base("map_condensed", 0.8), draws=10).failed == ()
    again = inputs.model_copy(update={"failed": None}).remeasured(run)
    assert again.failed == inputs.failed, "a saved report takes what has been measured since"
