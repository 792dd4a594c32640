"""The token counter and tokenizer, against transformers' CLIPTokenizer."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gui.errors import ErrorKind, SfumatoError
from gui.paths import resource
from gui.pipeline.tokens import ClipTokenizer, count_tokens
from tests.support.tiny_networks import clip_tokenizer

NASTY = [
    "",
    "   ",
    "a photo of an astronaut riding a horse on mars",
    "hello!!! world! !",
    "don't I'll WE'VE they're he'd 's 't n't",
    "naïve café e\u0301 \u00c5 \u212b",
    "İstanbul ΑΣ ẞß ﬁ ǅ",
    "東京タワー 日本語 한국어 العربية עברית हिन्दी ไทย",
    "👩‍👩‍👧‍👦 🏳️‍🌈 😀😀😀",
    "lines\n\nand\ttabs\r\n\u00a0\u3000\u2028end",
    "<|endoftext|> hi <|startoftext|> <|ENDOFTEXT|>",
    "a" * 300,
    "12345 3.14 ½ ² Ⅷ ٣",
    "((masterpiece)), [blurry:1.2], {a|b}, <lora:x:0.8>",
    "\u200b\ufeffzero width \u0000 \x7f",
    "snake_case kebab-case 50%off C++ #1",
    "the quick brown fox " * 60,
    "…—“quotes” ‘single’ «guillemets»",
]


def random_texts(count: int) -> list[str]:
    rng = random.Random(20)
    ranges = [(32, 127), (32, 127), (32, 0x500), (0x500, 0xD7FF), (0x1F300, 0x1F700)]

    def char() -> str:
        return chr(rng.choice([32, 33, rng.randrange(*rng.choice(ranges))]))

    return ["".join(char() for _ in range(rng.randrange(1, 90))) for _ in range(count)]


@pytest.mark.parametrize("pad", [49407, 0])
def test_ids_agree_with_transformers(pad: int) -> None:
    reference, ours = clip_tokenizer(pad), ClipTokenizer(pad_id=pad)
    for text in NASTY + random_texts(400):
        expected = reference(text, padding="max_length", max_length=77, truncation=True).input_ids
        assert ours.ids(text) == expected, repr(text)


def test_count_agrees_with_transformers() -> None:
    reference = clip_tokenizer(49407)
    for text in NASTY:
        text = text.replace("<lora:x:0.8>", "")  # names a LoRA, and is no part of the prompt
        whole = reference(text, add_special_tokens=False).input_ids
        assert count_tokens(text).n == len(whole), repr(text)


def test_what_is_kept_and_what_is_cut() -> None:
    """The kept part alone gives the same ids as the whole prompt: nothing of the rest is read."""
    text = "A painting of " + ", ".join(f"thing{n}" for n in range(40)) + ", THE END"
    count = count_tokens(text)
    assert not count.fits
    assert count.n > count.limit == 75
    assert count.kept_text + count.cut_text == text
    assert count.cut_text.endswith("THE END")
    reference = clip_tokenizer(49407)
    kept = reference(count.kept_text, add_special_tokens=False).input_ids
    assert kept == reference(text, truncation=True, max_length=77).input_ids[1:-1]


def test_a_prompt_that_just_fits() -> None:
    fits = "cat " * 75
    assert count_tokens(fits).fits
    assert count_tokens(fits).cut_text == ""
    assert count_tokens(fits + "dog").cut_text == "dog"


def test_counting_needs_nothing_heavy() -> None:
    """The window counts tokens, and must not load torch, transformers or numpy for it."""
    code = (
        "import sys; from gui.pipeline.tokens import count_tokens;"
        "import gui.scheduler_names,"
        " gui.coreml.defaults;"
        "assert count_tokens('two cats').n == 2;"
        "heavy = {'torch', 'transformers', 'diffusers', 'numpy', 'coremltools', 'scipy'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_model_with_its_own_vocabulary(tmp_path: Path) -> None:
    for name in ("vocab.json", "merges.txt"):
        shutil.copy(resource("tokenizer") / name, tmp_path)
    assert ClipTokenizer(tmp_path).ids("two cats") == ClipTokenizer().ids("two cats")


@pytest.mark.parametrize(
    ("vocab", "merges"),
    [
        (None, "#version: 0.2\n"),
        ("not json", "#version: 0.2\n"),
        ('{"a": 0, "<|endoftext|>": 1, "<|startoftext|>": 2}', "a b\n"),
        ('{"a": 0}', "#version: 0.2\n"),
        ('{"a": 0}', "one two three\n"),
        ("[1, 2]", "#version: 0.2\n"),
    ],
)
def test_damaged_vocabulary_is_one_clear_error(
    tmp_path: Path, vocab: str | None, merges: str
) -> None:
    if vocab is not None:
        (tmp_path / "vocab.json").write_text(vocab)
    (tmp_path / "merges.txt").write_text(merges)
    with pytest.raises(SfumatoError) as caught:
        ClipTokenizer(tmp_path)
    assert caught.value.kind is ErrorKind.BAD_MODEL
