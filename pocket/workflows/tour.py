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

from pocket.presentation.notebook_html import write_html
from pocket.presentation.page import write_page
from pocket.runs import Provenance, Record, Run, open_run, provenance
from pocket.runs.paths import home
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
    profile: str = "mini",
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
    profile : {"mini", "paper"}
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
        If ``first`` is no notebook's number, or a setting is wrong.
    TourError
        If a notebook fails; its executed copy with the error stays in the run's folder.
    """
    numbers = [notebook.number for notebook in notebooks()]
    if first not in numbers:
        raise ValueError(f"--from {first}: choose one of {', '.join(numbers)}")
    run = open_run(name, profile=profile, **settings)
    chosen = [notebook for notebook in notebooks() if notebook.number >= first]
    stated = sum(notebook.cpu_minutes for notebook in chosen)
    say(f"run {run.name!r}: {len(chosen)} notebooks, about {stated:.0f} min with the mini profile on 2 CPU cores")
    done = _earlier(run, first)
    with _batch_environment():
        for position, notebook in enumerate(chosen, start=1):
            say(f"[{position}/{len(chosen)}] {notebook.number} {notebook.title} ...")
            seconds = _execute(run, notebook)
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
            run.save(TourRecord(notebooks=tuple(done), peak_mb=_peak_mb(), provenance=provenance()), "tour.json")
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
    started = time.perf_counter()
    try:
        papermill.execute_notebook(
            str(notebook.path),
            str(executed),
            parameters=parameters,
            cwd=str(notebook.path.parent),
            kernel_name="python3",
            execution_timeout=notebook.cell_timeout,
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
        raise TourError(f"{notebook.file}: a cell took more than {notebook.cell_timeout} s: {error}") from None
    except DeadKernelError as error:
        raise TourError(
            f"{notebook.file}: the kernel died ({error}); most often memory ran out: it needs {notebook.memory_gb:g} GB"
        ) from None
    finally:
        if executed.is_file():
            write_html(executed)
    return time.perf_counter() - started


def _earlier(run: Run, first: str) -> list[NotebookRun]:
    """Return the record of notebooks before ``first``, where an earlier tour left one."""
    path = run.path("tour.json")
    if first == "00" or not path.is_file():
        return []
    return [n for n in TourRecord.load(path).notebooks if n.number < first]


@contextmanager
def _batch_environment() -> Iterator[None]:
    """Tell kernels that nobody is watching, and where the runs are; put the environment back afterwards."""
    wanted = {"POCKET_BATCH": "1", "POCKET_HOME": str(home()), "PYTHONUTF8": "1"}
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


def _peak_mb() -> float | None:
    """Return the peak resident memory of the largest kernel so far, in MB; None where the system does not tell."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return round(peak / (1e6 if sys.platform == "darwin" else 1e3), 1)
