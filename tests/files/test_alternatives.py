"""Alternatives in braces, as dynamic prompts write them."""

from __future__ import annotations

import pytest

from gui.alternatives import MAX_PROMPTS, alternatives, literal, plain
from gui.errors import ErrorKind, SfumatoError


@pytest.mark.parametrize(
    ("prompt", "made"),
    [
        ("a fox", ["a fox"]),
        ("", [""]),
        ("a {red|blue} fox", ["a red fox", "a blue fox"]),
        ("{a|b} {c|d}", ["a c", "a d", "b c", "b d"]),
        ("{a|{b|c} d} e", ["a e", "b d e", "c d e"]),
        ("a { red | very blue } fox", ["a red fox", "a very blue fox"]),
        ("a {|red} fox", ["a fox", "a red fox"]),
        ("{2::red|0.5::blue} fox", ["red fox", "blue fox"]),
        ("{a|a|b}", ["a", "b"]),
        ("{{strong}} word", ["{{strong}} word"]),
        ("{strong {a|b}}", ["{strong a}", "{strong b}"]),
        ("open {a|b", ["open {a|b"]),
        ("shut a|b}", ["shut a|b}"]),
        (r"a \{red|blue} fox", [r"a \{red|blue} fox"]),
        ("(red:1.2) [a|b]", ["(red:1.2) [a|b]"]),
        ("{漢字|かな}", ["漢字", "かな"]),
    ],
)
def test_what_a_prompt_stands_for(prompt: str, made: list[str]) -> None:
    assert alternatives(prompt) == made


def test_too_many_are_refused_before_they_are_made() -> None:
    assert len(alternatives("{a|b}" * 6)) == MAX_PROMPTS
    with pytest.raises(SfumatoError, match="more than 64") as caught:
        alternatives("{a|b|c|d|e|f|g|h}" * 40)
    assert caught.value.kind is ErrorKind.BAD_REQUEST


def test_a_random_pick_is_said_to_be_none() -> None:
    with pytest.raises(SfumatoError, match="All alternatives are made"):
        alternatives("{2$$a|b|c} fox")


@pytest.mark.parametrize(
    "prompt",
    ["a fox", "a {red|blue} fox", "{a|{b|c}}", "{2$$a|b} {x}", "{{w}}", "{{a|b}|{c|d}} }{"],
)
def test_a_prompt_that_was_used_means_itself_again(prompt: str) -> None:
    (made,) = alternatives(literal(prompt))
    assert plain(made) == prompt


def test_words_that_take_turns_are_no_alternatives() -> None:
    assert alternatives("{[cat|dog]|a fox} in fog") == ["[cat|dog] in fog", "a fox in fog"]
    assert alternatives("[{red|blue}:green:0.5] sky") == [
        "[red:green:0.5] sky",
        "[blue:green:0.5] sky",
    ]
    assert alternatives("a {[red|blue} sky") == ["a [red sky", "a blue sky"]
