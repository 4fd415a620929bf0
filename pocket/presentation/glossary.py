"""The glossary: the field's terms in plain words, in English and Japanese, from one list."""

from __future__ import annotations

import re
from collections.abc import Iterable
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


# What is read in a page where that is not a part of the term's name.
_READ = {
    "condensation": ("condens", "凝縮"),
    "bits": ("bits", "ビット"),
    "hashing": ("hashing", "ハッシュ"),
    "code": ("codes", "コード"),
    "ties": ("expected mean average precision", "期待平均適合率"),
    "query": ("queries", "検索画像", "検索例"),
    "hybrid": ("hybrid", "ハイブリッド"),
    "interval": ("interval", "区間"),
    "range": ("P10",),
}


def occurring(terms: Iterable[Term], text: str) -> list[Term]:
    """Return the terms that a text uses, in their order: what is not read needs no explanation.

    Examples
    --------
    >>> [term.key for term in occurring(glossary("en"), "The NPV over three seeds; 32 bits.")]
    ['bits', 'npv', 'seed']
    """
    return [term for term in terms if any(_has(text, word) for word in _READ.get(term.key, _words(term.name)))]


def _words(name: str) -> list[str]:
    """Return what a name is made of: "Net present value (NPV)" is that, and NPV."""
    parts = re.split(r"[(),（）、・：:]| and |と(?=並行|同順)", name)
    return [part.strip() for part in parts if part.strip()]


def _has(text: str, word: str) -> bool:
    """Whether a word begins somewhere in a text (Japanese has no spaces), or an abbreviation stands there alone."""
    if word.isascii() and word.isupper():
        return re.search(rf"(?<![A-Za-z]){re.escape(word)}(?![A-Za-z])", text) is not None
    return re.search(rf"(?<![A-Za-z]){re.escape(word)}", text, re.IGNORECASE) is not None


def glossary_block(lang: str) -> str:
    """Return the glossary as a Markdown list, for the README of that language."""
    between = "：" if lang == "ja" else ": "
    return "\n".join(f"- **{term.name}**{between}{term.text}" for term in glossary(lang))
