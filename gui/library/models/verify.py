"""Whether an installed model's files are what was installed."""

from __future__ import annotations

import contextlib
import errno
import hashlib
from collections.abc import Callable
from pathlib import Path

from gui import names
from gui.coreml import sidecar as sidecars
from gui.errors import ErrorKind, SfumatoError, disk_error
from gui.files import is_file
from gui.library.models.records import FileProblem

_PIECE = 1 << 20


def verify(
    folder: Path,
    on_progress: Callable[[float], None] = lambda _: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> tuple[FileProblem, ...]:
    """Compare every file of an installed model with what was installed.

    Args:
        folder: the model.
        on_progress: told the fraction that is done, 0 … 1.
        cancelled: asked often; True: give up and return what was found so far.

    Raises:
        SfumatoError: NOT_FOUND where the model's files are not known; STORAGE where the folder
            cannot be read.
    """
    hashes, sizes = _expected(folder)
    total = sum(sizes.get(path, 0) for path in hashes) or 1
    done = 0
    problems = []
    for path, expected in sorted(hashes.items()):
        if cancelled():
            break
        size = sizes.get(path)
        before = done

        def on_bytes(count: int, before: int = before) -> None:
            on_progress(min(1.0, (before + count) / total))

        what = _problem(folder / path, size, expected, on_bytes, cancelled)
        if what:
            problems.append(FileProblem(path, what))
        done += size or 0
        on_progress(min(1.0, done / total))
    return tuple(problems)


def _expected(folder: Path) -> tuple[dict[str, str], dict[str, int]]:
    """SHA-256 and size by path."""
    try:
        sidecar = sidecars.read(folder)
    except SfumatoError:
        sidecar = None
    if sidecar is None or not sidecar.hashes:
        raise SfumatoError(
            ErrorKind.NOT_FOUND,
            f"Sfumato does not know what the files of “{folder.name}” should be, as it did not "
            "download them; get the model from the Hub to have it checked.",
            str(folder),
        )
    sizes = sidecar.noted("hub").get("sizes")
    sound: dict[str, str] = {}
    for path, digest in sidecar.hashes.items():
        with contextlib.suppress(SfumatoError):
            names.checked_path(path)
            sound[path] = str(digest)
    known = sizes if isinstance(sizes, dict) else {}
    return sound, {str(k): v for k, v in known.items() if isinstance(v, int)}


def _problem(
    path: Path,
    size: int | None,
    expected: str,
    on_bytes: Callable[[int], None],
    cancelled: Callable[[], bool],
) -> str:
    """What is wrong with a file: `FileProblem.what`, or nothing."""
    try:
        if not is_file(path):
            return "missing"
        if size is not None and path.stat().st_size != size:
            return "size"
        digest = hashlib.sha256()
        count = 0
        with path.open("rb") as file:
            while data := file.read(_PIECE):
                if cancelled():
                    return ""
                digest.update(data)
                count += len(data)
                on_bytes(count)
    except FileNotFoundError:
        return "missing"
    except OSError as error:
        if error.errno == errno.EIO:
            return "hash"  # a worn-out place of the disk: of no more use than wrong bytes
        what = f"“{path.name}” cannot be read"
        raise disk_error(error, what, detail=f"{path}: {error!r}") from error
    return "" if digest.hexdigest() == expected else "hash"
