"""The one reader of picture files: upright, in sRGB, of any form that any part of Sfumato takes.

Metadata that is odd never stops pixels from being read: orientation comes from our own EXIF reader,
a colour profile that is damaged is passed over, and texts that Pillow finds too large are cut out
of the file and the pixels read without them.  Blocking; never call it on the window's thread.
"""

from __future__ import annotations

import contextlib
import io
import struct
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from gui.errors import ErrorKind, SfumatoError
from gui.library.metadata.exif import read_exif
from gui.library.picture_forms import MAX_PROFILE, open_picture, opened

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage

MAX_SIDE = 32_768
MAX_PIXELS = 400_000_000
"""Largest picture that is decoded: 20,000 × 20,000, 1.2 GB while it is read."""
BACKGROUND = "#ffffff"
"""What shows through transparent parts where a picture must be opaque."""

MAX_CHUNKS = 500_000
"""Of a PNG that are gone through: more than the largest picture has, in the smallest pieces."""
_PNG = b"\x89PNG\r\n\x1a\n"
MAX_CHUNK = 16 * 1024 * 1024
"""Bytes of a PNG's chunk beside the pixels that may be handed on to the decoder."""
_KEPT_CHUNKS = {b"IHDR", b"PLTE", b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"IDAT", b"IEND"}


def read_picture(path: Path, longest: int | None = None) -> PillowImage:
    """Decode a picture.

    Args:
        path: a file of one of `gui.library.picture_forms.FORMS`, whatever its name.
        longest: scale it down so that its longest side is at most this many pixels; a large JPEG
            is then decoded small.

    Returns:
        Mode RGB, or RGBA where it has transparent parts; 8 bits a channel, sRGB, turned upright.

    Raises:
        SfumatoError: BAD_IMAGE, with what is wrong and what to do; MEMORY.
    """
    try:
        with open_picture(path) as file:
            return _decode(file, path.name, longest)
    except SfumatoError:
        raise
    except MemoryError as error:
        raise SfumatoError(
            ErrorKind.MEMORY,
            f"There is not enough memory for “{path.name}”; scale it down or close other programs.",
            repr(error),
        ) from error
    except FileNotFoundError as error:
        raise SfumatoError(
            ErrorKind.BAD_IMAGE, f"“{path.name}” is not there; choose another picture.", repr(error)
        ) from error
    except PermissionError as error:
        raise SfumatoError(
            ErrorKind.BAD_IMAGE,
            f"“{path.name}” may not be read; allow it in the system's settings, or copy it to "
            "another folder.",
            repr(error),
        ) from error
    except (OSError, ValueError) as error:
        raise SfumatoError(
            ErrorKind.BAD_IMAGE,
            f"“{_short(path.name)}” cannot be opened; choose another picture.",
            repr(error),
        ) from error


def size_of(path: Path) -> tuple[int, int]:
    """Width and height as they are seen, without decoding.

    Raises:
        SfumatoError: as `read_picture`.
    """
    try:
        with open_picture(path) as file, _opened(file, path.name) as image:
            width, height = image.size
            return (height, width) if _orientation(image) >= 5 else (width, height)
    except SfumatoError:
        raise
    except Exception as error:
        raise SfumatoError(
            ErrorKind.BAD_IMAGE,
            f"“{_short(path.name)}” cannot be opened; choose another picture.",
            repr(error),
        ) from error


def opaque(image: PillowImage) -> PillowImage:
    """RGB, with transparent parts on white."""
    from PIL import Image

    if image.mode == "RGB":
        return image
    ground = Image.new("RGB", image.size, BACKGROUND)
    ground.paste(image, mask=image.getchannel("A"))
    return ground


def _decode(file: BinaryIO, name: str, longest: int | None) -> PillowImage:
    try:
        with _opened(file, name) as image:
            return _finished(image, longest)
    except SfumatoError:
        raise
    except MemoryError:
        raise
    except Exception as error:
        # Damaged files and odd metadata surface as any exception, depending on the form.
        bare = _bare_png(file)
        if bare is not None:
            with contextlib.suppress(Exception), _opened(io.BytesIO(bare), name) as image:
                return _finished(image, longest)
        raise SfumatoError(
            ErrorKind.BAD_IMAGE,
            f"“{_short(name)}” is damaged and cannot be read; choose another picture.",
            repr(error),
        ) from error


def _opened(file: BinaryIO, name: str) -> PillowImage:
    from PIL import UnidentifiedImageError

    try:
        image = opened(_without_excess(file))
    except Exception as error:
        bare = _bare_png(file)
        if bare is not None:
            image = opened(io.BytesIO(bare), ("PNG",))
        elif isinstance(error, UnidentifiedImageError):
            raise SfumatoError(
                ErrorKind.BAD_IMAGE,
                f"“{_short(name)}” is no picture that Sfumato can read; choose a PNG, JPEG, WebP, "
                "HEIC, AVIF, GIF, BMP or TIFF file.",
                repr(error),
            ) from error
        else:
            raise
    width, height = image.size
    if max(width, height) > MAX_SIDE or width * height > MAX_PIXELS:
        raise SfumatoError(
            ErrorKind.BAD_IMAGE,
            f"“{_short(name)}” is {width} × {height} pixels large, more than can be handled; "
            "scale it down first.",
        )
    return image


