"""Finished pictures on disk: names, the PNG with its metadata, and reading that metadata back.

Nothing half-written ever carries a picture's name: the bytes go to a hidden temporary file in the
same folder, are synced, and only then get their name.  Pillow is imported when first needed, since
the window process imports this module too.
"""

from __future__ import annotations

import contextlib
import errno
import glob
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from gui import paths
from gui.errors import ErrorKind, SfumatoError, disk_error
from gui.files import expanded, free_bytes
from gui.library.picture_places import now, picture_folder
from gui.library.picture_record import read_record
from gui.library.picture_texts import png_of, png_texts, slug
from gui.library.temporaries import sweep, temporary_file, write_whole
from gui.request import (
    PictureRecord,
    PictureRequest,
)

if TYPE_CHECKING:
    import numpy as np

_DAYS = 30
"""So many days' folders are looked through for pictures of a job that was interrupted."""
_LEAST_FREE = 32 * 10**6
"""Bytes that must be free before the work begins; room for a picture or two of any usual size."""


def save_picture(pixels: np.ndarray, record: PictureRecord, request: PictureRequest) -> Path:
    """Write one finished picture as a PNG that describes itself.

    Args:
        pixels: uint8 [height, width, 3], RGB.
        record: what to store inside; an empty `created` is filled in with the present time.
        request: the job's request.  Its `output_file` names the exact file, which is replaced if
            it exists (numbered when `count` > 1); otherwise the file goes to `output_dir`, or to
            a folder per day in the user's picture folder, under a name that is never in use yet.

    Returns:
        The absolute path of the file.

    Raises:
        SfumatoError: STORAGE where the folder cannot be written or the disk is full; nothing is
            left behind then.
    """
    if not record.created:
        record = replace(record, created=now())
    folder, name = _destination(record, request)
    try:
        data = png_bytes(pixels, record)
        folder.mkdir(parents=True, exist_ok=True)
        sweep(folder)
        return write_whole(folder, name, data, overwrite=bool(request.output_file))
    except OSError as error:
        raise disk_error(error, f"Pictures cannot be saved in {folder}") from error


def save_made(data: bytes, record: PictureRecord, request: PictureRequest) -> Path:
    """Write a finished picture that another Mac has made, as it is, where `save_picture` would.

    Args:
        data: the PNG.
        record: what it says of itself.

    Raises:
        SfumatoError: STORAGE; nothing is left behind then.
    """
    folder, name = _destination(record, request)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return write_whole(folder, name, data, overwrite=bool(request.output_file))
    except OSError as error:
        raise disk_error(error, f"Pictures cannot be saved in {folder}") from error


def save_new(folder: Path, name: str, data: bytes) -> Path:
    """Write a file's bytes under that name, or the first free numbered one.

    Raises:
        SfumatoError: STORAGE; nothing is left behind then.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return write_whole(folder, name, data)
    except OSError as error:
        raise disk_error(error, f"Pictures cannot be saved in {folder}") from error


def made_for(job: str, request: PictureRequest, first: int) -> Iterator[tuple[Path, PictureRecord]]:
    """Pictures that this job has made already from number `first` on, without a gap: a process can
    be killed between giving a picture its name and telling of it.

    Args:
        job: what `PictureRecord.job` says of them.
        request: the whole job's.
    """
    numbers = range(first, request.count)
    wanted = {str(request.single(number).seed) for number in numbers}
    found: dict[int, tuple[Path, PictureRecord]] = {}
    for path in _candidates(request):
        if request.output_file or wanted & {*path.stem.split("-")}:
            with contextlib.suppress(SfumatoError):
                record = read_record(path)
                if record is not None and record.job == job:
                    found[request.number_of(record.request)] = (path, record)
    for number in numbers:
        if number not in found:
            return
        yield found[number]


def _candidates(request: PictureRequest) -> Iterator[Path]:
    """Files that may be pictures of a request."""
    if request.output_file:
        file = Path(request.output_file).expanduser().absolute()
        folders, stem = [file.parent], glob.escape(file.stem)
    elif request.output_dir:
        folders, stem = [Path(request.output_dir).expanduser().absolute()], ""
    else:
        days = sorted(paths.pictures_dir().glob("[0-9]*-[0-9]*-[0-9]*"), reverse=True)
        folders, stem = days[:_DAYS], ""
    for folder in folders:
        with contextlib.suppress(OSError):
            yield from folder.glob(f"{stem}*.png")


def png_bytes(pixels: np.ndarray, record: PictureRecord) -> bytes:
    """Encode uint8 [height, width, 3 or 4] as PNG with all kinds of metadata."""
    return encoded_png(pixels, png_texts(record))


def encoded_png(pixels: np.ndarray, texts: Mapping[str, str]) -> bytes:
    """Encode uint8 [height, width, 3 or 4] as PNG with these texts, by their keywords."""
    from PIL import Image

    height, width, channels = pixels.shape
    if channels not in (3, 4) or pixels.dtype.name != "uint8":
        raise SfumatoError(
            ErrorKind.INTERNAL,
            "The picture has an unexpected form; try again with another model.",
            f"{pixels.dtype} {pixels.shape}",
        )
    mode = "RGB" if channels == 3 else "RGBA"
    return png_of(Image.frombytes(mode, (width, height), pixels.tobytes()), texts)


def check_destination(request: PictureRequest) -> None:
    """Make sure, before the work, that a picture of this request could be saved.

    Raises:
        SfumatoError: STORAGE; BAD_REQUEST for an exact file that is not named ``.png``.
    """
    if request.output_file:
        file = expanded(request.output_file)
        if file.suffix.lower() != ".png":
            raise SfumatoError(
                ErrorKind.BAD_REQUEST,
                f"Pictures are PNG files; give a name that ends in .png, not “{file.name}”.",
            )
        if file.is_dir():
            taken = IsADirectoryError(errno.EISDIR, "a folder has this name")
            raise disk_error(taken, f"Pictures cannot be saved as {file}")
        folder = file.parent
    elif request.output_dir:
        folder = expanded(request.output_dir)
    else:
        folder = paths.pictures_dir()
    check_writable(folder)
    free = free_bytes(folder)
    if free is not None and free < _LEAST_FREE:
        full = OSError(errno.ENOSPC, "less than 32 MB are free")
        raise disk_error(full, f"Pictures cannot be saved in {folder}")


def check_writable(folder: Path) -> None:
    """Make sure that a file can be made in `folder`, creating the folder if need be.

    Raises:
        SfumatoError: STORAGE.
    """
    probe = temporary_file(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise disk_error(error, f"Pictures cannot be saved in {folder}") from error


def _destination(record: PictureRecord, request: PictureRequest) -> tuple[Path, str]:
    """Folder and wished-for file name of a picture."""
    if request.output_file:
        # A relative path means the folder the command was given in, which the engine shares.
        file = expanded(request.output_file)
        if request.count > 1:
            number = request.number_of(record.request) + 1
            file = file.with_name(f"{file.stem}-{number:0{len(str(request.count))}d}{file.suffix}")
        return file.parent, file.name
    try:
        moment = datetime.fromisoformat(record.created)
    except ValueError:
        moment = datetime.now()
    folder = picture_folder(request, moment)
    parts = [moment.strftime("%H%M%S"), str(record.request.seed), slug(request.prompt)]
    return folder, "-".join(p for p in parts if p) + ".png"
