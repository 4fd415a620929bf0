"""`pocket dashboard` as it is run: who may open it, what its kernel loads, and its panel by keyboard in a Chromium."""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import requests
import websocket
from axe_playwright_python.sync_playwright import Axe
from browser_for_tests import Served, browser, dashboard, screenshot  # noqa: F401 (browser is a fixture)
from playwright.sync_api import Browser, Locator, Page, expect
from runs_for_tests import make_run
from typer.testing import CliRunner

from pocket.cli import app
from pocket.presentation.i18n import LANGUAGES, translator

pytestmark = pytest.mark.browser

_KERNEL = re.compile(r'"kernelId": "([0-9a-f-]+)"')
# Where the panel tells its outcome: not the fields, whose own text would change with what is typed.
_OUTCOME = """() => [...document.querySelectorAll('[role=main] :is(table, [role=status], .decision, .axes)')]
    .map(part => part.textContent).join('|')"""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with dashboard(tmp_path_factory.mktemp("home")) as running:
        yield running


def opened(browser: Browser, served: Served, width: int = 1280) -> Page:  # noqa: F811
    """Open the panel as a new visitor and wait for its first number."""
    page = browser.new_context(viewport={"width": width, "height": 800}).new_page()
    page.goto(served.opening, wait_until="commit")
    page.locator("[role=main] td").filter(has_text=re.compile(r"\d")).first.wait_for()
    return page


def kernel_of(served: Served) -> str:
    """Visit the page as a program and return the kernel that it was given."""
    found = _KERNEL.search(requests.get(served.opening, timeout=30).text)
    assert found
    return found[1]


def channel(served: Served, kernel: str, token: str = "") -> websocket.WebSocket:
    address = f"{served.address.replace('http', 'ws')}api/kernels/{kernel}/channels"
    return websocket.create_connection(address + token, timeout=5)


@pytest.mark.parametrize("token", ["", "?token=", "?token=wrong"])
def test_nothing_opens_without_the_token(served: Served, token: str) -> None:
    kernel = kernel_of(served)
    page = requests.get(served.address + token, timeout=30)
    assert page.status_code == 403 and not page.history
    assert all(translator(lang)("dashboard.refused_text") in page.text for lang in LANGUAGES)
    assert not _KERNEL.search(page.text) and "SAMPLE" not in page.text
    api = f"{served.address}api/kernels/{kernel}"
    assert requests.get(api + token, timeout=30).status_code == 403
    assert requests.delete(api + token, timeout=30).status_code == 403
    with pytest.raises(websocket.WebSocketBadStatusException, match="403"):
        channel(served, kernel, token)
    own = served.opening.removeprefix(served.address)
    assert requests.get(api + own, timeout=30).json()["id"] == kernel, "the same with the token is answered"
    channel(served, kernel, own).close()


def test_the_cookie_of_a_visit_opens_what_the_page_needs(served: Served) -> None:
    visitor = requests.Session()
    found = _KERNEL.search(visitor.get(served.opening, timeout=30).text)
    assert found and visitor.get(f"{served.address}api/kernels/{found[1]}", timeout=30).status_code == 200
    # Another site's page can send the cookie along, but neither its pass nor its origin.
    assert visitor.delete(f"{served.address}api/kernels/{found[1]}", timeout=30).status_code == 403
    with pytest.raises(websocket.WebSocketBadStatusException, match="403"):
        websocket.create_connection(
            f"{served.address.replace('http', 'ws')}api/kernels/{found[1]}/channels",
            cookie="; ".join(f"{cookie.name}={cookie.value}" for cookie in visitor.cookies),
            origin="http://elsewhere.example",
        )


def test_another_name_for_this_machine_is_refused(served: Served) -> None:
    answer = requests.get(served.opening, headers={"Host": "elsewhere.example"}, timeout=30)
    assert answer.status_code == 403 and not _KERNEL.search(answer.text)


@pytest.mark.parametrize(
    "path",
    ["panel.ipynb", "login", "tree", "voila/tree", "voila/render/panel.ipynb", "voila/files/panel.ipynb", "files/",
     "voila/api/contents", "api/contents", "api/kernels", "api/kernelspecs", "api/sessions", "api/terminals",
     "voila/static/", "voila/static/..%2f..%2fREADME.md", f"voila/query/{uuid.UUID(int=0)}", "voila/api/shutdown/x"],
)  # fmt: skip
def test_no_other_page_and_no_list_is_served(served: Served, path: str) -> None:
    answer = requests.get(served.address + path + served.opening.removeprefix(served.address), timeout=30)
    assert answer.status_code in (403, 404), answer.text[:300]


