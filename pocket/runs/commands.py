"""Commands to type next, as messages and pages name them: whole, and quoted for the shell."""

from __future__ import annotations

import shlex
from contextlib import suppress
from typing import TYPE_CHECKING

from pocket.runs.artefacts import ArtefactError

if TYPE_CHECKING:
    from pocket.runs.run import Run

SEEDS, BITS = 3, 32  # of `pocket poc`, where nothing else is asked for


def command(*words: object, lang: str = "en") -> str:
    """Return a command to type next, quoted where need be, in the language that was asked for."""
    return shlex.join(["pocket", *map(str, words), *(["--lang", lang] if lang != "en" else [])])


def command_of(run: Run, lang: str = "en") -> str:
    """Return the command that makes a run, and goes on with it; the run itself remembers its groups and its fit."""
    if not run.path("check.json").is_file():
        return command("tour", "--run", run.name)  # it speaks English only
    return command("poc", run.settings.dataset, "--run", run.name, *_options(run), lang=lang)


def _options(run: Run) -> list[object]:
    """Return the options of `pocket poc` that a run was made with, as far as it knows them."""
    from pocket.runs.poc import AskedRecord

    with suppress(ArtefactError):  # of an older kit, or damaged: the next call writes it anew
        return list(AskedRecord.load(run.path("asked.json")).options)
    seeds, bits = len(run.settings.seeds), run.settings.bits
    return [*(["--seeds", seeds] if seeds != SEEDS else []), *(["--bits", bits] if bits != BITS else [])]
