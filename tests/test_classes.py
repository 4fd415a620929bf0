"""Scores class by class, beside chance: exact, and said where even the full model finds nothing."""

from __future__ import annotations

import os
import shutil
from html import unescape
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from pypdf import PdfReader
from runs_for_tests import run  # noqa: F401 (a fixture)
from test_brief import plain
from test_roi import equal_run

from pocket.evaluation import Codes, RetrievalReport, by_class, chance_level, evaluate_codes
from pocket.presentation.brief import write_brief
from pocket.presentation.brief_classes import class_lines, class_table, warnings
from pocket.presentation.checklist import Check, checklist, worst_class
from pocket.presentation.i18n import translator
from pocket.presentation.meeting import phrases
from pocket.presentation.pdf import find_browser, print_pdf
from pocket.presentation.rollout import kpis
from pocket.roi import RoiInputs, alternatives, compute
from pocket.runs import Run
from pocket.runs.diagnostics import DiagnosticsRecord
from pocket.runs.paths import kit_dir
from pocket.runs.retrieval import (
    ByClass,
    ClassScore,
    FailedSearches,
    MeanInterval,
    OverQueries,
    RetrievalComparison,
)

SAMPLE = kit_dir("data") / "sample_run"
RULE = ("go_npv", "stop_npv", "months", "go_loss", "stop_loss")


def average_precision(order: tuple[int, ...]) -> float:
    hits = np.cumsum(order)
    return float(np.sum(np.array(order) * hits / np.arange(1, len(order) + 1)) / hits[-1])


def test_chance_is_the_mean_over_every_order() -> None:
    for items in range(1, 7):
        for relevant in range(1, items + 1):
            orders = permutations([1] * relevant + [0] * (items - relevant))
            expected = np.mean([average_precision(order) for order in orders])
            assert chance_level([relevant], items)[0] == pytest.approx(expected, abs=1e-12)
    assert np.isnan(chance_level([0], 5)[0])
    ours, harmonic = chance_level([952], 1344)[0], np.sum(1 / np.arange(1, 1345))
    assert ours == pytest.approx((harmonic + 951 / 1343 * (1344 - harmonic)) / 1344), "the closed form"
    assert ours > 952 / 1344


def test_chance_takes_the_cut_off_of_the_score() -> None:
    tied = evaluate_codes(Codes.from_bits([[True] * 8], [0]), Codes.from_bits([[True] * 8] * 6, [0, 0, 1, 1, 1, 1]), 3)
    assert chance_level([2], 6, 3)[0] == pytest.approx(tied.map)


def reports(*rows: tuple[float | None, ...]) -> list[RetrievalReport]:
    made = RetrievalComparison.load(SAMPLE / "retrieval.json").models["IEM"]
    names = ("many", "rare", "absent")
    return [made.model_copy(update={"query_ap": row, "class_names": names, "at": None}) for row in rows]


def test_each_class_has_its_scores_things_and_chance() -> None:
    full = reports((0.9, 0.7, 0.2, None), (0.7, 0.5, 0.4, None))
    other = reports((0.5, 0.5, 0.1, None))
    labels, searched = np.array([0, 0, 1, 2]), np.array([0] * 8 + [1] * 2)
    found = by_class(full, other, other, labels, searched, np.array([4, 4, 5, 6]))
    many, rare = found.classes
    assert (many.name, many.queries, many.things, many.database) == ("many", 2, 1, 8)
    assert (many.full, many.condensed, rare.full, rare.random) == pytest.approx((0.7, 0.5, 0.3, 0.1))
    assert many.chance == pytest.approx(chance_level([8], 10)[0]) and rare.chance == pytest.approx(
        chance_level([2], 10)[0]
    )
    assert found.chance == pytest.approx((2 * many.chance + rare.chance) / 3), "a mean over queries, as mAP is"
    assert many.full_low is None and found.unjudged == found.classes and found.unfound == ()
    alone = by_class(full, other, other, labels, searched)
    assert alone.classes[0].things == 2 and alone.classes[0].full_low is not None
    with pytest.raises(ValueError, match="same 4 queries"):
        by_class(full, [], other, labels, searched)


