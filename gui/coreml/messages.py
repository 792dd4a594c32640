"""What the window and the process that reads models say to each other, in the dialect of
`gui.process.messages`.

Nothing heavy: no protobuf here.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gui.coreml.model import ComponentInfo, ModelInfo
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


@dataclass(frozen=True)
class NetworkFacts(Record):
    """A network that is no part of a model, in words."""

    name: str
    path: str
    summary: str = ""
    """What it suits, as its file says; may be empty."""
    size_bytes: int = 0
    problem: str = ""
    """Why it cannot be used, in a sentence; empty: it can."""


@dataclass(frozen=True)
class Networks(Record):
    """The networks beside the models on this disk."""

    controls: tuple[ComponentInfo, ...] = ()
    """ControlNets and T2I-Adapters of the person's library."""
    upscalers: tuple[NetworkFacts, ...] = ()
    """Those that ship with the app first."""
    maps: tuple[NetworkFacts, ...] = ()
    """Depth and line networks."""
    strange: tuple[NetworkFacts, ...] = ()
    """What lies in the ControlNets folder and is none."""
    vision: bool = False
    """Whether macOS finds people and subjects in pictures here."""


@dataclass(frozen=True)
class ListNetworks(Question[Networks]):
    """Which there are."""


READER = Interface("coreml", "The reader of models", (Read, ListNetworks), answers_while_busy=True)
