"""Whether OpenVINO computes a network, and its plan."""

from __future__ import annotations

import math
from collections import Counter

from gui.coreml.back_ends import BackEnd
from gui.coreml.portable.ir import Function
from gui.coreml.portable.lower import Compute
from gui.coreml.portable.openvino.check import is_available
from gui.coreml.portable.openvino.lowering import OpenVinoLowering, RefusedError
from gui.coreml.portable.plan import ExecutionPlan

LEAST_WEIGHTS = 3_000_000
"""How many numbers a network's weights hold from which on OpenVINO's compiling is soon won back: it
takes a quarter of a second, and a network of this size a hundredth of one less for each step."""

MOST_POSITIONS = 4096
"""Of a row of channels, [batch, channels, 1, positions], as Apple's layouts have text and pictures
in their transformers: from so many on torch is quicker in float32, to which a layout is only a way
of reading.  Measured with SD 1.5's UNet in ORIGINAL at 512 × 512: 4.4 s a step against 4.7 to 5.2,
and 1.2 GB less memory; without rows OpenVINO takes 4.0."""


def segmented(
    function: Function, compute: Compute, back_end: BackEnd, threads: int, *, rewriting: bool
) -> tuple[ExecutionPlan, Counter[str]] | None:
    """OpenVINO's plan of a function and what was rewritten (`Lowering.rewrites`), or None where
    torch is to compute it.

    Args:
        function: its types are static.
        threads: of a running plan.

    Raises:
        MemoryError, ProgramError, UnsupportedProgramError, WeightFileError: as `Lowering.plan`.
    """
    if back_end is BackEnd.TORCH or compute is Compute.EMULATE_FP16:
        return None
    if back_end is BackEnd.AUTO and _weights(function) < LEAST_WEIGHTS:
        return None
    if back_end is BackEnd.AUTO and compute is Compute.FP32 and _has_long_rows(function):
        return None
    if not is_available():
        return None
    lowering = OpenVinoLowering(function, compute, threads, rewriting=rewriting)
    try:
        return lowering.plan(), lowering.rewrites
    except RefusedError as error:
        print(f"OpenVINO refuses the network {function.name}: {error}", flush=True)
        return None


def _weights(function: Function) -> int:
    """How many numbers the function's weights hold."""
    return sum(
        math.prod(stated.static_shape)
        for op in function.ops
        if op.type == "const" or op.type.startswith("constexpr_")
        for _, stated in op.outputs
        if stated.is_static and stated.dtype in ("fp16", "fp32")
    )


def _has_long_rows(function: Function) -> bool:
    return any(
        op.type == "conv"
        and stated.is_static
        and len(stated.shape) == 4
        and stated.static_shape[2] == 1
        and stated.static_shape[3] >= MOST_POSITIONS
        for op in function.ops
        for _, stated in op.outputs
    )
