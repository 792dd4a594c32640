"""The process that makes control pictures to be looked at.

Apart from the engine, so that one can be seen while a picture is being made.  The engine makes its
own of the same pictures, by the same functions.
"""

from __future__ import annotations

from multiprocessing.connection import Connection
from typing import NoReturn

from gui.control.messages import CONTROL, ControlPicture, PrepareControl, Prepared
from gui.coreml.loaded import Runtime
from gui.files import expanded
from gui.library.picture_reader import size_of
from gui.pipeline.preprocess import Preprocessing
from gui.process.serve import Call, Server, run_child
from gui.request import ComputeUnit

_NEARLY = 0.01
"""Part of a side that may lie outside without being missed."""


class Service:
    """What the process answers."""

    def __init__(self) -> None:
        self._preprocessing: Preprocessing | None = None
        self._unit = ComputeUnit.ALL

    def prepare(self, ask: PrepareControl, call: Call) -> Prepared:
        file = expanded(ask.file)
        width, height = size_of(file)
        if self._preprocessing is None or self._unit is not ask.compute_unit:
            if self._preprocessing is not None:
                self._preprocessing.close()
            self._unit = ask.compute_unit
            self._preprocessing = Preprocessing(_runtime, ask.compute_unit)
        made = self._preprocessing.picture(
            file, ask.width, ask.height, ask.preprocessor, ask.network, ask.settings
        )
        call.tell(ControlPicture(ask.width, ask.height, made.convert("RGBA").tobytes()))
        parts = (width / ask.width) / (height / ask.height)
        return Prepared(width, height, not 1 - _NEARLY < parts < 1 + _NEARLY)


def _runtime() -> Runtime:
    from gui.coreml.runtime import default_runtime  # takes seconds, and most need none

    return default_runtime()


def _serve(connection: Connection) -> None:
    service = Service()
    Server(connection, CONTROL, {PrepareControl: service.prepare}).run()


def main(arguments: list[str] | None = None) -> NoReturn:
    """Entry of the process."""
    run_child("control", _serve, arguments)
