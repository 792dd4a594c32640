"""Prompts that were asked for, and those that were saved: searched, taken, forgotten."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QModelIndex, QObject, QPoint, QSize, Qt
from PySide6.QtGui import QAction, QKeyEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QFrame,
    QHBoxLayout,
    QLineEdit,
    QListView,
    QMenu,
    QPushButton,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from gui.state.prompts.library import PromptLibrary
from gui.state.prompts.rows import PromptRows
from gui.ui.prompt.prompt_rows import PromptRowPainter
from gui.ui.widgets.controls import Segments, icon_button, label
from gui.ui.widgets.icons import icon

WIDTH, HEIGHT = 400, 460
HISTORY, SAVED = 0, 1
_EMPTY = (
    "Every prompt that you generate from is kept here.",
    "Save a prompt under a name to find it here.",
)
_MOVES = {
    Qt.Key.Key_Up: -1, Qt.Key.Key_Down: 1, Qt.Key.Key_PageUp: -5, Qt.Key.Key_PageDown: 5,
}  # fmt: skip


class PromptsPopover(QFrame):
    """Opens at the prompt.  Typing searches, arrows choose, Return takes.

    Args:
        prompts: what there is.
        field: the prompt's field, which gets the focus back.
    """

    def __init__(self, prompts: PromptLibrary, field: QWidget) -> None:
        super().__init__(field, Qt.WindowType.Popup)
        self.setObjectName("popover")
        self.setAccessibleName("Earlier and saved prompts")
        self._prompts = prompts
        self._field = field
        self.models = (
            PromptRows(prompts.history, self),
            PromptRows(prompts.saved, self, named=True),
        )
        self.segments = Segments("Prompts", ("History", "Saved"))
        self.search = QLineEdit()
        self.search.setPlaceholderText("Search prompts")
        self.search.setAccessibleName("Search prompts")
        self.search.setClearButtonEnabled(True)
        self.search.addAction(
            QAction(icon("search", tone="secondary"), "", self.search),
            QLineEdit.ActionPosition.LeadingPosition,
        )
        self.list = QListView()
        self.list.setAccessibleName("Prompts")
        self.list.setUniformItemSizes(True)
        self.list.setMouseTracking(True)
        self.list.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.list.setFocusPolicy(Qt.FocusPolicy.NoFocus)  # it is moved from the search field
        self.painter_ = PromptRowPainter(self.list)
        self.list.setItemDelegate(self.painter_)
        self.empty = label("", "secondary", wrap=True)
        self.empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.clear = QPushButton("Clear History")
        self.clear.setObjectName("flat")
        self.save = QPushButton("Save This Prompt…")
        self.name = QLineEdit()
        self.name.setPlaceholderText("Name")
        self.name.setAccessibleName("Name of the prompt")
        self.keep = QPushButton("Save")
        self.keep.setObjectName("sheetPrimary")
        self.cancel = icon_button("close", "Cancel")
        self._lay_out()
        self._connect()
        self.show_list(HISTORY)

    def _lay_out(self) -> None:
        foot = QWidget()
        row = QHBoxLayout(foot)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.clear)
        row.addStretch(1)
        row.addWidget(self.save)
        naming = QWidget()
        row = QHBoxLayout(naming)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.name, 1)
        row.addWidget(self.keep)
        row.addWidget(self.cancel)
        self.foot = QStackedWidget()
        self.foot.addWidget(foot)
        self.foot.addWidget(naming)
        self.foot.setFixedHeight(30)
        self.middle = QStackedWidget()
        self.middle.addWidget(self.list)
        self.middle.addWidget(self.empty)
        column = QVBoxLayout(self)
        column.setContentsMargins(12, 12, 12, 10)
        column.setSpacing(8)
        column.addWidget(self.segments)
        column.addWidget(self.search)
        column.addWidget(self.middle, 1)
        column.addWidget(self.foot)
        self.setFixedSize(QSize(WIDTH, HEIGHT))

    def _connect(self) -> None:
        self.segments.chosen.connect(self.show_list)
        self.search.textChanged.connect(self._on_search)
        self.search.returnPressed.connect(self._take_current)
        self.search.installEventFilter(self)
        self.list.clicked.connect(self.take)
        self.list.customContextMenuRequested.connect(self._show_menu)
        self.painter_.deleted.connect(self.delete)
        self.clear.clicked.connect(self._clear)
        self.save.clicked.connect(self.ask_name)
        self.name.returnPressed.connect(self._keep)
        self.keep.clicked.connect(self._keep)
        self.cancel.clicked.connect(lambda: self.foot.setCurrentIndex(0))
        for model in self.models:
            model.filled.connect(self._on_rows)

    # -- what is shown ------------------------------------------------------------------------

    @property
    def rows(self) -> PromptRows:
        """Those on show."""
        return self.models[self.segments.current()]

    def open_below(self, button: QWidget) -> None:
        """Show it under a button, as far as the screen goes."""
        self._prompts.refresh()
        self.search.clear()
        self.foot.setCurrentIndex(0)
        at = button.mapToGlobal(QPoint(button.width() - self.width(), button.height() + 4))
        room = button.screen().availableGeometry()
        x = max(room.left() + 8, min(at.x(), room.right() - self.width() - 8))
        y = max(room.top(), min(at.y(), room.bottom() - self.height() - 8))
        self.move(x, y)
        self.show_list(self.segments.current())
        self.show()
        self.search.setFocus(Qt.FocusReason.PopupFocusReason)

    def show_list(self, number: int) -> None:
        """`HISTORY` or `SAVED`."""
        if self.segments.current() != number:
            self.segments.choose(number)  # comes back here
            return
        self.list.setModel(self.rows)
        self.clear.setVisible(number == HISTORY)
        self._on_search(self.search.text())
        self._on_rows()

    def _on_search(self, text: str) -> None:
        self.rows.search(text)

    def _on_rows(self) -> None:
        some = self.rows.rowCount() > 0
        self.middle.setCurrentIndex(0 if some else 1)
        searched = bool(self.search.text().strip())
        self.empty.setText(
            "No prompt has these words." if searched else _EMPTY[self.segments.current()]
        )
        self.clear.setEnabled(bool(self._prompts.history.entries()))
        self.save.setEnabled(self._prompts.has_words)
        if some and not self.list.currentIndex().isValid():
            self.list.setCurrentIndex(self.rows.index(0))

    # -- what is done -------------------------------------------------------------------------

    def take(self, index: QModelIndex) -> None:
        """Put a prompt in the field; undo brings back what was there."""
        entry = self.rows.entry(index.row())
        if entry is not None:
            named = self.rows.named
            self.close()
            self._prompts.use(entry.value, "Use Saved Prompt" if named else "Use Earlier Prompt")
            self._field.setFocus()

    def _take_current(self) -> None:
        self.take(self.list.currentIndex())

    def delete(self, index: QModelIndex) -> None:
        """Forget a prompt; its pictures stay."""
        entry = self.rows.entry(index.row())
        if entry is not None:
            row = index.row()
            self._prompts.forget(self.rows.shelf, [entry.key])
            self.list.setCurrentIndex(self.rows.index(min(row, self.rows.rowCount() - 1)))

    def _clear(self) -> None:
        history = self._prompts.history
        self._prompts.forget(history, [entry.key for entry in history.entries()])

    def ask_name(self) -> None:
        """Have a name typed for the prompt in the field."""
        self.name.setText("")
        self.foot.setCurrentIndex(1)
        self.name.setFocus()

    def _keep(self) -> None:
        if self.name.text().strip():
            self._prompts.save(self.name.text())
            self.foot.setCurrentIndex(0)
            self.search.clear()
            self.show_list(SAVED)
            self.search.setFocus()

    def context_menu(self, index: QModelIndex) -> QMenu:
        """What can be done with one prompt."""
        menu = QMenu(self)
        menu.addAction("Use This Prompt", lambda: self.take(index))
        menu.addSeparator()
        menu.addAction("Delete", lambda: self.delete(index))
        return menu

    def _show_menu(self, at: QPoint) -> None:
        index = self.list.indexAt(at)
        if index.isValid():
            menu = self.context_menu(index)
            menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
            menu.popup(self.list.viewport().mapToGlobal(at))

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        pressed = isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress
        if watched is self.search and pressed and self._on_key(event):  # type: ignore[arg-type]
            return True
        return super().eventFilter(watched, event)

    def _on_key(self, event: QKeyEvent) -> bool:
        """Keys of the search field that are the list's."""
        key, index = event.key(), self.list.currentIndex()
        by = _MOVES.get(key, 0)  # type: ignore[call-overload]
        if by:
            row = max(0, min(index.row() + by, self.rows.rowCount() - 1))
            self.list.setCurrentIndex(self.rows.index(row))
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
