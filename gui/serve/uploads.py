"""Pictures that other programs send: looked at, and kept as files of ours for as long as they are
needed.

What comes from outside is never used as it is: it is decoded by the one reader of pictures, within
limits and in a process apart (`opening`), and written anew.  Blocking; one at a time.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import io
import re
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from gui import paths
from gui.errors import ErrorKind, SfumatoError, disk_error
from gui.library.temporaries import write_whole
from gui.request import PictureRequest
from gui.serve import limits
from gui.serve.opening import Opener

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage

_DATA_URL = re.compile(r"\s*data:[\w.+-]*/?[\w.+-]*(?:;[\w.=+-]+)*;base64,", re.ASCII)
_SPACES = str.maketrans("", "", " \t\r\n")
_ID = re.compile(r"[0-9a-f]{32}")
KEEP_SECONDS = 24 * 3600.0
"""What was used so lately is kept in any case."""
LONGEST = 4096
"""Pixels of the longest side that is kept: twice what any model draws."""


def decoded(text: str, what: str) -> bytes:
    """The bytes of a picture that came as base64, with or without ``data:image/png;base64,``.

    Raises:
        SfumatoError: BAD_IMAGE where it is something else.
    """
    prefix = _DATA_URL.match(text[:200])
    plain = text[prefix.end() if prefix else 0 :].translate(_SPACES)
    try:
        data = base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError):
        data = b""
    if not data:
        raise SfumatoError(
            ErrorKind.BAD_IMAGE,
            f"“{what}” is no picture in base64; send the picture itself, not its place.",
        )
    return data


class Uploads:
    """Pictures that were sent here.

    Args:
        folder: where they are kept; None: the person's data.
        opener: decodes them; None: a process that is started when it is first needed.
    """

    def __init__(self, folder: Path | None = None, opener: Opener | None = None) -> None:
        self.folder = folder or paths.uploads_dir()
        self._opener = opener or Opener()

    def close(self) -> None:
        """End the process that decodes."""
        self._opener.close()

    def read(self, data: bytes, what: str, longest: int | None = LONGEST) -> PillowImage:
        """Decode a picture.

        Raises:
            SfumatoError: BAD_IMAGE where it is none that can be read, or too large; STORAGE.
        """
        with self.scratch(data, what) as file:
            return self._opener.open(file, longest)

    @contextlib.contextmanager
    def scratch(self, data: bytes, what: str):  # type: ignore[no-untyped-def]
        """A file of these bytes, called as a person would; for the moment."""
        folder = self.folder / f"new-{time.time_ns()}"
        name = re.sub(r"[^\w .-]", "", what)[:60] or "picture"
        file = folder / name
        try:
            try:
                folder.mkdir(mode=0o700, parents=True)
                file.write_bytes(data)
            except OSError as error:
                raise disk_error(error, "The picture that was sent cannot be kept") from error
            yield file
        finally:
            with contextlib.suppress(OSError):
                file.unlink(missing_ok=True)
                folder.rmdir()

    def keep(self, picture: PillowImage) -> Path:
        """Keep a picture as a file; the same one twice is the same file.

        Raises:
            SfumatoError: STORAGE.
        """
        buffer = io.BytesIO()
        picture.save(buffer, "PNG", compress_level=1)
        data = buffer.getvalue()
        file = self.folder / f"{hashlib.sha256(data).hexdigest()[:32]}.png"
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if file.is_file():
                file.touch()
                return file
            return write_whole(self.folder, file.name, data, overwrite=True)
        except OSError as error:
            raise disk_error(error, "The picture that was sent cannot be kept") from error

    def kept(self, name: str) -> Path:
        """The file of a picture that was kept, by its id.

        Raises:
            SfumatoError: NOT_FOUND.
        """
        file = self.folder / f"{name}.png"
        if not _ID.fullmatch(name) or not file.is_file():
            raise SfumatoError(
                ErrorKind.NOT_FOUND, "There is no such upload (any more); send the picture again."
            )
        return file

    def sweep(self, needed: Iterable[Path] = ()) -> None:
        """Take away what is beyond the limit, the oldest first; not what is needed, or was used
        lately.  Never raises."""
        spared, now = set(needed), time.time()
        found: list[tuple[float, int, Path]] = []
        with contextlib.suppress(OSError):
            for file in self.folder.glob("*.png"):
                with contextlib.suppress(OSError):
                    status = file.stat()
                    found.append((status.st_mtime, status.st_size, file))
        left = sum(size for _, size, _ in found)
        for used, size, file in sorted(found):
            if left <= limits.MAX_UPLOADS_BYTES:
                return
            if file not in spared and now - used > KEEP_SECONDS:
                with contextlib.suppress(OSError):
                    file.unlink()
                    left -= size


def needed_by(requests: Iterable[PictureRequest]) -> set[Path]:
    """Files that these requests start from or are led by."""
    found: set[Path] = set()
    for request in requests:
        for each in request.lineage():
            if each.start_image is not None:
                found |= {Path(each.start_image.path), Path(each.start_image.mask or ".")}
            found |= {Path(control.picture) for control in each.controls if control.picture}
            if each.depth_map:
                found.add(Path(each.depth_map))
    return found
