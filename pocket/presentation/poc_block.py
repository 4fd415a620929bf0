"""A published proof of concept as the README tells it, every figure from its record."""

from __future__ import annotations

import textwrap
from datetime import datetime

from pocket.presentation import markdown
from pocket.presentation.i18n import commit_text, duration, full_date, number, translator
from pocket.runs.poc import PublishedPoc

_WIDTH = 120  # of a line in a fenced block, which does not wrap
_BEFORE = {"check": "check", "plan": "loading, planning, and measuring a few steps"}


def poc_block(record: PublishedPoc) -> str:
    """Return the README's text about a proof of concept: images, result, and seconds by stage beside the estimate."""
    plan, made = record.plan, record.provenance
    groups = f", {number(record.groups)} different things" if record.groups else ""
    head = (
        f"{record.about}: {number(record.images)} images{groups}, {len(plan.class_names)} classes, the largest with "
        f"{number(record.largest_class)} images; {len(plan.seeds)} seed{'s' * (len(plan.seeds) > 1)}, "
        f"{plan.bits} bits, {plan.resolution} × {plan.resolution} pixels. From the check to the brief it took "
        f"{duration(sum(record.took.values()), 'en')}."
    )
    versions = ", ".join(f"{name} {made.packages[name]}" for name in ("torch", "numpy") if name in made.packages)
    day = full_date(datetime.fromisoformat(made.created).date(), "en")
    source = (
        f"Made on {day} at commit {commit_text(made.commit, 'en', '`')} with Python {made.python}, {versions}, "
        f"on {made.device} ({made.platform}, {made.cpu_count} cores), in one go."
    )
    fence = "```"
    told = [part for line in record.outcome for part in textwrap.wrap(line, _WIDTH, subsequent_indent="  ")]
    return "\n".join([head, "", fence, *told, fence, "", _stages(record), "", source])


def _stages(record: PublishedPoc) -> str:
    t, told = translator("en"), record.estimated
    names = _BEFORE | {stage: t(f"poc.stage_{stage}") for stage in told}
    rows = [(names[stage], told.get(stage), seconds) for stage, seconds in record.took.items()]
    rows += [("what was estimated", sum(told.values()), sum(record.took[stage] for stage in told))]
    rows += [("in all", None, sum(record.took.values()))]
    lines = [
        (name, "–" if before is None else duration(before, "en"), duration(took, "en")) for name, before, took in rows
    ]
    return markdown.table(("stage", "estimated", "took"), lines)
