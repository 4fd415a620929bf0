"""A page on paper: HTML printed to PDF by whatever Chromium or Chrome is there."""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from pocket.presentation.roi_figures import japanese_font
from pocket.runs import write_bytes

_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge")
_SECONDS = 120
# The packaged font, so that Japanese comes out on every machine, and as letters that can be searched and copied.
_FONT = """<style>
@font-face {{ font-family: "pocket ja"; src: url(data:font/ttf;base64,{font}); }}
html[lang="ja"] body {{ font-family: "pocket ja"; }}
</style></head>"""


class NoBrowserError(RuntimeError):
    """Nothing here prints HTML; the message says what to do."""


def find_browser() -> str | None:
    """Return the path of a Chromium, Chrome or Edge, or None."""
    return next((path for name in _BROWSERS if (path := shutil.which(name))), None)


def print_pdf(page: Path) -> Path:
    """Print an HTML page to a PDF beside it.

    Parameters
    ----------
    page : Path
        A self-contained page; it is not changed, and nothing is loaded from a network.

    Returns
    -------
    Path
        ``NAME.pdf`` beside ``NAME.html``.

    Raises
    ------
    NoBrowserError
        If there is no browser, or it does not print the page.
    """
    browser = find_browser()
    if browser is None:
        raise NoBrowserError(
            f"no PDF: neither Chromium nor Chrome is installed here; open {page} in a browser and print it to PDF, or "
            "install Chromium and call pocket brief again"
        )
    html = page.read_text(encoding="utf-8")
    if 'lang="ja"' in html:
        font = base64.b64encode(Path(japanese_font()).read_bytes()).decode("ascii")
        html = html.replace("</head>", _FONT.format(font=font), 1)
    with TemporaryDirectory() as folder:
        source, made = Path(folder) / page.name, Path(folder) / "page.pdf"
        source.write_text(html, encoding="utf-8")
        call = [browser, "--headless", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
        call += [f"--user-data-dir={Path(folder) / 'profile'}", "--no-pdf-header-footer", f"--print-to-pdf={made}"]
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            call.append("--no-sandbox")  # Chromium refuses its sandbox to the superuser
        try:
            done = subprocess.run([*call, source.as_uri()], capture_output=True, text=True, timeout=_SECONDS)
            told = done.stderr.strip().splitlines()[-1:] or [f"it ended with {done.returncode}"]
        except (OSError, subprocess.TimeoutExpired) as error:
            told = [str(error)]
        if not made.is_file() or made.read_bytes()[:5] != b"%PDF-":
            raise NoBrowserError(f"no PDF: {browser} did not print {page} ({told[0]}); open it and print it to PDF")
        return write_bytes(page.with_suffix(".pdf"), made.read_bytes())
