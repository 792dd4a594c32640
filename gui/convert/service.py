"""The converter's process: looks at sources, estimates, and converts.

A reader thread takes messages while the main thread works, so that a cancel is heard during a
conversion and the end of the window ends this process at once.  What a conversion has finished by
then lies in its work folder, and the next one goes on from there.

Messages, one JSON object each.  To here: ``{"do": "look", "id", "path"}``, ``{"do": "estimate",
"id", "request"}``, likewise ``check``; ``{"do": "convert", "request"}`` once; ``{"do": "cancel"}``.
From here: ``{"id", "result"}`` or ``{"id", "error"}``; ``{"event": "progress", "progress"}``;
``{"event": "ended", "ended"}``, after which the process ends.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import queue
import sys
import threading
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NoReturn, Protocol

from gui.convert.memory import ran_out
from gui.convert.types import ConvertReport, ConvertRequest, Ended, Estimate, Progress, SourceInfo
from gui.errors import ErrorKind, SfumatoError, as_sfumato_error
from gui.process.child import decode_json, encode_json, run_child

STANDIN_VARIABLE = "SFUMATO_CONVERTER_STANDIN"
"""``module:function`` that returns a `Backend` to use instead of the converter.  For tests: it lets
them run the real process with conversions that crash or hang.  Not looked at in a bundle."""

NICENESS = 5
"""How far a conversion steps back for pictures that are made meanwhile."""


class Backend(Protocol):
    """What the process drives."""

    @property
    def cancelled_error(self) -> type[BaseException]:
        """What `run` raises once `cancelled()` has said yes."""
        ...

    def look(self, path: Path) -> SourceInfo: ...

    def estimate(self, request: ConvertRequest, info: SourceInfo) -> Estimate: ...

    def check(self, request: ConvertRequest, info: SourceInfo) -> None:
        """Raise SfumatoError where the conversion is bound to fail."""
        ...

    def run(
        self,
        request: ConvertRequest,
        on_progress: Callable[[Progress], None],
        cancelled: Callable[[], bool],
    ) -> ConvertReport: ...


class Converter:
    """The real one.  Imports torch and coremltools only when a conversion begins."""

    @property
    def cancelled_error(self) -> type[BaseException]:
        from gui.convert.job import Cancelled

        return Cancelled

    def look(self, path: Path) -> SourceInfo:
        from gui.convert.checkpoint.source import look

        return look(path)

    def estimate(self, request: ConvertRequest, info: SourceInfo) -> Estimate:
        from gui.convert.estimate import estimate

        return estimate(request, info)

    def check(self, request: ConvertRequest, info: SourceInfo) -> None:
        from gui.convert.estimate import check

        check(request, info)

    def run(
        self,
        request: ConvertRequest,
        on_progress: Callable[[Progress], None],
        cancelled: Callable[[], bool],
    ) -> ConvertReport:
        from gui.convert.job import run

        return run(request, on_progress, cancelled)


def make_backend() -> Backend:
    """The converter, or the stand-in that `SFUMATO_CONVERTER_STANDIN` names."""
    standin = os.environ.get(STANDIN_VARIABLE)
    if standin and not getattr(sys, "frozen", None):
        module, _, function = standin.partition(":")
        return getattr(importlib.import_module(module), function)()
    return Converter()


class Service:
    """Serves one parent until a conversion has ended or the parent hangs up.

    Args:
        connection: to the parent.
        backend: does the work.
    """

    def __init__(self, connection: Connection, backend: Backend) -> None:
        self._connection = connection
        self._backend = backend
        self._messages: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._cancelled = threading.Event()
        self._sending = threading.Lock()

    def serve(self) -> None:
        threading.Thread(target=self._read, name="reader", daemon=True).start()
        while True:
            message = self._messages.get()
            if message.get("do") == "convert":
                self._convert(message)
                return
            self._answer(message)

    def _read(self) -> None:
        try:
            while True:
                message = decode_json(self._connection.recv_bytes())
                if message.get("do") == "cancel":
                    self._cancelled.set()
                else:
                    self._messages.put(message)
        except (EOFError, OSError, ValueError):
            # The window has gone: nobody wants what this process does.  Its work folder stays.
            os._exit(0)

    def _send(self, message: dict[str, Any]) -> None:
        with self._sending, contextlib.suppress(OSError):
            self._connection.send_bytes(encode_json(message))

    def _answer(self, message: dict[str, Any]) -> None:
        answer: dict[str, Any] = {"id": message.get("id")}
        try:
            answer["result"] = self._result(message)
        except Exception as error:
            answer["error"] = as_error(error).to_json()
        self._send(answer)

    def _result(self, message: dict[str, Any]) -> dict[str, Any]:
        """What a question is answered with."""
        what = message.get("do")
        if what == "look":
            return self._backend.look(Path(message["path"])).to_json()
        request = ConvertRequest.from_json(message["request"])
        info = self._backend.look(Path(request.source))
        if what == "estimate":
            return self._backend.estimate(request, info).to_json()
        if what == "check":
            return {"refusal": self._refusal(request, info)}
        raise ValueError(f"unknown message: {message!r}")

    def _refusal(self, request: ConvertRequest, info: SourceInfo) -> dict[str, str] | None:
        try:
            self._backend.check(request, info)
        except SfumatoError as error:
            return error.to_json()
        return None

    def _convert(self, message: dict[str, Any]) -> None:
        with contextlib.suppress(OSError):
            os.nice(NICENESS)
        ended = self._run(message)
        self._send({"event": "ended", "ended": ended.to_json()})

    def _run(self, message: dict[str, Any]) -> Ended:
        def on_progress(progress: Progress) -> None:
            self._send({"event": "progress", "progress": progress.to_json()})

        try:
            request = ConvertRequest.from_json(message["request"])
            self._backend.check(request, self._backend.look(Path(request.source)))
            report = self._backend.run(request, on_progress, self._cancelled.is_set)
        except Exception as error:
            if isinstance(error, self._backend.cancelled_error):
                return Ended(cancelled=True)
            return Ended(error=as_error(error))
        return Ended(report=report)


def as_error(error: Exception) -> SfumatoError:
    """As `as_sfumato_error`; torch and coremltools say in ways of their own that memory is out."""
    if not isinstance(error, SfumatoError) and ran_out(error):
        return SfumatoError(
            ErrorKind.MEMORY,
            "There is not enough memory for this conversion; close other programs and go on.",
            "".join(traceback.format_exception(error)),
        )
    return as_sfumato_error(error)


def main(arguments: list[str] | None = None) -> NoReturn:
    """Entry of the converter's process."""

    def work(connection: Connection, _options: argparse.Namespace) -> None:
        Service(connection, make_backend()).serve()

    run_child("convert", work, arguments)
