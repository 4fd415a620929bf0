"""`CondensedSet`: a few stored images that stand for many, with the card that says how they were made."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from PIL import Image
from pydantic import BaseModel, ConfigDict, NonNegativeFloat, NonNegativeInt, PositiveInt

from pocket.data import formation as grid
from pocket.runs.artefacts import ArtefactError, Record, load_tensors, save_tensors
from pocket.runs.provenance import Provenance

if TYPE_CHECKING:
    from torch import Tensor


class CodeLabels(BaseModel):
    """Who labelled a set with codes: a hash model of this method and length.

    ``mixes`` patchworks of each view were labelled, drawn from ``seed``, with what was drawn in a digest; 0 where the
    views themselves were.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    method: str
    bits: PositiveInt
    teacher_seconds: NonNegativeFloat
    teacher_fingerprint: str
    mixes: NonNegativeInt = 0
    seed: int = 0
    drawn_sha256: str = ""


class CondensedCard(Record):
    """How a condensed set was made: the JSON beside its safetensors.

    ``counts`` holds the stored images of each class where they differ; ``ipc`` is then the most of them. So do
    ``formations`` and ``formation`` with the tiles a side.
    """

    kind: ClassVar[str] = "condensed-set"
    method: str
    ipc: PositiveInt
    counts: tuple[NonNegativeInt, ...] | None = None
    formation: PositiveInt
    formations: tuple[PositiveInt, ...] | None = None
    seed: int
    source: str
    source_fingerprint: str
    source_images: PositiveInt
    class_names: tuple[str, ...]
    mirror: bool
    config: dict[str, Any]
    pool_seconds: NonNegativeFloat
    condense_seconds: NonNegativeFloat
    teacher_seconds: NonNegativeFloat = 0.0
    labels: CodeLabels | None = None
    provenance: Provenance
    tensors_sha256: str = ""


