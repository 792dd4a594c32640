"""What can be done with finished pictures: save, copy, reveal, use again, move to the Trash."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QFileDialog, QWidget

from gui.errors import SfumatoError
from gui.state import desktop

if TYPE_CHECKING:
    from gui.state.pictures.types import IndexedPicture
    from gui.state.studio import Studio


class PictureCommands(QObject):
    """Acts on the picture on show, or on those chosen with it.

    Args:
        studio: where the pictures are.
        shown: the picture on show, None while there is none.
        chosen: paths of all that are chosen on the strip.
        window: what dialogs lie over.
    """

    failed = Signal(SfumatoError)
    said = Signal(str)
    """What was done where nothing else shows it."""
    settings_wanted = Signal(str)
    """Path of the picture whose settings are wanted."""
    start_wanted = Signal(str)

    def __init__(
        self,
        studio: Studio,
        shown: Callable[[], IndexedPicture | None],
        chosen: Callable[[], list[str]],
        window: QWidget,
    ) -> None:
        super().__init__(window)
        self._studio = studio
        self._shown = shown
        self._chosen = chosen
        self._window = window

    def save_as(self) -> None:
        picture = self._shown()
        if picture is None:
            return
        suggested = str(Path.home() / Path(picture.path).name)
        target, _ = QFileDialog.getSaveFileName(
            self._window, "Save Picture As", suggested, "PNG picture (*.png)"
        )
        if not target:
            return
        if not Path(target).suffix:
            target += ".png"
        self._studio.background.run(
            lambda: desktop.save_copy(picture.path, target), lambda _: None, self.failed.emit
        )

    def copy(self) -> None:
        picture = self._shown()
        if picture is not None:
            desktop.copy_to_clipboard(self._studio.pictures.drag_data([picture.path]))
            self.said.emit("Copied")

    def reveal(self) -> None:
        picture = self._shown()
        if picture is not None:
            self.reveal_path(picture.path)

    def reveal_path(self, path: str) -> None:
        """Show a file or folder in the file manager."""
        self._studio.background.run(lambda: desktop.reveal(path), lambda _: None, self.failed.emit)

    def use_settings(self) -> None:
        picture = self._shown()
        if picture is not None:
            self.settings_wanted.emit(picture.path)

    def use_as_start(self) -> None:
        picture = self._shown()
        if picture is not None:
            self.start_wanted.emit(picture.path)

    def trash(self) -> None:
        """The picture on show, with those chosen beside it, to the Trash."""
        picture = self._shown()
        if picture is not None:
            chosen = self._chosen()
            self._studio.trash.move(chosen if picture.path in chosen else [picture.path])
