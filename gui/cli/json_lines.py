"""What scripts read: with ``--json``, one object a line on stdout, and nothing else there.

Each says in ``event`` what it is: ``picture`` and ``sheet`` (a grid's) with path, seed, seconds and
the whole record; ``error`` with the error's kind and sentence; ``stopped``; and with
``--progress json`` also ``loading``, ``step``, ``pieces`` and ``note``.  Listings have lines
without it.
"""

from __future__ import annotations

import argparse
import json
from enum import StrEnum
from typing import Any

from gui.errors import SfumatoError
from gui.request import PictureRecord


class ProgressKind(StrEnum):
    """Where a command says how far it is."""

    TEXT = "text"
    JSON = "json"
    NONE = "none"


def add_options(parser: Any, what: str) -> None:
    """Give a parser ``--json``, ``--progress`` and ``--quiet``.

    Args:
        what: of which there is a line of JSON each.
    """
    add = parser.add_argument
    add("--json", action="store_true", help=f"print a line of JSON per {what}, errors included")
    add("--progress", type=ProgressKind, choices=[*ProgressKind], default=ProgressKind.TEXT,
        metavar="KIND", help="text for people, on stderr; json: lines of JSON on stdout, --json "
        "included; or none; default: text")  # fmt: skip
    add("--quiet", action="store_true", help="no progress")


def wanted(options: argparse.Namespace) -> bool:
    """Whether stdout is for lines of JSON."""
    kind = getattr(options, "progress", ProgressKind.TEXT)
    return bool(getattr(options, "json", False)) or kind is ProgressKind.JSON


def asked_for(arguments: list[str]) -> bool:
    """The same of a command line that cannot be read."""
    before = arguments[: arguments.index("--")] if "--" in arguments else arguments
    pairs = zip(before, [*before[1:], ""], strict=True)
    return "--json" in before or any(
        word == "--progress=json" or (word, value) == ("--progress", "json")
        for word, value in pairs
    )


def tell(event: str, **more: Any) -> None:
    """One line."""
    print(json.dumps({"event": event, **more}), flush=True)


def tell_picture(path: str, record: PictureRecord, event: str = "picture") -> None:
    """A picture that is saved."""
    tell(
        event,
        path=path,
        seed=record.request.seed,
        seconds=record.seconds,
        width=record.width,
        height=record.height,
        record=record.to_json(),
    )


def tell_error(error: SfumatoError, **more: Any) -> None:
    """What went wrong, and of what."""
    tell("error", **error.to_json(), **more)
