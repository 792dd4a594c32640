"""From picture files to the index: read what is new, notice what changed, forget what is gone.

Folders are compared with the index by name, size and date, so that a second look at 100,000
pictures opens none of them.  A folder that cannot be reached at all (a disk that is not there) is
left as it was: its pictures are not forgotten.
"""

from __future__ import annotations

import contextlib
import logging
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Protocol

from gui.errors import ErrorKind, SfumatoError
from gui.files import exists, is_folder
from gui.library.fingerprint import FINGERPRINT_BYTES, fingerprint
from gui.library.metadata.containers import Fields, read_fields_of
from gui.library.metadata.tools import read_settings
from gui.library.picture_facts import KnownFile, PictureFacts, PictureKind
from gui.library.picture_forms import SUFFIXES, open_picture
from gui.library.picture_record import record_of, stored_record
from gui.request import PictureRecord

BATCH = 40
"""Pictures that are written to the index at once: about a tenth of a second's work."""
DROPPED_AT_ONCE = 500
MAX_DEPTH = 8

log = logging.getLogger(__name__)


class Scanned(Protocol):
    """What a look at folders needs of a `PictureIndex`, which may live on another thread."""

    def folders(self) -> list[str]: ...

    def known_files(self, folder: str) -> dict[str, KnownFile]: ...

    def known(self, paths: Iterable[str]) -> dict[str, KnownFile]: ...

    def put(self, pictures: Iterable[PictureFacts]) -> list[int]: ...

    def refuse(self, files: Iterable[tuple[str, int, int]]) -> int: ...

    def drop(self, paths: Iterable[str]) -> int: ...


@dataclass
class ScanReport:
    """What a look at the folders found."""

    read: int = 0
    """Files that were new or changed."""
    gone: int = 0
    unreadable: int = 0
    unreachable: tuple[str, ...] = ()
    """Folders that could not be looked at."""
    whole: bool = False
    """Whether all folders have been looked at."""

    @property
    def changed(self) -> bool:
        return bool(self.read or self.gone)

    def copy(self) -> ScanReport:
        """As it stands now."""
        return replace(self)


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
    index: Scanned,
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


def scan_steps(index: Scanned, roots: list[Path]) -> Iterator[ScanReport]:
    """As `scan`, a folder or a batch at a time; yields the report as it stands.  May be given up at
    any step."""
    report = ScanReport()
    unreachable: list[str] = []
    seen: set[str] = set()
    for root in roots:
        if _is_empty(root):  # where a disk is to be mounted, say
            unreachable.append(str(root))
            continue
        for folder, entries in _walk(root, unreachable):
            seen.add(folder)
            yield from _scan_folder(index, folder, entries, report)
    # Folders that were there once and are no more, below roots that can be looked at.
    for folder in index.folders():
        if folder in seen or _below(folder, map(Path, unreachable)):
            continue
        if _below(folder, roots):
            report.gone += _drop_folder(index, folder)
            yield report
        elif (listed := _pictures_in(folder)) is not None:
            # Where pictures went before another folder was chosen; one that is missing may be on a
            # disk that is not there.
            yield from _scan_folder(index, folder, listed, report)
    report.unreachable, report.whole = tuple(unreachable), True
    yield report


def scan_folder(index: Scanned, folder: Path) -> ScanReport:
    """Bring the index in line with one folder alone."""
    *_, report = scan_changes(index, [folder.parent], [str(folder)])
    return report


def scan_changes(
    index: Scanned, roots: Sequence[Path], paths: Iterable[str]
) -> Iterator[ScanReport]:
    """Bring the index in line with these files and folders alone, for when something happened to
    them.  What lies below a root that is not there at all is left as it is.

    Args:
        roots: as for `scan`.
        paths: files, and folders which are looked through with all below them.
    """
    report = ScanReport()
    unreachable: list[str] = []
    files: dict[str, list[str]] = {}
    for path in dict.fromkeys(paths):
        root = next((root for root in roots if _below(path, [root])), Path(path).parent)
        hidden = any(_is_hidden(part) for part in Path(path).relative_to(root).parts)
        if hidden or not is_folder(root):
            continue
        if is_folder(path):
            for folder, entries in _walk(Path(path), unreachable, root):
                yield from _scan_folder(index, folder, entries, report)
            continue
        folder, _, name = path.rpartition("/")
        files.setdefault(folder, []).append(name)
        if not exists(path):
            for gone in index.folders():
                if _below(gone, [Path(path)]):
                    report.gone += _drop_folder(index, gone)
    for folder, names in files.items():
        yield from _scan_files(index, folder, names, report)
    report.unreachable = tuple(unreachable)
    yield report


