"""What is kept to be quicker the next time, and can be made again: how much it is, and clearing it.

Standard library only.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from gui import paths
from gui.files import disk_bytes
from gui.library import step_previews

COMPILED_LIMIT_BYTES = 40_000_000_000
"""Of models prepared by Core ML; those used longest ago go first."""
COMPILED_DAYS = 90
"""One that was not used for so long goes."""
IN_USE_SECONDS = 24 * 3600
"""What was used within a day stays in any case: an engine may have it open."""
_SCRATCH = ".clearing-"


class CacheKind(StrEnum):
    COMPILED = "compiled"
    """Packages as Core ML compiled them."""
    VARIANTS = "variants"
    """Models with LoRAs in them, or of other picture sizes."""
    STEPS = "steps"
    """What was seen of pictures at each step."""


@dataclass(frozen=True)
class CacheSize:
    """How much of a kind there is."""

    kind: CacheKind
    bytes: int
    number: int
    """Models; of steps, pictures."""


def compiled_dir() -> Path:
    return paths.cache_dir() / "compiled"


def sizes() -> list[CacheSize]:
    """What there is of every kind.  Blocking."""
    return [_size(kind) for kind in CacheKind]


def clear(kind: CacheKind) -> None:
    """Take away all there is of a kind.  Blocking; what does not go stays, and shows in `sizes`.

    An engine that has some of it open goes on with that.
    """
    for path in _entries(kind):
        _remove(path)
    if kind is CacheKind.STEPS:
        step_previews.clear()


def trim(limit: int = COMPILED_LIMIT_BYTES, days: float = COMPILED_DAYS) -> int:
    """Take away compiled models beyond `limit` bytes, or not used for `days`; those used longest
    ago first.  How many went.  Blocking; never raises."""
    now, gone = time.time(), 0
    found = sorted(_dated(_entries(CacheKind.COMPILED)))
    left = sum(size for _, size, _ in found)
    for moment, size, path in found:
        idle = now - moment
        if idle > IN_USE_SECONDS and (left > limit or idle > days * 24 * 3600):
            _remove(path)
            left -= size
            gone += 1
    return gone


_FOLDERS: dict[CacheKind, Callable[[], Path]] = {
    CacheKind.COMPILED: compiled_dir,
    CacheKind.VARIANTS: paths.variants_dir,
    CacheKind.STEPS: step_previews.folder,
}


def _entries(kind: CacheKind) -> list[Path]:
    """Of compiled models and variants, one each."""
    with contextlib.suppress(OSError):
        if kind is CacheKind.COMPILED:
            return [path for path in compiled_dir().iterdir() if path.suffix == ".mlmodelc"]
        if kind is CacheKind.VARIANTS:
            return [
                variant
                for group in paths.variants_dir().iterdir()
                if group.is_dir()
                for variant in group.iterdir()
                if variant.is_dir()
            ]
    return []


def _size(kind: CacheKind) -> CacheSize:
    folder = _FOLDERS[kind]()
    if kind is CacheKind.STEPS:
        number = sum(1 for _ in folder.rglob("*.jpg")) if folder.is_dir() else 0
    else:
        number = len(_entries(kind))
    return CacheSize(kind, disk_bytes(folder, follow=False) if folder.is_dir() else 0, number)


def _dated(entries: list[Path]) -> Iterator[tuple[float, int, Path]]:
    """When each was used last, and its size."""
    for path in entries:
        with contextlib.suppress(OSError):
            yield path.stat().st_mtime, disk_bytes(path, follow=False), path


def _remove(path: Path) -> None:
    """Out of its place at once, so that nobody opens half of it; then away."""
    scratch = path.with_name(f"{_SCRATCH}{path.name}")
    with contextlib.suppress(OSError):
        path.rename(scratch)
        shutil.rmtree(scratch, ignore_errors=True)
