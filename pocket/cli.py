"""The console script ``pocket``. Each command imports what it needs when it is called."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

app = typer.Typer(
    help="Does condensing a training set pay for deep hashing retrieval? Start with: pocket tour",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

RunName = Annotated[str, typer.Option("--run", help="Name of the run: folder runs/NAME.")]


@app.command()
def doctor() -> None:
    """Print what was found here (Python, torch, device, FAISS, memory, data) and what to do."""
    from pocket.workflows.doctor import examine

    findings = examine()
    for finding in findings:
        typer.echo(str(finding))
    if any(finding.level == "stop" for finding in findings):
        raise typer.Exit(1)


@app.command()
def tour(
    run: RunName = "tour",
    first: Annotated[str, typer.Option("--from", help="Number of the notebook to start from, such as 04.")] = "00",
    profile: Annotated[str, typer.Option(help="mini (2 CPU cores, minutes) or paper (one GPU).")] = "mini",
    dataset: Annotated[
        str | None, typer.Option(help="digits, cifar10, fashion_mnist, imagenette, or a folder.")
    ] = None,
    train_per_class: Annotated[int | None, typer.Option(help="Keep so many train images a class.")] = None,
    resolution: Annotated[int | None, typer.Option(help="Pixels a side.")] = None,
    seeds: Annotated[int | None, typer.Option(help="How many seeds (3).", min=1)] = None,
    bits: Annotated[int | None, typer.Option(help="Code length, a multiple of 8 up to 128.")] = None,
) -> None:
    """Run the notebooks in order and write the page of the run."""
    from pathlib import Path

    from pocket.workflows.tour import tour as run_tour

    if dataset and Path(dataset).is_dir():
        dataset = str(Path(dataset).resolve())  # notebooks run in another folder
    page = run_tour(
        run,
        first=first,
        profile=profile,
        dataset=dataset,
        train_per_class=train_per_class,
        resolution=resolution,
        seeds=tuple(range(seeds)) if seeds else None,
        bits=bits,
        say=typer.echo,
    )
    assert page.is_file()


@app.command()
def brief(run: RunName = "tour", lang: Annotated[str, typer.Option(help="en, ja or both.")] = "both") -> None:
    """Write the executive brief of a run as self-contained HTML."""
    from pocket.presentation.brief import write_brief
    from pocket.runs.paths import run_dir
    from pocket.runs.run import Run

    opened = Run.read(run_dir(run))
    for code in ("en", "ja") if lang == "both" else (lang,):
        typer.echo(f"wrote {write_brief(opened, code)}")


def main() -> None:
    """Run the command line; an error that the user can mend is one clear message, not a traceback."""
    from pocket.runs.artefacts import ArtefactError

    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="replace")
    try:
        app()
    except KeyboardInterrupt:
        typer.echo("pocket: stopped; artefacts written so far stay, go on with --from", err=True)
        raise SystemExit(130) from None
    except (ValueError, ArtefactError, ConnectionError, FileNotFoundError) as error:
        typer.echo(f"pocket: {error}", err=True)
        raise SystemExit(1) from None
    except RuntimeError as error:
        from pocket.workflows.tour import TourError

        if not isinstance(error, TourError):
            raise  # a fault of ours: its traceback is wanted
        typer.echo(f"pocket: {error}", err=True)
        raise SystemExit(1) from None
