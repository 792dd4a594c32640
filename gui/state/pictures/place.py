"""Where a person was among the pictures, as it is kept from one start to the next."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from datetime import date
from typing import Any

from gui import records
from gui.library.picture_facts import PictureFilter, PictureKind


@dataclass(frozen=True)
class KeptPlace:
    """Pictures are named by their files: ids are another index's when it was made anew."""

    shown: str = ""
    """On the canvas."""
    following: bool = True
    """Whether the canvas shows what is being made."""
    browsing: bool = False
    """Whether the gallery is on show."""
    current: str = ""
    """In the gallery."""
    top: str = ""
    """The topmost in view."""
    offset: int = 0
    """Pixels from the gallery's upper edge to it."""
    side: int = 0
    """Of a picture in the gallery; 0: as usual."""
    text: str = ""
    model: str = ""
    scheduler: str = ""
    size: tuple[int, int] | None = None
    since: str = ""
    until: str = ""
    favourites: bool = False
    kind: str = ""
    tag: str = ""

    def filter(self) -> PictureFilter:
        """What was looked for."""
        kind = PictureKind(self.kind) if self.kind in set(PictureKind) else None
        return PictureFilter(
            self.text, self.model, self.scheduler, self.size, _day(self.since), _day(self.until),
            self.favourites, kind, self.tag,
        )  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        return records.to_plain(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> KeptPlace:
        """What does not fit is left out.

        Raises:
            ValueError: nothing fits.
        """
        return records.from_plain(cls, data)


def filter_fields(wanted: PictureFilter) -> dict[str, Any]:
    """A filter as fields of a `KeptPlace`."""
    return {
        "text": wanted.text,
        "model": wanted.model,
        "scheduler": wanted.scheduler,
        "size": wanted.size,
        "since": wanted.since.isoformat() if wanted.since else "",
        "until": wanted.until.isoformat() if wanted.until else "",
        "favourites": wanted.favourites,
        "kind": wanted.kind.value if wanted.kind else "",
        "tag": wanted.tag,
    }


def _day(text: str) -> date | None:
    with contextlib.suppress(ValueError):
        return date.fromisoformat(text)
    return None
