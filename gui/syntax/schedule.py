"""Words that come and go from step to step, as the Stable Diffusion web UI writes them.

``[from:to:when]`` changes words after a step, ``[to:when]`` adds some, ``[from::when]`` takes some
away; `when` is a number of steps, or with a decimal point a share of them.  ``[a|b]`` takes turns,
a step each.  All may stand in one another.  Brackets of any other content are weights
(`gui.syntax.emphasis`) and stay as they are.  (Examples: the web UI's wiki, *Features*, "Prompt
editing" and "Alternating words", and those its parser is documented by.)
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

_WHEN = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*")
_DEEPEST = 40
"""Brackets in one another; deeper ones are taken as they stand."""


@dataclass
class _Bracket:
    """A pair of square brackets whose content is balanced."""

    end: int = 0
    """Place of the closing one."""
    colons: list[int] = field(default_factory=list[int])
    bars: list[int] = field(default_factory=list[int])
    """Of those directly in it."""
    depth: int = 0


def phases_of(prompt: str, steps: int) -> list[tuple[int, str, tuple[int, ...]]]:
    """What a prompt is from step to step.

    Returns:
        (the last step that it holds for, the text, where its characters stand in `prompt`), in
        order; the last one ends at `steps`.
    """
    brackets = _brackets(prompt)
    changes = {steps}
    for start in brackets:
        changes.update(_changes(prompt, start, brackets[start], steps))
    made: list[tuple[int, str, tuple[int, ...]]] = []
    for step in sorted(change for change in changes if 1 <= change <= steps):
        places = tuple(_at(prompt, 0, len(prompt), step, steps, brackets))
        made.append((step, "".join(prompt[place] for place in places), places))
    return made


def _brackets(prompt: str) -> dict[int, _Bracket]:
    """Pairs that mean a change, by the place of the opening one."""
    found: dict[int, _Bracket] = {}
    stack: list[tuple[str, int, _Bracket]] = []
    at = 0
    while at < len(prompt):
        character = prompt[at]
        if character == "\\":
            at += 2
            continue
        if character in "([":
            stack.append((character, at, _Bracket(depth=len(stack))))
        elif character in ")]":
            if stack and stack[-1][0] == ("(" if character == ")" else "["):
                _, start, bracket = stack.pop()
                bracket.end = at
                if character == "]" and bracket.depth < _DEEPEST:
                    found[start] = bracket
            else:
                stack.clear()  # nothing that began before it can be whole
        elif character in ":|" and stack and stack[-1][0] == "[":
            bracket = stack[-1][2]
            (bracket.colons if character == ":" else bracket.bars).append(at)
        at += 1
    return {start: b for start, b in found.items() if _when(prompt, b) or _takes_turns(b)}


def _when(prompt: str, bracket: _Bracket) -> str:
    """The number that ends a scheduled change; empty: it is none."""
    if len(bracket.colons) not in (1, 2):
        return ""
    number = _WHEN.fullmatch(prompt, bracket.colons[-1] + 1, bracket.end)
    return number[1] if number else ""


def _takes_turns(bracket: _Bracket) -> bool:
    return bool(bracket.bars) and not bracket.colons


def _step(when: str, steps: int) -> int:
    number = float(when)
    return int(min(steps, max(-1.0, number * steps if "." in when else number)))


def _changes(prompt: str, start: int, bracket: _Bracket, steps: int) -> Iterator[int]:
    when = _when(prompt, bracket)
    if when:
        yield _step(when, steps)
    else:
        yield from range(1, steps + 1)


def _at(
    prompt: str, start: int, end: int, step: int, steps: int, brackets: dict[int, _Bracket]
) -> Iterator[int]:
    """Places of the characters that are there at a step."""
    at = start
    while at < end:
        bracket = brackets.get(at)
        if bracket is not None:
            inner = _chosen(prompt, at, bracket, step, steps)
            yield from _at(prompt, *inner, step, steps, brackets)
            at = bracket.end + 1
        elif prompt[at] == "\\":
            yield from range(at, min(at + 2, end))
            at += 2
        else:
            yield at
            at += 1


def _chosen(prompt: str, start: int, bracket: _Bracket, step: int, steps: int) -> tuple[int, int]:
    """Where what is chosen at a step begins and ends."""
    when = _when(prompt, bracket)
    if when:
        first = bracket.colons[0]
        if len(bracket.colons) == 1:  # nothing, then what stands before the number
            return (start, start) if step <= _step(when, steps) else (start + 1, first)
        before, after = (start + 1, first), (first + 1, bracket.colons[1])
        return before if step <= _step(when, steps) else after
    cuts = [start, *bracket.bars, bracket.end]
    place = (step - 1) % (len(cuts) - 1)
    return cuts[place] + 1, cuts[place + 1]
