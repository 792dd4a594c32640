"""From a prompt to what the UNet is conditioned on."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gui import words
from gui.coreml.model import Family, clip_skip_output
from gui.coreml.runtime import LoadedModel
from gui.coreml.sidecar import Sidecar
from gui.errors import ErrorKind, SfumatoError
from gui.pipeline.chunks import Chunk, Layout, lay_out
from gui.pipeline.tokens import TOKEN_LIMIT, ClipTokenizer, count_read
from gui.syntax.types import Part, PromptSyntax, Reading, Section

PAD_WITH_END = 49407
PAD_WITH_ZERO = 0
_KEPT = 32
"""Encodings that stay, the latest: of pictures that follow one another much is the same, the
negative prompt at least.  One takes up to 0.6 MB per 77 tokens."""
_LEAST = 1e-5
"""Weight below which compel tells none apart."""


@dataclass(frozen=True)
class Conditioning:
    """One prompt as the UNet reads it."""

    context: np.ndarray
    """Token states, float32 [1, tokens, channels]; SDXL: both encoders side by side."""
    pooled: np.ndarray | None
    """The whole prompt in one vector, float32 [1, width], of the last encoder (SDXL)."""
    score: float | None = None
    """How beautiful the picture shall be, for a refiner."""

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
        self._encoders = [
            _Encoder(encoder, tokenizer)
            for encoder, tokenizer in zip(encoders, tokenizers, strict=True)
        ]
        self._kept: OrderedDict[object, Conditioning] = OrderedDict()

    def skip(self, layers: int) -> bool:
        """From now on read the layer that a clip skip names, as web UIs count it.

        Returns:
            Whether every encoder has it; else all of them go on with the one they were made for.
        """
        has = all(encoder.offers(layers) for encoder in self._encoders)
        for encoder in self._encoders:
            encoder.layers = layers if has else 1
        return has

    @property
    def length(self) -> int:
        """Places of a chunk, start and end among them."""
        return min(encoder.length for encoder in self._encoders)

    def chunks(self, reading: Reading, most: int | None) -> int:
        """How many chunks a prompt takes, of which at most so many can be read."""
        return self._encoders[0].lay_out(reading, most).chunks

    def encode(self, reading: Reading, chunks: int = 1, most: int | None = 1) -> Conditioning:
        """What every encoder says; they are run unless it is known from before.

        Args:
            chunks: how many there shall be; those that are missing are empty ones.
            most: how many can be read; what lies beyond them is cut.
        """
        layers = tuple(encoder.layers for encoder in self._encoders)
        key = (layers, reading, chunks, most)
        known = self._kept.pop(key, None)
        if known is None:
            known = self._encode(reading, chunks, most)
        self._kept[key] = known  # the latest
        while len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        return known

    def _encode(self, reading: Reading, chunks: int, most: int | None) -> Conditioning:
        states: list[np.ndarray] = []
        pooled: np.ndarray | None = None
        for encoder in self._encoders:
            hidden, pooled = encoder.encode(reading, chunks, most)
            states.append(hidden)
        return Conditioning(np.concatenate(states, axis=-1), pooled)

    def note_of_cut(
        self, prompt: str, syntax: PromptSyntax, what: str = "prompt", most: int | None = 1
    ) -> str:
        """A sentence about the part of `prompt` that was not read; empty if all of it was."""
        tokenizer = self._encoders[0].tokenizer
        count = count_read(prompt, syntax, tokenizer, self.length - 2, most)
        if count.fits:
            return ""
        return (
            f"The {what} has {count.n} tokens and the model reads {count.limit}; "
            f"this part had no effect: {words.quoted(count.cut_text.strip(), 300)}."
        )


class _Encoder:
    """One text encoder."""

    def __init__(self, network: LoadedModel, tokenizer: ClipTokenizer) -> None:
        self._network = network
        self.tokenizer = tokenizer
        self.layers = 1
        """Clip skip, as web UIs count it."""
        self._empty: dict[int, tuple[np.ndarray, np.ndarray | None]] = {}
        spec = next(iter(network.inputs.values()))
        self.length = spec.shape[-1] or TOKEN_LIMIT + 2

    def lay_out(self, reading: Reading, most: int | None) -> Layout:
        return lay_out(reading, self.tokenizer, self.length - 2, most)

    def encode(
        self, reading: Reading, chunks: int, most: int | None
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Token states [1, chunks · length, channels], and the first chunk's pooled state."""
        laid = self.lay_out(reading, most)
        if len(laid.sections) == len(reading.sections):
            sections = reading.sections
        else:  # packed into one
            sections = (Section((Part(tuple(reading.pieces())),)),)
        states: list[np.ndarray] = []
        pooled: np.ndarray | None = None
        for section, parts in zip(sections, laid.sections, strict=True):
            hidden, whole = self._section(section, parts, reading.syntax)
            states.append(hidden)
            pooled = whole if len(states) == 1 else pooled
        for _ in range(chunks - laid.chunks):
            states.append(self._of_nothing()[0])
        return (states[0] if len(states) == 1 else np.concatenate(states, axis=1)), pooled

    def _section(
        self, section: Section, parts: tuple[tuple[Chunk, ...], ...], syntax: PromptSyntax
    ) -> tuple[np.ndarray, np.ndarray | None]:
        chunks = len(parts[0])
        made = [
            self._part(part, laid, syntax) for part, laid in zip(section.parts, parts, strict=True)
        ]
        hidden, pooled = made[0]
        if len(made) > 1:
            shares = [part.share for part in section.parts]
            hidden = _mixed([states for states, _ in made], shares)
            wholes = [whole for _, whole in made if whole is not None]
            pooled = _mixed(wholes, shares) if wholes else None
        if section.weight != 1:
            empty = np.concatenate([self._of_nothing()[0]] * chunks, axis=1)
            hidden = empty + (hidden - empty) * np.float32(section.weight)
        return hidden, pooled

    def _part(
        self, part: Part, chunks: tuple[Chunk, ...], syntax: PromptSyntax
    ) -> tuple[np.ndarray, np.ndarray | None]:
        made = [self._chunk(chunk, syntax) for chunk in chunks]
        hidden = np.concatenate([states for states, _ in made], axis=1)
        lighter = [n for n, piece in enumerate(part.pieces) if piece.weight < 1]
        if syntax is not PromptSyntax.COMPEL or not lighter:
            return hidden, made[0][1]
        # compel's rule for weights below 1: towards the prompt that lacks the words.  (It can also
        # hide them from the encoder's attention, its default, for which Core ML's have no input.)
        variants, shares = [hidden], [1.0]
        for n in lighter:
            rest = Reading((Section((Part((*part.pieces[:n], *part.pieces[n + 1 :])),)),), syntax)
            laid = self.lay_out(rest, len(chunks)).sections[0][0]
            laid = (*laid, *[()] * (len(chunks) - len(laid)))
            variants.append(np.concatenate([self._chunk(c, syntax)[0] for c in laid], axis=1))
            weight = max(_LEAST, part.pieces[n].weight)
            shares.append(math.tan((1 - weight) * math.pi / 2))
        total = sum(shares)
        return _mixed(variants, [share / total for share in shares]), made[0][1]

    def _chunk(self, chunk: Chunk, syntax: PromptSyntax) -> tuple[np.ndarray, np.ndarray | None]:
        """One run of the encoder, its states weighed."""
        hidden, pooled = self._run([token.id for token in chunk])
        if all(token.weight == 1 for token in chunk):
            return hidden, pooled
        weights = np.ones((1, self.length, 1), np.float32)
        weights[0, 1 : 1 + len(chunk), 0] = [token.weight for token in chunk]
        if syntax is PromptSyntax.COMPEL:
            empty = self._of_nothing()[0]
            weighed = empty + (hidden - empty) * weights
            return np.where(weights == 1, hidden, weighed), pooled
        # The web UI's rule: multiplied, then brought back to the mean that it had.
        weighed = hidden * weights
        before, after = float(hidden.mean()), float(weighed.mean())
        return (weighed * np.float32(before / after) if after else weighed), pooled

    def _of_nothing(self) -> tuple[np.ndarray, np.ndarray | None]:
        """The encoding of an empty prompt."""
        if self.layers not in self._empty:
            self._empty[self.layers] = self._run([])
        return self._empty[self.layers]

    def offers(self, layers: int) -> bool:
        """Whether it has a clip skip's layer; XL's own is that of 2."""
        own = 2 if "hidden_embeds" in self._network.outputs else 1
        return layers <= own or clip_skip_output(layers) in self._network.outputs

    def _run(self, content: Sequence[int]) -> tuple[np.ndarray, np.ndarray | None]:
        network = self._network
        name = "input_ids" if "input_ids" in network.inputs else next(iter(network.inputs))
        ids = np.array([self.tokenizer.framed(content, self.length)], np.float32)
        outputs = network({name: ids})
        # SDXL's encoders give the state before the last layer under a name of its own
        hidden = outputs.get("hidden_embeds", outputs.get("last_hidden_state"))
        hidden = outputs.get(clip_skip_output(self.layers), hidden)
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


def _mixed(arrays: Sequence[np.ndarray], shares: Sequence[float]) -> np.ndarray:
    mixed = np.zeros_like(arrays[0])
    for array, share in zip(arrays, shares, strict=True):
        mixed += array * np.float32(share)
    return mixed


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
