"""ControlNets, LoRAs and upscalers that are installed, as the window sees them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from gui import paths
from gui.errors import SfumatoError, disk_error
from gui.library.addons import addons, home_of
from gui.library.models.records import InstalledModel, ModelKind
from gui.state import describe, desktop
from gui.state.background import Background
from gui.state.undo import UndoStack

__all__ = ["AddonLibrary", "InstalledModel", "ModelKind", "addon_name", "is_addon_folder"]


def is_addon_folder(folder: str) -> bool:
    """Whether a folder is in the place of ControlNets, LoRAs or upscalers.  Looks at no disk."""
    homes = (paths.controlnets_dir(), paths.loras_dir(), paths.upscalers_dir())
    return any(home in Path(folder).parents for home in homes)


def addon_name(entry: InstalledModel) -> str:
    """What a person knows it by."""
    name = Path(entry.folder).name
    for ending in (".safetensors", ".mlmodelc", ".mlpackage"):
        name = name.removesuffix(ending)
    return name


class AddonLibrary(QObject):
    """Lists what there is; moves it to the Trash, and back with undo.  Files are looked at and
    moved on a thread of its own.

    Args:
        undo: gets a step for what goes to the Trash.
    """

    changed = Signal()
    """`entries` was read again."""
    failed = Signal(SfumatoError)
    done = Signal(str)
    """One sentence: what can be undone."""

    def __init__(self, undo: UndoStack, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._undo = undo
        self._background = Background(self)
        self.entries: tuple[InstalledModel, ...] = ()
        self.known = False
        """Whether the folders have been read."""

    def refresh(self) -> None:
        """Read the folders; returns at once."""
        self._background.run(addons, self._on_read, self.failed.emit)

    def close(self) -> None:
        self._background.close()

    def folders(self) -> Mapping[tuple[str, str], str]:
        """Folder by repository and variant, of what came from the Hub."""
        return {(one.repo, one.variant): one.folder for one in self.entries if one.repo}

    def entry(self, folder: str) -> InstalledModel | None:
        return next((one for one in self.entries if one.folder == folder), None)

    def holding(self, path: str) -> InstalledModel | None:
        """What a folder or file belongs to."""
        place = Path(path)
        for one in self.entries:
            if Path(one.folder) in (place, *place.parents):
                return one
        return None

    def reveal(self, entry: InstalledModel) -> None:
        """Show it in the file manager."""
        self._background.run(lambda: desktop.reveal(entry.folder), lambda _: None, self.failed.emit)

    def show_folder(self, kind: ModelKind) -> None:
        """Show the folder in which all of a kind lie."""
        self._background.run(lambda: _revealed(kind), lambda _: None, self.failed.emit)

    def trash(self, entry: InstalledModel) -> None:
        """Move it to the Trash; undo brings it back."""
        place = entry.folder
        trashed = ""

        def gone(where: str) -> None:
            nonlocal trashed
            trashed = where
            self.refresh()

        def take(then: object = None) -> None:
            def moved(where: str) -> None:
                gone(where)
                if callable(then):
                    then()

            self._background.run(lambda: desktop.move_to_trash(place), moved, self.failed.emit)

        def bring_back() -> None:
            if trashed:
                self._background.run(
                    lambda: desktop.put_back(trashed, place),
                    lambda _: self.refresh(),
                    self.failed.emit,
                )

        def tell() -> None:
            self._undo.did("Move to Trash", bring_back, take)
            kind = describe.KINDS.get(entry.kind, "")
            self.done.emit(f"The {kind} “{addon_name(entry)}” is in the Trash.")

        take(tell)

    def undo(self) -> None:
        """Take back what was done last."""
        self._undo.undo()

    def _on_read(self, entries: tuple[InstalledModel, ...]) -> None:
        self.entries = entries
        self.known = True
        self.changed.emit()


def _revealed(kind: ModelKind) -> None:
    folder = home_of(kind) or paths.models_dir()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise disk_error(error, f"The folder “{folder.name}” could not be made") from error
    desktop.services().reveal(folder)
