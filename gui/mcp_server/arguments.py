"""Looks at what a tool is called with, by the tool's own schema: what does not fit is refused in
one sentence that an assistant can act on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gui import words
from gui.asked import askable
from gui.errors import ErrorKind, SfumatoError
from gui.mcp_server.tools import LIMITED, ToolText

_MOST_DATA = 90_000_000
"""Characters of a picture in base64: as many bytes as the service takes."""


def checked(tool: ToolText, given: Mapping[str, Any] | None) -> dict[str, Any]:
    """The arguments without those that are null.

    Raises:
        SfumatoError: BAD_REQUEST, naming the argument and what it may be.
    """
    known = tool.inputs["properties"]
    found = {name: value for name, value in (given or {}).items() if value is not None}
    for name, value in found.items():
        if name not in known:
            raise _wrong(f"{words.quoted(name, 40)} is no argument of {tool.name}", "leave it out")
        if name in askable() and name not in LIMITED and tool.name == "generate":
            continue  # `request_asked` looks at it, with the words that people read
        _check(name, known[name], value)
    for name in tool.inputs.get("required", []):
        if name not in found:
            raise _wrong(f"{tool.name} needs “{name}”", "give it")
    return found


def _check(name: str, schema: dict[str, Any], value: Any) -> None:
    kinds: dict[str, tuple[type, ...]] = {
        "string": (str,),
        "integer": (int,),
        "number": (int, float),
        "boolean": (bool,),
    }
    kind = schema["type"]
    fits = isinstance(value, kinds[kind]) and (kind == "boolean" or not isinstance(value, bool))
    if not fits:
        named = {"string": "text", "integer": "a whole number", "number": "a number"}
        raise _wrong(f"“{name}” must be {named.get(kind, 'true or false')}", "give such a value")
    if "enum" in schema and value not in schema["enum"]:
        listed = words.listed((f"{each}" for each in schema["enum"]), "or")
        raise _wrong(
            f"“{name}” must be {listed}, not {words.quoted(str(value), 40)}", "give such a value"
        )
    low, high = schema.get("minimum"), schema.get("maximum")
    if (low is not None and value < low) or (high is not None and value > high):
        bounds = f"{low} or more" if high is None else f"from {low} to {high}"
        raise _wrong(f"“{name}” must be {bounds}, not {value}", "give such a value")
    most = schema.get("maxLength", _MOST_DATA)
    if isinstance(value, str) and len(value) > most:
        raise _wrong(f"“{name}” may have {words.count(most)} characters", "shorten it")


def _wrong(what: str, then: str) -> SfumatoError:
    return SfumatoError(ErrorKind.BAD_REQUEST, f"{what}; {then}.")
