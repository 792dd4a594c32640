"""The process that reads model folders for the window.

Walking the tens of thousands of operations of a UNet takes a few tenths of a second of Python, and
parsing its specification never lets go of the interpreter: on a thread of the window's process
every event would wait for both.
"""

from __future__ import annotations

from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NoReturn

from gui.coreml.inspect import inspect_model, load_sidecar, model_hash
from gui.coreml.messages import READER, Read, Reading
from gui.errors import ErrorKind, SfumatoError, as_sfumato_error
from gui.process.messages import Question
from gui.process.serve import Call, Server, run_child


def read_model(folder: Path) -> Reading:
    """What is in a model folder.  Never raises for a bad one: the reading says why."""
    info = None
    try:
        info = inspect_model(folder)
        problem = info.problems[0] if info.problems else ""
        return Reading(info, load_sidecar(info), problem, "" if problem else model_hash(info))
    except SfumatoError as error:
        found = info.problems if info is not None else ()
        return Reading(info, problem=found[0] if found else error.message)


def _as_error(error: Exception, _question: Question[Any]) -> SfumatoError:
    message = "This model cannot be read; the log says why."
    return SfumatoError(ErrorKind.BAD_MODEL, message, as_sfumato_error(error).detail)


def _serve(connection: Connection) -> None:
    def read(ask: Read, _call: Call) -> Reading:
        return read_model(ask.folder)

    Server(connection, READER, {Read: read}, as_error=_as_error).run()


def main(arguments: list[str] | None = None) -> NoReturn:
    """Entry of the process."""
    run_child("coreml", _serve, arguments)
