"""From picture files to the index: read what is new, notice what changed, forget what is gone.

Folders are compared with the index by name, size and date, so that a second look at 100,000
pictures opens none of them.  A folder that cannot be reached at all (a disk that is not there) is
left as it was: its pictures are not forgotten.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from gui.errors import ErrorKind, SfumatoError
from gui.library.metadata.containers import Fields, open_picture, read_fields_of
from gui.library.metadata.tools import read_settings
from gui.library.picture_facts import PictureFacts, PictureKind
from gui.library.picture_index import FINGERPRINT_BYTES, PictureIndex, fingerprint
from gui.library.picture_reader import SUFFIXES
from gui.library.picture_record import record_of, stored_record
from gui.request import PictureRecord

BATCH = 40
"""Pictures that are written to the index at once: about a tenth of a second's work."""
MAX_DEPTH = 8

log = logging.getLogger(__name__)


@dataclass
class ScanReport:
    """What a look at the folders found."""

    read: int = 0
    """Files that were new or changed."""
    gone: int = 0
    unreadable: int = 0
    unreachable: tuple[str, ...] = ()
    """Folders that could not be looked at."""

    @property
    def changed(self) -> bool:
        return bool(self.read or self.gone)


def facts_of(path: Path, status: os.stat_result | None = None) -> PictureFacts:
    """Everything the index keeps of one file.

    Raises:
        SfumatoError: BAD_IMAGE where it is no picture.
        OSError: it cannot be read.
    """
    with open_picture(path) as file:
        status = status or os.fstat(file.fileno())
        head = file.read(FINGERPRINT_BYTES)
        file.seek(0)
        fields = read_fields_of(file, path.name)
    if not fields.width or not fields.height:
        raise SfumatoError(
            ErrorKind.BAD_IMAGE,
            f"“{path.name}” ends before it says how large it is; copy it again.",
        )
    known = _record(fields)
    common = {
        "path": str(path),
        "width": fields.width,
        "height": fields.height,
        "bytes": status.st_size,
        "modified_ns": status.st_mtime_ns,
        "fingerprint": fingerprint(head, status.st_size),
    }
    if known is not None:
        return made_facts(known, **common)
    found = read_settings(fields)
    if found is None:
        return PictureFacts(created=status.st_mtime, **common)
    return PictureFacts(
        created=status.st_mtime,
        prompt=found.prompt,
        negative_prompt=found.negative_prompt,
        model=found.model,
        scheduler=found.scheduler or found.sampler,
        seed=found.seed,
        steps=found.steps,
        guidance_scale=found.guidance_scale,
        words=found.program,
        **common,
    )


