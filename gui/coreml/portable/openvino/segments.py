"""A plan's steps as segments: as many calls in a row as OpenVINO can make, compiled as one.

What has no translation stays a step of torch's between two segments, so every network runs.  A
segment ends where its weights become too large as well: what a compiled segment was made from is
let go, so that the weights of a large network never stand in memory twice, and two segments are
compiled side by side.
"""

from __future__ import annotations

import operator
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from threading import BoundedSemaphore
from typing import Any

import numpy as np
import torch

from gui.coreml.portable.ir import ProgramError, UnsupportedProgramError
from gui.coreml.portable.openvino import calls  # noqa: F401  (fills the table)
from gui.coreml.portable.openvino.division import divided
from gui.coreml.portable.openvino.graph import FAILURES, Graph, Traced, UntranslatableError
from gui.coreml.portable.openvino.library import core, library, settings
from gui.coreml.portable.openvino.staging import Again, Staging
from gui.coreml.portable.plan import ExecutionPlan, PlanStep, Symbol

SEGMENT_BYTES = 160 * 2**20
"""Of the weights of a segment."""
LARGE_BYTES = 16 * 2**20
"""Of one tensor inside a segment from which on the segment lets go of its memory after each run."""
_MOST_THREADS = 2
"""That compile; what is bound by memory gains nothing from more."""


