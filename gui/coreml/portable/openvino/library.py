"""The package ``openvino``: whether it is here and computes correctly, and how it is asked to.

Only its runtime is used.  Its model converter, which the package imports by itself, tells its maker
of every import over the network (``openvino_telemetry``); it is kept from being imported.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import sys
from typing import Any

_CONVERTER = "openvino.tools.ovc"


@functools.cache
def library() -> Any:
    """The package, or None where it is not installed or cannot be loaded."""
    if importlib.util.find_spec("openvino") is None:
        return None
    before = sys.modules.get(_CONVERTER)
    if before is None:
        sys.modules[_CONVERTER] = None  # type: ignore[assignment]  # an import of it fails
    try:
        return importlib.import_module("openvino")
    except (ImportError, OSError, RuntimeError, AttributeError) as error:
        print(f"OpenVINO cannot be loaded: {error!r}", flush=True)
        return None
    finally:
        if before is None:
            del sys.modules[_CONVERTER]


@functools.cache
def core() -> Any:
    """OpenVINO's one object that compiles."""
    return library().Core()


def settings(threads: int, bf16: bool = False) -> dict[str, Any]:
    """How a segment is to be compiled.

    Threads are not tied to processors: others (torch's, the window's) are about.
    """
    return {
        "INFERENCE_PRECISION_HINT": "bf16" if bf16 else "f32",
        "INFERENCE_NUM_THREADS": max(1, threads),
        "NUM_STREAMS": 1,
        "ENABLE_CPU_PINNING": False,
    }
