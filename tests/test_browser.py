"""What people see, opened in a real browser: the run's page, the briefs, and the notebooks in JupyterLab."""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from browser_for_tests import browser, jupyterlab, open_notebook, run_cell_by_cell, screenshot  # noqa: F401 (fixture)
from PIL import Image
from playwright.sync_api import Browser, Page, Request

from pocket.data import load
from pocket.presentation.page import write_page
from pocket.runs import Run
from pocket.runs.paths import kit_dir
from pocket.workflows.manifest import Notebook, notebooks
from pocket.workflows.tour import TourRecord

pytestmark = pytest.mark.browser

# 02 and 03 train for minutes; the tour runs them. POCKET_LAB_ALL=1 runs all of them here too.
IN_LAB = [
    n for n in notebooks() if os.environ.get("POCKET_LAB_ALL") or n.number in ("00", "01", "04", "05", "08", "09")
]


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A copy of the sample run with its page."""
    folder = tmp_path_factory.mktemp("home") / "runs" / "sample"
    shutil.copytree(kit_dir("data") / "sample_run", folder)
    run = Run.read(folder)
    timings = [(n.number, n.title, n.seconds) for n in TourRecord.load(run.path("tour.json")).notebooks]
    write_page(run, timings)
    return run


@pytest.mark.parametrize("name", ["index.html", "brief.en.html", "brief.ja.html"])
@pytest.mark.parametrize("width", [1280, 390])
def test_pages_open_offline_without_scripts_and_fit(browser: Browser, sample: Run, name: str, width: int) -> None:  # noqa: F811
    context = browser.new_context(viewport={"width": width, "height": 800}, offline=True, java_script_enabled=False)
    page = context.new_page()
    asked: list[str] = []

    def note(request: Request) -> None:
        asked.append(request.url)

    page.on("request", note)
    page.goto(sample.path(name).as_uri())
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    assert "SAMPLE" in page.inner_text("body").upper() or "サンプル" in page.inner_text("body")
    screenshot(page, f"{name.removesuffix('.html')}-{width}")
    context.close()
    # Nothing sticks out of the window sideways (measured with scripts, shown without).
    page = browser.new_page(viewport={"width": width, "height": 800})
    page.goto(sample.path(name).as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("[...document.images].every(i => i.naturalWidth > 0 && i.alt)")
    page.close()


@pytest.mark.parametrize("name", ["index.html", "brief.en.html", "brief.ja.html"])
def test_no_serious_accessibility_fault(browser: Browser, sample: Run, name: str) -> None:  # noqa: F811
    page = browser.new_page()
    page.goto(sample.path(name).as_uri())
    found = Axe().run(page).response["violations"]
    assert [f["id"] for f in found if f["impact"] in ("serious", "critical")] == []
    page.close()


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    root: Path = tmp_path_factory.mktemp("lab")
    with jupyterlab(root) as address:
        yield address


def upload(page: Page, path: Path, content: bytes) -> None:
    """Choose a file by the explorer's button."""
    path.write_bytes(content)
    with page.expect_file_chooser() as chosen:
        page.get_by_role("button", name="or upload an image").click()
    chosen.value.set_files(path)


@pytest.mark.parametrize("notebook", IN_LAB, ids=lambda n: n.number)
def test_a_notebook_runs_cell_by_cell_in_jupyterlab(
    browser: Browser,  # noqa: F811
    lab: str,
    notebook: Notebook,
    tmp_path: Path,
) -> None:
    page = open_notebook(browser, lab, notebook.file)
    assert run_cell_by_cell(page, 120 + 180 * notebook.cpu_minutes) >= 3
    if notebook.number == "01":
        page.get_by_label("class", exact=True).select_option("7")
        page.wait_for_selector('.widget-html img[alt^="7 "]')
    if notebook.number == "04":
        chooser = page.get_by_label("query", exact=True)
        chooser.select_option(index=3)
        number = chooser.locator("option").nth(3).inner_text().replace("\xa0", " ")
        page.wait_for_selector(f'.widget-html img[alt^="{number}:"]')
        screenshot(page, "lab-04-query", full=False)
        upload(page, tmp_path / "a <b>broken file.png", b"no image")
        page.wait_for_selector(".widget-html :text('a <b>broken file.png: not a whole image')")
        pixels = io.BytesIO()
        Image.fromarray(load("digits").query.images[0, 0]).save(pixels, "png")
        upload(page, tmp_path / "mine.png", pixels.getvalue())
        page.wait_for_selector('.widget-html img[alt="mine.png"]')
        assert page.locator(".widget-html img").count() == 1 + 2 * 8
        screenshot(page, "lab-04-upload", full=False)
    if notebook.number == "05":
        page.get_by_role("button", name="日本語").click()
        page.wait_for_selector(".pocket-roi:has-text('学習時間')")
        words = page.locator(".pocket-roi:not(.panel) td").last  # the twin for paper: Jupyter would set it to the right
        assert words.evaluate("cell => getComputedStyle(cell).textAlign") == "left"
    screenshot(page, f"lab-{notebook.number}", full=False)
    page.close()
