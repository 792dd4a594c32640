"""The process that reads model folders for the window.

Walking the tens of thousands of operations of a UNet takes a few tenths of a second of Python, and
parsing its specification never lets go of the interpreter: on a thread of the window's process
every event would wait for both.
"""

from __future__ import annotations

import argparse
import traceback
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NoReturn

from gui.coreml.client import Reading
from gui.coreml.inspect import inspect_model, load_sidecar
from gui.errors import SfumatoError
from gui.process.child import ParentWatch, decode_json, encode_json, run_child


def read_model(folder: Path) -> Reading:
    """What is in a model folder.  Never raises for a bad one: the reading says why."""
    info = None
    try:
        info = inspect_model(folder)
        problem = info.problems[0] if info.problems else ""
        return Reading(info, load_sidecar(info), problem)
    except SfumatoError as error:
        found = info.problems if info is not None else ()
        return Reading(info, problem=found[0] if found else error.message)


def _answer(message: dict[str, Any]) -> Reading:
    try:
        return read_model(Path(message["folder"]))
    except Exception:  # one folder that nobody thought of must not end the rest
        traceback.print_exc()
        return Reading(problem="This model cannot be read; the log says why.")


def _serve(connection: Connection, _options: argparse.Namespace) -> None:
    with ParentWatch():
        while True:
            try:
                message = decode_json(connection.recv_bytes())
                connection.send_bytes(encode_json(_answer(message).to_json()))
            except (EOFError, OSError):
                return  # the window has hung up


def main(arguments: list[str] | None = None) -> NoReturn:
    """Entry of the process."""
    run_child("coreml", _serve, arguments)
