"""From a prompt to what the UNet is conditioned on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gui import words
from gui.coreml.model import Family
from gui.coreml.runtime import LoadedModel
from gui.coreml.sidecar import Sidecar
from gui.errors import ErrorKind, SfumatoError
from gui.pipeline.tokens import TOKEN_LIMIT, ClipTokenizer

PAD_WITH_END = 49407
PAD_WITH_ZERO = 0


@dataclass(frozen=True)
class Conditioning:
    """One prompt as the UNet reads it."""

    context: np.ndarray
    """Token states, float32 [1, tokens, channels]; SDXL: both encoders side by side."""
    pooled: np.ndarray | None
    """The whole prompt in one vector, float32 [1, width], of the last encoder (SDXL)."""

    def zeroed(self) -> Conditioning:
        """The same shapes, all zero: how SDXL was trained to read an empty prompt."""
        pooled = None if self.pooled is None else np.zeros_like(self.pooled)
        return Conditioning(np.zeros_like(self.context), pooled)


class TextEncoders:
    """One or two text encoders with their tokenizers.

    Args:
        encoders: loaded networks, in order (SDXL: two).
        tokenizers: one per encoder, differing in padding alone.
    """

    def __init__(
        self, encoders: Sequence[LoadedModel], tokenizers: Sequence[ClipTokenizer]
    ) -> None:
        self._encoders = tuple(encoders)
        self._tokenizers = tuple(tokenizers)

    def encode(self, prompt: str) -> Conditioning:
        """Run every encoder on `prompt`; what lies beyond the encoder's length is cut."""
        states: list[np.ndarray] = []
        pooled: np.ndarray | None = None
        for encoder, tokenizer in zip(self._encoders, self._tokenizers, strict=True):
            hidden, pooled = _run(encoder, tokenizer, prompt)
            states.append(hidden)
        return Conditioning(np.concatenate(states, axis=-1), pooled)

    def note_of_cut(self, prompt: str, what: str = "prompt") -> str:
        """A sentence about the part of `prompt` that was not read; empty if all of it was."""
        count = self._tokenizers[0].count(prompt, self._limit())
        if count.fits:
            return ""
        return (
            f"The {what} has {count.n} tokens and the model reads {count.limit}; "
            f"this part had no effect: {words.quoted(count.cut_text.strip(), 300)}."
        )

    def _limit(self) -> int:
        return min(_length(encoder) for encoder in self._encoders) - 2


def make_tokenizers(folders: Sequence[Path], sidecar: Sidecar, count: int) -> list[ClipTokenizer]:
    """One tokenizer per text encoder.

    The model's own ``vocab.json`` and ``merges.txt`` are used where one of `folders` has both,
    else CLIP's.
    """
    files = ("vocab.json", "merges.txt")
    own = next((f for f in folders if all((f / name).is_file() for name in files)), None)
    pads = sidecar.pad_token_ids or _family_pads(sidecar.family)
    pads = (*pads, *[pads[-1]] * count)[:count]
    return [ClipTokenizer(own, pad) for pad in pads]


def _family_pads(family: Family) -> tuple[int, ...]:
    if family is Family.SD2:
        return (PAD_WITH_ZERO,)
    if family is Family.SDXL:
        return (PAD_WITH_END, PAD_WITH_ZERO)
    return (PAD_WITH_END,)


def _length(encoder: LoadedModel) -> int:
    spec = next(iter(encoder.inputs.values()))
    return spec.shape[-1] or TOKEN_LIMIT + 2


def _run(
    encoder: LoadedModel, tokenizer: ClipTokenizer, prompt: str
) -> tuple[np.ndarray, np.ndarray | None]:
    name = "input_ids" if "input_ids" in encoder.inputs else next(iter(encoder.inputs))
    ids = np.array([tokenizer.ids(prompt, _length(encoder))], np.float32)
    outputs = encoder({name: ids})
    # SDXL's encoders give the state before the last layer under a name of its own
    hidden = outputs.get("hidden_embeds", outputs.get("last_hidden_state"))
    if hidden is None:
        hidden = next((a for a in outputs.values() if a.ndim == 3), None)
    pooled = outputs.get("pooled_outputs")
    if pooled is None or pooled.ndim != 2:
        pooled = next((a for a in outputs.values() if a.ndim == 2), None)
    if hidden is None or hidden.ndim != 3:
        raise SfumatoError(
            ErrorKind.BAD_MODEL,
            "The model's text encoder does not return token states; choose another model.",
            ", ".join(f"{name} {array.shape}" for name, array in sorted(outputs.items())),
        )
    return hidden, pooled
