"""The sides of a grid, from what a person types to one request for each cell.

The one home of their lists: ``10, 20, 30``; ``5-9`` and ``5-9:2``; and as web UIs write them,
``5-9 (+2)`` and ``1-10 [4]``.  Standard library only.
"""

from __future__ import annotations

import csv
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from functools import cache
from itertools import product
from typing import Any

from gui import words
from gui.alternatives import alternatives, first_group, plain, with_first
from gui.errors import ErrorKind, SfumatoError
from gui.grid import Grid, GridAxis, GridCell
from gui.request import (
    Described,
    PictureRequest,
    described_fields,
    new_request,
    with_value,
)
from gui.scheduler_names import SCHEDULER_NAMES, scheduler_name
from gui.start_image import StartImage

MAX_VALUES = 100
"""On one side."""
MAX_CELLS = 256
MODEL = "model"
TEXTS = ("prompt", "negative_prompt")
_NO_AXIS = (
    "count",
    "styles",
    "loras",
    "start_image.path",
    "start_image.mask",
    "start_image.outpaint",
    "depth_map",
    "refiner",
)
_NUMBER = r"\d+(?:\.\d+)?"
_RANGE = re.compile(
    rf"(?P<first>{_NUMBER})\s*-\s*(?P<last>{_NUMBER})\s*"
    rf"(?::\s*(?P<step>{_NUMBER})|\(\s*[+-]?\s*(?P<plus>{_NUMBER})\s*\)|\[\s*(?P<count>\d+)\s*\])?"
)

ModelFinder = Callable[[str], tuple[str, str]]
"""From what a person calls a model to its folder as requests have it, and its name."""


@dataclass(frozen=True)
class AxisKind:
    """A parameter that may change along a side."""

    field: str
    label: str
    help: str
    """What its list looks like."""
    choices: tuple[str, ...] = ()
    """All it may be, where that is a few; of models, whoever asks knows them."""


@dataclass(frozen=True)
class Axis:
    """A side: a parameter's values, and what each is called."""

    field: str
    label: str
    values: tuple[Any, ...]
    names: tuple[str, ...]


@cache
def axis_kinds() -> dict[str, AxisKind]:
    """What may change along a side, by field; in the order in which it is offered."""
    fields = {n: f for n, f in described_fields().items() if n not in _NO_AXIS and _usable(f)}
    first = ["steps", "guidance_scale", "scheduler", "seed"]
    order = [*first, MODEL, *(name for name in fields if name not in first)]
    kinds = [_kind(name, fields.get(name)) for name in order if name == MODEL or name in fields]
    return {kind.field: kind for kind in kinds}


def _usable(field: Described) -> bool:
    if field.kind is str:
        return field.name in (*TEXTS, "scheduler")
    return field.kind in (int, float, bool) or issubclass(field.kind, StrEnum)


def _kind(name: str, field: Described | None) -> AxisKind:
    if field is None:
        return AxisKind(MODEL, "Model", "Names of installed models, separated by commas")
    told = field.parameter
    if name in TEXTS:
        return AxisKind(
            name,
            told.label,
            "Alternatives separated by |, in the place of {…|…} in the prompt or of all of it",
        )
    if name == "scheduler":
        return AxisKind(
            name, told.label, "Names, separated by commas", tuple(s.name for s in SCHEDULER_NAMES)
        )
    if told.options:
        labels = tuple(option.label for option in told.options)
        return AxisKind(name, told.label, "Names, separated by commas", labels)
    if field.kind is bool:
        return AxisKind(name, told.label, "on, off", ("on", "off"))
    example = "20, 25, 30 or 20-30:5" if field.kind is int else "5, 7.5 or 5-9:0.5"
    return AxisKind(name, told.label, example)


def axis_named(text: str) -> str:
    """The field that a person means by a parameter's name, flag or label.

    Raises:
        SfumatoError: BAD_REQUEST where none is called that.
    """
    wanted = text.strip().casefold().lstrip("-").replace("-", "_").replace(" ", "_")
    for name, kind in axis_kinds().items():
        field = described_fields().get(name)
        flags = field.parameter.flags if field is not None else ("--model",)
        called = {name, name.rpartition(".")[2], kind.label, *flags}
        if wanted in {c.casefold().lstrip("-").replace("-", "_").replace(" ", "_") for c in called}:
            return name
    known = words.listed((kind.label.lower() for kind in axis_kinds().values()), "or")
    raise SfumatoError(
        ErrorKind.BAD_REQUEST,
        f"{words.quoted(text)} is no side for a grid; choose one of {known}.",
    )


