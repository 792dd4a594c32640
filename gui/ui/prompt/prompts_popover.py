"""Prompts that were asked for, and those that were saved: searched, taken, forgotten."""

from __future__ import annotations

from PySide6.QtCore import QModelIndex, QPoint, Qt
from PySide6.QtWidgets import QHBoxLayout, QLineEdit, QMenu, QPushButton, QStackedWidget, QWidget

from gui.state.prompts.library import PromptLibrary
from gui.state.prompts.rows import PromptRows
from gui.ui.prompt.prompt_rows import PromptRowPainter
from gui.ui.widgets.controls import Segments, icon_button
from gui.ui.widgets.list_popover import ListPopover

HISTORY, SAVED = 0, 1
_EMPTY = (
    "Every prompt that you generate from is kept here.",
    "Save a prompt under a name to find it here.",
)


class PromptsPopover(ListPopover):
    """Opens at the prompt.

    Args:
        prompts: what there is.
        field: the prompt's field, which gets the focus back.
    """

    def __init__(self, prompts: PromptLibrary, field: QWidget) -> None:
        super().__init__(field, "Earlier and saved prompts", "Search prompts")
        self._prompts = prompts
        self._field = field
        self.models = (
            PromptRows(prompts.history, self),
            PromptRows(prompts.saved, self, named=True),
        )
        self.segments = Segments("Prompts", ("History", "Saved"))
        self.painter_ = PromptRowPainter(self.list)
        self.list.setItemDelegate(self.painter_)
        self.clear = QPushButton("Clear History")
        self.clear.setObjectName("flat")
        self.save = QPushButton("Save This Prompt…")
        self.name = QLineEdit()
        self.name.setPlaceholderText("Name")
        self.name.setAccessibleName("Name of the prompt")
        self.keep = QPushButton("Save")
        self.keep.setObjectName("sheetPrimary")
        self.cancel = icon_button("close", "Cancel")
        self.foot = QStackedWidget()
        self.foot.addWidget(_row(self.clear, None, self.save))
        self.foot.addWidget(_row(self.name, self.keep, self.cancel))
        self.foot.setFixedHeight(30)
        self.lay_out(self.foot, head=self.segments)
        self._connect()
        self.show_list(HISTORY)

    def _connect(self) -> None:
        self.segments.chosen.connect(self.show_list)
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
        self._prompts.refresh()
        self.foot.setCurrentIndex(0)
        super().open_below(button)

    def show_list(self, number: int) -> None:
        """`HISTORY` or `SAVED`."""
        if self.segments.current() != number:
            self.segments.choose(number)  # comes back here
            return
        self.list.setModel(self.rows)
        self.clear.setVisible(number == HISTORY)
        self.on_search(self.search.text())

    def on_search(self, text: str) -> None:
        self.rows.search(text)
        self._on_rows()

    def _on_rows(self) -> None:
        searched = bool(self.search.text().strip())
        self.show_rows("No prompt has these words." if searched else _EMPTY[self.rows.named])
        self.clear.setEnabled(bool(self._prompts.history.entries()))
        self.save.setEnabled(self._prompts.has_words)

    # -- what is done -------------------------------------------------------------------------

    def take(self, index: QModelIndex) -> None:
        """Put a prompt in the field; undo brings back what was there."""
        entry = self.rows.entry(index.row())
        if entry is not None:
            named = self.rows.named
            self.close()
            self._prompts.use(entry.value, "Use Saved Prompt" if named else "Use Earlier Prompt")
            self._field.setFocus()

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


def _row(*widgets: QWidget | None) -> QWidget:
    """Widgets side by side; None pushes them apart."""
    made = QWidget()
    row = QHBoxLayout(made)
    row.setContentsMargins(0, 0, 0, 0)
    for widget in widgets:
        if widget is None:
            row.addStretch(1)
        else:
            row.addWidget(widget, 1 if isinstance(widget, QLineEdit) else 0)
    return made
