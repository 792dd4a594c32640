"""What the window and the process that reads models say to each other, in the dialect of
`gui.process.messages`.

Nothing heavy: no protobuf here.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gui.coreml.model import ModelInfo
from gui.coreml.sidecar import Sidecar
from gui.process.messages import Interface, Question
from gui.records import Record


@dataclass(frozen=True)
class Reading(Record):
    """What was found in a model folder."""

    info: ModelInfo | None = None
    """None where nothing at all could be read."""
    sidecar: Sidecar | None = None
    """Complete: what its file leaves out is inferred."""
    problem: str = ""
    """Why the model cannot be used, in one sentence; empty if it can."""
    identity: str = ""
    """`gui.coreml.inspect.model_hash`, which its pictures carry; empty where it cannot be told."""


@dataclass(frozen=True)
class Read(Question[Reading]):
    """Read a model folder."""

    folder: Path


READER = Interface("coreml", "The reader of models", (Read,), answers_while_busy=True)
