"""What was seen of each picture while it was made: the previews of its steps, kept small.

One file per picture: all previews side by side in one JPEG, whose comment says which is which.  It
is named by the picture's fingerprint, so that it is found wherever the picture lies and is never
shown with another, and it can go at any time: whoever looks for it finds nothing then.

Standard library only; Pillow is imported when first needed.
"""

from __future__ import annotations

import contextlib
import io
import logging
import math
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gui import paths, records
from gui.library.fingerprint import FINGERPRINT_BYTES, fingerprint
from gui.library.temporaries import sweep, temporary_file
from gui.records import Record, RecordError

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage

LIMIT_BYTES = 200 * 10**6
"""Of all files together, some thousands of pictures; beyond it the oldest go."""
MOST_FRAMES = 100
"""Previews kept of one picture; of one with more steps, evenly chosen ones."""
QUALITY = 86
BLOCK = 8
"""JPEG works on blocks of so many pixels: no block holds parts of two previews."""
MOST_PIXELS = 64 * 10**6
"""Of one file that is read; it is ours, and may be damaged."""
KEPT_SECONDS = 3600.0
"""A file this young may belong to a picture that is not in the index yet."""

_NAME = re.compile(r"[0-9a-f]{32}\.jpg")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class StepFrame:
    """A preview after one step."""

    step: int
    """From 1."""
    width: int
    height: int
    rgb: bytes
    """Row by row, 3 bytes per pixel."""


@dataclass(frozen=True)
class StepSeries:
    """The previews of one picture in the order of its steps; the last step's is the picture."""

    steps: int
    """How many the picture has."""
    frames: tuple[StepFrame, ...]


@dataclass(frozen=True)
class _Comment(Record):
    """What a file says of itself."""

    steps: int
    kept: tuple[int, ...]
    """Steps of the previews, in order."""
    width: int
    height: int


class StepRecorder:
    """Collects the previews of the picture that is being made."""

    def __init__(self) -> None:
        self._frames: list[StepFrame] = []
        self._steps = 0
        self._picture = -1

    def saw(self, picture: int, steps: int, frame: StepFrame) -> None:
        """A step is done, with this preview."""
        if picture != self._picture:
            self._picture, self._frames = picture, []
        self._steps = steps
        stride = math.ceil(steps / MOST_FRAMES)
        if (frame.step - 1) % stride == 0 or frame.step == steps:
            self._frames.append(frame)

    def take(self, picture: int) -> StepSeries | None:
        """What was seen of a picture; None where there was too little to be played."""
        frames, self._frames = self._frames, []
        if picture != self._picture or len(frames) < 2:
            return None
        return StepSeries(self._steps, tuple(frames))


def folder() -> Path:
    return paths.cache_dir() / "Steps"


def file_of(picture: str) -> Path:
    """Where the previews of a picture lie, or would lie.

    Args:
        picture: its fingerprint.
    """
    return folder() / picture[:2] / f"{picture}.jpg"


def keep(picture: Path, series: StepSeries) -> int:
    """Write the previews of a picture that is on disk; how many bytes they are.

    Never raises for the disk: what cannot be kept is not kept.
    """
    try:
        with picture.open("rb") as file:
            head = file.read(FINGERPRINT_BYTES)
            known = fingerprint(head, picture.stat().st_size)
        return _write(file_of(known), _encoded(series))
    except (OSError, ValueError) as error:
        log.info("previews not kept: %r", error)
        return 0


def read(picture: str) -> StepSeries | None:
    """The previews of a picture by its fingerprint; None where there are none.  Blocking.

    A file that is damaged is removed: it would never be another.
    """
    if not re.fullmatch(r"[0-9a-f]{32}", picture):
        return None
    file = file_of(picture)
    try:
        data = file.read_bytes()
    except OSError:
        return None
    try:
        return _decoded(data)
    except Exception as error:  # Pillow's way with a damaged file is any exception
        log.info("previews damaged: %r", error)
        with contextlib.suppress(OSError):
            file.unlink()
        return None


def trim(limit: int = LIMIT_BYTES) -> int:
    """Delete the oldest files beyond `limit` bytes, down to nine tenths of it; the bytes that
    stay.  Blocking."""
    found = sorted(_files())
    total = sum(size for _, size, _ in found)
    if total > limit:
        for _, size, file in found:
            if total <= limit * 9 // 10:
                break
            with contextlib.suppress(OSError):
                file.unlink()
                total -= size
    return total