class Segment:
    """A compiled run of calls, as the function of one step.

    Args:
        compile: compiles the model.
        kinds: element types of the operands.
        staging: the weights.
        lets_go: give memory for what is computed in between back after each run: of a large
            network, all segments' together would be as much as a third of the weights.
    """

    __name__ = "segment"

    def __init__(
        self,
        compile: Callable[[], Any],
        kinds: Sequence[torch.dtype],
        staging: Staging,
        *,
        lets_go: bool = False,
    ) -> None:
        self._compile: Callable[[], Any] | None = compile
        self._kinds, self._staging = list(kinds), staging
        self._lets_go = lets_go
        self.parameter_bytes = staging.bytes
        self._model = compile()
        staging.release()

    def __call__(self, *tensors: torch.Tensor) -> list[torch.Tensor]:
        results = self._run(tensors)
        if self._compile is not None:
            if self._staging.was_read():
                self._staging.restore()
                self._model = self._compile()
                results = self._run(tensors)
            self._compile = None
            self._staging.forget()
        return results

    def _run(self, tensors: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        # A request of its own for each run: its results are nobody else's, and go with who reads
        request, ov = self._model.create_infer_request(), library()
        arrays = []  # kept until the request has run
        for n, (tensor, kind) in enumerate(zip(tensors, self._kinds, strict=True)):
            arrays.append(tensor.to(kind).contiguous().numpy())
            request.set_input_tensor(n, ov.Tensor(arrays[-1], shared_memory=True))
        try:
            request.infer()
        except RuntimeError as error:
            raise failure(error) from error
        results = [_own(tensor.data, arrays) for tensor in request.output_tensors]
        if self._lets_go:
            self._model.release_memory()
        return results


def _own(result: np.ndarray, operands: Sequence[np.ndarray]) -> torch.Tensor:
    """A result that keeps its memory.  Where nothing but the shape changes, OpenVINO hands out an
    operand's own, which is let go after the run."""
    is_borrowed = any(np.may_share_memory(result, operand) for operand in operands)
    return torch.from_numpy(result.copy() if is_borrowed else result)


def failure(error: Exception) -> Exception:
    """OpenVINO's error as what it means."""
    text = str(error).lower()
    is_memory = "bad_alloc" in text or "out of memory" in text or "allocate" in text
    return MemoryError(str(error)) if is_memory else error


class SegmentedPlan(ExecutionPlan):
    """A plan with segments."""

    def parameter_bytes(self) -> int:
        segments = (step.function for step in self.steps)
        own = sum(s.parameter_bytes for s in segments if isinstance(s, Segment))
        return own + super().parameter_bytes()


class Cutter:
    """Divides steps into segments.

    Args:
        known: shape and type of a register, as a meta tensor, where the program states them.
        threads: of a running segment.
        bf16: compute with bfloat16.
        read: see `Staging`.
    """

    def __init__(
        self,
        known: Mapping[int, torch.Tensor],
        threads: int,
        *,
        bf16: bool = False,
        read: Callable[[torch.Tensor], Again] | None = None,
    ) -> None:
        self._known = known
        self._values: dict[int, torch.Tensor | None] = dict(known)
        self._settings = settings(threads, bf16)
        self._read = read
        self._steps: list[PlanStep] = []
        self._readers: Counter[int] = Counter()
        self._outputs: set[int] = set()
        self._registers = 0
        self._open: list[PlanStep] = []
        self._traced: dict[int, Traced] = {}
        self._graph = self._new_graph()
        workers = max(1, min(_MOST_THREADS, os.cpu_count() or 1))
        self._places = BoundedSemaphore(workers + 1)
        self._pool = ThreadPoolExecutor(workers, "compile")

    def plan(
        self,
        steps: Sequence[PlanStep],
        inputs: Sequence[int],
        outputs: Sequence[Symbol | torch.Tensor],
        registers: int,
    ) -> SegmentedPlan:
        """The plan of these steps, as `ExecutionPlan` takes them."""
        self._outputs = {value.register for value in outputs if isinstance(value, Symbol)}
        live = ExecutionPlan(steps, inputs, outputs, registers).steps
        live = divided(live, self._known, self._outputs)
        for step in live:
            step.releases.clear()
            self._readers.update(register for _, register in step.reads)
        self._registers = registers
        try:
            for step in live:
                self._take(step)
            self._close()
            for step in self._steps:
                if isinstance(step.function, Future):
                    step.function = step.function.result()
        finally:
            self._pool.shutdown(cancel_futures=True)
        outputs = [_as_float(value) for value in outputs]
        return SegmentedPlan(self._steps, inputs, outputs, self._registers)

    def _new_graph(self) -> Graph:
        return Graph(library(), Staging(self._read))

    def _take(self, step: PlanStep) -> None:
        weights = sum(
            value.numel() * 4 for value in step.arguments if isinstance(value, torch.Tensor)
        )
        if self._graph.staging.bytes and self._graph.staging.bytes + weights > SEGMENT_BYTES:
            self._close()
        try:
            traced = self._followed(step)
        except (*FAILURES, ProgramError, UnsupportedProgramError, UntranslatableError):
            self._leave_to_torch(step)
            return
        self._traced[step.output] = traced
        self._values[step.output] = _meta(traced)
        self._open.append(step)

    def _followed(self, step: PlanStep) -> Traced:
        arguments = list(step.arguments)
        for position, register in step.reads:
            arguments[position] = self._operand(register)
        result = step.function(*arguments, **step.keywords)
        if not isinstance(result, Traced):
            raise UntranslatableError(f"{step.place} gives no tensor")
        return result

    def _operand(self, register: int) -> Traced:
        if register in self._traced:
            return self._traced[register]
        value = self._values.get(register)
        if value is None:
            raise UntranslatableError("an operand whose shape is not known")
        return self._graph.parameter(register, value)

    def _leave_to_torch(self, step: PlanStep) -> None:
        if any(register in self._traced for _, register in step.reads):
            self._close()
        step.arguments = [_as_float(value) for value in step.arguments]
        self._steps.append(step)
        self._values[step.output] = self._described(step)

    def _described(self, step: PlanStep) -> torch.Tensor | None:
        """The result's shape and type: as the program states them, else as torch says."""
        if step.output in self._values:
            return self._values[step.output]
        arguments = list(step.arguments)
        for position, register in step.reads:
            arguments[position] = self._values.get(register)
        tensors = [a for a in arguments if isinstance(a, torch.Tensor)]
        arguments = [_meta(a) if isinstance(a, torch.Tensor) else a for a in arguments]
        try:
            result = step.function(*arguments, **step.keywords) if tensors else None
        except (*FAILURES, ProgramError, UnsupportedProgramError):
            return None
        return result if isinstance(result, torch.Tensor) else None

    def _close(self) -> None:
        """End the open segment."""
        steps, graph, traced = self._open, self._graph, self._traced
        self._open, self._traced, self._graph = [], {}, self._new_graph()
        if not steps:
            return
        if not graph.heavy:  # not worth the way there
            for step in steps:
                step.arguments = [_as_float(value) for value in step.arguments]
            self._steps += steps
            return
        inside = Counter(register for step in steps for _, register in step.reads)
        results = [
            register
            for register in traced
            if register in self._outputs or self._readers[register] > inside[register]
        ]
        model = library().Model(
            [graph.ops.result(traced[register].node) for register in results],
            [parameter.node.get_node() for parameter in graph.parameters.values()],
        )
        kinds = [parameter.dtype for parameter in graph.parameters.values()]
        lets_go = any(value.numel() * 4 >= LARGE_BYTES for value in traced.values())
        segment = (model, kinds, graph.staging, lets_go)
        self._submit(steps, list(graph.parameters), results, segment)

    def _submit(
        self, steps: list[PlanStep], reads: list[int], results: list[int], made: Any
    ) -> None:
        model, kinds, staging, lets_go = made

        def segment() -> Segment:
            return Segment(lambda: compiled(model, self._settings), kinds, staging, lets_go=lets_go)

        self._places.acquire()
        future: Any = self._pool.submit(segment)
        future.add_done_callback(lambda _: self._places.release())
        for step in steps:  # its weights are the segment's now
            step.arguments = []
        place = f"{steps[0].place} … {steps[-1].place}"
        whole = self._registers
        self._registers += 1
        operands: list[Any] = [Symbol(register) for register in reads]
        self._steps.append(PlanStep(future, operands, {}, whole, place))
        for n, register in enumerate(results):
            self._steps.append(PlanStep(operator.getitem, [Symbol(whole), n], {}, register, place))


def compiled(model: Any, settings: dict[str, Any]) -> Any:
    """The model, compiled.

    Raises:
        MemoryError: there is not enough.
        RuntimeError: OpenVINO refuses the model.
    """
    try:
        return core().compile_model(model, "CPU", settings)
    except RuntimeError as error:
        raise failure(error) from error


def _meta(value: torch.Tensor) -> torch.Tensor:
    with torch._C.DisableTorchFunctionSubclass():
        return torch.empty(value.shape, dtype=value.dtype, device="meta")


def _as_float(value: Any) -> Any:
    """A weight of 16 bits as torch computes with it."""
    is_half = isinstance(value, torch.Tensor) and value.dtype == torch.float16
    return value.float() if is_half else value
