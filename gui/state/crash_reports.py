"""Reports of crashes, for the person: that there is a new one, and what it says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from gui.errors import SfumatoError
from gui.process import crashes
from gui.state.background import Background


class CrashReports(QObject):
    """Args: background: looks at the disk."""

    found = Signal()
    """The window's process ended unexpectedly last time, and left a report."""

    def __init__(self, background: Background, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._background = background

    def start(self) -> None:
        """Look for what earlier processes have left."""
        self._background.run(crashes.collect, self._on_collected, _nothing)

    def list(
        self, then: Callable[[list[Path]], object], failed: Callable[[SfumatoError], object]
    ) -> None:
        """The reports that are kept, newest first."""
        self._background.run(crashes.reports, then, failed)

    def read(self, report: Path, then: Callable[[str], object]) -> None:
        """A report's text; empty where it is gone."""
        self._background.run(lambda: crashes.read(report), then, _nothing)

    def _on_collected(self, new: list[Path]) -> None:
        if new:
            self.found.emit()


def _nothing(_error: SfumatoError) -> None:
    """No report is worth a second error."""
