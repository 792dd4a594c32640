"""The gallery's grid: a hundred thousand pictures by day, of which only those in view are drawn."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Iterable

from PySide6.QtCore import QPoint, QPointF, QRect, QRectF, QSize, Qt, QTimer, Signal
from PySide6.QtGui import (
    QAccessible,
    QAccessibleAnnouncementEvent,
    QColor,
    QContextMenuEvent,
    QDrag,
    QImage,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPainterPath,
    QPaintEvent,
    QPen,
    QPixmap,
    QResizeEvent,
)
from PySide6.QtWidgets import QAbstractScrollArea, QApplication, QFrame, QWidget

from gui import words
from gui.state.pictures.gallery import Gallery
from gui.state.pictures.types import IndexedPicture
from gui.ui.canvas.picture_view import drag_pixmap
from gui.ui.pictures.grid_layout import HEADING, MARGIN, GridLayout, Section
from gui.ui.widgets.appearance import current_palette, sized_font
from gui.ui.widgets.focus import shows_ring
from gui.ui.widgets.icons import paint_icon
from gui.ui.widgets.palette import Palette

SIDES = (96, 120, 148, 180, 220, 270, 330)
"""Sides of a picture that can be chosen.  At the smallest, a large screen shows fewer than
`gui.state.pictures.thumbnails` keeps."""
FIRST_SIDE = 180
RADIUS = 6
HEART = 26
FRAME_SECONDS = 0.010
"""How long one frame may cut thumbnails to size; the rest is cut in the next."""
LEAST_CACHE = 24 * 2**20
"""Bytes of thumbnails at their size on the screen that are kept at least."""
SCROLL_MARGIN = 24
SCROLL_MS = 30

_MOVES = {
    Qt.Key.Key_Left, Qt.Key.Key_Right, Qt.Key.Key_Up, Qt.Key.Key_Down, Qt.Key.Key_Home,
    Qt.Key.Key_End, Qt.Key.Key_PageUp, Qt.Key.Key_PageDown,
}  # fmt: skip
_CONTROL, _SHIFT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier


class PictureGrid(QAbstractScrollArea):
    """Shows a `Gallery`.  What is chosen is kept by the pictures' ids, so it stays chosen when rows
    move."""

    current_changed = Signal()
    """Another picture is the current one, or none."""
    chosen_changed = Signal()
    opened = Signal()
    """The current picture is wanted on the canvas."""
    left = Signal()
    """Escape: back to the canvas."""
    look_wanted = Signal()
    """The current picture is wanted large."""
    delete_requested = Signal()
    favourite_requested = Signal(list)
    """Ids of the pictures that are to be marked, or no longer."""
    menu_requested = Signal(QPoint)
    drag_refused = Signal()
    """More pictures are chosen than can be dragged."""

    def __init__(self, pictures: Gallery, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._pictures = pictures
        self._side = FIRST_SIDE
        self._chosen: set[int] = set()
        self._current = -1  # an id
        self._anchor = -1
        self._held_at = -1  # id of the topmost picture in view, which stays there
        self._cuts: OrderedDict[tuple[int, int, int], QPixmap] = OrderedDict()
        self._cut_bytes = 0
        self._hover = -1
        self._pressed: QPoint | None = None
        self._pressed_row = -1
        self._band: QRect | None = None
        self._band_from = QPoint()
        self._band_base: set[int] = set()
        self._band_at = QPoint()
        self._scroll = QTimer(self, interval=SCROLL_MS)
        self._scroll.timeout.connect(self._scroll_with_band)
        self._late = QTimer(self, singleShot=True, interval=0)
        self._late.timeout.connect(self._repaint)
        self.layout_ = GridLayout([], 0, 100, FIRST_SIDE)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        # Always there: the width of a line does not change while pictures come.
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOn)
        self.setAccessibleName("Pictures")
        self.viewport().setMouseTracking(True)
        self.viewport().setAutoFillBackground(False)
        for signal in (pictures.rowsInserted, pictures.rowsRemoved, pictures.refreshed):
            signal.connect(self._on_rows)
        pictures.dataChanged.connect(self._repaint)

    # -- what is shown ------------------------------------------------------------------------

    @property
    def side(self) -> int:
        """Side of a picture that was asked for; see `GridLayout`."""
        return self._side

    def set_side(self, side: int) -> None:
        """Draw pictures at another size; the current one, or those in view, stay in view."""
        side = min(SIDES[-1], max(SIDES[0], side))
        if side == self._side:
            return
        row = self.current_row()
        if row < 0 or row not in self.visible_rows():
            row = next(iter(self.visible_rows()), -1)
        self._side = side
        self._lay_out()
        if row >= 0:
            rect = self.layout_.rect_of(row)
            self.verticalScrollBar().setValue(rect.center().y() - self.viewport().height() // 2)

    def _on_rows(self, *_: object) -> None:
        ids = self._pictures.ids()
        if self._chosen:
            self._chosen &= set(ids)
        if self._current >= 0 and self._pictures.row_of_id(self._current) < 0:
            self._current = self._anchor = -1
            self.current_changed.emit()
        before = self._held_at
        self._lay_out()
        if before >= 0 and self.verticalScrollBar().value() > 0:
            row = self._pictures.row_of_id(before)
            if row >= 0:
                top = self.layout_.rect_of(row).top()
                self.verticalScrollBar().setValue(top - self._held_offset)
        self.chosen_changed.emit()

    _held_offset = 0

    def _repaint(self, *_: object) -> None:
        self.viewport().update()

    def _lay_out(self) -> None:
        total = self._pictures.rowCount()
        width = self.viewport().width()
        self.layout_ = GridLayout(self._pictures.days(), total, width, self._side)
        bar, page = self.verticalScrollBar(), self.viewport().height()
        bar.setPageStep(page)
        bar.setSingleStep(max(20, self.layout_.cell // 3))
        bar.setRange(0, max(0, self.layout_.height - page))
        self.viewport().update()

    def visible_rows(self) -> list[int]:
        """Pictures of which at least a part is in view."""
        return self.layout_.rows_in(self._view())

    def _view(self) -> QRect:
        """The part of all that is in view."""
        top = self.verticalScrollBar().value()
        return QRect(0, top, self.viewport().width(), self.viewport().height())

    def rect_on_screen(self, row: int) -> QRect:
        """Where a picture is in the viewport."""
        return self.layout_.rect_of(row).translated(0, -self.verticalScrollBar().value())

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        row = next(iter(self.visible_rows()), -1)
        self._lay_out()
        if row >= 0 and event.oldSize().width() != event.size().width():
            self.scroll_to(row)

    def scrollContentsBy(self, _dx: int, _dy: int) -> None:
        self._hover = -1
        self.viewport().update()

    def scroll_to(self, row: int) -> None:
        """Bring a picture into view, with its day where it is the day's first."""
        rect = self.layout_.rect_of(row)
        bar, view = self.verticalScrollBar(), self._view()
        top = rect.top() - (HEADING if rect.top() > HEADING else rect.top())
        if top < view.top():
            bar.setValue(top)
        elif rect.bottom() + MARGIN > view.bottom():
            bar.setValue(rect.bottom() + MARGIN - view.height())

    # -- what is chosen -----------------------------------------------------------------------

    def current(self) -> IndexedPicture | None:
        """The picture that keys act on."""
        row = self.current_row()
        return self._pictures.picture(row) if row >= 0 else None

    def current_row(self) -> int:
        return self._pictures.row_of_id(self._current) if self._current >= 0 else -1

    def chosen_ids(self) -> list[int]:
        """Ids of all that are chosen, in their order on the screen."""
        if len(self._chosen) <= 1:
            return list(self._chosen)
        return [number for number in self._pictures.ids() if number in self._chosen]

    @property
    def chosen_count(self) -> int:
        return len(self._chosen)

    def choose(self, row: int) -> None:
        """Choose one picture alone and bring it into view; -1: none."""
        self._chosen = {self._pictures.id_at(row)} if row >= 0 else set()
        self._anchor = row if row < 0 else self._pictures.id_at(row)
        self._set_current(row)
        self._tell()

    def selectAll(self) -> None:
        """The Edit menu asks the widget with the focus to choose all."""
        self._chosen = set(self._pictures.ids())
        self._tell()

    def _extend(self, row: int) -> None:
        """Choose everything from where the choice began to here."""
        start = self._pictures.row_of_id(self._anchor) if self._anchor >= 0 else row
        start = max(0, start)
        low, high = sorted((start, row))
        self._chosen = set(self._pictures.ids()[low : high + 1])
        self._set_current(row)
        self._tell()

    def _toggle(self, row: int) -> None:
        number = self._pictures.id_at(row)
        self._chosen ^= {number}
        self._anchor = number
        self._set_current(row)
        self._tell()

    def _set_current(self, row: int) -> None:
        number = self._pictures.id_at(row) if row >= 0 else -1
        if row >= 0:
            self.scroll_to(row)
        if number != self._current:
            self._current = number
            self._say_current(row)
            self.current_changed.emit()

    def _tell(self) -> None:
        self.viewport().update()
        self.chosen_changed.emit()

    def _say_current(self, row: int) -> None:
        """Screen readers hear which picture is the current one."""
        if row < 0:
            self.setAccessibleDescription("")
            return
        index = self._pictures.index(row)
        name = index.data(Qt.ItemDataRole.AccessibleTextRole) or "Picture"
        text = f"{name}, {row + 1} of {self._pictures.rowCount()}"
        self.setAccessibleDescription(text)
        if self.hasFocus():
            QAccessible.updateAccessibility(QAccessibleAnnouncementEvent(self, text))

    # -- keys ---------------------------------------------------------------------------------

    def keyPressEvent(self, event: QKeyEvent) -> None:
        key, modifiers = event.key(), event.modifiers()
        if key in _MOVES and not modifiers & _CONTROL:
            self.move_current(key, extend=bool(modifiers & _SHIFT))
        elif key in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and self._current >= 0:
            self.opened.emit()
        elif key == Qt.Key.Key_Escape:
            self.left.emit()
        elif key == Qt.Key.Key_Space:
            if self._current < 0 and self._pictures.rowCount():
                self.choose(next(iter(self.visible_rows()), 0))
            self.look_wanted.emit()
        elif key in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace):
            self.delete_requested.emit()
        elif key == Qt.Key.Key_F and not modifiers & _CONTROL:
            if self._chosen:
                self.favourite_requested.emit(self.chosen_ids())
        else:
            super().keyPressEvent(event)

    def move_current(self, key: int, *, extend: bool = False) -> None:
        """Go to another picture as an arrow key, Home, End or a page key does."""
        total = self._pictures.rowCount()
        if not total:
            return
        row = self.current_row()
        if row < 0:
            wanted = next(iter(self.visible_rows()), 0) if key != Qt.Key.Key_End else total - 1
        else:
            wanted = self._beside(row, key, total)
        if extend and row >= 0:
            self._extend(wanted)
        else:
            self.choose(wanted)

    def _beside(self, row: int, key: int, total: int) -> int:
        if key == Qt.Key.Key_Home:
            return 0
        if key == Qt.Key.Key_End:
            return total - 1
        if key in (Qt.Key.Key_Left, Qt.Key.Key_Right):
            forwards = (key == Qt.Key.Key_Right) != self.isRightToLeft()
            return min(total - 1, max(0, row + (1 if forwards else -1)))
        step = -1 if key in (Qt.Key.Key_Up, Qt.Key.Key_PageUp) else 1
        if key in (Qt.Key.Key_Up, Qt.Key.Key_Down):
            return self.layout_.beside(row, step)
        start = self.layout_.rect_of(row).top()
        for _ in range(max(1, self.viewport().height() // max(1, self.layout_.cell))):
            further = self.layout_.beside(row, step)
            if abs(self.layout_.rect_of(further).top() - start) > self.viewport().height():
                break
            row = further
        return row

    # -- mouse --------------------------------------------------------------------------------

    def _row_at(self, at: QPoint) -> int:
        return self.layout_.row_at(self._mirrored(at) + QPoint(0, self.verticalScrollBar().value()))

    def _mirrored(self, at: QPoint) -> QPoint:
        """A point where the layout, which counts from the left, has it."""
        return QPoint(self.viewport().width() - 1 - at.x(), at.y()) if self.isRightToLeft() else at

    def heart_rect(self, row: int) -> QRect:
        """Where a picture's heart is in the viewport."""
        rect = self._placed(self.rect_on_screen(row))
        return QRect(rect.left() + 6, rect.bottom() - HEART - 5, HEART, HEART)

    def _placed(self, rect: QRect) -> QRect:
        if not self.isRightToLeft():
            return rect
        return QRect(
            self.viewport().width() - rect.right() - 1, rect.y(), rect.width(), rect.height()
        )

    def mousePressEvent(self, event: QMouseEvent) -> None:
        at = event.position().toPoint()
        row = self._row_at(at)
        if event.button() != Qt.MouseButton.LeftButton:
            return
        modifiers = event.modifiers()
        if row >= 0 and self._shows_heart(row) and self.heart_rect(row).contains(at):
            self.favourite_requested.emit([self._pictures.id_at(row)])
            return
        self._pressed, self._pressed_row = at, row
        if row < 0:
            self._begin_band(at, keep=bool(modifiers & (_CONTROL | _SHIFT)))
        elif modifiers & _SHIFT:
            self._extend(row)
        elif modifiers & _CONTROL:
            self._toggle(row)
        elif self._pictures.id_at(row) not in self._chosen:
            self.choose(row)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        at = event.position().toPoint()
        if self._band is not None:
            self._band_at = at
            self._draw_band()
            outside = at.y() < SCROLL_MARGIN or at.y() > self.viewport().height() - SCROLL_MARGIN
            if outside != self._scroll.isActive():
                (self._scroll.start if outside else self._scroll.stop)()
            return
        if self._pressed is not None and event.buttons() & Qt.MouseButton.LeftButton:
            moved = (at - self._pressed).manhattanLength()
            if self._pressed_row >= 0 and moved >= QApplication.startDragDistance():
                row, self._pressed = self._pressed_row, None
                self._start_drag(row)
            return
        row = self._row_at(at)
        if row != self._hover:
            self._hover = row
            index = self._pictures.index(row) if row >= 0 else None
            tip = index.data(Qt.ItemDataRole.ToolTipRole) if index is not None else ""
            self.viewport().setToolTip(tip or "")
            self.viewport().update()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        if self._band is not None:
            self._band = None
            self._scroll.stop()
            self.viewport().update()
        elif self._pressed is not None and self._pressed_row >= 0:
            plain = not event.modifiers() & (_CONTROL | _SHIFT)
            row = self._pressed_row
            if plain and row < self._pictures.rowCount():
                self.choose(row)  # of several that were chosen, this one alone
        self._pressed = None

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        row = self._row_at(event.position().toPoint())
        if row >= 0 and event.button() == Qt.MouseButton.LeftButton:
            self._pressed = None
            self.choose(row)
            self.opened.emit()

    def leaveEvent(self, event) -> None:  # type: ignore[no-untyped-def]
        super().leaveEvent(event)
        self._hover = -1
        self.viewport().update()

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        if event.reason() == QContextMenuEvent.Reason.Keyboard:
            row = self.current_row()
            at = self.rect_on_screen(row).center() if row >= 0 else QPoint()
        else:
            at = event.pos()
            row = self._row_at(at)
        if row < 0:
            return
        if self._pictures.id_at(row) not in self._chosen:
            self.choose(row)
        elif self._pictures.id_at(row) != self._current:
            self._set_current(row)
        self.menu_requested.emit(self.viewport().mapToGlobal(at))

    # -- the band -----------------------------------------------------------------------------

    def _begin_band(self, at: QPoint, *, keep: bool) -> None:
        self._band_base = set(self._chosen) if keep else set()
        self._band_from = self._mirrored(at) + QPoint(0, self.verticalScrollBar().value())
        self._band_at = at
        self._band = QRect(self._band_from, QSize(1, 1))
        if not keep:
            self._chosen = set()
            self._tell()

    def _draw_band(self) -> None:
        to = self._mirrored(self._band_at) + QPoint(0, self.verticalScrollBar().value())
        self._band = QRect(self._band_from, to).normalized()
        found = {self._pictures.id_at(row) for row in self.layout_.rows_in(self._band)}
        chosen = self._band_base ^ found
        if chosen != self._chosen:
            self._chosen = chosen
            self._tell()
        self.viewport().update()

    def _scroll_with_band(self) -> None:
        y = self._band_at.y()
        over = (
            y - SCROLL_MARGIN if y < SCROLL_MARGIN else y - self.viewport().height() + SCROLL_MARGIN
        )
        bar = self.verticalScrollBar()
        bar.setValue(bar.value() + over)
        self._draw_band()

    # -- dragging out -------------------------------------------------------------------------

    def _start_drag(self, row: int) -> None:
        """Drag the chosen files out: copies only, so no target can take the library's own file."""
        paths = self.drag_paths()
        if len(paths) < self.chosen_count:  # their files are not known without asking
            self.drag_refused.emit()
            return
        drag = QDrag(self)
        drag.setMimeData(self._pictures.drag_data(paths))
        image = self._pictures.index(row).data(Qt.ItemDataRole.DecorationRole)
        if image is not None and not image.isNull():
            drag.setPixmap(drag_pixmap(image, self.devicePixelRatioF()))
            drag.setHotSpot(QPoint(40, 40))
        drag.exec(Qt.DropAction.CopyAction)

    def drag_paths(self) -> list[str]:
        """Files of the chosen pictures that are at hand, in their order."""
        held = (self._pictures.held(number) for number in self.chosen_ids())
        return [picture.path for picture in held if picture is not None]

    # -- painting -----------------------------------------------------------------------------

    def paintEvent(self, _event: QPaintEvent) -> None:
        palette = current_palette()
        painter = QPainter(self.viewport())
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        view = self._view()
        painter.translate(0, -view.top())
        for section in self.layout_.sections_between(view.top(), view.bottom()):
            self._paint_heading(painter, section, palette)
        rows = self.layout_.rows_in(view)
        self._hold(rows)
        until = time.perf_counter() + FRAME_SECONDS
        late = False
        for row in rows:
            late = self._paint_cell(painter, row, palette, until) or late
        if self._band is not None and self._band.width() + self._band.height() > 4:
            fill = QColor(palette.accent)
            fill.setAlpha(40)
            painter.setBrush(fill)
            painter.setPen(QPen(QColor(palette.accent), 1))
            painter.drawRect(self._placed(self._band))
        painter.end()
        if late:
            self._late.start()

    def _hold(self, rows: list[int]) -> None:
        """Remember what is on top, so that it stays there when pictures come or go above it."""
        self._held_at = self._pictures.id_at(rows[0]) if rows else -1
        if rows:
            self._held_offset = self.rect_on_screen(rows[0]).top()

    def _paint_heading(self, painter: QPainter, section: Section, palette: Palette) -> None:
        room = QRectF(MARGIN, section.top, self.layout_.width - 2 * MARGIN, HEADING - 8)
        low = Qt.AlignmentFlag.AlignBottom
        lead, trail = Qt.AlignmentFlag.AlignLeft, Qt.AlignmentFlag.AlignRight
        if self.isRightToLeft():
            lead, trail = trail, lead
        painter.setFont(sized_font(14, bold=True))
        painter.setPen(QColor(palette.text))
        painter.drawText(room, low | lead, words.day_heading(section.day))
        painter.setFont(sized_font(12))
        painter.setPen(QColor(palette.secondary))
        painter.drawText(room, low | trail, words.counted(section.count, "picture"))

    def _paint_cell(self, painter: QPainter, row: int, palette: Palette, until: float) -> bool:
        """Returns whether its thumbnail is there and was not cut to size for want of time."""
        rect = self._placed(self.layout_.rect_of(row))
        number = self._pictures.id_at(row)
        picture = self._pictures.picture(row)
        cut, late = self._cut_of(picture, until)
        if number in self._chosen:
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(QPen(QColor(palette.accent), 3))
            painter.drawRoundedRect(QRectF(rect).adjusted(-3.5, -3.5, 3.5, 3.5), 9, 9)
        if number == self._current and shows_ring(self):
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(QPen(QColor(palette.text), 1.5))
            painter.drawRoundedRect(QRectF(rect).adjusted(-1, -1, 1, 1), 7, 7)
        if cut is not None:
            painter.drawPixmap(rect.topLeft(), cut)
        else:
            painter.setPen(QPen(QColor(palette.border), 1))
            painter.setBrush(QColor(palette.hover))
            painter.drawRoundedRect(QRectF(rect).adjusted(0.5, 0.5, -0.5, -0.5), RADIUS, RADIUS)
        if picture is not None and self._shows_heart(row):
            self._paint_heart(painter, row, picture.favourite)
        return late

    def _shows_heart(self, row: int) -> bool:
        picture = self._pictures.held(self._pictures.id_at(row))
        return row == self._hover or (picture is not None and picture.favourite)

    def _paint_heart(self, painter: QPainter, row: int, favourite: bool) -> None:
        circle = self.heart_rect(row).translated(0, self.verticalScrollBar().value())
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(0, 0, 0, 120))
        painter.drawEllipse(QRectF(circle).adjusted(1, 1, -1, -1))
        name = "heart-on" if favourite else "heart"
        paint_icon(painter, name, QRectF(circle).adjusted(5.5, 6, -5.5, -5), "#FFFFFF")

    def _cut_of(self, picture: IndexedPicture | None, until: float) -> tuple[QPixmap | None, bool]:
        """A picture's thumbnail at its size on the screen, and whether it is only late."""
        if picture is None:
            return None, False
        key = (picture.id, picture.facts.modified_ns, self.layout_.cell)
        cut = self._cuts.get(key)
        if cut is not None:
            self._cuts.move_to_end(key)
            return cut, False
        image = self._pictures.thumbnail(picture)
        if image is None or image.isNull():
            return None, False
        if time.perf_counter() > until:
            return None, True
        ratio = self.devicePixelRatioF()
        cut = cut_square(image, self.layout_.cell, ratio, current_palette().border)
        self._cuts[key] = cut
        self._cut_bytes += _bytes_of(cut)
        shown = self.viewport().width() * self.viewport().height() * 4 * ratio * ratio
        while self._cut_bytes > max(LEAST_CACHE, 1.5 * shown) and len(self._cuts) > 1:
            _, old = self._cuts.popitem(last=False)
            self._cut_bytes -= _bytes_of(old)
        return cut, False

    def forget_cuts(self) -> None:
        """Let go of what was drawn: the gallery is not on show."""
        self._cuts.clear()
        self._cut_bytes = 0

    def changeEvent(self, event) -> None:  # type: ignore[no-untyped-def]
        super().changeEvent(event)
        if event.type() == event.Type.PaletteChange:
            self.forget_cuts()  # their edges have the colour of the appearance


def cut_square(image: QImage, side: int, ratio: float, edge: str) -> QPixmap:
    """The middle of an image as a rounded square with a fine edge.

    Args:
        side: in device-independent pixels.
        ratio: device pixel ratio.
        edge: colour of the edge, which a white picture has too.
    """
    pixels = round(side * ratio)
    short = min(image.width(), image.height())
    middle = image.copy(
        (image.width() - short) // 2, (image.height() - short) // 2, short, short
    ).scaled(
        pixels,
        pixels,
        Qt.AspectRatioMode.IgnoreAspectRatio,
        Qt.TransformationMode.SmoothTransformation,
    )
    made = QPixmap(pixels, pixels)
    made.fill(Qt.GlobalColor.transparent)
    painter = QPainter(made)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    clip = QPainterPath()
    clip.addRoundedRect(QRectF(0, 0, pixels, pixels), RADIUS * ratio, RADIUS * ratio)
    painter.setClipPath(clip)
    painter.drawImage(QPointF(0, 0), middle)
    painter.setClipping(False)
    painter.setPen(QPen(QColor(edge), ratio))
    half = ratio / 2
    painter.drawRoundedRect(
        QRectF(half, half, pixels - ratio, pixels - ratio), RADIUS * ratio, RADIUS * ratio
    )
    painter.end()
    made.setDevicePixelRatio(ratio)
    return made


def _bytes_of(pixmap: QPixmap) -> int:
    return pixmap.width() * pixmap.height() * 4


def next_side(side: int, step: int) -> int:
    """The next larger (1) or smaller (-1) side there is."""
    fitting: Iterable[int] = (
        (s for s in SIDES if s > side) if step > 0 else (s for s in reversed(SIDES) if s < side)
    )
    return next(iter(fitting), side)
