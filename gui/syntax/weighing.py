"""Giving words of a prompt more weight or less, as the syntax writes it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from gui.syntax.types import MAX_WEIGHT, PromptSyntax

STEP = 0.1
"""What a prompt's weight changes by at once, as in the web UI."""

_NUMBER = r"(\d+\.?\d*|\.\d+)"
_ENDS = {
    PromptSyntax.WEB_UI: re.compile(rf"\s*:\s*{_NUMBER}\s*\)"),
    PromptSyntax.COMPEL: re.compile(rf"\){_NUMBER}"),
}
"""What stands behind words that have a weight."""
_BRACKETS = {"(": ")", "[": "]"}


@dataclass(frozen=True)
class Weighed:
    """A prompt in which some words have another weight, and where these stand in it."""

    text: str
    start: int
    end: int


def weighed(text: str, start: int, end: int, steps: int, syntax: PromptSyntax) -> Weighed | None:
    """
    Args:
        start, end: where the words begin and end.
        steps: of a tenth each, up or down.

    Returns:
        None where nothing can be weighed: there are no words, a bracket among them has its other
        half elsewhere, or the syntax knows no weights.
    """
    end_mark = _ENDS.get(syntax)
    if end_mark is None:
        return None
    start, end = _trimmed(text, start, end)
    start, end = _inside(text, start, end, end_mark)
    if start >= end or not _balanced(text[start:end]):
        return None
    behind = end_mark.match(text, end) if text[start - 1 : start] == "(" and start else None
    first, last = (start - 1, behind.end()) if behind else (start, end)
    weight = float(behind[1]) if behind else 1.0
    weight = round(min(MAX_WEIGHT, max(0.0, weight + steps * STEP)), 2)
    words = text[start:end]
    if weight == 1.0:
        made, at = words, first
    elif syntax is PromptSyntax.COMPEL:
        made, at = f"({words}){weight:.4g}", first + 1
    else:
        made, at = f"({words}:{weight:.4g})", first + 1
    return Weighed(text[:first] + made + text[last:], at, at + len(words))


def _trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return start, end


def _inside(text: str, start: int, end: int, end_mark: re.Pattern[str]) -> tuple[int, int]:
    """The words alone, where their brackets and weight were chosen with them."""
    if text[start : start + 1] != "(":
        return start, end
    found = next(
        (each for each in end_mark.finditer(text, start + 1, end) if each.end() == end), None
    )
    if found is None or not _balanced(text[start + 1 : found.start()]):
        return start, end
    return start + 1, found.start()


def _balanced(text: str) -> bool:
    wanted: list[str] = []
    escaped = False
    for character in text:
        if escaped or character == "\\":
            escaped = not escaped
        elif character in _BRACKETS:
            wanted.append(_BRACKETS[character])
        elif character in _BRACKETS.values() and (not wanted or wanted.pop() != character):
            return False
    return not wanted
