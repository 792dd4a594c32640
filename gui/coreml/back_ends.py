"""Which library the portable runtime computes with: PyTorch, or OpenVINO where it is installed.

Standard library only.
"""

from __future__ import annotations

import importlib.util
import os
from enum import StrEnum

from gui.coreml.operations import runs_core_ml
from gui.errors import ErrorKind, SfumatoError

VARIABLE = "SFUMATO_BACK_END"
"""Of the environment; names a `BackEnd`, for comparing them and for trouble."""


class BackEnd(StrEnum):
    AUTO = "auto"
    """OpenVINO for networks of some size, where it is installed and computes correctly."""
    TORCH = "torch"
    OPENVINO = "openvino"
    """OpenVINO for every network, where it is installed; for comparing the two."""


def chosen(name: str | None = None) -> BackEnd:
    """The back end of this name; None: the one that the environment names, if it names one.

    Raises:
        SfumatoError: BAD_REQUEST for one that does not exist.
    """
    name = name or os.environ.get(VARIABLE) or BackEnd.AUTO
    try:
        return BackEnd(name)
    except ValueError as error:
        raise SfumatoError(
            ErrorKind.BAD_REQUEST,
            f"There is no back end called {name!r}; set {VARIABLE} to {', '.join(BackEnd)}.",
        ) from error


def libraries() -> tuple[str, ...]:
    """What computes the networks on this machine, by the packages' names; none: Core ML does."""
    if runs_core_ml():
        return ()
    has_openvino = importlib.util.find_spec("openvino") is not None
    if not has_openvino or chosen() is BackEnd.TORCH:
        return ("torch",)
    return ("torch", "openvino")


def computing() -> str:
    """The same in words: ``OpenVINO, small networks by PyTorch``."""
    if "openvino" not in libraries():
        return "PyTorch"
    return "OpenVINO" if chosen() is BackEnd.OPENVINO else "OpenVINO, small networks by PyTorch"
