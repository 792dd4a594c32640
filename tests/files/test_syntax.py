"""Marks in prompts: the web UI's by the examples that document them, compel's against compel."""

from __future__ import annotations

import random
from typing import Any

import pytest
from compel.prompt_parser import Blend, PromptParser

from gui.syntax.compel import read_compel
from gui.syntax.compose import sides_of
from gui.syntax.emphasis import read_emphasis
from gui.syntax.reading import read_phases, read_sides, words_alone
from gui.syntax.schedule import phases_of
from gui.syntax.types import PromptSyntax

WEIGHTS = {
    "normal text": [("normal text", 1.0)],
    "an (important) word": [("an ", 1.0), ("important", 1.1), (" word", 1.0)],
    "(unbalanced": [("unbalanced", 1.1)],
    r"\(literal\]": [("(literal]", 1.0)],
    "(unnecessary)(parens)": [("unnecessaryparens", 1.1)],
    "a (((house:1.3)) [on] a (hill:0.5), sun, (((sky))).": [
        ("a ", 1.0), ("house", 1.5730000000000004), (" ", 1.1), ("on", 1.0), (" a ", 1.1),
        ("hill", 0.55), (", sun, ", 1.1), ("sky", 1.4641000000000006), (".", 1.1),
    ],
}  # fmt: skip
"""The examples in the documentation of the web UI's `parse_prompt_attention`."""

SCHEDULES = {
    "test": [(10, "test")],
    "a [b:3]": [(3, "a "), (10, "a b")],
    "a [b: 3]": [(3, "a "), (10, "a b")],
    "a [[[b]]:2]": [(2, "a "), (10, "a [[b]]")],
    "[(a:2):3]": [(3, ""), (10, "(a:2)")],
    "a [b : c : 1] d": [(1, "a b  d"), (10, "a  c  d")],
    "a[b:[c:d:2]:1]e": [(1, "abe"), (2, "ace"), (10, "ade")],
    "a [unbalanced": [(10, "a [unbalanced")],
    "a [b:.5] c": [(5, "a  c"), (10, "a b c")],
    "a [{b|d{:.5] c": [(5, "a  c"), (10, "a {b|d{ c")],
    "((a][:b:c [d:3]": [(3, "((a][:b:c "), (10, "((a][:b:c d")],
    "[a|(b:1.1)]": [(n, "a" if n % 2 else "(b:1.1)") for n in range(1, 11)],
    "[fe|]male": [(n, "female" if n % 2 else "male") for n in range(1, 11)],
    "[fe|||]male": [(n, "female" if n % 4 == 1 else "male") for n in range(1, 11)],
}
"""Those of `get_learned_conditioning_prompt_schedules`, for ten steps."""


def weights(reading: Any) -> list[tuple[str, float]]:
    return [(piece.text, piece.weight) for piece in reading.pieces()]


@pytest.mark.parametrize("prompt", WEIGHTS)
def test_weights_as_the_web_ui_documents_them(prompt: str) -> None:
    assert weights(read_emphasis(prompt)) == WEIGHTS[prompt]


@pytest.mark.parametrize("prompt", SCHEDULES)
def test_changes_as_the_web_ui_documents_them(prompt: str) -> None:
    assert [(until, text) for until, text, _ in phases_of(prompt, 10)] == SCHEDULES[prompt]


def test_more_of_the_web_ui() -> None:
    (from_now,) = read_phases("[cat::0.5]", PromptSyntax.WEB_UI, 1)
    assert from_now.reading.text == ""
    first, second = read_phases("a [cat::0.5]", PromptSyntax.WEB_UI, 8)
    assert (first.until, first.reading.text, second.reading.text) == (4, "a cat", "a")
    first, second = read_phases("a [:cat:2]", PromptSyntax.WEB_UI, 8)
    assert (first.until, first.reading.text, second.reading.text) == (2, "a", "a cat")
    broken = read_emphasis("a red sky BREAK (a boat BREAK:1.2) b")
    assert [[(p.text, p.weight) for p in s.parts[0].pieces] for s in broken.sections] == [
        [("a red sky", 1.0)],
        [("a boat", 1.2)],
        [(" b", 1.0)],
    ]
    assert weights(read_emphasis("BREAKFAST (toast:1.2.3)")) == [
        ("BREAKFAST ", 1.0),
        ("toast:1.2.3", 1.1),
    ]


@pytest.mark.parametrize("syntax", PromptSyntax)
@pytest.mark.parametrize("prompt", ["a cat, on a mat: 3:2", "", "don't! ünïcode 東京 {a|b}"])
def test_a_prompt_without_marks_is_one_piece(prompt: str, syntax: PromptSyntax) -> None:
    (phase,) = read_phases(prompt, syntax, 5)
    assert " ".join(p.text for p in phase.reading.pieces()).split() == prompt.split()
    assert all(piece.weight == 1 for piece in phase.reading.pieces())


def test_every_character_is_known_by_its_place() -> None:
    prompt = r"a [[b]:(ça\)++:1.2):.5] BREAK [x|y] \\ (so++ \"z\")-"
    for syntax in PromptSyntax:
        for phase in read_phases(prompt, syntax, 4):
            for piece in phase.reading.pieces():
                for character, place in zip(piece.text, piece.places, strict=True):
                    # words of one weight are joined by a blank
                    assert character in (prompt[place], " "), (syntax, piece)


@pytest.mark.parametrize("character", '([)]:|\\"+')
def test_thousands_of_marks_are_read_at_once(character: str) -> None:
    for syntax in PromptSyntax:
        assert read_phases(f"a {character * 20_000} b", syntax, 3)
        assert read_phases("([a:" * 5000 + ":3])" * 5000, syntax, 3)


