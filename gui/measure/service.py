"""The process that tries one compute unit: it loads a model and makes a small number of steps.

The very pipeline that makes pictures does it, so that what is measured is what a person gets.  A
compute unit that ends the process ends nothing else; each is tried in a process of its own, as the
first load of a model is what a person waits for.
"""

from __future__ import annotations

import importlib
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NoReturn, Protocol, cast, runtime_checkable

import numpy as np

from gui import words
from gui.coreml.defaults import fill_defaults
from gui.coreml.inspect import inspect_model, load_sidecar, model_hash
from gui.coreml.loaded import LoadedModel, Runtime
from gui.coreml.model import ComponentInfo, ModelInfo, TensorSpec, UNetKind
from gui.coreml.precision import computed_in
from gui.coreml.runtime import default_runtime
from gui.coreml.sidecar import Sidecar
from gui.errors import Cancelled, SfumatoError, unusable
from gui.files import expanded
from gui.library.unit_times import PartTime, UnitOutcome, UnitTimes
from gui.measure.messages import (
    MEASURER,
    LoadingPart,
    PartLoaded,
    StepMade,
    TryUnit,
    UnitMeasured,
)
from gui.paths import starter_model
from gui.pipeline.pipeline import Hooks, Pipeline
from gui.pipeline.schedulers import make_scheduler
from gui.process.serve import Call, Server, run_child
from gui.request import ComputeUnit, PictureRequest, Precision
from gui.start_image import StartImage

STANDIN_VARIABLE = "SFUMATO_MEASURE_STANDIN"
"""``module:function`` that returns a `Runtime` to measure in place of this machine's.  For tests;
not looked at in a bundle."""
PROMPT = "a red apple on a wooden table"
_SHOWN = frozenset({UNetKind.INPAINT, UNetKind.INSTRUCT, UNetKind.DEPTH})
"""Networks that are shown a picture."""


@runtime_checkable
class TellsPlan(Protocol):
    """A runtime that says where a network's work is done."""

    def shares(self, component: ComponentInfo, compute_unit: ComputeUnit) -> dict[str, float]: ...


class _NotFiniteError(Exception):
    """A network gave what are no numbers."""


