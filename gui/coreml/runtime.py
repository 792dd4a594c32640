"""Which runtime this machine has.

Two implement the protocols of `gui.coreml.loaded`: `gui.coreml.native` (Core ML itself, on macOS)
and `gui.coreml.portable` (torch or OpenVINO on the CPU, every machine).  Feature code never asks
which one it has.
"""

from __future__ import annotations

from gui.coreml.loaded import LoadedModel, Runtime
from gui.coreml.operations import runs_core_ml
from gui.request import Precision

__all__ = ["LoadedModel", "Runtime", "default_runtime"]


def default_runtime(precision: Precision = Precision.FP32) -> Runtime:
    """The runtime this machine should use: Core ML on macOS, portable elsewhere.

    Args:
        precision: of the portable one, as `gui.coreml.precision.computed_in` gives it.
    """
    if runs_core_ml():
        from gui.coreml.native import NativeRuntime

        return NativeRuntime()
    from gui.coreml.portable import PortableRuntime

    return PortableRuntime(precision.value)
