"""The trained models of a proof of concept, each kept on disk with a digest of all it depends on, none made twice."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from shutil import rmtree
from typing import NamedTuple

import torch

from pocket.condensation import condense
from pocket.data import CondensedSet, ImageSet, RetrievalSplit
from pocket.evaluation import evaluate
from pocket.hashing import HashModel, train
from pocket.hashing.devices import describe, pick_device
from pocket.presentation.i18n import translator
from pocket.runs import ArtefactError, Run
from pocket.runs.audit import digest_of as file_digest
from pocket.runs.checkpoint import steps_done
from pocket.runs.poc import KeptCell, Plan
from pocket.runs.provenance import installed
from pocket.workflows.cells import digest_of
from pocket.workflows.measure import cell_of
from pocket.workflows.poc_plan import DIAGNOSES, condense_config, full_config, small_config

METHODS = ("full", "random", "iem")
_NAMES = {"full": "alternative.full", "random": "alternative.random", "iem": "alternative.condensed"}


class Spec(NamedTuple):
    """Which model: of what set, with how many tiles a side, by which seed."""

    method: str
    formation: int
    seed: int


class Shelf:
    """Makes the models of a plan, or takes them from the run's folder ``cells/``.

    Parameters
    ----------
    run : Run
    split : RetrievalSplit
    plan : Plan
    device : str
    progress : bool
        Show bars.
    lang : {"en", "ja"}
        Of their labels.
    """

    def __init__(
        self,
        run: Run,
        split: RetrievalSplit,
        plan: Plan,
        *,
        device: str = "auto",
        progress: bool = False,
        lang: str = "en",
    ) -> None:
        self.run, self.split, self.plan, self.device, self.progress = run, split, plan, device, progress
        self.t = translator(lang)

    @property
    def specs(self) -> list[Spec]:
        """Every model of the plan, in the order in which they are made."""
        kinds = (("full", 1), ("random", 1), ("random", self.plan.formation), ("iem", self.plan.formation))
        return [Spec(method, formation, seed) for method, formation in dict.fromkeys(kinds) for seed in self.plan.seeds]

    @cached_property
    def counts(self) -> list[int]:
        """Condensed images of each class of the split."""
        known = dict(zip(self.plan.class_names, self.plan.counts, strict=True))
        return [known.get(name, 0) for name in self.split.train.class_names]

    def key(self, spec: Spec) -> str:
        """Return the digest of all that a model and its score depend on."""
        plan = self.plan
        identity: dict[str, object] = {
            "spec": spec,
            "train": self.split.train.fingerprint,
            "searched": self.split.fingerprint,
            "groups": self.split.query.groups,
            "method": (plan.hashing, plan.bits, plan.width),
            "config": (full_config(plan) if spec.method == "full" else small_config(plan)).settings(),
            "torch": torch.__version__,
            "pocket": installed("pocket"),
            "device": describe(pick_device(self.device)),
        }
        if spec.method != "full":
            identity["counts"] = self.counts
        if spec.method == "iem":
            identity["condensing"] = asdict(condense_config(plan))
            identity["teacher"] = self.key(Spec("full", 1, spec.seed))
        return digest_of(identity)

    def place(self, spec: Spec) -> Path:
        """Return where a model is kept, without an ending."""
        return self.run.path("cells", f"{spec.method}-{spec.formation}-{spec.seed}-{self.key(spec)[:16]}")

    def model_path(self, spec: Spec) -> Path:
        """Return the file of a model."""
        return self.place(spec).with_suffix(".model.safetensors")

    def set_path(self, spec: Spec) -> Path:
        """Return the file of a condensed set; its card lies beside it."""
        return self.place(spec).with_suffix(".set.safetensors")

    def checkpoint(self, spec: Spec) -> Path:
        """Return the file that a condensing goes on from where it was stopped."""
        return self.place(spec).with_suffix(".checkpoint")

    def begun(self, spec: Spec) -> Path:
        """Return the folder that a training goes on from where it was stopped."""
        return self.place(spec).with_suffix(".training")

    def step(self, spec: Spec) -> int:
        """Return the step that the condensing of a model goes on at; 0 where it begins or has ended."""
        return steps_done(self.checkpoint(spec))

    def known(self, spec: Spec) -> KeptCell | None:
        """Return what is kept of a model, or None where it is not whole."""
        with suppress(ArtefactError):
            kept = KeptCell.load(self.place(spec).with_suffix(".json"))
            path = self.model_path(spec)
            if kept.key == self.key(spec) and path.is_file() and file_digest(path) == kept.model_sha256:
                return kept
        return None

    def missing(self) -> dict[str, int]:
        """Return how many models of each method are still to be made."""
        absent = [spec.method for spec in self.specs if self.known(spec) is None]
        return {method: absent.count(method) for method in METHODS}

    def steps_left(self) -> int:
        """Return the steps of condensing that are still to be taken: those of sets that are neither there nor begun."""
        waiting = [
            s for s in self.specs if s.method == "iem" and self.known(s) is None and not self.set_path(s).is_file()
        ]
        return sum(self.plan.condense_steps - self.step(spec) for spec in waiting)

    def diagnoses_left(self) -> int:
        """Return how many models are still to be diagnosed."""
        return DIAGNOSES - sum(self.diagnosed(spec).is_file() for spec in self.specs)

    def diagnosed(self, spec: Spec) -> Path:
        """Return the file of a model's diagnosis."""
        return self.place(spec).with_suffix(".diagnostics.json")

    def get(self, spec: Spec) -> tuple[KeptCell, bool]:
        """Return a model's record, and whether it was made just now. The record is written last, when all else is."""
        if (kept := self.known(spec)) is not None:
            rmtree(self.begun(spec), ignore_errors=True)  # it may have been killed before it could do so
            return kept, False
        images = self.images(spec)
        plan = self.plan
        model = train(
            images,
            plan.hashing,
            plan.bits,
            spec.seed,
            width=plan.width,
            config=full_config(plan) if spec.method == "full" else small_config(plan),
            device=self.device,
            progress=self.progress and self.t("poc.bar_train", name=self.t(_NAMES[spec.method]), seed=spec.seed),
            keep=self.begun(spec),
        )
        report = evaluate(model, self.split, device=self.device)
        path = model.save(self.model_path(spec))
        kept = KeptCell(
            key=self.key(spec),
            cell=cell_of(self.split, images, model, report, spec.seed),
            report=report,
            model_sha256=file_digest(path),
        )
        record = kept.save(self.place(spec).with_suffix(".json"))
        made = [path, record]
        if spec.method == "iem":
            made += [self.set_path(spec), self.set_path(spec).with_suffix(".json")]
        self.run.note(*made)
        rmtree(self.begun(spec), ignore_errors=True)
        return kept, True

    def images(self, spec: Spec) -> ImageSet | CondensedSet:
        """Return what a model is trained on; a condensed set is kept, and goes on where it was stopped."""
        if spec.method == "full":
            return self.split.train
        if spec.method == "random":
            return self._made(spec, None)
        path = self.set_path(spec)
        with suppress(ArtefactError):
            return CondensedSet.load(path)
        teacher = Spec("full", 1, spec.seed)
        self.get(teacher)
        made = self._made(spec, HashModel.load(self.model_path(teacher)))
        made.save(path)
        return made

    def _made(self, spec: Spec, teacher: HashModel | None) -> CondensedSet:
        checkpoint = self.checkpoint(spec) if spec.method == "iem" else None
        if checkpoint is not None:
            checkpoint.parent.mkdir(parents=True, exist_ok=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that small classes give fewer images is said with the plan
            return condense(
                self.split.train,
                self.counts,
                spec.method,
                formation=spec.formation,
                seed=spec.seed,
                config=condense_config(self.plan) if spec.method == "iem" else None,
                bits=self.plan.bits,
                hashing=self.plan.hashing,
                width=self.plan.width,
                device=self.device,
                teacher=teacher,
                progress=self.progress and self.t("poc.bar_condense", seed=spec.seed),
                checkpoint=checkpoint,
            )

    def make_all(self, told: Callable[[Spec, KeptCell, int, int], None] | None = None) -> list[KeptCell]:
        """Make every model that is not there yet; ``told`` is called with each one made, its place and how many."""
        found = []
        for place, spec in enumerate(self.specs, start=1):
            kept, new = self.get(spec)
            if new and told:
                told(spec, kept, place, len(self.specs))
            found.append(kept)
        return found