def drop_strangers(known: Callable[[Sequence[str]], Iterable[str]]) -> int:
    """Delete the previews of pictures that are no more; how many went.  Blocking.

    Args:
        known: which of these fingerprints belong to a picture.
    """
    before = time.time() - KEPT_SECONDS
    old = {file.stem: file for made, _, file in _files() if made < before}
    gone = old.keys() - set(known(list(old)))
    for name in gone:
        with contextlib.suppress(OSError):
            old[name].unlink()
    return len(gone)


def clear() -> None:
    """Delete all of them.  Blocking; never raises."""
    for _, _, file in _files():
        with contextlib.suppress(OSError):
            file.unlink()


def _files() -> Iterator[tuple[float, int, Path]]:
    """When each was made, its size, and the file."""
    with contextlib.suppress(OSError):
        for shelf in list(folder().iterdir()):
            with contextlib.suppress(OSError):
                for file in list(shelf.iterdir()):
                    with contextlib.suppress(OSError):
                        status = file.lstat()
                        if _NAME.fullmatch(file.name):
                            yield status.st_mtime, status.st_size, file
                sweep(shelf)


def _write(target: Path, data: bytes) -> int:
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_file(target.parent)
    try:
        temporary.write_bytes(data)
        temporary.replace(target)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    return len(data)


def _encoded(series: StepSeries) -> bytes:
    from PIL import Image

    first = series.frames[0]
    wide, high = _padded(first.width), _padded(first.height)
    columns, rows = _grid(len(series.frames))
    sheet = Image.new("RGB", (columns * wide, rows * high))
    for number, frame in enumerate(series.frames):
        if (frame.width, frame.height) != (first.width, first.height):
            raise ValueError("previews of different sizes")
        image = Image.frombytes("RGB", (frame.width, frame.height), frame.rgb)
        at = (number % columns * wide, number // columns * high)
        sheet.paste(_filled(image, wide, high), at)
    kept = tuple(frame.step for frame in series.frames)
    comment = records.dumps(_Comment(series.steps, kept, first.width, first.height))
    buffer = io.BytesIO()
    sheet.save(buffer, "JPEG", quality=QUALITY, subsampling=0, comment=comment.encode())
    return buffer.getvalue()


def _decoded(data: bytes) -> StepSeries:
    from PIL import Image

    with Image.open(io.BytesIO(data), formats=("JPEG",)) as sheet:
        told = records.loads(_Comment, sheet.info["comment"])
        wide, high = _padded(told.width), _padded(told.height)
        columns, rows = _grid(len(told.kept))
        _check(told, sheet, (columns * wide, rows * high))
        whole = sheet.convert("RGB")
    frames: list[StepFrame] = []
    for number, step in enumerate(told.kept):
        left, top = number % columns * wide, number // columns * high
        part = whole.crop((left, top, left + told.width, top + told.height))
        frames.append(StepFrame(step, told.width, told.height, part.tobytes()))
    return StepSeries(told.steps, tuple(frames))


def _check(told: _Comment, sheet: PillowImage, size: tuple[int, int]) -> None:
    """Raises RecordError where a file does not hold what it says."""
    ordered = list(told.kept) == sorted(set(told.kept))
    if not told.kept or not ordered or told.kept[0] < 1 or told.kept[-1] > told.steps:
        raise RecordError("names steps that there are not")
    if min(told.width, told.height) < 1 or sheet.size != size or math.prod(size) > MOST_PIXELS:
        raise RecordError("is of another size than it says")


def _filled(image: PillowImage, wide: int, high: int) -> PillowImage:
    """A preview on whole blocks, its edges drawn on: a sudden end inside a block would ring."""
    width, height = image.size
    for size, edge, at in (
        ((wide, height), (width - 1, 0, width, height), (wide - width, height)),
        ((wide, high), (0, height - 1, wide, height), (wide, high - height)),
    ):
        if size != image.size:
            larger = image.crop((0, 0, *size))
            larger.paste(image.crop(edge).resize(at), (size[0] - at[0], size[1] - at[1]))
            image = larger
    return image


def _padded(pixels: int) -> int:
    return -(-pixels // BLOCK) * BLOCK


def _grid(count: int) -> tuple[int, int]:
    columns = math.ceil(math.sqrt(count))
    return columns, -(-count // columns) if columns else 0
