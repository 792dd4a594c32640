"""Paints a model's card in the list."""

from __future__ import annotations

from PySide6.QtCore import QModelIndex, QObject, QPersistentModelIndex, QRect, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFontMetrics, QPainter
from PySide6.QtWidgets import QStyle, QStyledItemDelegate, QStyleOptionViewItem

from gui import words
from gui.state.model_entry import ModelEntry
from gui.ui.widgets.appearance import current_palette, sized_font
from gui.ui.widgets.cards import GAP, PADDING, TILE, isolated, paint_ground, paint_tile, placing
from gui.ui.widgets.icons import paint_icon
from gui.ui.widgets.palette import Palette

LINE = 18
MAX_PROBLEM_LINES = 4

_Index = QModelIndex | QPersistentModelIndex


class ModelCardDelegate(QStyledItemDelegate):
    """Name; family and size; attention, compression and size on disk, or why it can't be used."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._heights: dict[int, tuple[ModelEntry, int, QSize]] = {}

    def sizeHint(self, option: QStyleOptionViewItem, index: _Index) -> QSize:
        entry: ModelEntry = index.data(Qt.ItemDataRole.UserRole)
        width = option.rect.width()  # type: ignore[attr-defined]
        # Every card is measured again whenever one changes, and there may be thousands.
        known = self._heights.get(index.row())
        if known is None or known[0] is not entry or known[1] != width:
            known = (entry, width, self._measured(entry, width))
            self._heights[index.row()] = known
        return known[2]

    def _measured(self, entry: ModelEntry, width: int) -> QSize:
        text_lines = 2 * LINE
        if entry.problem:
            text_lines += self._problem_height(entry.problem, self._text_width(width))
        elif entry.facts():
            text_lines += LINE
        text_lines += LINE if entry.update or entry.source_line() else 0
        return QSize(120, max(TILE, text_lines) + 2 * PADDING + 2 * GAP)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: _Index) -> None:
        entry: ModelEntry = index.data(Qt.ItemDataRole.UserRole)
        palette = current_palette()
        rect: QRect = option.rect  # type: ignore[attr-defined]
        state = option.state  # type: ignore[attr-defined]
        card = QRectF(rect).adjusted(8, GAP, -8, -GAP)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        selected = bool(state & QStyle.StateFlag.State_Selected)
        paint_ground(painter, card, state, palette)
        place = placing(painter, option)
        tile = QRect(round(card.left()) + PADDING, round(card.top()) + PADDING, TILE, TILE)
        shade = entry.repo or entry.name
        paint_tile(painter, QRectF(place(tile)), shade, 0.45 if entry.problem else 1.0)
        left = tile.left() + TILE + PADDING
        column = QRect(left, round(card.top()) + PADDING - 1, round(card.right()) - left - 8, LINE)
        if selected:
            column.setRight(column.right() - 20)
            check = QRect(round(card.right()) - 26, column.top() + 1, 16, 16)
            paint_icon(painter, "check", place(check), palette.accent)
        if entry.update:
            column.setRight(column.right() - 20)
            mark = QRect(column.right() + 4, column.top() + 1, 16, 16)
            paint_icon(painter, "update", place(mark), palette.accent)
        whole = QRect(column)
        whole.setRight(round(card.right()) - 8)
        self._paint_text(painter, place(column), place(whole), entry, palette)
        painter.restore()

    def _paint_text(
        self, painter: QPainter, first: QRect, line: QRect, entry: ModelEntry, palette: Palette
    ) -> None:
        """`first`: where the name goes; `line`: the same line over the whole width."""
        bold, small = sized_font(13, bold=True), sized_font(12)
        dim = bool(entry.problem)
        name = words.short_name(entry.name) if entry.repo else entry.name
        self._line(painter, first, name, bold, palette.secondary if dim else palette.text)
        line = line.translated(0, LINE)
        word = "Update available" if entry.update else entry.source_line()
        if word:
            self._line(
                painter, line, word, small, palette.accent if entry.update else palette.secondary
            )
            line = line.translated(0, LINE)
        self._line(painter, line, entry.subtitle(), small, palette.secondary)
        line = line.translated(0, LINE)
        if entry.problem:
            line.setHeight(self._problem_height(entry.problem, line.width()))
            painter.setPen(QColor(palette.warning))
            painter.drawText(line, Qt.TextFlag.TextWordWrap, isolated(painter, entry.problem))
        else:
            self._line(painter, line, entry.facts(), small, palette.secondary)

    @staticmethod
    def _line(painter: QPainter, rect: QRect, text: str, font, colour: str) -> None:  # type: ignore[no-untyped-def]
        painter.setFont(font)
        painter.setPen(QColor(colour))
        mode = Qt.TextElideMode.ElideMiddle if font.bold() else Qt.TextElideMode.ElideRight
        shown = QFontMetrics(font).elidedText(text, mode, rect.width())
        painter.drawText(rect, Qt.AlignmentFlag.AlignVCenter, isolated(painter, shown))

    @staticmethod
    def _text_width(row_width: int) -> int:
        return max(80, row_width - 16 - 2 * PADDING - TILE - 8)

    @staticmethod
    def _problem_height(problem: str, width: int) -> int:
        metrics = QFontMetrics(sized_font(12))
        bounds = QRect(0, 0, width, 1000)
        height = metrics.boundingRect(bounds, Qt.TextFlag.TextWordWrap, problem).height()
        return min(height, metrics.lineSpacing() * MAX_PROBLEM_LINES) + 2
