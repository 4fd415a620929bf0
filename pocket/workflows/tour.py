"""`pocket tour`: run the notebooks in order, keep what they did, and say clearly what went wrong."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, ConfigDict, NonNegativeFloat

from pocket.data.sources import registry
from pocket.presentation.notebook_html import write_html
from pocket.presentation.page import write_page
from pocket.runs import Provenance, Record, Run, open_run, provenance
from pocket.runs.extras import EXTRAS, need
from pocket.runs.lock import for_children, writing
from pocket.runs.paths import home, run_dir
from pocket.runs.provenance import peak_mb
from pocket.workflows.manifest import Notebook, notebooks

if TYPE_CHECKING:
    from collections.abc import Iterator


class TourError(RuntimeError):
    """A notebook of the tour failed; the message names the notebook, the cell and the error."""


class NotebookRun(BaseModel):
    """What running one notebook took."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    number: str
    title: str
    seconds: NonNegativeFloat
    stated_minutes: NonNegativeFloat


class TourRecord(Record):
    """``tour.json``: the notebooks that ran, in order. ``peak_mb``: the largest kernel so far; None where unknown."""

    kind: ClassVar[str] = "tour"
    notebooks: tuple[NotebookRun, ...]
    peak_mb: NonNegativeFloat | None
    provenance: Provenance


def tour(
    name: str = "tour",
    *,
    first: str = "00",
    profile: str | None = None,
    say: Callable[[str], None] = print,
    **settings: Any,
) -> Path:
    """Run the notebooks of the manifest in order and write the run's page.

    Parameters
    ----------
    name : str
        The run, folder ``runs/NAME``.
    first : str
        Number of the notebook to start from; earlier ones must have left their artefacts.
    profile : {"mini", "paper"}, optional
        "mini" for a new run.
    say : callable
        Takes each line of progress.
    **settings
        Fields of `RunSettings` that differ from the profile's.

    Returns
    -------
    Path
        ``runs/NAME/index.html``.

    Raises
    ------
    ValueError
        If ``first`` is no notebook's number, a setting is wrong, or images of one's own are not those that the run was
        made of.
    ModuleNotFoundError
        If this is the light install, which cannot run notebooks; the message names the command that mends it.
    BusyError
        If another process is writing to the run.
    TourError
        If a notebook fails; its executed copy with the error stays in the run's folder.
    """
    need(*EXTRAS["kit"])  # before a run is made that cannot go on
    numbers = [notebook.number for notebook in notebooks()]
    if first not in numbers:
        raise ValueError(f"--from {first}: choose one of {', '.join(numbers)}")
    _check_dataset(settings.get("dataset"))
    from pocket.workflows.poc_images import hold_to_images

    with writing(run_dir(name)):
        there = set(_files(run_dir(name)))
        run = open_run(name, profile=profile, **settings)
        try:
            hold_to_images(run, say, begins=first == numbers[0])
        except BaseException:
            _take_back(run, there)
            raise
        return _toured(run, first, say)


