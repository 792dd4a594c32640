"""The child process: takes requests, makes pictures, reports.

One job at a time, on the main thread.  It never outlives the window: end of file on the socket
ends it while idle, and a watch on the parent's id while it works.
"""

from __future__ import annotations

import argparse
import mmap
import os
import statistics
import time
import traceback
from collections import deque
from dataclasses import replace
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, NoReturn

from gui.engine import messages
from gui.engine.backend import Backend, LoadablePipeline, OpenPipeline, make_backend
from gui.engine.messages import Generate, JobEvent
from gui.errors import ErrorKind, SfumatoError
from gui.library import pictures
from gui.process.child import ParentWatch, run_child
from gui.request import MAX_SEED

if TYPE_CHECKING:
    import numpy as np

_RECENT_STEPS = 9


class _StopLoading(Exception):  # noqa: N818 - a request, not an error
    """Raised between two components when the job was cancelled meanwhile."""


class _Hooks:
    """Turns the pipeline's callbacks into messages."""

    def __init__(self, server: Server, job: str, first: int) -> None:
        self._server = server
        self._job = job
        self._first = first
        self._recent: deque[float] = deque(maxlen=_RECENT_STEPS)
        self._last = (-1, time.monotonic())  # picture and time of the step before

    def cancelled(self) -> bool:
        return self._server.cancel_requested()

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
        self._server.send(
            messages.Step(
                self._job,
                self._first + picture_index,
                step,
                steps,
                statistics.median(self._recent),
                shown,
            )
        )


class Server:
    """Serves one window.

    Args:
        connection: the socket to the window.
        cancel_flag: one shared byte; 1 asks the present job to stop.
        backend: what makes the pictures.
    """

    def __init__(self, connection: Connection, cancel_flag: mmap.mmap, backend: Backend) -> None:
        self._connection = connection
        self._flag = cancel_flag
        self._backend = backend
        self._loaded: tuple[object, LoadablePipeline] | None = None

    def serve(self) -> None:
        """Say `Ready`, then work until the window hangs up."""
        try:
            self.send(messages.Ready(os.getpid(), self._backend.runtime, self._backend.versions()))
            while True:
                message = messages.decode(self._connection.recv_bytes(messages.MAX_FRAME))
                if isinstance(message, Generate):
                    self._work(message)
        except (EOFError, BrokenPipeError, ConnectionResetError):
            return  # the window is gone

    def send(self, event: messages.Event) -> None:
        self._connection.send_bytes(messages.encode(event))

    def cancel_requested(self) -> bool:
        return self._flag[0] != 0

    def _work(self, command: Generate) -> None:
        with ParentWatch():
            self.send(self._outcome(command))

    def _outcome(self, command: Generate) -> JobEvent:
        """Do the job; whatever happens becomes its closing event."""
        job = command.job
        try:
            self._generate(command)
            return messages.Finished(job)
        except SfumatoError as error:
            return messages.Failed(job, error)
        except (_StopLoading, self._backend.cancelled_error):
            return messages.Cancelled(job)
        except (BrokenPipeError, ConnectionResetError):
            raise
        except Exception as error:
            traceback.print_exc()  # into the log
            self._unload()  # it may be in any state
            return messages.Failed(job, _as_value(error))

    def _generate(self, command: Generate) -> None:
        request = command.request
        # Before minutes are spent, not after.
        pictures.check_destination(request)
        choice = self._backend.find(request)
        pipeline = self._load(command, choice)
        self.send(messages.Prepared(command.job, choice.name, choice.width, choice.height))
        # Picture k depends on nothing but seed + k, so a job that was interrupted goes on as a
        # shorter one that starts later.
        rest = replace(
            request,
            seed=(request.seed + command.first) % (MAX_SEED + 1),
            count=request.count - command.first,
        )
        hooks = _Hooks(self, command.job, command.first)
        for index, picture in enumerate(pipeline.generate(rest, hooks), command.first):
            record = picture.record
            if not record.created:
                record = replace(record, created=pictures.now())
            path = pictures.save_picture(picture.pixels, record, request)
            self.send(messages.Image(command.job, index, str(path), record))

    def _load(self, command: Generate, choice: OpenPipeline) -> LoadablePipeline:
        """The pipeline for a request, with every network it needs: the one still there, or a new
        one in its place."""
        if self._loaded is None or self._loaded[0] != choice.key:
            self._unload()  # first, so that two models never share the memory
            self._loaded = (choice.key, choice.build())
        pipeline = self._loaded[1]
        started = time.monotonic()

        def on_loading(component: str, index: int, total: int) -> None:
            if self.cancel_requested():
                raise _StopLoading  # what is loaded by now stays for the next job
            elapsed = time.monotonic() - started
            self.send(messages.Loading(command.job, component, index, total, elapsed))

        try:
            pipeline.load(on_loading, command.request)
        except SfumatoError:
            self._unload()
            raise
        return pipeline

    def _unload(self) -> None:
        if self._loaded is not None:
            pipeline = self._loaded[1]
            self._loaded = None
            pipeline.close()


def _as_value(error: Exception) -> SfumatoError:
    """An exception nobody foresaw, as something that can be shown and reported."""
    detail = "".join(traceback.format_exception(error))
    text = str(error).lower()
    if isinstance(error, MemoryError) or "can't allocate memory" in text or "alloc_cpu" in text:
        return SfumatoError(
            ErrorKind.MEMORY, "There is not enough memory for this picture.", detail
        )
    return SfumatoError(
        ErrorKind.INTERNAL, "Something went wrong inside Sfumato; the details say what.", detail
    )


def main(arguments: list[str] | None = None) -> NoReturn:
    """Entry of the engine process."""

    def work(connection: Connection, options: argparse.Namespace) -> None:
        flag = mmap.mmap(options.cancel_fd, 1)
        Server(connection, flag, make_backend()).serve()

    run_child("engine", work, arguments, ("--cancel-fd",))
