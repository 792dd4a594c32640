"""The gallery's grid: a hundred thousand pictures by day, of which only those in view are drawn."""

from __future__ import annotations

from collections.abc import Iterable

from PySide6.QtCore import QPoint, QRect, QSize, Qt, QTimer, Signal
from PySide6.QtGui import (
    QAccessible,
    QAccessibleAnnouncementEvent,
    QContextMenuEvent,
    QDrag,
    QFocusEvent,
    QKeyEvent,
    QMouseEvent,
    QPaintEvent,
    QResizeEvent,
)
from PySide6.QtWidgets import QApplication, QFrame, QWidget

from gui.state.pictures.gallery import Gallery
from gui.state.pictures.types import IndexedPicture
from gui.ui.canvas.picture_surface import drag_pixmap
from gui.ui.pictures import grid_accessible
from gui.ui.pictures.grid_layout import HEADING, MARGIN, GridLayout
from gui.ui.pictures.grid_painter import GridPainter
from gui.ui.pictures.grid_surface import GridSurface

SIDES = (96, 120, 148, 180, 220, 270, 330)
"""Sides of a picture that can be chosen."""
FIRST_SIDE = 180
SCROLL_MARGIN = 24
SCROLL_MS = 30

_MOVES = {
    Qt.Key.Key_Left, Qt.Key.Key_Right, Qt.Key.Key_Up, Qt.Key.Key_Down, Qt.Key.Key_Home,
    Qt.Key.Key_End, Qt.Key.Key_PageUp, Qt.Key.Key_PageDown,
}  # fmt: skip
_CONTROL, _SHIFT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier
_META = Qt.KeyboardModifier.MetaModifier


