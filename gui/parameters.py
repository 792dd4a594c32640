"""How a parameter of a picture is told to people; part of the type of its field."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True)
class Option:
    """One value of a parameter that has a few."""

    value: StrEnum
    label: str
    help: str
    aliases: tuple[str, ...] = ()
    """Other spellings on the command line, compared without regard to case."""


@dataclass(frozen=True)
class Parameter:
    """How a field is told to people, wherever it is shown or asked for; part of its type."""

    label: str
    """Beside its control and in a picture's information: ``Steps``."""
    words: str
    """In sentences: ``The number of steps``."""
    help: str
    """A sentence for tool tip and ``--help``."""
    flags: tuple[str, ...] = ()
    """On the command line, the usual one first; of a switch, what turns it off where it is on by
    default.  Empty: not given there."""
    flag_help: str = ""
    """In place of `help` for ``--help``, where that suits the window alone."""
    metavar: str = "N"
    key: str = ""
    """In the text for other programs that is kept in pictures; empty: not there, or in its own
    way."""
    placeholder: str = ""
    """What an empty control says."""
    model_decides: bool = False
    """None means that the model's own default is used."""
    useful: tuple[float, float] = (0, 1)
    """The range of a slider, where what is allowed reaches further than what is useful."""
    decimals: int = 0
    step: float = 1.0
    """By which a key moves the number."""
    options: tuple[Option, ...] = ()