def test_words_stand_alone_in_their_places() -> None:
    prompt = "a (cat:1.3) BREAK [dog|fox], [red::0.5] sky"
    alone = words_alone(prompt, PromptSyntax.WEB_UI)
    assert alone.split() == ["a", "cat", ",dog", ",", "red", "sky"]
    assert all(alone.index(w) == prompt.index(w) for w in ("cat", "dog", "red", "sky"))
    prompt = '("a cat++", "dogs").and(1, 2)'
    assert words_alone(prompt, PromptSyntax.COMPEL).split() == ["a", "cat", ",dogs"]
    assert words_alone(prompt, PromptSyntax.PLAIN) == prompt


# compel

WRITTEN = [
    "a cat", "a cat++ on a mat-", "(a cat)1.5 sits", "a (tall (man)++ here)-- x", '"big dog"+ run',
    "(a, b.)0.5, c", "cat, (dog)+,fish", '("a cat", "a dog").blend(0.7, 0.3)',
    '("a cat++", "a dog").and()', '("a", "b").and(1, 0.5)', "well-known c++ code", r"a \(b\) c",
    '("a","b", "c d").blend(1,-0.3,.2,no_normalize)', r"(a \( b)1.1", "a ( b", "a ) b", "((a)+)-",
    "()+ x", '"a" b', 'a "b', "dog.attend(1.2)", "(red car).attend(--) x", "x 1.5 y", "(1.5 y)2",
    "a (b)1.2c", "a(b)++", "(b)a++", "C+ +", "what?!+", "“quoted”+", "(a ++)", "(a+b)+ c", "(--a)+",
    "x+1", "x-1", "(x)-1", "(x)+1.5",
]  # fmt: skip
_BITS = ["a", "cat", "dog", " ", " ", " ", "+", "-", "++", "--", "(", ")", "(", ")", '"', ", ", ".",
         "1.2", "0.5", "3", "=", "\\(", "\\)", "-x", "+y", "'", "!"]  # fmt: skip


def _told(text: str, weight: float) -> tuple[str, float]:
    return " ".join(text.split()), round(weight, 9)


def compels(prompt: str, parser: PromptParser) -> list[Any]:
    """What compel reads, as [(weight, [(share, [(text, weight)])])]."""
    read = parser.parse_conjunction(prompt)
    found: list[Any] = []
    for part, weight in zip(read.prompts, read.weights, strict=True):
        blended = isinstance(part, Blend)
        prompts = part.prompts if blended else [part]
        shares = part.weights if blended else [1.0]
        total = sum(shares) if blended and part.normalize_weights else 1.0
        sides = [
            (
                round(share / total, 9),
                [_told(f.text, f.weight) for f in p.children if f.text.strip()],
            )
            for p, share in zip(prompts, shares, strict=True)
        ]
        found.append((weight, sides))
    return found


def ours(prompt: str) -> list[Any]:
    return [
        (
            section.weight,
            [
                (round(p.share, 9), [_told(f.text, f.weight) for f in p.pieces if f.text.strip()])
                for p in section.parts
            ],
        )
        for section in read_compel(prompt).sections
    ]


def test_compels_syntax_is_read_as_compel_reads_it() -> None:
    parser = PromptParser()
    for prompt in WRITTEN:
        assert ours(prompt) == compels(prompt, parser), prompt


def test_any_text_is_read_as_compel_reads_it() -> None:
    parser, rng = PromptParser(), random.Random(7)
    for _ in range(300):
        prompt = "cat" + "".join(rng.choice(_BITS) for _ in range(rng.randrange(1, 12)))
        assert ours(prompt) == compels(prompt, parser), prompt


COMPOSED = {
    "a cat AND a dog": [("a cat ", 1.0), (" a dog", 1.0)],
    "a cat :1.2 AND a dog AND a penguin :2.2": [
        ("a cat", 1.2), (" a dog ", 1.0), (" a penguin", 2.2),
    ],
    "a ANDROID and a BRAND": [("a ANDROID and a BRAND", 1.0)],
    "rain : -.5 AND sun: 2. ": [("rain", -0.5), (" sun", 2.0)],
    "(rain:1.2) AND [sun:moon:4]": [("(rain:1.2) ", 1.0), (" [sun:moon:4]", 1.0)],
    "16:9": [("16:9", 1.0)],
}  # fmt: skip
"""By the web UI's wiki, *Features*, "Composable diffusion", whose weights may be left out."""


@pytest.mark.parametrize("prompt", COMPOSED)
def test_sides_as_the_web_ui_documents_them(prompt: str) -> None:
    sides = sides_of(prompt, PromptSyntax.WEB_UI)
    assert [(prompt[start:end], weight) for start, end, weight in sides] == COMPOSED[prompt]
    for syntax in (PromptSyntax.COMPEL, PromptSyntax.PLAIN):
        assert sides_of(prompt, syntax) == [(0, len(prompt), 1.0)]


def test_places_in_a_composed_prompt_are_those_of_the_whole() -> None:
    prompt = "a (cat) AND a [dog:fox:2] :1.3 AND snow"
    for side in read_sides(prompt, PromptSyntax.WEB_UI, 4):
        for phase in side.phases:
            for piece in phase.reading.pieces():
                assert piece.text == "".join(prompt[place] for place in piece.places)
    words = words_alone(prompt, PromptSyntax.WEB_UI)
    assert words.replace(",", " ").split() == ["a", "cat", "a", "dog", "snow"]
    assert len(words) == len(prompt) and words.count(",") == 2