def test_only_this_computer_can_ask(served: Served) -> None:
    listening = []
    for process in (served.process, *served.kernels()):
        with contextlib.suppress(psutil.NoSuchProcess):  # a kernel whose page has just gone
            listening += [c.laddr.ip for c in process.net_connections("tcp") if c.status == "LISTEN"]
    assert len(listening) > 1 and set(listening) == {"127.0.0.1"}


def test_the_page_cannot_run_code(served: Served, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    line = channel(served, kernel_of(served), served.opening.removeprefix(served.address))
    for kind, content in (
        ("execute_request", {"code": f"open({str(mark)!r}, 'w')", "silent": False}),
        ("kernel_info_request", {}),
    ):
        header = {"msg_id": kind, "msg_type": kind, "session": "test", "username": "", "version": "5.3", "date": ""}
        line.send(
            json.dumps({"channel": "shell", "header": header, "parent_header": {}, "metadata": {}, "content": content})
        )
    told = ""
    while told != "kernel_info_request":  # the kernel works in order: what was sent before it has been left out
        message = json.loads(line.recv())
        assert message["parent_header"].get("msg_id") != "execute_request", message
        if message["msg_type"] == "kernel_info_reply":
            told = message["parent_header"]["msg_id"]
    line.close()
    assert not mark.exists()


def test_no_torch_in_its_kernel(browser: Browser, served: Served) -> None:  # noqa: F811
    page = opened(browser, served)
    loaded = []
    for process in (served.process, *served.kernels()):
        with contextlib.suppress(psutil.NoSuchProcess):  # a kernel whose page has just gone
            loaded.append({Path(part.path).name for part in process.memory_maps()})
    assert len(loaded) > 1
    for names in loaded:
        assert not [name for name in names if re.match(r"lib(torch|c10|faiss)|_?(torch|faiss)|swigfaiss", name)]
    assert any(name.startswith("_multiarray_umath") for names in loaded[1:] for name in names), "numpy is seen"
    page.context.close()


def test_no_kernel_outlives_its_page(browser: Browser, served: Served) -> None:  # noqa: F811
    page = opened(browser, served)
    found = _KERNEL.search(page.content())
    api = f"{served.address}api/kernels/{found[1]}{served.opening.removeprefix(served.address)}" if found else ""
    assert requests.get(api, timeout=30).status_code == 200
    page.goto("about:blank")
    until = time.monotonic() + 20
    while requests.get(api, timeout=30).status_code == 200:
        assert time.monotonic() < until, "the kernel is still there"
        time.sleep(0.2)


def speaks(page: Page, lang: str) -> None:
    """Check that title, heading, mark of the sample and panel are in one language."""
    page.wait_for_function("lang => document.documentElement.lang === lang", arg=lang)
    t = translator(lang)
    assert page.title() == t("dashboard.title", run="sample")
    assert page.get_by_role("heading", level=1).inner_text() == t("dashboard.title", run="sample")
    assert t("dashboard.sample_text") in page.get_by_role("note").inner_text()
    expect(page.get_by_role("main")).to_contain_text(t("roi.break_even"))  # the panel follows the page by a moment


def switch(page: Page, lang: str) -> None:
    page.get_by_role("button", name=translator(lang)("language.name")).focus()
    page.keyboard.press("Enter")


def test_the_first_number_is_there_within_five_seconds_in_the_language_asked_for(
    browser: Browser,  # noqa: F811
    tmp_path: Path,
    record_property: pytest.RecordProperty,
) -> None:
    with dashboard(tmp_path, "--lang", "ja") as fresh:
        for visit in ("first", "second"):
            started = time.monotonic()
            page = opened(browser, fresh)
            took = time.monotonic() - started
            record_property(visit, round(took, 2))
            speaks(page, "ja")
            page.context.close()
            assert took <= 5, visit
            time.sleep(3)  # the next visitor does not come at the same moment


def test_the_page_follows_the_switch_of_the_panel(browser: Browser, served: Served) -> None:  # noqa: F811
    page = opened(browser, served)
    speaks(page, "en")
    for lang in ("ja", "en"):
        switch(page, lang)
        speaks(page, lang)
    assert page.get_by_text("from pocket.presentation").count() == 0, "no code is shown"
    assert page.url == served.address, "the token is gone from the address bar"


def test_a_run_of_ones_own_is_shown_unchanged_until_the_server_ends(browser: Browser, home: Path) -> None:  # noqa: F811
    make_run("mine")
    before = {path: path.read_bytes() for path in (home / "runs").rglob("*") if path.is_file()}
    with dashboard(home, "--run", "mine") as running:
        page = opened(browser, running)
        assert page.title() == translator("en")("dashboard.title", run="mine")
        assert page.get_by_role("note").count() == 0, "this is no sample"
        assert not page.locator("#ended").is_visible()
    assert before == {path: path.read_bytes() for path in (home / "runs").rglob("*") if path.is_file()}
    page.locator("#ended").wait_for(timeout=30_000)
    assert translator("en")("dashboard.ended_text") in page.locator("#ended").inner_text()


def refused(home: Path, *words: str) -> str:
    call = [sys.executable, "-m", "pocket", "dashboard", "--no-browser", *words]
    environment = os.environ | {"POCKET_HOME": str(home)}
    done = subprocess.run(call, capture_output=True, text=True, encoding="utf-8", env=environment)
    assert done.returncode == 1, done.stdout
    (line,) = done.stderr.strip().splitlines()
    return line


def test_what_cannot_be_served_is_said_in_one_line(home: Path) -> None:
    make_run("mine").path("condensation.json").unlink()
    assert "no run 'nope'" in refused(home, "--run", "nope") and "there is mine" in refused(home, "--run", "nope")
    assert CliRunner().invoke(app, ["dashboard", "--no-browser", "--lang", "fr"]).exit_code == 2
    assert "condensation.json is missing" in refused(home, "--run", "mine")
    assert "実行 nope はありません" in refused(home, "--run", "nope", "--lang", "ja")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert f"port {port} cannot be used" in refused(home, "--port", str(port))
        assert f"ポート {port} は使用できません" in refused(home, "--port", str(port), "--lang", "ja")


def test_nothing_is_asked_of_another_machine(browser: Browser, served: Served) -> None:  # noqa: F811
    page = browser.new_context().new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("websocket", lambda line: asked.append(line.url))
    page.goto(served.opening)
    page.locator("[role=main] td").first.wait_for()
    switch(page, "ja")
    speaks(page, "ja")
    host = served.address.removeprefix("http://")
    assert any(url.startswith("ws://") for url in asked)
    assert [url for url in asked if not url.startswith((f"http://{host}", f"ws://{host}", "data:", "blob:"))] == []
    # And it could not be: the page's own policy stops it.
    assert page.evaluate("fetch('http://127.0.0.2:9/').then(() => 'sent', () => 'stopped')") == "stopped"
    assert page.evaluate(
        """() => new Promise(tell => { document.addEventListener('securitypolicyviolation', e => tell(e.blockedURI));
            const image = new Image(); image.src = 'http://127.0.0.2:9/x.png'; })"""
    ).startswith("http://127.0.0.2")


def unfold(page: Page) -> None:
    """Go through the whole page by Tab, open every folded group on the way, and mark what the focus reached."""
    page.evaluate("document.activeElement.blur()")
    for _ in range(1000):
        page.keyboard.press("Tab")
        place = page.evaluate(
            """() => { const e = document.activeElement, main = document.querySelector('[role=main]');
            if (!main.contains(e)) return 'outside';
            if (e.dataset.reached) return 'again';
            e.dataset.reached = 'yes';
            return e.tagName === 'SUMMARY' && !e.parentElement.open ? 'folded' : 'inside'; }"""
        )
        if place == "folded":
            page.keyboard.press("Enter")
        if place in ("outside", "again"):
            return
    raise AssertionError("Tab never leaves the panel")


def outcome(page: Page) -> str:
    return str(page.evaluate(_OUTCOME))


def changes(page: Page, before: str, seconds: float = 3.0) -> bool:
    """Say whether the outcome becomes another one in time."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if outcome(page) != before:
            return True
        page.wait_for_timeout(30)
    return False


def settle(page: Page) -> None:
    """Wait until the outcome rests, so that a late answer (charts are drawn first) does not pass for the next one."""
    before = ""
    while (now := outcome(page)) != before:
        before = now
        page.wait_for_timeout(1200)


def typed(page: Page, box: Locator, text: str) -> None:
    box.focus()
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.type(text)
    page.keyboard.press("Enter")


def moved(page: Page, slider: Locator) -> bool:
    """Move a slider by keys: a step, then to its ends, until the outcome follows."""
    slider.focus()
    for key in ("ArrowRight", "End", "Home"):
        before = outcome(page)
        page.keyboard.press(key)
        if changes(page, before, 1.0):
            return True
    return False


def retyped(page: Page, box: Locator, value: float) -> bool:
    """Type numbers other than ``value`` into a box until the outcome follows one; one out of range changes nothing."""
    for other in (value / 2, 10 * value, value / 10, 100, 1e7):
        before = outcome(page)
        typed(page, box, f"{other:.9g}")
        if changes(page, before, 1.0):
            return True
    return False


def test_every_control_is_named_and_changes_the_outcome_by_keyboard(
    browser: Browser,  # noqa: F811
    served: Served,
) -> None:
    page = opened(browser, served)
    unfold(page)
    main = page.get_by_role("main")
    sliders = [slider for slider in main.get_by_role("slider").all() if slider.is_visible()]
    boxes = [box for box in main.get_by_role("spinbutton").all() if box.is_visible()]
    assert len(sliders) >= 8 and len(boxes) >= len(sliders)
    names = [page.evaluate("e => e.getAttribute('aria-label') || e.labels?.[0]?.textContent", control.element_handle())
             for control in (*sliders, *boxes)]  # fmt: skip
    assert all(names), f"{names.count(None)} controls have no name"
    for control in (*sliders, *boxes):
        assert control.get_attribute("data-reached"), f"Tab does not reach {control}"
    # At the size that the sample measured a training costs next to nothing, and little else moves a rounded sum; and
    # where all data are kept anyway, the share that a hybrid keeps costs nothing more. Without the months in which both
    # are trained the verdict is go, so that the limits of go decide.
    for name, value in (
        ("workload_scale", "100000"),
        ("failure_cost", "200"),
        ("storage_price", "1000"),
        ("overlap_months", "0"),
    ):
        for box in main.get_by_role("spinbutton", name=translator("en")(f"input.{name}")).all():
            if box.is_visible():
                typed(page, box, value)
    for keep in main.get_by_role("checkbox", name=translator("en")("workbook.keep_full_data")).all():
        keep.focus()
        page.keyboard.press("Space")
    deaf = []
    for slider, name in zip(sliders, names, strict=False):
        box = slider.locator("xpath=ancestor::*[.//input[@type='number']][1]").get_by_role("spinbutton").first
        first = box.input_value()
        settle(page)
        if not moved(page, slider):
            deaf.append(f"{name} (slider)")
        if not retyped(page, box, float(first)):
            deaf.append(f"{name} (box)")
        typed(page, box, first)  # so that one extreme does not hide the next control's
    # Beyond its go limit a stop limit is refused, and before it, alone, it decides nothing here.
    assert [name for name in deaf if not name.startswith("Stop: ")] == []


def test_switches_and_choices_change_the_outcome_by_keyboard(browser: Browser, served: Served) -> None:  # noqa: F811
    page = opened(browser, served)
    unfold(page)
    main = page.get_by_role("main")
    for box in [box for box in main.get_by_role("checkbox").all() if box.is_visible()]:
        was = box.is_checked()
        for wanted in (not was, was):
            box.focus()
            page.keyboard.press("Space")
            page.wait_for_timeout(500)  # until the kernel has answered
            assert box.is_checked() == wanted
    for choice in [choice for choice in main.get_by_role("combobox").all() if choice.is_enabled()]:
        if choice.locator("option").count() > 1:
            before = outcome(page)
            choice.focus()
            page.keyboard.press("ArrowDown")
            assert changes(page, before), choice.evaluate("e => e.labels[0].textContent")


def test_numbers_follow_while_one_types(
    browser: Browser,  # noqa: F811
    served: Served,
    record_property: pytest.RecordProperty,
) -> None:
    page = opened(browser, served)
    page.evaluate(
        """outcome => { const tell = eval(outcome), took = window.took = []; let before, start;
        document.addEventListener('change', () => { before = tell(); start = performance.now(); }, true);
        new MutationObserver(() => {
            if (start && tell() !== before) { took.push(performance.now() - start); start = 0; }
        }).observe(document.querySelector('[role=main]'), {subtree: true, childList: true, characterData: true}); }""",
        f"({_OUTCOME})",
    )
    box = page.get_by_role("main").get_by_role("spinbutton").first
    for value in (2, 3, 5, 7, 9, 11, 13):
        before = page.evaluate("took.length")  # asked before: the answer may be there as soon as Enter is pressed
        typed(page, box, str(value))
        page.wait_for_function("n => window.took.length > n", arg=before)
        page.wait_for_timeout(1500)  # charts are drawn in the meantime
    took = page.evaluate("took")
    record_property("ms", [round(t) for t in took])
    assert statistics.median(took) <= 100, took


def test_charts_follow_a_slider_within_a_second(
    browser: Browser,  # noqa: F811
    served: Served,
    record_property: pytest.RecordProperty,
) -> None:
    page = opened(browser, served)
    main = page.get_by_role("main")
    typed(page, main.get_by_role("spinbutton").first, "100000")  # a size at which every chart shows each step
    settle(page)
    page.evaluate(
        """() => { const took = window.took = [], charts = () => [...document.querySelectorAll('.charts img')];
        document.addEventListener('input', () => {
            const start = performance.now(), before = charts().map(chart => chart.src);
            const look = async () => {
                if (charts().some((chart, i) => chart.src === before[i])) return requestAnimationFrame(look);
                await Promise.all(charts().map(chart => chart.decode()));
                took.push(performance.now() - start);
            };
            look();
        }, true); }"""
    )
    assert main.locator(".charts img").count() == 4
    main.get_by_role("slider").first.focus()
    for step in range(10):
        page.keyboard.press("ArrowRight")
        page.wait_for_function("step => window.took.length > step", arg=step)
        page.wait_for_timeout(500)
    took = page.evaluate("took")
    page.context.close()
    record_property("ms", [round(t) for t in took])
    if (load := os.getloadavg()[0]) > 2 * (os.cpu_count() or 1) and statistics.median(took) > 1000:
        pytest.skip(f"others keep this machine busy (load {load:.1f}): charts took {statistics.median(took):.0f} ms")
    assert statistics.median(took) <= 1000, took


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_fits_and_has_no_serious_accessibility_fault(
    browser: Browser,  # noqa: F811
    served: Served,
    width: int,
    lang: str,
) -> None:
    page = opened(browser, served, width)
    switch(page, lang)
    speaks(page, lang)
    screenshot(page, f"dashboard-{lang}-{width}")
    unfold(page)
    page.wait_for_timeout(1500)  # charts
    screenshot(page, f"dashboard-{lang}-{width}-unfolded")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    found = Axe().run(page).response["violations"]
    assert [f"{f['id']}: {f['nodes'][0]['html'][:120]}" for f in found if f["impact"] in ("serious", "critical")] == []


def test_what_is_typed_faster_than_answers_come_stays_as_typed(browser: Browser, served: Served) -> None:  # noqa: F811
    page = opened(browser, served)
    boxes = page.locator("details[open] .field .row input[type=number]")
    boxes.first.focus()
    words = ["2500", "345", "0.25", "1.75", "2.75", "12"]
    for word in words:
        page.keyboard.press("Control+A")
        page.keyboard.type(word, delay=40)
        page.keyboard.press("Tab")  # to the next slider
        page.keyboard.press("Tab")
    page.wait_for_timeout(1500)
    assert [boxes.nth(i).input_value() for i in range(len(words))] == words
    # Two sliders within one pause: the first one's word is not lost to the second's.
    sliders = page.locator("details[open] .field input[type=range]")
    before = [float(boxes.nth(i).input_value()) for i in (7, 8)]
    sliders.nth(7).focus()
    for key in ("ArrowRight", "Tab", "Tab", "ArrowRight"):
        page.keyboard.press(key)
    page.wait_for_timeout(1500)
    assert [float(boxes.nth(i).input_value()) for i in (7, 8)] == [before[0] + 1, before[1] + 1]
    page.context.close()
