"""The bundled tokenizer files against token ids published for CLIP."""

from pathlib import Path

import pytest
from transformers import CLIPTokenizer

FOLDER = Path(__file__).parents[2] / "resources" / "tokenizer"

# From the read-me of OpenAI's CLIP and the documentation of diffusers.
PUBLISHED = {
    "a diagram": [49406, 320, 22697, 49407],
    "a dog": [49406, 320, 1929, 49407],
    "a cat": [49406, 320, 2368, 49407],
    "a photo of a cat": [49406, 320, 1125, 539, 320, 2368, 49407],
}


@pytest.fixture(scope="module")
def tokenizer() -> CLIPTokenizer:
    return CLIPTokenizer(
        vocab=str(FOLDER / "vocab.json"),
        merges=str(FOLDER / "merges.txt"),
        model_max_length=77,
    )


@pytest.mark.parametrize("text", PUBLISHED)
def test_published_ids(tokenizer: CLIPTokenizer, text: str) -> None:
    assert tokenizer(text)["input_ids"] == PUBLISHED[text]


def test_the_whole_vocabulary_is_there(tokenizer: CLIPTokenizer) -> None:
    assert len(tokenizer) == 49408
    assert tokenizer.bos_token_id == 49406
    assert tokenizer.eos_token_id == 49407


def test_short_prompts_are_filled_to_77_with_the_end_token(tokenizer: CLIPTokenizer) -> None:
    ids = tokenizer("a cat", padding="max_length", truncation=True)["input_ids"]
    assert len(ids) == 77
    assert set(ids[4:]) == {49407}


@pytest.mark.parametrize("text", ["naïve café", "日本語", "🐙 octopus", "it's 50% off, isn't it?"])
def test_any_text_survives_a_round_trip(tokenizer: CLIPTokenizer, text: str) -> None:
    ids = tokenizer(text)["input_ids"]
    decoded = tokenizer.decode(ids, skip_special_tokens=True)
    assert isinstance(decoded, str)
    assert decoded.replace(" ", "") == text.lower().replace(" ", "")