def score(name: str, full: float, chance: float, *, things: int = 20, low: float | None = None) -> ClassScore:
    return ClassScore(
        name=name, queries=2 * things, things=things, database=30, chance=chance, full=full, condensed=full,
        random=full, full_low=full - 0.02 if low is None else low,
    )  # fmt: skip


def test_scores_of_a_perfect_search_stay_scores() -> None:
    side = Codes.from_bits(np.eye(8, dtype=bool)[[0, 0, 1, 1]], np.array([0, 0, 1, 1]))
    above = float(np.nextafter(1, 2))  # what rounding makes of some scores of 1
    report = evaluate_codes(side, side).model_copy(update={"query_ap": (above,) * 4})
    found = by_class([report], [report], [report], np.array([0, 0, 1, 1]), np.array([0, 0, 1, 1]))
    assert [(row.full, row.condensed, row.random) for row in found.classes] == [(1.0, 1.0, 1.0)] * 2


@pytest.mark.parametrize(
    ("full", "chance", "low", "found"),
    [
        (0.9, 0.5, 0.8, True),
        (0.06, 0.04, 0.05, False),  # above chance, but by next to nothing
        (0.5, 0.1, 0.08, False),  # far above it, but it may be luck
        (0.55, 0.53, 0.54, False),  # a great mAP that a random order has, too
        (1.0, 1.0, 1.0, False),  # nothing else is in the database
    ],
)
def test_found_is_clearly_above_chance(full: float, chance: float, low: float, found: bool) -> None:
    assert score("a", full, chance, low=low).found is found


SHOWN = ByClass(
    chance=0.53,
    classes=(score("free", 0.9, 0.71), score("<fray>", 0.05, 0.04), score("crack", 0.5, 0.04, things=4)),
)


@pytest.fixture
def classed(run: Run) -> Run:  # noqa: F811
    """The run with scores by class: one class found, one hardly, one with too few things to say."""
    shutil.copy(SAMPLE / "retrieval.json", run.path("retrieval.json"))
    record = RetrievalComparison.load(run.path("retrieval.json")).model_copy(update={"by_class": SHOWN})
    run.save(record, "retrieval.json")
    return run


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_page_one_names_what_is_hardly_found_and_the_table_holds_all(classed: Run, lang: str) -> None:
    t = translator(lang)
    source = write_brief(classed, lang).read_text(encoding="utf-8")
    assert "<fray>" not in source
    text = unescape(source)
    first, later = text[text.index("<body") : text.index("<nav")], text[text.index('id="evidence"') :]
    told = warnings(classed, lang)
    assert len(told) == 2 and "<fray>" in told[0] and "crack" in told[1] and "free" not in "".join(told)
    assert all(line in first for line in told)
    table = class_table(classed, lang)
    assert table is not None and [row[0] for row in table.rows] == ["<fray>", "free", "crack"]
    assert table.rows[0][-1] == t("classes.hardly") and table.rows[2][-1] == t("classes.not_judged")
    assert "0.530" in table.text and all(cell in later for row in table.rows for cell in row)
    lines = list(class_lines(SHOWN, lang))
    assert len(lines) == 4 and "0.530" in lines[0] and "0.710" in lines[2] and "crack" in lines[-1]


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_page_one_says_where_an_overall_score_is_mostly_chance(classed: Run, lang: str) -> None:
    one = MeanInterval(mean=0.72, low=0.6, high=0.8, macro=0.26, queries=261, groups=42, seeds=3)
    over = OverQueries(full=one, condensed=one, random=one, against_full=one, against_random=one)
    record = RetrievalComparison.load(classed.path("retrieval.json"))
    classed.save(record.model_copy(update={"over": over}), "retrieval.json")
    told = translator(lang)("classes.much_by_chance", full="0.720", chance="0.530", macro="0.260")
    page = unescape(write_brief(classed, lang).read_text(encoding="utf-8"))
    assert told in page[: page.index("<nav")] and warnings(classed, lang)[0] == told
    even = SHOWN.model_copy(update={"chance": 0.1})
    classed.save(record.model_copy(update={"over": over, "by_class": even}), "retrieval.json")
    assert len(warnings(classed, lang)) == 2, "of classes of equal size it would be no news"


