"""Class by class: what is found, beside what a random order would find, and which classes say nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from pocket.presentation.i18n import listed, number, translator
from pocket.runs import Run
from pocket.runs.retrieval import FEW_THINGS, ByClass, ClassScore, RetrievalComparison

_ROWS, _NAMES, _LETTERS = 30, 5, 24
_MUCH = 0.4  # mAP of a random order, from which an overall mAP is no sign of retrieval by itself


class ClassTable(NamedTuple):
    """What the scores are, the heads of the columns, and a row a class, the least found first and the unjudged last."""

    text: str
    heads: tuple[str, ...]
    rows: list[tuple[str, ...]]


def scores_of(run: Run) -> ByClass | None:
    """Return the scores by class of a run; None: not measured.

    Raises
    ------
    ArtefactError
        If ``retrieval.json`` is there and damaged.
    """
    path = run.path("retrieval.json")
    return RetrievalComparison.load(path).by_class if path.is_file() else None


def things_of(run: Run) -> int | None:
    """Return how many different things all queries show, as the intervals are over them; None: not known."""
    path = run.path("retrieval.json")
    over = RetrievalComparison.load(path).over if path.is_file() else None
    return over.full.things if over else None


def class_table(run: Run, lang: str) -> ClassTable | None:
    """Return the table of the classes; None: not measured."""
    found = scores_of(run)
    if found is None:
        return None
    t, shown = translator(lang), _least_found(found)[:_ROWS]
    text = t("classes.text", chance=number(found.chance, 3))
    if len(shown) < len(found.classes):
        text += t("classes.shown", shown=len(shown), count=len(found.classes))
    heads = ("queries", "chance", "full", "condensed", "random", "state")
    return ClassTable(text, tuple(t(f"classes.{head}") for head in heads), [_row(score, lang) for score in shown])


def warnings(run: Run, lang: str) -> list[str]:
    """Say where chance alone gives much, which classes even the model of all images hardly finds, and which have too
    few queries to say.
    """
    t, found = translator(lang), scores_of(run)
    if found is None:
        return []
    lines = []
    over = RetrievalComparison.load(run.path("retrieval.json")).over
    if over is not None and found.chance >= _MUCH:
        full, macro = number(over.full.mean, 3), number(over.full.macro, 3)
        lines.append(t("classes.much_by_chance", full=full, chance=number(found.chance, 3), macro=macro))
    if unfound := _least_found(found, found.unfound):
        each = [
            t("classes.unfound_one", name=s.name, map=number(s.full, 2), chance=number(s.chance, 2)) for s in unfound
        ]
        lines.append(t("classes.unfound", names=joined(each, lang)))
    if found.unjudged:
        each = [t("classes.unjudged_one", name=s.name, things=s.things) for s in found.unjudged]
        lines.append(t("classes.unjudged", few=FEW_THINGS, names=joined(each, lang)))
    return lines


def class_lines(found: ByClass, lang: str) -> Iterator[str]:
    """Yield the scores by class for the console, the least found first."""
    t, shown = translator(lang), _least_found(found)[:_ROWS]
    yield t("classes.console", chance=number(found.chance, 3))
    for score in shown:
        yield "  " + t(
            "classes.line",
            name=_short(score.name),
            full=number(score.full, 3),
            condensed=number(score.condensed, 3),
            random=number(score.random, 3),
            chance=number(score.chance, 3),
            queries=_asked(score, lang),
            state=t(f"classes.{_state(score)}"),
        )
    if len(shown) < len(found.classes):
        yield "  " + t("classes.shown", shown=len(shown), count=len(found.classes)).strip()


def _least_found(found: ByClass, some: Sequence[ClassScore] | None = None) -> list[ClassScore]:
    """Return the classes in order of how little they are found; those of too few things to say last."""
    scores = found.classes if some is None else some

    def place(score: ClassScore) -> tuple[bool, float]:
        return not score.judged, (score.full - score.chance) / (1 - min(score.chance, 0.999))

    return sorted(scores, key=place)


def _row(score: ClassScore, lang: str) -> tuple[str, ...]:
    values = (number(value, 3) for value in (score.chance, score.full, score.condensed, score.random))
    return (score.name, _asked(score, lang), *values, translator(lang)(f"classes.{_state(score)}"))


def _asked(score: ClassScore, lang: str) -> str:
    return translator(lang)("classes.asked", queries=number(score.queries), things=number(score.things))


def _state(score: ClassScore) -> str:
    return "not_judged" if not score.judged else "found" if score.found else "hardly"


def joined(names: Sequence[str], lang: str) -> str:
    """Return the first few names, and how many more there are."""
    more = [translator(lang)("classes.more", count=len(names) - _NAMES)] if len(names) > _NAMES else []
    return listed([*names[:_NAMES], *more], lang)


def _short(name: str) -> str:
    return name if len(name) <= _LETTERS else name[: _LETTERS - 1] + "…"
