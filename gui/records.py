"""Frozen dataclasses as JSON, and back: between processes, in files, in a picture's metadata.

The one serialiser.  What a field may hold is said once, by its type: ``int``, ``Path``, an enum,
``tuple[Lora, ...]``, ``Annotated[int, Range(1, 1000)]``; reading and `check` both go by it.  What
does not fit is refused in a sentence that names the field.  Standard library only.
"""

from __future__ import annotations

import dataclasses
import json
import math
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Protocol, Self, TypeVar, cast

from gui.errors import SfumatoError

MAX_DEPTH = 64
"""Of lists and objects in one another; no record of ours comes near it, and a text that nests
thousands of them would exhaust the interpreter's stack."""

T = TypeVar("T")


class RecordError(ValueError):
    """What was read does not fit; the text is a sentence that names the field.

    Args:
        problem: ``must be text, not 5`` or ``is missing``.
        place: names of the fields that lead to it, outermost first.
        words: the innermost field's name in sentences, where it has one.
    """

    def __init__(self, problem: str, place: tuple[str, ...] = (), words: str = "") -> None:
        super().__init__(problem, place, words)
        self.problem = problem
        self.place = place
        self.words = words

    def __str__(self) -> str:
        where = self.words or (f"“{'.'.join(self.place)}”" if self.place else "This")
        return f"{where} {self.problem}."

    def within(self, name: str, words: str = "") -> RecordError:
        """The same error, seen from the record that has the field."""
        return RecordError(self.problem, (name, *self.place), self.words or words)


class Mode(Enum):
    """What reading does with what it does not know or cannot take."""

    IGNORE = "ignore"
    """Unknown fields, a newer version's, are passed over; bad values are refused."""
    REFUSE = "refuse"
    """Unknown fields are refused too: both sides are the same version."""
    SALVAGE = "salvage"
    """A bad value becomes its field's default, so that the rest is kept."""


class Check(Protocol):
    """A condition beyond the type, as part of an `Annotated` one."""

    def accepts(self, value: Any) -> bool: ...

    def expected(self, kind: str) -> str:
        """What a value must be, given the words for its type."""
        ...


@dataclass(frozen=True)
class Range:
    """A number from `low` to `high`, both included."""

    low: float
    high: float

    def accepts(self, value: Any) -> bool:
        return self.low <= value <= self.high

    def expected(self, kind: str) -> str:
        low, high = (
            f"{bound:g}" if bound % 1 else f"{bound:.0f}" for bound in (self.low, self.high)
        )
        return f"{kind} from {low} to {high}"


@dataclass(frozen=True)
class OneOf:
    """One of a few texts."""

    values: tuple[str, ...]

    def accepts(self, value: Any) -> bool:
        return value in self.values

    def expected(self, kind: str) -> str:
        return _one_of(self.values)


class Worded(Protocol):
    """Part of an `Annotated` type that names the field in sentences."""

    @property
    def words(self) -> str:
        """``The number of steps``"""
        ...


@dataclass(frozen=True)
class NotZero:
    """A number that something is divided by."""

    def accepts(self, value: Any) -> bool:
        return value != 0

    def expected(self, kind: str) -> str:
        return f"{kind} other than 0"


class Record:
    """Base of dataclasses that travel as JSON."""

    def to_json(self) -> dict[str, Any]:
        return to_plain(self)

    @classmethod
    def from_json(cls, data: Any) -> Self:
        """Read what `to_json` wrote; unknown keys (a newer version's) are ignored.

        Raises:
            RecordError: a value is missing, has the wrong type or is out of range.
        """
        return from_plain(cls, data)


# Text


def parse(text: str | bytes, *, finite: bool = True, unique: bool = False) -> Any:
    """JSON as plain objects: a mark at the beginning is passed over, the depth is bounded.

    Args:
        text: UTF-8 where it is bytes.
        finite: refuse NaN and the infinities, which other programs' settings may hold.
        unique: refuse an object that states a name twice, of which the last would count.

    Raises:
        RecordError: for anything else.
    """
    numbers: dict[str, Any] = (
        {"parse_float": _finite, "parse_constant": _not_finite} if finite else {}
    )
    try:
        if isinstance(text, bytes):
            text = text.decode("utf-8")
        data = json.loads(
            text.removeprefix("\ufeff"), object_pairs_hook=_unique if unique else None, **numbers
        )
    except RecordError:
        raise
    except RecursionError:
        raise RecordError("nests too many lists and objects in one another") from None
    except ValueError as error:
        raise RecordError(f"is not JSON ({error})") from error
    _check_depth(data)
    return data


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise RecordError("states a name twice")
    return found


