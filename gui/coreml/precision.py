"""In which precision networks are computed on this machine.

Standard library only, for the window's process asks too.
"""

from __future__ import annotations

from gui import words
from gui.coreml.operations import runs_core_ml
from gui.coreml.processor import this_processor
from gui.errors import ErrorKind, SfumatoError
from gui.request import Precision


def no_bf16() -> str:
    """Why networks are not computed in bfloat16 here, as a sentence; empty where they can be.

    torch computes with it on any processor, but where the hardware cannot, that is slower than
    float32 and less exact.
    """
    if runs_core_ml():
        return "Core ML chooses the precision itself."
    if not this_processor().has_bf16:
        return f"The processor of {words.COMPUTER} has no bfloat16."
    return ""


def computed_in(asked: Precision) -> Precision:
    """What a request's precision comes to on this machine: it may have been made for another."""
    return Precision.FP32 if asked is Precision.BF16 and no_bf16() else asked


def check_precision(asked: Precision) -> None:
    """Refuse what a person asks for and this machine has not.

    Raises:
        SfumatoError: BAD_REQUEST.
    """
    if asked is Precision.BF16 and (why := no_bf16()):
        raise SfumatoError(
            ErrorKind.BAD_REQUEST, f"{why.rstrip('.')}; leave out --precision {asked.value}."
        )
