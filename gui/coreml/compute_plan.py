"""How much of a network Core ML means to run on which processor: its compute plan.

A plan is made for a compiled model and a choice of processors (macOS 14.4 and later).  It names for
each operation the processor that is preferred, and the operation's share of the whole work.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gui.request import ComputeUnit


def plan_shares(compiled: Path, function: str, unit: ComputeUnit) -> dict[str, float]:
    """The share of a compiled model's work on each processor, of 1 in all; empty where the system
    does not tell.

    Args:
        function: of a model with several; empty: the only or default one.
    """
    from coremltools import ComputeUnit as Units
    from coremltools.models.compute_plan import MLComputePlan

    try:
        plan = MLComputePlan.load_from_path(path=str(compiled), compute_units=Units[unit.value])
        program = plan.model_structure.program
        if program is None:
            return {}
        functions = program.functions
        main = functions.get(function or "main") or next(iter(functions.values()))
        return _shares(plan, list(_operations(main.block)))
    except Exception as error:  # coremltools raises whatever the system said
        print(f"no compute plan of {compiled.name}: {error!r}", flush=True)
        return {}


def _operations(block: Any) -> Iterator[Any]:
    for operation in block.operations:
        yield operation
        for inner in operation.blocks:
            yield from _operations(inner)


def _shares(plan: Any, operations: list[Any]) -> dict[str, float]:
    """By the estimated cost of each operation; where no cost is known, by their number."""
    by_cost: dict[str, float] = {}
    by_number: dict[str, float] = {}
    for operation in operations:
        usage = plan.get_compute_device_usage_for_mlprogram_operation(operation)
        if usage is None:  # constants run nowhere
            continue
        device = _device(usage.preferred_compute_device)
        cost = plan.get_estimated_cost_for_mlprogram_operation(operation)
        by_number[device] = by_number.get(device, 0.0) + 1
        if cost is not None:
            by_cost[device] = by_cost.get(device, 0.0) + cost.weight
    counted = by_cost if sum(by_cost.values()) > 0 else by_number
    whole = sum(counted.values())
    return {device: share / whole for device, share in counted.items()} if whole else {}


def _device(device: Any) -> str:
    from coremltools.models import compute_device

    if isinstance(device, compute_device.MLNeuralEngineComputeDevice):
        return "neural_engine"
    return "gpu" if isinstance(device, compute_device.MLGPUComputeDevice) else "cpu"