@dataclass(frozen=True, eq=False)
class CondensedSet:
    """Stored images of a condensed set or of a random subset.

    Parameters
    ----------
    images : ndarray of uint8, shape (M, C, H, W)
        As stored: an f x f grid of tiles where the card's ``formation`` f of the class is above 1.
    labels : ndarray of int64, shape (M,)
    card : CondensedCard
    code_targets : ndarray of float16, shape (sum of f^2, bits), optional
        A teacher's continuous codes of the decoded views; of patchworks of them uint8, shape
        (mixes * sum of f^2, bits / 2), two values a byte. From `pocket.label`.
    codebook : ndarray of float16, shape (C, bits), optional
        The teacher's codeword of each class; with ``code_targets``.
    """

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
    card: CondensedCard
    code_targets: npt.NDArray[np.float16] | npt.NDArray[np.uint8] | None = None
    codebook: npt.NDArray[np.float16] | None = None

    def __post_init__(self) -> None:
        m, formations = len(self.images), self.card.formations
        if self.images.dtype != np.uint8 or self.images.ndim != 4 or self.labels.shape != (m,):
            raise ValueError(
                f"a condensed set needs uint8 images (M, C, H, W) and labels (M,), not {self.images.dtype} "
                f"{self.images.shape} and {self.labels.shape}"
            )
        if m and not 0 <= self.labels.min() <= self.labels.max() < len(self.card.class_names):
            raise ValueError(f"labels of a condensed set must lie in 0..{len(self.card.class_names) - 1}")
        if formations is not None and len(formations) != len(self.card.class_names):
            raise ValueError(f"{len(formations)} formations do not fit {len(self.card.class_names)} classes")
        given = [part is not None for part in (self.code_targets, self.codebook, self.card.labels)]
        if any(given) != all(given):
            raise ValueError("code targets, codebook and the card's labels come together, or not at all")
        if self.code_targets is not None and self.codebook is not None and self.card.labels is not None:
            bits, views = self.card.labels.bits, len(self.view_images)
            mixes = self.card.labels.mixes
            wanted_codes = (views * mixes, bits // 2) if mixes else (views, bits)
            for name, found, wanted in (
                ("code targets", self.code_targets.shape, wanted_codes),
                ("codebook", self.codebook.shape, (len(self.card.class_names), bits)),
            ):
                if found != wanted:
                    raise ValueError(f"{name} of shape {found} do not fit {m} images with {views} views: {wanted}")
        self.images.flags.writeable = False
        self.labels.flags.writeable = False

    def __len__(self) -> int:
        return len(self.images)

    @property
    def num_classes(self) -> int:
        """The number of classes."""
        return len(self.card.class_names)

    @property
    def size(self) -> int:
        """Height in pixels."""
        return int(self.images.shape[2])

    @property
    def channels(self) -> int:
        """1 for grey, 3 for colour."""
        return int(self.images.shape[1])

    @property
    def mirror(self) -> bool:
        """Whether an image flipped left to right keeps its class."""
        return self.card.mirror

    @property
    def name(self) -> str:
        """What the set is called in tables."""
        counts = self.card.counts
        size = f"{self.card.ipc} a class" if counts is None else f"{min(counts)} to {max(counts)} a class"
        return f"{self.card.source}, {self.card.method}, {size}" + (", codes" if self.codes else "")

    @property
    def codes(self) -> bool:
        """Whether the set carries code labels."""
        return self.code_targets is not None

    @property
    def stored_bytes(self) -> int:
        """Bytes of pixels, code targets and codebook, uncompressed."""
        return self.images.nbytes + sum(part.nbytes for part in (self.code_targets, self.codebook) if part is not None)

    @property
    def formation(self) -> grid.Formation:
        """Tiles a side: one number, or one an image where they differ by class."""
        each = self.card.formations
        return self.card.formation if each is None else np.array(each, dtype=np.int64)[self.labels]

    @cached_property
    def view_images(self) -> npt.NDArray[np.int64]:
        """Which stored image each decoded view is a tile of, shape (sum of f^2,)."""
        return np.repeat(np.arange(len(self)), self.formation**2)

    @cached_property
    def view_labels(self) -> npt.NDArray[np.int64]:
        """Labels of the decoded views, shape (sum of f^2,)."""
        return self.labels[self.view_images]

    def decode(self) -> Tensor:
        """Return the training views, float32 in [0, 1], shape (sum of f^2, C, H, W)."""
        import torch

        return grid.decode(torch.tensor(self.images).float().div_(255), self.formation)

    def save(self, path: Path) -> Path:
        """Save ``path`` (``.safetensors``) and the card beside it (``.json``).

        The card is written last and holds the digest of the tensors, so a half-written pair is noticed.
        """
        arrays: dict[str, Any] = {"images": self.images, "labels": self.labels}
        if self.codes:
            arrays |= {"code_targets": self.code_targets, "codebook": self.codebook}
        path = path.with_suffix(".safetensors")
        save_tensors(path, arrays)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        self.card.model_copy(update={"tensors_sha256": digest}).save(path.with_suffix(".json"))
        return path

    @classmethod
    def load(cls, path: Path) -> Self:
        """Load a set that `save` wrote.

        Raises
        ------
        ArtefactError
            If a file is missing or damaged, or the two do not belong together.
        """
        path = path.with_suffix(".safetensors")
        card = CondensedCard.load(path.with_suffix(".json"))
        tensors, _ = load_tensors(path)
        if hashlib.sha256(path.read_bytes()).hexdigest() != card.tensors_sha256:
            raise ArtefactError(f"{path} is not the file its card was written for; delete both and condense again")
        try:
            return cls(tensors["images"], tensors["labels"], card, tensors.get("code_targets"), tensors.get("codebook"))
        except (KeyError, ValueError) as error:
            raise ArtefactError(f"{path} does not hold a condensed set ({error}); condense again") from None

    def export(self, folder: Path) -> list[Path]:
        """Write every stored image as PNG, one sub-folder per class, for a person to look at.

        Existing files are not overwritten: the folder must be new or empty.
        """
        if folder.exists() and any(folder.iterdir()):
            raise ValueError(f"{folder} is not empty: choose a new folder to export to")
        width = len(str(self.num_classes - 1))
        paths = []
        for position, (image, label) in enumerate(zip(self.images, self.labels, strict=True)):
            plain = "".join(c if c.isalnum() else "_" for c in self.card.class_names[label])[:48]
            path = folder / f"{label:0{width}d}_{plain}" / f"{position:05d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image[0] if len(image) == 1 else image.transpose(1, 2, 0)).save(path)
            paths.append(path)
        return paths
