"""Other Macs: the sheet behind the menu's command."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject

from gui.ui.desks.parts import Parts, connect_commands

if TYPE_CHECKING:
    from gui.ui.farm.sheet import FarmSheet


class FarmDesk(QObject):
    """Shows the sheet, which is made when it is first wanted."""

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts.window)
        self._studio = parts.studio
        self._window = parts.main_window
        self.sheet: FarmSheet | None = None
        connect_commands((parts.actions.farm, self.show))

    def show(self) -> None:
        from gui.ui.farm.sheet import FarmSheet

        if self.sheet is None:
            self.sheet = FarmSheet(self._studio.farm, self._window)
        self.sheet.refresh()
        self.sheet.show()
        self.sheet.raise_()
