"""Put the outputs of a real run where readers see them: the committed notebooks, the sample run and the READMEs.

Used by ``make notebooks`` and ``make results``, and as ``python -m pocket.workflows.publish --poc RUN "WHAT THE IMAGES
ARE"`` after a `pocket poc`; no figure in these places is typed by hand.
"""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
from datetime import datetime
from pathlib import Path

import nbformat

from pocket.data.intake import CheckRecord
from pocket.presentation import markdown
from pocket.presentation.figures import figure_map
from pocket.presentation.glossary import glossary_block
from pocket.presentation.html import png_bytes
from pocket.presentation.i18n import commit_text, full_date, seeds_of, translator
from pocket.presentation.notebook_html import without_widgets
from pocket.presentation.page import claims, measured_cells, result_rows
from pocket.presentation.poc_block import poc_block
from pocket.presentation.poc_text import outcome_lines
from pocket.runs import Run, RunRecord, results, write_bytes, write_text
from pocket.runs.paths import kit_dir, run_dir
from pocket.runs.poc import PocRecord, PublishedPoc
from pocket.runs.retrieval import RetrievalComparison
from pocket.workflows.benchmark_block import benchmark_block, search_block
from pocket.workflows.manifest import notebooks, table

SAMPLE_FILES = (
    "environment.json",
    "data.json",
    "training.json",
    "condensation.json",
    "condensed.json",
    "condensed.safetensors",
    "retrieval.json",
    "diagnostics.json",
    "operations.json",
    "roi.json",
    "roi.csv",
    "roi.en.xlsx",
    "roi.ja.xlsx",
    "tour.json",
    "audit.jsonl",
    "brief.en.html",
    "brief.ja.html",
    *(f"models/full_{seed}.safetensors" for seed in (0, 1, 2)),
    "models/random.safetensors",
    "models/iem.safetensors",
)


def publish(name: str) -> None:
    """Copy a run's outputs into the kit's own folders.

    Raises
    ------
    ArtefactError
        If the run is not whole.
    """
    from pocket.presentation.brief import write_brief
    from pocket.presentation.pdf import print_pdf
    from pocket.presentation.roi_files import write_roi

    run = Run.read(run_dir(name))
    for notebook in notebooks():
        executed = nbformat.read(run.path("notebooks", notebook.file), as_version=4)
        write_text(notebook.path, nbformat.writes(as_committed(executed)) + "\n")
    sample = kit_dir("data") / "sample_run"
    shutil.rmtree(sample, ignore_errors=True)
    shutil.copytree(run.folder, sample, ignore=lambda folder, names: _unwanted(Path(folder), names, run.folder))
    record = RunRecord.load(run.path("run.json")).model_copy(update={"name": "sample", "sample": True})
    record.save(sample / "run.json")
    opened = Run(sample, record)
    opened.log("left out of the sample", folder="condensed_png", files={})
    write_roi(opened)
    for lang in ("en", "ja"):
        opened.note(print_pdf(write_brief(opened, lang)))
    write_bytes(sample / "map.png", png_bytes(figure_map(measured_cells(run)), dpi=120))
    refresh_readmes(run)


def _unwanted(folder: Path, names: list[str], root: Path) -> set[str]:
    wanted = {Path(file) for file in SAMPLE_FILES}
    kept = wanted | {parent for file in wanted for parent in file.parents}
    return {name for name in names if (folder / name).relative_to(root) not in kept}


