"""Weights of words as the Stable Diffusion web UI writes them.

Its published rules: ``(word)`` weighs 1.1 times as much and ``[word]`` 1.1 times as little,
nested ones multiply, ``(word:1.3)`` says a factor, a backslash before a bracket means the bracket
itself, ``BREAK`` ends a chunk of text.  A bracket that never closes holds to the end; one that
closes nothing is a character like any other.  (Examples: the web UI's wiki, *Features*,
"Attention/emphasis", and those its parser is documented by, which the tests hold this to.)
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from gui.syntax.types import Part, Piece, PromptSyntax, Reading, Section

STEP = 1.1
"""What a pair of brackets multiplies by, or divides by."""

_RUN = re.compile(r"[^\\()\[\]:]+")
_BREAK = re.compile(r"\s*\bBREAK\b\s*")
_FACTOR = re.compile(r":\s*([+-]?(?:\d+\.?\d*|\.\d+))\s*\)")


class _Reader:
    """Collects characters with their weights; `None` in place of a character is a break."""

    def __init__(self) -> None:
        self.characters: list[tuple[str, int] | None] = []
        self.weights: list[float] = []
        self.round: list[int] = []
        self.square: list[int] = []

    def put(self, text: str, places: Sequence[int]) -> None:
        self.characters += zip(text, places, strict=True)
        self.weights += [1.0] * len(text)

    def put_break(self) -> None:
        self.characters.append(None)
        self.weights.append(1.0)

    def weigh(self, start: int, factor: float) -> None:
        for place in range(start, len(self.weights)):
            self.weights[place] *= factor


def read_emphasis(text: str, places: Sequence[int] | None = None) -> Reading:
    """The words of a prompt with their weights.

    Args:
        places: where each character of `text` stands in the whole prompt; None: it is the whole.
    """
    where = range(len(text)) if places is None else places
    reader = _Reader()
    at = 0
    while at < len(text):
        at = _next(reader, text, where, at)
    for start in reader.round:
        reader.weigh(start, STEP)
    for start in reader.square:
        reader.weigh(start, 1 / STEP)
    return Reading(_sections(reader), PromptSyntax.WEB_UI)


def _next(reader: _Reader, text: str, where: Sequence[int], at: int) -> int:
    """Read one mark or one run of words; where the next one begins."""
    character = text[at]
    if character == "\\":
        if text[at + 1 : at + 2] in tuple("()[]\\"):
            reader.put(text[at + 1], where[at + 1 : at + 2])
            return at + 2
        return at + 1  # one that escapes nothing is left out
    if character == "(":
        reader.round.append(len(reader.weights))
    elif character == "[":
        reader.square.append(len(reader.weights))
    elif character == ")" and reader.round:
        reader.weigh(reader.round.pop(), STEP)
    elif character == "]" and reader.square:
        reader.weigh(reader.square.pop(), 1 / STEP)
    elif character == ":" and reader.round and (factor := _FACTOR.match(text, at)):
        reader.weigh(reader.round.pop(), float(factor[1]))
        return factor.end()
    else:
        run = _RUN.match(text, at)
        end = run.end() if run else at + 1
        _put_run(reader, text, where, at, end)
        return end
    return at + 1


def _put_run(reader: _Reader, text: str, where: Sequence[int], at: int, end: int) -> None:
    """Words without brackets, in which breaks may stand."""
    run = text[at:end]
    done = 0
    for found in _BREAK.finditer(run):
        reader.put(run[done : found.start()], where[at + done : at + found.start()])
        reader.put_break()
        done = found.end()
    reader.put(run[done:], where[at + done : end])


def _sections(reader: _Reader) -> tuple[Section, ...]:
    sections: list[list[Piece]] = [[]]
    run: list[tuple[str, int]] = []
    weight = 1.0

    def close() -> None:
        if run:
            text = "".join(character for character, _ in run)
            sections[-1].append(Piece(text, weight, tuple(place for _, place in run)))
            run.clear()

    for character, its in zip(reader.characters, reader.weights, strict=True):
        if character is None:
            close()
            sections.append([])
            continue
        if its != weight:
            close()
            weight = its
        run.append(character)
    close()
    while len(sections) > 1 and not sections[-1]:
        sections.pop()  # a break at the end parts nothing
    return tuple(Section((Part(tuple(pieces)),)) for pieces in sections)
