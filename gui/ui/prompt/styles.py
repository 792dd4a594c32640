"""The styles that are on as chips under the prompt, and the list to choose them from."""

from __future__ import annotations

from PySide6.QtCore import QModelIndex, QRect, QSize, Qt, Signal
from PySide6.QtGui import (
    QPainter,
    QStandardItem,
    QStandardItemModel,
)
from PySide6.QtWidgets import (
    QListView,
    QPushButton,
    QSizePolicy,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QWidget,
)

from gui import words
from gui.parameters import Parameter
from gui.state.prompts.styles import PromptStyle, StyleLibrary
from gui.ui.widgets.appearance import current_palette
from gui.ui.widgets.controls import without_shortcut
from gui.ui.widgets.flow_layout import FlowLayout
from gui.ui.widgets.icons import icon, paint_icon
from gui.ui.widgets.list_popover import ListPopover
from gui.ui.widgets.rows import Line, paint_ground, paint_lines

LONGEST = 28
"""Characters of a name on a chip."""
_ROW = 44
_TICK = 16


def told(style: PromptStyle) -> str:
    """What a style does, in words."""
    parts = [style.prompt] if style.prompt else []
    parts += [f"Not: {style.negative_prompt}"] if style.negative_prompt else []
    return "\n".join(parts)


class StyleChips(QWidget):
    """A chip per style that is on, which takes it off, and a button to choose more."""

    edited = Signal(object)
    """Those that are on now, a tuple."""
    wanted = Signal()
    """The person wants to choose."""

    def __init__(self, field: Parameter) -> None:
        super().__init__()
        self._on: tuple[PromptStyle, ...] = ()
        self.add = QPushButton("Style")
        self.add.setObjectName("styleAdd")
        self.add.setIcon(icon("plus", tone="secondary"))
        self.add.setIconSize(QSize(12, 12))
        self.add.setToolTip(words.plain_tip(field.help))
        self.add.setAccessibleName("Choose styles")
        self.add.clicked.connect(self.wanted)
        self._flow = FlowLayout(5, centred=False)
        self._flow.addWidget(self.add)
        self.setLayout(self._flow)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Minimum)

    def chips(self) -> list[QPushButton]:
        """Those of the styles, in order."""
        items = (self._flow.itemAt(k) for k in range(self._flow.count()))
        widgets = [item.widget() for item in items if item is not None]
        return [w for w in widgets if isinstance(w, QPushButton) and w is not self.add]

    def set_value(self, on: tuple[PromptStyle, ...]) -> None:
        if on == self._on:
            return
        self._on = on
        pressed = next((k for k, chip in enumerate(self.chips()) if chip.hasFocus()), -1)
        while (item := self._flow.takeAt(0)) is not None:
            widget = item.widget()
            if widget is not None and widget is not self.add:
                widget.hide()
                widget.deleteLater()
        for style in on:
            chip = self._chip(style)
            self._flow.addWidget(chip)
            chip.show()  # at once: what is hidden has no size, and the panel would jump later
        self._flow.addWidget(self.add)
        self.add.setText("" if on else "Style")
        self.add.setProperty("round", bool(on))
        self.add.style().unpolish(self.add)
        self.add.style().polish(self.add)
        self.updateGeometry()
        if pressed >= 0:  # the next one is where the pressed one was
            there = (self.chips()[pressed : pressed + 1] or [self.add])[0]
            there.show()
            there.setFocus(Qt.FocusReason.OtherFocusReason)

    def _chip(self, style: PromptStyle) -> QPushButton:
        chip = QPushButton(without_shortcut(words.shortened(style.name, LONGEST)))
        chip.setObjectName("filterChip")
        chip.setIcon(icon("close", tone="secondary"))
        chip.setIconSize(chip.iconSize() * 0.75)
        chip.setLayoutDirection(Qt.LayoutDirection.RightToLeft)
        chip.setAccessibleName(f"Take off the style {style.name}")
        chip.setToolTip(words.plain_tip(f"{style.name}\n{told(style)}"))
        chip.ensurePolished()  # so that its size is right before it is seen
        # Queued: the click is over before the chip it came from goes away.
        chip.clicked.connect(
            lambda *_: self.edited.emit(tuple(one for one in self._on if one != style)),
            Qt.ConnectionType.QueuedConnection,
        )
        return chip


class _StylePainter(QStyledItemDelegate):
    """A tick where it is on, the name, and below it what it puts around a prompt."""

    def __init__(self, view: QListView, styles: StyleLibrary) -> None:
        super().__init__(view)
        self._view = view
        self._styles = styles

    def sizeHint(self, _option: QStyleOptionViewItem, _index: QModelIndex) -> QSize:  # type: ignore[override]
        return QSize(100, _ROW)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex) -> None:  # type: ignore[override]
        palette = current_palette()
        rect: QRect = option.rect  # type: ignore[attr-defined]
        state: QStyle.StateFlag = option.state  # type: ignore[attr-defined]
        style: PromptStyle = index.data(Qt.ItemDataRole.UserRole)
        lit = index.row() == self._view.currentIndex().row()
        painter.save()
        over = bool(state & QStyle.StateFlag.State_MouseOver)
        paint_ground(painter, rect, lit=lit, over=over)
        if any(one.name == style.name for one in self._styles.on()):
            tick = QRect(rect.left() + 8, rect.center().y() - _TICK // 2, _TICK, _TICK)
            paint_icon(painter, "check", tick, palette.accent)
        below = "  ·  ".join(told(style).split("\n"))
        lines = (Line(style.name, palette.text), Line(below, palette.secondary, 12))
        paint_lines(painter, rect.adjusted(8 + _TICK + 8, 5, -10, -4), lines)
        painter.restore()


class StylesPopover(ListPopover):
    """Every style; Return or a click puts one on or takes it off, and the list stays.

    Args:
        styles: those there are.
        parent: what it belongs to.
    """

    sheet_wanted = Signal()
    """The person wants to edit styles."""

    def __init__(self, styles: StyleLibrary, parent: QWidget) -> None:
        super().__init__(parent, "Styles", "Search styles")
        self._styles = styles
        self._model = QStandardItemModel(self)
        self.list.setModel(self._model)
        self.list.setItemDelegate(_StylePainter(self.list, styles))
        self.edit = QPushButton("Edit Styles…")
        self.edit.setObjectName("flat")
        self.edit.clicked.connect(self._on_edit)
        self.lay_out(self.edit)
        styles.changed.connect(lambda: self.on_search(self.search.text()))
        self.on_search("")

    def open_below(self, button: QWidget) -> None:
        self._styles.shelf.refresh()
        super().open_below(button)

    def on_search(self, text: str) -> None:
        wanted = text.casefold().split()
        here = self.list.currentIndex().row()
        self._model.clear()
        for style in self._styles.styles():
            said = f"{style.name}\n{told(style)}".casefold()
            if all(word in said for word in wanted):
                item = QStandardItem(style.name)
                item.setEditable(False)
                item.setData(style, Qt.ItemDataRole.UserRole)
                item.setToolTip(words.plain_tip(f"{style.name}\n{told(style)}"))
                self._model.appendRow(item)
        row = max(0, min(here, self._model.rowCount() - 1))
        self.list.setCurrentIndex(self._model.index(0 if wanted else row, 0))
        self.show_rows("No style has these words.")

    def take(self, index: QModelIndex) -> None:
        style = index.data(Qt.ItemDataRole.UserRole)
        if style is not None:
            self._styles.toggle(style)
            self.list.viewport().update()

    def _on_edit(self) -> None:
        self.close()
        self.sheet_wanted.emit()
