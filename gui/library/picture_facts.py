"""What an index of pictures knows, is asked and answers."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum


class PictureKind(StrEnum):
    MADE = "made"
    """Made by Sfumato."""
    IMPORTED = "imported"
    """Any other picture."""


@dataclass(frozen=True, slots=True)
class PictureFacts:
    """What an index knows of one picture file."""

    path: str
    created: float
    """Seconds since 1970; the file's own date where the picture does not say."""
    width: int
    height: int
    prompt: str = ""
    negative_prompt: str = ""
    model: str = ""
    scheduler: str = ""
    seed: int | None = None
    steps: int | None = None
    guidance_scale: float | None = None
    kind: PictureKind = PictureKind.IMPORTED
    bytes: int = 0
    modified_ns: int = 0
    fingerprint: str = ""
    words: str = ""
    """Everything else worth finding: notes, start picture's name, parameters as text."""


@dataclass(frozen=True, slots=True)
class IndexedPicture:
    """One row: the facts, and what the person said of it."""

    id: int
    facts: PictureFacts
    favourite: bool = False
    tags: tuple[str, ...] = ()

    @property
    def path(self) -> str:
        return self.facts.path


@dataclass(frozen=True)
class PictureFilter:
    """Which pictures are wanted.  Empty fields want everything."""

    text: str = ""
    """Words that all occur (or begin) in prompt, negative prompt or parameters; ``"…"`` keeps words
    together, ``-word`` leaves pictures out."""
    model: str = ""
    scheduler: str = ""
    size: tuple[int, int] | None = None
    since: date | None = None
    until: date | None = None
    """The last day that counts."""
    favourites: bool = False
    kind: PictureKind | None = None
    tag: str = ""


EVERYTHING = PictureFilter()


@dataclass(frozen=True)
class Choices:
    """What can be filtered by, with the number of pictures for each, the most frequent first."""

    models: tuple[tuple[str, int], ...] = ()
    schedulers: tuple[tuple[str, int], ...] = ()
    sizes: tuple[tuple[tuple[int, int], int], ...] = ()
    tags: tuple[tuple[str, int], ...] = ()
    total: int = 0


@dataclass(frozen=True)
class KnownFile:
    """How a file was when it was indexed; another size or date means: read it again."""

    id: int
    """0: a file that was found to be no picture."""
    bytes: int
    modified_ns: int


@dataclass
class Found:
    """Rows of a query: ids in order, and where each day begins."""

    ids: array[int] = field(default_factory=lambda: array("q"))
    days: list[tuple[date, int]] = field(default_factory=list)
    """Each day with the row it begins at, in order."""


@dataclass(frozen=True)
class TagChange:
    """Tags that a picture got and lost."""

    id: int
    gained: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()

    @property
    def reversed(self) -> TagChange:
        return TagChange(self.id, self.lost, self.gained)
