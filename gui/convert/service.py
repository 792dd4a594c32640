"""The converter's process: looks at sources, estimates, and converts.

When the window ends, so does this process at once.  What a conversion has finished by then lies in
its work folder, and the next one goes on from there.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NoReturn, Protocol

from gui.convert.memory import ran_out
from gui.convert.messages import CONVERTER, CheckConversion, Convert, EstimateIt, Look
from gui.convert.types import ConvertReport, ConvertRequest, Estimate, Progress, SourceInfo
from gui.errors import ErrorKind, SfumatoError, as_sfumato_error
from gui.process.messages import Question
from gui.process.serve import Call, Server, run_child

STANDIN_VARIABLE = "SFUMATO_CONVERTER_STANDIN"
"""``module:function`` that returns a `ConverterBackend` to use instead of the converter.  For
tests: it lets them run the real process with conversions that crash or hang.  Not looked at in a
bundle."""

NICENESS = 5
"""How far a conversion steps back for pictures that are made meanwhile."""


class ConverterBackend(Protocol):
    """What the process drives."""

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
    ) -> ConvertReport:
        """Raise `gui.errors.Cancelled` once `cancelled()` has said yes."""
        ...


class Converter:
    """The real one.  Imports torch and coremltools only when a conversion begins."""

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


def make_backend() -> ConverterBackend:
    """The converter, or the stand-in that `SFUMATO_CONVERTER_STANDIN` names."""
    standin = os.environ.get(STANDIN_VARIABLE)
    if standin and not getattr(sys, "frozen", None):
        module, _, function = standin.partition(":")
        return getattr(importlib.import_module(module), function)()
    return Converter()


class Service:
    """What the process answers.

    Args:
        backend: does the work.
    """

    def __init__(self, backend: ConverterBackend) -> None:
        self._backend = backend

    def look(self, ask: Look, _call: Call) -> SourceInfo:
        return self._backend.look(Path(ask.path))

    def estimate(self, ask: EstimateIt, _call: Call) -> Estimate:
        info = self._backend.look(Path(ask.request.source))
        return self._backend.estimate(ask.request, info)

    def check(self, ask: CheckConversion, _call: Call) -> SfumatoError | None:
        info = self._backend.look(Path(ask.request.source))
        try:
            self._backend.check(ask.request, info)
        except SfumatoError as error:
            return error
        return None

    def convert(self, ask: Convert, call: Call) -> ConvertReport:
        with contextlib.suppress(OSError):
            os.nice(NICENESS)
        self._backend.check(ask.request, self._backend.look(Path(ask.request.source)))
        return self._backend.run(ask.request, call.tell, call.cancelled)


def as_error(error: Exception, _question: Question[Any]) -> SfumatoError:
    """As `as_sfumato_error`; torch and coremltools say in ways of their own that memory is out."""
    found = as_sfumato_error(error)
    if ran_out(error):
        message = "There is not enough memory for this conversion; close other programs and go on."
        return SfumatoError(ErrorKind.MEMORY, message, found.detail)
    return found


def _serve(connection: Connection) -> None:
    service = Service(make_backend())
    answers = {
        Look: service.look,
        EstimateIt: service.estimate,
        CheckConversion: service.check,
        Convert: service.convert,
    }
    Server(connection, CONVERTER, answers, as_error=as_error).run()


def main(arguments: list[str] | None = None) -> NoReturn:
    """Entry of the converter's process."""
    run_child("convert", _serve, arguments)
