"""A prompt as its syntax has it, step by step."""

from __future__ import annotations

import re

from gui.syntax.compel import read_compel
from gui.syntax.compose import is_composed, sides_of
from gui.syntax.emphasis import read_emphasis
from gui.syntax.schedule import phases_of
from gui.syntax.types import MAX_WEIGHT, Phase, PromptSyntax, Reading, Side, plain_reading

_WEB_UI_MARK = re.compile(r"[\\()\[\]]|\bBREAK\b")
_LOOKED_AT = 24
"""Steps of a prompt whose words are wanted before it is known how many there are."""


def read_sides(prompt: str, syntax: PromptSyntax, steps: int) -> list[Side]:
    """The prompts that one is composed of, each from step to step; one where it is not composed.

    Args:
        steps: how many there are.
    """
    made: list[Side] = []
    for start, end, weight in sides_of(prompt, syntax):
        phases = tuple(_phases(prompt[start:end], start, syntax, steps))
        made.append(Side(phases, max(-MAX_WEIGHT, min(MAX_WEIGHT, weight))))
    return made


def read_phases(prompt: str, syntax: PromptSyntax, steps: int) -> list[Phase]:
    """What is read of a prompt that is not composed, from step to step; one phase where nothing
    changes.

    Args:
        steps: how many there are.
    """
    return _phases(prompt, 0, syntax, steps)


def _phases(text: str, start: int, syntax: PromptSyntax, steps: int) -> list[Phase]:
    """
    Args:
        start: where the text begins in its prompt.
    """
    if syntax is PromptSyntax.COMPEL:
        return [Phase(steps, read_compel(text))]
    if syntax is PromptSyntax.PLAIN or not _WEB_UI_MARK.search(text):
        return [Phase(steps, plain_reading(text, range(start, start + len(text))))]
    return [
        Phase(until, read_emphasis(words, [start + place for place in places]))
        for until, words, places in phases_of(text, steps)
    ]


def has_marks(prompt: str) -> bool:
    """Whether a prompt means anything else to the web UI than to nobody."""
    return bool(_WEB_UI_MARK.search(prompt)) or is_composed(prompt)


def words_alone(prompt: str, syntax: PromptSyntax) -> str:
    """A text of the same length with the words in their places that a prompt begins with: marks
    are blank, and so is what comes at a later step; a comma parts sections and sides."""
    sides = read_sides(prompt, syntax, _LOOKED_AT)
    made = [" "] * len(prompt)
    for number, section in enumerate(s for side in sides for s in side.phases[0].reading.sections):
        places = [place for part in section.parts for p in part.pieces for place in p.places]
        for place in places:
            made[place] = prompt[place]
        if number and places and places[0]:
            made[places[0] - 1] = ","
    return "".join(made)


def note_of_weights(readings: list[Reading], what: str) -> str:
    """A sentence about weights that were too large to be meant; empty: there are none."""
    heaviest = max((reading.heaviest for reading in readings), default=0.0)
    if heaviest <= MAX_WEIGHT:
        return ""
    return (
        f"A weight of {heaviest:g} in the {what} was taken as {MAX_WEIGHT:g}; "
        "weights up to 1.5 are usual."
    )
