"""The brief: self-contained, escaped, honest about what it was made from."""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import pytest
from pypdf import PdfReader
from runs_for_tests import cell, make_run, run  # noqa: F401 (run is a fixture)
from typer.testing import CliRunner

from pocket.cli import app
from pocket.presentation import roi_failed, roi_text
from pocket.presentation.brief import inline, write_brief
from pocket.presentation.i18n import PLUS_MINUS, percent, translator
from pocket.presentation.pdf import find_browser, print_pdf
from pocket.roi import RoiInputs, compute
from pocket.roi.report import FailedCase
from pocket.runs import ArtefactError, Run, audit, open_run, provenance, write_text
from pocket.runs.records import CondensationRecord, TrainingRecord
from pocket.runs.verification import verify_run


class Page(HTMLParser):
    """Collects the tags of a page with their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.mark.parametrize(("lang", "heading"), [("en", "The three axes"), ("ja", "三つの軸")])
def test_one_file_that_needs_nothing_else(run: Run, lang: str, heading: str) -> None:  # noqa: F811
    path = write_brief(run, lang)
    assert path == run.folder / f"brief.{lang}.html"
    text = path.read_text(encoding="utf-8")
    page = Page(text)
    assert page.named("html") == [{"lang": lang}]
    assert heading in text
    assert not page.named("script") and not page.named("link") and not page.named("iframe")
    assert not re.search(r"https?://|@import|url\(", text)
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    pictures = page.named("img")
    assert len(pictures) == 4
    assert all(str(p["src"]).startswith("data:image/png;base64,") and p["alt"] for p in pictures)
    assert all(attributes.get("scope") for attributes in page.named("th"))
    assert len(page.named("h1")) == 1
    assert text.index(heading) < text.index("0.971")


SECTIONS = (
    "decision", "axes", "key", "contents", "full", "evidence", "compare", "risks", "checklist", "rollout", "kpi",
    "meeting", "not-shown", "assumptions", "audit", "glossary",
)  # fmt: skip


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_every_section_stands_in_order_and_its_tables_stack(run: Run, lang: str) -> None:  # noqa: F811
    page = Page(write_brief(run, lang).read_text(encoding="utf-8"))
    assert [h["id"] for h in page.named("h2")] == list(SECTIONS)
    links = [str(a["href"]) for a in page.named("a")]
    assert links == [f"#{name}" for name in SECTIONS[4:]], "the contents list all that follows them"
    assert len(page.named("table")) == 8
    assert all("stack" in str(table["class"]).split() for table in page.named("table"))
    assert all(cell.get("data-label") for cell in page.named("td")), "a cell alone has to say what it is"


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_the_audit_head_is_that_of_the_log_before_the_page(run: Run, lang: str) -> None:  # noqa: F811
    log = run.path("audit.jsonl")
    before = log.read_bytes().splitlines()
    text = unescape(write_brief(run, lang).read_text(encoding="utf-8"))
    assert hashlib.sha256(before[-1]).hexdigest() in text
    assert translator(lang)("audit.text", lines=len(before)) in text
    assert translator(lang)("audit.limit") in text
    assert len(log.read_bytes().splitlines()) == len(before) + 1


@pytest.mark.parametrize(("lang", "says"), [("en", "training.json is missing"), ("ja", "training.json がありません")])
def test_an_unfinished_run_names_the_command_that_goes_on(home: Path, lang: str, says: str) -> None:
    mine = open_run("mine", dataset="/images of ours", bits=64, seeds=(0,))
    mine.path("check.json").touch()  # which every run of `pocket poc` has
    toured = open_run("toured")
    own = "pocket poc '/images of ours' --run mine --seeds 1 --bits 64" + " --lang ja" * (lang == "ja")
    for made, advice in ((mine, own), (toured, "pocket tour --run toured")):
        for words in (["brief"], ["dashboard", "--no-browser"]):
            found = CliRunner().invoke(app, [*words, "--run", made.name, "--lang", lang])
            assert found.exit_code == 1 and isinstance(found.exception, ArtefactError)
            assert says in str(found.exception) and advice in str(found.exception)
    assert not mine.path(f"brief.{lang}.html").exists()


def test_a_broken_chain_makes_no_brief(run: Run) -> None:  # noqa: F811
    log = run.path("audit.jsonl")
    log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[1:]))
    with pytest.raises(ArtefactError, match="the chain is broken"):
        write_brief(run, "en")
    assert not run.path("brief.en.html").exists()


def test_numbers_that_lie_close_are_told_apart(run: Run) -> None:  # noqa: F811
    npv = {a.name: a.npv for a in compute(RoiInputs.from_run(run)).alternatives}
    text = write_brief(run, "en").read_text(encoding="utf-8")
    for name in ("condensed", "random"):
        assert f"JPY\N{NO-BREAK SPACE}−{-npv[name]:,.0f}" in text
    assert f"−{-npv['condensed']:,.0f}円" in write_brief(run, "ja").read_text(encoding="utf-8")


def test_numbers_evidence_and_log(run: Run) -> None:  # noqa: F811
    text = write_brief(run, "en").read_text(encoding="utf-8")
    for found in (
        f"0.945{PLUS_MINUS}0.026",
        f"0.917{PLUS_MINUS}0.012",
        "digits-v1",
        "orthohash, 32 bits",
        "68\N{NO-BREAK SPACE}%",
        "Stop",
    ):
        assert found in text
    assert "+2.8 points" in text and "The interval includes zero" in text
    assert "SAMPLE" not in text
    lines = run.path("audit.jsonl").read_text(encoding="utf-8").splitlines()
    assert "brief.en.html" in lines[-1] and audit.digest_of(run.path("brief.en.html")) in lines[-1]


def test_the_users_own_inputs_are_told(run: Run) -> None:  # noqa: F811
    report = compute(RoiInputs.from_run(run).with_base("migration_days", 77))
    run.save(report, "roi.json")
    assert "77\N{NO-BREAK SPACE}days" in write_brief(run, "en").read_text(encoding="utf-8")
    other = compute(report.inputs.with_base("migration_days", 33))
    assert "33人日" in write_brief(run, "ja", other).read_text(encoding="utf-8")


@pytest.mark.parametrize(("lang", "banner"), [("en", "SAMPLE DATA"), ("ja", "サンプルデータ")])
def test_sample_data_are_marked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lang: str, banner: str) -> None:
    monkeypatch.setenv("POCKET_HOME", str(tmp_path))
    text = write_brief(make_run(sample=True), lang).read_text(encoding="utf-8")
    assert f"<strong>{banner}</strong>" in text


def test_names_are_escaped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POCKET_HOME", str(tmp_path))
    evil = '<script>alert("x")</script>'
    made = make_run(dataset=evil)
    made.record = made.record.model_copy(update={"name": "<img src=x onerror=y>"})
    for lang in ("en", "ja"):
        text = write_brief(made, lang).read_text(encoding="utf-8")
        assert not Page(text).named("script") and len(Page(text).named("img")) == 4
        assert "&lt;script&gt;" in text and "&lt;img src=x" in text


def test_one_seed_has_no_interval(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POCKET_HOME", str(tmp_path))
    made = make_run()
    training = TrainingRecord(cells=(cell("full", 0), cell("random", 0)), provenance=provenance())
    made.save(training, "training.json")
    made.save(CondensationRecord(cells=(cell("iem", 0),), provenance=provenance()), "condensation.json")
    assert "0.944 (one seed, no interval)" in write_brief(made, "en").read_text(encoding="utf-8")


def test_an_unknown_language_is_refused(run: Run) -> None:  # noqa: F811
    with pytest.raises(ValueError, match="unknown language 'fr'"):
        write_brief(run, "fr")
    assert not list(run.folder.glob("brief*"))


def plain(text: str) -> str:
    """Text without its spaces and without the look-alikes that PDF readers find for some letters."""
    return re.sub("[\N{SOFT HYPHEN}‒–—−‐-]", "-", "".join(unicodedata.normalize("NFKC", text).split()))


def test_a_brief_printed_again_is_as_logged(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    monkeypatch.setattr("pocket.presentation.pdf.print_pdf", lambda page: write_text(page.with_suffix(".pdf"), "new"))
    run.note(write_text(run.path("brief.en.pdf"), "old"))
    assert CliRunner().invoke(app, ["brief", "--run", run.name]).exit_code == 0
    found = verify_run(run.folder)
    assert found.problems == () and not any(name.startswith("brief") for name in found.unlogged)


@pytest.mark.browser
@pytest.mark.parametrize("lang", ["en", "ja"])
def test_it_is_printed_with_its_words(run: Run, lang: str) -> None:  # noqa: F811
    if find_browser() is None:
        assert not os.environ.get("CI"), "Chromium is missing in CI"
        pytest.skip("no Chromium on this machine: apt-get install chromium")
    before = (page := write_brief(run, lang)).read_bytes()
    pdf = print_pdf(page)
    assert page.read_bytes() == before
    sheets = PdfReader(pdf).pages
    text = "".join(sheet.extract_text() for sheet in sheets)
    assert 2 <= len(sheets) <= 12
    t = translator(lang)
    for key in ("brief.title", "axis.time", "axis.effort", "brief.risks", "brief.not_shown"):
        assert plain(t(key)) in plain(text), key
    assert round(float(sheets[0].mediabox.width)) == 595, "A4"


@pytest.mark.browser
@pytest.mark.parametrize("lang", ["en", "ja"])
@pytest.mark.parametrize("scale", [1, 8000])
def test_the_decision_fits_on_the_first_sheet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lang: str, scale: float
) -> None:
    if find_browser() is None:
        assert not os.environ.get("CI"), "Chromium is missing in CI"
        pytest.skip("no Chromium on this machine: apt-get install chromium")
    monkeypatch.setenv("POCKET_HOME", str(tmp_path))
    made = make_run(sample=True)  # with the banner, which takes room too
    inputs = RoiInputs.from_run(made).with_base("workload_scale", scale).with_base("failure_cost", 100)
    report = compute(inputs)
    assert report.decision.verdict == ("stop" if scale == 1 else "go")
    assert (report.decision.flip is None) == (scale == 1), "with a flip the page is fuller"
    if scale == 1:  # and where failed searches as measured would change the decision
        case = {"change": -0.14, "cost": 10, "npv": 3_120_000, "verdict": "go", "reason": "all_met"}
        report = report.model_copy(update={"failed": (FailedCase.model_validate(case),)})
        assert roi_failed.flip(report, lang)
    sheets = [plain(s.extract_text()) for s in PdfReader(print_pdf(write_brief(made, lang, report))).pages]
    t = translator(lang)
    lines = [roi_text.decision(report, lang), roi_text.flip(report, lang), *roi_text.axes(report, lang)]
    first = {t(f"roi.{key}") for key in ("break_even", "payback", "npv", "range")}
    lines += [line for line in roi_text.key_figures(report, lang) if line.label in first]
    assert len(lines) == 10
    for line in lines:
        for text in line:
            assert plain(text) in sheets[0], text
    found = report.outcomes
    middle = roi_text.npv_money(report, lang)(found.p50)
    chance = t("roi.range_help", middle=middle, share=percent(found.p_negative, lang, 0))
    advice = t(f"brief.next_{report.decision.verdict}")
    for text in (
        t("brief.asked"),
        t("axis.title"),
        chance,
        roi_failed.flip(report, lang),
        t("brief.recommendation"),
        advice,
    ):
        assert plain(text) in sheets[0], text
    assert plain(t("brief.full_figures")) not in sheets[0]
    assert sheets[1].startswith(plain(t("brief.full_figures"))), "the second sheet begins behind the decision"


def test_without_a_browser_the_page_is_written_and_a_line_says_what_to_do(
    run: Run,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", str(run.folder))
    done = CliRunner().invoke(app, ["brief", "--run", run.name, "--lang", "ja"])
    assert done.exit_code == 0, done.output
    assert "neither Chromium nor Chrome is installed here" in done.output
    assert run.path("brief.ja.html").is_file()
    assert not run.path("brief.ja.pdf").exists()


def test_inside_a_notebook_that_is_not_trusted_words_stand_in_its_place(run: Run) -> None:  # noqa: F811
    for lang in ("en", "ja"):
        shown = inline(write_brief(run, lang)).data
        told = translator(lang)("brief.untrusted", name=f"brief.{lang}.html")
        assert f'<p class="pocket-untrusted">{told}</p>' in shown, "what Jupyter leaves of it has to say something"
        assert "<style>.pocket-untrusted { display: none; }</style>" in shown, "where the frame is shown, they are not"


def test_japanese_is_set_as_japanese_is(run: Run) -> None:  # noqa: F811
    body = write_brief(run, "ja").read_text(encoding="utf-8").partition("<body")[2]
    words = unescape(re.sub(r"\s*<[^>]+>\s*", "\n", body)).replace("\N{NO-BREAK SPACE}", " ")
    kana = r"[ぁ-んァ-ヶー一-龠]"
    faults = {
        "a space between Japanese words": rf"{kana}[。、）]? +[（「]?{kana}",
        "a space between a figure and its unit": rf"\d {kana}",
        "brackets of another language": rf"[\d%{kana[1:]} ?\({kana}|{kana}\)",
        "a comma of another language": rf"{kana}[,;:]|, {kana}|\d, \d",
        "words twice": rf"({kana}{{2,}})：\1",
    }
    for fault, pattern in faults.items():
        assert not (found := re.search(pattern, words)), f"{fault}: {words[found.start() - 20 : found.end() + 20]!r}"
