"""How a kept prompt looks in a list: its name if it has one, its words, and what it should not
show."""

from __future__ import annotations

from PySide6.QtCore import (
    QAbstractItemModel,
    QEvent,
    QModelIndex,
    QPersistentModelIndex,
    QPointF,
    QRect,
    QSize,
    Qt,
    Signal,
)
from PySide6.QtGui import QMouseEvent, QPainter, QTextLayout, QTextOption
from PySide6.QtWidgets import QListView, QStyle, QStyledItemDelegate, QStyleOptionViewItem

from gui.state.prompts.rows import TITLE_ROLE
from gui.ui.widgets.appearance import current_palette, sized_font
from gui.ui.widgets.icons import paint_icon
from gui.ui.widgets.rows import LINE, Line, paint_ground, paint_lines

HEIGHT = 62
_LINES = 3
_CROSS = 14
_Index = QModelIndex | QPersistentModelIndex


def _cross(rect: QRect) -> QRect:
    """Where a row's button to delete it is."""
    return QRect(rect.right() - _CROSS - 8, rect.top() + 8, _CROSS, _CROSS)


class PromptRowPainter(QStyledItemDelegate):
    """Three lines a row, and a cross where the mouse is."""

    deleted = Signal(QModelIndex)

    def __init__(self, view: QListView) -> None:
        super().__init__(view)
        self._view = view

    def sizeHint(self, _option: QStyleOptionViewItem, _index: _Index) -> QSize:
        return QSize(100, HEIGHT)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: _Index) -> None:
        palette = current_palette()
        rect: QRect = option.rect  # type: ignore[attr-defined]
        state: QStyle.StateFlag = option.state  # type: ignore[attr-defined]
        lit = index.row() == self._view.currentIndex().row()
        over = bool(state & QStyle.StateFlag.State_MouseOver)
        painter.save()
        paint_ground(painter, rect, lit=lit, over=over)
        room = rect.adjusted(10, 0, -10, 0)
        lines = self.lines(index, room.width())
        room.setTop(rect.top() + (HEIGHT - LINE * len(lines)) // 2)
        paint_lines(painter, room, lines, spared=_CROSS + 8 if over else 0)
        if over:
            paint_icon(painter, "close", _cross(rect), palette.secondary)
        painter.restore()

    @staticmethod
    def lines(index: _Index, width: int) -> list[Line]:
        """What stands in a row."""
        palette = current_palette()
        text = index.data(Qt.ItemDataRole.UserRole).value
        title = index.data(TITLE_ROLE)
        rest = " ".join(text.rest.split())
        words = " ".join(text.prompt.split())
        lines = [Line(title, palette.text, bold=True)] if title else []
        free = _LINES - len(lines) - bool(rest)
        lines += [Line(part, palette.text) for part in _wrapped(words, width, free)]
        return lines + ([Line(rest, palette.secondary, 12)] if rest else [])

    def editorEvent(
        self,
        event: QEvent,
        model: QAbstractItemModel,
        option: QStyleOptionViewItem,
        index: _Index,
    ) -> bool:
        if isinstance(event, QMouseEvent):
            rect: QRect = option.rect  # type: ignore[attr-defined]
            on_cross = _cross(rect).adjusted(-4, -4, 4, 4).contains(event.position().toPoint())
            if on_cross and event.type() == QEvent.Type.MouseButtonRelease:
                self.deleted.emit(model.index(index.row(), 0))
            if on_cross:
                return True
        return super().editorEvent(event, model, option, index)


def _wrapped(text: str, width: int, most: int) -> list[str]:
    """A text as lines of a width, at most so many; the last has all the rest."""
    layout = QTextLayout(text[:400], sized_font(13))
    option = QTextOption()
    option.setWrapMode(QTextOption.WrapMode.WrapAtWordBoundaryOrAnywhere)
    layout.setTextOption(option)
    lines: list[str] = []
    layout.beginLayout()
    while len(lines) < most and (line := layout.createLine()).isValid():
        line.setLineWidth(width)
        line.setPosition(QPointF(0, 0))
        start = line.textStart()
        last = len(lines) == most - 1
        # Qt counts UTF-16 units.
        units = text.encode("utf-16-le", "surrogatepass")
        end = len(units) if last else 2 * (start + line.textLength())
        lines.append(units[2 * start : end].decode("utf-16-le", "surrogatepass").strip())
    layout.endLayout()
    return lines
