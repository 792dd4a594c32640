"""Paints the rows of the queue, and knows where in a row there is something to press."""

from __future__ import annotations

from PySide6.QtCore import QModelIndex, QObject, QPersistentModelIndex, QRect, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFont, QFontMetrics, QImage, QPainter, QPainterPath, QPen
from PySide6.QtWidgets import QStyle, QStyledItemDelegate, QStyleOptionViewItem

from gui.state.activity import Activity
from gui.state.queue.rows import DETAIL_ROLE, QueueRow
from gui.ui.canvas.hud import activity_text
from gui.ui.widgets.appearance import current_palette, sized_font
from gui.ui.widgets.cards import GAP, PADDING, TILE, isolated, paint_ground, paint_tile, placing
from gui.ui.widgets.icons import paint_icon
from gui.ui.widgets.palette import Palette

LINE = 18
HEADING_HEIGHT = 34
PROBLEM_LINES = 4
MORE = 22
HEADING_WORDS = {"Failed": "Retry All", "Waiting": "Remove All", "Finished": "Clear"}
"""What can be done with all that is under a heading."""

_Index = QModelIndex | QPersistentModelIndex


class QueueDelegate(QStyledItemDelegate):
    """A picture or the place in line; prompt; what is asked for, how far it is, or what failed."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.activity = Activity()
        """Of the job that is running."""

    # -- where things are ---------------------------------------------------------------------

    def sizeHint(self, option: QStyleOptionViewItem, index: _Index) -> QSize:
        row: QueueRow = index.data(Qt.ItemDataRole.UserRole)
        if row.heading:
            return QSize(120, HEADING_HEIGHT)
        height = max(TILE, 2 * LINE)
        if row.problem:
            width = option.rect.width()  # type: ignore[attr-defined]
            height = max(height, 2 * LINE + self._problem_height(row.problem, width))
        return QSize(120, height + 2 * PADDING + 2 * GAP)

    @staticmethod
    def more_rect(row: QRect) -> QRect:
        """The button at the end of a job's first line."""
        return QRect(row.right() - 10 - MORE, row.top() + PADDING + 1, MORE, MORE)

    @staticmethod
    def retry_rect(row: QRect) -> QRect:
        """“Retry”, below the button."""
        width = QFontMetrics(sized_font(12, bold=True)).horizontalAdvance("Retry") + 8
        return QRect(row.right() - 14 - width, row.top() + PADDING + GAP + LINE, width, LINE)

    @staticmethod
    def heading_rect(row: QRect, heading: str) -> QRect:
        """What can be done with all under a heading; empty where that is nothing."""
        word = HEADING_WORDS.get(heading, "")
        if not word:
            return QRect()
        width = QFontMetrics(sized_font(12)).horizontalAdvance(word) + 12
        return QRect(row.right() - 12 - width, row.top() + 10, width, 20)

    @staticmethod
    def _text_width(row_width: int) -> int:
        return max(80, row_width - 16 - 2 * PADDING - TILE - 8)

    @classmethod
    def _problem_height(cls, problem: str, row_width: int) -> int:
        metrics = QFontMetrics(sized_font(12))
        bounds = QRect(0, 0, cls._text_width(row_width), 1000)
        height = metrics.boundingRect(bounds, Qt.TextFlag.TextWordWrap, problem).height()
        return min(height, metrics.lineSpacing() * PROBLEM_LINES)

    # -- painting -----------------------------------------------------------------------------

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: _Index) -> None:
        row: QueueRow = index.data(Qt.ItemDataRole.UserRole)
        rect: QRect = option.rect  # type: ignore[attr-defined]
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        if row.heading:
            self._paint_heading(painter, option, rect, row)
        else:
            self._paint_job(painter, option, rect, row, index)
        painter.restore()

    def _paint_heading(
        self, painter: QPainter, option: QStyleOptionViewItem, rect: QRect, row: QueueRow
    ) -> None:
        palette = current_palette()
        place = placing(painter, option)
        text = f"{row.heading}  {row.count}" if row.heading != "In Progress" else row.heading
        line = QRect(rect.left() + 16, rect.top() + 10, rect.width() - 32, 20)
        _line(painter, place(line), text, sized_font(12, bold=True), palette.secondary)
        button = self.heading_rect(rect, row.heading)
        if not button.isEmpty():
            painter.setFont(sized_font(12))
            painter.setPen(QColor(palette.accent))
            word = HEADING_WORDS[row.heading]
            painter.drawText(place(button), Qt.AlignmentFlag.AlignCenter, word)

    def _paint_job(
        self,
        painter: QPainter,
        option: QStyleOptionViewItem,
        rect: QRect,
        row: QueueRow,
        index: _Index,
    ) -> None:
        palette = current_palette()
        state = option.state  # type: ignore[attr-defined]
        card = QRectF(rect).adjusted(8, GAP, -8, -GAP)
        paint_ground(painter, card, state, palette)
        place = placing(painter, option)
        tile = QRect(round(card.left()) + PADDING, round(card.top()) + PADDING, TILE, TILE)
        self._paint_tile(painter, place(tile), row, index, palette)
        left = tile.right() + PADDING
        line = QRect(left, tile.top() + 1, round(card.right()) - left - 8, LINE)
        lit = QStyle.StateFlag.State_MouseOver | QStyle.StateFlag.State_Selected
        first = QRect(line)
        if state & lit:
            more = self.more_rect(rect)
            first.setRight(more.left() - 4)
            paint_icon(painter, "more", place(more.adjusted(2, 2, -2, -2)), palette.secondary)
        _line(painter, place(first), row.prompt, sized_font(13), palette.text)
        line = line.translated(0, LINE + 1)
        if row.status == "running" and not self.activity.waits.elsewhere:
            self._paint_progress(painter, place, line, palette)
            return
        if row.edited:
            word = "Its settings are in the panel"
            _line(painter, place(line), word, sized_font(12), palette.accent)
            return
        if row.status == "failed":
            retry = self.retry_rect(rect)
            line.setRight(retry.left() - 4)
            font = sized_font(12, bold=True)
            painter.setFont(font)
            painter.setPen(QColor(palette.accent))
            painter.drawText(place(retry), Qt.AlignmentFlag.AlignCenter, "Retry")
        detail = str(index.data(DETAIL_ROLE))
        _line(painter, place(line), detail, sized_font(12), palette.secondary)
        if row.problem:
            height = self._problem_height(row.problem, rect.width())
            below = QRect(left, line.bottom() + 2, round(card.right()) - left - 8, height)
            painter.setFont(sized_font(12))
            painter.setPen(QColor(palette.error))
            painter.drawText(place(below), Qt.TextFlag.TextWordWrap, isolated(painter, row.problem))

    def _paint_progress(self, painter: QPainter, place, line: QRect, palette: Palette) -> None:  # type: ignore[no-untyped-def]
        activity = self.activity
        what, figures = activity_text(activity)
        text = "  ·  ".join(t for t in (what, figures) if t)
        _line(painter, place(line.translated(0, -2)), text, sized_font(12), palette.secondary)
        total = activity.steps * activity.count
        share = (activity.picture_index * activity.steps + activity.step) / total if total else 0.0
        groove = QRectF(place(QRect(line.left(), line.bottom() + 1, line.width(), 3)))
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(palette.groove))
        painter.drawRoundedRect(groove, 1.5, 1.5)
        done = place(QRect(line.left(), line.bottom() + 1, round(line.width() * share), 3))
        if share > 0:
            painter.setBrush(QColor(palette.accent))
            painter.drawRoundedRect(QRectF(done), 1.5, 1.5)

    def _paint_tile(
        self, painter: QPainter, tile: QRect, row: QueueRow, index: _Index, palette: Palette
    ) -> None:
        image: QImage | None = index.data(Qt.ItemDataRole.DecorationRole)
        if row.status == "running" and self.activity.preview is not None:
            image = self.activity.preview
        if image is not None and not image.isNull():
            _paint_image(painter, QRectF(tile), image, palette)
        elif row.status in ("running", "done"):
            paint_tile(painter, QRectF(tile), row.prompt)
        else:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(palette.pressed))
            painter.drawRoundedRect(QRectF(tile), 9, 9)
            if row.status == "queued":
                painter.setPen(QColor(palette.secondary))
                painter.setFont(sized_font(13, bold=True))
                painter.drawText(tile, Qt.AlignmentFlag.AlignCenter, str(row.count))
        symbol = {"failed": "warning", "cancelled": "stop"}.get(row.status, "")
        if symbol and (image is None or image.isNull()):
            colour = palette.error if row.status == "failed" else palette.secondary
            paint_icon(painter, symbol, tile.adjusted(10, 10, -10, -10), colour)


def _line(painter: QPainter, rect: QRect, text: str, font: QFont, colour: str) -> None:
    painter.setFont(font)
    painter.setPen(QColor(colour))
    shown = QFontMetrics(font).elidedText(text, Qt.TextElideMode.ElideRight, rect.width())
    painter.drawText(rect, Qt.AlignmentFlag.AlignVCenter, isolated(painter, shown))


def _paint_image(painter: QPainter, tile: QRectF, image: QImage, palette: Palette) -> None:
    clip = QPainterPath()
    clip.addRoundedRect(tile, 6, 6)
    side = min(image.width(), image.height())
    source = QRectF((image.width() - side) / 2, (image.height() - side) / 2, side, side)
    painter.save()
    painter.setClipPath(clip)
    painter.drawImage(tile, image, source)
    painter.restore()
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.setPen(QPen(QColor(palette.border), 1))  # a white picture has an edge too
    painter.drawRoundedRect(tile.adjusted(0.5, 0.5, -0.5, -0.5), 6, 6)
