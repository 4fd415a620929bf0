"""Commands to type next, as messages and pages name them: whole, and quoted for the shell."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pocket.runs.run import Run

SEEDS, BITS = 3, 32  # of `pocket poc`, where nothing else is asked for


def command(*words: object, lang: str = "en") -> str:
    """Return a command to type next, quoted where need be, in the language that was asked for."""
    return shlex.join(["pocket", *map(str, words), *(["--lang", lang] if lang != "en" else [])])


def command_of(run: Run, lang: str = "en") -> str:
    """Return the command that makes a run, and goes on with it; the run itself remembers its table of groups."""
    asked = run.settings
    if not run.path("check.json").is_file():
        return command("tour", "--run", run.name)  # it speaks English only
    seeds = ["--seeds", len(asked.seeds)] if len(asked.seeds) != SEEDS else []
    bits = ["--bits", asked.bits] if asked.bits != BITS else []
    return command("poc", asked.dataset, "--run", run.name, *seeds, *bits, lang=lang)
