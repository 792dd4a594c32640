"""Plain frozen dataclasses that travel as JSON between processes and lie as JSON on disk.

Standard library only.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any, Self

from gui.errors import SfumatoError


class Record:
    """Base of such dataclasses: to JSON and back, strictly typed."""

    def to_json(self) -> dict[str, Any]:
        return {f.name: _plain(getattr(self, f.name)) for f in dataclasses.fields(self)}  # type: ignore[arg-type]

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Read what `to_json` wrote; unknown keys (a newer version's) are ignored.

        Raises:
            ValueError: a value is missing or has the wrong type.
        """
        if not isinstance(data, dict):
            raise ValueError(f"{cls.__name__}: not an object")
        hints = _hints(cls)
        try:
            return cls(**{k: _typed(hints[k], v) for k, v in data.items() if k in hints})
        except (TypeError, KeyError) as error:
            raise ValueError(f"{cls.__name__}: {error}") from error


@cache
def _hints(cls: type) -> dict[str, Any]:
    return typing.get_type_hints(cls)


def _plain(value: Any) -> Any:
    if isinstance(value, (Record, SfumatoError)):
        return value.to_json()
    if isinstance(value, (tuple, list)):
        return [_plain(v) for v in value]
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, Path):
        return str(value)
    return value


def _typed(hint: Any, value: Any) -> Any:
    origin = typing.get_origin(hint)
    if origin in (types.UnionType, typing.Union):
        if value is None:
            return None
        return _typed(next(a for a in typing.get_args(hint) if a is not type(None)), value)
    if origin is tuple:
        arguments = typing.get_args(hint)
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            return tuple(_typed(arguments[0], v) for v in value)
        return tuple(_typed(a, v) for a, v in zip(arguments, value, strict=True))
    if origin is dict:
        key, inner = typing.get_args(hint)
        return {_typed(key, str(k)): _typed(inner, v) for k, v in value.items()}
    if isinstance(hint, type):
        if issubclass(hint, StrEnum):
            return hint(value)
        if issubclass(hint, (Record, SfumatoError)):
            return hint.from_json(value)
        if hint is Path and isinstance(value, str):
            return Path(value)
        if hint is float and isinstance(value, int) and not isinstance(value, bool):
            return float(value)
        if not isinstance(value, hint) or (hint is int and isinstance(value, bool)):
            raise ValueError(f"{value!r} is not {hint.__name__}")
    return value