class PictureGrid(GridSurface):
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
        super().__init__(pictures, GridLayout([], 0, 100, FIRST_SIDE), parent)
        grid_accessible.install()
        self._painter = GridPainter(self)
        self._side = FIRST_SIDE
        self._held_at = -1  # id of the topmost picture in view, which stays there
        self._pressed: QPoint | None = None
        self._pressed_row = -1
        self._band_from = QPoint()
        self._band_base: set[int] = set()
        self._band_at = QPoint()
        self._scroll = QTimer(self, interval=SCROLL_MS)
        self._scroll.timeout.connect(self._scroll_with_band)
        self._late = QTimer(self, singleShot=True, interval=0)
        self._late.timeout.connect(self._repaint)
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
        if self.selection.drop_missing():
            self.current_changed.emit()
        before = self._held_at
        self._lay_out()
        if before >= 0 and self.verticalScrollBar().value() > 0:
            row = self.pictures.row_of_id(before)
            if row >= 0:
                top = self.layout_.rect_of(row).top()
                self.verticalScrollBar().setValue(top - self._held_offset)
        self.chosen_changed.emit()

    _held_offset = 0

    def _repaint(self, *_: object) -> None:
        self.viewport().update()

    def _lay_out(self) -> None:
        total = self.pictures.rowCount()
        width = self.viewport().width()
        self.layout_ = GridLayout(self.pictures.days(), total, width, self._side)
        bar, page = self.verticalScrollBar(), self.viewport().height()
        bar.setPageStep(page)
        bar.setSingleStep(max(20, self.layout_.cell // 3))
        bar.setRange(0, max(0, self.layout_.height - page))
        self.viewport().update()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        row = next(iter(self.visible_rows()), -1)
        self._lay_out()
        if row >= 0 and event.oldSize().width() != event.size().width():
            self.scroll_to(row)

    def scrollContentsBy(self, _dx: int, _dy: int) -> None:
        self.hover = -1
        self.viewport().update()

    def scroll_to(self, row: int) -> None:
        """Bring a picture into view, with its day where it is the day's first."""
        rect = self.layout_.rect_of(row)
        bar, view = self.verticalScrollBar(), self.view()
        top = rect.top() - (HEADING if rect.top() > HEADING else rect.top())
        if top < view.top():
            bar.setValue(top)
        elif rect.bottom() + MARGIN > view.bottom():
            bar.setValue(rect.bottom() + MARGIN - view.height())

    def put_at(self, row: int, offset: int) -> None:
        """Scroll so that a picture's upper edge is so many pixels below the view's."""
        self.verticalScrollBar().setValue(self.layout_.rect_of(row).top() - offset)

    # -- what is chosen -----------------------------------------------------------------------

    def current(self) -> IndexedPicture | None:
        """The picture that keys act on."""
        row = self.current_row()
        return self.pictures.picture(row) if row >= 0 else None

    def current_row(self) -> int:
        return self.selection.current_row()

    def chosen_ids(self) -> list[int]:
        """Ids of all that are chosen, in their order on the screen."""
        return self.selection.ids()

    @property
    def chosen_count(self) -> int:
        return len(self.selection)

    def choose(self, row: int) -> None:
        """Choose one picture alone and bring it into view; -1: none."""
        self.selection.choose(row)
        self._set_current(row)
        self._tell()

    def selectAll(self) -> None:
        """The Edit menu asks the widget with the focus to choose all."""
        self.selection.choose_all()
        if self.current_row() < 0 and self.pictures.rowCount():
            self._set_current(next(iter(self.visible_rows()), 0), scroll=False)
        self._tell()

    def _extend(self, row: int) -> None:
        """Choose everything from where the choice began to here."""
        self.selection.extend(row)
        self._set_current(row)
        self._tell()

    def _toggle(self, row: int) -> None:
        self.selection.toggle(row)
        self._set_current(row)
        self._tell()

    def _set_current(self, row: int, *, scroll: bool = True) -> None:
        number = self.pictures.id_at(row) if row >= 0 else -1
        if row >= 0 and scroll:
            self.scroll_to(row)
        if number != self.selection.current:
            self.selection.current = number
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
        text = grid_accessible.name_of(self, row)
        self.setAccessibleDescription(text)
        if self.hasFocus():
            grid_accessible.tell_focus(self)
            QAccessible.updateAccessibility(QAccessibleAnnouncementEvent(self, text))

    def focusInEvent(self, event: QFocusEvent) -> None:
        super().focusInEvent(event)
        grid_accessible.tell_focus(self)

    # -- keys ---------------------------------------------------------------------------------

    def keyPressEvent(self, event: QKeyEvent) -> None:
        key, modifiers = event.key(), event.modifiers()
        if key in _MOVES:
            self.move_current(key, extend=bool(modifiers & _SHIFT), keep=bool(modifiers & _CONTROL))
        elif key == Qt.Key.Key_Space and modifiers & (_CONTROL | _META):
            if self.current_row() >= 0:
                self._toggle(self.current_row())
        elif key in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and self.selection.current >= 0:
            self.opened.emit()
        elif key == Qt.Key.Key_Escape:
            self.left.emit()
        elif key == Qt.Key.Key_Space:
            if self.selection.current < 0 and self.pictures.rowCount():
                self.choose(next(iter(self.visible_rows()), 0))
            self.look_wanted.emit()
        elif key in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace):
            self.delete_requested.emit()
        elif key == Qt.Key.Key_F and not modifiers & _CONTROL:
            if self.chosen_count:
                self.favourite_requested.emit(self.chosen_ids())
        else:
            super().keyPressEvent(event)

    def move_current(self, key: int, *, extend: bool = False, keep: bool = False) -> None:
        """Go to another picture as an arrow key, Home, End or a page key does.

        Args:
            extend: choose everything on the way.
            keep: choose nothing else.
        """
        total = self.pictures.rowCount()
        if not total:
            return
        row = self.current_row()
        if row < 0:
            wanted = next(iter(self.visible_rows()), 0) if key != Qt.Key.Key_End else total - 1
        else:
            wanted = self._beside(row, key, total)
        if extend and row >= 0:
            self._extend(wanted)
        elif keep:
            self._set_current(wanted)
            self.viewport().update()
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

    def mousePressEvent(self, event: QMouseEvent) -> None:
        at = event.position().toPoint()
        row = self.row_at(at)
        if event.button() != Qt.MouseButton.LeftButton:
            return
        modifiers = event.modifiers()
        if row >= 0 and self.shows_heart(row) and self.heart_rect(row).contains(at):
            self.favourite_requested.emit([self.pictures.id_at(row)])
            return
        self._pressed, self._pressed_row = at, row
        if row < 0:
            self._begin_band(at, keep=bool(modifiers & (_CONTROL | _SHIFT)))
        elif modifiers & _SHIFT:
            self._extend(row)
        elif modifiers & _CONTROL:
            self._toggle(row)
        elif self.pictures.id_at(row) not in self.selection:
            self.choose(row)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        at = event.position().toPoint()
        if self.band is not None:
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
        row = self.row_at(at)
        if row != self.hover:
            self.hover = row
            index = self.pictures.index(row) if row >= 0 else None
            tip = index.data(Qt.ItemDataRole.ToolTipRole) if index is not None else ""
            self.viewport().setToolTip(tip or "")
            self.viewport().update()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        if self.band is not None:
            self.band = None
            self._scroll.stop()
            self.viewport().update()
        elif self._pressed is not None and self._pressed_row >= 0:
            plain = not event.modifiers() & (_CONTROL | _SHIFT)
            row = self._pressed_row
            if plain and row < self.pictures.rowCount():
                self.choose(row)  # of several that were chosen, this one alone
        self._pressed = None

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        row = self.row_at(event.position().toPoint())
        if row >= 0 and event.button() == Qt.MouseButton.LeftButton:
            self._pressed = None
            self.choose(row)
            self.opened.emit()

    def leaveEvent(self, event) -> None:  # type: ignore[no-untyped-def]
        super().leaveEvent(event)
        self.hover = -1
        self.viewport().update()

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        if event.reason() == QContextMenuEvent.Reason.Keyboard:
            row = self.current_row()
            at = self.rect_on_screen(row).center() if row >= 0 else QPoint()
        else:
            at = event.pos()
            row = self.row_at(at)
        if row < 0:
            return
        if self.pictures.id_at(row) not in self.selection:
            self.choose(row)
        elif self.pictures.id_at(row) != self.selection.current:
            self._set_current(row)
        self.menu_requested.emit(self.viewport().mapToGlobal(at))

    # -- the band -----------------------------------------------------------------------------

    def _begin_band(self, at: QPoint, *, keep: bool) -> None:
        self._band_base = self.selection.base() if keep else set()
        self._band_from = self.mirrored(at) + QPoint(0, self.verticalScrollBar().value())
        self._band_at = at
        self.band = QRect(self._band_from, QSize(1, 1))
        if not keep:
            self.selection.band(set(), ())
            self._tell()

    def _draw_band(self) -> None:
        to = self.mirrored(self._band_at) + QPoint(0, self.verticalScrollBar().value())
        self.band = QRect(self._band_from, to).normalized()
        if self.selection.band(self._band_base, self.layout_.rows_in(self.band)):
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
        drag.setMimeData(self.pictures.drag_data(paths))
        image = self.pictures.index(row).data(Qt.ItemDataRole.DecorationRole)
        if image is not None and not image.isNull():
            drag.setPixmap(drag_pixmap(image, self.devicePixelRatioF()))
            drag.setHotSpot(QPoint(40, 40))
        drag.exec(Qt.DropAction.CopyAction)

    def drag_paths(self) -> list[str]:
        """Files of the chosen pictures that are at hand, in their order."""
        return self.pictures.held_paths(self.chosen_ids())

    # -- painting -----------------------------------------------------------------------------

    def paintEvent(self, _event: QPaintEvent) -> None:
        view = self.view()
        rows = self.layout_.rows_in(view)
        self._hold(rows)
        if self._painter.paint(rows, view):
            self._late.start()

    def _hold(self, rows: list[int]) -> None:
        """Remember what is on top, so that it stays there when pictures come or go above it."""
        self._held_at = self.pictures.id_at(rows[0]) if rows else -1
        if rows:
            self._held_offset = self.rect_on_screen(rows[0]).top()

    def forget_cuts(self) -> None:
        """Let go of what was drawn: the gallery is not on show."""
        self._painter.forget()

    def changeEvent(self, event) -> None:  # type: ignore[no-untyped-def]
        super().changeEvent(event)
        if event.type() == event.Type.PaletteChange:
            self.forget_cuts()  # their edges have the colour of the appearance


def next_side(side: int, step: int) -> int:
    """The next larger (1) or smaller (-1) side there is."""
    fitting: Iterable[int] = (
        (s for s in SIDES if s > side) if step > 0 else (s for s in reversed(SIDES) if s < side)
    )
    return next(iter(fitting), side)
