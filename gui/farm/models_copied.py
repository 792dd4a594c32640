"""A model from another Mac: every file by its hash, into place when all of them are right.

Interrupted, it goes on from the byte where it was.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from gui import names, paths, records, words
from gui.coreml.inspect import inspect_model, model_hash
from gui.errors import ErrorKind, SfumatoError, disk_error
from gui.farm.config import folder
from gui.farm.stock import Stock
from gui.farm.transfers import Transfers, sha256_of
from gui.files import below, free_bytes
from gui.records import Range, Record

_RESERVE = 10**9
"""Bytes that stay free on the disk."""
_MOST_FILES = 20_000


@dataclass(frozen=True)
class ModelFile(Record):
    path: str
    """POSIX, relative to the model's folder."""
    bytes: Annotated[int, Range(0, 2**53)]
    sha256: str


@dataclass(frozen=True)
class Manifest(Record):
    """What a model is made of, told by who has it."""

    files: tuple[ModelFile, ...]


class Shelf:
    """The models of this Mac as another one may have them.

    Args:
        stock: which there are.
    """

    def __init__(self, stock: Stock) -> None:
        self._stock = stock
        self._manifests: dict[str, Manifest] = {}

    def find(self, name: str) -> Path | bytes | None:
        """A file of a model, ``<hash>/<path>``, or with an empty path its manifest.  Blocking.

        Raises:
            OSError: it cannot be read.
        """
        model, _, path = name.partition("/")
        place = self._stock.folder(model)
        if place is None:
            return None
        if model not in self._manifests:
            self._manifests[model] = _manifest(place)
        manifest = self._manifests[model]
        if not path:
            return records.dumps(manifest).encode()
        # Only what the manifest names: no path from outside is ever opened.
        return place / path if any(f.path == path for f in manifest.files) else None


def _manifest(place: Path) -> Manifest:
    found = []
    for file in sorted(below(place)):
        if file.is_file() and not names.is_debris(file.name):
            path = file.relative_to(place).as_posix()
            found.append(ModelFile(path, file.stat().st_size, sha256_of(file)))
    return Manifest(tuple(found))


async def copy_model(
    transfers: Transfers,
    member: str,
    model: str,
    name: str,
    on_progress: Callable[[int, int], None],
) -> Path:
    """Bring a model here from the member that has it.

    Args:
        name: what its folder is called.
        on_progress: told the bytes that are here, and all.

    Returns:
        The installed folder.

    Raises:
        SfumatoError: NETWORK; STORAGE where there is no room; BAD_MODEL where what arrived is not
            what was offered.
    """
    work = folder() / "Copies" / names.file_name(model)
    manifest = await _fetch_manifest(transfers, member, model)
    total = sum(file.bytes for file in manifest.files)
    here = sum(_present(work, file) for file in manifest.files)
    free = await asyncio.to_thread(free_bytes, paths.data_dir())
    if free is not None and free < total - here + _RESERVE:
        raise SfumatoError(
            ErrorKind.STORAGE,
            f"“{name}” takes {words.size(total - here)} and there is no room for it; free some "
            "space on that Mac.",
        )
    done = 0
    for file in manifest.files:
        target, before = work / file.path, done
        if not await asyncio.to_thread(_is_whole, target, file):
            await transfers.fetch(
                member, "model", f"{model}/{file.path}", target, file.sha256,
                lambda part, before=before: on_progress(before + part, total),
            )  # fmt: skip
        done += file.bytes
        on_progress(done, total)
    return await asyncio.to_thread(_install, work, model, name)


async def _fetch_manifest(transfers: Transfers, member: str, model: str) -> Manifest:
    data = b""
    while True:
        piece = await transfers.piece(member, "model", f"{model}/", len(data))
        data += piece.data
        if len(data) >= piece.total:
            break
    try:
        manifest = records.loads(Manifest, data)
    except ValueError as error:
        raise _refused(str(error)) from error
    paths_told = [file.path for file in manifest.files]
    if len(paths_told) > _MOST_FILES or not all(map(names.is_safe, paths_told)):
        raise _refused("unsafe paths")
    names.check_distinct(paths_told)
    return manifest


def _refused(detail: str) -> SfumatoError:
    return SfumatoError(
        ErrorKind.BAD_MODEL,
        "What the other Mac sent is not the model that was offered, so it was not installed; get "
        "the model from the Hub instead.",
        detail,
    )


def _present(work: Path, file: ModelFile) -> int:
    with contextlib.suppress(OSError):
        return (work / file.path).stat().st_size
    return 0


def _is_whole(target: Path, file: ModelFile) -> bool:
    with contextlib.suppress(OSError):
        return target.stat().st_size == file.bytes and sha256_of(target) == file.sha256
    return False


def _install(work: Path, model: str, name: str) -> Path:
    if model_hash(inspect_model(work)) != model:
        shutil.rmtree(work, ignore_errors=True)
        raise _refused("another hash")
    models = paths.models_dir()
    try:
        models.mkdir(parents=True, exist_ok=True)
        wished = names.folder_name(name)
        target = models / names.first_free(wished, lambda text: (models / text).exists())
        work.rename(target)
    except OSError as error:
        raise disk_error(error, f"Models cannot be kept in {models}") from error
    return target
