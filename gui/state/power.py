"""Whether this computer lives on its battery, asked now and then off the window's thread."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QObject, QTimer, Signal

from gui.state import desktop
from gui.state.background import Background

ASK_SECONDS = 10
"""Between two looks, while somebody wants to know."""


class Power(QObject):
    """The computer's source of power.

    Args:
        ask: tells whether it is the battery; called on another thread.
    """

    changed = Signal()
    """`on_battery` says something else now."""

    def __init__(
        self, parent: QObject | None = None, ask: Callable[[], bool] | None = None
    ) -> None:
        super().__init__(parent)
        self._ask = ask or desktop.services().on_battery
        self._on_battery: bool | None = None
        self._background = Background(self)
        self._timer = QTimer(self)
        self._timer.setInterval(ASK_SECONDS * 1000)
        self._timer.timeout.connect(self._look)

    @property
    def on_battery(self) -> bool | None:
        """None until the first answer has come."""
        return self._on_battery

    def watch(self, on: bool) -> None:
        """Whether anybody wants to know."""
        if not on:
            self._timer.stop()
        elif not self._timer.isActive():
            self._timer.start()
            self._look()

    def close(self) -> None:
        self._timer.stop()
        self._background.close()

    def _look(self) -> None:
        # What cannot be known must not keep anything waiting.
        self._background.run(self._ask, self._tell, lambda _error: self._tell(False))

    def _tell(self, on_battery: bool) -> None:
        if on_battery != self._on_battery:
            self._on_battery = on_battery
            self.changed.emit()
