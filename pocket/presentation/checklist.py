"""The ethics checklist of the brief, filled in from the diagnostics of a run; what was not measured never looks met."""

from __future__ import annotations

from typing import Literal, NamedTuple

from pocket.presentation.i18n import number, percent, points, translator
from pocket.roi import RoiReport
from pocket.runs import Run
from pocket.runs.diagnostics import DiagnosticReport, DiagnosticsRecord, Leakage

State = Literal["met", "todo", "unmeasured"]
SYMBOLS: dict[State, str] = {"met": "●", "todo": "▲", "unmeasured": "○"}
FULL, CONDENSED = "full data", "IEM"  # what notebook 04 calls the two models
# What no measurement settles: people have to.
AGREEMENTS = {"rights": "privacy", "deletion": "privacy", "people": "ops"}


class Check(NamedTuple):
    """One line: what is asked, how it stands, what was found and who owns it."""

    key: str
    question: str
    state: State
    mark: str
    found: str
    owner: str


class Diagnosed(NamedTuple):
    """The reports of the condensed set's model and of the full-data model."""

    condensed: DiagnosticReport
    full: DiagnosticReport


def diagnosed(run: Run) -> Diagnosed | None:
    """Return the diagnostics of a run, or None where notebook 04 has not written them for both models.

    Raises
    ------
    ArtefactError
        If ``diagnostics.json`` is there and damaged.
    """
    path = run.path("diagnostics.json")
    if not path.is_file():
        return None
    models = DiagnosticsRecord.load(path).models
    return Diagnosed(models[CONDENSED], models[FULL]) if {CONDENSED, FULL} <= models.keys() else None


def checklist(run: Run, report: RoiReport, lang: str) -> list[Check]:
    """Return the lines of the checklist.

    A loss is met within ``thresholds.go_map_loss``, near copies up to the share that chance gives.
    """
    t, found, limit = translator(lang), diagnosed(run), report.inputs.thresholds.go_map_loss
    measured: dict[str, tuple[bool, str] | None] = {
        "bias": _bias(found, limit, lang),
        "rare": _rare(found, limit, lang),
        "shift": _shift(found, limit, lang),
        "copies": _copies(found, lang),
        "membership": None,
        "drift": _drift(found, lang),
    }
    owners = {"copies": "privacy", "membership": "privacy", "drift": "ops"}
    lines = [
        _line(key, "unmeasured", t(f"checklist.{key}_unmeasured"), owners.get(key, "ml"), lang)
        if outcome is None
        else _line(key, "met" if outcome[0] else "todo", outcome[1], owners.get(key, "ml"), lang)
        for key, outcome in measured.items()
    ]
    return lines + [_line(key, "todo", t(f"checklist.{key}_found"), owner, lang) for key, owner in AGREEMENTS.items()]


def real_images(run: Run, lang: str) -> str:
    """Say whether the condensed set shows real images: measured, or not known."""
    t, copies = translator(lang), _leakage(diagnosed(run))
    if copies is None:
        return t("checklist.images_unmeasured")
    key = "images_calm" if copies.near_copies <= copies.chance else "images"
    return t(f"checklist.{key}", share=percent(copies.near_copies, lang), chance=percent(copies.chance, lang))


def worst_class(run: Run) -> tuple[str, float] | None:
    """Return the class that fares worst against the full-data model, with its difference of mAP; None: not measured."""
    return _worst(diagnosed(run))


def alarm_works(run: Run) -> bool | None:
    """Return whether the drift alarm kept silent on calm searches and fired on disturbed ones; None: not tested."""
    outcome = _drift(diagnosed(run), "en")
    return None if outcome is None else outcome[0]


def disturbance(name: str, lang: str) -> str:
    """Return a corruption in words."""
    return translator(lang)(f"corruption.{name}")


def _line(key: str, state: State, found: str, owner: str, lang: str) -> Check:
    t = translator(lang)
    mark = f"{SYMBOLS[state]} {t(f'checklist.{state}')}"
    return Check(key, t(f"checklist.{key}"), state, mark, found, t(f"brief.owner_{owner}"))


def _worst(found: Diagnosed | None) -> tuple[str, float] | None:
    changes = found.condensed.bias.against if found else None
    return min(changes.items(), key=lambda pair: pair[1]) if changes else None


def _bias(found: Diagnosed | None, limit: float, lang: str) -> tuple[bool, str] | None:
    t, worst = translator(lang), _worst(found)
    if found is None or worst is None:
        return None
    name, change = worst
    gap = t("format.points", value=number(100 * found.condensed.bias.gap, 1))
    text = t("checklist.bias_found", name=name, loss=points(change, lang), gap=gap)
    return -change <= limit, text


def _rare(found: Diagnosed | None, limit: float, lang: str) -> tuple[bool, str] | None:
    if found is None or found.condensed.rare.shares != found.full.rare.shares:
        return None
    ours, theirs = found.condensed.rare, found.full.rare
    change = ours.rarest_map[-1] - theirs.rarest_map[-1]
    text = translator(lang)(
        "checklist.rare_found",
        share=percent(ours.shares[-1], lang, 0),
        names=", ".join(ours.rarest[:3]) + (" …" if len(ours.rarest) > 3 else ""),
        map=number(ours.rarest_map[-1], 3),
        loss=points(change, lang),
    )
    return -change <= limit, text


def _shift(found: Diagnosed | None, limit: float, lang: str) -> tuple[bool, str] | None:
    if found is None or found.condensed.robustness.severities != found.full.robustness.severities:
        return None
    ours, theirs = found.condensed.robustness, found.full.robustness
    change = ours.mean[-1] - theirs.mean[-1]
    text = translator(lang)(
        "checklist.shift_found",
        count=len(ours.map),
        map=number(ours.mean[-1], 3),
        loss=points(change, lang),
        worst=disturbance(ours.worst, lang),
        worst_map=number(ours.map[ours.worst][-1], 3),
    )
    return -change <= limit, text


def _leakage(found: Diagnosed | None) -> Leakage | None:
    return found.condensed.leakage if found else None


def _copies(found: Diagnosed | None, lang: str) -> tuple[bool, str] | None:
    copies = _leakage(found)
    if copies is None:
        return None
    text = translator(lang)(
        "checklist.copies_found",
        share=percent(copies.near_copies, lang),
        views=number(len(copies.nearest)),
        real=number(copies.real),
        chance=percent(copies.chance, lang),
        exact=number(sum(distance == 0 for distance in copies.nearest)),
    )
    return copies.near_copies <= copies.chance, text


def _drift(found: Diagnosed | None, lang: str) -> tuple[bool, str] | None:
    t = translator(lang)
    if found is None or found.condensed.calm is None or found.condensed.drifted is None:
        return None
    calm, drifted, by = found.condensed.calm, found.condensed.drifted, found.condensed.drifted_by
    text = t(
        "checklist.drift_found",
        window=calm.window,
        calm=t("checklist.alarm" if calm.alarm else "checklist.no_alarm"),
        corruption=disturbance(by or found.condensed.robustness.worst, lang),
        drifted=t("checklist.alarm" if drifted.alarm else "checklist.no_alarm"),
        rate=percent(calm.false_alarm, lang),
    )
    return drifted.alarm and not calm.alarm, text
