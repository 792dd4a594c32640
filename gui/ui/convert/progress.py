"""A conversion under way: its components, how far it is, what was measured, and how it ended."""

from __future__ import annotations

from PySide6.QtCore import QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFontDatabase, QMouseEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QPlainTextEdit,
    QProgressBar,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from gui import words
from gui.state.convert.options import described, parity_text
from gui.state.convert.state import STEP_WORDS, ComponentRow, ConvertPhase, ConvertStatus
from gui.state.desktop import copy_text
from gui.ui.widgets.appearance import current_palette
from gui.ui.widgets.controls import ElidedLabel, Section, icon_button, label
from gui.ui.widgets.focus import shows_ring
from gui.ui.widgets.icons import icon, paint_icon
from gui.ui.widgets.toast import say_briefly

BAR_STEPS = 1000
DOT = 18
LOG_HEIGHT = 150

KEPT = "Finished parts are kept; “Go On” starts with the next one."
NOTHING_YET = "“Go On” tries again; “Change Options” goes back to the choices."

HEADINGS = {
    ConvertPhase.RUNNING: "Converting “{}”",
    ConvertPhase.STOPPING: "Stopping “{}”",
    ConvertPhase.DONE: "“{}” is ready",
    ConvertPhase.FAILED: "“{}” could not be converted",
    ConvertPhase.PAUSED: "“{}” is paused",
}


class StateDot(QWidget):
    """A component's state as a small sign: open ring, three-quarter ring, or tick."""

    def __init__(self) -> None:
        super().__init__()
        self._state = "waiting"
        self.setFixedSize(DOT, DOT)

    def set_state(self, state: str) -> None:
        """waiting, working, done or warning"""
        if state != self._state:
            self._state = state
            self.update()

    def paintEvent(self, _event: QPaintEvent) -> None:
        palette = current_palette()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if self._state == "done":
            paint_icon(painter, "check", self.rect(), palette.accent)
            return
        if self._state == "warning":
            paint_icon(painter, "warning", self.rect(), palette.warning)
            return
        ring = QRectF(self.rect()).adjusted(3, 3, -3, -3)
        painter.setPen(QPen(QColor(palette.groove), 2))
        painter.drawEllipse(ring)
        if self._state == "working":
            painter.setPen(QPen(QColor(palette.accent), 2))
            painter.drawArc(ring, 90 * 16, -270 * 16)


class ComponentLine(QWidget):
    """One component: state, name, and what is done with it or how alike it is."""

    def __init__(self) -> None:
        super().__init__()
        self.dot = StateDot()
        self.name = label("")
        self.what = label("", "small")
        self.warning = label("", "warning", wrap=True)
        row = QHBoxLayout()
        row.setSpacing(9)
        row.addWidget(self.dot)
        row.addWidget(self.name, 1)
        row.addWidget(self.what)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 3, 0, 3)
        column.setSpacing(1)
        column.addLayout(row)
        below = QHBoxLayout()
        below.setContentsMargins(DOT + 9, 0, 0, 0)
        below.addWidget(self.warning)
        column.addLayout(below)

    def show_row(self, row: ComponentRow, *, busy: bool) -> None:
        warnings = [p.warning for p in row.parities if p.warning]
        self.name.setText(row.name)
        self.what.setText(self._words(row, busy))
        tips = [f"{p.name}: {p.psnr:.1f} dB. {p.compared}" for p in row.parities]
        self.what.setToolTip(words.plain_tip("\n".join(tips)))
        self.warning.setText(" ".join(warnings))
        self.warning.setVisible(bool(warnings))
        state = "working" if busy else "waiting"
        if row.done:
            state = "warning" if warnings else "done"
        self.dot.set_state(state)
        self.setAccessibleName(f"{row.name}. {self.what.text()}")

    @staticmethod
    def _words(row: ComponentRow, busy: bool) -> str:
        if row.parities:
            worst = min(row.parities, key=lambda parity: parity.psnr)
            return parity_text(worst.psnr, worst.threshold)
        if row.resumed:
            return "already converted"
        if row.done:
            return "converted"
        return f"{STEP_WORDS[row.step].lower()}…" if busy else "not finished"


