"""What the README tells of the recorded benchmark: targets, every suite, ablation, cross-check, and the search."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence

from pocket.presentation import ahead, benchmark, crosscheck, frontier, markdown, search_results, targets
from pocket.runs import results
from pocket.runs.provenance import BUSY
from pocket.workflows.suites import ONE_SIZE, SUITES
from pocket.workflows.wholeness import missing, unfinished

HEAD = ("training set", "expected mAP", "of full", "kB stored", "s to make", "s to train", "break-even, trainings")


def benchmark_block() -> str:
    """Return the README's text about the recorded results: what comes of each main task of a suite, and the verdict."""
    parts = _targets()
    for suite in ("paper", "economy", "imagenette", "mini"):  # what the kit is about comes first
        rows = results.read(results.results_folder() / f"{suite}.csv")
        if not rows:
            continue
        found = benchmark.groups(rows)
        tasks: set[benchmark.Task] = set()  # without their protocols
        for task in benchmark.main_tasks(found):
            members = [g for g in found if g.task == task]
            section, about = _section(task, members), f"({benchmark.describe(members)})"
            if not section:
                continue
            if (same := task._replace(protocol="")) in tasks:  # the models above under another protocol
                parts += [markdown.folded(f"{task.dataset} {about}", "\n".join(section).strip()), ""]
            else:
                parts += [f"**{task.dataset}** {about}:", "", *section]
            tasks.add(same)
        parts += _wholeness(suite, rows)
        if busy := sum(row.load is not None and row.load > BUSY for row in rows):
            parts += [f"{busy} of {len(rows)} rows were measured on a busy machine: their seconds are too long.", ""]
        for reduced in (False, True):
            known = "of what is measured, " if missing(suite, reduced, rows)[0] else ""
            alike = benchmark.groups(row for row in rows if row.reduced is reduced)
            versions = [ahead.comparisons(alike, ours) for ours in ("", benchmark.PUBLISHED, benchmark.EXPERTS)]
            if told := " ".join(ahead.verdict(each) for each in versions if each):
                parts += [f"Suite `{suite}`{', reduced task' if reduced else ''}: {known}{told}", ""]
    parts += _ablation(results.read(results.results_folder() / "ablation.csv"))
    return "\n".join([*parts, *crosscheck.lines(results.read(results.results_folder() / "classification.csv"))]).strip()


def _section(task: benchmark.Task, members: Sequence[benchmark.Group]) -> list[str]:
    """Tell what comes of one task, and fold the tables of the sizes that most sets were measured at."""
    sizes = Counter(g.rows[0].cell_ipc for g in members if g.method != "full")
    if not sizes:
        return []
    parts = [*(f"- {answer}" for answer in benchmark.answers(members, task)), ""]
    parts += [f"One model of this task: {frontier.told(members, left_out=False)}", ""]
    whole = benchmark.full_data(members, task)
    ways = {group.teaching for group in members if group.method != "full"}
    shown_at = sorted(ipc for ipc in sizes if sizes[ipc] == max(sizes.values()))
    for ipc, teaching in itertools.product(shown_at, sorted(ways)):
        shown = benchmark.strongest_forms(members, task, ipc, teaching=teaching)
        if all(group.method == "full" for group in shown):
            continue
        lines = markdown.table(HEAD, [_line(group, whole) for group in shown])
        parts += [markdown.folded(f"every family on {task.dataset}, {ipc} a class, {_how(teaching)}", lines), ""]
    return parts


def _wholeness(suite: str, rows: Sequence[results.Row]) -> list[str]:
    """Say what of a suite is measured: of the whole task, and of the reduced one where there is one."""
    parts = []
    for reduced in (False,) if suite in ONE_SIZE else (False, True):
        task = f"Suite `{suite}`" + ("" if suite in ONE_SIZE else f", {'reduced' if reduced else 'whole'} task")
        lacking, wanted = missing(suite, reduced, rows)
        told = f"{lacking:,} of {wanted:,} rows are missing" if lacking else f"all {wanted:,} rows are measured"
        parts += [f"{task}: {told if lacking < wanted else 'not measured, which takes a GPU'}.", ""]
    return parts


def _targets() -> list[str]:
    """Return the table of targets and, of the missed ones, what was tried; nothing where nothing is recorded."""
    recorded = {suite: results.read(results.results_folder() / f"{suite}.csv") for suite in SUITES}
    if not any(recorded.values()):
        return []
    found = targets.targets(recorded, unfinished(recorded))
    limits = [f"- {line}" for line in targets.limits(found)]
    return [
        "What we set out to reach, means over seeds at the last step:",
        "",
        markdown.table(targets.HEAD, targets.table_rows(found)),
        "",
        *(["What was tried where a target is missed, and what limits it:", "", *limits, ""] if limits else []),
    ]


def _ablation(rows: Sequence[results.Row]) -> list[str]:
    """Tell which parts of IEM stand out of the noise, and fold the whole table."""
    found = ahead.parts(benchmark.groups(rows))
    if not found:
        return []
    compared = [group for each in found for group in (each.theirs, each.ours)]
    on = f"{compared[0].task.dataset}, {benchmark.describe(compared)}"
    return [
        f"What each part of IEM is worth on {on}. {ahead.parts_verdict(found)}",
        "",
        markdown.folded("every part", markdown.table(ahead.PARTS_HEAD, ahead.parts_rows(found))),
        "",
    ]


def search_block() -> str:
    """Return the README's text about the recorded search: all scores, and the indexes on a million codes or more."""
    rows = results.read_as(results.results_folder() / "search.csv", results.SearchRow)
    if not rows:
        return "Not recorded yet: `pocket bench --suite search`."
    scores = "\n".join(f"- {line}" for line in search_results.score_lines(rows))
    table = markdown.table(search_results.HEAD, search_results.index_lines(rows, least=1_000_000))
    return f"{scores}\n\n{markdown.folded('every index on a million codes and more', table)}"


def _how(teaching: benchmark.Teaching) -> str:
    """Name a way to train on a set."""
    labels = f"code labels{results.of_patchworks(teaching.mixes)}" if teaching.codes else "hard labels"
    taught = results.by_teacher(teaching.epochs, codes=teaching.codes)
    mixed = " with CutMix" if teaching.cutmix else ""
    return f"{labels}{taught}{f' and a patient student{mixed}' if teaching.patient else ''}"


def _line(group: benchmark.Group, whole: benchmark.Group | None) -> tuple[str, ...]:
    return (
        group.name,
        benchmark.interval(group.map),
        f"{group.map.mean / whole.map.mean:.1%}" if whole else "–",
        f"{group.mean(lambda r: r.image_bytes) / 1e3:,.0f}",
        f"{group.mean(lambda r: r.make_seconds):.1f}",
        f"{group.mean(lambda r: r.train_seconds):.1f}",
        benchmark.pays_after(group, whole),
    )
