"""The desktop around the window: file manager, Trash, clipboard, files handed in."""

from __future__ import annotations

import contextlib
import errno
import secrets
import shutil
import sys
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from threading import Thread

from PySide6.QtCore import QFile, QMimeData, QUrl
from PySide6.QtGui import QDesktopServices, QGuiApplication, QImage

from gui import paths
from gui.errors import ErrorKind, SfumatoError, disk_error
from gui.library import step_previews, thumbnails
from gui.library.temporaries import move_whole, sweep_pictures, temporary_file
from gui.mac import MacServices, Program, mac_services

REVEAL_LABEL = "Reveal in Finder" if sys.platform == "darwin" else "Show in File Manager"


MOST_REVEALED = 200
"""Files that are selected at once."""


@cache
def services() -> MacServices:
    """The desktop's services, looked for once."""
    return mac_services()


def reveal(*paths: str) -> None:
    """Show files in Finder, selected; elsewhere open the folders they lie in.

    Raises:
        SfumatoError: STORAGE when all are gone, UNSUPPORTED when there is no file manager.
    """
    services().reveal(*map(Path, paths[:MOST_REVEALED]))


def offer_service(make: Callable[[str], None]) -> None:
    """Make pictures of texts that are chosen in other programs; see `MacServices.offer_service`."""
    services().offer_service(make)


def can_share() -> bool:
    return services().can_share


def share(paths: Sequence[str], view: int, at: tuple[int, int]) -> None:
    """Show the system's ways to share files; see `MacServices.share`."""
    services().share([Path(path) for path in paths], view, at)


def can_set_wallpaper() -> bool:
    return services().can_set_wallpaper


def set_wallpaper(path: str) -> None:
    """
    Raises:
        SfumatoError: STORAGE where the system refuses it.
    """
    services().set_wallpaper(Path(path))


def applications(path: str) -> list[Program]:
    """Programs that open such a file, the usual one first.  Blocking."""
    return services().applications(Path(path))


def open_with(paths: Sequence[str], application: Program | None = None) -> None:
    """Open files in a program, the usual one for None.

    Raises:
        SfumatoError: UNSUPPORTED where there is nothing to open them with.
    """
    services().open_with([Path(path) for path in paths], application)


def open_page(url: str) -> None:
    """Open a web page in the person's browser.

    Raises:
        SfumatoError: UNSUPPORTED when there is no browser.
    """
    if not QDesktopServices.openUrl(QUrl(url)):
        raise SfumatoError(
            ErrorKind.UNSUPPORTED, "No browser could be opened; copy the address into one.", url
        )


def move_to_trash(path: str) -> str:
    """Move a file to the Trash.  Nothing is ever deleted for good: without a Trash the file stays.

    Returns:
        Where it lies now, for `put_back`; empty where it was already gone.

    Raises:
        SfumatoError: STORAGE where it would not go.
    """
    file = QFile(path)
    if not file.exists():
        return ""
    if file.moveToTrash():
        return file.fileName()
    raise SfumatoError(
        ErrorKind.STORAGE,
        f"“{Path(path).name}” could not be moved to the Trash, and stays where it is; "
        "delete it in the file manager.",
        f"{path}: {file.errorString()}",
    )


def put_back(trashed: str, path: str) -> None:
    """Take a file or folder out of the Trash to where it was.  Never writes over another one.

    Raises:
        SfumatoError: STORAGE where it cannot come back.
    """
    here, there = Path(trashed), Path(path)
    try:
        there.parent.mkdir(parents=True, exist_ok=True)
        if here.is_dir():
            _move_folder(here, there)
        else:
            move_whole(here, there)
        # freedesktop's Trash keeps a note of where each file came from; macOS has none.
        (here.parent.parent / "info" / f"{here.name}.trashinfo").unlink(missing_ok=True)
    except FileExistsError as error:
        raise SfumatoError(
            ErrorKind.STORAGE,
            f"“{there.name}” stays in the Trash: there is another file in its place; "
            "move that one away, then try again.",
            str(error),
        ) from error
    except OSError as error:
        raise SfumatoError(
            ErrorKind.STORAGE,
            f"“{there.name}” could not be taken out of the Trash; look for it there.",
            f"{trashed}: {error}",
        ) from error


def _move_folder(source: Path, target: Path) -> None:
    if target.exists():
        raise FileExistsError(errno.EEXIST, "there is one already", str(target))
    shutil.move(source, target)


def copy_to_clipboard(data: QMimeData) -> None:
    QGuiApplication.clipboard().setMimeData(data)


def copy_text(text: str) -> None:
    QGuiApplication.clipboard().setText(text)


def keep_dropped_image(image: QImage) -> str:
    """Write pixels that came without a file (from a browser, say) to a file of our cache.

    Raises:
        SfumatoError: STORAGE where the cache cannot be written.
    """
    folder = dropped_folder()
    temporary = temporary_file(folder)
    name = folder / f"picture-{secrets.token_hex(8)}.png"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        temporary.touch(mode=0o600)
        if not image.save(str(temporary), "PNG"):  # type: ignore[call-overload]
            raise SfumatoError(
                ErrorKind.STORAGE,
                "The dropped picture could not be kept; save it as a file, and drop that.",
                str(name),
            )
        temporary.replace(name)
    except OSError as error:
        raise disk_error(
            error, "The dropped picture could not be kept", detail=str(error)
        ) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
    return str(name)


def dropped_folder() -> Path:
    """Where pictures are kept that were dropped without a file of their own."""
    return paths.cache_dir() / "Dropped"


def sweep_in_background(pictures: list[Path]) -> None:
    """Remove temporary files that an earlier process left in folders of pictures and in our own,
    and thumbnails and previews beyond what the cache may hold.

    On a thread that nobody waits for, so that a dead share holds up neither window nor its end.
    """
    folders = [*pictures, dropped_folder()]

    def sweep() -> None:
        sweep_pictures(folders)
        thumbnails.trim()
        step_previews.trim()

    Thread(target=sweep, name="sweep", daemon=True).start()
