"""A file (or a chain of files) ready to run: reading, checking of arrays, running."""

from __future__ import annotations

import dataclasses
import errno
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch

from gui.coreml import proto
from gui.coreml.back_ends import BackEnd, chosen
from gui.coreml.compiled import MAX_TEXT_BYTES
from gui.coreml.model import TensorSpec
from gui.coreml.portable import from_proto, from_text
from gui.coreml.portable.blobs import ELEMENT_TYPES, WeightFileError, WeightFolder
from gui.coreml.portable.ir import (
    Function,
    ProgramError,
    TensorType,
    UnsupportedProgramError,
)
from gui.coreml.portable.lower import Compute, Lowering, as_tensor, specialise
from gui.coreml.portable.openvino.planning import segmented
from gui.coreml.portable.ops.context import torch_type
from gui.coreml.portable.plan import ExecutionPlan, PlanError
from gui.errors import ErrorKind, SfumatoError
from gui.files import check_links, read_text

_KEPT_PLANS = 4
"""How many concrete shapes of a flexible model stay prepared at most …"""
_KEPT_BYTES = 2 * 2**30
"""… as long as their weights, which each has of its own, take no more than this: of a large UNet
there is one."""

_Result = TypeVar("_Result")


@dataclass
class ModelFunction:
    """One function of one file."""

    function: Function
    source: str
    """File name, for messages."""
    plans: dict[tuple[tuple[int, ...], ...], ExecutionPlan] = field(default_factory=dict)


def read_stages(path: Path, function: str = "") -> list[ModelFunction]:
    """Every function that running `path` means, in order: one, or a pipeline's.

    Args:
        path: a ``.mlpackage`` or ``.mlmodelc`` folder.
        function: of a multifunction file; empty: its default.

    Raises:
        SfumatoError: BAD_MODEL or UNSUPPORTED.
    """
    if not path.is_dir():
        raise SfumatoError(
            ErrorKind.BAD_MODEL, f"{path.name} is missing; get the model again.", str(path)
        )
    check_links(path)
    read = _read_compiled if path.suffix == ".mlmodelc" else _read_package
    return _translated(path.name, lambda: read(path, function))


def _read_package(path: Path, function: str) -> list[ModelFunction]:
    spec, root = proto.read_package_spec(path)
    weights = WeightFolder(root)
    kind = spec.WhichOneof("Type")
    models = list(spec.pipeline.models) if kind == "pipeline" else [spec]
    stages = []
    for model in models:
        kind = model.WhichOneof("Type")
        if kind != "mlProgram":
            raise UnsupportedProgramError(f"model type {kind}", path.name)
        functions = from_proto.read_functions(model.mlProgram, weights)
        wanted = function or model.description.defaultFunctionName
        stages.append(ModelFunction(_choose(functions, wanted), path.name))
    if not stages:
        raise ProgramError("the pipeline is empty")
    return stages


def _read_compiled(path: Path, function: str) -> list[ModelFunction]:
    text = path / "model.mil"
    if text.is_file():
        source = read_text(text, MAX_TEXT_BYTES)
        functions = from_text.read_functions(source, WeightFolder(path))
        return [ModelFunction(_choose(functions, function), path.name)]
    # A compiled pipeline holds its parts as numbered folders
    parts = sorted(
        (p for p in path.glob("model*") if (p / "model.mil").is_file()),
        key=lambda p: int("".join(c for c in p.name if c.isdigit()) or 0),
    )
    if not parts:
        raise UnsupportedProgramError("model type", path.name, "no model.mil: no ML Program")
    return [stage for part in parts for stage in _read_compiled(part, function)]


def _choose(functions: dict[str, Function], wanted: str) -> Function:
    if wanted:
        if wanted not in functions:
            raise ProgramError(f"no function {wanted}, only {', '.join(sorted(functions))}")
        return functions[wanted]
    if len(functions) == 1:
        return next(iter(functions.values()))
    if "main" in functions:
        return functions["main"]
    raise ProgramError(f"which function to run is not stated: {', '.join(sorted(functions))}")


