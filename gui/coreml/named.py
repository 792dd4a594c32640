"""Networks of the library by the names that people give."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol, TypeVar

from gui.coreml.names import EXTENSIONS
from gui.errors import ErrorKind, SfumatoError
from gui.files import expanded


class _Named(Protocol):
    @property
    def name(self) -> str: ...


_T = TypeVar("_T", bound=_Named)


def find_named(
    name: str,
    inspect: Callable[[Path], _T],
    known: Callable[[], Iterable[_T]],
    *,
    what: str,
    folder: str,
) -> _T:
    """The network of that name (without regard to case), or of that path.

    Args:
        inspect: describes the network of a file.
        known: lists those that are in the library.
        what: one is called in a sentence.
        folder: name of the one where a person puts them.

    Raises:
        SfumatoError: BAD_REQUEST where there is none of that name; as `inspect`.
    """
    if Path(name).suffix.lower() in EXTENSIONS:
        return inspect(expanded(name))
    found = list(known())
    for network in found:
        if network.name.casefold() == name.casefold():
            return network
    names = ", ".join(f"“{network.name}”" for network in found)
    raise SfumatoError(
        ErrorKind.BAD_REQUEST,
        f"There is no {what} called “{name}”; choose one of these: {names}."
        if names
        else f"There is no {what} yet; put one into the folder {folder}, or give its file.",
    )
