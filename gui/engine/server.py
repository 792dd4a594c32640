"""The child process: takes requests, makes pictures, reports.

One job at a time, on the main thread; its pictures are saved by another.
"""

from __future__ import annotations

import os
import statistics
import time
from collections import deque
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any, NoReturn

from gui.engine import messages
from gui.engine.backend import Backend, LoadablePipeline, OpenPipeline, make_backend
from gui.engine.messages import ENGINE, Generate, Prepare
from gui.engine.saving import Saver
from gui.errors import Cancelled, ErrorKind, SfumatoError, as_sfumato_error
from gui.library import picture_places, pictures, places, step_previews, step_times
from gui.library.loras import with_tags
from gui.library.step_previews import StepFrame, StepRecorder, StepSeries
from gui.process.messages import Question
from gui.process.serve import Call, Server, run_child
from gui.request import PictureRecord, PictureRequest

if TYPE_CHECKING:
    import numpy as np

_RECENT_STEPS = 9
_TRIM_AFTER = step_previews.LIMIT_BYTES // 20
"""Bytes of previews after which the oldest ones are looked for; the window does so at its start."""


class _Hooks:
    """Turns the pipeline's callbacks into messages."""

    def __init__(self, call: Call, first: int, recorder: StepRecorder | None, saver: Saver) -> None:
        self._call = call
        self._saver = saver
        self._recorder = recorder
        self._first = first
        self._recent: deque[float] = deque(maxlen=_RECENT_STEPS)
        self._last = (-1, time.monotonic())  # picture and time of the step before

    def cancelled(self) -> bool:
        self._saver.check()  # a disk that is full is told now, and not a picture later
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
        self._saver.breathe()

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


@dataclass(frozen=True)
class _Made:
    """A finished picture on its way to the disk."""

    index: int
    """Which of its job's."""
    pixels: np.ndarray
    record: PictureRecord
    seconds_per_step: float
    series: StepSeries | None


class Engine:
    """Makes pictures, one job at a time, and keeps the model of the last one loaded.

    Args:
        backend: what makes the pictures.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._loaded: tuple[object, LoadablePipeline] | None = None
        self._kept = _KeptSteps()
        self._saver = Saver()

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

    def prepare(self, question: Prepare, call: Call) -> None:
        """Load a model beforehand, unless memory is short: then each network is loaded when it is
        run.

        Raises:
            SfumatoError: it cannot be loaded.
            Cancelled: it was stopped; what is loaded by then stays.
        """
        request = with_tags(question.request)
        choice = self._backend.find(request)
        if not choice.sparing:
            self._load(request, choice, call)

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
        hooks = _Hooks(call, first, recorder, self._saver)
        try:
            for index, picture in enumerate(pipeline.generate(rest, hooks), first):
                created = picture.record.created or picture_places.now()
                made = _Made(
                    index,
                    picture.pixels,
                    replace(picture.record, created=created, job=question.job),
                    hooks.seconds_per_step,
                    recorder.take(index - first) if recorder is not None else None,
                )
                self._saver.put(partial(self._save, made, request, call))
        finally:
            self._saver.finish()  # what is finished is kept, whatever became of the next one

    def _save(self, made: _Made, request: PictureRequest, call: Call) -> None:
        """Write a picture and tell of it; on the saver's thread."""
        path = pictures.save_picture(made.pixels, made.record, request)
        places.remember(made.record)
        step_times.note(made.record, made.seconds_per_step)
        if made.series is not None:
            self._kept.write(path, made.series)
        call.tell(messages.Image(made.index, str(path), made.record))

    def _show(self, request: PictureRequest, call: Call) -> None:
        """Make a picture to be looked at, and keep nothing of it."""
        pipeline = self._prepared(request, call)
        for picture in pipeline.generate(request, _Hooks(call, 0, None, self._saver)):
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
            call.tell(messages.Loading(component, index, total, elapsed, new, choice.sparing))

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
    handlers = {Generate: engine.generate, Prepare: engine.prepare}
    server = Server(connection, ENGINE, handlers, as_error=as_error)
    server.tell(engine.ready())
    server.run()


def main(arguments: list[str] | None = None) -> NoReturn:
    """Entry of the engine process."""
    run_child("engine", _serve, arguments)