def _translated(name: str, action: Callable[[], _Result]) -> _Result:
    """Do something with a file, its failures told as `SfumatoError`.

    Args:
        name: the file's name.
    """
    try:
        return action()
    except SfumatoError:
        raise
    except Exception as error:
        told = _out_of_memory(name, error) if _lacks_memory(error) else _told(name, error)
        if told is None:
            raise
        raise told from error


def _told(name: str, error: Exception) -> SfumatoError | None:
    """A failure to read or lower a file; None: it is a defect."""
    if isinstance(error, UnsupportedProgramError):
        reason = f" ({error.reason})" if error.reason else ""
        return SfumatoError(
            ErrorKind.UNSUPPORTED,
            f"{name} uses {error.what}{reason} at {error.place}, which this program cannot "
            "run; choose another model.",
            str(error),
        )
    if isinstance(error, WeightFileError):
        return SfumatoError(
            ErrorKind.BAD_MODEL,
            f"The weights of {name} are missing or damaged; get the model again.",
            str(error),
        )
    if isinstance(error, OSError):
        return SfumatoError(
            ErrorKind.BAD_MODEL,
            f"{name} cannot be read; see that its disk is there and you may open it.",
            str(error),
        )
    if isinstance(error, (ProgramError, ValueError, OverflowError, RecursionError, UnicodeError)):
        return SfumatoError(
            ErrorKind.BAD_MODEL,
            f"{name} is damaged or no Core ML program; get the model again.",
            str(error),
        )
    return None


def _lacks_memory(error: BaseException | None) -> bool:
    """Whether it was memory that failed: torch says so in a RuntimeError, which a rule may have
    told as its own."""
    while error is not None:
        is_system = isinstance(error, OSError) and error.errno == errno.ENOMEM
        if isinstance(error, MemoryError) or is_system or "allocate memory" in str(error):
            return True
        error = error.__cause__
    return False


def _out_of_memory(name: str, error: BaseException) -> SfumatoError:
    return SfumatoError(
        ErrorKind.MEMORY,
        f"There is not enough memory to run {name}; close other programs, or choose a smaller "
        "model.",
        str(error),
    )


@dataclass
class ModelState:
    """What the states of a model hold between calls, by name."""

    values: dict[str, torch.Tensor]


