"""What is kept to be quicker the next time, for the Settings window."""

from __future__ import annotations

from PySide6.QtCore import QObject, QTimer, Signal

from gui.errors import SfumatoError
from gui.library import caches
from gui.library.caches import CacheKind, CacheSize
from gui.state.background import Background

__all__ = ["CacheKind", "CacheSize", "Caches"]

TRIM_AFTER_MS = 120_000
"""After the start: nobody waits for it."""


class Caches(QObject):
    """Looks at the disk on a thread of its own, which large folders may hold for a while."""

    measured = Signal(list)
    """A `CacheSize` of every kind."""
    failed = Signal(SfumatoError)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._background = Background(self)

    def start(self) -> None:
        """Trim what has grown too large or old, after a while."""
        QTimer.singleShot(TRIM_AFTER_MS, self, self._trim)

    def measure(self) -> None:
        self._background.run(caches.sizes, self.measured.emit, self.failed.emit)

    def clear(self, kind: CacheKind) -> None:
        """Take away all of a kind, and measure again."""

        def work() -> list[CacheSize]:
            caches.clear(kind)
            return caches.sizes()

        self._background.run(work, self.measured.emit, self.failed.emit)

    def close(self) -> None:
        self._background.close()

    def _trim(self) -> None:
        self._background.run(caches.trim, lambda _gone: None, self.failed.emit)
