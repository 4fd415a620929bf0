"""The parser that every command hangs on, and what commands share. Commands import what they need when called."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pocket.runs.run import Run

app = typer.Typer(
    help="Does condensing a training set pay for deep hashing retrieval? Start with: pocket tour",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def usable_name(name: str | None) -> str | None:
    """Refuse a name of a run that is none, as a wrong call."""
    from pocket.runs.paths import run_dir

    if name is not None:
        try:
            run_dir(name)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None
    return name


RunName = Annotated[str, typer.Option("--run", help="Name of the run: folder runs/NAME.", callback=usable_name)]
OwnRunName = Annotated[
    str | None,
    typer.Option(
        "--run", help="Name of the run: folder runs/NAME. Default: tour, or the data set's name.", callback=usable_name
    ),
]
Lang = Annotated[str, typer.Option(help="en or ja: of what is said here.")]


def known_language(lang: str) -> str:
    """Return a language, or refuse it as a wrong call."""
    from pocket.presentation.i18n import LANGUAGES

    if lang not in LANGUAGES:
        raise typer.BadParameter(f"{lang!r}: choose one of {', '.join(LANGUAGES)}", param_hint="--lang")
    return lang


def existing_run(name: str) -> Run:
    """Open a run, or say which ones there are."""
    from pocket.runs.paths import run_dir
    from pocket.runs.run import Run

    folder = run_dir(name)
    if not (folder / "run.json").is_file():
        known = sorted(path.parent.name for path in folder.parent.glob("*/run.json"))
        there = f"there is {', '.join(known)}" if known else "there is none yet"
        raise ValueError(f"no run {name!r} in {folder.parent}: {there}; pocket tour --run {name} makes it")
    return Run.read(folder)