class ErrorBox(QFrame):
    """An error inside the sheet: sentence, advice, details to copy."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("error")
        self._report = ""
        self.statement = label("", "statement", wrap=True)
        self.advice = label("", "", wrap=True)
        self.copy_button = QPushButton("Copy Details")
        self.copy_button.clicked.connect(self._copy)
        text = QVBoxLayout()
        text.setSpacing(2)
        text.addWidget(self.statement)
        text.addWidget(self.advice)
        row = QHBoxLayout(self)
        row.setContentsMargins(14, 10, 10, 10)
        row.setSpacing(10)
        row.addLayout(text, 1)
        row.addWidget(self.copy_button, 0, Qt.AlignmentFlag.AlignVCenter)
        self.hide()

    def show_error(self, status: ConvertStatus) -> None:
        error = status.error
        self.setVisible(error is not None)
        if error is not None:
            self.statement.setText(error.message)
            kept = any(row.done for row in status.rows)
            self.advice.setText(KEPT if kept else NOTHING_YET)
            self._report = f"{error.message}\n[{error.kind.value}]\n{error.detail}".strip() + "\n"

    def _copy(self) -> None:
        copy_text(self._report)
        say_briefly(self.window(), "Details copied")


class ConvertProgress(QWidget):
    """The sheet's second page.  Bound to a `ConvertStatus` by `show_status`."""

    def __init__(self) -> None:
        super().__init__()
        self.heading = label("", "title", wrap=True)
        self.subtitle = label("", "secondary", wrap=True)
        self.bar = QProgressBar()
        self.bar.setRange(0, BAR_STEPS)
        self.bar.setTextVisible(False)
        self.bar.setAccessibleName("Conversion")
        self.state = label("", "small")
        self.time = label("", "small")
        self.error = ErrorBox()
        self.lines: list[ComponentLine] = []
        self.rest = label("", "small")
        self.warnings = label("", "warning", wrap=True)
        self.log = QPlainTextEdit()
        self.log.setReadOnly(True)
        self.log.setAccessibleName("Log of the conversion")
        self.log.setMaximumBlockCount(2000)
        font = QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont)
        font.setPixelSize(11)
        self.log.setFont(font)
        self.log.setFixedHeight(LOG_HEIGHT)
        self.log_section = Section("Log", self.log)
        self._lay_out()

    def _lay_out(self) -> None:
        under = QHBoxLayout()
        under.addWidget(self.state, 1)
        under.addWidget(self.time)
        inner = QWidget()
        inner.setObjectName("scrolled")
        self._list = QVBoxLayout(inner)
        self._list.setContentsMargins(2, 0, 8, 0)
        self._list.setSpacing(2)
        self._list.addWidget(self.rest)
        self._list.addWidget(self.warnings)
        self._list.addWidget(self.log_section)
        self._list.addStretch(1)
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setAccessibleName("Parts of the model")
        scroll.setWidget(inner)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        column.addWidget(self.heading)
        column.addWidget(self.subtitle)
        column.addSpacing(6)
        column.addWidget(self.bar)
        column.addLayout(under)
        column.addWidget(self.error)
        column.addSpacing(4)
        column.addWidget(scroll, 1)

    def show_status(self, status: ConvertStatus) -> None:
        heading = HEADINGS.get(status.phase, "{}").format(status.title)
        self.heading.setText(heading)
        self.subtitle.setText(described(status.request) if status.request else "")
        self.bar.setValue(round(status.fraction * BAR_STEPS))
        self.state.setText(state_text(status))
        self.time.setText(time_text(status))
        self.error.show_error(status)
        self._show_rows(status)
        report = status.report
        self.warnings.setText("\n".join(report.warnings) if report else "")
        self.warnings.setVisible(bool(report and report.warnings))

    def _show_rows(self, status: ConvertStatus) -> None:
        while len(self.lines) < len(status.rows):
            self._list.insertWidget(len(self.lines), line := ComponentLine())
            self.lines.append(line)
        while len(self.lines) > len(status.rows):
            line = self.lines.pop()
            line.hide()
            line.deleteLater()
        for line, row in zip(self.lines, status.rows, strict=True):
            line.show_row(row, busy=status.busy)
        more = status.total - len(status.rows)
        self.rest.setText(f"and {more} more" if more > 0 and status.busy else "")
        self.rest.setVisible(bool(self.rest.text()))
        self.rest.setContentsMargins(DOT + 9, 2, 0, 4)

    def set_log(self, lines: list[str]) -> None:
        self.log.setPlainText("\n".join(lines))

    def add_log(self, line: str) -> None:
        self.log.appendPlainText(line)


