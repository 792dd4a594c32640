"""News of a newer Sfumato, and what is said when the person asks for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject

import gui
from gui.ui.desks.parts import Parts, connect_commands

if TYPE_CHECKING:
    from gui.ui.update_sheet import UpdateSheet
    from gui.updates import Release


class UpdatesDesk(QObject):
    """Ties the check, the menu's command and the sheet with the notes."""

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts.window)
        self._studio = parts.studio
        self._window = parts.main_window
        self.sheet: UpdateSheet | None = None
        updates = parts.studio.updates
        updates.found.connect(self._show)
        updates.up_to_date.connect(self._on_up_to_date)
        updates.failed.connect(parts.studio.error_raised)
        connect_commands((parts.actions.updates, updates.check))

    def _show(self, release: Release) -> None:
        from gui.ui.update_sheet import UpdateSheet

        if self.sheet is None:
            self.sheet = UpdateSheet(self._studio.background, self._window)
            self.sheet.skipped.connect(self._studio.updates.skip)
            self.sheet.failed.connect(self._studio.error_raised)
        self.sheet.show_release(release)

    def _on_up_to_date(self) -> None:
        self._studio.notice.emit(f"Sfumato {gui.__version__} is the newest version.")
