"""Commands to type next, as messages and pages name them: whole, and quoted for the shell."""

from __future__ import annotations

import shlex


def command(*words: object, lang: str = "en") -> str:
    """Return a command to type next, quoted where need be, in the language that was asked for."""
    return shlex.join(["pocket", *map(str, words), *(["--lang", lang] if lang != "en" else [])])
