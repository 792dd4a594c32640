"""The record inside a picture: our own JSON, with everything it takes to draw it again.

A picture is made to be given away, so nothing in it says where on this computer anything lies: of
model and starting picture it has a name and what they are known by (`gui.library.places`).
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

from gui import records
from gui.control_use import Control
from gui.errors import ErrorKind, SfumatoError
from gui.library import places
from gui.library.metadata.containers import Fields, read_fields
from gui.library.metadata.writing import XMP_RECORD
from gui.library.picture_adding import mark_of
from gui.records import Record, RecordError
from gui.request import OWN_REFINER, PictureRecord, PictureRequest
from gui.start_image import MASK_ALPHA

RECORD_KEY = "sfumato"
"""Keyword of the PNG text chunk that holds our own JSON; other forms carry it in their XMP."""
RECORD_FORMAT = 1


@dataclass(frozen=True)
class _Stored(Record):
    record: PictureRecord
    format: int = RECORD_FORMAT


def record_text(record: PictureRecord) -> str:
    """The JSON kept in a picture.  It names no folder; a model keeps the name of its own."""
    return records.dumps(_Stored(replace(record, request=record.request.mapped(_without_folders))))


def _without_folders(request: PictureRequest) -> PictureRequest:
    start = request.start_image
    if start is not None:
        start = replace(start, path=_last(start.path), mask=_last(start.mask))
    model = (_last(request.model) or "model") if request.model else ""  # "": the starter model
    controls = tuple(
        replace(each, network=_last(each.network), picture=_last(each.picture))
        for each in request.controls
    )
    return replace(
        request,
        model=model,
        start_image=start,
        controls=controls,
        depth_map=_last(request.depth_map),
        refiner=_last(request.refiner),
        output_dir="",
        output_file="",
    )


def stored_record(fields: Fields) -> str:
    """Our own JSON as a picture carries it, whatever its form; empty where it has none."""
    return fields.texts.get(RECORD_KEY, "") or fields.xmp.get(XMP_RECORD, "")


def read_record(path: Path) -> PictureRecord | None:
    """The record inside a picture, or None where the picture was not made by Sfumato.

    Raises:
        SfumatoError: BAD_IMAGE for a file that is no picture or whose record is damaged.
    """
    text = stored_record(read_fields(path))
    return record_of(text, path.name) if text else None


def record_of(text: str, name: str = "this picture") -> PictureRecord:
    """The record that a picture carries as text, with the places that are known here.

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
    return _with_places(record)


def _with_places(record: PictureRecord) -> PictureRecord:
    """With the folder of the model and the files of the pictures that went in, where they were used
    on this computer before; else with their names alone."""
    request, start = record.request, record.request.start_image
    model = _placed(request.model, places.model_key(record.model_hash)) if request.model else ""
    if start is not None:
        key = places.picture_key(record.provenance.start_fingerprint)
        mask = start.mask
        if mask not in ("", MASK_ALPHA):
            mask = _placed(mask, places.picture_key(record.provenance.mask_fingerprint))
        start = replace(start, path=_placed(start.path, key), mask=mask)
    depth = request.depth_map
    if depth:
        depth = _placed(depth, places.picture_key(record.provenance.depth_fingerprint))
    prints: dict[Control, list[str]] = {}  # two may say the same, with pictures of one name
    pairs = zip(request.controls, record.provenance.control_fingerprints, strict=False)
    for control, known in pairs:
        prints.setdefault(control, []).append(known)

    def placed(each: PictureRequest) -> PictureRequest:
        left = {control: iter(known) for control, known in prints.items()}
        controls = tuple(
            replace(
                control,
                network=_placed(control.network, places.network_key(control.network)),
                picture=_placed(
                    control.picture, places.picture_key(next(left.get(control, iter(())), ""))
                ),
            )
            for control in each.controls
        )
        depth_map = depth if each.depth_map == request.depth_map else each.depth_map
        refiner = each.refiner
        if refiner not in ("", OWN_REFINER):
            refiner = _placed(refiner, places.network_key(refiner))
        changes = {"controls": controls, "depth_map": depth_map, "refiner": refiner}
        return replace(each, model=model, start_image=start, **changes)

    return replace(record, request=request.mapped(placed))


def with_pictures_here(record: PictureRecord) -> PictureRecord:
    """With the control pictures' names alone where their files are gone, or hold something else.
    Blocking."""
    prints = record.provenance.control_fingerprints
    controls = tuple(
        control
        if _is_here(control.picture, prints[n] if n < len(prints) else "")
        else replace(control, picture=_last(control.picture))
        for n, control in enumerate(record.request.controls)
    )
    return replace(record, request=replace(record.request, controls=controls))


def _is_here(path: str, known: str) -> bool:
    try:
        return os.path.isabs(path) and mark_of(Path(path)) == (known or mark_of(Path(path)))  # noqa: PTH117
    except SfumatoError:
        return False


def _placed(path: str, key: str) -> str:
    if path.startswith("~" + os.sep):  # as pictures said it up to version 1.0
        return str(Path.home()) + path[1:]
    return path if os.path.isabs(path) else places.place_of(key) or path  # noqa: PTH117


def _last(path: str) -> str:
    return Path(path).name