class PortableModel:
    """A `LoadedModel` (see `gui.coreml.runtime`) computed by torch or OpenVINO on the CPU.

    Args:
        stages: run one after the other; a stage's inputs are the caller's and the results of
            earlier stages, by name.
        compute: how to compute with floats.
        back_end: what computes; None: as the environment says.
        outputs: names to return; None: every result that no later stage reads.
        optional: inputs that may be left out; zeros then stand for them.
        rewriting: see `Lowering`.
        channels_last: see `Lowering`.
    """

    def __init__(
        self,
        stages: Sequence[ModelFunction],
        compute: Compute = Compute.FP32,
        *,
        back_end: BackEnd | None = None,
        outputs: Sequence[str] | None = None,
        optional: frozenset[str] = frozenset(),
        rewriting: bool = True,
        channels_last: bool = True,
    ) -> None:
        self._stages = [ModelFunction(stage.function, stage.source) for stage in stages]
        self._compute = compute
        self._back_end = back_end or chosen()
        self._options: dict[str, bool] = {"rewriting": rewriting, "channels_last": channels_last}
        self._name = stages[0].source
        self._inputs, self._outputs = _interface(stages, outputs, optional)
        self._states = {n: t for stage in stages for n, t in stage.function.states.items()}
        self.rewrites: dict[str, int] = {}
        """How many patterns the rewrites found, by name."""
        for stage in self._stages:
            if all(stated.is_static for _, stated in stage.function.inputs):
                shapes = tuple(stated.static_shape for _, stated in stage.function.inputs)
                self._plan(stage, shapes)
                # Lowered for good: let go of the program, keep its signature
                stage.function = dataclasses.replace(stage.function, ops=[])

    @property
    def inputs(self) -> Mapping[str, TensorSpec]:
        return self._inputs

    @property
    def outputs(self) -> Mapping[str, TensorSpec]:
        return self._outputs

    def parameter_bytes(self) -> int:
        """Memory of the weights as they are computed with."""
        return sum(p.parameter_bytes() for stage in self._stages for p in stage.plans.values())

    def close(self) -> None:
        self._stages = []

    def make_state(self) -> ModelState:
        """Fresh states, all zeros, to hand to one call after another."""
        return ModelState({name: _zeros(stated) for name, stated in self._states.items()})

    def __call__(
        self, arrays: Mapping[str, np.ndarray], state: ModelState | None = None
    ) -> dict[str, np.ndarray]:
        """Run once; see `gui.coreml.runtime.LoadedModel`.

        Args:
            state: what the model's states hold, renewed by the call; None: zeros, and what the
                call leaves in them is forgotten.
        """
        if not self._stages:
            raise SfumatoError(
                ErrorKind.INTERNAL, f"{self._name} was closed and cannot run; try again."
            )
        values = self._accept(arrays)
        values.update((state or self.make_state()).values)
        for stage in self._stages:
            tensors = [_typed(values[name], stated.dtype) for name, stated in stage.function.inputs]
            plan = self._plan(stage, tuple(tuple(t.shape) for t in tensors))
            try:
                results = plan(*tensors)
            except PlanError as error:
                raise self._failure(stage, error) from error
            names = [*stage.function.outputs, *stage.function.states]
            values.update(zip(names, results, strict=True))
        if state is not None:
            state.values = {name: values[name] for name in self._states}
        try:
            return {name: _owned(values[name]) for name in self._outputs}
        except (RuntimeError, TypeError, ValueError) as error:  # more axes than numpy has
            raise self._failure(self._stages[-1], PlanError("results", error)) from error

    def _accept(self, arrays: Mapping[str, np.ndarray]) -> dict[str, torch.Tensor]:
        """Check the caller's arrays and round them to the stated types, as Core ML does."""
        unknown = [name for name in arrays if name not in self._inputs]
        if unknown:
            known = ", ".join(self._inputs)
            raise self._refusal(f"has no input {unknown[0]} (it has {known})")
        values = {}
        for name, spec in self._inputs.items():
            if name not in arrays:
                if not spec.optional:
                    raise self._refusal(f"needs the input {name}")
                values[name] = _zeros(spec)
                continue
            array = np.asarray(arrays[name])
            fits = len(array.shape) == len(spec.shape) and all(
                want is None or want == have
                for want, have in zip(spec.shape, array.shape, strict=True)
            )
            if not fits:
                wanted = " × ".join("any" if d is None else str(d) for d in spec.shape)
                given = " × ".join(map(str, array.shape))
                raise self._refusal(f"takes {name} as {wanted}, not as {given}")
            if array.dtype.kind not in "fiub":
                raise self._refusal(f"takes numbers as {name}, not {array.dtype}")
            with np.errstate(over="ignore"):  # beyond fp16: infinity, as on Apple's processors
                values[name] = as_tensor(array.astype(ELEMENT_TYPES[spec.dtype].numpy))
        return values

    def _refusal(self, what: str) -> SfumatoError:
        return SfumatoError(ErrorKind.BAD_REQUEST, f"{self._name} {what}.")

    def _failure(self, stage: ModelFunction, error: PlanError) -> SfumatoError:
        cause = error.cause
        is_memory = isinstance(cause, MemoryError) or "memory" in str(cause).lower()
        if is_memory:
            return _out_of_memory(stage.source, error)
        return SfumatoError(
            ErrorKind.INTERNAL,
            f"{stage.source} failed while computing; try again, or choose another model.",
            str(error),
        )

    def _plan(self, stage: ModelFunction, shapes: tuple[tuple[int, ...], ...]) -> ExecutionPlan:
        plan = stage.plans.pop(shapes, None)
        if plan is None:
            _make_room(stage.plans)
            plan = _translated(stage.source, lambda: self._lower(stage, shapes))
        stage.plans[shapes] = plan  # the last in line to go
        return plan

    def _lower(self, stage: ModelFunction, shapes: tuple[tuple[int, ...], ...]) -> ExecutionPlan:
        function = stage.function
        types = [stated for op in function.ops for _, stated in op.outputs]
        if not all(t.is_static for t in [*types, *(t for _, t in function.inputs)]):
            names = (name for name, _ in function.inputs)
            function = specialise(function, dict(zip(names, shapes, strict=True)))
        threads = torch.get_num_threads()
        rewriting = self._options["rewriting"]
        with _one_thread():
            found = segmented(function, self._compute, self._back_end, threads, rewriting=rewriting)
            if found is None:
                lowering = Lowering(function, self._compute, **self._options)
                found = lowering.plan(), lowering.rewrites
        plan, rewrites = found
        for name, count in rewrites.items():
            self.rewrites[name] = self.rewrites.get(name, 0) + count
        return plan


