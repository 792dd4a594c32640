"""Write a picture in another form, size and name, with what made it or without.

Pixels come from the one reader: upright, in sRGB.  A file has its name only when it is whole, and
another file is replaced only where the person said so.  Pillow is imported when first needed.
"""

from __future__ import annotations

import io
import logging
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gui.errors import ErrorKind, SfumatoError, disk_error
from gui.library.export import naming
from gui.library.export.forms import FORMS, ExportOptions, PictureForm
from gui.library.metadata.containers import Fields, read_fields
from gui.library.metadata.exif import IMAGE_DESCRIPTION, SOFTWARE, USER_COMMENT
from gui.library.metadata.tools import read_settings
from gui.library.metadata.writing import xmp_of
from gui.library.picture_origin import PictureOrigin
from gui.library.picture_reader import MAX_SIDE, opaque, read_picture, size_of
from gui.library.picture_record import RECORD_KEY, record_of, record_text, stored_record
from gui.library.picture_texts import PARAMETERS_KEY, add_text, parameters_text, png_texts
from gui.library.temporaries import sweep, write_whole
from gui.request import PictureRecord

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage

_EXIF_DIRECTORY = 0x8769
_JPEG_SEGMENT = 65_533 - 29
"""Bytes of EXIF or XMP that a JPEG takes: one segment without its own headings."""
_FULL_COLOUR = 90
"""From this quality on colours are stored for every pixel."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Exported:
    """A picture that was written."""

    path: Path
    note: str = ""
    """A sentence where something of the settings had no room in the form."""


@dataclass
class _Told:
    """What goes along with the pixels."""

    texts: dict[str, str] = field(default_factory=dict)
    """For PNG, by keyword."""
    exif: bytes = b""
    xmp: bytes = b""
    note: str = ""


@dataclass(frozen=True)
class PictureSource:
    """A picture file and what it says of itself."""

    path: Path
    fields: Fields
    record: PictureRecord | None

    @property
    def origin(self) -> PictureOrigin:
        found = None if self.record is not None else read_settings(self.fields)
        return PictureOrigin(self.record, found)


def look_at(path: Path) -> PictureSource:
    """
    Raises:
        SfumatoError: BAD_IMAGE for a file that cannot be opened or is no picture.
    """
    fields = read_fields(path)
    text = stored_record(fields)
    record = None
    if text:
        try:
            record = record_of(text, path.name)
        except SfumatoError as error:
            log.info("exported without its damaged record: %s", error.detail)
    return PictureSource(path, fields, record)


def export_picture(
    path: Path, folder: Path, options: ExportOptions, number: int = 1, count: int = 1
) -> Exported:
    """Write a picture into a folder, under a name that is not in use there.

    Args:
        number: its place among those that are exported, from 1.
        count: how many they are.

    Raises:
        SfumatoError: BAD_IMAGE, BAD_REQUEST, MEMORY, STORAGE, UNSUPPORTED.
    """
    source = look_at(path)
    size = options.size_for(*size_of(path))
    values = naming.values_of(path, source.origin, _modified(path))
    stem = naming.fill(options.name, values, size, number, count)
    data, note = encoded(source, options)
    return Exported(_written(folder, stem + FORMS[options.form].suffix, data), note)


def save_as(path: Path, target: Path, options: ExportOptions) -> Exported:
    """Write a picture to exactly this file, which is replaced if it is there: the person was asked.

    Raises:
        SfumatoError: as `export_picture`.
    """
    data, note = encoded(look_at(path), options)
    return Exported(_written(target.parent, target.name, data, exactly=True), note)


def encoded(source: PictureSource, options: ExportOptions) -> tuple[bytes, str]:
    """The bytes of a picture's file, and a sentence where not all that was wanted went along."""
    data, note = _encoded(source, options)
    if not options.credentials or not options.settings:
        return data, note
    if source.record is None:
        name = source.path.name
        return data, f"“{name}” was not made by Sfumato, so it has no Content Credentials."
    from gui.library.export.credentials import signed

    return signed(data, options.form, source.record), note  # last: any change breaks them


def _encoded(source: PictureSource, options: ExportOptions) -> tuple[bytes, str]:
    if _stays_as_it_is(source, options):
        try:
            return source.path.read_bytes(), ""
        except OSError as error:
            raise disk_error(error, f"“{source.path.name}” could not be read") from error
    image = _pixels(source.path, options)
    told = _told(source, options.form) if options.settings else _Told()
    try:
        return _encode(image, options, told), told.note
    except MemoryError as error:
        raise SfumatoError(
            ErrorKind.MEMORY,
            f"There is not enough memory to write “{source.path.name}”; choose a smaller size.",
            repr(error),
        ) from error
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        raise SfumatoError(
            ErrorKind.UNSUPPORTED,
            f"“{source.path.name}” cannot be written as {FORMS[options.form].label}; "
            "choose another form.",
            repr(error),
        ) from error


def _stays_as_it_is(source: PictureSource, options: ExportOptions) -> bool:
    """Whether the file as it lies there is what is wanted: a PNG with all it says, unless what an
    earlier version wrote into it names a folder."""
    if options.form is not PictureForm.PNG or source.fields.form != "PNG" or not options.settings:
        return False
    size = size_of(source.path)
    if options.size_for(*size) != size:
        return False
    stored = source.fields.texts.get(RECORD_KEY)
    return source.record is None or stored == record_text(source.record)


