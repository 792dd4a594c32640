"""Under a finished picture: a slider through the steps it was made in, which can be played."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt, QTimer, Signal
from PySide6.QtGui import QMouseEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QPushButton, QStyle, QStyleOptionSlider

from gui.state.pictures.steps import SeenSteps
from gui.ui.widgets.controls import QuietSlider, icon_button, label
from gui.ui.widgets.icons import icon

PLAYED_MS = 2400
"""How long all steps take together …"""
FASTEST_MS, SLOWEST_MS = 40, 160
"""… within these bounds for one."""
WIDTH = 460


class _StepSlider(QuietSlider):
    """A click goes to where it was made: a step is seen at once."""

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton:
            option = QStyleOptionSlider()
            self.initStyleOption(option)
            part = QStyle.SubControl.SC_SliderHandle
            handle = self.style().subControlRect(
                QStyle.ComplexControl.CC_Slider, option, part, self
            )
            if not handle.contains(event.position().toPoint()):
                room = self.width() - handle.width()
                at = round(event.position().x()) - handle.width() // 2
                self.setValue(
                    QStyle.sliderValueFromPosition(
                        self.minimum(), self.maximum(), at, room, self.isRightToLeft()
                    )
                )
        super().mousePressEvent(event)


class Scrubber(QFrame):
    """Shows nothing of itself where there are no steps."""

    step_shown = Signal(object)
    """This `QImage` is to be seen, as the picture was at the chosen step; None: the picture."""
    branch_requested = Signal(int)
    """The person wants to go on from this step in another way."""

    def __init__(self) -> None:
        super().__init__()
        self._steps = SeenSteps(0)
        self._playing = QTimer(self)
        self._playing.timeout.connect(self._next)
        self.play = icon_button("resume", "Play the steps")
        self.play.clicked.connect(lambda _: self.toggle_playing())
        self.slider = _StepSlider()
        self.slider.setAccessibleName("Step")
        self.slider.valueChanged.connect(self._on_value)
        self.slider.sliderPressed.connect(self.stop)
        self.text = label("", "small")
        self.branch = QPushButton("Branch from Here")
        self.branch.setObjectName("flat")
        self.branch.setToolTip("Go on from this step with other words or settings")
        self.branch.clicked.connect(lambda _: self.branch_requested.emit(self.step))
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(8)
        row.addWidget(self.play)
        row.addWidget(self.slider, 1)
        row.addWidget(self.text)
        row.addWidget(self.branch)
        self.setMaximumWidth(WIDTH)
        self.hide()

    @property
    def step(self) -> int:
        """The step that is seen, from 1; 0 where there are none."""
        frames = self._steps.frames
        return frames[self.slider.value()].step if frames else 0

    @property
    def there(self) -> bool:
        """Whether there are steps to be seen."""
        return len(self._steps.frames) > 1

    @property
    def playing(self) -> bool:
        return self._playing.isActive()

    def set_steps(self, steps: SeenSteps) -> None:
        """Of the picture on show, which is what is seen."""
        self.stop()
        self._steps = steps
        last = max(0, len(steps.frames) - 1)
        blocked = self.slider.blockSignals(True)
        self.slider.setRange(0, last)
        self.slider.setPageStep(max(1, last // 5))
        self.slider.setValue(last)
        self.slider.blockSignals(blocked)
        widest = f"Step {steps.steps} of {steps.steps}"
        self.text.setFixedWidth(self.text.fontMetrics().horizontalAdvance(widest) + 6)
        self._say()

    def show_end(self) -> None:
        """Back to the finished picture."""
        self.stop()
        self.slider.setValue(self.slider.maximum())

    def toggle_playing(self) -> None:
        if self.playing:
            self.stop()
            return
        if self.slider.value() == self.slider.maximum():
            self.slider.setValue(0)
        count = max(1, len(self._steps.frames))
        self._playing.start(min(SLOWEST_MS, max(FASTEST_MS, PLAYED_MS // count)))
        self._show_button()

    def stop(self) -> None:
        self._playing.stop()
        self._show_button()

    def _next(self) -> None:
        self.slider.setValue(self.slider.value() + 1)
        if self.slider.value() == self.slider.maximum():
            self.stop()

    def _on_value(self, value: int) -> None:
        self._say()
        frames = self._steps.frames
        self.step_shown.emit(None if value == len(frames) - 1 else frames[value].image)

    def _say(self) -> None:
        self.text.setText(f"Step {self.step} of {self._steps.steps}")
        self.slider.setAccessibleDescription(self.text.text())
        at_end = self.slider.value() == self.slider.maximum()
        self.branch.setEnabled(not at_end)

    def _show_button(self) -> None:
        name, tip = ("pause", "Pause") if self.playing else ("resume", "Play the steps")
        self.play.setIcon(icon(name))
        self.play.setIconSize(QSize(16, 16))
        self.play.setToolTip(tip)
        self.play.setAccessibleName(tip)
