"""What the window, or `sfumato serve`, and the process of the service say to each other.

Standard library only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from gui.process.messages import Event, Interface, Question
from gui.records import Range, Record
from gui.request import ComputeUnit, Precision

LOOPBACK = "127.0.0.1"
DEFAULT_PORT = 7860
"""A1111's, where programs look first."""


@dataclass(frozen=True)
class ServiceOptions(Record):
    """Where the service is to be heard, whom it answers, and what its pictures are made with."""

    token: str
    host: str = LOOPBACK
    """An address of this computer; any but loopback is served by TLS alone."""
    port: Annotated[int, Range(0, 65535)] = DEFAULT_PORT
    """0: any that is free."""
    origins: tuple[str, ...] = ()
    """Web pages that may ask, as ``https://example.org``."""
    names: tuple[str, ...] = ()
    """Further names by which this computer may be called."""
    model: str = ""
    """Folder of the model that is used where none is asked for; empty: the starter model."""
    model_folders: tuple[str, ...] = ()
    """Models beside those that are installed."""
    pictures_folder: str = ""
    """Empty: a folder per day in the person's picture folder."""
    safety_checker: bool = True
    compute_unit: ComputeUnit = ComputeUnit.ALL
    precision: Precision = Precision.FP32


@dataclass(frozen=True)
class Listening(Record):
    """Where the service is heard."""

    url: str
    """``http://127.0.0.1:7860``."""
    fingerprint: str = ""
    """SHA-256 of the certificate; empty: there is none."""


@dataclass(frozen=True)
class Listen(Question[Listening]):
    """Be heard from now on, with these options; in place of those before."""

    options: ServiceOptions


@dataclass(frozen=True)
class QueueTouched(Event):
    """Something was put into the queue, or taken off."""


@dataclass(frozen=True)
class Asked(Event):
    """So many requests of other programs wait for their pictures now."""

    waiting: int


SERVE = Interface(
    "serve",
    "The service for other programs",
    (Listen,),
    (QueueTouched, Asked),
    answers_while_busy=True,
)
