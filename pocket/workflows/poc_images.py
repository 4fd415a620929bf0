"""Which images of one's own a run is of: the check that is there, a new one, or a refusal where they have changed."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from pocket.data import RetrievalSplit
from pocket.data.decoding import Fit
from pocket.data.intake import (
    CheckRecord,
    Findings,
    IntakeError,
    SplitRecord,
    list_images,
    store_split,
    stored_split,
    take_in,
)
from pocket.data.intake.contents import changes, contents_of
from pocket.data.intake.listing import Listing
from pocket.data.intake.look import look_at_all
from pocket.data.intake.names import shown
from pocket.data.sources import registry
from pocket.presentation.i18n import number, translator
from pocket.runs import ArtefactError, Run
from pocket.runs.paths import run_dir
from pocket.workflows.check import UsageError, check
from pocket.workflows.measure import own_split

Say = Callable[[str], None]


def checked_images(
    path: Path,
    out: Path,
    groups: Path | None,
    lang: str,
    say: Say,
    options: Sequence[object] = (),
    fit: Fit = "crop",
) -> CheckRecord:
    """Check the images, or take the check that is there where neither images nor groups have changed since.

    Parameters
    ----------
    path : Path
    out : Path
        The run's folder.
    groups : Path, optional
        A table ``path,group``.
    lang : {"en", "ja"}
    say : callable
        Takes each line.
    options : sequence
        Of the command that goes on with this run, for the page of the check.
    fit : {"crop", "pad"}
        What will be made of images that are not square.

    Raises
    ------
    UsageError
        If ``groups`` is no file.
    ValueError
        If the run in ``out`` was made with another fit, or of other images or groups.
    """
    t = translator(lang)
    if groups is not None and not groups.is_file():
        raise UsageError(t("check.no_groups", groups=groups))
    begun = (out / "run.json").is_file()
    if begun and (made := Run.read(out).settings.fit) != fit:
        raise ValueError(t("poc.other_fit", run=out.name, before=made, fit=fit))
    before = _kept(path, out, groups)
    if before is not None and before.fit == fit:
        say(t("poc.checked", verdict=t(f"check.{before.verdict}"), page=out / "check.html"))
        return before
    if begun:
        say(t("check.listing", path=shown(path)))
        _refuse_changes(path, out, groups, lang, say)
    return check(path, out=out, groups=groups, fit=fit, options=options, lang=lang, say=say).record


def images_of(run: Run, lang: str = "en", say: Say = print) -> RetrievalSplit:
    """Load the images that a run was made of; ``say`` takes that they could not be compared, where they could not.

    Raises
    ------
    ValueError
        If they are the user's own and have changed since: another split would be drawn, in which its
        models are asked for images that they were trained on.
    """
    if run.path("split.json").is_file():
        _refuse_others(run, lang, say)
    return own_split(run, told=True)


def hold_to_images(run: Run, say: Say, *, begins: bool) -> None:
    """Note which images of one's own a tour is of, in ``split.json``; refuse others once that is noted.

    Parameters
    ----------
    run : Run
    say : callable
        Takes that they could not be compared, where they could not.
    begins : bool
        Whether everything is made from here on, so that the images as they are now are those of the run.

    Raises
    ------
    ValueError
        If they have changed since, or cannot be used.
    """
    path = Path(run.settings.dataset)
    if run.settings.dataset in registry():
        return
    if begins and not run.path("split.json").is_file():
        findings = Findings()
        listing = list_images(path, findings)
        fit = run.settings.fit
        split = stored_split(listing, fit) or store_split(take_in(listing, findings, fit=fit))
        # The split may be by groups that only the check was given; this run knows of none, and is held to that.
        run.save(split.model_copy(update={"groups_key": listing.groups_key}), "split.json")
    else:
        _refuse_others(run, "en", say)


def _refuse_others(run: Run, lang: str, say: Say) -> None:
    path, groups = Path(run.settings.dataset), Path(run.settings.groups) if run.settings.groups else None
    toured = not run.path("check.json").is_file()
    if not _unchanged(path, run.folder, groups, toured=toured):
        _refuse_changes(path, run.folder, groups, lang, say, toured=toured)


def _unchanged(path: Path, out: Path, groups: Path | None, *, toured: bool = False) -> bool:
    """Whether names, times and groups are those that the split was drawn of: then nothing need be looked at."""
    with suppress(ArtefactError, IntakeError):
        split, listing = SplitRecord.load(out / "split.json"), list_images(path, Findings(), groups)
        return split.key == listing.key and _same_groups(split, listing, toured=toured)
    return False


def _same_groups(split: SplitRecord, listing: Listing, *, toured: bool) -> bool:
    """Whether groups are those of the split. A tour is told of no table, but may have taken the split of a check that
    was given one, and earlier tours noted its groups: where the images come with none, there is nothing to contradict.
    """
    return split.groups_key == listing.groups_key or (toured and not listing.groups_key)


def _kept(path: Path, out: Path, groups: Path | None) -> CheckRecord | None:
    """Return the check that is there, where nothing has happened to images and groups since."""
    with suppress(ArtefactError):
        before = CheckRecord.load(out / "check.json")
        if before.path == shown(path.resolve()) and (out / "check.html").is_file() and _unchanged(path, out, groups):
            return before
    return None


def _refuse_changes(path: Path, out: Path, groups: Path | None, lang: str, say: Say, *, toured: bool = False) -> None:
    """Refuse other images under a run's name, before anything in its folder is written over: its brief is of the old.

    Files that were only copied anew, with other times or in another format, are the same images.
    """
    t = translator(lang)
    try:
        before = SplitRecord.load(out / "split.json")
    except ArtefactError:  # missing, damaged, or of a version that held no contents
        say(t("poc.not_compared", path=shown(path), run=out.name))
        return
    free = next(name for n in itertools.count(2) if not run_dir(name := f"{out.name[:60]}-{n}").exists())
    try:
        listing = list_images(path, Findings(), groups)
    except IntakeError as error:
        raise ValueError(t("poc.gone", run=out.name, reason=error)) from None
    found = changes(before.contents, contents_of(listing, look_at_all(listing.open(), len(listing))))
    if found.names:
        raise ValueError(
            t(
                "poc.changed",
                path=shown(path),
                run=out.name,
                added=number(len(found.added)),
                removed=number(len(found.removed)),
                changed=number(len(found.changed)),
                example=shown(found.names[0]),
                free=free,
            )
        )
    if not _same_groups(before, listing, toured=toured):
        raise ValueError(t("poc.regrouped", path=shown(path), run=out.name, free=free))
