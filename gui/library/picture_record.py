"""The record inside a picture: our own JSON, with everything it takes to draw it again."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from gui import records
from gui.errors import ErrorKind, SfumatoError
from gui.library.metadata.containers import read_fields
from gui.records import Record, RecordError
from gui.request import PictureRecord, StartImage

RECORD_KEY = "sfumato"
"""Keyword of the PNG text chunk that holds our own JSON."""
RECORD_FORMAT = 1


@dataclass(frozen=True)
class _Stored(Record):
    record: PictureRecord
    format: int = RECORD_FORMAT


def record_text(record: PictureRecord) -> str:
    """The JSON kept in a picture.  A picture is made to be given away: where it was saved is left
    out, and the home folder, which often holds a person's name, becomes ``~``."""
    kept = _with_paths(record, _to_home)
    kept = replace(kept, request=replace(kept.request, output_dir="", output_file=""))
    return records.dumps(_Stored(kept))


def read_record(path: Path) -> PictureRecord | None:
    """The record inside a picture, or None where the picture was not made by Sfumato.

    Raises:
        SfumatoError: BAD_IMAGE for a file that is no picture or whose record is damaged.
    """
    text = read_fields(path).texts.get(RECORD_KEY)
    return record_of(text, path.name) if text else None


def record_of(text: str, name: str = "this picture") -> PictureRecord:
    """The record that a picture carries as text under `RECORD_KEY`.

    Raises:
        SfumatoError: BAD_IMAGE where it is damaged.
    """
    try:
        record = records.loads(_Stored, text).record
    except RecordError as error:
        raise SfumatoError(
            ErrorKind.BAD_IMAGE,
            f"The settings inside “{name}” are damaged; use the picture without them.",
            repr(error),
        ) from error
    return _with_paths(record, _from_home)


def _with_paths(record: PictureRecord, change: Callable[[str], str]) -> PictureRecord:
    request = record.request
    start = request.start_image
    if start is not None:
        start = StartImage(change(start.path), start.strength)
    return replace(record, request=replace(request, model=change(request.model), start_image=start))


def _to_home(path: str) -> str:
    home = str(Path.home())
    return "~" + path[len(home) :] if home != "/" and path.startswith(home + os.sep) else path


def _from_home(path: str) -> str:
    return str(Path.home()) + path[1:] if path.startswith("~" + os.sep) else path
