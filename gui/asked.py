"""What another program may ask for: a link, the service entry of the menu, an assistant.

Parameters of a picture go by the names of `PictureRequest`'s fields.  Whoever asks this way names
no files: those fields that are, or may be, paths are left out, and so is a LoRA's path in a prompt.
Standard library only.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from types import MappingProxyType
from typing import Any

from gui import words
from gui.axes import read_value
from gui.errors import ErrorKind, SfumatoError
from gui.names import LORA_TAG
from gui.request import Described, PictureRequest, described_fields, new_request
from gui.scheduler_names import SCHEDULER_NAMES

LONGEST = 32_000
"""Characters of all that is asked for at once."""
TEXTS = ("prompt", "negative_prompt")
_FILES = ("upscaler", "depth_map", "styles", "loras", "tags", "refiner")
"""They are, or may be, paths, or have no form in a text."""


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


@cache
def askable() -> Mapping[str, Described]:
    """The parameters that may be asked for, in order."""
    fields = described_fields()
    said = {n: f for n, f in fields.items() if n not in _FILES and "." not in n}
    return MappingProxyType(said)


def asked_for(texts: dict[str, str]) -> Asked:
    """What a program asks for, from the texts it gives by name.

    Raises:
        SfumatoError: BAD_REQUEST where there is no prompt among them.
    """
    values: dict[str, Any] = {}
    model, left = "", []
    for given, text in texts.items():
        name = given.strip().replace("-", "_").lower()
        if name == "model":
            model = _plain(text)
        elif name in TEXTS:
            values[name] = _without_paths(_plain(text), left)
        elif name not in askable():
            left.append(f"{words.quoted(given, 40)} is left out: it has no meaning here.")
        else:
            try:
                values[name] = read_value(askable()[name], text.strip())
            except SfumatoError as error:
                left.append(f"{askable()[name].parameter.label} is left out: {error.message}")
    if not values.get("prompt", "").strip():
        raise SfumatoError(
            ErrorKind.BAD_REQUEST,
            "The link asks for a picture without saying which; type a prompt instead.",
        )
    return Asked(values, model, tuple(left))


def request_asked(values: Mapping[str, object], model: str = "") -> PictureRequest:
    """The request that a program means by typed values; nothing of it is left out silently.

    Args:
        values: by the names of `askable`; null stands for what is not said.
        model: folder of the model; empty: the starter model.

    Raises:
        SfumatoError: BAD_REQUEST, naming the parameter and what it may be.
    """
    found: dict[str, Any] = {}
    for name, value in values.items():
        if name not in askable():
            raise SfumatoError(
                ErrorKind.BAD_REQUEST,
                f"{words.quoted(name, 40)} is no parameter here; leave it out.",
            )
        if value is not None:
            found[name] = _typed(askable()[name], value)
    if sum(len(str(found.get(name, ""))) for name in TEXTS) > LONGEST:
        raise SfumatoError(
            ErrorKind.BAD_REQUEST,
            f"The prompts may have up to {words.count(LONGEST)} characters; give shorter ones.",
        )
    if not str(found.get("prompt", "")).strip():
        raise SfumatoError(ErrorKind.BAD_REQUEST, "There is no prompt; say what to show.")
    request = new_request(model=model)
    request = dataclasses.replace(request, **found)
    request.validate()
    return request


def _typed(described: Described, value: object) -> Any:
    """A value of JSON as the field's; its range is looked at later, with all the others."""
    if described.name in TEXTS and isinstance(value, str):
        left: list[str] = []
        text = _without_paths(_plain(value), left)
        if left:
            raise SfumatoError(ErrorKind.BAD_REQUEST, left[0])
        return text
    if isinstance(value, str) and (described.parameter.options or described.name == "scheduler"):
        return read_value(described, value)
    if described.kind is int and isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def schema() -> dict[str, Any]:
    """The parameters as properties of a JSON Schema (2020-12)."""
    return {name: _property(described) for name, described in askable().items()}


def _property(described: Described) -> dict[str, Any]:
    told = described.parameter
    found: dict[str, Any] = {"description": told.help}
    if told.options:
        found |= {"type": "string", "enum": [option.value.value for option in told.options]}
        found["description"] += " " + " ".join(
            f"{option.value.value}: {option.label}." for option in told.options
        )
    elif described.name == "scheduler":
        found |= {"type": "string", "enum": [each.name for each in SCHEDULER_NAMES]}
    else:
        kinds = {bool: "boolean", int: "integer", float: "number"}
        found["type"] = kinds.get(described.kind, "string")
    if described.range is not None:
        found |= {"minimum": described.range.low, "maximum": described.range.high}
    if found["type"] == "string" and "enum" not in found:
        found["maxLength"] = LONGEST
    if described.default is not None and described.name not in (*TEXTS, "seed"):
        found["default"] = described.default
    return found


def _without_paths(text: str, left: list[str]) -> str:
    """Without LoRAs that are named by a path, of which `left` tells then."""
    paths = [match for match in LORA_TAG.finditer(text) if _is_path(match[1].strip())]
    for match in reversed(paths):
        text = text[: match.start()] + text[match.end() :]
    if paths:
        left.append("A LoRA is named by a path, which is left out; give its name instead.")
    return text


def _is_path(name: str) -> bool:
    return "/" in name or "\\" in name or name.lower().endswith(".safetensors")


def _plain(text: str) -> str:
    """Without what cannot be seen; a new line stays."""
    return "\n".join(words.plain(line) for line in text.splitlines()).strip()
