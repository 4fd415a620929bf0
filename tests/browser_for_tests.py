"""A real headless Chromium, and a real JupyterLab and a real dashboard to point it at."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from pocket.presentation.i18n import translator
from pocket.runs.paths import kit_dir

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync", "--no-first-run"]
TOKEN = "pocket-test"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium; without it the tests are skipped, except in CI, where it has to be there."""
    if CHROMIUM is None:
        assert not os.environ.get("CI"), "Chromium is missing in CI"
        pytest.skip("no Chromium on this machine: apt-get install chromium")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield launched
        launched.close()


def screenshot(page: Page, name: str, *, full: bool = True) -> None:
    """Keep a picture where POCKET_SCREENSHOTS names a folder."""
    if folder := os.environ.get("POCKET_SCREENSHOTS"):
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=full)


@contextmanager
def jupyterlab(root: Path) -> Iterator[str]:
    """Serve a copy of the notebooks from ``root`` and give the server's address."""
    shutil.copytree(kit_dir("notebooks"), root / "notebooks", dirs_exist_ok=True)
    settings = root / "settings" / "@jupyterlab" / "notebook-extension"
    settings.mkdir(parents=True)
    # Cells outside the window are otherwise not in the page, where a test looks for them.
    (settings / "tracker.jupyterlab-settings").write_text(json.dumps({"windowingMode": "none"}), encoding="utf-8")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    call = [sys.executable, "-m", "jupyter", "lab", "--no-browser", "--ip=127.0.0.1", f"--port={port}"]
    call += [f"--IdentityProvider.token={TOKEN}", f"--notebook-dir={root}", "--ServerApp.port_retries=0"]
    call += [f"--LabApp.user_settings_dir={root / 'settings'}", f"--LabApp.workspaces_dir={root / 'workspaces'}"]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        call.append("--allow-root")
    environment = os.environ | {"POCKET_HOME": str(root), "JUPYTER_CONFIG_DIR": str(root / "config")}
    environment.pop("POCKET_BATCH", None)
    with (root / "lab.log").open("w", encoding="utf-8") as log:
        server = subprocess.Popen(call, env=environment, stdout=log, stderr=subprocess.STDOUT)
        address = f"http://127.0.0.1:{port}"
        try:
            _wait_until_served(f"{address}/api/status?token={TOKEN}", server)
            yield address
        finally:
            server.terminate()
            server.wait(timeout=30)


class Served(NamedTuple):
    """A running `pocket dashboard`: its process, its address without and with the token."""

    process: psutil.Process
    address: str
    opening: str

    def kernels(self) -> list[psutil.Process]:
        return [child for child in self.process.children(recursive=True) if "ipykernel_launcher" in child.cmdline()]


@contextmanager
def dashboard(root: Path, *words: str, python: str = sys.executable, seconds: float = 60) -> Iterator[Served]:
    """Run `pocket dashboard` as people do, without a browser, until the block ends; then Ctrl-C must end it cleanly."""
    environment = os.environ | {"POCKET_HOME": str(root), "PYTHONUNBUFFERED": "1"}
    call = [python, "-m", "pocket", "dashboard", "--no-browser", *words]
    log = root / "dashboard.log"
    with log.open("w", encoding="utf-8") as told:
        server = subprocess.Popen(call, env=environment, stdout=told, stderr=subprocess.STDOUT, cwd=root)
    try:
        until = time.monotonic() + seconds
        while not (found := re.search(r"(http://\S+/)\?token=\S+", log.read_text(encoding="utf-8"))):
            assert server.poll() is None, log.read_text(encoding="utf-8")
            assert time.monotonic() < until, f"no address within {seconds} s: {log.read_text(encoding='utf-8')}"
            time.sleep(0.1)
        yield Served(psutil.Process(server.pid), found[1], found[0])
    finally:
        if server.poll() is None:
            server.send_signal(signal.SIGINT)
        server.wait(timeout=30)
    assert server.returncode == 0, log.read_text(encoding="utf-8")
    t, said = translator("ja" if "ja" in words else "en"), log.read_text(encoding="utf-8")
    assert said.startswith(t("serve.starting")) and t("serve.end") in said, said
    assert said.rstrip().endswith(t("serve.stopped")), said


def _wait_until_served(url: str, server: subprocess.Popen[bytes], seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        assert server.poll() is None, "JupyterLab ended at once; see lab.log"
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.3)
    raise AssertionError(f"JupyterLab did not answer within {seconds} s")


def open_notebook(browser: Browser, address: str, file: str) -> Page:
    """Open a notebook and wait until it has a kernel and that is idle.

    JupyterLab's indicator says "idle" for seconds before there is any kernel, and a cell run then never gets its
    number (jupyterlab/jupyterlab#8490): so the server is asked first whether the page is connected.
    """
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(f"{address}/doc/tree/notebooks/{file}?token={TOKEN}&reset")
    page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=60_000)
    until = time.monotonic() + 60
    while not _connected(address, file):
        assert time.monotonic() < until, f"{file}: no kernel within 60 s"
        page.wait_for_timeout(200)
    page.wait_for_selector('.jp-Notebook-ExecutionIndicator[data-status="idle"]', timeout=60_000)
    return page


def _connected(address: str, file: str) -> bool:
    """Whether a page holds a connection to the kernel of this notebook."""
    with urllib.request.urlopen(f"{address}/api/sessions?token={TOKEN}", timeout=5) as answer:
        sessions = json.load(answer)
    return any(s["path"] == f"notebooks/{file}" and s["kernel"]["connections"] for s in sessions)


def run_cell_by_cell(page: Page, seconds: float) -> int:
    """Press Shift+Enter through the notebook, waiting for each cell; return the number of code cells run."""
    page.locator(".jp-Notebook .jp-Cell").first.click()
    page.keyboard.press("Escape")
    count = page.locator(".jp-Notebook .jp-Cell").count()
    until, code = time.monotonic() + seconds, 0
    for position in range(count):
        cell = page.locator(".jp-Notebook .jp-Cell").nth(position)
        is_code = "jp-CodeCell" in (cell.get_attribute("class") or "")
        page.keyboard.press("Shift+Enter")
        if is_code:
            prompt = cell.locator(".jp-InputArea-prompt")
            if prompt.count():
                # Looked up anew each time: JupyterLab may put another element in its place while the cell runs.
                left = max(1.0, until - time.monotonic()) * 1000
                expect(prompt.first).to_have_text(re.compile(r"\[\d+\]"), timeout=left)
            else:  # a cell whose code is hidden has no prompt to watch
                page.wait_for_timeout(500)
                page.wait_for_selector('.jp-Notebook-ExecutionIndicator[data-status="idle"]', timeout=120_000)
            code += 1
        errors = page.locator('.jp-RenderedText[data-mime-type="application/vnd.jupyter.error"]')
        assert errors.count() == 0, errors.first.inner_text()
    return code
