"""Prompts that are composed, as the Stable Diffusion web UI writes them: ``a cat AND a hat :1.2``.

Every side leads the picture by itself, as strongly as its weight says; what they say is added up
(Liu et al., "Compositional visual generation with composable diffusion models"; the web UI's wiki,
*Features*, "Composable diffusion").  ``AND`` parts a prompt wherever it stands as a word of its
own, in brackets too, and is looked for before any other mark.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from gui.syntax.types import PromptSyntax

MAX_SIDES = 16
"""Of one prompt; the network runs once for each at every step."""

_AND = re.compile(r"\bAND\b")
_WEIGHT = re.compile(r"\s*:\s*([-+]?(?:\d+\.?|\d*\.\d+))\s*\Z")


def sides_of(prompt: str, syntax: PromptSyntax) -> list[tuple[int, int, float]]:
    """Where each side of a prompt begins and ends, and its weight; one, all of it, where it is not
    composed."""
    if syntax is not PromptSyntax.WEB_UI or not is_composed(prompt):
        return [(0, len(prompt), 1.0)]
    return list(_sides(prompt))


def is_composed(prompt: str) -> bool:
    """Whether the web UI reads several sides in a prompt."""
    return bool(_AND.search(prompt))


def _sides(prompt: str) -> Iterator[tuple[int, int, float]]:
    start = 0
    for end, following in [*(found.span() for found in _AND.finditer(prompt)), (len(prompt), 0)]:
        weight = _WEIGHT.search(prompt, start, end)
        if weight is None:
            yield start, end, 1.0
        else:
            yield start, weight.start(), float(weight[1])
        start = following
