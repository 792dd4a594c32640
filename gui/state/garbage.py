"""Garbage is collected on the window's thread alone.

Python looks for unreachable objects on whatever thread happens to allocate the next one.  A worker
that reads a vocabulary would then destroy widgets, timers and menus that nobody holds any more, and
Qt's objects may be destroyed on their own thread only: the process crashes, now and then, somewhere
else.  So Python's own collections are off in this process, and a timer makes them here.
"""

from __future__ import annotations

import gc
from typing import Self

from PySide6.QtCore import QObject, QTimer

LOOK_MS = 700
"""How often the window's thread looks whether there is something to collect."""


class GarbageCollector(QObject):
    """Takes collections over; see `of`."""

    @classmethod
    def of(cls, application: QObject) -> Self:
        """The one of this process, which lives as long as its application."""
        return application.findChild(cls) or cls(application)

    def __init__(self, application: QObject) -> None:
        super().__init__(application)
        gc.disable()
        self._timer = QTimer(self)
        self._timer.timeout.connect(self.collect_due)
        self._timer.start(LOOK_MS)

    def settle(self) -> None:
        """What is there now stays for good: collections need not look at it again."""
        gc.freeze()

    @staticmethod
    def collect_due() -> None:
        """As far as Python would by its own thresholds: the oldest generation that is due."""
        counts = zip(gc.get_count(), gc.get_threshold(), strict=True)
        due = [generation for generation, (made, most) in enumerate(counts) if made > most]
        if due:
            gc.collect(due[-1])
