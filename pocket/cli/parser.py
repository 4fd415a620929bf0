"""The parser that every command hangs on, and what commands share. Commands import what they need when called."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from pocket.runs.commands import command
from pocket.runs.errors import ToldError

if TYPE_CHECKING:
    from pocket.data.decoding import Fit
    from pocket.runs.run import Run

_LANGUAGE = "pocket.language"  # under which a call keeps the language that it was given


class _Spoken(TyperGroup):
    """Says what the rooms below find wrong in the language that a command was given."""

    def invoke(self, ctx: typer.Context) -> Any:  # type: ignore[override]  # typer's own context
        try:
            return super().invoke(ctx)
        except (ToldError, PermissionError) as error:
            from pocket.presentation.i18n import translator

            t = translator(ctx.meta.get(_LANGUAGE, "en"))
            if isinstance(error, ToldError):
                raise ValueError(t(error.key, **error.values)) from None
            if error.filename is None:  # no place of the user's
                raise
            raise ValueError(t("error.no_permission", path=error.filename, reason=error.strerror)) from None


app = typer.Typer(
    cls=_Spoken,
    help="Does condensing a training set pay for deep hashing retrieval? Start with: pocket tour",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def known_language(ctx: typer.Context, lang: str) -> str:
    """Refuse an unknown language as a wrong call; a known one is also that of errors."""
    from pocket.presentation.i18n import LANGUAGES

    if lang not in LANGUAGES:
        raise typer.BadParameter(f"{lang!r}: choose one of {', '.join(LANGUAGES)}")
    ctx.meta[_LANGUAGE] = lang
    return lang


def known_languages(ctx: typer.Context, lang: str) -> str:
    """Refuse what is neither a language nor ``both``; errors are in English then."""
    return lang if lang == "both" else known_language(ctx, lang)


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
Lang = Annotated[str, typer.Option(help="en or ja: of what is said here.", callback=known_language)]


def asked_fit(fit: str | None) -> Fit | None:
    """Return what is to be made of images that are not square, or refuse it as a wrong call."""
    if fit is None:
        return None
    from pocket.data.decoding import known_fit

    try:
        return known_fit(fit)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--fit") from None


def existing_run(name: str, lang: str = "en", *, only_read: bool = False) -> Run:
    """Open a run, or say which ones there are; who only reads also finds the sample run, where the kit keeps it."""
    from pocket.presentation.i18n import translator
    from pocket.runs.paths import kit_dir, run_dir
    from pocket.runs.run import Run

    folder = run_dir(name)
    if not (folder / "run.json").is_file():
        if only_read and name == "sample":
            return Run.read(kit_dir("data") / "sample_run")
        known = sorted(path.parent.name for path in folder.parent.glob("*/run.json"))
        t, made = translator(lang), command("tour", "--run", name)
        there = ", ".join(known) or t("error.none_yet")
        raise ValueError(t("error.no_run", run=name, folder=folder.parent, known=there, command=made))
    return Run.read(folder)
