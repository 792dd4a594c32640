"""Stand-ins for what is measured.

`SFUMATO_MEASURE_STANDIN=tests.measure.standins:core_ml` has the real process measure through
coremltools' own interface, with a Core ML behind it whose Neural Engine crashes.  Run as a module,
this is a process without torch that answers as its command line says, for what is done about
processes: ``CPU_AND_NE=crash CPU_AND_GPU=0.5 ALL=hang CPU_ONLY=refuse``.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
import pytest

from gui.errors import ErrorKind, SfumatoError
from gui.library.unit_times import PartTime, UnitOutcome, UnitTimes
from gui.measure.messages import MEASURER, StepMade, TryUnit, UnitMeasured
from gui.process.serve import Call, Server, run_child


def core_ml() -> Any:
    """Core ML behind coremltools, of which the Neural Engine ends the process that predicts."""
    from gui.coreml.native import NativeRuntime
    from tests.support.core_ml import put_in_place

    def end(unit: str, _found: Mapping[str, np.ndarray]) -> None:
        if unit == "CPU_AND_NE":
            os.abort()

    put_in_place(pytest.MonkeyPatch()).on_predict = end
    return NativeRuntime()


def _answer(deeds: Mapping[str, str], ask: TryUnit, call: Call) -> UnitTimes:
    deed = deeds.get(ask.unit.value, "1")
    if deed == "refuse":
        raise SfumatoError(ErrorKind.BAD_MODEL, "The model is gone; get it again.")
    call.tell(StepMade(1, ask.steps, 0.01))
    if deed == "crash":
        os.abort()
    if deed == "out-of-memory":
        os.kill(os.getpid(), 9)
    if deed == "hang":
        time.sleep(600)
    name, _, then = deed.partition(",")
    part = PartTime("unet", 2.0, float(name), ask.steps)
    times = UnitTimes(ask.unit, UnitOutcome.MEASURED, ask.steps, 9.0, float(name), 2.0, (part,))
    call.tell(UnitMeasured(times))
    if then == "crash-later":
        os.abort()
    return times


def main() -> None:
    split = sys.argv.index("--socket-fd")
    deeds = dict(word.split("=", 1) for word in sys.argv[1:split])

    def serve(connection: Connection) -> None:
        answers = {TryUnit: lambda ask, call: _answer(deeds, ask, call)}
        Server(connection, MEASURER, answers).run()

    run_child("measure", serve, sys.argv[split:])


if __name__ == "__main__":
    main()
