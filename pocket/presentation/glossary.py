"""The glossary: the field's terms in plain words, in English and Japanese, from one list."""

from __future__ import annotations

from typing import NamedTuple

from pocket.presentation.i18n import texts, translator


class Term(NamedTuple):
    """A term as it is written, with one or two sentences that explain it."""

    key: str
    name: str
    text: str


def glossary(lang: str) -> list[Term]:
    """Return the terms of a language in the order of the list, the same in both.

    Raises
    ------
    ValueError
        If the language is unknown.
    """
    t = translator(lang)
    # English gives the order: what a term is explained by stands before it.
    keys = [key.split(".")[1] for key in texts("en") if key.startswith("glossary.") and key.endswith(".name")]
    return [Term(key, t(f"glossary.{key}.name"), t(f"glossary.{key}.text")) for key in keys]


def glossary_block(lang: str) -> str:
    """Return the glossary as a Markdown list, for the README of that language."""
    between = "：" if lang == "ja" else ": "
    return "\n".join(f"- **{term.name}**{between}{term.text}" for term in glossary(lang))