def dumps(value: object, *, indent: int | None = None, ascii_only: bool = True) -> str:
    """JSON of records and plain values.

    Args:
        value: what to write.
        indent: spaces per level, for files that people look into; None: all in one line.
        ascii_only: whether other characters are escaped, so that even halves of them survive.

    Raises:
        RecordError: a number is not finite, or something is no JSON.
    """
    separators = (",", ":") if indent is None else None
    try:
        return json.dumps(
            to_plain(value),
            indent=indent,
            separators=separators,
            ensure_ascii=ascii_only,
            allow_nan=False,
        )
    except RecursionError:
        raise RecordError("nests too many lists and objects in one another") from None


def loads(kind: type[T], text: str | bytes, mode: Mode = Mode.IGNORE) -> T:
    """Read what `dumps` wrote of a `kind`, which may be any type a field can have.

    Raises:
        RecordError: it is something else.
    """
    return from_plain(kind, parse(text), mode)


def _finite(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _not_finite(text)


def _not_finite(text: str) -> float:
    raise RecordError(f"holds {text[:20]}, which is no number")


def _check_depth(data: Any) -> None:
    level = [data]
    for _ in range(MAX_DEPTH + 1):
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (
                cast("dict[str, Any]", outer).values() if isinstance(outer, dict) else outer
            )
        ]
        if not level:
            return
    raise RecordError("nests too many lists and objects in one another")


# Writing


def to_plain(value: Any) -> Any:
    """Records, enums, paths and errors as what JSON knows.

    Raises:
        RecordError: a number is not finite, or a value is nothing that can be written.
    """
    if value is None or type(value) in (str, int, bool):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else _not_finite(str(value))
    if dataclasses.is_dataclass(value):
        return {f.name: to_plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, dict):
        items = cast("dict[Any, Any]", value).items()
        return {str(to_plain(k)): to_plain(v) for k, v in items}
    if isinstance(value, tuple | list):
        return [to_plain(v) for v in cast("list[Any]", value)]
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, SfumatoError):
        return value.to_json()
    if isinstance(value, str | int):
        return value
    raise RecordError(f"is a {type(value).__name__}, which cannot be written")


# Reading

_Reader = Callable[[Any], Any]


def from_plain(kind: type[T], data: Any, mode: Mode = Mode.IGNORE) -> T:
    """A value of a type from plain JSON objects.

    Raises:
        RecordError: a value is missing, has the wrong type or is out of range.
    """
    return _reader(kind, mode)(data)


def check(record: object) -> None:
    """Hold a record that was made in code against its fields' types and ranges.

    Raises:
        RecordError: naming the field and what it must be.
    """
    _reader(type(record), Mode.IGNORE)(record)


@cache
def _reader(hint: Any, mode: Mode) -> _Reader:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        return _checked(arguments[0], arguments[1:], mode)
    if origin in (types.UnionType, typing.Union):
        return _optional(arguments, mode)
    if origin is tuple:
        return _tuple(arguments, mode)
    if origin is list:
        each = _tuple((arguments[0], ...), mode)
        return lambda value: list(each(value))
    if origin is dict:
        return _dict(arguments[0], arguments[1], mode)
    if hint is Any:
        return _anything
    if dataclasses.is_dataclass(hint):
        return _record(cast("type[Any]", hint), mode)
    if isinstance(hint, type) and issubclass(hint, SfumatoError):
        return _error
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return _enum(hint)
    if hint in _PLAIN:
        return _PLAIN[hint]
    raise TypeError(f"a field is {hint}, which has no form in JSON")


def _record(kind: type[Any], mode: Mode) -> _Reader:
    @cache
    def readers() -> dict[str, tuple[_Reader, bool, str]]:
        # When first read, not before: a record may hold another one of its own kind.
        hints = typing.get_type_hints(kind, include_extras=True)
        return {
            f.name: (_reader(hints[f.name], mode), _has_default(f), _words(hints[f.name]))
            for f in dataclasses.fields(kind)
        }

    def read(data: Any) -> Any:
        fields = readers()
        if isinstance(data, kind):
            data = {name: getattr(data, name) for name in fields}
        if not isinstance(data, dict):
            raise _wrong("an object", data)
        given = cast("dict[str, Any]", data)
        values: dict[str, Any] = {}
        for name, (reader, has_default, words) in fields.items():
            try:
                if name in given:
                    values[name] = reader(given[name])
                elif not has_default:
                    raise RecordError("is missing")
            except RecordError as error:
                if mode is not Mode.SALVAGE or not has_default:
                    raise error.within(name, words) from None
        if mode is Mode.REFUSE and (unknown := sorted(given.keys() - fields.keys())):
            raise RecordError("is unknown", (unknown[0],))
        return kind(**values)

    return read


def _has_default(field: dataclasses.Field[Any]) -> bool:
    missing = dataclasses.MISSING
    return field.default is not missing or field.default_factory is not missing