def shown_classes(
    run: Run,  # noqa: F811
    *scores: ClassScore,
    chance: float = 0.1,
    things: int = 99,
    disturbed: dict[str, float] | None = None,
) -> dict[str, Check]:
    """The checklist of the run with these scores by class, of so many things, and the sample's diagnostics, in which
    both models have these mAPs by class under disturbances, and the same of each disturbance; else none by class.
    """
    for name in ("retrieval.json", "diagnostics.json"):
        shutil.copy(SAMPLE / name, run.path(name))
    record = RetrievalComparison.load(run.path("retrieval.json"))
    one = MeanInterval(mean=0.9, low=0.8, high=1.0, macro=0.9, queries=400, groups=things, seeds=3)
    over = OverQueries(full=one, condensed=one, random=one, against_full=one, against_random=one)
    classes = ByClass(chance=chance, classes=scores)
    run.save(record.model_copy(update={"by_class": classes, "over": over}), "retrieval.json")
    found = DiagnosticsRecord.load(run.path("diagnostics.json"))
    by_name = None if disturbed is None else {name: (score,) * 5 for name, score in disturbed.items()}
    both = {name: model.robustness for name, model in found.models.items()}
    if disturbed is not None:
        both = dict.fromkeys(both, both["full data"])
    models = {
        name: model.model_copy(update={"robustness": both[name].model_copy(update={"class_mean": by_name})})
        for name, model in found.models.items()
    }
    run.save(found.model_copy(update={"models": models}), "diagnostics.json")
    return {line.key: line for line in checklist(run, compute(RoiInputs.from_run(run), draws=10), "en")}


def test_a_class_that_nothing_finds_is_not_met_and_one_of_few_things_is_not_judged(run: Run) -> None:  # noqa: F811
    bias = DiagnosticsRecord.load(SAMPLE / "diagnostics.json").models["IEM"].bias.against
    rarest = DiagnosticsRecord.load(SAMPLE / "diagnostics.json").models["full data"].rare.rarest
    assert bias is not None and len(rarest) < len(bias), "digits: ten classes of which two are the rarest"
    common = next(name for name in bias if name not in rarest)

    def states(**odd: ClassScore) -> dict[str, str]:
        each = [odd.get("all_", odd.get(f"_{name}", score(name, 0.97, 0.1))) for name in bias]
        lines = shown_classes(run, *each)
        return {key: lines[key].state for key in ("bias", "rare")}

    assert states() == {"bias": "met", "rare": "met"}, "as it is without scores by class"
    assert states(**{f"_{common}": score(common, 0.12, 0.1)}) == {"bias": "todo", "rare": "met"}
    assert states(**{f"_{common}": score(common, 0.97, 0.1, things=4)}) == {"bias": "unjudged", "rare": "met"}
    rare = rarest[0]
    assert states(**{f"_{rare}": score(rare, 0.12, 0.1)}) == {"bias": "todo", "rare": "todo"}
    assert states(**{f"_{rare}": score(rare, 0.97, 0.1, things=4)}) == {"bias": "unjudged", "rare": "unjudged"}
    line = shown_classes(run, *(score(name, 0.12 if name == rare else 0.9, 0.1) for name in bias))["rare"]
    assert f"hardly finds {rare}:" in line.found


