"""Alternatives in a prompt, as dynamic prompts write them: ``a {red|blue} fox`` means two prompts.

Braces without a bar are left alone, as other programs weigh words by them, and so is what follows a
backslash.  All alternatives are made, each a request of its own, where the web UI's extension picks
one at random unless it is told “combinatorial generation”; a weight (``{2::red|blue}``) has no
meaning then and is dropped.  Standard library only.
"""

from __future__ import annotations

import re
from itertools import pairwise

from gui.errors import ErrorKind, SfumatoError

MAX_PROMPTS = 64
"""Prompts that one may stand for."""

_WEIGHT = re.compile(r"\s*\d*\.?\d+::")
_BRACE = re.compile(r"(?<!\\)\{")
_PICK = re.compile(r"\s*[\d-]+\$\$")


def alternatives(prompt: str) -> list[str]:
    """The prompts that one stands for, the last group changing quickest; itself where it has no
    group.

    Raises:
        SfumatoError: BAD_REQUEST where there are more than `MAX_PROMPTS`, or where some of a group
            are to be picked at random.
    """
    if first_group(prompt) is None:
        return [prompt]
    made: list[str] = []
    open_ = [prompt]
    while open_:
        text = open_.pop()
        group = first_group(text)
        if group is None:
            if text not in made:
                made.append(text)
        else:
            start, end, options = group
            open_ += [_put(text, start, end, option) for option in reversed(options)]
        if len(made) + len(open_) > MAX_PROMPTS:
            raise SfumatoError(
                ErrorKind.BAD_REQUEST,
                f"The alternatives in braces make more than {MAX_PROMPTS} prompts; leave some out.",
            )
    return made


def first_group(prompt: str) -> tuple[int, int, list[str]] | None:
    """Where the first group of alternatives begins and ends, and what they are; None: none.

    Raises:
        SfumatoError: BAD_REQUEST where some of it are to be picked at random.
    """
    found = _first(prompt)
    if found is None:
        return None
    start, end, options = found
    if _PICK.match(options[0]):
        raise SfumatoError(
            ErrorKind.BAD_REQUEST,
            "All alternatives are made here, so none are picked with “$$”; take that out of the "
            "braces.",
        )
    return start, end, [_WEIGHT.sub("", option, count=1).strip() for option in options]


def _first(prompt: str) -> tuple[int, int, list[str]] | None:
    """The first group as it is written: the first braces that end and have bars directly in them.
    In one walk, since prompts may hold thousands of braces."""
    turns = _turns(prompt)
    first: tuple[int, int, list[int]] | None = None
    open_: list[tuple[int, list[int]]] = []  # places of what is open, and of the bars in it
    for at, character in enumerate(prompt):
        if _escaped(prompt, at):
            continue
        if at in turns or character == "{":  # its bars are words that take turns
            open_.append((at, []))
        elif character == "|" and open_:
            open_[-1][1].append(at)
        elif character == "]" and open_ and turns.get(open_[-1][0]) == at + 1:
            open_.pop()
        elif character == "}" and open_:
            start, bars = open_.pop()
            if bars and (first is None or start < first[0]):
                first = start, at, bars
    if first is None:
        return None
    start, end, bars = first
    cuts = [start, *bars, end]
    return start, end + 1, [prompt[one + 1 : other] for one, other in pairwise(cuts)]


def with_first(prompt: str, option: str) -> str:
    """With something in the place of the first group; the whole where there is none."""
    group = first_group(prompt)
    return option if group is None else _put(prompt, group[0], group[1], option)


def literal(prompt: str) -> str:
    """The prompt as it must be written to mean itself alone."""
    return prompt if _first(prompt) is None else _BRACE.sub(r"\\{", prompt)


def plain(prompt: str) -> str:
    """Without the backslashes that kept braces from being alternatives."""
    return prompt.replace("\\{", "{")


def _put(prompt: str, start: int, end: int, option: str) -> str:
    before, after = prompt[:start], prompt[end:]
    if not option:  # no two blanks where nothing was chosen
        before, after = before.rstrip(" ") + " " * (before[-1:] == " "), after.lstrip(" ")
    return before + option + after


def _escaped(text: str, at: int) -> bool:
    return at > 0 and text[at - 1] == "\\"


def _turns(text: str) -> dict[int, int]:
    """Pairs of square brackets, in which a bar means words that take turns: place and end."""
    pairs: dict[int, int] = {}
    stack: list[int] = []
    for at in range(len(text)):
        if text[at] in "[{" and not _escaped(text, at):
            stack.append(at)
        elif text[at] in "]}" and not _escaped(text, at):
            while stack and text[at] == "}" and text[stack[-1]] == "[":
                stack.pop()  # a bracket that doesn't close before the braces do
            if stack and text[stack[-1]] == ("[" if text[at] == "]" else "{"):
                pairs |= {stack[-1]: at + 1} if text[at] == "]" else {}
                stack.pop()
    return pairs