def _finished(image: PillowImage, longest: int | None) -> PillowImage:
    """Decoded, small enough, in sRGB and upright."""
    from PIL import Image

    if longest is not None and image.format == "JPEG":
        image.draft(None, (longest, longest))  # decoded at an eighth, a quarter or a half
    turn = _orientation(image)
    profile = image.info.get("icc_profile")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        image.load()
    if longest is not None and max(image.size) > longest:
        image = _plain_depth(image)
        if image.mode == "P":
            image = image.convert("RGBA" if "transparency" in image.info else "RGB")
        image.thumbnail((longest, longest), Image.Resampling.LANCZOS)
    image = _to_srgb(_plain_depth(image), profile)
    transposed = _TURNS.get(turn)
    return image.transpose(Image.Transpose(transposed)) if transposed is not None else image


_TURNS = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}
"""EXIF orientation → Pillow's `Transpose` that undoes it."""


def _orientation(image: PillowImage) -> int:
    """1 to 8; from our own reader, since Pillow's trips over mistyped tags."""
    if image.format in ("HEIF", "TIFF"):
        return 1  # their decoders turn them
    raw = image.info.get("exif")
    if isinstance(raw, bytes):
        return read_exif(raw).orientation
    return 1


def _plain_depth(image: PillowImage) -> PillowImage:
    """16-bit and floating-point grey as 8 bits, scaled and not clipped."""
    if image.mode.startswith("I"):
        return image.convert("I").point(lambda value: value / 257).convert("L")
    if image.mode == "F":
        return image.point(lambda value: value * 255).convert("L")
    return image


def _to_srgb(image: PillowImage, profile: object) -> PillowImage:
    """RGB or RGBA in sRGB.  A profile that is damaged or fits another mode is passed over."""
    clear = image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info
    alpha = None
    if clear:
        image = image.convert("RGBA")
        alpha = image.getchannel("A")
    if isinstance(profile, bytes) and profile:
        from PIL import ImageCms

        with contextlib.suppress(Exception):
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            space = str(getattr(source.profile, "xcolor_space", "")).strip()
            mode = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}.get(space)
            if mode is not None and (mode == "CMYK") == (image.mode == "CMYK"):
                converted = ImageCms.profileToProfile(
                    image.convert(mode), source, ImageCms.createProfile("sRGB"), outputMode="RGB"
                )
                image = converted or image
    image = image.convert("RGB")
    if alpha is not None:
        image.putalpha(alpha)
    return image


def _without_excess(file: BinaryIO) -> BinaryIO:
    """The file, or of a PNG with a chunk beyond all measure what its pixels need: Pillow would hold
    all of it, several times."""
    if file.seek(0, io.SEEK_END) > MAX_CHUNK:
        for _, length, kind in _chunks(file):
            if length > MAX_CHUNK and kind not in _KEPT_CHUNKS:
                return io.BytesIO(_bare_png(file) or b"")
    return file


def _bare_png(file: BinaryIO) -> bytes | None:
    """A PNG without anything but what its pixels need; None for another form."""
    kept: list[bytes] = []
    for at, length, kind in _chunks(file):
        if kind in _KEPT_CHUNKS:
            file.seek(at)
            chunk = file.read(12 + length)
            if kind != b"iCCP" or _sound_profile(chunk[8:-4]):
                kept.append(chunk)
    file.seek(0)
    signature = file.read(len(_PNG))
    return signature + b"".join(kept) if signature == _PNG else None


def _chunks(file: BinaryIO) -> Iterator[tuple[int, int, bytes]]:
    """Place, length and kind of each chunk of a PNG; nothing of another form."""
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    if file.read(len(_PNG)) != _PNG:
        return
    at = len(_PNG)
    for _ in range(MAX_CHUNKS):
        file.seek(at)
        if at + 12 > size:
            return
        length, kind = struct.unpack(">I4s", file.read(8))
        yield at, length, kind
        at += 12 + length


def _sound_profile(data: bytes) -> bool:
    """Whether a profile's chunk is what it should be: its name, how it is packed, and not more
    than a profile has."""
    packed = data.partition(b"\0")[2][1:]
    try:
        return not _unpacked_beyond(packed, MAX_PROFILE)
    except zlib.error:
        return False


def _unpacked_beyond(packed: bytes, limit: int) -> bool:
    engine = zlib.decompressobj()
    engine.decompress(packed, limit)
    return bool(engine.unconsumed_tail)


def _short(name: str) -> str:
    return name if len(name) <= 80 else f"{name[:60]}…{name[-16:]}"
