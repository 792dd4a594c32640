"""Marks that are read as plain words are told of; words are weighed as their syntax writes it."""

from __future__ import annotations

import pytest

from gui.syntax.reading import read_phases
from gui.syntax.remarks import remark_on_marks
from gui.syntax.types import PromptSyntax
from gui.syntax.weighing import weighed

A1111, COMPEL, PLAIN = PromptSyntax.WEB_UI, PromptSyntax.COMPEL, PromptSyntax.PLAIN


@pytest.mark.parametrize(
    ("prompt", "named", "what_to_do"),
    [
        ("a AND b.swap(c)", "“.swap(c)”", "write [cat:dog:0.4]"),
        ('("a cat", "a dog").blend(1, 1)', "“.blend(1, 1)”", "choose compel’s"),
        ("a cat++ on a mat", "“cat++”", "choose compel’s"),
        ("(a cat)1.2, fog", "“(a cat)1.2”", "choose compel’s"),
        ("fog <hypernet:anime:1>", "“<hypernet:anime:1>”", "only <lora:…>"),
        ("[cat:dog:0,4]", "“[cat:dog:0,4]”", "[cat:dog:0.4]"),
        ("[cat:dog]", "“[cat:dog]”", "[cat:dog:0.4]"),
        ("(cat:1,2)", "“(cat:1,2)”", "(cat:1.2)"),
        ("(cat:1.2 on a mat", "“(”", "close it"),
        ("a [cat on a mat", "“[”", "close it"),
        ("a {red|blue fox", "“{”", "close them"),
    ],
)
def test_a_mark_that_is_not_read_is_told_with_the_way_out(
    prompt: str, named: str, what_to_do: str
) -> None:
    said = remark_on_marks(prompt, A1111)
    assert named in said and what_to_do in said


@pytest.mark.parametrize(
    "prompt", ["[cat|dog]", "[cat:dog:0.4]", "(cat:1.2)", "a BREAK b", "a AND b"]
)
def test_the_web_uis_marks_are_told_where_compel_reads(prompt: str) -> None:
    assert "is a mark of web UIs" in remark_on_marks(prompt, COMPEL)
    assert remark_on_marks(prompt, A1111) == ""


@pytest.mark.parametrize(
    "prompt",
    [
        "", "a cat, 16:9, (1990s), C++ book, half-lit -- bright", "((a)), [[b]], {a|b} <lora:x:1>",
        "[a:b:10] [from::5] [:to:0.3]", r"\(a\) \[b \{c|d", "(note: a cat), 2", "a+ b- c",
    ],
)  # fmt: skip
def test_what_is_read_or_is_plain_to_anybody_is_left_alone(prompt: str) -> None:
    assert remark_on_marks(prompt, A1111) == ""


@pytest.mark.parametrize("prompt", ["(cat:1.2", "cat++", "[a|b]"])
def test_who_wants_no_marks_hears_of_none(prompt: str) -> None:
    assert remark_on_marks(prompt, PLAIN) == ""


def shown(text: str, words: str, steps: int, syntax: PromptSyntax = A1111) -> str:
    """The prompt afterwards, what stays selected in ``‹›``."""
    start = text.index(words)
    made = weighed(text, start, start + len(words), steps, syntax)
    if made is None:
        return ""
    parts = made.text[: made.start], made.text[made.start : made.end], made.text[made.end :]
    return "{}‹{}›{}".format(*parts)


@pytest.mark.parametrize(
    ("text", "words", "steps", "expected"),
    [
        ("a red cat", "red", 1, "a (‹red›:1.1) cat"),
        ("a red cat", " red ", -1, "a (‹red›:0.9) cat"),
        ("a (red:1.1) cat", "red", 1, "a (‹red›:1.2) cat"),
        ("a (red:1.1) cat", "red", -1, "a ‹red› cat"),
        ("a (red: 1.25 ) cat", "(red: 1.25 )", 1, "a (‹red›:1.35) cat"),
        ("(red:0.1)", "red", -3, "(‹red›:0)"),
        ("(red:9.9)", "red", 3, "(‹red›:10)"),
        ("🦊 (a) cat", "(a) cat", 1, "🦊 (‹(a) cat›:1.1)"),
        ("(a:1.2) b (c:1.3)", "(a:1.2) b (c:1.3)", 1, "(‹(a:1.2) b (c:1.3)›:1.1)"),
        (r"a\) b", r"a\) b", 1, r"(‹a\) b›:1.1)"),
        ("a (b c", "(b", 1, ""),
        ("a b", " ", 1, ""),
    ],
)
def test_selected_words_are_weighed(text: str, words: str, steps: int, expected: str) -> None:
    assert shown(text, words, steps) == expected


def test_compels_weights_and_none() -> None:
    assert shown("a red cat", "red", 2, COMPEL) == "a (‹red›)1.2 cat"
    assert shown("a (red)1.2 cat", "red", -2, COMPEL) == "a ‹red› cat"
    assert shown("a red cat", "red", 1, PLAIN) == ""


@pytest.mark.parametrize("syntax", [A1111, COMPEL])
def test_what_is_written_is_read_with_that_weight(syntax: PromptSyntax) -> None:
    made = weighed("a red cat", 2, 5, 3, syntax)
    assert made is not None
    pieces = list(read_phases(made.text, syntax, 1)[0].reading.pieces())
    assert [round(p.weight, 2) for p in pieces if "red" in p.text] == [1.3]
