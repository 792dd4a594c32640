"""CLIP's byte-pair vocabulary as the two files Hugging Face tokenizers read.

OpenAI published the merges of CLIP's tokenizer as ``bpe_simple_vocab_16e6.txt.gz`` (MIT); the
``open_clip_torch`` wheel carries that file. ``vocab.json`` is implied by it: 256 byte symbols, the
same 256 ending a word, one token per merge, and two special tokens, 49,408 in all.
"""

from __future__ import annotations

import gzip
import json
import zipfile
from pathlib import Path

MERGES_IN_WHEEL = "open_clip/bpe_simple_vocab_16e6.txt.gz"
VOCABULARY_SIZE = 49408
SPECIAL_TOKENS = ("<|startoftext|>", "<|endoftext|>")
END_OF_WORD = "</w>"


def byte_symbols() -> list[str]:
    """The 256 printable symbols that stand for bytes, in the order of CLIP's vocabulary.

    Printable Latin-1 bytes stand for themselves; the others take the code points from 256 on.
    """
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    rest = 256 - len(printable)
    return [chr(code) for code in printable] + [chr(256 + extra) for extra in range(rest)]


def read_merges(wheel: Path) -> list[str]:
    """The merges that CLIP uses, best first, each as ``"left right"``."""
    with zipfile.ZipFile(wheel) as archive:
        lines = gzip.decompress(archive.read(MERGES_IN_WHEEL)).decode("utf-8").split("\n")
    count = VOCABULARY_SIZE - 2 * 256 - len(SPECIAL_TOKENS)
    # The first line is a version header; the file goes on well past what CLIP uses.
    return lines[1 : 1 + count]


def vocabulary(merges: list[str]) -> dict[str, int]:
    """Token to id. A merge's token is its two halves joined."""
    symbols = byte_symbols()
    tokens = symbols + [symbol + END_OF_WORD for symbol in symbols]
    tokens += ["".join(merge.split()) for merge in merges]
    tokens += SPECIAL_TOKENS
    if len(tokens) != VOCABULARY_SIZE or len(set(tokens)) != VOCABULARY_SIZE:
        raise ValueError(f"expected {VOCABULARY_SIZE} distinct tokens, found {len(set(tokens))}")
    return {token: index for index, token in enumerate(tokens)}


def write_tokenizer(wheel: Path, folder: Path) -> None:
    """Write ``vocab.json`` and ``merges.txt`` for the merges in an ``open_clip_torch`` wheel."""
    merges = read_merges(wheel)
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(vocabulary(merges), ensure_ascii=False, separators=(",", ":"))
    (folder / "vocab.json").write_text(text, encoding="utf-8")
    (folder / "merges.txt").write_text(
        "#version: 0.2\n" + "\n".join(merges) + "\n", encoding="utf-8"
    )
