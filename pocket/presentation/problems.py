"""The own-data notebook's widgets: a folder to pick, and the problems of a check one by one; with static twins."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import ipywidgets as widgets

from pocket.data.intake import CheckRecord
from pocket.presentation.check_page import Told, told
from pocket.presentation.html import escape, table
from pocket.presentation.i18n import translator
from pocket.presentation.widgets import chooser


def folder_picker(start: Path, look: Callable[[Path], str], lang: str = "en") -> widgets.VBox:
    """Return a box for a path with the folders below it, a button, and what ``look`` makes of the path.

    Parameters
    ----------
    start : Path
        The path that the box holds first.
    look : callable
        From a path to safe HTML, called when the button is pressed. Its ValueErrors are shown in the HTML's place.
    lang : {"en", "ja"}
    """
    t = translator(lang)
    wide = {"description_width": "initial"}
    box = widgets.Text(str(start), description=t("pick.folder"), style=wide, layout=widgets.Layout(width="36em"))
    below = widgets.Dropdown(description=t("pick.below"), style=wide, layout=widgets.Layout(width="36em"))
    button = widgets.Button(description=t("pick.check"))
    view = widgets.HTML()

    def fill(_: Any = None) -> None:
        here = Path(box.value).expanduser()
        inside = sorted(p for p in here.iterdir() if p.is_dir()) if here.is_dir() else []
        below.options = [("–", ""), ("..", str(here.parent)), *((path.name, str(path)) for path in inside)]

    def step(change: dict[str, Any]) -> None:
        if change["new"]:
            box.value = change["new"]

    def press(_: widgets.Button) -> None:
        try:
            view.value = look(Path(box.value).expanduser())
        except ValueError as error:  # such as a path with nothing there; nobody sees what a callback raises
            view.value = f'<p role="alert"><b>{escape(str(error))}</b></p>'

    fill()
    box.observe(fill, names="value")
    below.observe(step, names="value")
    button.on_click(press)
    return widgets.VBox([box, below, button, view])


def problem_chooser(record: CheckRecord, lang: str = "en") -> widgets.VBox:
    """Return a list of the problems of a check, and of the chosen one what it is, what to do and which files."""
    t, problems = translator(lang), [told(finding, lang) for finding in record.findings]
    options = [(f"{one.level_name}: {one.what}", one) for one in problems]
    return chooser(t("pick.problem"), options, lambda one: problem_html(one, lang))


def problem_html(one: Told, lang: str) -> str:
    """Return one problem as HTML: what it is, what to do, the first of the files."""
    t = translator(lang)
    files = "".join(f"<li>{escape(name)} {escape(detail)}</li>" for name, detail in one.affected)
    more = f"<p>{escape(one.more)}</p>" if one.more else ""
    return f"<p>{escape(one.what)}</p><p>{escape(t('check.what_to_do'))}: {escape(one.todo)}</p><ul>{files}</ul>{more}"


def problem_table(record: CheckRecord, lang: str = "en", shown: int = 2) -> str:
    """Return all problems of a check as one table: the static twin of `problem_chooser`."""
    t = translator(lang)
    rows = []
    for finding in record.findings:
        one = told(finding, lang, shown)
        files = [f"{name} {detail}".strip() for name, detail in one.affected]
        rows.append(
            (one.level_name, one.what, t("format.between").join([*files, one.more] if one.more else files), one.todo)
        )
    heads = (t("pick.level"), t("check.findings"), t("check.affected"), t("check.what_to_do"))
    return table(heads, rows, t("check.title", name=record.name))
