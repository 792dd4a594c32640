"""The LoRA library as the window sees it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from gui import paths
from gui.errors import SfumatoError, disk_error
from gui.library import loras
from gui.library.loras import LoraDetails
from gui.library.temporaries import sweep, temporary_file
from gui.mac import mac_services
from gui.names import first_free
from gui.state import desktop
from gui.state.background import Background

__all__ = ["LoraDetails", "LoraLibrary", "is_lora_name"]


def is_lora_name(path: str) -> bool:
    """Whether a file's name is a LoRA's."""
    return path.lower().endswith(loras.ENDING)


class LoraLibrary(QObject):
    """Lists the library's folder, and copies files into it; all of it off the window's thread."""

    changed = Signal()
    """`entries` was read again."""
    failed = Signal(SfumatoError)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.entries: tuple[LoraDetails, ...] = ()
        self.known = False
        """Whether the folder has been read."""
        self._background = Background(self)

    def refresh(self) -> None:
        """Read the folder; returns at once."""
        self._background.run(loras.details, self._on_read, self.failed.emit)

    def add(self, files: Sequence[str], then: Callable[[tuple[str, ...]], object]) -> None:
        """Copy files into the library; `then` is told their names there."""
        self._background.run(lambda: _copied(files), then, self.failed.emit)

    def show_folder(self) -> None:
        """Show the folder in the system's file manager."""
        self._background.run(_revealed, lambda _: None, self.failed.emit)

    def close(self) -> None:
        """Wait until everything is written."""
        self._background.close()

    def _on_read(self, entries: tuple[LoraDetails, ...]) -> None:
        self.entries = entries
        self.known = True
        self.changed.emit()

    def find(self, name: str) -> LoraDetails | None:
        """The entry that a request's name, or path, means; None: it is not known here."""
        for entry in self.entries:
            if name == entry.path or name.casefold() == entry.name.casefold():
                return entry
        return None

    def reveal(self, path: str) -> None:
        """Show a file in the system's file manager."""
        self._background.run(lambda: desktop.reveal(path), lambda _: None, self.failed.emit)


def _copied(files: Sequence[str]) -> tuple[str, ...]:
    folder = paths.loras_dir()
    names: list[str] = []
    for text in files:
        source = Path(text)
        if folder in source.parents:
            names.append(source.stem)
            continue
        try:
            folder.mkdir(parents=True, exist_ok=True)
            sweep(folder)
            stem = first_free(source.stem, lambda n: (folder / f"{n}{loras.ENDING}").exists())
            scratch = temporary_file(folder)
            try:
                shutil.copyfile(source, scratch)
                scratch.rename(folder / f"{stem}{loras.ENDING}")
            finally:
                scratch.unlink(missing_ok=True)
        except OSError as error:
            raise disk_error(error, f"“{source.name}” could not be copied") from error
        names.append(stem)
    return tuple(names)


def _revealed() -> None:
    folder = paths.loras_dir()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise disk_error(error, "The LoRAs folder could not be made") from error
    mac_services().reveal(folder)
