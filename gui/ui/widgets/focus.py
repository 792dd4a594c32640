"""Focus rings for those who move by keyboard: a click with the mouse leaves none.

Text fields show theirs always, since what is typed goes there.
"""

from __future__ import annotations

from PySide6.QtCore import QObject, Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QAbstractButton, QApplication, QComboBox, QSlider, QWidget

RING = "ring"
"""Property of the widget with the focus; the style sheet goes by it."""


class FocusRings(QObject):
    """Notes, whenever the focus moves, whether it was moved with the mouse."""

    def __init__(self, app: QApplication) -> None:
        super().__init__(app)
        app.focusChanged.connect(self._on_focus)

    def _on_focus(self, _before: QWidget | None, now: QWidget | None) -> None:
        if now is None:
            return
        ring = QGuiApplication.mouseButtons() == Qt.MouseButton.NoButton
        if now.property(RING) is ring:
            return
        now.setProperty(RING, ring)
        if isinstance(now, QAbstractButton | QComboBox | QSlider):  # the style sheet draws theirs
            now.style().unpolish(now)
            now.style().polish(now)
        QWidget.update(now)  # a list has an `update` of its own


def shows_ring(widget: QWidget | None) -> bool:
    """Whether a widget that paints itself has the focus, and should show it."""
    return widget is not None and widget.hasFocus() and bool(widget.property(RING))