def _words(hint: Any) -> str:
    extras: tuple[Any, ...] = getattr(hint, "__metadata__", ())
    return next((cast("Worded", each).words for each in extras if hasattr(each, "words")), "")


def _checked(hint: Any, extras: tuple[Any, ...], mode: Mode) -> _Reader:
    reader = _reader(hint, mode)
    checks: list[Check] = [each for each in extras if hasattr(each, "accepts")]
    if not checks:
        return reader
    kind = next((a for a in typing.get_args(hint) if a is not type(None)), hint)

    def read(value: Any) -> Any:
        try:
            found = reader(value)
        except RecordError as error:
            if error.place:
                raise
            raise _wrong(checks[0].expected(_NAMES.get(kind, "a value")), value) from None
        if found is not None:
            for one in checks:
                if not one.accepts(found):
                    raise _wrong(one.expected(_NAMES.get(kind, "a value")), value)
        return found

    return read


def _optional(arguments: tuple[Any, ...], mode: Mode) -> _Reader:
    inner = [a for a in arguments if a is not type(None)]
    if len(inner) != 1 or len(arguments) != 2:
        raise TypeError(f"a field is {arguments}: only one type and None can be told apart")
    reader = _reader(inner[0], mode)
    return lambda value: None if value is None else reader(value)


def _tuple(arguments: tuple[Any, ...], mode: Mode) -> _Reader:
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        each = _reader(arguments[0], mode)

        def read_any(value: Any) -> Any:
            return tuple(_item(each, k, v) for k, v in enumerate(_sequence(value)))

        return read_any
    readers = [_reader(a, mode) for a in arguments]

    def read(value: Any) -> Any:
        items = _sequence(value)
        if len(items) != len(readers):
            raise _wrong(f"a list of {len(readers)}", value)
        return tuple(
            _item(reader, k, v) for k, (reader, v) in enumerate(zip(readers, items, strict=True))
        )

    return read


def _sequence(value: Any) -> list[Any]:
    if not isinstance(value, list | tuple):
        raise _wrong("a list", value)
    return cast("list[Any]", value)


def _item(reader: _Reader, name: object, value: Any) -> Any:
    try:
        return reader(value)
    except RecordError as error:
        raise error.within(str(name)) from None


def _dict(key: Any, inner: Any, mode: Mode) -> _Reader:
    keys, values = _reader(key, mode), _reader(inner, mode)

    def read(value: Any) -> Any:
        if not isinstance(value, dict):
            raise _wrong("an object", value)
        items = cast("dict[Any, Any]", value).items()
        return {_item(keys, k, k): _item(values, k, v) for k, v in items}

    return read


def _enum(kind: type[StrEnum]) -> _Reader:
    def read(value: Any) -> Any:
        try:
            return kind(value)
        except (ValueError, TypeError):
            raise _wrong(_one_of([member.value for member in kind]), value) from None

    return read


def _anything(value: Any) -> Any:
    return value


def _error(value: Any) -> Any:
    if isinstance(value, SfumatoError):
        return value
    if not isinstance(value, dict):
        raise _wrong("an object", value)
    return SfumatoError.from_json(cast("dict[str, Any]", value))


def _text(value: Any) -> Any:
    if not isinstance(value, str):
        raise _wrong("text", value)
    return value


def _flag(value: Any) -> Any:
    if not isinstance(value, bool):
        raise _wrong("true or false", value)
    return value


def _whole(value: Any) -> Any:
    if not isinstance(value, int) or isinstance(value, bool):
        raise _wrong(_NAMES[int], value)
    return value


def _real(value: Any) -> Any:
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            if math.isfinite(number := float(value)):
                return number
        except OverflowError:
            pass
    raise _wrong(_NAMES[float], value)


def _raw(value: Any) -> Any:
    if not isinstance(value, bytes):  # they travel beside the JSON
        raise _wrong("bytes", value)
    return value


def _path(value: Any) -> Any:
    if not isinstance(value, str | Path) or "\0" in str(value):
        raise _wrong("a path", value)
    return Path(value)


_PLAIN: Mapping[Any, _Reader] = {
    str: _text,
    bool: _flag,
    int: _whole,
    float: _real,
    bytes: _raw,
    Path: _path,
}
_NAMES: Mapping[Any, str] = {int: "a whole number", float: "a number", str: "text"}


def _wrong(expected: str, value: object) -> RecordError:
    if isinstance(value, list | tuple):
        shown = "a list"
    elif isinstance(value, dict):
        shown = "an object"
    elif value is None:
        shown = "nothing"
    else:
        shown = repr(str(value) if isinstance(value, str) else value)[:80]
    return RecordError(f"must be {expected}, not {shown}")


def _one_of(values: typing.Sequence[str]) -> str:
    *first, last = values
    return f"{', '.join(first)} or {last}" if first else last