def parse_axis(
    field: str, text: str, base: PictureRequest, model: ModelFinder | None = None, group: int = 0
) -> Axis:
    """A side from a person's list.

    Args:
        field: of `axis_kinds`.
        text: the list; of texts empty for the alternatives that are in the prompt already.
        base: the request that the cells are made from.
        model: finds models by what they are called.
        group: which group of alternatives of the prompt this side takes, from 0.

    Raises:
        SfumatoError: BAD_REQUEST, saying what of the list is wrong.
    """
    kind = axis_kinds()[field]
    if field in TEXTS:
        values = _texts(text, str(getattr(base, field)), group)
        names = [value or "(nothing)" for value in values]
    elif field == MODEL:
        assert model is not None
        found = [model(item) for item in _items(text)]
        values, names = [folder for folder, _ in found], [name for _, name in found]
    else:
        described = described_fields()[field]
        values = _values(described, text)
        names = [_name(described, value) for value in values]
    if not values:
        example = f" ({kind.help[0].lower()}{kind.help[1:]})" if field == MODEL else ""
        raise SfumatoError(
            ErrorKind.BAD_REQUEST,
            f"“{kind.label}” has no values yet; list some{example or f', like {kind.help}'}.",
        )
    unique = dict(zip(values, names, strict=True))
    if len(unique) > MAX_VALUES:
        raise SfumatoError(
            ErrorKind.BAD_REQUEST,
            f"That is {len(unique)} values; one side of a grid may have up to {MAX_VALUES}; "
            "leave some out.",
        )
    return Axis(field, kind.label, tuple(unique), tuple(unique.values()))


def make_grid(
    base: PictureRequest, columns: Axis, rows: Axis | None = None
) -> tuple[Grid, list[PictureRequest]]:
    """A grid, and the request for each of its cells, row by row.

    Raises:
        SfumatoError: BAD_REQUEST where it is too large, both sides are the same parameter, or a
            cell's request makes no sense.
    """
    count = len(columns.values) * (len(rows.values) if rows is not None else 1)
    if count > MAX_CELLS:
        raise SfumatoError(
            ErrorKind.BAD_REQUEST,
            f"That is {count} pictures; a grid may have up to {MAX_CELLS}; leave some values out.",
        )
    if rows is not None and rows.field == columns.field and rows.field not in TEXTS:
        raise SfumatoError(
            ErrorKind.BAD_REQUEST,
            f"Both sides are “{rows.label}”; choose another parameter for one of them.",
        )
    told = [
        GridAxis(axis.field, axis.label, axis.names) for axis in (columns, rows) if axis is not None
    ]
    grid = Grid(uuid.uuid4().hex, *told)
    made: list[PictureRequest] = []
    for y in range(grid.height):
        for x in range(grid.width):
            request, label = base, list[str]()
            for axis, at in ((columns, x), (rows, y)):
                if axis is not None:
                    request = _applied(request, axis.field, axis.values[at])
                    label.append(cell_label(axis.field, axis.label, axis.names[at]))
            cell = GridCell(grid.id, x, y, ", ".join(label))
            request = replace(request, count=1, output_file="", grid=cell)
            request.validate()
            made.append(request)
    if any(first_group(getattr(request, name)) is not None for request in made for name in TEXTS):
        raise SfumatoError(
            ErrorKind.BAD_REQUEST,
            "There are alternatives in braces that no side of the grid takes; make “Prompt” one of "
            "its sides, or take the braces away.",
        )
    return grid, [
        replace(r, prompt=plain(r.prompt), negative_prompt=plain(r.negative_prompt)) for r in made
    ]


def cell_label(field: str, label: str, name: str) -> str:
    """A value with what it is a value of, where it does not say so itself."""
    return name if field in ("scheduler", MODEL, *TEXTS) else f"{label} {name}"


def _applied(request: PictureRequest, field: str, value: Any) -> PictureRequest:
    if field in TEXTS:
        return replace(request, **{field: with_first(getattr(request, field), value)})
    if field == MODEL:
        return replace(request, model=value)
    start = request.start_image
    if field.startswith("start_image.") and not (start and start.path):
        name = described_fields()[field].parameter.words
        raise SfumatoError(
            ErrorKind.BAD_REQUEST, f"{name} needs a starting picture; choose one first."
        )
    return with_value(request, field, value)


# Lists


