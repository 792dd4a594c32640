"""What the server drives: the real pipeline, or a stand-in in tests.

The real one is imported here and nowhere else in `gui.engine`, so that a stand-in's engine starts
without torch.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from gui.coreml import back_ends
from gui.coreml.model import Attention
from gui.coreml.precision import computed_in
from gui.engine.known_models import KnownModels
from gui.engine.units import ByMeasurement, computer_with_units, measured_choice
from gui.engine.variant import VariantPipeline, WatchedRuntime, fitted, variant_of, with_tiles
from gui.files import expanded
from gui.hub.machine import this_machine
from gui.hub.types import Machine
from gui.hub.variants.verdict import TIGHT, memory_of
from gui.library.unit_times import UNET
from gui.paths import starter_model
from gui.request import ComputeUnit, PictureRecord, PictureRequest, Precision
from gui.versions import versions

if TYPE_CHECKING:
    import numpy as np

    from gui.coreml.loaded import Runtime
    from gui.coreml.model import ModelInfo
    from gui.coreml.sidecar import Sidecar

STANDIN_VARIABLE = "SFUMATO_ENGINE_STANDIN"
"""``module:function`` that returns a `Backend` to use instead of the pipeline.  For tests: it lets
them run the real process with a pipeline that crashes, hangs or holds the interpreter lock.  Not
looked at in a bundle."""

_LIBRARIES = ("torch", "diffusers", "coremltools", "numpy")


class Picture(Protocol):
    @property
    def pixels(self) -> np.ndarray: ...

    @property
    def record(self) -> PictureRecord: ...


class LoadablePipeline(Protocol):
    """The part of `gui.pipeline.pipeline.Pipeline` that the server uses."""

    def load(self, on_loading: Callable[[str, int, int], None], request: PictureRequest) -> None:
        """Load the networks that `request` needs and that are not loaded yet."""
        ...

    def generate(self, request: PictureRequest, hooks: Any) -> Iterator[Any]: ...

    def close(self) -> None: ...


class OpenPipeline(Protocol):
    """A pipeline with what the window wants to know of its model."""

    @property
    def key(self) -> object:
        """Equal for two requests that the same loaded pipeline can serve."""
        ...

    @property
    def name(self) -> str: ...

    @property
    def width(self) -> int: ...

    @property
    def height(self) -> int: ...

    @property
    def measured(self) -> tuple[str, ComputeUnit] | None:
        """The model's hash and the unit of its steps, where that was measured to be the quickest;
        None where the person or Core ML chose."""
        ...

    @property
    def sparing(self) -> bool:
        """Whether networks are loaded one after the other."""
        ...

    def build(self) -> LoadablePipeline: ...

    def prepares(self, component: str) -> bool:
        """Whether the load of this component is its first for the Neural Engine, for which Core ML
        prepares it."""
        ...


class Backend(Protocol):
    @property
    def runtime(self) -> str: ...

    def versions(self) -> dict[str, str]: ...

    def find(self, request: PictureRequest) -> OpenPipeline:
        """Look at the request's model without loading it.  Raises SfumatoError."""
        ...