def test_a_loss_in_a_class_of_few_things_does_not_count_and_one_elsewhere_does(run: Run) -> None:  # noqa: F811
    record = DiagnosticsRecord.load(SAMPLE / "diagnostics.json")
    bias = record.models["IEM"].bias.against
    assert bias is not None
    worst = min(bias, key=lambda name: bias[name])
    few = [score(name, 0.97, 0.1, things=4 if name == worst else 20) for name in bias]
    shown_classes(run, *few)
    for name, state in ((worst, "unjudged"), (next(n for n in bias if n != worst), "todo")):
        iem = record.models["IEM"]
        lost = iem.model_copy(update={"bias": iem.bias.model_copy(update={"against": bias | {name: -0.4}})})
        run.save(record.model_copy(update={"models": record.models | {"IEM": lost}}), "diagnostics.json")
        lines = {line.key: line for line in checklist(run, compute(RoiInputs.from_run(run), draws=10), "en")}
        assert lines["bias"].state == state


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_a_class_that_cannot_be_judged_is_never_called_the_worst(run: Run, lang: str) -> None:  # noqa: F811
    bias = DiagnosticsRecord.load(SAMPLE / "diagnostics.json").models["IEM"].bias.against
    assert bias is not None
    first, second = sorted(bias, key=lambda name: bias[name])[:2]
    shown_classes(run, *(score(name, 0.97, 0.1, things=4 if name == first else 20) for name in bias))
    assert worst_class(run) == (second, bias[second])
    report = compute(RoiInputs.from_run(run), draws=10)
    line = next(line for line in checklist(run, report, lang) if line.key == "bias")
    told = translator(lang)("checklist.bias_found", name=second, loss="|").split("|")[0]
    assert line.found.startswith(told), "and no gap to a class of which nothing is known"
    assert translator(lang)("checklist.bias_gap", gap="|").split("|")[0] not in line.found
    cells = alternatives(run.folder)
    answer = phrases(run, report, cells.condensed, cells.random, lang)[1].answer
    assert translator(lang)("meeting.lose_class", name=second, loss="|").split("|")[0] in answer
    shown_classes(run, *(score(name, 0.97, 0.1, things=4) for name in bias))
    assert worst_class(run) is None
    line = next(line for line in checklist(run, report, lang) if line.key == "bias")
    assert line.state == "unjudged" and line.found.startswith(translator(lang)("checklist.bias_none"))


def test_too_few_queries_judge_no_disturbance(run: Run) -> None:  # noqa: F811
    both = score("a", 0.97, 0.1, things=12), score("b", 0.97, 0.1, things=12)
    line = shown_classes(run, *both, things=19)["shift"]
    assert line.state == "unjudged", "a thing under two labels is one thing, as the intervals count it"
    assert "Only 19 independent queries" in line.found
    assert shown_classes(run, *both, things=20)["shift"].state == "partly"


def test_a_disturbance_is_judged_class_by_class_where_that_says_something(run: Run) -> None:  # noqa: F811
    def line(thin: float, things: int = 20) -> Check:
        scores = score("firm", 0.97, 0.1), score("thin", 0.97, 0.1, things=things)
        return shown_classes(run, *scores, disturbed={"firm": 0.8, "thin": thin})["shift"]

    assert line(0.8).state == "met"
    near, few = line(0.15), line(0.8, things=4)
    assert near.state == "partly" and "full-data model hardly finds thin:" in near.found
    assert few.state == "partly" and "asked for of thin:" in few.found


def test_no_sentence_after_a_however_begins_with_another(run: Run) -> None:  # noqa: F811
    bias = DiagnosticsRecord.load(SAMPLE / "diagnostics.json").models["IEM"].bias.against
    assert bias is not None
    first, second, *rest = bias
    odd = score(first, 0.12, 0.1), score(second, 0.97, 0.1, things=4)
    shown_classes(run, *odd, *(score(name, 0.97, 0.1) for name in rest))
    lines = checklist(run, compute(RoiInputs.from_run(run), draws=10), "ja")
    assert max(line.found.count("ただし") for line in lines) == 1


def test_where_all_is_near_chance_nothing_is_met(run: Run) -> None:  # noqa: F811
    full = DiagnosticsRecord.load(SAMPLE / "diagnostics.json").models["full data"]
    names = full.rare.rarest
    thin = shown_classes(run, *(score(name, 1.0, full.rare.rarest_map[-1], low=1.0) for name in names))
    assert thin["rare"].state == "unjudged" and "near chance" in thin["rare"].found
    assert thin["shift"].state == "partly", "snow and fog cost more than the limit"
    shifted = shown_classes(run, score("a", 0.97, 0.1), chance=full.robustness.mean[-1])
    assert shifted["shift"].state == "unjudged" and shifted["shift"].mark.startswith("◇")


def test_without_scores_by_class_nothing_is_said(run: Run) -> None:  # noqa: F811
    assert class_table(run, "en") is None and warnings(run, "en") == []
    shutil.copy(SAMPLE / "retrieval.json", run.path("retrieval.json"))
    assert class_table(run, "en") is None and warnings(run, "en") == []