def _files(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []


def _take_back(run: Run, there: set[Path]) -> None:
    """Remove a run that this call has made: of images that cannot be used, it would only stand in the way."""
    if run.path("run.json") in there:
        return
    for file in set(_files(run.folder)) - there:
        file.unlink()
    if not there:
        run.folder.rmdir()


def _toured(run: Run, first: str, say: Callable[[str], None]) -> Path:
    """Run the notebooks of an open run and write its page."""
    asked = run.settings
    run.path("index.html").unlink(missing_ok=True)  # the page of an earlier tour must not pass for this one's
    chosen = [notebook for notebook in notebooks() if notebook.number >= first]
    stated = sum(notebook.cpu_minutes for notebook in chosen)
    say(
        f"run {run.name!r}: {asked.dataset}, {asked.bits} bits, seeds {', '.join(map(str, asked.seeds))}; "
        f"{len(chosen)} notebooks, on digits and 2 CPU cores about {stated:.0f} min"
    )
    done = _earlier(run, first)
    with _batch_environment(run):
        for position, notebook in enumerate(chosen, start=1):
            say(f"[{position}/{len(chosen)}] {notebook.number} {notebook.title} ...")
            try:
                seconds = _execute(run, notebook)
            except (KeyboardInterrupt, TourError):
                say(f"      to go on from here: pocket tour --run {run.name} --from {notebook.number}")
                raise
            say(f"      done in {seconds:.0f} s")
            done.append(
                NotebookRun(
                    number=notebook.number,
                    title=notebook.title,
                    seconds=seconds,
                    stated_minutes=notebook.cpu_minutes,
                )
            )
            run = Run.read(run.folder)  # the notebook has appended to the audit log
            run.save(
                TourRecord(notebooks=tuple(done), peak_mb=peak_mb(children=True), provenance=provenance()), "tour.json"
            )
    page = write_page(run, [(n.number, n.title, n.seconds) for n in done])
    total = sum(n.seconds for n in done)
    say(f"all well after {total / 60:.1f} min; open {page}")
    return page


def _execute(run: Run, notebook: Notebook) -> float:
    """Run one notebook in a kernel of its own; return its seconds."""
    import papermill
    from nbclient.exceptions import CellTimeoutError, DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    parameters = {"RUN": run.name, "PROFILE": run.settings.profile}
    unknown = set(parameters) - set(papermill.inspect_notebook(str(notebook.path)))
    if unknown:
        # papermill would only warn.
        raise TourError(f"{notebook.file} has no parameter {', '.join(sorted(unknown))}")
    executed = run.path("notebooks", notebook.file)
    executed.parent.mkdir(parents=True, exist_ok=True)
    # The stated limits are those of the mini tour on digits; other data and profiles may take many times longer.
    limit = notebook.cell_timeout * (1 if run.settings.dataset == "digits" else 20)
    started = time.perf_counter()
    try:
        papermill.execute_notebook(
            str(notebook.path),
            str(executed),
            parameters=parameters,
            cwd=str(notebook.path.parent),
            kernel_name="python3",
            execution_timeout=limit,
            # On 127.0.0.1 the kernel's warning about unencrypted messages is noise.
            extra_arguments=["--IPKernelApp.log_level=40"],
            progress_bar=sys.stderr.isatty(),
        )
    except PapermillExecutionError as error:
        source = error.source.strip().splitlines()
        raise TourError(
            f"{notebook.file}, cell [{error.exec_count}] ({source[0] if source else 'empty'} ...): "
            f"{error.ename}: {error.evalue}\nThe executed notebook with the full error: {executed}"
        ) from None
    except CellTimeoutError as error:
        raise TourError(
            f"{notebook.file}: a cell took more than the {limit} s that it may ({str(error).splitlines()[0]}); "
            "take fewer images (--train-per-class 600), fewer seeds, or run the notebook in JupyterLab, without a limit"
        ) from None
    except DeadKernelError as error:
        raise TourError(
            f"{notebook.file}: the kernel died ({error}); most often memory ran out: it needs {notebook.memory_gb:g} GB"
        ) from None
    seconds = time.perf_counter() - started
    write_html(executed)
    return seconds


_PATHS = ("POCKET_DATA", "POCKET_CACHE")


def _check_dataset(name: str | None) -> None:
    """Refuse a name that nothing can be loaded from, before a run is made for it."""
    if name is not None and name not in registry() and not Path(name).is_dir():
        raise ValueError(
            f"{name!r} is neither an image set that pocket knows ({', '.join(registry())}) nor a folder with one "
            "sub-folder per class"
        )


def _earlier(run: Run, first: str) -> list[NotebookRun]:
    """Return the record of notebooks before ``first``, where an earlier tour left one."""
    path = run.path("tour.json")
    if first == "00" or not path.is_file():
        return []
    return [n for n in TourRecord.load(path).notebooks if n.number < first]


@contextmanager
def _batch_environment(run: Run) -> Iterator[None]:
    """Tell kernels that nobody watches, where the runs are and which is held; put the environment back afterwards."""
    wanted = {"POCKET_BATCH": "1", "POCKET_HOME": str(home()), "PYTHONUTF8": "1"} | for_children(run.folder)
    # Kernels work in the notebooks' folder: relative paths must mean what they mean here.
    wanted |= {key: str(Path(os.environ[key]).expanduser().resolve()) for key in _PATHS if os.environ.get(key)}
    before = {key: os.environ.get(key) for key in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for key, value in before.items():
            if value is None:
                os.environ.pop(key, None)
            else:
                os.environ[key] = value
