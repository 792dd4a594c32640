"""The pictures in a row, into the past: choose one to see it, drag several out."""

from __future__ import annotations

from PySide6.QtCore import (
    QItemSelection,
    QItemSelectionModel,
    QItemSelectionRange,
    QModelIndex,
    QPersistentModelIndex,
    QPoint,
    QRectF,
    QSize,
    QSortFilterProxyModel,
    Qt,
    Signal,
)
from PySide6.QtGui import QColor, QDrag, QImage, QKeyEvent, QPainter, QPainterPath, QPen
from PySide6.QtWidgets import (
    QAbstractItemView,
    QApplication,
    QFrame,
    QHBoxLayout,
    QListView,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QWidget,
)

from gui.state.activity import Activity
from gui.state.pictures.drag import MOST_FILES
from gui.state.pictures.gallery import Gallery
from gui.state.pictures.types import IndexedPicture
from gui.ui.canvas.picture_surface import drag_pixmap
from gui.ui.pictures.running_tile import CELL, SIDE, RunningTile
from gui.ui.widgets.appearance import current_palette
from gui.ui.widgets.focus import shows_ring
from gui.ui.widgets.steady_list import SteadyList

HEIGHT = CELL + 20

_Index = QModelIndex | QPersistentModelIndex
_Flag = QItemSelectionModel.SelectionFlag


class _Delegate(QStyledItemDelegate):
    def sizeHint(self, _option: QStyleOptionViewItem, _index: _Index) -> QSize:
        return QSize(CELL, CELL)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: _Index) -> None:
        palette = current_palette()
        image: QImage | None = index.data(Qt.ItemDataRole.DecorationRole)
        rect: QRectF = QRectF(option.rect)  # type: ignore[attr-defined]
        inner = QRectF(0, 0, SIDE, SIDE)
        inner.moveCenter(rect.center())
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        state = option.state  # type: ignore[attr-defined]
        if state & QStyle.StateFlag.State_Selected:
            painter.setPen(QPen(QColor(palette.accent), 3))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(inner.adjusted(-3.5, -3.5, 3.5, 3.5), 9, 9)
        if state & QStyle.StateFlag.State_HasFocus and shows_ring(QApplication.focusWidget()):
            painter.setPen(QPen(QColor(palette.text), 1.5))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(inner.adjusted(-5.25, -5.25, 5.25, 5.25), 10, 10)
        clip = QPainterPath()
        clip.addRoundedRect(inner, 6, 6)
        painter.setClipPath(clip)
        painter.fillRect(inner, QColor(palette.hover))
        if image is not None and not image.isNull():
            side = min(image.width(), image.height())
            source = QRectF((image.width() - side) / 2, (image.height() - side) / 2, side, side)
            painter.drawImage(inner, image, source)
        painter.setClipping(False)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(QPen(QColor(palette.border), 1))  # a white picture has an edge too
        painter.drawRoundedRect(inner.adjusted(0.5, 0.5, -0.5, -0.5), 6, 6)
        painter.restore()


class _List(SteadyList):
    delete_pressed = Signal()
    favourite_pressed = Signal()
    drag_refused = Signal()

    def __init__(self, pictures: Gallery) -> None:
        super().__init__()
        self._pictures = pictures

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace):
            self.delete_pressed.emit()
        elif event.key() == Qt.Key.Key_F and not event.modifiers():
            self.favourite_pressed.emit()
        else:
            super().keyPressEvent(event)

    def chosen_ids(self) -> list[int]:
        """Ids of all that are chosen, in their order; none of them is read for that."""
        ids = self._pictures.ids()
        chosen = self.selectionModel().selection()
        parts = [chosen.at(number) for number in range(chosen.count())]
        ranges = sorted((part.top(), part.bottom()) for part in parts)
        return [number for top, bottom in ranges for number in ids[top : bottom + 1]]

    def startDrag(self, _actions: Qt.DropAction) -> None:
        """Drag the chosen files out: copies only, so no target can take the library's own file."""
        ids = self.chosen_ids()
        paths = self._pictures.held_paths(ids) if len(ids) <= MOST_FILES else []
        if len(paths) < len(ids):  # their files are not known without asking
            self.drag_refused.emit()
        if not paths or len(paths) < len(ids):
            return
        drag = QDrag(self)
        drag.setMimeData(self._pictures.drag_data(paths))
        image = self.currentIndex().data(Qt.ItemDataRole.DecorationRole)
        if image is not None and not image.isNull():
            drag.setPixmap(drag_pixmap(image, self.devicePixelRatioF()))
            drag.setHotSpot(QPoint(40, 40))
        drag.exec(Qt.DropAction.CopyAction)


