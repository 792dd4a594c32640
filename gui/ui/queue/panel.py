"""The queue beside the picture: what runs, what failed, what waits, what is over."""

from __future__ import annotations

from functools import partial
from typing import Any

from PySide6.QtCore import (
    QEvent,
    QItemSelectionModel,
    QModelIndex,
    QObject,
    QPoint,
    Qt,
    Signal,
)
from PySide6.QtGui import QDrag, QDropEvent, QKeyEvent, QKeySequence, QMouseEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QFrame,
    QHBoxLayout,
    QListView,
    QMenu,
    QPushButton,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from gui.state.activity import Activity
from gui.state.queue.desk import FINISHED
from gui.state.queue.rows import JOBS_FORMAT, QueueRow
from gui.state.queue.waits import Waits
from gui.state.studio import Studio
from gui.ui.canvas.hud import waits_text
from gui.ui.queue.row import QueueDelegate
from gui.ui.widgets.cards import lay_as_cards
from gui.ui.widgets.controls import icon_button, label
from gui.ui.widgets.icons import icon
from gui.ui.widgets.message import Message

WIDTH = 330
ROOM = 720
"""From this width on the picture gives way to the queue; below the queue lies over it."""
FOOT_GAP = 10
_MOVED = (QEvent.Type.Move, QEvent.Type.Show, QEvent.Type.Hide)
SHIFT = {Qt.Key.Key_Up: -1, Qt.Key.Key_Down: 1}


