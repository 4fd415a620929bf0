"""The commands that make something: a tour, a check, a proof of concept, a brief, measurements."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from pocket.cli.parser import (
    OwnRunName,
    RunName,
    app,
    asked_fit,
    existing_run,
    known_language,
    known_languages,
    usable_name,
)
from pocket.runs.commands import command

# Those of `pocket.workflows.suites`, and the search: named here, for that room takes torch seconds to import.
Suite = Literal["mini", "paper", "economy", "imagenette", "ablation", "classification", "memory", "search"]


@app.command()
def tour(
    run: OwnRunName = None,
    first: Annotated[str, typer.Option("--from", help="Number of the notebook to start from, such as 04.")] = "00",
    profile: Annotated[
        str | None, typer.Option(help="mini (2 CPU cores, minutes; default) or paper (one GPU).")
    ] = None,
    dataset: Annotated[
        str | None, typer.Option(help="digits, cifar10, fashion_mnist, imagenette, or a folder.")
    ] = None,
    train_per_class: Annotated[int | None, typer.Option(help="Keep so many train images a class.")] = None,
    resolution: Annotated[int | None, typer.Option(help="Pixels a side.")] = None,
    fit: Annotated[
        str | None,
        typer.Option(help="Images that are not square: crop (their central square; default) or pad (the whole image)."),
    ] = None,
    ipc: Annotated[str | None, typer.Option(help="Condensed images per class, such as 1,10.")] = None,
    seeds: Annotated[int | None, typer.Option(help="How many seeds (3).", min=1)] = None,
    bits: Annotated[int | None, typer.Option(help="Code length, a multiple of 8 up to 128.")] = None,
) -> None:
    """Run the notebooks in order and write the page of the run."""
    from pathlib import Path

    from pocket.data.sources import registry
    from pocket.workflows.tour import tour as run_tour

    name = run or "tour"
    if dataset and dataset not in registry():
        dataset = str(Path(dataset).expanduser().resolve())  # notebooks run in another folder
        name = run or Path(dataset).name
    elif dataset:
        name = run or ("tour" if dataset == "digits" else dataset)
    try:
        run_tour(
            name,
            first=first,
            profile=profile,
            dataset=dataset,
            train_per_class=train_per_class,
            resolution=resolution,
            fit=asked_fit(fit),
            ipc=_whole_numbers(ipc),
            seeds=tuple(range(seeds)) if seeds else None,
            bits=bits,
            say=typer.echo,
        )
        typer.echo(f"the briefs lie beside it; your own prices: {command('dashboard', '--run', name)}")
    except KeyboardInterrupt:
        typer.echo(f"pocket: stopped; what run {name!r} has written so far stays", err=True)
        raise typer.Exit(130) from None


def _whole_numbers(text: str | None) -> tuple[int, ...] | None:
    """Read ``"1,10"`` as (1, 10)."""
    if text is None:
        return None
    try:
        return tuple(sorted({int(part) for part in text.split(",")}))
    except ValueError:
        raise ValueError(f"--ipc {text}: give whole numbers separated by commas, such as 1,10") from None


@app.command()
def check(
    path: Annotated[str, typer.Argument(help="A folder with one sub-folder per class, a CSV list, or Parquet.")],
    out: Annotated[
        str | None, typer.Option(help="Folder of the report, never inside PATH. Default: runs/check-NAME.")
    ] = None,
    groups: Annotated[
        str | None, typer.Option(help="CSV with path,group: images that show the same thing. Default: PATH/groups.csv.")
    ] = None,
    fit: Annotated[
        str, typer.Option(help="Images that are not square: crop (their central square) or pad (the whole image).")
    ] = "crop",
    lang: Annotated[
        str, typer.Option(help="en or ja: of the report and of what is said here.", callback=known_language)
    ] = "en",
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 3 on warnings.")] = False,
) -> None:
    """Check images of your own before any training: pass (0), warn (0; 3 under --strict) or stop (4)."""
    from pathlib import Path

    from pocket.presentation.i18n import translator
    from pocket.workflows.check import UsageError, exit_code
    from pocket.workflows.check import check as run_check

    try:
        checked = run_check(
            Path(path).expanduser(),
            out=Path(out).expanduser() if out else None,
            groups=Path(groups).expanduser() if groups else None,
            fit=asked_fit(fit) or "crop",
            lang=lang,
            say=typer.echo,
        )
    except UsageError as error:
        raise typer.BadParameter(str(error)) from None
    except KeyboardInterrupt:
        typer.echo(f"pocket: {translator(lang)('check.stopped')}", err=True)
        raise typer.Exit(130) from None
    if checked.record.verdict != "stop":
        more = [*(["--groups", groups] if groups else []), *(["--fit", fit] if fit != "crop" else [])]
        typer.echo(translator(lang)("check.go_on", command=command("poc", path, *more, lang=lang)))
    raise typer.Exit(exit_code(checked.record, strict=strict))


@app.command()
def poc(
    path: Annotated[str, typer.Argument(help="A folder with one sub-folder per class, a CSV list, or Parquet.")],
    run: Annotated[
        str | None,
        typer.Option(
            "--run", help="Name of the run: folder runs/NAME. Default: the folder's name.", callback=usable_name
        ),
    ] = None,
    groups: Annotated[
        str | None, typer.Option(help="CSV with path,group: images that show the same thing. Default: PATH/groups.csv.")
    ] = None,
    ipc: Annotated[int | None, typer.Option(help="Condensed images of each class. Default: by the images.")] = None,
    ratio: Annotated[float | None, typer.Option(help="Instead: a share of each class, such as 0.1.")] = None,
    resolution: Annotated[
        int | None, typer.Option(help="Pixels a side. Default: by the images.", min=8, max=512)
    ] = None,
    fit: Annotated[
        str | None,
        typer.Option(help="Images that are not square: crop (their central square; default) or pad (the whole image)."),
    ] = None,
    seeds: Annotated[int, typer.Option(help="How many seeds.", min=1)] = 3,
    bits: Annotated[int, typer.Option(help="Code length, a multiple of 8 up to 128.")] = 32,
    minutes: Annotated[
        float, typer.Option(help="Choose steps and size for so many minutes on 2 CPU cores or one GPU.", min=1)
    ] = 15,
    lang: Annotated[
        str, typer.Option(help="en or ja: of what is said here; the brief comes in both.", callback=known_language)
    ] = "en",
    pdf: Annotated[bool, typer.Option(help="Print the brief to PDF, too, where Chromium or Chrome is there.")] = True,
) -> None:
    """From images of your own to a go / no-go report. It may be stopped at any moment: the same command goes on."""
    from pathlib import Path

    from pocket.presentation.i18n import translator
    from pocket.workflows.check import UsageError
    from pocket.workflows.poc import poc as run_poc
    from pocket.workflows.poc_plan import Asked

    if ipc is not None and ratio is not None:
        raise typer.BadParameter(translator(lang)("poc.either"), param_hint="--ratio")
    try:
        done = run_poc(
            Path(path).expanduser(),
            run,
            groups=Path(groups).expanduser() if groups else None,
            asked=Asked(seeds, bits, ipc, ratio, resolution, minutes, fit=asked_fit(fit)),
            lang=lang,
            pdf=pdf,
            progress=True,
            say=typer.echo,
        )
    except UsageError as error:
        raise typer.BadParameter(str(error)) from None
    except KeyboardInterrupt:
        typer.echo(f"pocket: {translator(lang)('poc.stopped')}", err=True)
        raise typer.Exit(130) from None
    if done.record is None:
        raise typer.Exit(4)


@app.command()
def brief(
    run: RunName = "tour",
    lang: Annotated[str, typer.Option(help="en, ja or both.", callback=known_languages)] = "both",
    pdf: Annotated[bool, typer.Option(help="Print it to PDF, too, where Chromium or Chrome is there.")] = True,
) -> None:
    """Write the executive brief of a run as self-contained HTML, and as PDF."""
    from pocket.presentation.brief import write_brief
    from pocket.presentation.pdf import NoBrowserError, print_pdf
    from pocket.runs.lock import writing

    opened = existing_run(run, lang if lang != "both" else "en")
    with writing(opened.folder):
        for code in ("en", "ja") if lang == "both" else (lang,):
            page = write_brief(opened, code)
            typer.echo(f"wrote {page}")
            try:
                if pdf:
                    printed = print_pdf(page)
                    opened.note(printed)
                    typer.echo(f"wrote {printed}")
            except NoBrowserError as error:
                typer.echo(str(error))


@app.command()
def bench(
    suite: Annotated[Suite, typer.Option(help="What to measure.")] = "mini",
    time_limit: Annotated[
        float | None, typer.Option(help="Seconds; what is half done is kept, and the same command goes on.", min=0)
    ] = None,
    reduced: Annotated[
        bool | None, typer.Option("--reduced/--whole", help="Smaller task for 2 CPU cores. Default: without a GPU.")
    ] = None,
    only: Annotated[str | None, typer.Option(help="Measure one method only, such as iem.")] = None,
    seed: Annotated[list[int] | None, typer.Option(help="Measure this seed only; may be given several times.")] = None,
    shared: Annotated[
        int, typer.Option(help="How many benches use the device at once, this one included: recorded.", min=1)
    ] = 1,
    results: Annotated[str | None, typer.Option(help="Folder of the result tables. Default: data/results.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
) -> None:
    """Measure a suite of methods cell by cell into data/results/SUITE.csv, and go on where it stopped."""
    from pathlib import Path

    from pocket.workflows.bench import bench as measure

    where = Path(results).expanduser() if results else None
    try:
        if suite == "search":
            from pocket.workflows.search_bench import bench_search

            bench_search(time_limit=time_limit, folder=where, say=typer.echo)
            return
        measure(
            suite,
            reduced=reduced,
            time_limit=time_limit,
            folder=where,
            device=device,
            only=only,
            seeds=seed,
            shared=shared,
            say=typer.echo,
        )
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
