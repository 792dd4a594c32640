"""What the main window has of the queue: the list, the bar of an edit, the grid sheet, and the
commands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QMainWindow, QVBoxLayout

from gui.state.activity import Activity
from gui.state.pictures.types import IndexedPicture
from gui.state.studio import Studio
from gui.ui.canvas.canvas import Canvas
from gui.ui.menus import Actions
from gui.ui.prompt.panel import PromptPanel
from gui.ui.queue.edit_bar import EditBar
from gui.ui.queue.panel import QueuePanel

if TYPE_CHECKING:
    from gui.ui.queue.grid_sheet import GridSheet


class QueueRoom(QObject):
    """Ties list, prompt panel and commands to the studio's queue.

    Args:
        canvas: what the list stands beside.
        prompt: where a waiting request is edited.
    """

    picture_wanted = Signal(IndexedPicture)
    """A picture of the list, to be shown."""

    def __init__(
        self,
        studio: Studio,
        canvas: Canvas,
        prompt: PromptPanel,
        actions: Actions,
        window: QMainWindow,
    ) -> None:
        super().__init__(window)
        self._studio = studio
        self._prompt = prompt
        self._actions = actions
        self._window = window
        self.panel = QueuePanel(studio, canvas, canvas.strip)
        self.edit_bar = EditBar(studio.jobs)
        self.grid_sheet: GridSheet | None = None
        layout = prompt.layout()
        assert isinstance(layout, QVBoxLayout)
        layout.insertWidget(0, self.edit_bar)
        self._connect(canvas)

    def _connect(self, canvas: Canvas) -> None:
        studio, a = self._studio, self._actions
        queue = studio.queue
        canvas.strip.waiting_requested.connect(a.queue.toggle)
        canvas.strip.resume_requested.connect(lambda: queue.pause(False))
        a.queue.toggled.connect(self.panel.setVisible)
        a.plugged_in_only.toggled.connect(queue.run_plugged_in_only)
        a.clear_queue.triggered.connect(lambda *_: studio.jobs.remove_waiting())
        a.pause_queue.triggered.connect(lambda *_: queue.pause(not queue.paused))
        a.make_grid.triggered.connect(lambda *_: self.show_grid_sheet())
        self.panel.closed.connect(lambda: a.queue.setChecked(False))
        self.panel.picture_wanted.connect(
            lambda path: studio.library.with_picture(path, self.picture_wanted.emit)
        )
        queue.waits_changed.connect(self._on_waits)
        studio.jobs.editing_changed.connect(self._on_editing)
        studio.activity_changed.connect(self._on_activity)
        studio.live.switched.connect(lambda _on: self._name_generate())

    def show_grid_sheet(self) -> None:
        """Make a Grid of what the panel says."""
        from gui.ui.queue.grid_sheet import GridSheet

        if not self._prompt.generate.isEnabled():
            self._studio.generate()  # which says why the model cannot be used
            return
        if self.grid_sheet is None:
            self.grid_sheet = GridSheet(self._studio, self._window)
        self.grid_sheet.open_with_draft()

    def _on_activity(self, activity: Activity) -> None:
        self._actions.clear_queue.setEnabled(activity.waiting > 0)
        self._name_generate()

    def _name_generate(self) -> None:
        """What Generate does now: with nothing else going on, while there is, and to an edit."""
        lines_up = self._studio.activity.busy or self._studio.activity.halted
        editing = self._studio.jobs.editing is not None
        live = self._studio.live.on
        self._prompt.set_busy(lines_up, editing, live)
        plain = "Keep" if live else "Generate"
        text = "Save Request" if editing else "Add to Queue" if lines_up else plain
        self._actions.generate.setText(text)

    def _on_waits(self) -> None:
        queue, a = self._studio.queue, self._actions
        a.pause_queue.setText("Resume Queue" if queue.paused else "Pause Queue")
        a.plugged_in_only.setChecked(queue.plugged_in_only)

    def _on_editing(self) -> None:
        self._name_generate()
        if self._studio.jobs.editing is not None:
            self._actions.options.setChecked(True)
            self._prompt.prompt.edit.setFocus()