class ModelChoice:
    """A model as the real backend sees it, ready to become a pipeline."""

    def __init__(self, backend: PipelineBackend, request: PictureRequest) -> None:
        from gui.pipeline.ground import asked_size, finished_size, framed

        folder = expanded(request.model) if request.model else starter_model()
        known = backend.models.read(folder)
        self._info, self._sidecar, self._hash = known.info, known.sidecar, known.hash
        self._backend = backend
        self._compute_unit = request.compute_unit
        self.name = self._sidecar.name or self._info.name
        self.width = self._info.image_width
        self.height = self._info.image_height
        request = framed(request, self._info)
        self._variant = variant_of(request, self._info, self.name, self._hash)
        if self._variant is not None and self._variant.size is not None:
            self.width, self.height = self._variant.size.width, self._variant.size.height
        elif self._info.sizes is not None:
            self.width, self.height = asked_size(request, self._info)
        self.sparing = request.reduce_memory or self._is_too_large()
        self._precision = computed_in(request.precision)
        start = request.lineage()[0].start_image
        self.width, self.height = finished_size(start, self.width, self.height)
        made = self._variant.folder if self._variant is not None else None
        self._units = measured_choice(self._hash, self._compute_unit, backend.computer)
        self.key: object = (
            self._info.folder,
            self._hash,
            self._sidecar,
            self._compute_unit,
            made,
            self.sparing,
            self._precision,
            tuple(self._units.items()),
        )

    @property
    def measured(self) -> tuple[str, ComputeUnit] | None:
        unit = self._units.get(UNET)
        return (self._hash, unit) if unit is not None else None

    def _is_too_large(self) -> bool:
        """Whether this machine has no room for all networks at once, beside other programs."""
        size = {"image_width": self.width, "image_height": self.height}
        needed = memory_of(replace(self._info, **size), _machine())
        return 0 < TIGHT * _machine().memory_bytes < needed

    def build(self) -> LoadablePipeline:
        if self._variant is not None:
            return VariantPipeline(self._variant, self._open_variant)
        return self._pipeline(self._info, self._sidecar)

    def _open_variant(self, folder: Path) -> LoadablePipeline:
        from gui.coreml.inspect import inspect_model, load_sidecar

        info = inspect_model(folder)
        return self._pipeline(info, load_sidecar(info))

    def prepares(self, component: str) -> bool:
        if self._info.attention is Attention.ORIGINAL and self._compute_unit is ComputeUnit.ALL:
            return False  # it does not fit the Neural Engine, so Core ML leaves that alone
        return self._by_measurement().prepares(component, self._compute_unit)

    def _by_measurement(self) -> ByMeasurement:
        backend, made = self._backend, self._variant
        identity = f"{self._hash}/{made.folder.name}" if made is not None else self._hash
        runtime = backend.machine_runtime
        if self._precision is not Precision.FP32:
            from gui.coreml.runtime import default_runtime

            runtime = default_runtime(self._precision)
        return ByMeasurement(runtime, self._units, identity, backend.computer)

    def _pipeline(self, info: ModelInfo, sidecar: Sidecar) -> LoadablePipeline:
        from gui.pipeline.pipeline import Pipeline

        runtime = WatchedRuntime(self._by_measurement(), self._variant)
        info = with_tiles(info, sparing=self.sparing)
        return Pipeline(
            info, sidecar, runtime, self._compute_unit, self._hash, fitted, self.sparing
        )


class PipelineBackend:
    """The real one: `gui.pipeline` over the runtime of this machine."""

    def __init__(self) -> None:
        from gui.coreml.runtime import default_runtime

        _import_the_rest()
        self.machine_runtime: Runtime = default_runtime()
        self.runtime = self.machine_runtime.name
        self.computer = computer_with_units(self.runtime)
        self.models = KnownModels()

    def versions(self) -> dict[str, str]:
        return versions(*_LIBRARIES, *back_ends.libraries())

    def find(self, request: PictureRequest) -> ModelChoice:
        return ModelChoice(self, request)


@cache
def _machine() -> Machine:
    return this_machine()


def _import_the_rest() -> None:
    """What a first picture would otherwise stop to import, about 3 s: diffusers' schedulers come
    with its own dependencies, and reading a model with protobuf."""
    for name in ("PIL.Image", "PIL.PngImagePlugin", "gui.coreml.inspect", "gui.pipeline.pipeline"):
        importlib.import_module(name)
    from gui.coreml.model import Family
    from gui.coreml.sidecar import Sidecar
    from gui.pipeline.schedulers import make_scheduler
    from gui.scheduler_names import SCHEDULER_NAMES

    make_scheduler(SCHEDULER_NAMES[0].name, Sidecar(Family.SD1))


def make_backend() -> Backend:
    """The real backend, or the stand-in that `SFUMATO_ENGINE_STANDIN` names."""
    standin = os.environ.get(STANDIN_VARIABLE)
    if standin and not getattr(sys, "frozen", None):
        module, _, function = standin.partition(":")
        return getattr(importlib.import_module(module), function)()
    return PipelineBackend()
