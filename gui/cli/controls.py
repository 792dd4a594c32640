"""The options of `generate` that name ControlNets: each ``--control`` begins one, and the others
say more of the last."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from typing import Any

from gui.control_use import (
    MAX_CONTROLS,
    PREPROCESSOR_SETTINGS,
    USUAL,
    Control,
    ControlBalance,
    Preprocessor,
    PreprocessorSettings,
)
from gui.errors import ErrorKind, SfumatoError
from gui.files import checked


def add_control_options(parser: argparse.ArgumentParser) -> None:
    """Give a parser ``--control`` and what belongs to it; `controls_of` reads them."""
    add = parser.add_argument
    add("--control", action=_Begin, dest="controls", default=[], metavar="NAME=FILE",
        help="lead by a picture: a ControlNet's name, or its file, and the picture; may be "
             "repeated")  # fmt: skip
    add("--control-weight", action=_Part, dest="weight", type=float, metavar="X",
        help="how strongly the last --control leads, 0 to 2; default: 1")  # fmt: skip
    add("--control-range", action=_Part, dest="range", type=_range, metavar="FROM-TO",
        help="the part of the steps in which it leads, as 0-0.5; default: 0-1")  # fmt: skip
    kinds = ", ".join(kind for kind in Preprocessor if kind is not Preprocessor.NETWORK)
    add("--control-preprocessor", action=_Part, dest="preprocessor", metavar="KIND",
        help=f"what makes its control picture: {kinds}, or a depth or line network by its name or "
             f"file; some can be set, as in canny:low=50,high=150 ({_settable()})")  # fmt: skip
    add("--control-balance", action=_Part, dest="balance", type=ControlBalance,
        choices=[*ControlBalance], metavar="KIND",
        help="what is to win: balanced, prompt or control; default: balanced")  # fmt: skip


def controls_of(options: argparse.Namespace) -> tuple[Control, ...]:
    """The controls that were given, in order.

    Raises:
        SfumatoError: for a path that cannot be one.
    """
    found = []
    for given in options.controls:
        name, _, file = given["control"].partition("=")
        start, end = given.get("range", (0.0, 1.0))
        kind, network, settings = kind_or_network(given.get("preprocessor", Preprocessor.NONE))
        found.append(
            Control(
                name,
                str(checked(file)),
                kind,
                given.get("weight", 1.0),
                start,
                end,
                given.get("balance", ControlBalance.BALANCED),
                preprocessor_network=network,
                settings=settings,
            )
        )
    return tuple(found)


def kind_or_network(text: str) -> tuple[Preprocessor, str, PreprocessorSettings]:
    """A preprocessor by its name, with what is set of it: ``canny:low=50,high=150``; any other text
    names a network.

    Raises:
        SfumatoError: BAD_REQUEST for what cannot be set.
    """
    name, colon, given = text.partition(":")
    try:
        kind = Preprocessor(name.lower())
    except ValueError:
        kind = Preprocessor.NETWORK
    if kind is Preprocessor.NETWORK:
        return kind, text, USUAL
    return kind, "", _settings(kind, given) if colon else USUAL


def _settings(kind: Preprocessor, text: str) -> PreprocessorSettings:
    known = {each.key: each for each in PREPROCESSOR_SETTINGS.get(kind, ())}
    if not known:
        raise SfumatoError(
            ErrorKind.BAD_REQUEST, f"Nothing can be set of “{kind}”; write it without a colon."
        )
    values: dict[str, float] = {}
    for part in text.split(","):
        key, _, number = part.strip().partition("=")
        each = known.get(key)
        try:
            value = float(number) if each is not None and each.decimals else int(number)
        except ValueError:
            value = math.nan
        if each is None or not each.range.accepts(value):
            told = ", ".join(
                each.range.expected(f"{key}: {'a number' if each.decimals else 'a whole number'}")
                for key, each in known.items()
            )
            raise SfumatoError(
                ErrorKind.BAD_REQUEST,
                f"“{part.strip()}” says nothing that can be set of “{kind}”; give {told}.",
            )
        values[each.field] = value
    return PreprocessorSettings(**values)  # type: ignore[arg-type]


def _settable() -> str:
    return "; ".join(
        f"{kind}: {', '.join(each.key for each in settings)}"
        for kind, settings in PREPROCESSOR_SETTINGS.items()
    )


class _Begin(argparse.Action):
    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        name, equals, file = str(values).partition("=")
        if not (name and equals and file):
            parser.error(f"{option_string} needs NAME=FILE, not {str(values)!r}")
        if len(namespace.controls) == MAX_CONTROLS:
            parser.error(f"at most {MAX_CONTROLS} pictures can lead one")
        namespace.controls = [*namespace.controls, {"control": str(values)}]


class _Part(argparse.Action):
    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        if not namespace.controls:
            parser.error(f"{option_string} belongs after the --control that it is about")
        namespace.controls[-1][self.dest] = values


def _range(text: str) -> tuple[float, float]:
    first, _, last = text.partition("-")
    try:
        start, end = float(first), float(last)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be like 0-0.5, not {text!r}") from None
    if not 0 <= start < end <= 1:
        raise argparse.ArgumentTypeError(f"must lie between 0 and 1, not {text!r}")
    return start, end