def as_committed(executed: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Return an executed notebook as it is committed: no injected parameters, timings or live widgets."""
    notebook = without_widgets(executed)
    notebook.cells = [cell for cell in notebook.cells if "injected-parameters" not in cell.metadata.get("tags", [])]
    notebook.metadata.pop("papermill", None)
    counter = 0
    for cell in notebook.cells:
        for key in ("papermill", "execution", "trusted"):
            cell.metadata.pop(key, None)
        if cell.cell_type == "code":
            # Progress bars are redrawn on stderr: only noise on paper.
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
            counter += 1
            cell.execution_count = counter
            for output in cell.outputs:
                if "execution_count" in output:
                    output["execution_count"] = counter
    return notebook


def refresh_readmes(run: Run) -> None:
    """Rewrite what stands between the markers of both READMEs: notebooks, measured results and glossary."""
    for name, lang in (("README.md", "en"), ("README.ja.md", "ja")):
        path = kit_dir("data").parent / name
        text = path.read_text(encoding="utf-8")
        text = replace_block(text, "results", results_block(run, lang))
        text = replace_block(text, "glossary", glossary_block(lang))
        if lang == "en":
            text = replace_block(text, "notebooks", table())
        write_text(path, text)


def results_block(run: Run, lang: str) -> str:
    """Return the README's text about what a run found, every figure from the run's records."""
    t, cells, made = translator(lang), measured_cells(run), run.record.provenance
    rows = result_rows(cells, lang)
    names = [t(f"results.{column}") for column in ("set", "images", "map", "share", "make", "train")]
    columns = ("name", "images", "map", "share", "make", "train")
    table_of_sets = markdown.table(names, [[row[column] for column in columns] for row in rows])
    told = "\n".join(f"- {claim}" for claim in claims(cells, lang))
    source = t(
        "results.source",
        commit=commit_text(made.commit, lang, "`"),
        date=full_date(datetime.fromisoformat(made.created).date(), lang),
        protocol=rows[0]["protocol"],
        seeds=seeds_of(len(run.settings.seeds), lang),
        bits=run.settings.bits,
        cores=made.cpu_count,
    )
    return f"{told}\n\n{table_of_sets}\n\n{source}"


def publish_results() -> None:
    """Run notebook 09 on the recorded results and rewrite the README's part about them."""
    import papermill

    (notebook,) = (n for n in notebooks() if n.file.startswith("09"))
    with tempfile.TemporaryDirectory() as folder:
        executed = Path(folder) / notebook.file
        papermill.execute_notebook(
            str(notebook.path),
            str(executed),
            cwd=str(notebook.path.parent),
            kernel_name="python3",
            execution_timeout=notebook.cell_timeout,
            progress_bar=False,
        )
        done = nbformat.read(executed, as_version=4)
    write_text(notebook.path, nbformat.writes(as_committed(done)) + "\n")
    readme = kit_dir("data").parent / "README.md"
    text = replace_block(readme.read_text(encoding="utf-8"), "benchmark", benchmark_block())
    text = replace_block(text, "search", search_block())
    for path in sorted(results.results_folder().glob("poc_*.json")):
        text = replace_block(text, path.stem, poc_block(PublishedPoc.load(path)))
    write_text(readme, replace_block(text, "notebooks", table()))


def publish_poc(name: str, about: str) -> Path:
    """Record a run of `pocket poc` as ``data/results/poc_NAME.json``, and tell it in the README from that record.

    Parameters
    ----------
    name : str
        The run. One call must have done all of it: the seconds of one that went on say nothing.
    about : str
        What the images are, in a few words.

    Raises
    ------
    ValueError
        If the run was done in several calls, or the README lacks the markers.
    ArtefactError
        If the run is not whole.
    """
    run = Run.read(run_dir(name))
    done, check = PocRecord.load(run.path("poc.json")), CheckRecord.load(run.path("check.json"))
    over = RetrievalComparison.load(run.path("retrieval.json")).over
    if done.took is None or over is None:
        raise ValueError(
            f"run {name!r} was done in several calls, so that what it took is not known; publish one that a single "
            "pocket poc did from end to end, under a name that is new"
        )
    record = PublishedPoc(
        name=name,
        about=about,
        images=check.usable,
        largest_class=max(row.images for row in check.classes),
        groups=done.groups,
        plan=done.plan,
        estimated=done.estimated,
        took=done.took,
        over=over,
        outcome=tuple(outcome_lines(run, "en")),
        provenance=done.provenance,
    )
    place = f"poc_{name}"
    readme = kit_dir("data").parent / "README.md"
    text = replace_block(readme.read_text(encoding="utf-8"), place, poc_block(record))
    path = record.save(results.results_folder() / f"{place}.json")
    write_text(readme, text)
    return path


def replace_block(text: str, name: str, content: str) -> str:
    """Return ``text`` with what stands between ``<!-- name -->`` and ``<!-- /name -->`` replaced.

    Raises
    ------
    ValueError
        If the markers are not there.
    """
    marked = re.escape(name)
    pattern = re.compile(rf"(<!-- {marked} -->\n).*?(<!-- /{marked} -->)", re.DOTALL)
    if not pattern.search(text):
        raise ValueError(f"the README lacks the markers <!-- {name} --> and <!-- /{name} -->")
    return pattern.sub(lambda match: match[1] + content + "\n" + match[2], text)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["--results"]:
            publish_results()
        case ["--poc", run_name, about]:
            print(f"wrote {publish_poc(run_name, about)}")
        case [run_name] if not run_name.startswith("-"):
            publish(run_name)
        case _:
            sys.exit('publish takes RUN, --results, or --poc RUN "what the images are"')
