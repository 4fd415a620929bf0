"""The commands that show what is there: this machine, a run's answers, its log, its panel."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

import typer

from pocket.cli.parser import Lang, RunName, app, existing_run, known_language, usable_name

if TYPE_CHECKING:
    from pocket.presentation.i18n import Translate
    from pocket.runs.verification import Printed


@app.command()
def doctor(lang: Lang = "en") -> None:
    """Print what was found here (Python, torch, device, FAISS, memory, data) and what to do."""
    from pocket.workflows.doctor import examine

    findings = examine(lang)
    for finding in findings:
        typer.echo(str(finding))
    if any(finding.level == "stop" for finding in findings):
        raise typer.Exit(1)


@app.command()
def search(
    images: Annotated[list[str], typer.Argument(help="Image files to search for; they are read, never changed.")],
    run: RunName = "tour",
    model: Annotated[str, typer.Option(help="full, iem, random, or several such as full,iem.")] = "full,iem",
    k: Annotated[int, typer.Option("-k", help="Images to find, up to 100.", min=1, max=100)] = 8,
    out: Annotated[
        str | None,
        typer.Option(
            help="A new PNG file for the contact sheet. Default: search.png, search-2.png, ... in the run's folder."
        ),
    ] = None,
    lang: Lang = "en",
) -> None:
    """Find the nearest images of a run's database, as a table and a contact sheet."""
    from pathlib import Path

    from pocket.presentation.i18n import translator
    from pocket.workflows.search import search_images

    t = translator(lang)
    sheet, unreadable = search_images(
        existing_run(run, lang),
        [Path(image).expanduser() for image in images],
        models=tuple(dict.fromkeys(model.split(","))),
        k=k,
        out=Path(out).expanduser() if out else None,
        lang=lang,
        say=typer.echo,
    )
    typer.echo("\n" + t("search.wrote", path=sheet))
    for trouble in unreadable:
        typer.echo(f"pocket: {t('search.left_out', trouble=trouble)}", err=True)
    if unreadable:
        raise typer.Exit(1)


audit = typer.Typer(help="Check the record of what a run did.", no_args_is_help=True)
app.add_typer(audit, name="audit")


@audit.command()
def verify(
    run: Annotated[str, typer.Argument(help="Name of the run: folder runs/NAME.", callback=usable_name)] = "tour",
    line: Annotated[int | None, typer.Option(help="A line count that was printed, as in a brief ...")] = None,
    digest: Annotated[str | None, typer.Option(help="... and the digest beside it: are they still the log's?")] = None,
    lang: Lang = "en",
) -> None:
    """Find any altered, removed or reordered line of a run's audit log, and any artefact that is not as logged."""
    from pocket.presentation.i18n import translator
    from pocket.runs.verification import verify_run

    t = translator(lang)
    printed = _printed(line, digest, t)
    found = verify_run(existing_run(run, lang, only_read=True).folder, printed)
    for problem in found.problems:
        typer.echo(f"✕ {problem}", err=True)
    typer.echo(t("audit.counted", lines=found.lines, head=found.head or t("audit.unknown"), files=found.files))
    if found.unlogged:
        typer.echo(t("audit.unlogged", names=", ".join(found.unlogged[:20])))
    if printed is None:
        typer.echo(t("audit.hidden"))
    elif found.agrees:
        typer.echo(t("audit.agrees", line=printed.line, later=found.lines - printed.line))
    elif found.agrees is False:
        key = "shorter" if found.lines < printed.line else "differs"
        typer.echo(f"✕ {t(f'audit.{key}', line=printed.line, lines=found.lines)}", err=True)
    if found.problems or found.agrees is False:
        raise typer.Exit(1)
    typer.echo(t("audit.whole"))


def _printed(line: int | None, digest: str | None, t: Translate) -> Printed | None:
    """Return what was printed elsewhere; half of it, or what is no digest, is a wrong call."""
    from pocket.runs.verification import Printed

    if line is None and digest is None:
        return None
    if line is None or line < 1 or digest is None or not re.fullmatch(r"[0-9a-fA-F]{64}", digest):
        raise typer.BadParameter(t("audit.both"), param_hint="--line, --digest")
    return Printed(line, digest.lower())


@app.command()
def explain(
    query: Annotated[int, typer.Option(help="Number of the query, from 0.", min=0)],
    run: RunName = "tour",
    k: Annotated[int, typer.Option("-k", help="Answers to compare.", min=1, max=100)] = 10,
    lang: Lang = "en",
) -> None:
    """Say where the condensed model answers otherwise than the full one, through which bits, and what shaped it."""
    from pocket.data import CondensedSet
    from pocket.hashing import HashModel
    from pocket.workflows.explain import explain as explained
    from pocket.workflows.explain import told
    from pocket.workflows.poc_images import images_of
    from pocket.workflows.search import model_files, no_model

    opened = existing_run(run, lang)
    kept = model_files(opened)
    if missing := [name for name in ("full", "iem") if name not in kept]:
        raise ValueError(no_model(opened, missing, lang))
    full, condensed = (HashModel.load(kept[name]) for name in ("full", "iem"))
    images = CondensedSet.load(opened.path("condensed.safetensors"))
    found = explained(images_of(opened, lang, typer.echo), query, full, condensed, images, k=k, lang=lang)
    for line in told(found, lang):
        typer.echo(line)


@app.command()
def dashboard(
    run: Annotated[
        str | None, typer.Option("--run", help="Name of the run. Default: the kit's sample run.", callback=usable_name)
    ] = None,
    port: Annotated[int, typer.Option(help="Port to serve on; 0 takes one that is free.", min=0, max=65535)] = 0,
    lang: Annotated[str, typer.Option(help="Language to begin with: en or ja.", callback=known_language)] = "en",
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page in the browser.")] = True,
) -> None:
    """Serve the ROI panel of a run as a page, to this computer only; Ctrl-C ends it."""
    from pocket.presentation.i18n import translator
    from pocket.runs.paths import kit_dir
    from pocket.runs.run import Run

    shown = existing_run(run, lang) if run else Run.read(kit_dir("data") / "sample_run")
    typer.echo(translator(lang)("serve.starting"))
    from pocket.workflows.dashboard import serve

    serve(shown, lang=lang, port=port, browser=browser, say=typer.echo)
