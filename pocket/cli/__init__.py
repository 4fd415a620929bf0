"""The console script ``pocket``: `making` holds the commands that make something, `showing` those that show."""

from __future__ import annotations

import sys

import typer

from pocket.cli import making, showing  # their commands hang themselves on the parser
from pocket.cli.parser import app


def main() -> None:
    """Run the command line; an error that the user can mend is one clear message, not a traceback."""
    from pocket.runs.artefacts import ArtefactError

    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="replace")
    try:
        app()
    except (ValueError, ArtefactError, ConnectionError, FileNotFoundError) as error:
        typer.echo(f"pocket: {error}", err=True)
        raise SystemExit(1) from None
    except ModuleNotFoundError as error:
        from pocket.runs.extras import explain

        if not (sentence := explain(error.name)):
            raise
        typer.echo(f"pocket: {sentence}", err=True)
        raise SystemExit(1) from None
    except RuntimeError as error:
        from pocket.workflows.tour import TourError

        if not isinstance(error, TourError):
            raise  # a fault of ours: its traceback is wanted
        typer.echo(f"pocket: {error}", err=True)
        raise SystemExit(1) from None


__all__ = ["app", "main", "making", "showing"]
