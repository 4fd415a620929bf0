"""What the brief rests on: measured rows, where they come from, costs by component, and what was put in."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple

from pocket.presentation import roi_text
from pocket.presentation.i18n import (
    PLUS_MINUS,
    colon,
    commit_text,
    data_size,
    duration,
    full_date,
    in_brackets,
    listed,
    number,
    percent,
    sentences,
    texts,
    translator,
)
from pocket.presentation.meeting import paired_difference
from pocket.roi import RoiInputs, RoiReport, disturbed, equal_steps
from pocket.roi.fields import ENTERED, MEASURED, YOURS
from pocket.runs import Run, audit
from pocket.runs.records import Cell, TrainingRecord, summarise
from pocket.runs.retrieval import ENOUGH_QUERIES, MeanInterval, RetrievalComparison


class EvidenceRow(NamedTuple):
    """One alternative as measured, in words."""

    name: str
    images: str
    size: str
    map: str
    steps: str
    train: str
    prepare: str
    condense: str
    seeds: str


def evidence_row(name: str, cells: list[Cell], lang: str) -> EvidenceRow:
    """Return the row of one alternative: mAP as a mean over seeds with its interval, seconds as their median."""
    t = translator(lang)

    def seconds(values: Iterable[float]) -> str:
        middle = statistics.median(values)
        return duration(middle, lang) if middle else t("brief.none")

    mean, half_width, count = summarise(cell.map for cell in cells)
    one_seed = t("brief.one_seed")
    return EvidenceRow(
        name=name,
        images=number(cells[0].images),
        size=data_size(cells[0].image_bytes, lang),
        map=f"{number(mean, 3)}{PLUS_MINUS}{number(half_width, 3)}"
        if count > 1
        else in_brackets(number(mean, 3), one_seed, lang),
        steps=listed(dict.fromkeys(number(cell.steps) for cell in cells), lang),
        train=seconds(cell.train_seconds for cell in cells),
        prepare=seconds(cell.teacher_seconds + cell.pool_seconds for cell in cells),
        condense=seconds(cell.condense_seconds for cell in cells),
        seeds=str(count),
    )


def difference_text(condensed: list[Cell], random: list[Cell], lang: str) -> str:
    """Say how far the condensed set is ahead of the random subset, and whether that is beyond chance."""
    t, found = translator(lang), paired_difference(condensed, random, lang)
    if found is None:
        return t("brief.difference_unpaired")
    unclear = found.sign == 0 and len(condensed) > 1
    said = (t("brief.difference", value=found.text), t("brief.difference_zero") if unclear else "")
    return sentences(said, lang)


def saving_noise(full: list[Cell], condensed: list[Cell], lang: str) -> str:
    """Say that the seconds saved a training are noise, where they are; else nothing.

    They are where both train for the same steps, or seeds differ by more than the mean. A break-even then says nothing:
    another measurement may find "never", or half as many trainings.
    """
    if steps := equal_steps(full, condensed):
        return translator(lang)("brief.saving_equal", steps=number(steps))
    ours, theirs = ({cell.seed: cell.train_seconds for cell in cells} for cells in (condensed, full))
    if ours.keys() != theirs.keys() or len(ours) < 2:
        return ""
    mean, half_width, _ = summarise(theirs[seed] - ours[seed] for seed in ours)
    if abs(mean) > half_width:
        return ""
    return translator(lang)("brief.saving_noise", mean=number(mean, 1, signed=True), spread=number(half_width, 1))


def fewer_steps(inputs: RoiInputs, full: list[Cell], condensed: list[Cell], lang: str) -> str:
    """Say which part of the saving is the setting of fewer steps, and no work of the condensed images; else nothing.

    Nothing where either takes as many steps, or where seconds were entered by hand.
    """
    seconds = [inputs.estimate(f"seconds_{side}") for side in ("full", "condensed")]
    measured = all(estimate.source == "measured" for estimate in seconds)
    today, later = (statistics.median(cell.steps for cell in cells) for cells in (full, condensed))
    if not measured or later == today:
        return ""
    share, reduction = 1 - later / today, 1 - seconds[1].base / seconds[0].base
    words = {"full": number(today), "condensed": number(later), "share": percent(share, lang, 0)}
    fewer = "fewer_steps_most" if 0 < reduction < 2 * share else "fewer_steps"
    key = fewer if later < today else "more_steps"
    return translator(lang)(f"brief.{key}", reduction=percent(reduction, lang, 0), **words)


def busy_text(cells: list[Cell], lang: str) -> str:
    """Say that the seconds, and with them all money, were measured on a busy machine, and why; else nothing."""
    t, found = translator(lang), disturbed(cells)
    if found is None:
        return ""
    if found.seconds is not None:
        fastest, slowest = (duration(seconds, lang) for seconds in found.seconds)
        return t("brief.busy_apart", fastest=fastest, slowest=slowest)
    assert found.load is not None
    return t("brief.busy_load", load=percent(found.load, lang, 0))


class OverQueriesTable(NamedTuple):
    """Scores with intervals over queries: what they are over, the heads of the columns, and the rows."""

    text: str
    heads: tuple[str, ...]
    rows: list[tuple[str, ...]]


def over_queries_table(run: Run, lang: str, random: str) -> OverQueriesTable | None:
    """Return the scores of a run with intervals over groups of queries, or over single ones; None: not measured.

    ``random`` is what the random subset is called.

    Raises
    ------
    ArtefactError
        If ``retrieval.json`` is there and damaged.
    """
    path = run.path("retrieval.json")
    retrieval = RetrievalComparison.load(path) if path.is_file() else None
    if retrieval is None or retrieval.over is None:
        return None
    over = retrieval.over
    t = translator(lang)
    named = {
        t("alternative.full"): over.full,
        t("alternative.condensed"): over.condensed,
        random: over.random,
        t("brief.over_against_full"): over.against_full,
        t("brief.over_against_random"): over.against_random,
    }
    rows: list[tuple[str, ...]] = []
    for name, found in named.items():
        signed = found in (over.against_full, over.against_random)

        def shown(value: float | None, signed: bool = signed) -> str:
            return "–" if value is None else number(value, 3, signed=signed)

        spread = "–" if found.low is None else t("brief.over_range", low=shown(found.low), high=shown(found.high))
        rows.append((name, shown(found.mean), spread, shown(found.macro)))
    if retrieval.by_class is not None:
        rows.insert(3, (t("classes.random_order"), number(retrieval.by_class.chance, 3), "–", "–"))
    heads = (t("brief.map"), t("brief.over_interval"), t("brief.over_macro"))
    text = t("brief.over_text", over=over_what(over.full, lang))
    return OverQueriesTable(sentences((text, few_groups(over.full, lang)), lang), heads, rows)


def over_what(found: MeanInterval, lang: str) -> str:
    """Say what an interval is over: groups, or single queries."""
    t = translator(lang)
    averaged = t("over.seeds" if found.seeds > 1 else "over.seed_one", count=number(found.seeds))
    if found.groups is None:
        return t("over.queries", queries=number(found.queries), averaged=averaged)
    return t("over.groups", groups=number(found.groups), queries=number(found.queries), averaged=averaged)


def few_groups(found: MeanInterval, lang: str) -> str:
    """Say that no decision can rest on so few groups, or on so few queries where there are no groups; else nothing."""
    if found.things >= ENOUGH_QUERIES:
        return ""
    return translator(lang)("over.few", things=number(found.things), least=number(ENOUGH_QUERIES))


def provenance_lines(run: Run, cell: Cell, lang: str) -> list[tuple[str, str]]:
    """Return label and value of what the figures were measured on, and when."""
    t = translator(lang)
    made = TrainingRecord.load(run.path("training.json")).provenance
    day = datetime.fromisoformat(made.created).date()
    return [
        (t("brief.dataset"), cell.dataset),
        (t("brief.protocol"), cell.protocol),
        (t("brief.hashing"), listed((cell.hashing, t("brief.bits", bits=cell.bits)), lang)),
        (t("brief.ipc"), _per_class(run, cell, lang)),
        (t("brief.device"), cell.device),
        (t("brief.commit"), commit_text(made.commit, lang)),
        (t("brief.made"), full_date(day, lang)),
    ]


def _per_class(run: Run, cell: Cell, lang: str) -> str:
    """Return the condensed images of each class: the most of them, where classes have unequal numbers."""
    path = run.path("retrieval.json")
    known = RetrievalComparison.load(path).models if path.is_file() else {}
    classes = next((len(report.class_names) for report in known.values()), None)
    unequal = classes is not None and cell.images != cell.ipc * classes
    return translator(lang)("brief.ipc_most", most=number(cell.ipc)) if unequal else number(cell.ipc)


def audit_head(run: Run) -> tuple[int, str]:
    """Return the line count and the head digest of the run's audit log, checked; 0 lines where there is no log.

    Raises
    ------
    ArtefactError
        If the chain of the log is broken.
    """
    return audit.verify(run.path("audit.jsonl"))


def cost_table(report: RoiReport, lang: str) -> dict[str, Any]:
    """Return the table of costs: one row per component, one column per alternative."""
    t, currency = translator(lang), report.inputs.currency
    months = len(report.schedule) - 1
    columns = report.alternatives
    every = (value for a in columns for value in (*a.once.values(), *a.monthly.values(), a.total, a.npv))
    amount = roi_text.amounts(every, currency, lang)

    def row(label: str, values: list[float]) -> list[str]:
        return [label, *map(amount, values)]

    once = list(dict.fromkeys(key for a in columns for key in a.once))
    monthly = list(dict.fromkeys(key for a in columns for key in a.monthly))
    return {
        "head": [t(f"alternative.{a.name}") for a in columns],
        "once": [row(t(f"cost.{key}"), [a.once.get(key, 0.0) for a in columns]) for key in once],
        "monthly": [row(t(f"cost.{key}"), [a.monthly.get(key, 0.0) for a in columns]) for key in monthly],
        "total": [
            row(t("cost.total"), [a.total for a in columns]),
            row(t("roi.npv"), [a.npv for a in columns]),
        ],
        "text": t("brief.compare_text", months=months),
    }


def assumption_row(name: str, inputs: RoiInputs, lang: str) -> tuple[str, str, str, str]:
    """Return label, base value, range and source of one input, with its note where that says more than the source."""
    t, e = translator(lang), inputs.estimate(name)
    base = roi_text.input_value(name, e.base, inputs, lang)
    spread = "–" if e.low == e.high else roi_text.input_range(name, e.low, e.high, inputs, lang)
    if e.note in (YOURS, ENTERED, MEASURED):
        source = t(f"tag.{e.source}")
    elif f"source_note.{e.note}" in texts(lang):
        source = roi_text.note(name, inputs, lang)  # ours begin with what they are
    else:
        source = t(f"tag.{e.source}") + colon(lang) + e.note
    return t(f"input.{name}"), base, spread, source
