"""How a proof of concept was set, for its brief: what was cut for time, and what became of the images."""

from __future__ import annotations

from pocket.data.intake.records import CheckRecord
from pocket.presentation.check_page import told
from pocket.presentation.i18n import number, translator
from pocket.runs import Run
from pocket.runs.poc import Plan, PlanRecord
from pocket.runs.records import Cell

LEFT_OUT = (
    "locked", "archive", "unsupported", "hidden_image", "outside", "broken_link", "missing", "bad_row", "repeated_row",
    "zero_bytes", "broken", "too_large", "single",
)  # fmt: skip
DISPUTED = ("suspect", "suspect_weak", "unjudged", "copies_disagree", "group_disagrees")


def setting_lines(run: Run, lang: str) -> list[tuple[str, str]]:
    """Return label and value of each choice and of what was left out; none where the run has no plan and no check.

    Raises
    ------
    ArtefactError
        If ``plan.json`` or ``check.json`` is there and damaged.
    """
    plan, check = run.path("plan.json"), run.path("check.json")
    return [
        *(_plan(PlanRecord.load(plan).plan, lang) if plan.is_file() else []),
        *(_images(CheckRecord.load(check), lang) if check.is_file() else []),
    ]


def random_kind(random: list[Cell]) -> str:
    """Return the ending of the texts that name the random subset: whole images, or tiles."""
    return "tiles" if random[0].formation > 1 else "whole"


def random_name(random: list[Cell], lang: str) -> str:
    """Return what the random subset is called, which may be one in tiles."""
    return translator(lang)("alternative.random_tiles" if random_kind(random) == "tiles" else "alternative.random")


def random_text(random: list[Cell], lang: str) -> str:
    """Say in which form random images are compared."""
    return translator(lang)(f"brief.random_{random_kind(random)}", views=random[0].formation ** 2)


def _plan(plan: Plan, lang: str) -> list[tuple[str, str]]:
    t = translator(lang)
    kind = "as_chosen" if plan.resolution == plan.chosen else plan.size_by
    steps = number(plan.condense_steps)
    if plan.condense_steps < plan.usual_steps:
        minutes, usual = number(plan.minutes), number(plan.usual_steps)
        steps = t("brief.condense_steps_cut", steps=steps, usual=usual, minutes=minutes)
    both = t("brief.train_steps_both", full=number(plan.full_steps), small=number(plan.small_steps))
    return [
        (t("brief.resolution"), t(f"brief.resolution_{kind}", used=plan.resolution, chosen=plan.chosen)),
        (t("brief.cropped"), t("check.cropped")),
        (t("brief.network"), t("brief.network_width", width=plan.width)),
        (t("brief.train_steps"), both),
        (t("brief.condense_steps"), steps),
    ]


def _images(check: CheckRecord, lang: str) -> list[tuple[str, str]]:
    t = translator(lang)

    def found(kinds: tuple[str, ...]) -> list[str]:
        return [told(finding, lang).what for finding in check.findings if finding.kind in kinds]

    used = t("brief.left_out_count", usable=number(check.usable), images=number(check.images))
    return [
        (t("brief.left_out"), "; ".join([used, *found(LEFT_OUT)])),
        (t("brief.disputed"), "; ".join(found(DISPUTED)) or t("brief.none")),
    ]
