"""Marks in a prompt that its syntax does not read, so that they are drawn as plain words."""

from __future__ import annotations

import re

from gui.syntax.types import PromptSyntax
from gui.words import quoted

_LONGEST = 30
"""Characters of a mark that are quoted."""
_ESCAPED = re.compile(r"\\.", re.DOTALL)
_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)"

_SWAP = re.compile(r"""(?<=[\w")])\.swap\s*\([^()]*\)?""")
_COMPEL = re.compile(
    r"""(?<=[\w")])\.(?:blend|and)\s*\([^()]*\)?"""
    r"|(?<!\S)(?![Cc]\+\+)[\w’'-]*\w(?:\+\+|--)[+-]*(?=[\s,.)]|\Z)"  # C++ is a word
    r"|\([^()]*\)(?:\++|--+|\d*\.\d+|\d+)(?=[\s,.)]|\Z)"
)
"""What compel alone means something by: ``("a", "b").blend(1, 1)``, ``word++``, ``(words)1.2``."""
_WEB_UI = re.compile(
    rf"\([^()]*:\s*{_NUMBER}\s*\)"
    rf"|\[[^\[\]]*:\s*{_NUMBER}\s*\]"
    r"|\[[^\[\]:]*\|[^\[\]:]*\]"
    r"|\bBREAK\b|\bAND\b"
)
_OTHER_TAG = re.compile(r"<(?!lora:)\w+:[^:<>]+(?::[^<>]*)?>")
"""Of the web UI's other networks: ``<hypernet:name:1>``."""
_NO_WEIGHT = re.compile(rf"\([^()\[\]:]+:(?!\s*{_NUMBER}\s*\))\s*[+-]?[\d.,][^()\[\]:]*\)")
_NO_STEP = re.compile(
    rf"\[[^()\[\]:|]+:[^()\[\]:|]+(?<!\d)\]|\[[^()\[\]:|]*:[^()\[\]:|]*:(?!\s*{_NUMBER}\s*\])[^()\[\]:|]*\]"
)
_OPEN_CHOICE = re.compile(r"\{[^{}]*\|[^{}]*\Z")


def remark_on_marks(prompt: str, syntax: PromptSyntax) -> str:
    """A sentence about the first mark of a prompt that is read as plain words, or otherwise than it
    was surely meant, and what to write; empty: there is none.

    Args:
        syntax: whose marks it is read by.  Nobody's: then that is what the person chose.
    """
    text = _ESCAPED.sub("  ", prompt)
    if _OPEN_CHOICE.search(text):
        return "Alternatives begin at “{” and never end; close them with “}”, or write \\{."
    if syntax is PromptSyntax.COMPEL:
        if (found := _WEB_UI.search(text)) is not None:
            return f"{_is_plain(found, 'web UIs')}; choose theirs under “Prompt marks”."
        return ""
    return _of_web_ui(text) if syntax is PromptSyntax.WEB_UI else ""


def without_other_marks(prompt: str, syntax: PromptSyntax) -> str:
    """A prompt with blanks in place of compel's marks where they are not read: they are no words
    that a model could know."""
    if syntax is not PromptSyntax.WEB_UI:
        return prompt
    blank = re.compile(r"\.(?:swap|blend|and)(?=\s*\()")
    return blank.sub(lambda found: " " * len(found[0]), prompt)


def _of_web_ui(text: str) -> str:
    if (found := _SWAP.search(text)) is not None:
        return f"{_is_plain(found, 'compel')}; write [cat:dog:0.4] to change one into the other."
    if (found := _COMPEL.search(text)) is not None:
        return f"{_is_plain(found, 'compel')}; choose compel’s under “Prompt marks”."
    if (found := _OTHER_TAG.search(text)) is not None:
        return f"{_quoted(found)} is read as plain words; only <lora:…> names a network here."
    if (found := _NO_WEIGHT.search(text)) is not None:
        return f"The weight in {_quoted(found)} is no number; write it as (cat:1.2)."
    if (found := _NO_STEP.search(text)) is not None:
        return f"{_quoted(found)} does not say when to change; write it as [cat:dog:0.4]."
    for opening, closing, does in (("(", ")", "strengthens"), ("[", "]", "weakens")):
        if _never_closes(text, opening, closing):
            return (
                f"A bracket “{opening}” is never closed and {does} all that follows; close it, or "
                f"write \\{opening} for the bracket itself."
            )
    return ""


def _never_closes(text: str, opening: str, closing: str) -> bool:
    depth = 0
    for character in text:
        if character == opening:
            depth += 1
        elif character == closing and depth:
            depth -= 1
    return depth > 0


def _quoted(found: re.Match[str]) -> str:
    return quoted(found[0].strip(), _LONGEST)


def _is_plain(found: re.Match[str], whose: str) -> str:
    return f"{_quoted(found)} is a mark of {whose} and read as plain words here"
