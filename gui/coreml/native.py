"""The runtime for macOS: Core ML itself, through coremltools.

As thin as can be.  Compiled models are loaded as they are; packages are compiled once and kept in
the cache, because Core ML would otherwise compile them at every load.  coremltools is imported
inside functions: it takes seconds.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from gui import paths
from gui.coreml.adapted import adapted
from gui.coreml.compute_plan import plan_shares
from gui.coreml.dialect import own_names
from gui.coreml.inspect import inspect_component
from gui.coreml.loaded import LoadedModel
from gui.coreml.model import ComponentInfo, ComponentKind, FileFormat, TensorSpec
from gui.coreml.native_errors import translate
from gui.coreml.proto import package_model_file
from gui.errors import ErrorKind, SfumatoError, disk_error
from gui.files import check_links, content_bytes, copy_without_links, everything, has_links
from gui.request import ComputeUnit

_T = TypeVar("_T")

FAST_PREDICTION = frozenset({ComponentKind.UNET, ComponentKind.CONTROL_UNET, ComponentKind.REFINER})
"""Networks run at every step: only they repay the longer load that the hint costs."""

_SAMPLES = 64
_SAMPLE_BYTES = 4096
_ABANDONED_SECONDS = 24 * 3600


class NativeRuntime:
    """Loads components into Core ML.

    ``SFUMATO_COMPUTE_UNIT`` (``CPU_ONLY`` …) in the environment replaces every choice: the machines
    that run tests have no Neural Engine, and their GPU is not a real one.

    Args:
        overrides: compute units for kinds of component that must not use the person's choice.
        cache: folder of compiled packages; default: `compiled` in the cache folder.
    """

    name = "native"

    def __init__(
        self,
        overrides: Mapping[ComponentKind, ComputeUnit] | None = None,
        cache: Path | None = None,
    ) -> None:
        self.overrides = dict(overrides or {})
        self.cache = cache or paths.cache_dir() / "compiled"

    def load(self, component: ComponentInfo, compute_unit: ComputeUnit) -> LoadedModel:
        """Load every file of `component`; see `gui.coreml.loaded.Runtime.load`."""
        return adapted(component, lambda own: self._load(own, compute_unit))

    def _load(self, component: ComponentInfo, compute_unit: ComputeUnit) -> NativeModel:
        forced = os.environ.get("SFUMATO_COMPUTE_UNIT")
        unit = ComputeUnit(forced) if forced else self.overrides.get(component.kind, compute_unit)
        fast = component.kind in FAST_PREDICTION
        parts = []
        for file in component.files:
            info = component if len(component.files) == 1 else own_names(inspect_component(file))
            parts.append(_Part(info, self._open(file, component, unit, fast)))
        return NativeModel(component, parts)

    def _open(self, file: Path, component: ComponentInfo, unit: ComputeUnit, fast: bool) -> Any:
        if not file.is_dir():
            raise SfumatoError(
                ErrorKind.BAD_MODEL,
                f"{file.name} is not there any more; get the model again.",
                str(file),
            )
        check_links(file)

        def load(place: Path) -> Any:
            hints = _Hints(fast, component.is_flexible)
            return _load_compiled(place, file.name, component.function, unit, hints)

        if component.format is FileFormat.COMPILED:
            return load(self._plain(file))
        compiled = self.compiled(file)
        try:
            return load(compiled)
        except SfumatoError as error:
            if error.kind is not ErrorKind.BAD_MODEL:
                raise
        shutil.rmtree(compiled, ignore_errors=True)  # a spoilt copy is made again, once
        return load(self.compiled(file))

    def shares(self, component: ComponentInfo, compute_unit: ComputeUnit) -> dict[str, float]:
        """The share of a component's work on each processor, by Core ML's plan; empty where the
        system does not tell.

        Raises:
            SfumatoError: as `load`.
        """
        found: dict[str, float] = {}
        for file in component.files:
            is_compiled = component.format is FileFormat.COMPILED
            place = self._plain(file) if is_compiled else self.compiled(file)
            part = plan_shares(place, component.function, compute_unit)
            weight = content_bytes(file)  # of chunks; a plan's costs are shares of its own file
            for device, share in part.items():
                found[device] = found.get(device, 0.0) + weight * share
        whole = sum(found.values())
        return {device: share / whole for device, share in found.items()} if whole else {}

    def compiled(self, package: Path) -> Path:
        """The compiled form of a package, made if it is not in the cache.

        Raises:
            SfumatoError: BAD_MODEL where Core ML refuses the package, STORAGE where the cache
                cannot be written.
        """

        def make(scratch: Path) -> Path:
            source = package.resolve()
            if has_links(source):
                source = scratch / source.name
                copy_without_links(package, source)
            # The destination must not exist: an existing one would get the model nested inside.
            made = scratch / "model.mlmodelc"
            _compile(source, made)
            return made

        key = package_key(package)
        cache = self.cache
        if paths.variants_dir() in package.parents and not (cache / f"{key}.mlmodelc").is_dir():
            cache = package.parent.parent / "compiled"  # goes with the variant
        return self._kept(key, make, cache)

    def _plain(self, compiled: Path) -> Path:
        """A compiled model without links, into which Core ML does not follow: itself, or one in
        the cache that shares its files."""
        real = compiled.resolve()
        if not has_links(real):
            return real

        def make(scratch: Path) -> Path:
            copy_without_links(real, scratch / "model.mlmodelc")
            return scratch / "model.mlmodelc"

        return self._kept(_place_key(real), make, self.cache)

    def _kept(self, key: str, make: Callable[[Path], Path], cache: Path) -> Path:
        """A model in a cache, made in a scratch folder if it is not there.

        Raises:
            SfumatoError: as `make`; STORAGE where the cache cannot be written.
        """
        target = cache / f"{key}.mlmodelc"
        if target.is_dir():
            with contextlib.suppress(OSError):
                target.touch()  # what was not used for long is cleared away
            return target
        try:
            cache.mkdir(parents=True, exist_ok=True)
            _remove_abandoned(cache)
            scratch = Path(tempfile.mkdtemp(prefix=".compiling-", dir=cache))
        except OSError as error:
            raise _cannot_write(cache, error) from error
        try:
            made = make(scratch)
            with contextlib.suppress(OSError):  # another process may have been first
                made.rename(target)
            if not target.is_dir():
                raise _cannot_write(cache, None)
        except OSError as error:
            raise _cannot_write(cache, error) from error
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        return target


def _remove_abandoned(cache: Path) -> None:
    """Drop what processes that were killed while compiling left behind."""
    for scratch in cache.glob(".compiling-*"):
        with contextlib.suppress(OSError):
            if time.time() - scratch.stat().st_mtime > _ABANDONED_SECONDS:
                shutil.rmtree(scratch, ignore_errors=True)


def _cannot_write(folder: Path, error: OSError | None) -> SfumatoError:
    return disk_error(
        error or OSError(), f"The folder for prepared models cannot be written ({folder})"
    )


def package_key(package: Path) -> str:
    """Name of a package's compiled form in the cache.

    Hashes the specification in full, each weight file's size, modification time and 64 samples of
    4 KiB, and the system's major version.  Hashing gigabytes of weights in full would cost more
    at every load than the cache saves.  The samples tell fine-tunes apart that an archive gave one
    date; the date tells apart what the samples miss; a needless recompilation does no harm.

    Raises:
        SfumatoError: BAD_MODEL where the package is damaged.
    """
    digest = hashlib.sha256(platform.mac_ver()[0].split(".")[0].encode())
    spec = package_model_file(package)
    try:
        digest.update(spec.read_bytes())
        for file in sorted((spec.parent / "weights").glob("*.bin")):
            status = file.stat()
            digest.update(f"{file.name} {status.st_size} {status.st_mtime_ns}".encode())
            with file.open("rb") as stream:
                for n in range(_SAMPLES):
                    stream.seek(n * max(0, status.st_size - _SAMPLE_BYTES) // (_SAMPLES - 1))
                    digest.update(stream.read(_SAMPLE_BYTES))
    except OSError as error:
        raise SfumatoError(
            ErrorKind.BAD_MODEL,
            f"{package.name} cannot be read; see that its disk is there and you may open it.",
            str(error),
        ) from error
    return digest.hexdigest()[:32]


def _place_key(folder: Path) -> str:
    """Name for a copy of a folder: it changes with any of the files that its links lead to."""
    digest = hashlib.sha256()
    for path in sorted(everything(folder)):
        status = path.stat()
        facts = (path.relative_to(folder), status.st_ino, status.st_size, status.st_mtime_ns)
        digest.update(repr(facts).encode())
    return digest.hexdigest()[:32]


class NativeModel:
    """A component in Core ML; see `gui.coreml.loaded.LoadedModel`."""

    def __init__(self, component: ComponentInfo, parts: list[_Part]) -> None:
        self._title = component.files[0].name
        self._parts = parts
        self.inputs: Mapping[str, TensorSpec] = {t.name: t for t in component.inputs}
        self.outputs: Mapping[str, TensorSpec] = {t.name: t for t in component.outputs}

    def __call__(self, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        if not self._parts:
            raise SfumatoError(
                ErrorKind.INTERNAL, f"{self._title} has been closed already; try again."
            )
        self._check(arrays)
        values = dict(arrays)
        for part in self._parts:
            values.update(part.run(values))
        return {name: values[name] for name in self.outputs}

    def _check(self, arrays: Mapping[str, np.ndarray]) -> None:
        for name, array in arrays.items():
            spec = self.inputs.get(name)
            if spec is None:
                raise SfumatoError(
                    ErrorKind.BAD_REQUEST,
                    f"{self._title} takes no input called {name!r}; choose another model.",
                )
            shape = np.shape(array)
            if not spec.accepts(shape):
                raise SfumatoError(
                    ErrorKind.BAD_REQUEST,
                    f"{self._title} takes {name!r} as {list(spec.shape)}, not {list(shape)}; "
                    "choose another model.",
                )
        for name, spec in self.inputs.items():
            if name not in arrays and not spec.optional:
                raise SfumatoError(
                    ErrorKind.BAD_REQUEST,
                    f"{self._title} needs an input called {name!r}; choose another model.",
                )

    def close(self) -> None:
        for part in self._parts:
            part.close()
        self._parts = []


class _Part:
    """One file in Core ML, with the buffers its inputs are handed over in."""

    def __init__(self, info: ComponentInfo, model: Any) -> None:
        self._title = info.files[0].name
        self._inputs = info.inputs
        self._outputs = info.outputs
        self._model: Any = model
        self._buffers: dict[str, np.ndarray] = {}

    def run(self, values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        given: dict[str, Any] = {}
        for spec in self._inputs:
            if spec.name in values:
                array = np.asarray(values[spec.name])
                picture = spec.dtype.startswith("image")
                given[spec.name] = _as_picture(array) if picture else self._filled(spec, array)
        results = _guard(lambda: self._model.predict(given), self._title, "predict")
        # Copies: what Core ML returned may share its memory.
        return {t.name: _owned(results, t, self._title) for t in self._outputs}

    def _filled(self, spec: TensorSpec, array: np.ndarray) -> np.ndarray:
        """The input's buffer holding `array`.

        float16 is handed over as float32: coremltools would swap it for a temporary of its own.
        """
        buffer = self._buffers.get(spec.name)
        if buffer is None or buffer.shape != array.shape:
            if buffer is not None:
                _give_back(buffer)
            dtype = np.int32 if spec.dtype.startswith("int") else np.float32
            buffer = self._buffers[spec.name] = _buffer(array.shape, np.dtype(dtype))
        np.copyto(buffer, array, casting="unsafe")
        return buffer

    def close(self) -> None:
        self._model = None
        for buffer in self._buffers.values():
            _give_back(buffer)
        self._buffers = {}


def _owned(results: Mapping[str, Any], spec: TensorSpec, title: str) -> np.ndarray:
    if spec.name not in results:
        raise SfumatoError(
            ErrorKind.INTERNAL,
            f"Core ML gave no result for {title}; try other compute units.",
            f"{spec.name!r} is not among {sorted(results)}",
        )
    dtype = np.int32 if spec.dtype.startswith("int") else np.float32
    found = np.array(results[spec.name], dtype=dtype)
    if spec.dtype.startswith("image"):  # Pillow's [height, width] or [height, width, channels]
        found = np.atleast_3d(found)[..., :3].transpose(2, 0, 1)[None].copy()
    return found


def _as_picture(array: np.ndarray) -> Any:
    """[1, 3 or 1, height, width] of 0…255 as Pillow's picture, which Core ML takes in RGB whatever
    order the model has."""
    from PIL import Image

    pixels = np.rint(array[0]).clip(0, 255).astype(np.uint8)
    return Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0))


# Input buffers outlive everything: Core ML may drop its reference to an input on a queue of its own
# long after `predict` returned, and without Python's lock.  A buffer that is never freed cannot be
# freed there.  Closed models give theirs back to this pool, so it stays small.
_pool: dict[tuple[tuple[int, ...], np.dtype], list[np.ndarray]] = {}
_pool_lock = threading.Lock()


def _buffer(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    with _pool_lock:
        free = _pool.setdefault((shape, dtype), [])
        return free.pop() if free else np.zeros(shape, dtype)


def _give_back(buffer: np.ndarray) -> None:
    with _pool_lock:
        _pool.setdefault((buffer.shape, buffer.dtype), []).append(buffer)


# The boundary to coremltools


@dataclass(frozen=True)
class _Hints:
    """What Core ML is told of a network's use."""

    fast: bool
    """It is run so often that a longer load is repaid."""
    flexible: bool
    """It takes several shapes.  They change from picture to picture at most, never from step to
    step, which is what lets Core ML make it ready for one shape, and run it on the Neural Engine at
    others than its default (Apple's guide to coremltools, “Flexible Input Shapes”)."""

    def options(self, ct: Any) -> dict[str, Any]:
        """As coremltools takes them: those that system and library know."""
        major, minor = _macos()
        found: dict[str, Any] = {}
        strategy = getattr(ct, "SpecializationStrategy", None)
        if self.fast and strategy is not None and major >= 15:
            found["specializationStrategy"] = strategy.FastPrediction
        frequency = getattr(ct, "ReshapeFrequency", None)
        if self.flexible and frequency is not None and (major, minor) >= (14, 4):
            found["reshapeFrequency"] = frequency.Infrequent
        return found


def _macos() -> tuple[int, int]:
    """The system's version; zeros where there is none."""
    parts = [int(p) if p.isdecimal() else 0 for p in platform.mac_ver()[0].split(".")]
    major, minor, *_ = [*parts, 0, 0]
    return major, minor


def _load_compiled(path: Path, title: str, function: str, unit: ComputeUnit, use: _Hints) -> Any:
    import coremltools as ct

    options: dict[str, Any] = {"compute_units": ct.ComputeUnit[unit.value]}
    if function:
        options["function_name"] = function
    if hints := use.options(ct):
        options["optimization_hints"] = hints
    return _guard(lambda: ct.models.CompiledMLModel(str(path), **options), title, "load")


def _compile(package: Path, destination: Path) -> None:
    import coremltools as ct

    _guard(
        lambda: ct.models.utils.compile_model(str(package), str(destination)),
        package.name,
        "compile",
    )


def _guard(call: Callable[[], _T], title: str, action: str) -> _T:
    """Run one call into coremltools; every failure becomes a sentence."""
    try:
        return call()
    except SfumatoError:
        raise
    except Exception as error:  # coremltools raises RuntimeError, ValueError and plain Exception
        raise translate(error, title, action) from error
