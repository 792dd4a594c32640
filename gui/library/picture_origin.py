"""Where a picture comes from: our own record, or what another program wrote into it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gui.library.metadata.containers import read_fields
from gui.library.metadata.imported import Imported
from gui.library.metadata.tools import read_settings
from gui.library.picture_record import record_of, stored_record
from gui.request import PictureRecord


@dataclass(frozen=True)
class PictureOrigin:
    """What made a picture; at most one of the two, neither where it says nothing."""

    record: PictureRecord | None = None
    imported: Imported | None = None


def read_origin(path: Path) -> PictureOrigin:
    """Read what made a picture.

    Raises:
        SfumatoError: BAD_IMAGE for a file that is no picture or whose record is damaged.
    """
    fields = read_fields(path)
    text = stored_record(fields)
    if text:
        return PictureOrigin(record_of(text, path.name))
    return PictureOrigin(imported=read_settings(fields))
