"""Addresses by which other programs ask for a picture: ``sfumato://generate?prompt=a%20fox&steps=20``.

After the question mark come parameters of a picture by the names of `PictureRequest`'s fields, with
hyphens or underscores, and ``model`` by its name.  Anybody's web page can have such a link, so it
names no files, nothing is made before the person has agreed, and what is not understood is told.
Standard library only.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from gui import words
from gui.axes import read_value
from gui.errors import ErrorKind, SfumatoError
from gui.request import Described, described_fields

SCHEME = "sfumato"
GENERATE = "generate"
LONGEST = 32_000
"""Characters of an address."""
MOST_FIELDS = 64
_TEXTS = ("prompt", "negative_prompt")
_FILES = ("upscaler", "depth_map", "styles", "loras", "tags")
"""They are, or may be, paths, or have no form in an address."""


@dataclass(frozen=True)
class Asked:
    """What a program asks for."""

    values: dict[str, Any] = field(default_factory=dict[str, Any])
    """By the names of `described_fields`."""
    model: str = ""
    """Its name; empty: the chosen one."""
    left: tuple[str, ...] = ()
    """Sentences about what of it is not used."""

    @property
    def prompt(self) -> str:
        return self.values.get("prompt", "")


def read_address(address: str) -> Asked:
    """What an address asks for.

    Raises:
        SfumatoError: BAD_REQUEST where it is none of ours or asks for nothing.
    """
    try:
        parts = urlsplit(address[: LONGEST + 1])
        action = parts.netloc or parts.path
        pairs = parse_qsl(
            parts.query, keep_blank_values=True, errors="replace", max_num_fields=MOST_FIELDS
        )
    except ValueError as error:
        raise _not_understood(str(error)) from error
    if parts.scheme.lower() != SCHEME or len(address) > LONGEST:
        raise _not_understood(address[:80])
    if action.strip("/").lower() != GENERATE:
        raise _not_understood(f"it asks for {action[:40]!r}")
    return asked_for(dict(pairs))


def asked_for(texts: dict[str, str]) -> Asked:
    """What a program asks for, from the texts it gives by name.

    Raises:
        SfumatoError: BAD_REQUEST where there is no prompt among them.
    """
    values: dict[str, Any] = {}
    model, left = "", []
    fields = described_fields()
    for given, text in texts.items():
        name = given.strip().replace("-", "_").lower()
        if name == "model":
            model = _plain(text)
        elif name in _TEXTS:
            values[name] = _plain(text)
        elif name not in fields or not _can_be_said(fields[name]):
            left.append(f"{words.quoted(given, 40)} is left out: it has no meaning here.")
        else:
            try:
                values[name] = read_value(fields[name], text.strip())
            except SfumatoError as error:
                left.append(f"{fields[name].parameter.label} is left out: {error.message}")
    if not values.get("prompt", "").strip():
        raise SfumatoError(
            ErrorKind.BAD_REQUEST,
            "The link asks for a picture without saying which; type a prompt instead.",
        )
    return Asked(values, model, tuple(left))


def _can_be_said(field: Described) -> bool:
    return field.name not in _FILES and not field.name.startswith("start_image.")


def _plain(text: str) -> str:
    """Without what cannot be seen; a new line stays."""
    return "\n".join(words.plain(line) for line in text.splitlines()).strip()


def _not_understood(detail: str) -> SfumatoError:
    return SfumatoError(
        ErrorKind.BAD_REQUEST,
        "The link is not one that Sfumato understands; type the prompt instead.",
        detail,
    )
