"""A pop-over with a list that is searched: typing filters, arrows choose, Return takes."""

from __future__ import annotations

from PySide6.QtCore import QAbstractItemModel, QEvent, QModelIndex, QObject, QPoint, QSize, Qt
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QFrame,
    QListView,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from gui.ui.widgets.controls import label, search_field

WIDTH, HEIGHT = 400, 460
_MOVES = {
    Qt.Key.Key_Up: -1, Qt.Key.Key_Down: 1, Qt.Key.Key_PageUp: -5, Qt.Key.Key_PageDown: 5,
}  # fmt: skip


class ListPopover(QFrame):
    """The list is moved from the search field, which has the focus.

    Args:
        parent: what it belongs to.
        name: what it is called to those who do not see it.
        placeholder: of the search field.
    """

    def __init__(self, parent: QWidget, name: str, placeholder: str) -> None:
        super().__init__(parent, Qt.WindowType.Popup)
        self.setObjectName("popover")
        self.setAccessibleName(name)
        self.search = search_field(placeholder)
        self.list = QListView()
        self.list.setAccessibleName(name)
        self.list.setUniformItemSizes(True)
        self.list.setMouseTracking(True)
        self.list.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.list.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.empty = label("", "secondary", wrap=True)
        self.empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._middle = QStackedWidget()
        self._middle.addWidget(self.list)
        self._middle.addWidget(self.empty)
        self.search.textChanged.connect(self.on_search)
        self.search.returnPressed.connect(lambda: self.take(self.list.currentIndex()))
        self.search.installEventFilter(self)
        self.list.clicked.connect(self.take)
        self.setFixedSize(QSize(WIDTH, HEIGHT))

    def lay_out(self, *foot: QWidget, head: QWidget | None = None) -> None:
        """Search field and list, between what stands above and below."""
        column = QVBoxLayout(self)
        column.setContentsMargins(12, 12, 12, 10)
        column.setSpacing(8)
        if head is not None:
            column.addWidget(head)
        column.addWidget(self.search)
        column.addWidget(self._middle, 1)
        for widget in foot:
            column.addWidget(widget)

    # -- what each is made for ----------------------------------------------------------------

    def on_search(self, text: str) -> None:
        """Show what fits the text."""
        raise NotImplementedError

    def take(self, index: QModelIndex) -> None:
        """A row was chosen."""
        raise NotImplementedError

    def delete(self, index: QModelIndex) -> None:
        """A row is to go (⌘⌫)."""

    # -- what all of them do ------------------------------------------------------------------

    def show_rows(self, nothing: str) -> None:
        """The rows are others now; `nothing` says why there are none."""
        model: QAbstractItemModel | None = self.list.model()
        some = model is not None and model.rowCount() > 0
        self._middle.setCurrentIndex(0 if some else 1)
        self.empty.setText(nothing)
        if model is not None and some and not self.list.currentIndex().isValid():
            self.list.setCurrentIndex(model.index(0, 0))

    def open_below(self, button: QWidget) -> None:
        """Show it under a button, as far as the screen goes."""
        self.search.clear()
        at = button.mapToGlobal(QPoint(button.width() - self.width(), button.height() + 4))
        room = button.screen().availableGeometry()
        x = max(room.left() + 8, min(at.x(), room.right() - self.width() - 8))
        y = max(room.top(), min(at.y(), room.bottom() - self.height() - 8))
        self.move(x, y)
        self.on_search("")
        self.show()
        self.search.setFocus(Qt.FocusReason.PopupFocusReason)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        pressed = isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress
        if watched is self.search and pressed and self._on_key(event):  # type: ignore[arg-type]
            return True
        return super().eventFilter(watched, event)

    def _on_key(self, event: QKeyEvent) -> bool:
        """Keys of the search field that are the list's."""
        key, index, model = event.key(), self.list.currentIndex(), self.list.model()
        by = _MOVES.get(key, 0)  # type: ignore[call-overload]
        if by:
            row = max(0, min(index.row() + by, model.rowCount() - 1))
            self.list.setCurrentIndex(model.index(row, 0))
            return True
        command = bool(event.modifiers() & Qt.KeyboardModifier.ControlModifier)
        if command and key in (Qt.Key.Key_Backspace, Qt.Key.Key_Delete):
            self.delete(index)
            return True
        return False

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Escape:
            self.close()
        elif event.key() not in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            super().keyPressEvent(event)
