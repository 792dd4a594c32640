"""What a function becomes: a flat list of torch calls over numbered registers.

There is no generated code and nothing to compile: running is one loop.  Each register is dropped
right after its last reader, so the peak of memory is that of the network itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from gui.coreml.portable.ir import ProgramError, UnsupportedProgramError

TorchCall = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Symbol:
    """A value that exists only while running: the register that will hold it."""

    register: int


@dataclass(slots=True)
class PlanStep:
    """One call.  Symbols stand only directly among `arguments`, never nested."""

    function: TorchCall
    arguments: list[Any]
    keywords: dict[str, Any]
    output: int
    place: str
    """Op type and value name in the program, for error reports."""
    reads: list[tuple[int, int]] = field(init=False)
    """(position among the arguments, register)."""
    releases: list[int] = field(default_factory=list)
    """Registers whose last reader this is."""

    def __post_init__(self) -> None:
        self.reads = [
            (position, value.register)
            for position, value in enumerate(self.arguments)
            if isinstance(value, Symbol)
        ]


_FAILURES = (
    ArithmeticError,
    AttributeError,
    IndexError,
    KeyError,
    MemoryError,
    ProgramError,
    RuntimeError,
    TypeError,
    UnsupportedProgramError,
    ValueError,
)
"""What a call may raise for operands that make no sense."""


class PlanError(Exception):
    """A step failed while running.

    Args:
        place: op type and value name.
    """

    def __init__(self, place: str, cause: Exception) -> None:
        super().__init__(f"{place}: {cause}")
        self.place, self.cause = place, cause


class ExecutionPlan:
    """An executable function.

    Args:
        steps: calls in order; dead ones are dropped here.
        inputs: register of each input.
        outputs: register or constant tensor of each output.
        registers: how many registers there are.
    """

    def __init__(
        self,
        steps: Sequence[PlanStep],
        inputs: Sequence[int],
        outputs: Sequence[Symbol | torch.Tensor],
        registers: int,
    ) -> None:
        self._inputs = list(inputs)
        self._outputs = list(outputs)
        self._registers = registers
        kept = {value.register for value in outputs if isinstance(value, Symbol)}
        seen = set(kept)
        live: list[PlanStep] = []
        for step in reversed(steps):
            if step.output not in seen:
                continue
            for _, register in step.reads:
                if register not in seen:
                    seen.add(register)
                    step.releases.append(register)
            live.append(step)
        self.steps = live[::-1]

    def parameter_bytes(self) -> int:
        """Memory of the constants, shared ones counted once."""
        storages: dict[int, int] = {}
        for step in self.steps:
            for value in (*step.arguments, *step.keywords.values()):
                if isinstance(value, torch.Tensor):
                    if value.is_mkldnn:  # packed: no storage to ask
                        storages[id(value)] = value.numel() * value.element_size()
                        continue
                    storage = value.untyped_storage()
                    storages[storage.data_ptr()] = storage.nbytes()
        return sum(storages.values())

    def __call__(self, *tensors: torch.Tensor) -> list[torch.Tensor]:
        """Run once, without autograd.

        Raises:
            PlanError: naming the step that failed.
        """
        registers: list[Any] = [None] * self._registers
        for register, tensor in zip(self._inputs, tensors, strict=True):
            registers[register] = tensor
        with torch.inference_mode():
            for step in self.steps:
                arguments = step.arguments
                if step.reads:
                    arguments = arguments.copy()
                    for position, register in step.reads:
                        arguments[position] = registers[register]
                try:
                    registers[step.output] = step.function(*arguments, **step.keywords)
                except _FAILURES as error:
                    raise PlanError(step.place, error) from error
                for register in step.releases:
                    registers[register] = None
        return [registers[v.register] if isinstance(v, Symbol) else v for v in self._outputs]