def _drop_folder(index: Scanned, folder: str) -> int:
    return index.drop(f"{folder}/{name}" for name in index.known_files(folder))


def _scan_folder(
    index: Scanned, folder: str, entries: list[os.DirEntry[str]], report: ScanReport
) -> Iterator[ScanReport]:
    known = index.known_files(folder)

    def changed() -> Iterator[tuple[str, os.stat_result]]:
        for entry in entries:
            before = known.pop(entry.name, None)
            with contextlib.suppress(OSError):
                status = entry.stat()
                now = (status.st_size, status.st_mtime_ns)
                if before is None or (before.bytes, before.modified_ns) != now:
                    yield entry.path, status
                elif not before.id:
                    report.unreadable += 1

    yield from _read(index, changed(), report)
    gone = [f"{folder}/{name}" for name in known]
    for start in range(0, len(gone), DROPPED_AT_ONCE):
        report.gone += index.drop(gone[start : start + DROPPED_AT_ONCE])
        yield report
    yield report


def _scan_files(
    index: Scanned, folder: str, names: list[str], report: ScanReport
) -> Iterator[ScanReport]:
    """Some files of a folder, which may be a large one: the others are not looked at."""
    gone: list[str] = []
    known = index.known(f"{folder}/{name}" for name in names)

    def there() -> Iterator[tuple[str, os.stat_result]]:
        for name in names:
            path = f"{folder}/{name}"
            if not has_picture_name(name):
                continue
            try:
                status = os.stat(path)  # noqa: PTH116 - the path is text
            except (FileNotFoundError, NotADirectoryError):
                gone.append(path)
            except OSError as error:
                log.info("not looked at: %s: %r", path, error)
            else:
                before = known.get(path)
                now = (status.st_size, status.st_mtime_ns)
                same = before is not None and (before.bytes, before.modified_ns) == now
                if stat.S_ISREG(status.st_mode) and not same:
                    yield path, status

    yield from _read(index, there(), report)
    report.gone += index.drop(gone)
    yield report


def _read(
    index: Scanned, files: Iterator[tuple[str, os.stat_result]], report: ScanReport
) -> Iterator[ScanReport]:
    """Enter files, a batch at a time.  What is no picture is remembered as that, so that it is not
    opened at every look."""
    batch: list[PictureFacts] = []
    none: list[tuple[str, int, int]] = []

    def write() -> None:
        report.read += len(index.put(batch)) if batch else 0
        report.gone += index.refuse(none) if none else 0
        batch.clear()
        none.clear()

    for path, status in files:
        try:
            batch.append(facts_of(Path(path), status))
        except SfumatoError as error:
            log.info("no picture: %s: %s", path, error.detail or error.message)
            none.append((path, status.st_size, status.st_mtime_ns))
            report.unreadable += 1
        except OSError as error:
            log.info("not read: %s: %r", path, error)
            report.unreadable += 1
        if len(batch) + len(none) >= BATCH:
            write()
            yield report
    write()


def _walk(
    start: Path, unreachable: list[str], root: Path | None = None
) -> Iterator[tuple[str, list[os.DirEntry[str]]]]:
    """Each folder with its pictures, in no promised order; links to folders are not followed.

    Args:
        root: what the depth counts from; None: the start.
    """
    line = [(str(start), len(start.relative_to(root or start).parts))]
    while line:
        folder, depth = line.pop()
        pictures: list[os.DirEntry[str]] = []
        try:
            with os.scandir(folder) as listing:
                for entry in listing:
                    if _is_hidden(entry.name):
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


def _is_empty(folder: Path) -> bool:
    try:
        with os.scandir(folder) as listing:
            return next(listing, None) is None
    except OSError:
        return False


def _pictures_in(folder: str) -> list[os.DirEntry[str]] | None:
    """The pictures directly in a folder; None where it cannot be looked at."""
    try:
        with os.scandir(folder) as listing:
            return [entry for entry in listing if _is_picture(entry)]
    except OSError:
        return None


def has_picture_name(name: str) -> bool:
    """Whether a file of this name is looked at: that of a picture, no hidden one, and text."""
    return name[name.rfind(".") :].lower() in SUFFIXES and not _is_hidden(name)


def _is_hidden(name: str) -> bool:
    """Whether what has this name is passed by; a name that is no text could not be kept."""
    return name.startswith(".") or not _is_text(name)


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_picture(entry: os.DirEntry[str]) -> bool:
    if not has_picture_name(entry.name):
        return False
    try:
        return entry.is_file()  # a pipe or a socket of that name would be waited for
    except OSError:
        return False


def _below(folder: str, roots: Iterable[Path]) -> bool:
    return any(folder == str(root) or folder.startswith(f"{root}/") for root in roots)
