"""Weights of words as compel (and with it InvokeAI) writes them.

``word+`` weighs 1.1 times as much for every plus, ``word-`` 0.9 times for every minus; brackets or
quotation marks take several words together: ``(some words)1.2``, ``"some words"++``, nested ones
multiply.  ``("one", "another").blend(0.7, 0.3)`` mixes the encodings of whole prompts, ``.and()``
puts them one behind the other.  A backslash before a mark means the character.  What cannot be read
as a mark stands for itself.  (compel's README and *Reference*; the tests hold this to compel.)

Not read: ``.swap()``, which needs a hand on the UNet's attention (`swaps` finds it), and
``withLora()``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from gui.syntax.types import Part, Piece, PromptSyntax, Reading, Section

PLUS, MINUS = 1.1, 0.9
_MARKS = '()",.+-='
_DEEPEST = 24
"""Brackets in one another; what is deeper stands for itself."""

_OPERATOR = re.compile(r"\++|-+|\d+\.\d*|\.\d+|\d+")
_DIGITS = re.compile(r"-?\d+")
_FREE = re.compile(r"[^\s,]+,?|,")
_CALL = re.compile(r"\s*\.(blend|and|add)\s*\(([^()]*)\)\s*")
_SWAP = re.compile(r"""(?<=[\w")])\.swap\s*\(""")
_ATTEND = re.compile(r"\s*\.attend\s*\(\s*(\++|-+|[+-]?(?:\d+\.\d*|\.\d+|\d+))\s*\)")


@dataclass(frozen=True)
class _Words:
    """A word, or a character that is none."""

    start: int
    end: int


@dataclass(frozen=True)
class _Weighed:
    factor: float
    children: tuple[_Node, ...]


_Node = _Words | _Weighed
_Found = tuple[tuple[_Node, ...], int]
"""What was read, and where it ends."""


def swaps(text: str) -> bool:
    """Whether a prompt asks for one word's attention in another's place."""
    return bool(_SWAP.search(text))


def read_compel(text: str) -> Reading:
    """The words of a prompt with their weights."""
    reader = _Reader(text)
    return Reading(reader.whole(), PromptSyntax.COMPEL)


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._known: dict[tuple[str, int, int], _Found | None] = {}
        self._depth = 0

    def whole(self) -> tuple[Section, ...]:
        called = self._called()
        if called is not None:
            return called
        pieces = self._pieces(self._prompt(0, len(self._text)))
        return (Section((Part(pieces),)),)

    # -- whole prompts ------------------------------------------------------------------------

    def _called(self) -> tuple[Section, ...] | None:
        """``(…, …).blend(…)`` or ``(…, …).and(…)``, if the prompt is one."""
        text = self._text
        at = self._skip(0, len(text))
        if text[at : at + 1] != "(":
            return None
        prompts: list[tuple[_Node, ...]] = []
        while True:
            at = self._skip(at + 1, len(text))
            found = self._target(at, len(text)) or self._quoted_prompt(at)
            if found is None:
                return None
            prompts.append(found[0])
            at = self._skip(found[1], len(text))
            if text[at : at + 1] != ",":
                break
        call = _CALL.fullmatch(text, at + 1)
        if text[at : at + 1] != ")" or call is None:
            return None
        numbers, normal = _numbers(call[2])
        if numbers is None or len(numbers) not in (0, len(prompts)):
            return None
        weights = numbers or [1.0] * len(prompts)
        parts = [self._pieces(nodes) for nodes in prompts]
        if call[1] != "blend":
            pairs = zip(parts, weights, strict=True)
            return tuple(Section((Part(pieces),), weight) for pieces, weight in pairs)
        total = sum(weights) if normal else 1.0
        if not total:
            return None
        shares = [weight / total for weight in weights]
        return (Section(tuple(map(Part, parts, shares))),)

    def _quoted_prompt(self, at: int) -> _Found | None:
        end = self._quote_end(at, len(self._text))
        return (self._prompt(at + 1, end), end + 1) if end >= 0 else None

    def _prompt(self, at: int, end: int) -> tuple[_Node, ...]:
        """Everything between two places; what is no mark is words."""
        nodes: list[_Node] = []
        while (at := self._skip(at, end)) < end:
            found = self._attention(at, end) or self._quoted(at, end) or self._brackets(at, end)
            if found is not None:
                nodes += found[0]
                at = found[1]
                continue
            free = _FREE.match(self._text, at, end)
            assert free is not None
            nodes.append(_Words(at, free.end()))
            at = free.end()
        return tuple(nodes)

    # -- parts of prompts ---------------------------------------------------------------------

    def _attention(self, at: int, end: int) -> _Found | None:
        target = self._target(at, end)
        if target is not None and (call := _ATTEND.match(self._text, target[1], end)):
            return (_Weighed(_factor(call[1]), target[0]),), call.end()
        for grouped in (self._quoted(at, end), self._brackets(at, end)):
            if grouped is not None and (sign := _OPERATOR.match(self._text, grouped[1], end)):
                return (_Weighed(_factor(sign[0]), grouped[0]),), sign.end()
        word = self._word(at, end)
        if word is not None and self._text[word[1] : word[1] + 1] in ("+", "-") and word[1] < end:
            sign = _OPERATOR.match(self._text, word[1], end)
            assert sign is not None
            return (_Weighed(_factor(sign[0]), word[0]),), sign.end()
        return None

    def _target(self, at: int, end: int) -> _Found | None:
        return self._quoted(at, end) or self._brackets(at, end) or self._word(at, end)

    def _brackets(self, at: int, end: int) -> _Found | None:
        """``( … )``"""
        if self._text[at : at + 1] != "(" or at >= end:
            return None
        key = ("(", at, end)
        if key not in self._known:
            self._known[key] = self._inside(at + 1, end, ")")
        return self._known[key]

    def _quoted(self, at: int, end: int) -> _Found | None:
        """``" … "``"""
        close = self._quote_end(at, end)
        if close < 0:
            return None
        key = ('"', at, end)
        if key not in self._known:
            found = self._inside(at + 1, close, "")
            self._known[key] = (found[0], close + 1) if found else None
        return self._known[key]

    def _quote_end(self, at: int, end: int) -> int:
        text = self._text
        if text[at : at + 1] != '"' or at >= end:
            return -1
        close = at + 1
        while close < end and text[close] not in '"\n':
            close += 2 if text.startswith('\\"', close) else 1
        return close if close < end and text[close] == '"' else -1

    def _inside(self, at: int, end: int, close: str) -> _Found | None:
        """What brackets or quotation marks hold, up to the closing one, or to `end`."""
        if self._depth >= _DEEPEST:
            return None
        self._depth += 1
        try:
            nodes: list[_Node] = []
            while (at := self._skip(at, end)) < end:
                found = (
                    self._attention(at, end)
                    or self._brackets(at, end)
                    or self._quoted(at, end)
                    or self._word(at, end)
                )
                if found is None and self._text[at] in ",.":
                    found = ((_Words(at, at + 1),), at + 1)
                if found is None:
                    break
                nodes += found[0]
                at = found[1]
            if close:
                return (tuple(nodes), at + 1) if at < end and self._text[at] == close else None
            return (tuple(nodes), at) if at >= end else None
        finally:
            self._depth -= 1

    def _word(self, at: int, end: int) -> _Found | None:
        """A word without marks."""
        text, start = self._text, at
        while at < end:
            character = text[at]
            following = text[at + 1 : min(at + 2, end)]
            if character == "\\" and following and following in _MARKS:
                at += 2
            elif character in "+-":
                if not following or following.isspace() or following in _MARKS:
                    break
                at += 1
            elif digits := _DIGITS.match(text, at, end):
                at = digits.end()
            elif character.isspace() or character in _MARKS:
                break
            else:
                at += 1
        return ((_Words(start, at),), at) if at > start else None

    def _skip(self, at: int, end: int) -> int:
        while at < end and self._text[at].isspace():
            at += 1
        return at

    # -- pieces -------------------------------------------------------------------------------

    def _pieces(self, nodes: Sequence[_Node]) -> tuple[Piece, ...]:
        """Words beside one another of the same weight as one piece."""
        pieces: list[Piece] = []
        for words, weight in self._flat(nodes, 1.0):
            text, places = self._unescaped(words)
            if pieces and pieces[-1].weight == weight:
                last = pieces.pop()
                text = f"{last.text} {text}"
                places = (*last.places, words.start, *places)
            pieces.append(Piece(text, weight, places))
        return tuple(pieces)

    def _flat(self, nodes: Sequence[_Node], weight: float) -> list[tuple[_Words, float]]:
        flat: list[tuple[_Words, float]] = []
        for node in nodes:
            if isinstance(node, _Words):
                flat.append((node, weight))
            else:
                flat += self._flat(node.children, weight * node.factor)
        return flat

    def _unescaped(self, words: _Words) -> tuple[str, tuple[int, ...]]:
        places: list[int] = []
        at = words.start
        while at < words.end:
            escapes = self._text[at] == "\\" and self._text[at + 1 : at + 2] in tuple(_MARKS)
            at += escapes and at + 1 < words.end
            places.append(at)
            at += 1
        return "".join(self._text[place] for place in places), tuple(places)


def _factor(sign: str) -> float:
    if sign[0] == "+" and sign.strip("+") == "":
        return PLUS ** len(sign)
    if sign[0] == "-" and sign.strip("-") == "":
        return MINUS ** len(sign)
    return float(sign)


def _numbers(text: str) -> tuple[list[float] | None, bool]:
    """Weights between the brackets of a call, and whether they are to be made shares of one; None
    for anything else."""
    items = [item.strip() for item in text.split(",")] if text.strip() else []
    normal = "no_normalize" not in items[-1:]
    items = items if normal else items[:-1]
    if all(re.fullmatch(r"[+-]?(?:\d+\.?\d*|\.\d+)", item) for item in items):
        return [float(item) for item in items], normal
    return None, normal