class _Timed:
    """A loaded network, timed and looked at."""

    def __init__(self, model: LoadedModel, component: ComponentInfo, load: float) -> None:
        self._model = model
        self.component = component
        self.load = load
        self.runs: list[float] = []

    @property
    def inputs(self) -> Mapping[str, TensorSpec]:
        return self._model.inputs

    @property
    def outputs(self) -> Mapping[str, TensorSpec]:
        return self._model.outputs

    def __call__(self, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        begun = time.perf_counter()
        found = self._model(arrays)
        self.runs.append(time.perf_counter() - begun)
        for array in found.values():
            if not np.isfinite(array).all():
                raise _NotFiniteError(self.component.kind.value)
        return found

    def close(self) -> None:
        self._model.close()

    @property
    def time(self) -> PartTime:
        settled = self.runs[1:] or self.runs
        run = statistics.median(settled) if settled else 0.0
        return PartTime(self.component.kind.value, self.load, run, len(self.runs))


class _TimingRuntime:
    """A runtime whose networks are timed."""

    def __init__(self, runtime: Runtime, call: Call) -> None:
        self._runtime = runtime
        self._call = call
        self.loaded: list[_Timed] = []

    @property
    def name(self) -> str:
        return self._runtime.name

    def load(self, component: ComponentInfo, compute_unit: ComputeUnit) -> LoadedModel:
        begun = time.perf_counter()
        model = self._runtime.load(component, compute_unit)
        timed = _Timed(model, component, time.perf_counter() - begun)
        self.loaded.append(timed)
        self._call.tell(PartLoaded(timed.time))
        return timed


def try_unit(ask: TryUnit, call: Call, runtime: Runtime) -> UnitTimes:
    """Make a picture of `ask.steps` steps.  What goes wrong with the unit is the answer.

    Raises:
        SfumatoError: the model itself cannot be used.
        Cancelled: nobody wants to know any more.
    """
    info = inspect_model(expanded(ask.folder) if ask.folder else starter_model())
    if info.problems:
        raise unusable(info.problems[0], "\n".join(info.problems))
    timing = _TimingRuntime(runtime, call)
    sidecar = load_sidecar(info)
    pipeline = Pipeline(info, sidecar, timing, ask.unit, model_hash(info))
    try:
        with _request(info, ask.steps) as request:
            _import_the_rest(request, sidecar)
            times = _measured(pipeline, request, ask, call)
    except _NotFiniteError as error:
        why = f"The result of the {words.component(str(error))} held what are no numbers."
        return UnitTimes(ask.unit, UnitOutcome.NOT_FINITE, why=why)
    except SfumatoError as error:
        return UnitTimes(ask.unit, UnitOutcome.REFUSED, why=error.what)
    times = replace(times, parts=tuple(timed.time for timed in timing.loaded))
    call.tell(UnitMeasured(times))
    pipeline.close()
    return replace(times, parts=tuple(_with_plan(timed, runtime, ask) for timed in timing.loaded))


def _measured(pipeline: Pipeline, request: PictureRequest, ask: TryUnit, call: Call) -> UnitTimes:
    def on_loading(component: str, index: int, total: int) -> None:
        if call.cancelled():
            raise Cancelled
        call.tell(LoadingPart(component, index, total))

    steps: list[float] = []
    last = 0.0

    def on_step(_picture: int, step: int, total: int, _preview: object) -> None:
        nonlocal last
        now = time.perf_counter()
        steps.append(now - last)
        last = now
        call.tell(StepMade(step, total, steps[-1]))

    begun = time.perf_counter()
    pipeline.load(on_loading, request)
    ready = last = time.perf_counter()
    for _ in pipeline.generate(request, Hooks(on_step=on_step, cancelled=call.cancelled)):
        break
    seconds = time.perf_counter() - ready
    # the first one carries the text's encoding and warming up
    per_step = statistics.median(steps[1:] or steps)
    return UnitTimes(
        ask.unit, UnitOutcome.MEASURED, len(steps), seconds, per_step, start=ready - begun
    )


def _import_the_rest(request: PictureRequest, sidecar: Sidecar) -> None:
    """What the first picture of a process imports, seconds of it, is no matter of the unit's."""
    scheduler = fill_defaults(request, sidecar).scheduler
    assert scheduler
    make_scheduler(scheduler, sidecar)


@contextmanager
def _request(info: ModelInfo, steps: int) -> Iterator[PictureRequest]:
    """A picture to measure by; a network that is shown one gets a grey one."""
    request = PictureRequest(
        PROMPT, str(info.folder), steps=steps, seed=1, safety_checker=False, previews=False
    )
    if info.unet_kind not in _SHOWN:
        yield request
        return
    from PIL import Image

    with tempfile.TemporaryDirectory(prefix="sfumato-measure-") as folder:
        grey = str(Path(folder) / "grey.png")
        Image.new("RGB", (info.image_width, info.image_height), "#808080").save(grey)
        if info.unet_kind is UNetKind.DEPTH:
            yield replace(request, depth_map=grey)
        else:
            yield replace(request, start_image=StartImage(grey, strength=1.0))


def _with_plan(timed: _Timed, runtime: Runtime, ask: TryUnit) -> PartTime:
    devices: dict[str, float] = {}
    if isinstance(runtime, TellsPlan):
        devices = runtime.shares(timed.component, ask.unit)
    return replace(timed.time, devices=devices)


def _runtime(precision: Precision) -> Runtime:
    standin = os.environ.get(STANDIN_VARIABLE)
    if standin and not getattr(sys, "frozen", None):
        module, _, function = standin.partition(":")
        make = cast("Callable[[], Runtime]", getattr(importlib.import_module(module), function))
        return make()
    return default_runtime(computed_in(precision))


def _serve(connection: Connection) -> None:
    def answer(ask: TryUnit, call: Call) -> UnitTimes:
        return try_unit(ask, call, _runtime(ask.precision))

    Server(connection, MEASURER, {TryUnit: answer}).run()


def main(arguments: list[str] | None = None) -> NoReturn:
    """Entry of the process."""
    run_child("measure", _serve, arguments)
