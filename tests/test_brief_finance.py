"""What a financial controller reads in the brief: where a saving comes from, limits, labour, and when saving begins."""

from __future__ import annotations

from html import unescape

import pytest
from runs_for_tests import cell, run  # noqa: F401 (run is a fixture)

from pocket.presentation.brief import write_brief
from pocket.presentation.brief_evidence import evidence_row, fewer_steps
from pocket.presentation.html import visible
from pocket.presentation.i18n import LANGUAGES
from pocket.roi import RoiInputs, RoiReport, alternatives, compute
from pocket.runs import Run


def read(run: Run, lang: str, report: RoiReport | None = None) -> str:  # noqa: F811
    """Return what is read in the brief, white space as it is."""
    return unescape(visible(write_brief(run, lang, report).read_text(encoding="utf-8")))


def first_page(text: str, lang: str) -> str:
    return text[: text.index({"en": "In this brief", "ja": "目次"}[lang])]


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_first_page_says_what_of_the_saving_is_the_setting_of_fewer_steps(run: Run, lang: str) -> None:  # noqa: F811
    full, condensed, _ = alternatives(run.folder)
    report = compute(RoiInputs.from_run(run), draws=10)
    told = fewer_steps(report, full, condensed, lang)
    # 600 and 200 steps, 9.25 s and 3.0 s.
    assert all(figure in told for figure in ("600", "200", "67", "68")) and told in first_page(read(run, lang), lang)
    assert [evidence_row("", cells, lang).steps for cells in (full, condensed)] == ["600", "200"]
    assert fewer_steps(report, full, [cell("iem", 0, steps=600)], lang) == ""
    more = fewer_steps(report, full, [cell("iem", 0, steps=700)], lang)
    assert "700" in more and "67" not in more
    by_hand = compute(report.inputs.with_base("seconds_full", 20), draws=10)
    assert fewer_steps(by_hand, full, condensed, lang) == "", "nothing is known of the steps of those seconds"
