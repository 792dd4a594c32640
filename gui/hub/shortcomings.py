"""What a machine lacks to make pictures well, or at all, each in one sentence."""

from __future__ import annotations

from dataclasses import dataclass

from gui import words
from gui.hub.types import Machine

OLDEST_MACOS = 14
LITTLE_MEMORY = 6 * 2**30
"""Below this a Stable Diffusion 1 at full precision does not fit."""
TOO_LITTLE_MEMORY = 2 * 2**30
"""Below this the engine does not fit beside a desktop; with the starter model it takes 0.5 GB."""


@dataclass(frozen=True)
class Shortcoming:
    """One of them."""

    text: str
    can_run: bool = True
    """Whether pictures can be made all the same."""


def shortcomings(machine: Machine) -> list[Shortcoming]:
    """What this machine lacks, the gravest first.  What is not known counts as there."""
    found: list[Shortcoming] = []
    chip = words.quoted(machine.chip) if machine.chip else "The processor"
    major = machine.macos.split(".")[0]
    if major.isdecimal() and int(major) < OLDEST_MACOS:
        text = (
            f"This is macOS {machine.macos}, and models need macOS {OLDEST_MACOS} or later; "
            "update macOS to make pictures."
        )
        found.append(Shortcoming(text, can_run=False))
    if "SSE4.2" in machine.lacks:
        text = (
            f"{chip} lacks SSE4.2, without which no model can be computed; use a computer made "
            "after 2009 to make pictures."
        )
        found.append(Shortcoming(text, can_run=False))
    elif "AVX2" in machine.lacks:
        text = (
            f"{chip} lacks AVX2, so that a picture takes several times as long as on processors "
            "made after 2013; choose small models and few steps."
        )
        found.append(Shortcoming(text))
    if 0 < machine.memory_bytes < TOO_LITTLE_MEMORY:
        text = (
            f"There are {words.memory(machine.memory_bytes)} of memory, too little for any model "
            "but the starter; close other programs while a picture is made."
        )
        found.append(Shortcoming(text))
    elif 0 < machine.memory_bytes < LITTLE_MEMORY:
        text = (
            f"There are {words.memory(machine.memory_bytes)} of memory, so that Stable Diffusion "
            "fits only where it is compressed; choose models that the Hub’s list says fit."
        )
        found.append(Shortcoming(text))
    if machine.cores == 1:
        text = (
            "There is one processor core, so that a picture takes several times as long as "
            "usual; choose small models and few steps."
        )
        found.append(Shortcoming(text))
    return found
