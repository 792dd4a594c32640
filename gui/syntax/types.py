"""What a prompt becomes once its marks are read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

MAX_WEIGHT = 10.0
"""Largest weight of words, either way; larger ones are taken as this."""


class PromptSyntax(StrEnum):
    """Whose marks a prompt is read by."""

    WEB_UI = "a1111"
    """Stable Diffusion web UI (A1111) and its kin: ``(word:1.3)``, ``[word]``, ``BREAK``,
    ``[from:to:0.5]``, ``[a|b]``, ``a AND b :1.2``."""
    COMPEL = "compel"
    """compel, InvokeAI: ``word++``, ``(some words)1.2``, ``("a", "b").blend(0.7, 0.3)``."""
    PLAIN = "plain"
    """None: every character is read as it stands."""


@dataclass(frozen=True)
class Piece:
    """Words of one weight."""

    text: str
    weight: float = 1.0
    places: tuple[int, ...] = ()
    """Where each of its characters stands in the prompt."""


@dataclass(frozen=True)
class Part:
    """Text that is encoded by itself."""

    pieces: tuple[Piece, ...] = ()
    share: float = 1.0
    """Of its section, where that is a blend."""


@dataclass(frozen=True)
class Section:
    """What stands between two breaks, or one side of an ``.and()``: encodings of its own, put
    behind those of the section before."""

    parts: tuple[Part, ...]
    """Several where they are blended: their encodings are added up by their shares."""
    weight: float = 1.0
    """Of the whole section, as compel weighs the sides of ``.and()``."""


@dataclass(frozen=True)
class Reading:
    """A prompt without its marks."""

    sections: tuple[Section, ...]
    syntax: PromptSyntax = PromptSyntax.PLAIN

    def pieces(self) -> Iterator[Piece]:
        for section in self.sections:
            for part in section.parts:
                yield from part.pieces

    @property
    def text(self) -> str:
        """The words alone."""
        return " ".join(" ".join(p.text for p in self.pieces()).split())

    @property
    def heaviest(self) -> float:
        """The weight that is farthest from none, as it was written."""
        return max((abs(piece.weight) for piece in self.pieces()), default=0.0)


@dataclass(frozen=True)
class Phase:
    """What a prompt is up to a step."""

    until: int
    """The last step that it holds for, counted from 1."""
    reading: Reading


@dataclass(frozen=True)
class Side:
    """One of the prompts that a composed one consists of; of others, all there is."""

    phases: tuple[Phase, ...]
    weight: float = 1.0
    """How strongly it leads, compared with the others."""


def plain_reading(text: str, places: Sequence[int] | None = None) -> Reading:
    """A text in which nothing is a mark."""
    where = tuple(range(len(text))) if places is None else tuple(places)
    return Reading((Section((Part((Piece(text, 1.0, where),)),)),))
