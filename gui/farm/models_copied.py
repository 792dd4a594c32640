"""A model from another Mac: every file by its hash, into place when all of them are right.

Interrupted, it goes on from the byte where it was.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from gui import names, paths, records, words
from gui.coreml.inspect import inspect_model, model_hash
from gui.errors import ErrorKind, SfumatoError, disk_error
from gui.farm.config import folder
from gui.farm.stock import Stock
from gui.farm.transfers import Transfers, sha256_of
from gui.files import below, free_bytes, is_folder
from gui.records import Range, Record

_RESERVE = 10**9
"""Bytes that stay free on the disk."""
_MOST_FILES = 20_000
_MOST_MANIFEST = 16 * 2**20


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
        return None if place is None else self._file(model, path, place, below(place))

    def find_network(self, name: str) -> Path | bytes | None:
        """A file of a network, as `find`; the first folder of a path is the package's own name.

        Raises:
            OSError: it cannot be read.
        """
        sha256, _, path = name.partition("/")
        top = self._stock.network(sha256)
        if top is None:
            return None
        files = below(top) if is_folder(top) else [top]
        return self._file(sha256, path, top.parent, files)

    def _file(self, key: str, path: str, root: Path, files: Iterable[Path]) -> Path | bytes | None:
        if key not in self._manifests:
            self._manifests[key] = _manifest(root, files)
        manifest = self._manifests[key]
        if not path:
            return records.dumps(manifest).encode()
        # Only what the manifest names: no path from outside is ever opened.
        return root / path if any(f.path == path for f in manifest.files) else None


def _manifest(root: Path, files: Iterable[Path]) -> Manifest:
    found = []
    for file in sorted(files):
        if file.is_file() and not names.is_debris(file.name):
            path = file.relative_to(root).as_posix()
            found.append(ModelFile(path, file.stat().st_size, sha256_of(file)))
    return Manifest(tuple(found))


async def copy_model(
    transfers: Transfers,
    member: str,
    model: str,
    name: str,
    on_progress: Callable[[int, int], None],
    most: int = 0,
) -> Path:
    """Bring a model here from the member that has it.

    Args:
        name: what its folder is called.
        on_progress: told the bytes that are here, and all.
        most: bytes that it may have; 0: as many as there is room for.

    Returns:
        The installed folder.

    Raises:
        SfumatoError: NETWORK; STORAGE where there is no room; BAD_MODEL where what arrived is not
            what was offered.
    """
    work = await bring(transfers, "model", member, model, name, most, on_progress)
    return await asyncio.to_thread(_install, work, model, name)


async def bring(
    transfers: Transfers,
    kind: str,
    member: str,
    key: str,
    name: str,
    most: int,
    on_progress: Callable[[int, int], None],
) -> Path:
    """Bring all files of something here, each checked by its hash.

    Args:
        kind: as `wire.Want.kind`.
        key: its hash.
        name: for people.
        most: bytes that it may have; 0: as many as there is room for.

    Returns:
        The folder where they lie, for now.

    Raises:
        SfumatoError: NETWORK; STORAGE where there is no room; BAD_MODEL where it is not what was
            offered.
    """
    work = folder() / "Copies" / names.file_name(key)
    manifest = await _fetch_manifest(transfers, kind, member, key)
    total = sum(file.bytes for file in manifest.files)
    if most and total > most:
        raise refused(f"{total} bytes instead of {most}")
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
                member, kind, f"{key}/{file.path}", target, file.sha256,
                lambda part, before=before: on_progress(before + part, total),
            )  # fmt: skip
        done += file.bytes
        on_progress(done, total)
    return work


async def _fetch_manifest(transfers: Transfers, kind: str, member: str, key: str) -> Manifest:
    data = b""
    while True:
        piece = await transfers.piece(member, kind, f"{key}/", len(data))
        data += piece.data
        if len(data) > _MOST_MANIFEST:
            raise refused("a list without an end")
        if len(data) >= piece.total:
            break
    try:
        manifest = records.loads(Manifest, data)
    except ValueError as error:
        raise refused(str(error)) from error
    paths_told = [file.path for file in manifest.files]
    if len(paths_told) > _MOST_FILES or not all(map(names.is_safe, paths_told)):
        raise refused("unsafe paths")
    names.check_distinct(paths_told)
    return manifest


def refused(detail: str) -> SfumatoError:
    """What came is not what was meant to."""
    return SfumatoError(
        ErrorKind.BAD_MODEL,
        "What the other Mac sent is not what was offered, so it was not installed; copy it to this "
        "Mac yourself, or get it from the Hub.",
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
        raise refused("another hash")
    models = paths.models_dir()
    try:
        models.mkdir(parents=True, exist_ok=True)
        wished = names.folder_name(name)
        target = models / names.first_free(wished, lambda text: (models / text).exists())
        work.rename(target)
    except OSError as error:
        raise disk_error(error, f"Models cannot be kept in {models}") from error
    return target