def facts_of_made(path: Path, record: PictureRecord) -> PictureFacts:
    """As `facts_of`, for a picture that was just made and whose record is at hand.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        status = os.fstat(file.fileno())
        head = file.read(FINGERPRINT_BYTES)
    return made_facts(
        record,
        path=str(path),
        width=record.width,
        height=record.height,
        bytes=status.st_size,
        modified_ns=status.st_mtime_ns,
        fingerprint=fingerprint(head, status.st_size),
    )


def made_facts(record: PictureRecord, **common: object) -> PictureFacts:
    """The facts of a picture that was made here.

    Args:
        record: what it says of itself.
        common: path, size in pixels and bytes, date and fingerprint of its file.
    """
    request = record.request
    try:
        created = datetime.fromisoformat(record.created).timestamp()
    except (ValueError, OverflowError, OSError):
        created = int(common["modified_ns"]) / 1e9  # type: ignore[call-overload]
    start = request.start_image
    words = [*record.notes, request.random_source.value, record.program]
    if start is not None:
        words.append(Path(start.path).name)
    return PictureFacts(
        created=created,
        prompt=request.prompt,
        negative_prompt=request.negative_prompt,
        model=record.model_name,
        scheduler=request.scheduler or "",
        seed=request.seed,
        steps=request.steps,
        guidance_scale=request.guidance_scale,
        kind=PictureKind.MADE,
        words=" ".join(words),
        **common,  # type: ignore[arg-type]
    )


def _record(fields: Fields) -> PictureRecord | None:
    text = stored_record(fields)
    if not text:
        return None
    try:
        return record_of(text)
    except SfumatoError as error:
        log.info("a picture's record is damaged: %s", error.detail)
        return None


def scan(
    index: PictureIndex,
    roots: list[Path],
    *,
    on_progress: Callable[[int], None] = lambda _: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> ScanReport:
    """Bring the index in line with the folders.

    Args:
        roots: looked through with all folders below; what is indexed elsewhere stays.
        on_progress: called with the number of files read so far, a batch at a time.
        cancelled: asked between files; what was read by then is kept.
    """
    report = ScanReport()
    for report in scan_steps(index, roots):
        on_progress(report.read)
        if cancelled():
            break
    return report


def scan_steps(index: PictureIndex, roots: list[Path]) -> Iterator[ScanReport]:
    """As `scan`, a folder or a batch at a time, so that other questions to the index can be
    answered in between; yields the report as it stands.  May be given up at any step."""
    report = ScanReport()
    unreachable: list[str] = []
    seen: set[str] = set()
    for root in roots:
        for folder, entries in _walk(root, unreachable):
            seen.add(folder)
            yield from _scan_folder(index, folder, entries, report)
    # Folders that were there once and are no more, below roots that can be looked at.
    for folder in index.folders():
        if folder in seen or not _below(folder, roots) or _below(folder, map(Path, unreachable)):
            continue
        report.gone += index.drop(f"{folder}/{name}" for name in index.known_files(folder))
        yield report
    report.unreachable = tuple(unreachable)
    yield report


def scan_folder(index: PictureIndex, folder: Path) -> ScanReport:
    """Bring the index in line with one folder alone, for when something changed there."""
    report = ScanReport()
    try:
        with os.scandir(folder) as listing:
            entries = [entry for entry in listing if _is_picture(entry)]
    except FileNotFoundError:
        if folder.parent.is_dir():
            known = index.known_files(str(folder))
            report.gone = index.drop(f"{folder}/{name}" for name in known)
        return report
    except OSError:
        report.unreachable = (str(folder),)
        return report
    for _ in _scan_folder(index, str(folder), entries, report):
        pass
    return report


def _scan_folder(
    index: PictureIndex, folder: str, entries: list[os.DirEntry[str]], report: ScanReport
) -> Iterator[ScanReport]:
    known = index.known_files(folder)
    batch: list[PictureFacts] = []
    for entry in entries:
        before = known.pop(entry.name, None)
        try:
            status = entry.stat()
            now = (status.st_size, status.st_mtime_ns)
            if before is not None and (before.bytes, before.modified_ns) == now:
                continue
            batch.append(facts_of(Path(entry.path), status))
        except (OSError, SfumatoError) as error:
            log.info("not indexed: %s: %r", entry.path, error)
            report.unreadable += 1
        if len(batch) >= BATCH:
            report.read += len(index.put(batch))
            batch.clear()
            yield report
    report.read += len(index.put(batch))
    report.gone += index.drop(f"{folder}/{name}" for name in known)
    yield report


def _walk(root: Path, unreachable: list[str]) -> Iterator[tuple[str, list[os.DirEntry[str]]]]:
    """Each folder with its pictures, in no promised order; links to folders are not followed."""
    line = [(str(root), 0)]
    while line:
        folder, depth = line.pop()
        pictures: list[os.DirEntry[str]] = []
        try:
            with os.scandir(folder) as listing:
                for entry in listing:
                    if entry.name.startswith("."):
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        if depth < MAX_DEPTH:
                            line.append((entry.path, depth + 1))
                    elif _is_picture(entry):
                        pictures.append(entry)
        except OSError as error:
            log.info("folder not looked at: %s: %r", folder, error)
            unreachable.append(folder)
            continue
        yield folder, pictures


def _is_picture(entry: os.DirEntry[str]) -> bool:
    dot = entry.name.rfind(".")
    if entry.name.startswith(".") or entry.name[dot:].lower() not in SUFFIXES:
        return False
    try:
        return entry.is_file()  # a pipe or a socket of that name would be waited for
    except OSError:
        return False


def _below(folder: str, roots: Iterable[Path]) -> bool:
    return any(folder == str(root) or folder.startswith(f"{root}/") for root in roots)