def _make_room(plans: dict[tuple[tuple[int, ...], ...], ExecutionPlan]) -> None:
    """Let go of the plans that were used longest ago, as many as one more would be too many of."""
    each = max((plan.parameter_bytes() for plan in plans.values()), default=0)
    while plans and (len(plans) >= _KEPT_PLANS or each * (len(plans) + 1) > _KEPT_BYTES):
        del plans[next(iter(plans))]


@contextmanager
def _one_thread() -> Iterator[None]:
    """Copying and packing a thousand weights is bound by memory.  With several threads it spends
    more time at their barriers than it wins: four times more on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _interface(
    stages: Sequence[ModelFunction], outputs: Sequence[str] | None, optional: frozenset[str]
) -> tuple[dict[str, TensorSpec], dict[str, TensorSpec]]:
    """Inputs and outputs of a chain: what no earlier stage makes, what no later stage reads."""
    inputs: dict[str, TensorSpec] = {}
    results: dict[str, TensorSpec] = {}
    read: set[str] = set()
    for stage in stages:
        types = stage.function.types()
        for name, stated in stage.function.inputs:
            if stated.is_state:
                continue
            if stated.dtype not in ELEMENT_TYPES:
                raise SfumatoError(
                    ErrorKind.UNSUPPORTED,
                    f"{stage.source} takes {name} as {stated.dtype}, which this program cannot "
                    "compute with; choose another model.",
                )
            if name in results:
                read.add(name)
            elif name not in inputs:
                inputs[name] = _spec(name, stated, name in optional)
        for name in stage.function.outputs:
            if name not in types:
                raise _damaged(stage, f"the output {name} is never computed")
            results[name] = _spec(name, types[name], False)
            read.discard(name)
    if outputs is None:
        outputs = [name for name in results if name not in read]
    missing = [name for name in outputs if name not in results]
    if missing:
        raise _damaged(stages[-1], f"no output {missing[0]}")
    return inputs, {name: results[name] for name in outputs}


def _damaged(stage: ModelFunction, detail: str) -> SfumatoError:
    return SfumatoError(
        ErrorKind.BAD_MODEL,
        f"{stage.source} is damaged or no Core ML program; get the model again.",
        detail,
    )


def _zeros(spec: TensorSpec | TensorType) -> torch.Tensor:
    shape = tuple(1 if d is None else d for d in spec.shape)
    return torch.zeros(shape, dtype=torch_type(spec.dtype))


def _spec(name: str, stated: Any, optional: bool) -> TensorSpec:
    return TensorSpec(name, stated.dtype, stated.shape, optional)


def _typed(tensor: torch.Tensor, mil_type: str) -> torch.Tensor:
    return tensor.to(torch_type(mil_type))


def _owned(tensor: torch.Tensor) -> np.ndarray:
    """A fresh array; floats as float32."""
    if tensor.is_floating_point():
        tensor = tensor.float()
    return np.array(tensor.numpy(), order="C")
