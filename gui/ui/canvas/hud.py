"""The strip below the picture while something is going on: what, how far, how long, and Stop."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QProgressBar, QPushButton, QVBoxLayout

from gui import words
from gui.state.activity import Activity, Phase
from gui.state.queue.desk import what_waits
from gui.state.queue.waits import Waits
from gui.ui.widgets.controls import ElidedLabel, label
from gui.ui.widgets.icons import icon

LONG_LOAD_SECONDS = 8.0
"""After this the strip explains why a first load can take minutes."""
NARROW = 420
"""Below this width, beside “3 waiting”, it is said how long it takes and not how fast it is."""
LONG_LOAD_HINT = (
    "A model’s first start on this computer can take minutes, while Core ML prepares it."
)
SPARING_HINT = "To spare memory, one network at a time is loaded, so this takes longer."


def waits_text(waits: Waits, *, busy: bool, waiting: int) -> str:
    """Why nothing more is begun, in one calm line; empty where that is not so."""
    held = f" {what_waits(waiting)}." if waiting else ""
    match waits:
        case Waits.PAUSED if busy:
            return "Pauses once the present picture is finished."
        case Waits.PAUSED:
            return f"Paused.{held}"
        case Waits.BATTERY if busy:
            return "On battery: waits once the present picture is finished."
        case Waits.BATTERY:
            return f"Waits until {words.COMPUTER} is plugged in.{held}"
        case Waits.ELSEWHERE:
            return "Another Sfumato that is open makes these."
        case Waits.FARM:
            return "The Macs of the farm make these."
        case _:
            return ""


def activity_text(activity: Activity) -> tuple[str, str]:
    """What is going on, and the figures beside it."""
    if activity.halted or activity.waits.elsewhere:  # how many is said beside it
        return waits_text(activity.waits, busy=False, waiting=0), ""
    if activity.phase is Phase.STARTING:
        return "Preparing…" if activity.engine_up else "Starting the engine…", ""
    if activity.phase is Phase.LOADING:
        part = words.component(activity.component)
        place = f"{activity.index + 1} of {activity.total}" if activity.total else ""
        figures = (place, words.duration(activity.elapsed))
        return f"Loading {part}…", " · ".join(t for t in figures if t)
    what = f"Step {activity.step} of {activity.steps}" if activity.steps else "Working…"
    if activity.phase is Phase.ENLARGING:
        what = "Enlarging…"
    if activity.count > 1:
        what = f"Picture {activity.picture_index + 1} of {activity.count} · {what}"
    if activity.phase is Phase.STOPPING:
        return "Stopping…", what if activity.steps else ""
    if activity.phase is Phase.ENLARGING:
        several = activity.total > 1
        return what, f"{activity.index} of {activity.total}" if several else ""
    figures = (words.speed(activity.seconds_per_step), words.left(activity.seconds_left))
    return what, " · ".join(t for t in figures if t)


class ProgressStrip(QFrame):
    """Bound to an `Activity`."""

    stop_requested = Signal()
    resume_requested = Signal()
    waiting_requested = Signal()
    """The person wants to see what waits."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("hud")
        self.what = ElidedLabel("", "statement")
        self.figures = label("", "small")
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setAccessibleName("Progress")
        self.hint = label(LONG_LOAD_HINT, "small", wrap=True)
        self.waiting = QPushButton("")
        self.waiting.setObjectName("flat")
        self.waiting.clicked.connect(self.waiting_requested)
        self.resume = QPushButton("Resume")
        self.resume.clicked.connect(self.resume_requested)
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
        row.addWidget(self.resume, 0, Qt.AlignmentFlag.AlignVCenter)
        row.addWidget(self.stop, 0, Qt.AlignmentFlag.AlignVCenter)

    def set_activity(self, activity: Activity) -> None:
        what, figures = activity_text(activity)
        short = f"{activity.step} of {activity.steps}" if activity.steps else ""
        self.what.set_text(what, *([what.partition(" · ")[2] or what, short] if short else []))
        narrow = activity.waiting > 0 and self.width() < NARROW
        self.figures.setText(figures.rpartition(" · ")[2] if narrow else figures)
        self._show_progress(activity)
        loads = activity.phase is Phase.LOADING
        long_load = loads and (activity.preparing or activity.elapsed >= LONG_LOAD_SECONDS)
        pauses = activity.busy and activity.waits in (Waits.PAUSED, Waits.BATTERY)
        hint = SPARING_HINT if activity.sparing and not long_load else LONG_LOAD_HINT
        hint = words.PREPARING if activity.preparing else hint
        self.hint.setText(waits_text(activity.waits, busy=True, waiting=0) if pauses else hint)
        self.hint.setVisible(long_load or pauses or activity.sparing)
        self.bar.setVisible(activity.busy and not activity.waits.elsewhere)
        self.stop.setVisible(activity.busy and not activity.waits.elsewhere)
        self.resume.setVisible(activity.waits is Waits.PAUSED)
        self.waiting.setVisible(activity.waiting > 0)
        self.waiting.setText(f"{activity.waiting} waiting")
        self.waiting.setToolTip("Show what waits")
        self.waiting.setAccessibleName(f"{activity.waiting} waiting. Show them")
        stopping = activity.phase is Phase.STOPPING
        self.stop.setText("Stop Now" if stopping else "Stop")

    def _show_progress(self, activity: Activity) -> None:
        if activity.phase in (Phase.LOADING, Phase.ENLARGING) and activity.total:
            self.bar.setRange(0, activity.total)
            self.bar.setValue(activity.index)
        elif activity.steps and activity.phase in (Phase.DENOISING, Phase.STOPPING):
            self.bar.setRange(0, activity.steps * activity.count)
            self.bar.setValue(activity.picture_index * activity.steps + activity.step)
        else:
            self.bar.setRange(0, 1)
            self.bar.setValue(0)
