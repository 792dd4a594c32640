"""Values out of other programs' metadata: numbers that may be text, JSON that may be anything."""

from __future__ import annotations

import json
import math
from typing import Any

MAX_JSON = 8 * 1024 * 1024
"""Characters of JSON that are parsed: the largest graphs seen have two million."""
MAX_TEXT = 1024 * 1024
"""Characters of a text for people that are read."""


def load_json(text: str) -> Any:
    """Parsed JSON; None where it is none, too long or nested too deeply."""
    if not text or len(text) > MAX_JSON or text.lstrip()[:1] not in ("{", "[", '"'):
        return None
    try:
        return json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return None


def as_text(value: object) -> str:
    """Text as it is, numbers as text, anything else nothing."""
    if isinstance(value, str):
        return value.replace("\0", "").strip()
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    return ""


def as_float(value: object) -> float | None:
    """A finite number, also out of text."""
    if isinstance(value, bool):
        return None
    if isinstance(value, (int, float, str)):
        try:
            number = float(value)
        except (ValueError, OverflowError):
            return None
        return number if math.isfinite(number) else None
    return None


def as_int(value: object) -> int | None:
    """A whole number of no more than 20 digits, also out of text."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value if abs(value) < 10**20 else None
    if isinstance(value, str) and len(value.strip()) <= 20:
        try:
            return int(value.strip())
        except ValueError:
            pass
    number = as_float(value)
    return int(number) if number is not None and number == int(number) else None
