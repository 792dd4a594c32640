"""What is said after a crash, and where its report is read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject

from gui.ui.desks.parts import Parts, connect_commands

if TYPE_CHECKING:
    from gui.ui.report_sheet import ReportSheet


class ReportsDesk(QObject):
    """Ties the reports, the banner and the menu's command together."""

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts.window)
        self._studio = parts.studio
        self._window = parts.main_window
        self._banner = parts.canvas.banner
        self.sheet: ReportSheet | None = None
        parts.studio.reports.found.connect(self._on_found)
        connect_commands((parts.actions.reports, self.show))

    def show(self) -> None:
        from gui.ui.report_sheet import ReportSheet

        if self.sheet is None:
            self.sheet = ReportSheet(self._studio.reports, self._window)
            self.sheet.failed.connect(self._studio.error_raised)
        self.sheet.open()

    def _on_found(self) -> None:
        self._banner.show_offer(
            "Sfumato stopped unexpectedly last time. Your pictures and the queue are safe.",
            "Show Report…",
            self.show,
        )
