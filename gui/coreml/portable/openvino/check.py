"""Whether OpenVINO computes correctly on this machine: tried once, against torch."""

from __future__ import annotations

import functools

import torch
import torch.nn.functional as F  # noqa: N812

from gui.coreml.portable.openvino.graph import FAILURES
from gui.coreml.portable.openvino.library import library
from gui.coreml.portable.plan import PlanError, PlanStep, Symbol

_LEAST_DECIBELS = 90.0


@functools.cache
def is_available() -> bool:
    """Whether OpenVINO is installed, and computes a small network as torch does."""
    if library() is None:
        return False
    try:
        error = _deviation()
    except (*FAILURES, MemoryError, OSError, PlanError) as problem:
        print(f"OpenVINO cannot be used: {problem!r}", flush=True)
        return False
    if not error < 10 ** (-_LEAST_DECIBELS / 20):
        print(f"OpenVINO computes wrongly: {error:g} off", flush=True)
        return False
    return True


def _deviation() -> float:
    """The largest difference from torch, of the largest value."""
    from gui.coreml.portable.openvino.segments import Cutter

    values = torch.arange(16 * 8 * 8, dtype=torch.float32).reshape(1, 16, 8, 8).sin()
    kernel = torch.arange(32 * 16 * 9, dtype=torch.float32).reshape(32, 16, 3, 3).cos().half()
    matrix = torch.arange(64 * 256, dtype=torch.float32).reshape(64, 256).cos()
    ones = torch.ones(32)

    def steps() -> list[PlanStep]:
        return [
            PlanStep(F.conv2d, [Symbol(0), kernel, ones, [1, 1], [1, 1]], {}, 1, "conv"),
            PlanStep(F.group_norm, [Symbol(1), 4, ones, ones, 1e-5], {}, 2, "norm"),
            PlanStep(F.silu, [Symbol(2)], {}, 3, "silu"),
            PlanStep(torch.reshape, [Symbol(3), [1, 8, 256]], {}, 4, "reshape"),
            PlanStep(F.linear, [Symbol(4), matrix], {}, 5, "linear"),
            PlanStep(torch.softmax, [Symbol(5), -1], {}, 6, "softmax"),
        ]

    known = {0: torch.empty(1, 16, 8, 8, device="meta")}
    got = Cutter(known, 1).plan(steps(), [0], [Symbol(6)], 7)(values)[0]
    registers = {0: values}
    for step in steps():
        arguments = [registers[a.register] if isinstance(a, Symbol) else a for a in step.arguments]
        wide = [a.float() if isinstance(a, torch.Tensor) else a for a in arguments]
        registers[step.output] = step.function(*wide)
    want = registers[6]
    if got.shape != want.shape:
        return float("inf")
    return float((got - want).abs().max() / want.abs().max())
