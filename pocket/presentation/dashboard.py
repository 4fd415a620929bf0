"""The page of `pocket dashboard` as its kernel and its server see it: what it starts from, and its words. No torch."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from jinja2 import Environment, PackageLoader, StrictUndefined

from pocket.presentation.i18n import LANGUAGES, texts, translator
from pocket.runs import Run
from pocket.runs.paths import home

if TYPE_CHECKING:
    from pocket.presentation.roi_panel import RoiPanel

FOLDER = Path(__file__).resolve().parent / "templates" / "dashboard"
_RUN, _LANGUAGE = "POCKET_DASHBOARD_RUN", "POCKET_DASHBOARD_LANG"


def environment(run: Run, lang: str) -> dict[str, str]:
    """Return the environment variables that tell a kernel which panel to show, and where the user's runs are."""
    translator(lang)
    # The kernel works in the folder of its notebook, which lies inside the package.
    return {_RUN: str(run.folder.resolve()), _LANGUAGE: lang, "POCKET_HOME": str(home())}


def panel() -> RoiPanel:
    """Return the panel that the environment of this kernel asks for: the only call of the served notebook."""
    from pocket.presentation.roi_files import report_of
    from pocket.presentation.roi_panel import RoiPanel

    run = Run.read(Path(os.environ[_RUN]))
    # The kit's own sample run is nobody's to write into.
    scenarios = home() / "scenarios" if run.is_sample else run.path("scenarios")
    return RoiPanel(report_of(run).inputs, os.environ[_LANGUAGE], scenarios=scenarios, run=run)


def page(name: str, run: Run, lang: str, **more: object) -> str:
    """Render ``head.html.j2`` (what stands above the panel) or ``refused.html.j2``.

    Parameters
    ----------
    name : str
        Name of the template.
    run : Run
    lang : {"en", "ja"}
        The language that the page begins with; the panel's own switch changes it.
    **more
        Further values that the template wants.
    """
    loader = PackageLoader("pocket.presentation", "templates/dashboard")
    templates = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    # Both languages travel with the page: it follows the panel's switch without asking the server.
    words = {code: _words(run, code) for code in LANGUAGES}
    return templates.get_template(name).render(lang=lang, words=words, sample=run.is_sample, **more)


def _words(run: Run, lang: str) -> dict[str, str]:
    t = translator(lang)
    known = [key.removeprefix("dashboard.") for key in texts(lang) if key.startswith("dashboard.")]
    return {key: t(f"dashboard.{key}", run=run.name) for key in known} | {"sample": t("brief.sample")}
