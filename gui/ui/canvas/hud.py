"""The strip below the picture while something is going on: what, how far, how long, and Stop."""

from __future__ import annotations

from PySide6.QtCore import QPoint, QSize, Qt, Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QProgressBar, QPushButton, QVBoxLayout

from gui import words
from gui.state.studio import Activity, Phase
from gui.ui.widgets.controls import ElidedLabel, label
from gui.ui.widgets.icons import icon

LONG_LOAD_SECONDS = 8.0
"""After this the strip explains why a first load can take minutes."""


def activity_text(activity: Activity) -> tuple[str, str]:
    """What is going on, and the figures beside it."""
    if activity.phase is Phase.STARTING:
        return "Preparing…" if activity.engine_up else "Starting the engine…", ""
    if activity.phase is Phase.LOADING:
        part = words.component(activity.component)
        place = f"{activity.index + 1} of {activity.total}" if activity.total else ""
        figures = (place, words.duration(activity.elapsed))
        return f"Loading {part}…", " · ".join(t for t in figures if t)
    what = f"Step {activity.step} of {activity.steps}" if activity.steps else "Working…"
    if activity.count > 1:
        what = f"Picture {activity.picture_index + 1} of {activity.count} · {what}"
    if activity.phase is Phase.STOPPING:
        return "Stopping…", what if activity.steps else ""
    figures = (words.speed(activity.seconds_per_step), words.left(activity.seconds_left))
    return what, " · ".join(t for t in figures if t)


class ProgressStrip(QFrame):
    """Bound to an `Activity`."""

    stop_requested = Signal()
    waiting_requested = Signal(QPoint)
    """The person wants to see what waits; where a menu may come up."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("hud")
        self.what = ElidedLabel("", "statement")
        self.figures = label("", "small")
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setAccessibleName("Progress")
        self.hint = label(
            "A model’s first start on this computer can take minutes, while Core ML prepares it.",
            "small",
            wrap=True,
        )
        self.waiting = QPushButton("")
        self.waiting.setObjectName("flat")
        self.waiting.clicked.connect(self._ask_for_waiting)
        self.stop = QPushButton("Stop")
        self.stop.setIcon(icon("stop"))
        self.stop.setIconSize(QSize(14, 14))
        self.stop.setToolTip("Stop after this step; press again to stop at once")
        self.stop.clicked.connect(self.stop_requested)
        self._lay_out()

    def _lay_out(self) -> None:
        line = QHBoxLayout()
        line.setSpacing(10)
        line.addWidget(self.what, 1)
        line.addWidget(self.figures)
        column = QVBoxLayout()
        column.setSpacing(7)
        column.addLayout(line)
        column.addWidget(self.bar)
        column.addWidget(self.hint)
        row = QHBoxLayout(self)
        row.setContentsMargins(16, 11, 12, 11)
        row.setSpacing(12)
        row.addLayout(column, 1)
        row.addWidget(self.waiting, 0, Qt.AlignmentFlag.AlignVCenter)
        row.addWidget(self.stop, 0, Qt.AlignmentFlag.AlignVCenter)

    def set_activity(self, activity: Activity) -> None:
        what, figures = activity_text(activity)
        self.what.set_text(what)
        self.figures.setText(figures)
        self._show_progress(activity)
        long_load = activity.phase is Phase.LOADING and activity.elapsed >= LONG_LOAD_SECONDS
        self.hint.setVisible(long_load)
        self.waiting.setVisible(activity.waiting > 0)
        self.waiting.setText(f"{activity.waiting} waiting")
        self.waiting.setToolTip("Show what waits")
        self.waiting.setAccessibleName(f"{activity.waiting} waiting. Show them")
        stopping = activity.phase is Phase.STOPPING
        self.stop.setText("Stop Now" if stopping else "Stop")

    def _ask_for_waiting(self) -> None:
        self.waiting_requested.emit(self.waiting.mapToGlobal(QPoint(0, 0)))

    def _show_progress(self, activity: Activity) -> None:
        if activity.phase is Phase.LOADING and activity.total:
            self.bar.setRange(0, activity.total)
            self.bar.setValue(activity.index)
        elif activity.steps and activity.phase in (Phase.DENOISING, Phase.STOPPING):
            self.bar.setRange(0, activity.steps * activity.count)
            self.bar.setValue(activity.picture_index * activity.steps + activity.step)
        else:
            self.bar.setRange(0, 1)
            self.bar.setValue(0)
