"""What a model with a small world knows: its things, its colours, its grounds, and their words.

Such a model carries ``vocabulary.json`` beside its packages; other models carry none, and nothing
is said of their prompts.  `Vocabulary.read` says which words of a prompt the model understands as
what, and which words that matter it does not know.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from itertools import islice
from pathlib import Path

from gui import records
from gui.records import Record

FILE_NAME = "vocabulary.json"

#: A word, or a run of pictographs.  Hyphens part words, for "t-rex" is "t rex" to a reader.
_WORD = re.compile(
    r"[^\W_]+(?:['’][^\W_]+)*|[\u2600-\u27bf\U0001f000-\U0001faff][\ufe0f\u200d\u2600-\u27bf\U0001f000-\U0001faff]*"
)
#: More than any model of this kind reads (77 tokens): what comes later doesn't matter.
_MOST_WORDS = 160
#: ``<lora:name:0.8>`` is an instruction of other programs, not a word.
_TAG = re.compile(r"<[^<>]*>")
#: What parts two phrases.
_BREAK = re.compile(r"[,.;:!?()\[\]{}|/\n\r]")


class Role(StrEnum):
    """What a word of a prompt is to the model."""

    SUBJECT = "subject"
    COLOR = "color"
    """Said of the subject."""
    GROUND = "ground"
    """The colour behind it."""
    UNKNOWN = "unknown"
    """Matters, and is not known.  Words that don't matter have no role and are left out."""


@dataclass(frozen=True)
class Thing(Record):
    """One thing that the model draws.

    Attributes:
        name: What it is called.
        phrase: The name with its article, as it stands in a prompt: "a cat", "grapes".
        words: What else it may be called, synonyms and plurals, in lower case.
        colors: The colours that it may have; None where it may have every one.
    """

    name: str
    phrase: str
    words: tuple[str, ...] = ()
    colors: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Category(Record):
    """Things that belong together, e.g. animals."""

    name: str
    things: tuple[Thing, ...]


@dataclass(frozen=True)
class Understood:
    """One phrase of a prompt.

    Attributes:
        text: As it stands in the prompt.
        start: Index of its first character there.
        role: What it is to the model.
        meaning: Name of the thing or the colour; empty for what is unknown.
    """

    text: str
    start: int
    role: Role
    meaning: str = ""


@dataclass(frozen=True)
class PromptReading:
    """What the model makes of a prompt: its phrases, in order."""

    phrases: tuple[Understood, ...] = ()

    def _meanings(self, role: Role) -> tuple[str, ...]:
        return tuple(dict.fromkeys(p.meaning for p in self.phrases if p.role is role))

    @property
    def subjects(self) -> tuple[str, ...]:
        """Names of the things, each once."""
        return self._meanings(Role.SUBJECT)

    @property
    def colors(self) -> tuple[str, ...]:
        """Colours said of the subject."""
        return self._meanings(Role.COLOR)

    @property
    def grounds(self) -> tuple[str, ...]:
        """Colours said of the ground."""
        return self._meanings(Role.GROUND)

    @property
    def unknown(self) -> tuple[str, ...]:
        """Words that matter and are not known, as typed, each once whatever its case."""
        found = {
            p.text.casefold(): p.text for p in reversed(self.phrases) if p.role is Role.UNKNOWN
        }
        return tuple(reversed(found.values()))


@dataclass(frozen=True)
class _Word:
    """A word of a prompt: folded, as typed, where, and whether a break comes before it."""

    folded: str
    text: str
    start: int
    breaks: bool

    @property
    def end(self) -> int:
        return self.start + len(self.text)


def _words(prompt: str) -> Iterator[_Word]:
    masked = _TAG.sub(lambda tag: "," * len(tag[0]), prompt)
    end = 0
    for match in _WORD.finditer(masked):
        folded = match[0].casefold().replace("’", "'").removesuffix("'s")
        yield _Word(
            folded, match[0], match.start(), bool(_BREAK.search(masked, end, match.start()))
        )
        end = match.end()


def _key(phrase: str) -> tuple[str, ...]:
    return tuple(word.folded for word in _words(phrase))


@dataclass(frozen=True)
class _Piece:
    """Words that belong together, and what they may be."""

    words: tuple[_Word, ...]
    thing: str = ""
    color: str = ""

    @property
    def folded(self) -> str:
        return self.words[0].folded