class QueueView(QListView):
    """The rows, with what mouse and keys do in them."""

    menu_requested = Signal(QPoint)
    """For what is chosen; a place on the screen."""
    retry_pressed = Signal(str)
    all_pressed = Signal(str)
    """What a heading offers: the heading."""
    opened = Signal(str)
    """A job was double-clicked, or Return pressed on it."""
    remove_pressed = Signal()
    duplicate_pressed = Signal()
    shifted = Signal(int)
    closed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setAccessibleName("Queue")
        lay_as_cards(self)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setLayoutMode(QListView.LayoutMode.Batched)  # there may be thousands
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.setDragDropMode(QAbstractItemView.DragDropMode.DragDrop)
        self.setDefaultDropAction(Qt.DropAction.MoveAction)
        self.setDragDropOverwriteMode(False)
        self.setDropIndicatorShown(True)
        self.parts = QueueDelegate(self)
        self.setItemDelegate(self.parts)

    def row_at(self, at: QPoint) -> QueueRow | None:
        return self.indexAt(at).data(Qt.ItemDataRole.UserRole)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        at = event.position().toPoint()
        if event.button() == Qt.MouseButton.LeftButton and self._press(at):
            event.accept()
            return
        super().mousePressEvent(event)

    def _press(self, at: QPoint) -> bool:
        """Whether there is a button here; it is pressed then."""
        index, row = self.indexAt(at), self.row_at(at)
        if row is None:
            return False
        rect = self.visualRect(index)
        if row.heading:
            if self.parts.heading_rect(rect, row.heading).contains(at):
                self.all_pressed.emit(row.heading)
            return True
        if row.status == "failed" and self.parts.retry_rect(rect).contains(at):
            self.retry_pressed.emit(row.job_id)
            return True
        if self.parts.more_rect(rect).contains(at):
            if not self.selectionModel().isSelected(index):
                self.setCurrentIndex(index)
            self.menu_requested.emit(self.viewport().mapToGlobal(at))
            return True
        return False

    def startDrag(self, _actions: Qt.DropAction) -> None:
        """Waiting jobs to another place in line, or finished pictures out of the window: copies
        only, so no target can take the library's own file."""
        model, can = self.model(), Qt.ItemFlag.ItemIsDragEnabled
        indexes = [index for index in self.selectedIndexes() if model.flags(index) & can]
        if not indexes:
            return
        drag = QDrag(self)
        drag.setMimeData(model.mimeData(indexes))
        first = self.visualRect(min(indexes, key=lambda index: index.row()))
        drag.setPixmap(self.viewport().grab(first))
        drag.setHotSpot(QPoint(24, first.height() // 2))
        inside = drag.mimeData().hasFormat(JOBS_FORMAT)
        drag.exec(Qt.DropAction.MoveAction if inside else Qt.DropAction.CopyAction)

    def dropEvent(self, event: QDropEvent) -> None:
        """Here and not by Qt, which moves row by row and stops at one that is in its place."""
        at = event.position().toPoint()
        index = self.indexAt(at)
        row = index.row() + (at.y() >= self.visualRect(index).center().y())
        row = row if index.isValid() else -1
        none, move = QModelIndex(), Qt.DropAction.MoveAction
        if self.model().dropMimeData(event.mimeData(), move, row, 0, none):
            event.accept()
        else:
            event.ignore()
        self.stopAutoScroll()
        self.setState(QAbstractItemView.State.NoState)
        self.viewport().update()

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        row = self.row_at(event.position().toPoint())
        if row is not None and row.job_id:
            self.opened.emit(row.job_id)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        key, held = event.key(), event.modifiers()
        row = self.currentIndex().data(Qt.ItemDataRole.UserRole)
        if key in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace):
            self.remove_pressed.emit()
        elif key in SHIFT and held & Qt.KeyboardModifier.AltModifier:
            self.shifted.emit(SHIFT[Qt.Key(key)])
        elif key in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and not held and row is not None:
            self.opened.emit(row.job_id)
        elif event.matches(QKeySequence.StandardKey.Cancel):
            self.closed.emit()
        elif key == Qt.Key.Key_D and held == Qt.KeyboardModifier.ControlModifier:
            self.duplicate_pressed.emit()
        else:
            super().keyPressEvent(event)


class QueuePanel(QFrame):
    """Stands at the end of a widget, which gives way to it where there is room.

    Args:
        host: that widget; its layout's margins are the panel's to set.
        foot: what at the foot of it stays in sight, also where the panel lies over the rest.
    """

    picture_wanted = Signal(str)
    """The file of a finished picture, to be shown."""
    closed = Signal()
    grid_wanted = Signal()

    def __init__(self, studio: Studio, host: QWidget, foot: QWidget) -> None:
        super().__init__(host)
        self.setObjectName("queuePanel")
        self._studio = studio
        self._desk = studio.jobs
        self._model = studio.job_list
        self._host = host
        self._foot = foot
        self._chosen: list[str] = []
        self.list = QueueView()
        self.list.setModel(self._model)
        self.pause = icon_button("pause", "Pause")
        self.more = icon_button("more", "More for the queue")
        self.close_button = icon_button("close", "Hide the queue")
        self.state = label("", "small", wrap=True)
        self.resume = QPushButton("Resume")
        self.resume.setObjectName("flat")
        self.empty = Message()
        self.stack = QStackedWidget()
        self._lay_out()
        self._connect()
        for widget in (host, foot):
            widget.installEventFilter(self)
        self.hide()
        self._on_rows()
        self._show_state()

    def _lay_out(self) -> None:
        head = QHBoxLayout()
        head.setContentsMargins(16, 8, 8, 2)
        head.setSpacing(2)
        head.addWidget(label("Queue", "heading"), 1)
        for button in (self.pause, self.more, self.close_button):
            head.addWidget(button)
        self.state_row = QFrame()
        self.state_row.setObjectName("offline")
        row = QHBoxLayout(self.state_row)
        row.setContentsMargins(10, 5, 4, 5)
        row.addWidget(self.state, 1)
        row.addWidget(self.resume)
        framed = QHBoxLayout()
        framed.setContentsMargins(12, 2, 12, 2)
        framed.addWidget(self.state_row)
        self.empty.say(
            "queue",
            "Nothing waits",
            "What you ask for while a picture is being made waits here for its turn.",
        )
        self.stack.addWidget(self.list)
        self.stack.addWidget(self.empty)
        column = QVBoxLayout(self)
        column.setContentsMargins(1, 0, 0, 0)  # the border at its beginning
        column.setSpacing(2)
        column.addLayout(head)
        column.addLayout(framed)
        column.addWidget(self.stack, 1)

    def _connect(self) -> None:
        studio, view = self._studio, self.list
        studio.activity_changed.connect(self._on_activity)
        studio.queue.waits_changed.connect(self._show_state)
        self._model.about_to_change.connect(self._keep_chosen)
        self._model.changed.connect(self._on_rows)
        self.pause.clicked.connect(self._toggle_pause)
        self.resume.clicked.connect(lambda: studio.queue.pause(False))
        self.more.clicked.connect(self._on_more)
        for signal in (self.close_button.clicked, view.closed):
            signal.connect(lambda *_: self.closed.emit())
        view.customContextMenuRequested.connect(self._on_menu)
        view.menu_requested.connect(self._pop_up)
        view.retry_pressed.connect(lambda job_id: self._desk.retry([job_id]))
        view.all_pressed.connect(self._on_all)
        view.opened.connect(self._open)
        view.remove_pressed.connect(lambda: self._desk.remove(self.chosen()))
        view.duplicate_pressed.connect(lambda: self._desk.duplicate(self.chosen()))
        view.shifted.connect(lambda by: self._desk.shift(self.chosen(), by))

    # -- its place ----------------------------------------------------------------------------

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        kind = event.type()
        if kind == QEvent.Type.Resize or (watched is self._foot and kind in _MOVED):
            self._place()
        return super().eventFilter(watched, event)

    def setVisible(self, visible: bool) -> None:
        super().setVisible(visible)
        self._place()
        if visible:
            self.raise_()

    def _place(self) -> None:
        host, layout = self._host, self._host.layout()
        width = min(WIDTH, host.width())
        beside = not self.isHidden() and host.width() >= ROOM
        rtl = self.isRightToLeft()
        if layout is not None:
            room = width if beside else 0
            layout.setContentsMargins(room if rtl else 0, 0, 0 if rtl else room, 0)
        height = host.height()
        if not beside and self._foot.isVisible():
            height = max(0, self._foot.mapTo(host, QPoint(0, 0)).y() - FOOT_GAP)
        self.setGeometry(0 if rtl else host.width() - width, 0, width, height)

    # -- what is shown ------------------------------------------------------------------------

    def chosen(self) -> list[str]:
        """Ids of the chosen jobs, in the list's order."""
        rows = sorted(index.row() for index in self.list.selectedIndexes())
        return [row.job_id for k in rows if (row := self._model.rows()[k]).job_id]

    def choose(self, job_ids: list[str]) -> None:
        """Choose these jobs, the first of them being the current one."""
        selection = self.list.selectionModel()
        for k, job_id in enumerate(job_ids):
            index = self._model.index(self._model.row_of(job_id))
            if index.isValid():
                flag = QItemSelectionModel.SelectionFlag
                if k == 0:
                    selection.setCurrentIndex(index, flag.ClearAndSelect)
                selection.select(index, flag.Select)

    def _keep_chosen(self) -> None:
        """Rows that move go and come again: what was chosen stays chosen."""
        self._chosen = self.chosen()

    def _on_rows(self) -> None:
        chosen, self._chosen = self._chosen, []
        if chosen and chosen != self.chosen():
            self.choose([job_id for job_id in chosen if self._model.row_of(job_id) >= 0])
        self.stack.setCurrentWidget(self.list if self._model.rowCount() else self.empty)

    def _on_activity(self, activity: Activity) -> None:
        self.list.parts.activity = activity
        self._show_state()
        running = next((k for k, r in enumerate(self._model.rows()) if r.status == "running"), -1)
        if running >= 0:
            self.list.update(self._model.index(running))

    def _show_state(self) -> None:
        queue, activity = self._studio.queue, self._studio.activity
        waiting = len(self._desk.waiting())
        text = waits_text(queue.waits, busy=activity.busy, waiting=waiting)
        self.state.setText(text)
        self.state_row.setVisible(bool(text))
        self.resume.setVisible(queue.waits is Waits.PAUSED)
        tip = "Resume" if queue.paused else "Pause after this picture" if activity.busy else "Pause"
        self.pause.setIcon(icon("resume" if queue.paused else "pause"))
        self.pause.setToolTip(tip)
        self.pause.setAccessibleName(tip)

    # -- what is done -------------------------------------------------------------------------

    def _toggle_pause(self) -> None:
        self._studio.queue.pause(not self._studio.queue.paused)

    def _open(self, job_id: str) -> None:
        job = self._desk.job(job_id)
        if job is None:
            return
        if job.status == "queued":
            self._desk.edit(job_id)
        elif job.status == "failed":
            self._desk.retry([job_id])
        elif job.pictures:
            self.picture_wanted.emit(job.pictures[-1])

    def _on_all(self, heading: str) -> None:
        if heading == "Waiting":
            self._desk.remove_waiting()
        elif heading == "Finished":
            self._desk.remove_finished()
        else:
            self._desk.retry([r.job_id for r in self._model.rows() if r.status == "failed"])

    def _on_menu(self, at: QPoint) -> None:
        row = self.list.row_at(at)
        if row is not None and row.job_id:
            self._pop_up(self.list.viewport().mapToGlobal(at))

    def _pop_up(self, at: QPoint) -> None:
        menu = self.job_menu()
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.popup(at)

    def _stop(self, jobs: list[Any]) -> None:
        for job in jobs:
            if str(job.status) == "running":
                self._studio.stop_job(job.id)

    def job_menu(self) -> QMenu:
        """What can be done with the chosen jobs."""
        menu, desk, chosen = QMenu(self), self._desk, self.chosen()
        jobs = [job for job_id in chosen if (job := desk.job(job_id)) is not None]
        statuses = {str(job.status) for job in jobs}
        one = jobs[0] if len(jobs) == 1 else None
        if one is not None and one.pictures and one.status != "queued":
            show = partial(self.picture_wanted.emit, one.pictures[-1])
            menu.addAction("Show Picture", show)
        if one is not None and one.status == "queued":
            menu.addAction("Edit Settings", partial(desk.edit, one.id))
        if "running" in statuses:
            menu.addAction("Stop", partial(self._stop, jobs))
        grids = {job.request.grid.grid for job in jobs if job.request.grid is not None}
        if statuses & {"failed", "cancelled"}:
            menu.addAction("Retry", partial(desk.retry, chosen))
        if "queued" in statuses:
            first = desk.waiting()[0].id
            menu.addSeparator()
            menu.addAction("Move to Top", partial(desk.move, chosen, first))
            menu.addAction("Move Up", partial(desk.shift, chosen, -1))
            menu.addAction("Move Down", partial(desk.shift, chosen, 1))
            menu.addAction("Move to Bottom", partial(desk.move, chosen, None))
            menu.addSeparator()
        if jobs:
            over = statuses <= set(FINISHED)
            menu.addAction("Make Again" if over else "Duplicate", partial(desk.duplicate, chosen))
        if statuses - {"running"}:
            menu.addAction("Remove from Queue", partial(desk.remove, chosen))
        if len(grids) == 1 and len(jobs) < len(cells := desk.cells_that_wait(*grids)):
            menu.addAction("Remove What Waits of the Grid", partial(desk.remove, cells))
        return menu

    def _on_more(self) -> None:
        menu = self.queue_menu()
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.popup(self.more.mapToGlobal(QPoint(0, self.more.height())))

    def queue_menu(self) -> QMenu:
        """What can be done with all of it."""
        menu, queue = QMenu(self), self._studio.queue
        plugged = menu.addAction("Run Only While Plugged In")
        plugged.setCheckable(True)
        plugged.setChecked(queue.plugged_in_only)
        plugged.toggled.connect(queue.run_plugged_in_only)
        menu.addSeparator()
        menu.addAction("Remove Waiting", self._desk.remove_waiting)
        menu.addAction("Clear Finished", self._desk.remove_finished)
        return menu
