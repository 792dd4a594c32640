"""Conversion in the main window: the sheet, and the strip that says how far it is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

from gui.ui.convert.progress import ConvertStrip
from gui.ui.desks.parts import Parts, connect_commands

if TYPE_CHECKING:
    from gui.ui.convert.sheet import ConvertSheet


class ConvertDesk(QObject):
    """Opens the sheet, made when it is first wanted, and keeps the strip true."""

    reveal_wanted = Signal(str)
    """The file or folder at this path is to be shown in the file manager."""

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts.window)
        self._studio = parts.studio
        self._main_window = parts.main_window
        self.strip = ConvertStrip()
        self.sheet: ConvertSheet | None = None
        convert = parts.studio.convert
        convert.status_changed.connect(self._show_strip)
        convert.unfinished_changed.connect(self._show_strip)
        self.strip.opened.connect(self.show)
        self.strip.dismissed.connect(convert.dismiss)
        parts.models.convert_requested.connect(self.show)
        connect_commands((parts.actions.convert, self.show))

    def show(self, path: str = "") -> None:
        """The Convert sheet, with a source where one was handed over."""
        from gui.ui.convert.sheet import ConvertSheet

        convert = self._studio.convert
        if self.sheet is None:
            self.sheet = ConvertSheet(convert, self._main_window)
            self.sheet.model_wanted.connect(self._studio.using.greet)
            self.sheet.reveal_wanted.connect(self.reveal_wanted)
        if path and convert.status.busy:
            self._studio.notice.emit(
                f"One model is converted at a time; choose “{Path(path).name}” after this one."
            )
        self.sheet.open_with(path)

    def _show_strip(self, *_: object) -> None:
        convert = self._studio.convert
        self.strip.show_status(convert.status, len(convert.unfinished))
