"""A run: one named folder with what was asked, every artefact and the audit log."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pocket.runs import audit
from pocket.runs.artefacts import ArtefactError, Record
from pocket.runs.errors import ToldError
from pocket.runs.lock import writing
from pocket.runs.paths import kit_dir, run_dir
from pocket.runs.provenance import Provenance, provenance

Profile = Literal["mini", "paper"]


class RunSettings(BaseModel):
    """What a run was asked to do: every notebook of the run reads it, none repeats it."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    profile: Profile = "mini"
    dataset: str = Field("digits", description="a name that pocket.load knows, or a folder")
    groups: str | None = Field(None, description="table path,group for images of one's own; None: the folder's own")
    fit: Literal["crop", "pad"] = Field("crop", description="images that are not square: their centre, or padded")
    resolution: int | None = Field(None, ge=8, le=512, description="pixels a side; None: the set's default")
    train_per_class: int | None = Field(None, ge=2, description="images a class to keep; None: all")
    ipc: tuple[int, ...] = Field((1, 10), min_length=1, description="condensed images per class")
    seeds: tuple[int, ...] = Field((0, 1, 2), min_length=1)
    bits: int = Field(32, ge=8, le=128, multiple_of=8)
    hashing: str = "orthohash"
    width: int | None = Field(None, ge=8, le=512, description="channels of the ConvNet; None: by image size")


PROFILES: dict[str, dict[str, Any]] = {
    "mini": {"width": 32},
    "paper": {"dataset": "cifar10", "ipc": (1, 10, 50), "bits": 64, "width": 128},
}


class RunRecord(Record):
    """The first file of a run, ``run.json``."""

    kind: ClassVar[str] = "run"
    name: str
    sample: bool = False
    settings: RunSettings
    audit_lines: int
    audit_head: str
    provenance: Provenance


