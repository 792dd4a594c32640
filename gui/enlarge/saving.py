"""Enlarged pictures on disk: beside the original, saying of themselves what they are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from gui.errors import SfumatoError
from gui.library import pictures
from gui.library.metadata.containers import read_fields
from gui.library.picture_record import read_record
from gui.library.picture_texts import PARAMETERS_KEY
from gui.request import Enlargement, PictureRecord


def save_enlarged(
    original: Path, pixels: np.ndarray, factor: int, upscaler: str, folder: Path
) -> Path:
    """Write an enlarged picture as ``<name>-<factor>x.png``, numbered where that is taken.

    It carries the original's settings: our record, in which the enlargement stands as if it had
    been asked for with the picture, so that it can be drawn again; else the text of other programs.

    Args:
        pixels: uint8 [height, width, 3 or 4].

    Raises:
        SfumatoError: STORAGE; nothing is left behind then.
    """
    name = f"{original.stem}-{factor}x.png"
    try:
        record = read_record(original)
        text = read_fields(original).texts.get(PARAMETERS_KEY, "")
    except SfumatoError:  # odd metadata is no reason not to enlarge
        record, text = None, ""
    if record is not None:
        height, width = pixels.shape[:2]
        data = pictures.png_bytes(pixels, _enlarged(record, factor, upscaler, width, height))
    else:
        data = pictures.encoded_png(pixels, {PARAMETERS_KEY: text} if text else {})
    return pictures.save_new(folder, name, data)


def _enlarged(
    record: PictureRecord, factor: int, upscaler: str, width: int, height: int
) -> PictureRecord:
    request = record.request
    notes = record.notes
    whole = factor * (request.enlargement or Enlargement.OFF).factor
    if str(whole) in {*Enlargement}:
        request = replace(request, enlargement=Enlargement(str(whole)), upscaler=upscaler)
    else:
        notes = (*notes, f"Enlarged by {factor} once more, with “{upscaler}”.")
    return replace(record, request=request, width=width, height=height, notes=notes, job="")
