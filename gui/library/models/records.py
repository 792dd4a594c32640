"""What is said of models on this disk, also between processes.  Light."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from gui.records import Record


class ModelKind(StrEnum):
    """What a repository, or something installed from one, is for."""

    TEXT_TO_IMAGE = "text-to-image"
    CONTROLNET = "controlnet"
    UPSCALER = "upscaler"
    LORA = "lora"
    OTHER = "other"
    """Core ML, but nothing Sfumato knows."""


@dataclass(frozen=True)
class RemoteFile(Record):
    """One file of a repository, as the Hub's tree lists it."""

    path: str
    """POSIX, relative to the repository's root."""
    size: int
    sha256: str = ""
    """Of files kept by LFS or Xet; empty for small ones."""
    blob: str = ""
    """git's SHA-1 of small files: of ``blob <size>\\0`` and the contents."""


@dataclass(frozen=True)
class Span(Record):
    """Bytes ``start … end`` of a file."""

    start: int
    end: int

    @property
    def bytes(self) -> int:
        return self.end - self.start


@dataclass(frozen=True)
class FileProblem(Record):
    """A file of an installed model that is not as the Hub has it."""

    path: str
    """Relative to the model's folder."""
    what: str
    """``missing``, ``size`` or ``hash``."""


@dataclass(frozen=True)
class InstalledModel(Record):
    """A model in the library's folder that came from the Hub."""

    folder: str
    repo: str
    revision: str
    variant: str
    bytes: int
    installed: str = ""
    """ISO 8601."""
    kind: ModelKind = ModelKind.TEXT_TO_IMAGE


@dataclass(frozen=True)
class Orphan(Record):
    """Something in the models folder or caches that belongs to no model and no live download."""

    path: str
    bytes: int
    repo: str = ""
    """Repository it was to become, where that can be told."""
    download: str = ""
    """Id of a download that can go on from it; empty: only rubbish, or a checkpoint."""
    checkpoint: bool = False
    """Fetched whole to be converted, and kept for the next conversion."""
