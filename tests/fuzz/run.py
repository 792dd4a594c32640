"""One input after the other, and what came of it."""

from __future__ import annotations

import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from random import Random

from gui.errors import ErrorKind, SfumatoError
from tests.fuzz.targets import Target

PATIENCE = 20.0
"""Seconds; what takes longer is a fault."""


@dataclass(frozen=True)
class Fault:
    """What should not have happened."""

    target: str
    seed: int
    data: bytes
    what: str


def try_one(target: Target, seed: int, folder: Path) -> Fault | None:
    """Give a target the input of a seed."""
    random = Random(f"{target.name} {seed}")
    data = target.good() if seed == 0 else target.change(random, target.good())
    started = time.monotonic()
    try:
        target.read(data, folder)
    except SfumatoError as error:
        if error.kind is ErrorKind.INTERNAL or not error.message.endswith((".", "…")):
            return Fault(target.name, seed, data, f"{error.kind}: {error.message!r}")
        if seed == 0:
            return Fault(target.name, seed, data, f"the good input is refused: {error.message}")
    except Exception:
        return Fault(target.name, seed, data, traceback.format_exc(limit=-6))
    seconds = time.monotonic() - started
    if seconds > PATIENCE:
        return Fault(target.name, seed, data, f"took {seconds:.0f} s")
    return None
