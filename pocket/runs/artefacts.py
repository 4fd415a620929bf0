"""Artefacts on disk: JSON records and safetensors, written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as _to_safetensors


def _umask() -> int:
    """Return the process's umask; it can only be read by setting it."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


_UMASK = _umask()


class ArtefactError(ValueError):
    """A file of a run is missing, damaged or of another version; the message says what to do."""


def write_bytes(path: Path, data: bytes) -> Path:
    """Write ``data`` so that a reader sees the old file or the new one, never a half.

    A temporary file in the same folder is flushed to the disk and then renamed over ``path``.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o666 & ~_UMASK)  # mkstemp gives 0600: artefacts are meant to be shared
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return path


def write_text(path: Path, text: str) -> Path:
    """Write UTF-8 text with ``\\n`` line ends, atomically."""
    return write_bytes(path, text.encode("utf-8"))


class Record(BaseModel):
    """A frozen, versioned record that is saved as one JSON file.

    A subclass names its ``kind`` and its ``version``; both are written into the file and checked on
    loading, so that a file of another step or of an older kit is refused with a clear message.
    Unknown fields and NaN are refused too.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, ser_json_inf_nan="null")
    kind: ClassVar[str] = "record"
    version: ClassVar[int] = 1

    def save(self, path: Path) -> Path:
        """Write the record to ``path`` as indented UTF-8 JSON, atomically."""
        return write_text(path, self.to_json())

    def to_json(self) -> str:
        """Return the file's text: ``kind``, ``version`` and the fields, in order."""
        import json

        head = {"kind": self.kind, "version": self.version}
        return json.dumps(head | self.model_dump(mode="json"), ensure_ascii=False, indent=1) + "\n"

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read and validate a record.

        Raises
        ------
        ArtefactError
            If the file is missing, is not valid JSON, is of another kind or version, or has a bad field.
        """
        import json

        try:
            fields = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise ArtefactError(
                f"{path} is missing: the step that writes it has not been run; run it first "
                "(pocket tour --run NAME runs all steps in order)"
            ) from None
        except (UnicodeDecodeError, json.JSONDecodeError) as error:
            raise ArtefactError(f"{path} is damaged ({error}); delete it and run its step again") from None
        if not isinstance(fields, dict):
            raise ArtefactError(f"{path} does not hold a record; delete it and run its step again")
        found = (fields.pop("kind", None), fields.pop("version", None))
        if found != (cls.kind, cls.version):
            raise ArtefactError(
                f"{path} holds {found[0]!r} version {found[1]!r}, but {cls.kind!r} version {cls.version} is "
                "wanted; run its step again with this version of pocket"
            )
        try:
            return cls.model_validate(fields)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise ArtefactError(f"{path}: field {where!r}: {first['msg']}; run its step again") from None


class Part(BaseModel):
    """A frozen section of a record: unknown fields and NaN are refused, as in the record itself."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def save_tensors(path: Path, tensors: Mapping[str, np.ndarray], card: Mapping[str, str] | None = None) -> Path:
    """Save arrays as one safetensors file (no pickle), with ``card`` as its metadata."""
    arrays = {name: np.asarray(array, order="C") for name, array in tensors.items()}
    return write_bytes(path, _to_safetensors(arrays, metadata=dict(card or {})))


def load_tensors(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Load arrays and metadata of a safetensors file.

    Raises
    ------
    ArtefactError
        If the file is missing or is not a whole safetensors file.
    """
    if not path.is_file():
        raise ArtefactError(f"{path} is missing: the step that writes it has not been run; run it first")
    try:
        with safe_open(path, framework="numpy") as file:
            tensors: dict[str, Any] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
            return tensors, dict(file.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise ArtefactError(f"{path} is damaged ({error}); delete it and run its step again") from None
