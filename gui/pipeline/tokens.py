"""CLIP's tokenizer: what a prompt becomes, and how much of it fits.

Built on the `tokenizers` library alone (about 0.05 s to import), so that the window can count
tokens without torch or transformers.  Agrees with transformers' `CLIPTokenizer`: the text is
composed (NFC), white space runs become one space, letters are lowered, words are split by CLIP's
pattern and their UTF-8 bytes merged pairwise by the published merges.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gui.errors import ErrorKind, SfumatoError
from gui.files import read_json_object, read_text
from gui.names import LORA_TAG
from gui.paths import resource
from gui.pipeline.chunks import lay_out, tokens_of
from gui.syntax.compose import sides_of
from gui.syntax.reading import read_sides
from gui.syntax.types import PromptSyntax

if TYPE_CHECKING:
    from tokenizers import Tokenizer

START = "<|startoftext|>"
END = "<|endoftext|>"
TOKEN_LIMIT = 75
"""Tokens of a prompt that CLIP's 77 places hold beside start and end."""
_LOOKED_AT = 24
"""Steps of a prompt that changes at which it is counted."""

# The pattern CLIP was trained with: contractions, runs of letters, single digits, runs of others.
_WORD = (
    r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
)


@dataclass(frozen=True)
class TokenCount:
    """How a prompt fits."""

    n: int
    """Tokens of the whole text, without start and end."""
    limit: int
    kept_text: str
    """The part of the text that the model reads."""
    cut_text: str
    """The rest, which has no effect; empty when all of it fits."""

    @property
    def fits(self) -> bool:
        return not self.cut_text


class ClipTokenizer:
    """Turns text into token ids.

    Args:
        folder: where ``vocab.json`` and ``merges.txt`` lie; None: CLIP's own, which ship with us.
        pad_id: token that fills the unused places.  SD 1 and SDXL's first encoder repeat the end
            token (49407), SD 2 and SDXL's second encoder use 0, "!".  A literal "!" in a prompt
            then also becomes 0, as it does in diffusers.

    Raises:
        SfumatoError: BAD_MODEL for files that are missing or damaged.
    """

    def __init__(self, folder: Path | None = None, pad_id: int | None = None) -> None:
        self._tokenizer = _build(folder or resource("tokenizer"))
        start, end = self._tokenizer.encode(START + END, add_special_tokens=False).ids
        self.start_id = start
        self.end_id = end
        self.pad_id = self.end_id if pad_id is None else pad_id
        self.comma_id = (self._tokenizer.encode(",", add_special_tokens=False).ids or [-1])[0]
        pad = self._tokenizer.id_to_token(self.pad_id)
        if pad is None:
            raise SfumatoError(
                ErrorKind.BAD_MODEL,
                f"The padding token {self.pad_id} is not in the vocabulary; get the model again.",
            )
        if pad != END:
            self._tokenizer.add_special_tokens([pad])

    def ids(self, text: str, length: int = TOKEN_LIMIT + 2) -> list[int]:
        """Exactly `length` ids: start, as much of `text` as fits, end, padding."""
        return self.framed(self._tokenizer.encode(text, add_special_tokens=False).ids, length)

    def framed(self, content: Sequence[int], length: int = TOKEN_LIMIT + 2) -> list[int]:
        """Exactly `length` ids: start, as much of `content` as fits, end, padding."""
        ids = [self.start_id, *content[: length - 2], self.end_id]
        return ids + [self.pad_id] * (length - len(ids))

    def tokens(self, text: str) -> list[tuple[int, int]]:
        """Every token's id, and the place in `text` where it begins."""
        encoding = self._tokenizer.encode(text, add_special_tokens=False)
        return [
            (number, start)
            for number, (start, _) in zip(encoding.ids, encoding.offsets, strict=True)
        ]


def count_tokens(
    text: str, syntax: PromptSyntax = PromptSyntax.PLAIN, chunks: int | None = 1
) -> TokenCount:
    """Count the tokens of a prompt with CLIP's own vocabulary.

    Args:
        syntax: whose marks it is read by; they are no tokens.
        chunks: how many times 75 tokens the model reads; None: as many as there are.
    """
    return count_read(text, syntax, _default(), TOKEN_LIMIT, chunks)


def count_read(
    text: str, syntax: PromptSyntax, tokenizer: ClipTokenizer, room: int, chunks: int | None
) -> TokenCount:
    """Count the tokens of a prompt, of one that changes or is composed where it has most.

    Args:
        room: tokens of a chunk.
        syntax, chunks: as in `count_tokens`.
    """
    places = _without_tags(text)
    inner = "".join(text[place] for place in places)
    found = TokenCount(-1, 0, "", "")
    ends = [end for _start, end, _weight in sides_of(inner, syntax)]
    for side, end in zip(read_sides(inner, syntax, _LOOKED_AT), ends, strict=True):
        readings = {phase.reading.text: phase.reading for phase in side.phases}
        for reading in readings.values():
            laid = lay_out(reading, tokenizer, room, chunks)
            n = len(tokens_of([*reading.pieces()], tokenizer))
            limit = room * (chunks or laid.chunks)
            if n > found.n:
                cut = len(text) if laid.cut is None else places[laid.cut]
                behind = places[end] if end < len(places) else len(text)
                found = TokenCount(n, limit, text[:cut], text[cut:behind])
    return found


def _without_tags(text: str) -> list[int]:
    """Places of the characters that are no ``<lora:…>``."""
    places: list[int] = []
    done = 0
    for tag in LORA_TAG.finditer(text):
        places += range(done, tag.start())
        done = tag.end()
    return [*places, *range(done, len(text))]


@functools.cache
def _default() -> ClipTokenizer:
    return ClipTokenizer()


def _build(folder: Path) -> Tokenizer:
    from tokenizers import Regex, Tokenizer, normalizers, pre_tokenizers
    from tokenizers.models import BPE

    try:
        vocab = read_json_object(folder / "vocab.json")
        lines = read_text(folder / "merges.txt").split("\n")
        first = 1 if lines[0].startswith("#version") else 0
        merges = [(left, right) for left, right in (line.split() for line in lines[first:] if line)]
        if not (START in vocab and END in vocab):
            raise ValueError("vocab.json lacks CLIP's start and end tokens")
        model = BPE(vocab=vocab, merges=merges, end_of_word_suffix="</w>", unk_token=END)
    # The library reports a merge that is not in the vocabulary as a bare Exception.
    except Exception as error:
        raise SfumatoError(
            ErrorKind.BAD_MODEL,
            "The model's tokenizer files (vocab.json, merges.txt) are missing or damaged; get "
            "the model again.",
            f"{folder}: {error}",
        ) from error
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_WORD), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    tokenizer.add_special_tokens([START, END])
    return tokenizer
