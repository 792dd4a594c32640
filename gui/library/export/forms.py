"""What a picture may become on its way out.  Standard library only."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Self

from gui import records
from gui.errors import ErrorKind, SfumatoError
from gui.records import Range, Record, RecordError

MAX_LONGEST = 32_768
"""Pixels of the longest edge of an exported picture."""
MIN_SCALE, MAX_SCALE = 0.05, 8.0
DEFAULT_NAME = "{name}"


class PictureForm(StrEnum):
    """Forms that pictures are written in."""

    PNG = "png"
    JPEG = "jpeg"
    WEBP = "webp"
    HEIC = "heic"
    AVIF = "avif"


@dataclass(frozen=True)
class FormFacts:
    """A form as people and Pillow know it."""

    label: str
    pillow: str
    suffixes: tuple[str, ...]
    """The usual one first."""
    help: str
    lossy: bool = True
    max_side: int = MAX_LONGEST
    """Pixels an edge may have in this form."""

    @property
    def suffix(self) -> str:
        return self.suffixes[0]


FORMS: dict[PictureForm, FormFacts] = {
    PictureForm.PNG: FormFacts(
        "PNG", "PNG", (".png",), "Every pixel as it is; read by everything.", lossy=False
    ),
    PictureForm.JPEG: FormFacts("JPEG", "JPEG", (".jpg", ".jpeg"), "Small; read by everything."),
    PictureForm.WEBP: FormFacts(
        "WebP", "WEBP", (".webp",), "Smaller than JPEG; for the web.", max_side=16_383
    ),
    PictureForm.HEIC: FormFacts(
        "HEIC", "HEIF", (".heic", ".heif"), "Smaller than JPEG; for Apple’s devices."
    ),
    PictureForm.AVIF: FormFacts("AVIF", "AVIF", (".avif",), "The smallest; for new browsers."),
}


@dataclass(frozen=True)
class ExportOptions(Record):
    """How pictures are written."""

    form: PictureForm = PictureForm.PNG
    quality: Annotated[int, Range(1, 100)] = 90
    """Of lossy forms."""
    longest: Annotated[int, Range(0, MAX_LONGEST)] = 0
    """Pixels the longest edge is scaled to; 0: `scale` counts."""
    scale: Annotated[float, Range(MIN_SCALE, MAX_SCALE)] = 1.0
    name: str = DEFAULT_NAME
    """Template of the file's name, see `gui.library.export.naming`."""
    settings: bool = True
    """Whether what made the picture goes along.  Off: nothing does."""
    credentials: bool = False
    """Whether it is signed with Content Credentials; not without settings."""

    @classmethod
    def checked(cls, **values: Any) -> Self:
        """
        Raises:
            SfumatoError: BAD_REQUEST, naming what is out of range.
        """
        made = cls(**values)
        try:
            records.check(made)
        except RecordError as error:
            raise SfumatoError(ErrorKind.BAD_REQUEST, str(error)) from error
        return made

    def size_for(self, width: int, height: int) -> tuple[int, int]:
        """Pixels of an exported picture of this size."""
        factor = self.longest / max(width, height) if self.longest else self.scale
        return max(1, round(width * factor)), max(1, round(height * factor))


def form_of(name: str) -> PictureForm:
    """The form that a file's name asks for.

    Raises:
        SfumatoError: BAD_REQUEST for an ending that none has.
    """
    suffix = Path(name).suffix.lower()
    for form, facts in FORMS.items():
        if suffix in facts.suffixes:
            return form
    endings = ", ".join(facts.suffix for facts in FORMS.values())
    raise SfumatoError(
        ErrorKind.BAD_REQUEST,
        f"“{Path(name).name}” does not say which form the picture should have; "
        f"end the name in one of {endings}.",
    )
