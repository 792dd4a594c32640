"""The child process: takes requests, makes pictures, reports.

One job at a time, on the main thread.
"""

from __future__ import annotations

import os
import statistics
import time
from collections import deque
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any, NoReturn

from gui.engine import messages
from gui.engine.backend import Backend, LoadablePipeline, OpenPipeline, make_backend
from gui.engine.messages import ENGINE, Generate
from gui.errors import Cancelled, ErrorKind, SfumatoError, as_sfumato_error
from gui.library import picture_places, pictures, places, step_previews, step_times
from gui.library.loras import with_tags
from gui.library.step_previews import StepFrame, StepRecorder, StepSeries
from gui.process.messages import Question
from gui.process.serve import Call, Server, run_child
from gui.request import PictureRequest

if TYPE_CHECKING:
    import numpy as np

_RECENT_STEPS = 9
_TRIM_AFTER = step_previews.LIMIT_BYTES // 20
"""Bytes of previews after which the oldest ones are looked for; the window does so at its start."""


class _Hooks:
    """Turns the pipeline's callbacks into messages."""

    def __init__(self, call: Call, first: int, recorder: StepRecorder | None) -> None:
        self._call = call
        self._recorder = recorder
        self._first = first
        self._recent: deque[float] = deque(maxlen=_RECENT_STEPS)
        self._last = (-1, time.monotonic())  # picture and time of the step before

    def cancelled(self) -> bool:
        return self._call.cancelled()

    def on_enlarging(self, picture_index: int, done: int, total: int) -> None:
        self._call.tell(messages.Enlarging(self._first + picture_index, done, total))

    def on_step(
        self, picture_index: int, step: int, steps: int, preview: np.ndarray | None
    ) -> None:
        now = time.monotonic()
        picture, before = self._last
        # Between two pictures lie a decode and a save, so only a first picture's first step, for
        # want of anything better, is measured from the start.
        if picture == picture_index or not self._recent:
            self._recent.append(now - before)
        if step == 2 and picture_index == 0 and len(self._recent) == 2:
            self._recent.popleft()  # the first step carries warming up
        self._last = (picture_index, now)
        shown = None
        if preview is not None:
            height, width = preview.shape[:2]
            shown = messages.Preview(width, height, preview.tobytes())
            if self._recorder is not None:
                self._recorder.saw(picture_index, steps, StepFrame(step, width, height, shown.rgb))
        seconds = self.seconds_per_step
        self._call.tell(messages.Step(self._first + picture_index, step, steps, seconds, shown))

    @property
    def seconds_per_step(self) -> float:
        """As measured of late; 0 before the first step."""
        return statistics.median(self._recent) if self._recent else 0.0


class _KeptSteps:
    """Writes previews, and sees to it that they stay within their limit."""

    def __init__(self) -> None:
        self._since = 0

    def write(self, path: Path, series: StepSeries) -> None:
        self._since += step_previews.keep(path, series)
        if self._since > _TRIM_AFTER:
            self._since = 0
            Thread(target=step_previews.trim, name="trim", daemon=True).start()


class Engine:
    """Makes pictures, one job at a time, and keeps the model of the last one loaded.

    Args:
        backend: what makes the pictures.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._loaded: tuple[object, LoadablePipeline] | None = None
        self._kept = _KeptSteps()

    def ready(self) -> messages.Ready:
        return messages.Ready(os.getpid(), self._backend.runtime, self._backend.versions())

    def generate(self, question: Generate, call: Call) -> None:
        """Do a job.

        Raises:
            SfumatoError: it ends with an error.
            Cancelled: it was stopped.
        """
        try:
            if question.live:
                self._show(with_tags(question.request), call)
            else:
                self._generate(question, call)
        except (SfumatoError, Cancelled):
            raise
        except Exception:
            self._unload()  # it may be in any state
            raise

    def _generate(self, question: Generate, call: Call) -> None:
        request = with_tags(question.request)
        # Before minutes are spent, not after.
        pictures.check_destination(request)
        first = question.first
        if question.resumed:
            for path, record in pictures.made_for(question.job, request, first):
                call.tell(messages.Image(first, str(path), record))
                first += 1
            if first >= request.count:
                return
        pipeline = self._prepared(request, call)
        # Picture k depends on nothing but its seeds, so a job that was interrupted goes on as a
        # shorter one that starts later.
        rest = replace(request.single(first), count=request.count - first)
        recorder = StepRecorder() if request.keep_previews else None
        hooks = _Hooks(call, first, recorder)
        for index, picture in enumerate(pipeline.generate(rest, hooks), first):
            created = picture.record.created or picture_places.now()
            record = replace(picture.record, created=created, job=question.job)
            path = pictures.save_picture(picture.pixels, record, request)
            places.remember(record)
            step_times.note(record, hooks.seconds_per_step)
            if recorder is not None and (series := recorder.take(index - first)) is not None:
                self._kept.write(path, series)
            call.tell(messages.Image(index, str(path), record))

    def _show(self, request: PictureRequest, call: Call) -> None:
        """Make a picture to be looked at, and keep nothing of it."""
        pipeline = self._prepared(request, call)
        for picture in pipeline.generate(request, _Hooks(call, 0, None)):
            height, width = picture.pixels.shape[:2]
            call.tell(messages.Frame(width, height, picture.pixels.tobytes()))

    def _prepared(self, request: PictureRequest, call: Call) -> LoadablePipeline:
        """The pipeline for a request, ready to be used; its model's name and size are told."""
        choice = self._backend.find(request)
        if choice.measured is not None:
            call.tell(messages.UnitInUse(*choice.measured))
        pipeline = self._load(request, choice, call)
        call.tell(messages.Prepared(choice.name, choice.width, choice.height))
        return pipeline

    def _load(self, request: PictureRequest, choice: OpenPipeline, call: Call) -> LoadablePipeline:
        """The pipeline for a request, with every network it needs: the one still there, or a new
        one in its place."""
        if self._loaded is None or self._loaded[0] != choice.key:
            self._unload()  # first, so that two models never share the memory
            self._loaded = (choice.key, choice.build())
        pipeline = self._loaded[1]
        started = time.monotonic()

        def on_loading(component: str, index: int, total: int) -> None:
            if call.cancelled():
                raise Cancelled  # what is loaded by now stays for the next job
            elapsed = time.monotonic() - started
            new = choice.prepares(component)
            call.tell(messages.Loading(component, index, total, elapsed, new))

        try:
            pipeline.load(on_loading, request)
        except SfumatoError:
            self._unload()
            raise
        return pipeline

    def _unload(self) -> None:
        if self._loaded is not None:
            pipeline = self._loaded[1]
            self._loaded = None
            pipeline.close()


def as_error(error: Exception, _question: Question[Any]) -> SfumatoError:
    """As `as_sfumato_error`; torch says in ways of its own that memory is out."""
    found = as_sfumato_error(error)
    text = str(error).lower()
    if isinstance(error, MemoryError) or "can't allocate memory" in text or "alloc_cpu" in text:
        message = (
            "There is not enough memory for this picture; close other programs, or choose a "
            "smaller model."
        )
        return SfumatoError(ErrorKind.MEMORY, message, found.detail)
    return found


def _serve(connection: Connection) -> None:
    engine = Engine(make_backend())
    server = Server(connection, ENGINE, {Generate: engine.generate}, as_error=as_error)
    server.tell(engine.ready())
    server.run()


def main(arguments: list[str] | None = None) -> NoReturn:
    """Entry of the engine process."""
    run_child("engine", _serve, arguments)