@dataclass(frozen=True)
class Vocabulary(Record):
    """All that a small model knows.

    Attributes:
        kinds: Its things, grouped.
        colors: Other words for each of its colours, by name.
        ground_words: "background" and its like.
        ground_prepositions: "on" and its like: a colour after them, with no thing behind it, is
            the ground's.
        shades: "light", "dark": they say how, of a colour.
        overlooked: Words that change nothing and don't matter: "a", "photo", "beautiful".
        examples: Phrases of a few things, to name some.
    """

    kinds: tuple[Category, ...]
    colors: dict[str, tuple[str, ...]]
    ground_words: tuple[str, ...]
    ground_prepositions: tuple[str, ...]
    shades: tuple[str, ...]
    overlooked: tuple[str, ...]
    examples: tuple[str, ...]

    @cached_property
    def things(self) -> tuple[Thing, ...]:
        """Every thing, kind after kind."""
        return tuple(thing for kind in self.kinds for thing in kind.things)

    @cached_property
    def _phrases(self) -> dict[str, list[tuple[tuple[str, ...], str, str]]]:
        """By first word, longest first: all words, name of the thing, name of the colour."""
        by_key: dict[tuple[str, ...], tuple[str, str]] = {}
        for thing in reversed(self.things):
            for word in (*thing.words, thing.name):
                by_key[_key(word)] = (thing.name, "")
        for thing in self.things:  # a name is stronger than another thing's synonym
            by_key[_key(thing.name)] = (thing.name, "")
        for color, words in self.colors.items():
            for word in (color, *words):
                by_key[_key(word)] = (by_key.get(_key(word), ("", ""))[0], color)
        found: dict[str, list[tuple[tuple[str, ...], str, str]]] = {}
        for key, (thing, color) in by_key.items():
            found.setdefault(key[0], []).append((key, thing, color))
        for same in found.values():
            same.sort(key=lambda one: -len(one[0]))
        return found

    @cached_property
    def _silent(self) -> frozenset[str]:
        return frozenset((*self.overlooked, *self.shades, *self.ground_prepositions))

    @cached_property
    def _ground_words(self) -> frozenset[str]:
        return frozenset(self.ground_words)

    @cached_property
    def _by_name(self) -> dict[str, Thing]:
        return {thing.name: thing for thing in self.things}

    def not_in(self, reading: PromptReading) -> tuple[str, str] | None:
        """A thing and a colour that were asked for together and don't go together, if any."""
        for name in reading.subjects:
            allowed = self._by_name[name].colors
            for color in reading.colors:
                if allowed is not None and color not in allowed:
                    return name, color
        return None

    def _pieces(self, prompt: str) -> list[_Piece]:
        words, pieces, at = list(islice(_words(prompt), _MOST_WORDS)), [], 0
        while at < len(words):
            for key, thing, color in self._phrases.get(words[at].folded, ()):
                part = words[at : at + len(key)]
                joined = not any(word.breaks for word in part[1:])
                if joined and tuple(word.folded for word in part) == key:
                    pieces.append(_Piece(tuple(part), thing, color))
                    break
            else:
                pieces.append(_Piece((words[at],)))
            at += len(pieces[-1].words)
        return pieces

    def read(self, prompt: str) -> PromptReading:
        """What the model understands of `prompt`, and what it does not."""
        pieces = self._pieces(prompt)
        alone = not any(piece.thing and not piece.color for piece in pieces)
        roles: list[tuple[_Piece, Role, str]] = []
        for at, piece in enumerate(pieces):
            if piece.thing and piece.color:  # "orange": a fruit only where nothing else is one
                names = not self._followed(pieces, at)
                piece = _Piece(piece.words, piece.thing) if alone and names else piece
            if piece.color:
                ground = self._is_ground(pieces, at)
                roles.append((piece, Role.GROUND if ground else Role.COLOR, piece.color))
            elif piece.thing:
                roles.append((piece, Role.SUBJECT, piece.thing))
            elif self._matters(piece.folded):
                roles.append((piece, Role.UNKNOWN, ""))
        return PromptReading(tuple(_joined(prompt, roles)))

    def _matters(self, word: str) -> bool:
        if word in self._silent or word in self._ground_words or word.isdigit():
            return False
        return len(word) > 1 or not word.isascii()

    def _followed(self, pieces: list[_Piece], at: int) -> bool:
        """Whether a thing or a ground follows, with nothing between that says otherwise."""
        for piece in pieces[at + 1 :]:
            if piece.words[0].breaks or piece.folded in self.ground_prepositions:
                return False
            if piece.thing or piece.folded in self._ground_words:
                return True
        return False

    def _is_ground(self, pieces: list[_Piece], at: int) -> bool:
        """Whether the colour at `at` is said of the ground."""
        for piece in pieces[at + 1 :]:
            if piece.words[0].breaks or piece.folded in self.ground_prepositions:
                break
            if piece.folded in self._ground_words:
                return True
            if piece.thing and not piece.color:
                return False
            if not piece.color and self._matters(piece.folded):
                break  # "on a red sofa": of something that is not known
        for back in range(at - 1, -1, -1):
            piece, following = pieces[back], pieces[back + 1]
            # "the background is red" holds over no comma, "background: red" over a colon.
            if piece.folded in self._ground_words:
                return True
            if following.words[0].breaks:
                return False
            if piece.folded in self.ground_prepositions:
                return True
            if piece.thing or (not piece.color and self._matters(piece.folded)):
                return False
        return False


def with_thing(reading: PromptReading, thing: Thing) -> str:
    """A prompt for another thing that keeps the ground of the one that was read."""
    if not reading.grounds:
        return thing.phrase
    ground = reading.grounds[0]
    article = "an" if ground[0] in "aeiou" else "a"
    return f"{thing.phrase} on {article} {ground} background"


def _joined(prompt: str, roles: Iterable[tuple[_Piece, Role, str]]) -> Iterator[Understood]:
    """Unknown words that stand side by side as one phrase."""
    last: Understood | None = None
    for piece, role, meaning in roles:
        start, end = piece.words[0].start, piece.words[-1].end
        if last is not None and last.role is role is Role.UNKNOWN:
            between = prompt[last.start + len(last.text) : start]
            if between in (" ", "-"):
                last = Understood(prompt[last.start : end], last.start, role)
                continue
        if last is not None:
            yield last
        last = Understood(prompt[start:end], start, role, meaning)
    if last is not None:
        yield last


def read_vocabulary(folder: Path) -> Vocabulary | None:
    """The vocabulary of the model in `folder`; None where it has none, or none that can be read.

    A model draws as well without it, so a damaged one is no error.
    """
    try:
        return records.loads(Vocabulary, (folder / FILE_NAME).read_bytes())
    except (OSError, records.RecordError):
        return None