def _pixels(path: Path, options: ExportOptions) -> PillowImage:
    """The picture in the size that is wanted, with nothing but its pixels.

    Raises:
        SfumatoError: as `read_picture`; BAD_REQUEST where the form takes no such size.
    """
    from PIL import Image

    size = options.size_for(*size_of(path))
    facts = FORMS[options.form]
    if max(size) > min(facts.max_side, MAX_SIDE):
        raise SfumatoError(
            ErrorKind.BAD_REQUEST,
            f"“{path.name}” would be {size[0]} × {size[1]} pixels large, more than {facts.label} "
            f"takes ({facts.max_side}); choose a smaller size or another form.",
        )
    image = read_picture(path)
    if options.form is PictureForm.JPEG:
        image = opaque(image)
    if image.size != size:
        image = image.resize(size, Image.Resampling.LANCZOS)
    # Savers look here for profiles, comments and more that the source carried.
    image.info.clear()
    return image


def _encode(image: PillowImage, options: ExportOptions, told: _Told) -> bytes:
    form, quality = options.form, options.quality
    settings: dict[str, Any] = {}
    if form is PictureForm.PNG:
        from PIL.PngImagePlugin import PngInfo

        info = PngInfo()
        for keyword, text in told.texts.items():
            add_text(info, keyword, text)
        settings = {"pnginfo": info, "compress_level": 6}
    else:
        settings = {"quality": quality}
        settings |= {"exif": told.exif} if told.exif else {}
        settings |= {"xmp": told.xmp} if told.xmp else {}
    # The presets of AVIF and HEIC were measured: slower ones take two to three times as long for
    # files that are one per cent smaller.
    if form is PictureForm.JPEG:
        # Neither optimised nor progressive: Pillow would encode the whole picture in one call, with
        # the interpreter locked and the window standing still.
        settings |= {"subsampling": 0 if quality >= _FULL_COLOUR else 2}
    elif form is PictureForm.AVIF:
        settings |= {"subsampling": "4:4:4" if quality >= _FULL_COLOUR else "4:2:0", "speed": 8}
    elif form is PictureForm.HEIC:
        import pillow_heif

        pillow_heif.register_heif_opener()
        # Colours at half size: what Apple's devices decode.
        settings |= {"chroma": 420, "enc_params": {"preset": "medium"}}
    buffer = io.BytesIO()
    image.save(buffer, FORMS[form].pillow, **settings)
    return buffer.getvalue()


# -- what goes along -------------------------------------------------------------------------


def _told(source: PictureSource, form: PictureForm) -> _Told:
    record = source.record
    if form is PictureForm.PNG:
        return _Told(png_texts(record) if record is not None else _foreign_texts(source.fields))
    if record is None:
        # Another program's: its text goes where such programs look for it.
        text = source.fields.texts.get(PARAMETERS_KEY) or source.fields.exif.user_comment
        return _fitted(_Told(exif=exif_of(text) if text else b""), form)
    text = parameters_text(record)
    told = _Told(
        exif=exif_of(text, record.request.prompt, record.program),
        xmp=xmp_of(record, record_text(record)).encode(),
    )
    return _fitted(told, form, record)


def _foreign_texts(fields: Fields) -> dict[str, str]:
    texts = dict(fields.texts)
    if fields.exif.user_comment:
        texts.setdefault(PARAMETERS_KEY, fields.exif.user_comment)
    return texts


def _fitted(told: _Told, form: PictureForm, record: PictureRecord | None = None) -> _Told:
    """A JPEG has little room; what matters least to other programs goes first."""
    if form is not PictureForm.JPEG:
        return told
    note = ""
    if len(told.xmp) > _JPEG_SEGMENT and record is not None:
        note = "The settings are too long for a JPEG, so it does not carry all of them."
        told.xmp = xmp_of(record).encode()
        if len(told.xmp) > _JPEG_SEGMENT:
            short = replace(record.request, prompt=record.request.prompt[:2000], negative_prompt="")
            told.xmp = xmp_of(replace(record, request=short)).encode()
    if len(told.exif) > _JPEG_SEGMENT:
        note = "The settings are too long for a JPEG, so it does not carry all of them."
        told.exif = b""
    return replace(told, note=note)


def exif_of(text: str, description: str = "", software: str = "") -> bytes:
    """An EXIF block with settings as web UIs write them: ``UNICODE`` and UTF-16, big-endian like
    the whole block."""
    from PIL import Image

    exif = Image.Exif()
    exif.endian = ">"
    if software:
        exif[SOFTWARE] = software
    if description:
        exif[IMAGE_DESCRIPTION] = description.replace("\0", "").encode("utf-8", "ignore")
    comment = b"UNICODE\0" + text.encode("utf-16-be", "ignore")
    exif.get_ifd(_EXIF_DIRECTORY)[USER_COMMENT] = comment
    return exif.tobytes()


# -- files -----------------------------------------------------------------------------------


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError as error:
        raise disk_error(error, f"“{path.name}” could not be read") from error


def _written(folder: Path, name: str, data: bytes, *, exactly: bool = False) -> Path:
    try:
        if not exactly:
            folder.mkdir(parents=True, exist_ok=True)
        sweep(folder)
        return write_whole(folder, name, data, overwrite=exactly)
    except OSError as error:
        raise disk_error(
            error,
            f"The picture could not be saved in “{folder.name or folder}”",
            detail=f"{folder}: {error}",
        ) from error
