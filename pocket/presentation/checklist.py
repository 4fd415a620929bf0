"""The ethics checklist of the brief, filled in from the diagnostics of a run; what was not measured never looks met."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal, NamedTuple

from pocket.presentation.brief_classes import joined, scores_of, things_of
from pocket.presentation.i18n import listed, number, percent, points, translator
from pocket.roi import RoiReport
from pocket.runs import Run
from pocket.runs.diagnostics import DiagnosticReport, DiagnosticsRecord, Drift, Leakage, RareClasses, Robustness
from pocket.runs.retrieval import CLEARLY, ENOUGH_QUERIES, FEW_THINGS, MODELS, ByClass

State = Literal["met", "partly", "todo", "unjudged", "unmeasured"]
SYMBOLS: dict[State, str] = {"met": "●", "partly": "△", "todo": "▲", "unjudged": "◇", "unmeasured": "○"}
FULL, CONDENSED, _ = MODELS
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

    A loss is met within ``thresholds.go_map_loss``, near copies up to the share that chance gives. Where scores by
    class are known, a class that the full-data model does not find counts as to do, whatever its loss; one of too few
    things is not judged, and nothing is where the full-data model itself is near chance. Partly met is a mean within
    the loss where a single disturbance is not or not every class could be looked at, and an alarm that was tested on
    one window of each kind.
    """
    t, found, limit = translator(lang), diagnosed(run), report.inputs.thresholds.go_map_loss
    classes = scores_of(run)
    measured: dict[str, tuple[State, str] | None] = {
        "bias": _bias(found, classes, limit, lang),
        "rare": _rare(found, classes, limit, lang),
        "shift": _shift(found, classes, things_of(run), limit, lang),
        "copies": _copies(found, lang),
        "membership": None,
        "drift": _drift(found, lang),
    }
    owners = {"copies": "privacy", "membership": "privacy", "drift": "ops"}
    lines = [
        _line(key, "unmeasured", t(f"checklist.{key}_unmeasured"), owners.get(key, "ml"), lang)
        if outcome is None
        else _line(key, *outcome, owners.get(key, "ml"), lang)
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
    """Return the class that fares worst against the full-data model, with its difference of mAP; None: not measured.

    A class with too few things to judge is none.
    """
    return _worst(diagnosed(run), scores_of(run))


def alarm_works(run: Run) -> bool | None:
    """Return whether the drift alarm kept silent on calm searches and fired on disturbed ones; None: not tested."""
    found = diagnosed(run)
    if found is None or found.condensed.calm is None or found.condensed.drifted is None:
        return None
    return _alarmed(found.condensed.calm, found.condensed.drifted)


def disturbance(name: str, lang: str) -> str:
    """Return a corruption in words."""
    return translator(lang)(f"corruption.{name}")


def _line(key: str, state: State, found: str, owner: str, lang: str) -> Check:
    t = translator(lang)
    mark = f"{SYMBOLS[state]} {t(f'checklist.{state}')}"
    return Check(key, t(f"checklist.{key}"), state, mark, found, t(f"brief.owner_{owner}"))


def _worst(found: Diagnosed | None, classes: ByClass | None) -> tuple[str, float] | None:
    changes = (found.condensed.bias.against if found else None) or {}
    few = {score.name for score in classes.unjudged} if classes else set()
    return min(
        ((name, change) for name, change in changes.items() if name not in few),
        key=lambda pair: pair[1],
        default=None,
    )


def _met(within: bool) -> State:
    return "met" if within else "todo"


def _floor(classes: ByClass | None, names: Collection[str], lang: str) -> tuple[State, str]:
    """Return how the classes of these names stand before any loss is looked at, and what to say of them."""
    t = translator(lang)
    if classes is None:
        return "met", ""
    unfound = [score.name for score in classes.unfound if score.name in names]
    few = [score.name for score in classes.unjudged if score.name in names]
    told = t("checklist.unfound", names=joined(unfound, lang)) if unfound else ""
    told += t("checklist.few", few=FEW_THINGS, names=joined(few, lang)) if few else ""
    return "todo" if unfound else "unjudged" if few else "met", told


def _bias(found: Diagnosed | None, classes: ByClass | None, limit: float, lang: str) -> tuple[State, str] | None:
    t, worst = translator(lang), _worst(found, classes)
    if found is None or not found.condensed.bias.against:
        return None
    state, told = _floor(classes, found.condensed.bias.against, lang)
    if worst is None:
        return state, t("checklist.bias_none") + told
    name, change = worst
    text = t("checklist.bias_found", name=name, loss=points(change, lang))
    if classes is None or not classes.unjudged:  # else one of the two ends may be a class of which nothing is known
        text += t("checklist.bias_gap", gap=t("format.points", value=number(100 * found.condensed.bias.gap, 1)))
    return "todo" if -change > limit else state, text + told


def _rare(found: Diagnosed | None, classes: ByClass | None, limit: float, lang: str) -> tuple[State, str] | None:
    if found is None or found.condensed.rare.shares != found.full.rare.shares:
        return None
    ours, theirs = found.condensed.rare, found.full.rare
    change = ours.rarest_map[-1] - theirs.rarest_map[-1]
    state, told = _floor(classes, ours.rarest, lang)
    if state == "met" and _near_chance(theirs, classes):
        state, told = "unjudged", translator(lang)("checklist.thin", map=number(theirs.rarest_map[-1], 3))
    text = translator(lang)(
        "checklist.rare_found",
        share=percent(ours.shares[-1], lang, 0),
        names=listed(ours.rarest[:3], lang) + (" …" if len(ours.rarest) > 3 else ""),
        map=number(ours.rarest_map[-1], 3),
        loss=points(change, lang),
    )
    return "todo" if state == "met" and -change > limit else state, text + told


def _near_chance(rare: RareClasses, classes: ByClass | None) -> bool:
    """Return whether the rarest classes, thinned out, are hardly found; fewer items only lower the chance level."""
    chances = [score.chance for score in classes.classes if score.name in rare.rarest] if classes else []
    if not chances:
        return False
    chance = sum(chances) / len(chances)
    return _by_chance(rare.rarest_map[-1], chance)


def _by_chance(score: float, chance: float) -> bool:
    """Return whether a score is hardly better than that of a random order."""
    return score - chance < CLEARLY * (1 - chance)


def _shift(
    found: Diagnosed | None, classes: ByClass | None, things: int | None, limit: float, lang: str
) -> tuple[State, str] | None:
    if found is None or found.condensed.robustness.severities != found.full.robustness.severities:
        return None
    t, ours, theirs = translator(lang), found.condensed.robustness, found.full.robustness
    change = ours.mean[-1] - theirs.mean[-1]
    text = t(
        "checklist.shift_found",
        count=len(ours.map),
        map=number(ours.mean[-1], 3),
        loss=points(change, lang),
        worst=disturbance(ours.worst, lang),
        worst_map=number(ours.map[ours.worst][-1], 3),
    )
    if classes is not None and _by_chance(theirs.mean[-1], classes.chance):
        told = t("checklist.shifted", map=number(theirs.mean[-1], 3), chance=number(classes.chance, 3))
        return "unjudged", text + told
    if things is not None and things < ENOUGH_QUERIES:
        return "unjudged", text + t("checklist.shift_few", things=number(things))
    lost = {name: maps[-1] - theirs.map[name][-1] for name, maps in ours.map.items()}
    if beyond := [name for name in lost if -lost[name] > limit]:
        most = min(beyond, key=lambda name: lost[name])
        words = {"name": disturbance(most, lang), "loss": points(lost[most], lang)}
        text += t("checklist.shift_single", count=len(beyond), **words)
    state, told = _shift_by_class(ours, theirs, classes, limit, lang)
    if -change > limit:
        state = "todo"
    return "partly" if state == "met" and beyond else state, text + told


def _shift_by_class(
    ours: Robustness, theirs: Robustness, classes: ByClass | None, limit: float, lang: str
) -> tuple[State, str]:
    """Return how the classes stand under disturbances, each in the mean over all of them, and what to say of it."""
    t = translator(lang)
    if ours.class_mean is None or theirs.class_mean is None:
        return "partly", t("checklist.shift_overall")
    scores = {score.name: score for score in classes.classes} if classes else {}
    few = [name for name, score in scores.items() if not score.judged and name in theirs.class_mean]
    near = [
        name
        for name, maps in theirs.class_mean.items()
        if name in scores and name not in few and _by_chance(maps[-1], scores[name].chance)
    ]
    lost = {
        name: maps[-1] - theirs.class_mean[name][-1]
        for name, maps in ours.class_mean.items()
        if name not in (*few, *near)
    }
    told = ""
    if lost:
        worst = min(lost, key=lambda name: lost[name])
        told = t("checklist.shift_class", name=worst, loss=points(lost[worst], lang))
    told += t("checklist.shift_near", names=joined(near, lang)) if near else ""
    told += t("checklist.few", few=FEW_THINGS, names=joined(few, lang)) if few else ""
    if any(-change > limit for change in lost.values()):
        return "todo", told
    return "partly" if few or near else "met", told


def _leakage(found: Diagnosed | None) -> Leakage | None:
    return found.condensed.leakage if found else None


def _copies(found: Diagnosed | None, lang: str) -> tuple[State, str] | None:
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
    return _met(copies.near_copies <= copies.chance), text


def _drift(found: Diagnosed | None, lang: str) -> tuple[State, str] | None:
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
    if not _alarmed(calm, drifted):
        return "todo", text
    if calm.window < ENOUGH_QUERIES:
        return "unjudged", text + t("checklist.drift_few")
    return "partly", text + t("checklist.drift_thin")


def _alarmed(calm: Drift, drifted: Drift) -> bool:
    return drifted.alarm and not calm.alarm
