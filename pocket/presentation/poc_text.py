"""What a proof of concept says on the console: the plan with its reasons, the time it takes, and what came of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from pocket.data import RetrievalSplit
from pocket.data.intake import CheckRecord
from pocket.presentation import roi_text
from pocket.presentation.brief_classes import class_lines, warnings
from pocket.presentation.brief_evidence import busy_text, few_groups, over_what, saving_noise
from pocket.presentation.brief_setting import random_kind, random_name
from pocket.presentation.check_page import size_text
from pocket.presentation.fit_text import fit_text
from pocket.presentation.i18n import (
    LANGUAGES,
    duration,
    money,
    number,
    percent,
    plain,
    seeds_of,
    sentences,
    translator,
)
from pocket.roi import RoiInputs, RoiReport, alternatives, ceiling_at
from pocket.runs import Run
from pocket.runs.poc import Plan
from pocket.runs.provenance import TAKEN
from pocket.runs.records import Cell
from pocket.runs.retrieval import MeanInterval, RetrievalComparison

_NAMES = {"full": "full", "iem": "condensed"}
STAGES = ("full", "random", "iem", "diagnostics", "report")


def plan_lines(plan: Plan, check: CheckRecord, lang: str) -> Iterator[str]:
    """Yield the plan: each choice with its reason."""
    t = translator(lang)
    minutes = number(plan.minutes)
    yield ""
    yield t("poc.plan")
    if plan.size_by == "check":
        yield "  " + sentences(size_text(check, lang), lang)
    else:
        yield "  " + t(f"poc.size_{plan.size_by}", resolution=plan.resolution, chosen=plan.chosen, minutes=minutes)
        yield "  " + fit_text(check, lang)
    total, train = sum(plan.counts), sum(plan.train)
    used = [count for count in plan.counts if count]
    yield "  " + t(
        "poc.counts",
        total=number(total),
        train=number(train),
        share=percent(total / train, lang),
        least=number(min(used)),
        most=number(max(used)),
        views=plan.formation**2,
    )
    yield "  " + t(f"poc.sized_{plan.sized_by}")
    if capped := [n for n, count, own in zip(plan.class_names, plan.counts, plan.train, strict=True) if count == own]:
        yield "  " + t("poc.capped", classes=", ".join(capped[:5]))
    yield "  " + t(
        "poc.steps", seeds=seeds_of(len(plan.seeds), lang), bits=plan.bits, full=plan.full_steps, small=plan.small_steps
    )
    if plan.full_steps == plan.small_steps:
        yield "  " + t("poc.equal_steps", steps=number(plan.full_steps))
    key = "poc.condense_fewer" if plan.condense_steps < plan.usual_steps else "poc.condense_usual"
    yield "  " + t(key, steps=plan.condense_steps, usual=plan.usual_steps, minutes=minutes)
    if not plan.fits:
        yield "  " + t("poc.beyond", minutes=minutes)


def shared_groups(split: RetrievalSplit) -> int:
    """Return how many groups have images among the queries and among what is trained on or searched."""
    known = {*split.train.groups, *split.database.groups}
    return len((set(split.query.groups) & known) - {""})


def split_lines(split: RetrievalSplit, repeated: int, lang: str, *, grouped: bool = True) -> Iterator[str]:
    """Yield how the images are split, and whether anything leaks from one side to the other.

    ``grouped``: groups were given, so that what the queries show is not told apart by their copies alone.
    """
    t, query = translator(lang), split.query
    yield "  " + t("poc.split", train=number(len(split.train)), query=number(len(query)))
    if query.independent is not None:
        things = len(set(query.independent.tolist()))
        yield "  " + t("poc.split_groups", groups=number(things), query=number(len(query)))
    if query.independent is None or not grouped:
        yield "  " + t("poc.split_alone")
    shared = shared_groups(split)
    if repeated or shared:
        yield "  " + t("poc.leak", copies=number(repeated), groups=number(shared))
    else:
        yield "  " + t("poc.no_leak")


def estimate_lines(
    seconds: Mapping[str, float], missing: Mapping[str, int], count: int, plan: Plan, lang: str
) -> Iterator[str]:
    """Yield the time by stage, for what is not done yet."""
    t = translator(lang)
    if done := count - sum(missing.values()):
        yield "  " + t("poc.already", done=number(done), count=number(count))
    for stage in STAGES:
        many = missing.get(stage, 0)
        models = t("poc.models" if many > 1 else "poc.model_one", count=number(many)) if many else ""
        if seconds[stage] > 0:
            yield f"  {duration(seconds[stage], lang):>16}  {t(f'poc.stage_{stage}')}{models}"
    total = sum(seconds.values())
    yield f"  {duration(total, lang):>16}  {t('poc.total')}"
    if total > 60 * plan.minutes:
        yield "  " + t("poc.slower", minutes=number(plan.minutes))
    yield "  " + t("poc.resumable")
    if total > 60 * 1.5 * plan.minutes:
        yield "  " + t("poc.long")


def busy_line(load: float | None, lang: str) -> str:
    """Say that the machine is busy with other things before anything is trained; else, or where unknown, nothing."""
    if load is None or load <= TAKEN:
        return ""
    return translator(lang)("poc.busy", share=percent(load, lang, 0))


def ceiling_line(seconds_full: float, lang: str, inputs: RoiInputs | None = None, *, measured: bool = False) -> str:
    """Return the most that could be saved where a training on all images takes so long.

    It is what the brief calls the ceiling, from the same inputs. Only the seconds may differ: before the trainings they
    are an estimate, and ``measured`` says that they are not.
    """
    found, t = ceiling_at(seconds_full, inputs), translator(lang)
    return "  " + t(
        "poc.ceiling_measured" if measured else "poc.ceiling",
        amount=money(found.amount, found.currency, lang),
        months=found.months,
        trainings=plain(found.trainings),
        seconds=duration(found.seconds, lang),
        price=money(found.hour, found.currency, lang),
        storage=t("poc.ceiling_storage") if found.deleted else "",
    )


def cell_line(cell: Cell, place: int, count: int, lang: str) -> str:
    """Return the line of one finished model."""
    t = translator(lang)
    name = random_name([cell], lang) if cell.method == "random" else t(f"alternative.{_NAMES[cell.method]}")
    made = cell.pool_seconds + cell.condense_seconds
    parts = [
        t("poc.cell", place=place, count=count, name=name, seed=cell.seed, map=number(cell.map, 3)),
        t("poc.made", seconds=duration(made, lang)) if cell.method == "iem" else "",
        t("poc.trained", seconds=duration(cell.train_seconds, lang)),
    ]
    return "".join(parts)


def interval(found: MeanInterval, *, signed: bool = False) -> str:
    """Return a mean with its interval: 0.612 (0.540 – 0.690)."""
    mean = number(found.mean, 3, signed=signed)
    if found.low is None or found.high is None:
        return mean
    return f"{mean} ({number(found.low, 3, signed=signed)} – {number(found.high, 3, signed=signed)})"


def written_beside(run: Run, lang: str) -> list[str]:
    """Return what else there is for people to open: the brief on paper and in the other language, and the workbooks."""
    languages = sorted(LANGUAGES, key=lambda other: other != lang)
    briefs = [f"brief.{other}.{kind}" for other in languages for kind in ("pdf", "html")]
    names = [*briefs, *(f"roi.{other}.xlsx" for other in languages), "roi.csv", "check.html", "relabel.csv"]
    there = [name for name in names if name != f"brief.{lang}.html" and run.path(name).is_file()]
    return [name for name in there if name != "relabel.csv" or anything_to_relabel(run.path(name))]


def anything_to_relabel(table: Path) -> bool:
    """Whether a ``relabel.csv`` names any image: it is there, with its head alone, even where no label is doubted."""
    return len(table.read_bytes().strip().splitlines()) > 1


def result_lines(run: Run, lang: str) -> Iterator[str]:
    """Yield what came of it, and where the report lies."""
    t = translator(lang)
    yield ""
    yield from outcome_lines(run, lang)
    yield t("poc.report", page=run.path(f"brief.{lang}.html"))
    if beside := written_beside(run, lang):
        yield t("poc.beside", files=", ".join(beside))
    yield t("poc.next", run=run.name)


def outcome_lines(run: Run, lang: str) -> Iterator[str]:
    """Yield what came of it: the verdict with its reason, the scores, and break-even."""
    t = translator(lang)
    report, retrieval = RoiReport.load(run.path("roi.json")), RetrievalComparison.load(run.path("retrieval.json"))
    over = retrieval.over
    full, condensed, random = alternatives(run.folder)
    decision = roi_text.decision(report, lang)
    yield f"{decision.value}: {decision.detail}"
    if over is not None:
        yield t(
            "poc.scores",
            full=interval(over.full),
            condensed=interval(over.condensed),
            random=interval(over.random),
            kind=t(f"poc.random_{random_kind(random)}"),
            over=over_what(over.full, lang),
        )
        if few := few_groups(over.full, lang):
            yield few
        told = {1: "poc.ahead", 0: "poc.unclear", -1: "poc.behind"}[over.against_random.sign]
        yield t("poc.difference", value=interval(over.against_random, signed=True)) + t(told)
    if retrieval.by_class is not None:
        yield from class_lines(retrieval.by_class, lang)
        yield from warnings(run, lang)
    if roi_text.equally_long(report):
        yield t("poc.no_break_even")
    else:
        yield t("poc.break_even", value=roi_text.break_even(report, lang))
    if noise := saving_noise(full, condensed, lang):
        yield noise
    if busy := busy_text([*full, *condensed, *random], lang):
        yield busy
        yield t("poc.again")
