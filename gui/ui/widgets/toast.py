"""A few words that say what was done where nothing else shows it, and fade by themselves."""

from __future__ import annotations

from PySide6.QtCore import QEasingCurve, QEvent, QObject, QPropertyAnimation, Qt, QTimer
from PySide6.QtGui import QAccessible, QAccessibleAnnouncementEvent
from PySide6.QtWidgets import QFrame, QGraphicsOpacityEffect, QHBoxLayout, QLabel, QWidget

from gui.ui.widgets.controls import label
from gui.ui.widgets.icons import icon

STAYS_MS = 1400
FADES_MS = 350
MARGIN = 18
"""From the lower edge of what it lies over."""


class Toast(QFrame):
    """Lies over the foot of a widget, takes no clicks, and is read aloud.

    Args:
        over: the widget.
    """

    def __init__(self, over: QWidget) -> None:
        super().__init__(over)
        self._over = over
        self.setObjectName("toast")
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self._tick = QLabel()
        self._tick.setFixedSize(16, 16)
        self.text = label("", "statement")
        row = QHBoxLayout(self)
        row.setContentsMargins(12, 7, 14, 7)
        row.setSpacing(7)
        row.addWidget(self._tick)
        row.addWidget(self.text)
        self._effect = QGraphicsOpacityEffect(self)
        self.setGraphicsEffect(self._effect)
        self._fade = QPropertyAnimation(self._effect, b"opacity", self)
        self._fade.setDuration(FADES_MS)
        self._fade.setStartValue(1.0)
        self._fade.setEndValue(0.0)
        self._fade.setEasingCurve(QEasingCurve.Type.InQuad)
        self._fade.finished.connect(self.hide)
        self._stay = QTimer(self)
        self._stay.setSingleShot(True)
        self._stay.setInterval(STAYS_MS)
        self._stay.timeout.connect(self._fade.start)
        over.installEventFilter(self)
        self.hide()

    def say(self, text: str) -> None:
        """Show the words for a moment; what was said before gives way."""
        self._fade.stop()
        self._effect.setOpacity(1.0)
        self._tick.setPixmap(icon("check", tone="accent").pixmap(16, 16))
        self.text.setText(text)
        self._place()
        self.show()
        self.raise_()
        self._stay.start()
        QAccessible.updateAccessibility(QAccessibleAnnouncementEvent(self, text))

    def _place(self) -> None:
        self.adjustSize()
        left = (self._over.width() - self.width()) // 2
        self.move(max(0, left), max(0, self._over.height() - self.height() - MARGIN))

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Resize and self.isVisible():
            self._place()
        return super().eventFilter(watched, event)


def say_briefly(over: QWidget, text: str) -> None:
    """Show a few words over the foot of a widget; one toast for each widget."""
    found = over.findChild(Toast, options=Qt.FindChildOption.FindDirectChildrenOnly)
    (found or Toast(over)).say(text)
