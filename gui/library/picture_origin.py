"""Where a picture comes from: our own record, or what another program wrote into it."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from gui.errors import SfumatoError
from gui.library.metadata.containers import Fields, read_fields
from gui.library.metadata.imported import Imported
from gui.library.metadata.stealth import MAX_PIXELS, hidden_texts
from gui.library.metadata.tools import read_settings
from gui.library.picture_forms import open_picture, opened
from gui.library.picture_record import record_of, stored_record
from gui.request import PictureRecord

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PictureOrigin:
    """What made a picture; at most one of the two, neither where it says nothing."""

    record: PictureRecord | None = None
    imported: Imported | None = None
    note: str = ""
    """What of it could not be read, in a sentence; empty: nothing is amiss."""


def read_origin(path: Path) -> PictureOrigin:
    """Read what made a picture.  A record of ours that is damaged gives way to what the picture
    says to other programs.

    Raises:
        SfumatoError: BAD_IMAGE for a file that is no picture.
    """
    fields = read_fields(path)
    text = stored_record(fields)
    note = fields.left_out[0] if fields.left_out else ""
    if text:
        try:
            return PictureOrigin(record_of(text, path.name))
        except SfumatoError:
            note = "Its own record is damaged; this is what it says to other programs."
    found = read_settings(fields) or _hidden_settings(path, fields)
    if text and found is None:
        note = "Its record is damaged, and it says nothing else of its settings."
    return PictureOrigin(imported=found, note=note)


def _hidden_settings(path: Path, fields: Fields) -> Imported | None:
    """Those in the pixels, of forms that keep every bit of them."""
    if fields.form not in ("PNG", "WEBP") or fields.width * fields.height > MAX_PIXELS:
        return None
    if fields.left_out:  # texts beyond all measure, which a decoder would take in
        return None
    try:
        with open_picture(path) as file, opened(file) as image:
            texts = hidden_texts(image)
    except Exception as error:  # whatever a decoder makes of a damaged file
        log.info("no look at the pixels of a picture: %r", error)
        return None
    return read_settings(Fields(fields.form, texts=texts)) if texts else None