@pytest.mark.parametrize("lang", ["en", "ja"])
@pytest.mark.parametrize(
    ("condensed", "key"),
    [((0.10, 0.50, 0.30), "unclear"), ((0.35, 0.36, 0.34), "rise"), ((0.05, 0.06, 0.04), "fall"), ((0.2,), "unclear")],
)
def test_failed_searches_are_of_all_seeds(classed: Run, lang: str, condensed: tuple[float, ...], key: str) -> None:
    t = translator(lang)
    full = (0.25, 0.26, 0.24)[: len(condensed)]
    failed = FailedSearches(rank=10, full=full, condensed=condensed, random=condensed)
    record = RetrievalComparison.load(classed.path("retrieval.json"))
    classed.save(record.model_copy(update={"failed": failed}), "retrieval.json")
    report = compute(RoiInputs.from_run(classed), draws=10)
    cells = alternatives(classed.folder)
    line = kpis(classed, report, cells.full, cells.condensed, lang)[1]
    mean = f"{100 * sum(condensed) / len(condensed):.1f}"
    assert line.condensed.startswith(mean)
    if len(condensed) > 1:
        assert f"{100 * min(condensed):.1f}" in line.condensed and f"{100 * max(condensed):.1f}" in line.condensed
    assert t(f"kpi.failed_{key}", change="|").split("|")[1][:60] in line.how
    # 2.6 points of mAP are lost in this run, and 0.1 % more searches fail for each by assumption.
    despite, charged = (t(f"kpi.sums_{kind}", assumed="0.26") for kind in ("despite", "rise"))
    assert line.how.endswith(despite if key == "fall" else charged), "a cost of a rise beside a measured fall is said"
    better = compute(RoiInputs.from_run(classed).with_base("map_condensed", 0.99), draws=10)
    how = kpis(classed, better, cells.full, cells.condensed, lang)[1].how
    assert how.endswith(t("kpi.sums_without" if key == "rise" else "kpi.sums_none"))


def test_of_many_classes_the_least_found_are_shown(classed: Run) -> None:
    many = ByClass(chance=0.1, classes=tuple(score(f"c{i:02}", 0.2 + i / 100, 0.1) for i in range(40)))
    record = RetrievalComparison.load(classed.path("retrieval.json")).model_copy(update={"by_class": many})
    classed.save(record, "retrieval.json")
    table = class_table(classed, "en")
    assert table is not None and len(table.rows) == 30 and table.rows[0][0] == "c00"
    assert translator("en")("classes.shown", shown=30, count=40) in table.text


@pytest.mark.browser
@pytest.mark.parametrize("lang", ["en", "ja"])
def test_with_all_its_warnings_the_decision_stays_on_the_first_sheet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lang: str
) -> None:
    if find_browser() is None:
        assert not os.environ.get("CI"), "Chromium is missing in CI"
        pytest.skip("no Chromium on this machine: apt-get install chromium")
    made = equal_run(tmp_path, monkeypatch, 1.25)
    shutil.copy(SAMPLE / "retrieval.json", made.path("retrieval.json"))
    record = RetrievalComparison.load(made.path("retrieval.json"))
    hardly = [score(f"a fault of kind {i}", 0.06, 0.05) for i in range(7)]
    few = [score(f"a rare fault of kind {i}", 0.9, 0.05, things=3) for i in range(7)]
    classes = ByClass(chance=0.53, classes=(*hardly, *few))
    made.save(record.model_copy(update={"by_class": classes}), "retrieval.json")
    sheets = [plain(sheet.extract_text()) for sheet in PdfReader(print_pdf(write_brief(made, lang))).pages]
    t = translator(lang)
    for text in (*warnings(made, lang), t("roi.range"), t("brief.ceiling", amount="|", months=36).split("|")[0]):
        assert plain(text) in sheets[0]
    assert plain(t("brief.rule", **dict.fromkeys(RULE, "|"))).split("|")[-1] in sheets[0], "the rule is its last line"
    assert sheets[1].startswith(plain(t("brief.full_figures")))
