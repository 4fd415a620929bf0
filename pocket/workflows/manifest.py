"""The single list of notebooks: order, times, memory, what each reads and writes."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt

from pocket.presentation import markdown
from pocket.runs.paths import kit_dir


class Notebook(BaseModel):
    """One entry of ``notebooks/manifest.toml``. Minutes are for the mini profile on 2 CPU cores."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    number: str = Field(pattern=r"^\d\d$")
    file: str = Field(pattern=r"^\d\d_[a-z0-9_]+\.ipynb$")
    title: str
    audience: str
    cpu_minutes: PositiveFloat
    memory_gb: PositiveFloat
    widgets: str = ""
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    beside: str = Field("", description="what it writes lies in a run of its own, whose name ends in this")
    cell_timeout: PositiveInt = Field(description="seconds that one cell may take")

    @property
    def path(self) -> Path:
        """The notebook's file."""
        return kit_dir("notebooks") / self.file

    def opening(self) -> str:
        """Return the Markdown of the notebook's opening block."""
        minutes = "under a minute" if self.cpu_minutes < 1 else f"about {self.cpu_minutes:g} min"
        rows = [
            ("For", self.audience),
            ("Time", f"{minutes} on 2 CPU cores with the mini profile"),
            ("Memory", f"up to {self.memory_gb:g} GB"),
            ("Reads", ", ".join(f"`{name}`" for name in self.reads) or "nothing from earlier notebooks"),
            ("Writes", self._written()),
        ]
        table = "\n".join(f"| **{key}** | {value} |" for key, value in rows)
        return f"# {self.number} · {self.title}\n\n| | |\n|---|---|\n{table}"

    def _written(self) -> str:
        files = ", ".join(f"`{name}`" for name in self.writes)
        return f"{files} in `runs/NAME{self.beside}`" if self.beside else files or "nothing"


@cache
def notebooks() -> tuple[Notebook, ...]:
    """Return the notebooks in the order they are run."""
    entries = tomllib.loads((kit_dir("notebooks") / "manifest.toml").read_text(encoding="utf-8"))["notebook"]
    return tuple(Notebook.model_validate(entry) for entry in entries)


def table() -> str:
    """Return the README's Markdown table of the notebooks."""
    rows = []
    for n in notebooks():
        minutes = "<1" if n.cpu_minutes < 1 else f"{n.cpu_minutes:g}"
        writes = ", ".join(f"`{name}`" for name in n.writes) or "–"
        rows.append((n.number, f"[{n.title}](notebooks/{n.file})", n.audience, minutes, writes))
    return markdown.table(("#", "notebook", "for", "minutes (2 cores)", "writes"), rows)
