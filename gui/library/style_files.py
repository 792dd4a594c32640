"""Files of styles as other programs write them.

``styles.csv`` of Stable Diffusion web UIs: columns ``name``, ``prompt`` and ``negative_prompt``
(``text`` in the oldest).  Fooocus' and InvokeAI's JSON, and that of SDXL Prompt Styler: a list of
objects with these three.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from gui import files, words
from gui.errors import ErrorKind, SfumatoError
from gui.files import UnreadableFile
from gui.styles import PromptStyle

SUFFIXES = (".csv", ".json")
MAX_BYTES = 8 << 20
MAX_STYLES = 5000
MAX_NAME = 80
MAX_TEXT = 20_000
"""Characters of one text; no model reads a tenth of it."""


def is_style_file(name: str) -> bool:
    """Whether a file may hold styles, by its name."""
    return name.lower().endswith(SUFFIXES)


def read_style_file(path: Path) -> list[PromptStyle]:
    """The styles in a file, each name once (the last counts), rows without a text left out.

    Raises:
        SfumatoError: BAD_REQUEST, saying what the file should hold.
    """
    try:
        text = files.read_text(path, MAX_BYTES)
        styles = _of_json(text) if text.lstrip()[:1] in ("[", "{") else _of_table(text)
    except FileNotFoundError as error:
        raise SfumatoError(
            ErrorKind.BAD_REQUEST, f"“{path.name}” is no longer there; choose another file."
        ) from error
    except UnreadableFile as error:
        raise SfumatoError(
            ErrorKind.BAD_REQUEST,
            f"“{path.name}” {error}; choose a web UI’s styles.csv or a Fooocus JSON of styles.",
            repr(error),
        ) from error
    if not styles:
        raise SfumatoError(
            ErrorKind.BAD_REQUEST,
            f"“{path.name}” holds no styles; choose a web UI’s styles.csv or a Fooocus JSON of "
            "styles.",
        )
    return styles


def _of_table(text: str) -> list[PromptStyle]:
    try:
        rows = csv.DictReader(io.StringIO(text, newline=""), skipinitialspace=True)
        columns = {(name or "").strip().casefold() for name in rows.fieldnames or ()}
        if "name" not in columns or not columns & {"prompt", "text"}:
            raise UnreadableFile("has no columns called name and prompt")
        return _styles(
            {str(key).strip().casefold(): value for key, value in row.items()} for row in rows
        )
    except csv.Error as error:
        raise UnreadableFile(f"is no table ({error})") from error


def _of_json(text: str) -> list[PromptStyle]:
    data: Any = files.parse_json(text)
    if isinstance(data, dict):  # by name
        data = [{"name": name, **value} for name, value in data.items() if isinstance(value, dict)]
    if not isinstance(data, list):
        raise UnreadableFile("is no list of styles")
    return _styles(one for one in data if isinstance(one, dict))


def _styles(rows: Iterable[Mapping[str, Any]]) -> list[PromptStyle]:
    found: dict[str, PromptStyle] = {}
    for row in rows:
        name = " ".join(_text(row.get("name")).split())[:MAX_NAME].strip()
        prompt = _text(row.get("prompt")) or _text(row.get("text"))
        negative = _text(row.get("negative_prompt"))
        if name and (prompt or negative):
            found[name.casefold()] = PromptStyle(name, prompt, negative)
            if len(found) > MAX_STYLES:
                raise UnreadableFile(f"holds more than {MAX_STYLES} styles")
    return list(found.values())


def _text(value: object) -> str:
    if not isinstance(value, str):
        return ""
    return words.plain(value).strip()[:MAX_TEXT]
