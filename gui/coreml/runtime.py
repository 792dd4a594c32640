"""Which runtime this machine has.

Two implement the protocols of `gui.coreml.loaded`: `gui.coreml.native` (Core ML itself, on macOS)
and `gui.coreml.portable` (torch on the CPU, every machine).  Feature code never asks which one it
has.
"""

from __future__ import annotations

from gui.coreml.loaded import LoadedModel, Runtime

__all__ = ["LoadedModel", "Runtime", "default_runtime"]


def default_runtime() -> Runtime:
    """The runtime this machine should use: Core ML on macOS, portable elsewhere.

    ``SFUMATO_RUNTIME=portable`` forces the portable one (for comparing the two on a Mac).
    """
    import os
    import sys

    if sys.platform == "darwin" and os.environ.get("SFUMATO_RUNTIME") != "portable":
        from gui.coreml.native import NativeRuntime

        return NativeRuntime()
    from gui.coreml.portable import PortableRuntime

    return PortableRuntime()
