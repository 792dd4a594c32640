"""The previews of a finished picture's steps, read on a worker."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QImage

from gui.library import step_previews
from gui.state.background import TaskThreads

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SeenStep:
    """What was seen after one step."""

    step: int
    """From 1."""
    image: QImage


@dataclass(frozen=True)
class SeenSteps:
    """What was seen of a picture while it was made, in order; the last one is the picture."""

    steps: int
    """How many it has."""
    frames: tuple[SeenStep, ...] = ()


class _Answers(QObject):
    arrived = Signal(str, object)


def _read(picture: str) -> SeenSteps:
    try:
        series = step_previews.read(picture)
        if series is not None:
            frames = tuple(SeenStep(frame.step, _image(frame)) for frame in series.frames)
            return SeenSteps(series.steps, frames)
    except Exception:
        log.exception("previews could not be read")
    return SeenSteps(0)


def _image(frame: step_previews.StepFrame) -> QImage:
    form = QImage.Format.Format_RGB888
    return QImage(frame.rgb, frame.width, frame.height, 3 * frame.width, form).copy()


class StepPreviews(QObject):
    """Asking never waits; where there are no previews, none come, and that is told."""

    arrived = Signal(str, object)
    """A picture's fingerprint, and its `SeenSteps`."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._threads = TaskThreads("step-previews")
        self._answers = _Answers()
        self._answers.arrived.connect(self.arrived)

    def load(self, picture: str) -> None:
        """Look for the previews of a picture, by its fingerprint; earlier questions that nobody
        waits for any more are dropped."""
        answers = self._answers
        self._threads.clear()
        self._threads.start(lambda: answers.arrived.emit(picture, _read(picture)))

    def close(self) -> None:
        self._threads.close()