class Run:
    """A named run on disk. Make or open one with `open_run`.

    What writes to it holds it meanwhile (`pocket.runs.lock`), and a step of many files holds it from the first on.

    Attributes
    ----------
    folder : Path
        ``runs/NAME``.
    record : RunRecord
        What was asked, and the head of the audit log.
    """

    def __init__(self, folder: Path, record: RunRecord) -> None:
        self.folder = folder
        self.record = record

    @property
    def name(self) -> str:
        """The run's name, as in ``--run NAME``."""
        return self.record.name

    @property
    def settings(self) -> RunSettings:
        """What the run was asked to do."""
        return self.record.settings

    @property
    def is_sample(self) -> bool:
        """Whether this is the copy of the sample run: every surface says so where it shows its numbers."""
        return self.record.sample

    def path(self, *parts: str) -> Path:
        """Return the path of a file inside the run's folder; one outside it is refused."""
        path = self.folder.joinpath(*parts)
        if not path.resolve().is_relative_to(self.folder.resolve()):
            raise ValueError(f"{path} lies outside the run's folder {self.folder}")
        return path

    def save(self, record: Record, name: str) -> Path:
        """Save a record in the run's folder and log it with its digest."""
        with writing(self.folder):
            path = record.save(self.path(name))
            self.note(path)
        return path

    def note(self, *paths: Path) -> None:
        """Log files of the run's folder that were written by other means, each with its digest.

        A folder is one line with the digests of all its files; it stands for the folder as a whole, so that files of an
        earlier line that are not in it are gone on purpose.
        """
        with writing(self.folder):
            for path in paths:
                name = self.path(str(path.resolve().relative_to(self.folder.resolve()))).relative_to(self.folder)
                if path.is_dir():
                    held = {f.relative_to(path).as_posix(): f for f in sorted(path.rglob("*")) if f.is_file()}
                    digests = {inside: audit.digest_of(file) for inside, file in held.items()}
                    self.log("saved", folder=name.as_posix(), files=digests)
                else:
                    self.log("saved", file=name.as_posix(), sha256=audit.digest_of(path))

    def log(self, event: str, **details: Any) -> None:
        """Append one line to the audit log and note its new head in ``run.json``."""
        with writing(self.folder):
            lines, head = audit.append(self.path("audit.jsonl"), event, **details)
            self.record = self.record.model_copy(update={"audit_lines": lines, "audit_head": head})
            self.record.save(self.path("run.json"))

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Open a run that exists."""
        return cls(folder, RunRecord.load(folder / "run.json"))


def open_run(name: str = "tour", *, profile: str | None = None, needs: str | None = None, **settings: Any) -> Run:
    """Open the run ``name``, or make it.

    Parameters
    ----------
    name : str
        Folder below ``runs/``.
    profile : {"mini", "paper"}, optional
        Preset of the settings of a new run.
    needs : str, optional
        A file of an earlier step that the caller reads. Where it is missing, a person in a notebook
        gets a copy of the sample run (``run.is_sample`` is then True and a line says so); under
        ``POCKET_BATCH=1`` it is an error.
    **settings
        Fields of `RunSettings` that differ from the profile's. For a run that exists they must agree
        with what it was made with.

    Raises
    ------
    ValueError
        If the profile or a setting is unknown or out of range, or disagrees with the run on disk.
    ArtefactError
        If ``needs`` is missing in a batch run.
    BusyError
        If the run is new, and another process is making it.
    UnwritableError
        If the run is new, and may not be written.
    """
    if profile not in (None, *PROFILES):
        raise ValueError(f"unknown profile {profile!r}; choose one of {', '.join(PROFILES)}")
    folder = run_dir(name)
    asked = {key: value for key, value in settings.items() if value is not None}
    if needs and not (folder / needs).is_file():
        if os.environ.get("POCKET_BATCH") == "1":
            raise ArtefactError(
                f"{folder / needs} is missing: run the notebooks before this one first (pocket tour --run {name})"
            )
        return _sample_run(name, needs)
    if not (folder / "run.json").is_file():
        with writing(folder):
            if not (folder / "run.json").is_file():  # nobody has made it while this one waited
                return _made(name, folder, profile, asked)
    return _opened(name, folder, profile, asked)  # read only: what writes to it holds it then


def _opened(name: str, folder: Path, profile: str | None, asked: dict[str, Any]) -> Run:
    """Open a run that exists, and refuse settings that it was not made with."""
    run = Run.read(folder)
    if profile:
        asked = {"profile": profile} | asked
    again = _settings(asked)
    for key, value in asked.items():
        if getattr(run.settings, key) != getattr(again, key):
            raise ToldError(
                f"run {name!r} was made with {key}={getattr(run.settings, key)!r}, not {value!r}; "
                f"take another name (--run NAME), or delete the folder {folder}",
                "error.settings",
                run=name,
                name=key,
                made=repr(getattr(run.settings, key)),
                asked=repr(value),
                folder=folder,
            )
    return run


def _made(name: str, folder: Path, profile: str | None, asked: dict[str, Any]) -> Run:
    """Make a run: its first file and the first line of its log."""
    profile = profile or "mini"
    wanted = _settings({"profile": profile} | PROFILES[profile] | asked)
    run = Run(
        folder,
        RunRecord(name=name, settings=wanted, audit_lines=0, audit_head=audit.GENESIS, provenance=provenance()),
    )
    run.log("started", **wanted.model_dump(mode="json"))
    return run


def _settings(fields: dict[str, Any]) -> RunSettings:
    """Validate settings, with a message that names the field and the value."""
    try:
        return RunSettings(**fields)
    except ValidationError as error:
        first = error.errors()[0]
        raise ValueError(
            f"setting {'.'.join(map(str, first['loc']))!r}: {first['msg']} (got {first.get('input')!r})"
        ) from None


def _sample_run(wanted: str, needs: str) -> Run:
    """Copy the kit's sample run to ``runs/sample`` (once) and open it, saying so."""
    source, folder = kit_dir("data") / "sample_run", run_dir("sample")
    if not (source / needs).is_file():
        raise ArtefactError(f"run {wanted!r} has no {needs}: run the notebooks before this one first")
    if (folder / "run.json").is_file() and not Run.read(folder).is_sample:
        raise ArtefactError(
            f"run {wanted!r} has no {needs}, and {folder} is a run of your own, not the sample: rename it"
        )
    if not (folder / needs).is_file():
        with writing(folder):
            shutil.copytree(source, folder, dirs_exist_ok=True)
    print(
        f"SAMPLE DATA: run {wanted!r} has no {needs} yet, so this page shows the sample run that comes with "
        "the kit. Run the notebooks before this one to see your own figures."
    )
    return Run.read(folder)