def state_text(status: ConvertStatus) -> str:
    """What is going on, in a few words."""
    if status.phase is ConvertPhase.STOPPING:
        return "Stopping…"
    if status.phase is ConvertPhase.RUNNING:
        return f"{status.step}…" if status.step else "Starting…"
    if status.phase is ConvertPhase.DONE and status.report is not None:
        report = status.report
        size = words.size(report.disk_bytes)
        return f"{size} on disk · took {words.duration(report.seconds)}"
    if status.phase is ConvertPhase.PAUSED:
        return "Paused; finished parts are kept."
    return ""


def time_text(status: ConvertStatus) -> str:
    if not status.busy:
        return ""
    text = f"{words.duration(status.elapsed)} so far"
    return f"{text} · about {words.left(status.left)}" if status.left else text


class ConvertStrip(QFrame):
    """The conversion in a corner of the main window while its sheet is closed.  A click, Space or
    Return opens the sheet."""

    opened = Signal()
    dismissed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("convertStrip")
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.title = ElidedLabel("", "heading")
        self.text = ElidedLabel("", "small")
        self.bar = QProgressBar()
        self.bar.setRange(0, BAR_STEPS)
        self.bar.setTextVisible(False)
        self.close_button = icon_button("close", "Dismiss")
        self.close_button.clicked.connect(self.dismissed)
        head = QHBoxLayout()
        head.setSpacing(4)
        head.addWidget(self.title, 1)
        head.addWidget(self.close_button)
        column = QVBoxLayout(self)
        column.setContentsMargins(12, 6, 8, 8)
        column.setSpacing(3)
        column.addLayout(head)
        column.addWidget(self.bar)
        column.addWidget(self.text)
        self.hide()

    def sizeHint(self) -> QSize:
        return QSize(200, 70)

    def show_status(self, status: ConvertStatus, waiting: int) -> None:
        """`waiting`: interrupted conversions of earlier days."""
        phase = status.phase
        self.setVisible(phase in HEADINGS or waiting > 0)
        self.bar.setVisible(status.busy)
        self.close_button.setVisible(not status.busy)
        if phase in HEADINGS:
            self.title.set_text(HEADINGS[phase].format(status.title))
            figures = (words.percent(status.fraction), words.left(status.left))
            busy = " · ".join(part for part in figures if part)
            done = busy if status.busy else state_text(status)
            if phase is ConvertPhase.DONE:
                done = "Click to see how it turned out."
            self.text.set_text(status.error.message if status.error else done)
            self.bar.setValue(round(status.fraction * BAR_STEPS))
        elif waiting:
            self.title.set_text("Unfinished conversion")
            self.text.set_text("Click to go on with it.")
        self.setAccessibleName(f"{self.title.whole_text()}. {self.text.whole_text()}")

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        inside = self.rect().contains(event.position().toPoint())
        if event.button() == Qt.MouseButton.LeftButton and inside:
            self.opened.emit()

    def keyPressEvent(self, event) -> None:  # type: ignore[no-untyped-def]
        if event.key() in (Qt.Key.Key_Space, Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.opened.emit()
        else:
            super().keyPressEvent(event)

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        if shows_ring(self):
            painter = QPainter(self)
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(QPen(QColor(current_palette().accent), 2))
            painter.drawRoundedRect(QRectF(self.rect()).adjusted(4, 2, -4, -2), 6, 6)


def unfinished_icon() -> QLabel:
    made = QLabel()
    made.setPixmap(icon("info", tone="accent").pixmap(18, 18))
    return made
