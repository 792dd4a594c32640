"""Focus rings for those who move by keyboard: a click with the mouse leaves none.

Text fields show theirs always, since what is typed goes there.  What decides is the hand that moved
last: the focus also moves because a button opened a dialog, or because what had it went away, and
then it depends on whether that was done with mouse or keyboard.
"""

from __future__ import annotations

from PySide6.QtCore import QEvent, QObject, Qt
from PySide6.QtGui import QGuiApplication, QKeyEvent, QWindow
from PySide6.QtWidgets import QAbstractButton, QApplication, QComboBox, QSlider, QWidget

RING = "ring"
"""Property of the widget with the focus; the style sheet goes by it."""

_MODIFIERS = (
    Qt.Key.Key_Shift, Qt.Key.Key_Control, Qt.Key.Key_Meta, Qt.Key.Key_Alt, Qt.Key.Key_AltGr,
    Qt.Key.Key_CapsLock,
)  # fmt: skip


class FocusRings(QObject):
    """Notes, whenever the focus moves, whether it was moved with the mouse."""

    def __init__(self, app: QApplication, parent: QObject) -> None:
        super().__init__(parent)
        self._by_mouse = False
        app.focusChanged.connect(self._on_focus)
        # On windows, not on the application: every event of every widget would pass through here.
        app.focusWindowChanged.connect(self._on_window)

    def _on_window(self, window: QWindow | None) -> None:
        if window is not None:
            window.installEventFilter(self)  # Qt takes a filter once, however often it is given

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        kind = event.type()
        if kind == QEvent.Type.MouseButtonPress:
            self._by_mouse = True
        elif kind == QEvent.Type.KeyPress and isinstance(event, QKeyEvent):
            self._on_key(event)
        return False

    def _on_key(self, event: QKeyEvent) -> None:
        if event.key() in _MODIFIERS or not self._by_mouse:
            return
        self._by_mouse = False
        self._on_focus(None, QApplication.focusWidget())  # from here on it is seen where one is

    def _on_focus(self, _before: QWidget | None, now: QWidget | None) -> None:
        self._on_window(QGuiApplication.focusWindow())  # which may be older than this object
        if now is None:
            return
        held = QGuiApplication.mouseButtons() != Qt.MouseButton.NoButton
        ring = not (held or self._by_mouse)
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
