"""The options of `generate` that are parameters of a picture: made from their descriptions in
`gui.request`, so that a new one needs no line here."""

from __future__ import annotations

import argparse
import dataclasses
import secrets
from collections.abc import Callable
from typing import Any

from gui import records
from gui.alternatives import literal
from gui.cli.finding import model_folder
from gui.errors import ErrorKind, SfumatoError
from gui.files import checked
from gui.parameters import Option
from gui.records import RecordError
from gui.request import (
    MAX_SEED,
    OWN_REFINER,
    Described,
    PictureRequest,
    described_fields,
    new_request,
    with_value,
)
from gui.scheduler_names import scheduler_name
from gui.start_image import MASK_ALPHA, Outpaint


def add_parameters(parser: argparse.ArgumentParser) -> None:
    """Give a parser an option for every parameter; what is not given reads as None."""
    for field in described_fields().values():
        told = field.parameter
        if not told.flags:
            continue
        settings: dict[str, Any] = {"dest": field.name, "help": _help(field)}
        if field.kind is bool:
            settings |= {"action": "store_const", "const": not field.default}
        elif told.options:
            settings |= {"type": _option(told.options), "metavar": told.metavar}
        else:
            settings |= {"type": _READERS.get(field.kind, field.kind), "metavar": told.metavar}
        parser.add_argument(*told.flags, **settings)


def branch_of(options: argparse.Namespace) -> PictureRequest | None:
    """The request that goes on from a step of the picture of ``--branch-from``, as that picture
    did; None where nothing branches.

    Raises:
        SfumatoError: BAD_REQUEST, BAD_IMAGE.
    """
    if not options.branch_from:
        if options.at_step is not None:
            raise SfumatoError(
                ErrorKind.BAD_REQUEST,
                "--at-step needs --branch-from; give a picture to go on from.",
            )
        return None
    if options.at_step is None:
        raise SfumatoError(
            ErrorKind.BAD_REQUEST,
            "--branch-from needs --at-step; say after which step the picture goes another way.",
        )
    from gui.library.picture_record import read_record

    path = checked(options.branch_from)
    record = read_record(path)
    if record is None:
        raise SfumatoError(
            ErrorKind.BAD_REQUEST,
            f"“{path.name}” does not say how Sfumato made it; choose one that Sfumato made, and "
            "that was not exported without settings.",
        )
    if getattr(options, "start_image.path", None):
        raise SfumatoError(
            ErrorKind.BAD_REQUEST,
            "A branch begins as its picture did; leave out --image or --branch-from.",
        )
    request = record.request.branched(options.at_step)
    prompts = literal(request.prompt), literal(request.negative_prompt)  # braces that are meant
    return dataclasses.replace(request, prompt=prompts[0], negative_prompt=prompts[1])


def request_of(
    options: argparse.Namespace, earlier: PictureRequest | None = None
) -> PictureRequest:
    """The request that the given options mean.

    Args:
        earlier: what stays where no option says otherwise; None: the starter model, and a seed that
            is drawn.

    Raises:
        SfumatoError: BAD_REQUEST, naming the parameter and its range.
    """
    request = earlier or new_request(previews=False)
    for name in described_fields():
        value = getattr(options, name, None)
        if value is not None and (value != "" or name not in _MEANINGS):
            request = with_value(request, name, _MEANINGS.get(name, _as_given)(value))
    if getattr(options, "seed", None) is None and earlier is None:
        request = with_value(request, "seed", secrets.randbelow(MAX_SEED + 1))
    if request.variation_strength == 0:
        if request.variation_seed is not None:
            raise SfumatoError(
                ErrorKind.BAD_REQUEST,
                "--variation-seed needs --variation-strength; give how far to go towards it, for "
                "example 0.2.",
            )
    elif request.variation_seed is None:
        request = with_value(request, "variation_seed", secrets.randbelow(MAX_SEED + 1))
    start = request.start_image
    if start is not None and not start.path:
        flags = [f.parameter.flags[0] for n, f in described_fields().items() if _lacks(options, n)]
        raise SfumatoError(
            ErrorKind.BAD_REQUEST, f"{flags[0]} needs --image; give a picture to start from."
        )
    request.validate()
    return request


def _lacks(options: argparse.Namespace, name: str) -> bool:
    """Whether an option was given that is about a starting picture."""
    return name.startswith("start_image.") and getattr(options, name, None) is not None


def _as_given(value: Any) -> Any:
    return value


_MEANINGS: dict[str, Callable[[Any], Any]] = {
    "scheduler": lambda text: scheduler_name(text).name,
    "start_image.path": lambda text: str(checked(text)),
    "start_image.mask": lambda text: text if text == MASK_ALPHA else str(checked(text)),
    "depth_map": lambda text: str(checked(text)),
    "refiner": lambda text: text if text == OWN_REFINER else str(model_folder(text, "")),
}
"""Of parameters whose text on the command line is not yet their value."""


def _sides(text: str) -> Outpaint:
    """``left=128,right=128``, or one number for every side."""
    if text.strip().removeprefix("-").isdecimal():
        text = ",".join(f"{each.name}={text}" for each in dataclasses.fields(Outpaint))
    try:
        pairs = [part.split("=") for part in text.replace(" ", "").split(",")]
        found = Outpaint(**{side: int(number) for side, number in pairs})
        records.check(found)
    except RecordError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    except (TypeError, ValueError):
        raise argparse.ArgumentTypeError(f"must be like left=128,right=128, not {text!r}") from None
    return found


_READERS: dict[type, Callable[[str], Any]] = {Outpaint: _sides}
"""Of kinds that do not read their text themselves."""


def _option(options: tuple[Option, ...]) -> Callable[[str], Any]:
    known = {text.casefold(): o.value for o in options for text in (o.value, *o.aliases)}

    def read(text: str) -> Any:
        if text.casefold() not in known:
            listed = ", ".join(option.value for option in options)
            raise argparse.ArgumentTypeError(f"must be one of {listed}, not {text!r}")
        return known[text.casefold()]

    return read


def _help(field: Described) -> str:
    told = field.parameter
    words = (told.flag_help or told.help).rstrip(".")
    text = words if words[:2].isupper() else words[0].lower() + words[1:]
    if told.options:
        text += ": " + ", ".join(option.value for option in told.options)
    if told.model_decides:
        text += "; default: the model's"
    elif field.kind is not bool and "default" not in text and field.default:
        text += f"; default: {field.default}"
    return text.replace("%", "%%")