class Filmstrip(QFrame):
    """A horizontal list of every picture, newest first, with the running one at its head."""

    chosen = Signal(IndexedPicture)
    """The person moved to this `IndexedPicture`."""
    follow_requested = Signal()
    """The person wants to see what is being made."""
    delete_requested = Signal()
    favourite_requested = Signal()
    chosen_changed = Signal()
    """Other pictures are chosen, one or many."""
    drag_refused = Signal()
    menu_requested = Signal(QPoint)

    def __init__(self, pictures: Gallery, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("filmstrip")
        self._pictures = pictures
        self._kept: tuple[int, list[int]] | None = None
        self._wanted = True
        self.list = _List(pictures)
        view = self.list
        view.setAccessibleName("Pictures")
        # Qt asks for every row's index when it lays the strip out, a call into Python each: this
        # answers for a hundred thousand of them within a few milliseconds.
        self._rows = QSortFilterProxyModel(self)
        self._rows.setDynamicSortFilter(False)
        self._rows.setSourceModel(pictures)
        view.setModel(self._rows)
        view.setItemDelegate(_Delegate(view))
        # Not icon mode, which lays out every item: there may be a hundred thousand.
        view.setViewMode(QListView.ViewMode.ListMode)
        view.setFlow(QListView.Flow.LeftToRight)
        view.setWrapping(False)
        view.setUniformItemSizes(True)
        view.setSpacing(0)
        view.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        view.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        view.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        view.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        # Static movement silently turns dragging off, so dragging is turned on after it.
        view.setMovement(QListView.Movement.Static)
        view.setDragDropMode(QAbstractItemView.DragDropMode.DragOnly)
        view.setDragEnabled(True)
        self.running = RunningTile()
        self.running.hide()
        self.running.clicked.connect(self.follow_requested)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(10, 8, 10, 2)
        layout.setSpacing(0)
        layout.addWidget(self.running, 0, Qt.AlignmentFlag.AlignVCenter)
        layout.addWidget(view)
        self.setFixedHeight(HEIGHT)
        view.selectionModel().currentChanged.connect(self._on_current)
        view.clicked.connect(self._on_current)
        view.selectionModel().selectionChanged.connect(lambda *_: self._on_chosen())
        view.delete_pressed.connect(self.delete_requested)
        view.favourite_pressed.connect(self.favourite_requested)
        view.drag_refused.connect(self.drag_refused)
        view.customContextMenuRequested.connect(
            lambda at: self.menu_requested.emit(view.viewport().mapToGlobal(at))
        )
        pictures.rowsInserted.connect(self._on_rows)
        pictures.rowsRemoved.connect(self._on_removed)
        pictures.modelAboutToBeReset.connect(self._keep_selection)
        pictures.refreshed.connect(self._restore_selection)
        self._on_rows()

    def set_wanted(self, wanted: bool) -> None:
        """Whether the strip is on show when there are pictures."""
        self._wanted = wanted
        self._on_rows()

    def set_activity(self, activity: Activity) -> None:
        """What is being made stands at the head of the strip."""
        self.running.setVisible(activity.busy)
        self.running.set_activity(activity)

    def set_following(self, following: bool) -> None:
        """Whether the canvas shows what is being made: then no finished picture is marked."""
        self.running.setChecked(following)

    def chosen_ids(self) -> list[int]:
        """Ids of all that are chosen, in their order."""
        return self.list.chosen_ids()

    def selected_paths(self) -> list[str]:
        """Their files, where they are at hand."""
        return self._pictures.held_paths(self.chosen_ids())

    def _on_chosen(self) -> None:
        """Have the files of what is chosen at hand: a drag cannot wait for them."""
        ids = self.chosen_ids()
        if 1 < len(ids) <= MOST_FILES:
            self._pictures.keep(ids)
        self.chosen_changed.emit()

    def select(self, path: str) -> None:
        """Mark one picture as current, without saying that the person chose it."""
        row = self._pictures.row_of(path)
        if row >= 0:
            self._select_row(row)

    def select_id(self, number: int) -> None:
        """As `select`, also for a picture that is not at hand."""
        row = self._pictures.row_of_id(number)
        if row >= 0:
            self._select_row(row)
        else:
            self._kept = (number, [])  # as soon as the rows have come

    def go_back_to(self, path: str) -> None:
        """Have the focus at one of the pictures that are chosen, which all stay chosen."""
        row = self._pictures.row_of(path)
        if row >= 0:
            blocked = self.blockSignals(True)
            model = self.list.selectionModel()
            model.setCurrentIndex(self._index(row), model.SelectionFlag.NoUpdate)
            self.blockSignals(blocked)
        self.list.setFocus()

    def _index(self, row: int) -> QModelIndex:
        return self._rows.index(row, 0)

    def _select_row(self, row: int) -> None:
        blocked = self.blockSignals(True)
        self.list.setCurrentIndex(self._index(row))
        self.list.scrollTo(self._index(row))
        self.blockSignals(blocked)

    def _on_current(self, index: QModelIndex, *_: object) -> None:
        picture: IndexedPicture | None = index.data(Qt.ItemDataRole.UserRole)
        if picture is not None:
            self.chosen.emit(picture)

    def has_thumbnail(self, row: int) -> bool:
        """Whether a row's thumbnail has come."""
        image = self._index(row).data(Qt.ItemDataRole.DecorationRole)
        return image is not None

    def _keep_selection(self) -> None:
        """A change on the disk sorts the rows anew; what was chosen stays chosen."""
        row = self.list.currentIndex().row()
        if row >= 0:
            self._kept = (self._pictures.id_at(row), self.chosen_ids())

    def _restore_selection(self) -> None:
        kept, self._kept = self._kept, None  # it counts once: without a reset nothing was lost
        current, ids = kept or (-1, [])
        row = self._pictures.row_of_id(current) if current >= 0 else -1
        if row >= 0 and row != self.list.currentIndex().row():
            self._select_row(row)
        if len(ids) > 1:
            blocked = self.blockSignals(True)
            self.list.selectionModel().select(self._selection_of(ids), _Flag.ClearAndSelect)
            self.blockSignals(blocked)
            self.chosen_changed.emit()
        self._on_rows()

    def _selection_of(self, ids: list[int]) -> QItemSelection:
        """These pictures, rows beside each other together."""
        wanted = set(ids)
        rows = [row for row, number in enumerate(self._pictures.ids()) if number in wanted]
        selection = QItemSelection()
        start = 0
        for at in range(1, len(rows) + 1):
            if at == len(rows) or rows[at] != rows[at - 1] + 1:
                ends = self._index(rows[start]), self._index(rows[at - 1])
                selection.append(QItemSelectionRange(*ends))
                start = at
        return selection

    def _on_removed(self, *_: object) -> None:
        """Qt goes on to the neighbour of what is gone, but does not select it: it would bear no
        mark."""
        current = self.list.currentIndex()
        if current.isValid() and not self.list.selectedIndexes():
            self._select_row(current.row())
        self._on_rows()

    def _on_rows(self, *_: object) -> None:
        self.setVisible(self._wanted and self._pictures.rowCount() > 0)
