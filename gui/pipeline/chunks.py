"""Tokens of a prompt in chunks of the length that CLIP reads: 75 beside start and end.

The rule is the Stable Diffusion web UI's: a chunk that is full ends at its last comma, if that is
near its end, so that no phrase is torn apart; ``BREAK`` ends one early.  Where a model reads fewer
chunks than that would make, everything is packed as it comes, and what is beyond is cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from gui.syntax.types import MAX_WEIGHT, Part, Piece, Reading

COMMA_REACH = 20
"""Tokens behind the last comma that move into the next chunk."""


class Tokenizer(Protocol):
    """What is asked of a `gui.pipeline.tokens.ClipTokenizer`."""

    comma_id: int

    def tokens(self, text: str) -> list[tuple[int, int]]: ...


@dataclass(frozen=True)
class Token:
    id: int
    weight: float = 1.0
    place: int = 0
    """Where it begins in the prompt."""


Chunk = tuple[Token, ...]
"""Without start, end and padding."""


@dataclass(frozen=True)
class Layout:
    """A prompt as chunks."""

    sections: tuple[tuple[tuple[Chunk, ...], ...], ...]
    """Chunks of each part of each section; of every part of a section equally many."""
    cut: int | None = None
    """Place in the prompt of the first token that is not read; None: all are."""

    @property
    def chunks(self) -> int:
        return sum(len(parts[0]) for parts in self.sections)


def tokens_of(pieces: Sequence[Piece], tokenizer: Tokenizer) -> list[Token]:
    """Tokens with their weights; each piece is split into tokens by itself."""
    tokens: list[Token] = []
    for piece in pieces:
        weight = max(-MAX_WEIGHT, min(MAX_WEIGHT, piece.weight))
        for number, start in tokenizer.tokens(piece.text):
            place = piece.places[start] if start < len(piece.places) else 0
            tokens.append(Token(number, weight, place))
    return tokens


def lay_out(
    reading: Reading, tokenizer: Tokenizer, room: int = 75, most: int | None = None
) -> Layout:
    """A prompt in chunks.

    Args:
        room: tokens of a chunk.
        most: chunks that can be read; None: any number.
    """
    sections = [
        [_chunked(_tokens(part, tokenizer), room, tokenizer.comma_id) for part in section.parts]
        for section in reading.sections
    ]
    laid = Layout(tuple(_even(parts) for parts in sections))
    if most is None or laid.chunks <= most:
        return laid
    return _packed(reading, tokenizer, room, most)


def _packed(reading: Reading, tokenizer: Tokenizer, room: int, most: int) -> Layout:
    """As many tokens as there is room for, of all sections as if they were one."""
    parts: list[tuple[Chunk, ...]] = []
    cuts: list[int] = []
    blended = len(reading.sections) == 1
    every = reading.sections[0].parts if blended else (Part(tuple(reading.pieces())),)
    for part in every:
        tokens = _tokens(part, tokenizer)
        fits = tokens[: room * most]
        starts = range(0, max(1, len(fits)), room)
        parts.append(tuple(tuple(fits[start : start + room]) for start in starts))
        cuts += [tokens[room * most].place] if len(tokens) > room * most else []
    return Layout((_even(parts),), min(cuts, default=None))


def _tokens(part: Part, tokenizer: Tokenizer) -> list[Token]:
    return tokens_of(part.pieces, tokenizer)


def _chunked(tokens: Sequence[Token], room: int, comma: int) -> tuple[Chunk, ...]:
    made: list[Chunk] = []
    chunk: list[Token] = []
    for token in tokens:
        if len(chunk) == room:
            kept = room if token.id == comma else _end_of_phrase(chunk, comma)
            made.append(tuple(chunk[:kept]))
            chunk = chunk[kept:]
        chunk.append(token)
    return (*made, tuple(chunk))


def _end_of_phrase(chunk: Sequence[Token], comma: int) -> int:
    """How many tokens of a full chunk stay in it."""
    for back in range(1, min(COMMA_REACH, len(chunk)) + 1):
        if chunk[-back].id == comma:
            return len(chunk) - back + 1
    return len(chunk)


def _even(parts: Sequence[tuple[Chunk, ...]]) -> tuple[tuple[Chunk, ...], ...]:
    """Every part as long as the longest."""
    most = max(len(chunks) for chunks in parts)
    return tuple((*chunks, *[()] * (most - len(chunks))) for chunks in parts)