def _items(text: str) -> list[str]:
    """What commas, semicolons and line ends part; what is in quotation marks stays together."""
    lines = text.replace(";", ",").splitlines()
    return [
        item.strip()
        for line in csv.reader(lines, skipinitialspace=True)
        for item in line
        if item.strip()
    ]


def _texts(text: str, prompt: str, group: int) -> list[str]:
    if text.strip():
        return [item.strip() for item in text.split("|")]
    for _ in range(group):
        prompt = with_first(prompt, "") if first_group(prompt) is not None else ""
    found = first_group(prompt)
    return found[2] if found is not None else []


def each_alternative(request: PictureRequest) -> list[PictureRequest]:
    """One request for each combination of the alternatives in its prompts, ``{red|blue}``.

    Raises:
        SfumatoError: BAD_REQUEST where there are too many, or braces do not fit.
    """
    texts = product(alternatives(request.prompt), alternatives(request.negative_prompt))
    return [
        replace(request, prompt=plain(prompt), negative_prompt=plain(negative))
        for prompt, negative in texts
    ]


def read_value(field: Described, text: str) -> Any:
    """One value of a parameter as a person or a program writes it.

    Raises:
        SfumatoError: BAD_REQUEST where it is none.
    """
    if field.parameter.options:
        return _option(field, text)
    if field.name == "scheduler":
        return scheduler_name(text).name
    if field.kind is bool:
        return _switch(text)
    numbers = _numbers(text)
    if len(numbers) != 1:
        raise SfumatoError(
            ErrorKind.BAD_REQUEST,
            f"{words.quoted(text)} is more than one number; give a single one.",
        )
    return _checked(field, numbers[0])


def _values(field: Described, text: str) -> list[Any]:
    found: list[Any] = []
    for item in _items(text):
        if field.kind in (int, float) and not field.parameter.options:
            found += [_checked(field, number) for number in _numbers(item)]
        else:
            found.append(read_value(field, item))
    return found


def _numbers(item: str) -> list[Decimal]:
    """One number, or those of a range.

    Raises:
        SfumatoError: BAD_REQUEST.
    """
    parts = _RANGE.fullmatch(item)
    if parts is None:
        try:
            number = Decimal(item)
        except InvalidOperation:
            number = Decimal("NaN")
        if not number.is_finite():
            raise SfumatoError(
                ErrorKind.BAD_REQUEST,
                f"{words.quoted(item)} is no number; list some, like 10, 20, 30, or a range with "
                "its step, like 10-30:5.",
            )
        return [number]
    first, last = Decimal(parts["first"]), Decimal(parts["last"])
    if parts["count"]:
        count = int(parts["count"])
        step = (last - first) / (count - 1) if count > 1 else Decimal(0)
    else:
        step = Decimal(parts["step"] or parts["plus"] or 1)
        if not step:
            raise SfumatoError(
                ErrorKind.BAD_REQUEST,
                f"The step in {words.quoted(item)} is 0; give one that leads from the first number "
                "to the last.",
            )
        count = int(abs(last - first) / step) + 1
        step = step if last >= first else -step
    if not 1 <= count <= MAX_VALUES:
        raise SfumatoError(
            ErrorKind.BAD_REQUEST,
            f"{words.quoted(item)} is {count} values; one side of a grid may have up to "
            f"{MAX_VALUES}; leave some out.",
        )
    return [first + k * step for k in range(count)]


_BLANK = new_request(start_image=StartImage(""))


def _checked(field: Described, number: Decimal) -> Any:
    """As the field's own kind, within its range."""
    whole = field.kind is int and number == number.to_integral_value()
    value = int(number) if whole else round(float(number), 6)
    with_value(_BLANK, field.name, value).validate()
    return value


def _option(field: Described, item: str) -> Any:
    for option in field.parameter.options:
        called = (option.value.value, option.label, *option.aliases)
        if item.casefold() in (name.casefold() for name in called):
            return option.value
    known = words.listed((option.label for option in field.parameter.options), "or")
    raise SfumatoError(
        ErrorKind.BAD_REQUEST,
        f"{field.parameter.words} must be {known}, not {words.quoted(item)}.",
    )


def _switch(item: str) -> bool:
    known = {"on": True, "yes": True, "true": True, "off": False, "no": False, "false": False}
    if item.casefold() not in known:
        raise SfumatoError(
            ErrorKind.BAD_REQUEST,
            f"A switch is on or off, not {words.quoted(item)}; write one of the two.",
        )
    return known[item.casefold()]


def _name(field: Described, value: Any) -> str:
    for option in field.parameter.options:
        if option.value == value:
            return option.label
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:g}" if isinstance(value, float) else str(value)
