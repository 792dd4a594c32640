"""A place that a picture is dropped on, or chosen for by a click or a key."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import (
    QDragEnterEvent,
    QDragLeaveEvent,
    QDropEvent,
    QImage,
    QKeyEvent,
    QMouseEvent,
)
from PySide6.QtWidgets import QWidget

from gui.ui.widgets.dropped import brings_picture, picture_from_drop


class PictureTarget(QWidget):
    """A widget of buttons' manners: Tab reaches it, a click, Space and Return ask for a picture,
    Delete takes it away, and it glows under a drag that brings one.

    A subclass says what that means.
    """

    def __init__(self) -> None:
        super().__init__()
        self._hovering = False
        self.setAcceptDrops(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setCursor(Qt.CursorShape.PointingHandCursor)

    def ask(self) -> None:
        """A picture is to be chosen."""
        raise NotImplementedError

    def holds_picture(self) -> bool:
        raise NotImplementedError

    def take_away(self) -> None:
        """The picture is to go."""
        raise NotImplementedError

    def take_dropped(self, found: str | QImage) -> bool:
        """What was dropped, as `picture_from_drop` tells it; whether it is taken."""
        raise NotImplementedError

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        inside = self.rect().contains(event.position().toPoint())
        if event.button() == Qt.MouseButton.LeftButton and inside:
            self.ask()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        held = event.modifiers() & ~Qt.KeyboardModifier.KeypadModifier
        if held == Qt.KeyboardModifier.NoModifier:
            if event.key() in (Qt.Key.Key_Space, Qt.Key.Key_Return, Qt.Key.Key_Enter):
                self.ask()
                return
            if event.key() in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace) and self.holds_picture():
                self.take_away()
                return
        super().keyPressEvent(event)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if brings_picture(event.mimeData()):
            event.setDropAction(Qt.DropAction.CopyAction)
            event.accept()
            self._hovering = True
            self.update()

    def dragLeaveEvent(self, _event: QDragLeaveEvent) -> None:
        self._hovering = False
        self.update()

    def dropEvent(self, event: QDropEvent) -> None:
        self._hovering = False
        self.update()
        if self.take_dropped(picture_from_drop(event.mimeData())):
            event.setDropAction(Qt.DropAction.CopyAction)
            event.accept()
