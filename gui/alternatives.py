"""Alternatives in a prompt, as dynamic prompts write them: ``a {red|blue} fox`` means two prompts.

Braces without a bar are left alone, as other programs weigh words by them, and so is what follows a
backslash.  All alternatives are made, each a request of its own, where the web UI's extension picks
one at random unless it is told “combinatorial generation”; a weight (``{2::red|blue}``) has no
meaning then and is dropped.  Standard library only.
"""

from __future__ import annotations

import re

from gui.errors import ErrorKind, SfumatoError

MAX_PROMPTS = 64
"""Prompts that one may stand for."""

_WEIGHT = re.compile(r"\s*\d*\.?\d+::")
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
    """The first group as it is written."""
    at, turns = 0, _turns(prompt)
    while (start := prompt.find("{", at)) >= 0:
        at = start + 1
        if _escaped(prompt, start):
            continue
        found = _group_at(prompt, start, turns)
        if found is not None:
            return (start, *found)
    return None


def with_first(prompt: str, option: str) -> str:
    """With something in the place of the first group; the whole where there is none."""
    group = first_group(prompt)
    return option if group is None else _put(prompt, group[0], group[1], option)


def literal(prompt: str) -> str:
    """The prompt as it must be written to mean itself alone."""
    while (group := _first(prompt)) is not None:
        prompt = f"{prompt[: group[0]]}\\{prompt[group[0] :]}"
    return prompt


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


def _group_at(text: str, start: int, turns: dict[int, int]) -> tuple[int, list[str]] | None:
    """The end of the braces that begin here and what the bars directly in them part; None where
    they don't end, or have no bar."""
    depth, begin, options = 0, start + 1, list[str]()
    behind = start
    for at in range(start, len(text)):
        if at < behind or _escaped(text, at):
            continue
        behind = turns.get(at, behind)
        character = text[at]
        if character == "{":
            depth += 1
        elif character == "|" and depth == 1:
            options.append(text[begin:at])
            begin = at + 1
        elif character == "}":
            depth -= 1
            if depth == 0:
                return (at + 1, [*options, text[begin:at]]) if options else None
    return None
