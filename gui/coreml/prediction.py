"""What a UNet predicts: the noise (epsilon), velocity (v-prediction) or the picture (sample).

Core ML files have no place of their own for it, and most checkpoints do not state it either.  Most
of Stable Diffusion 2 predicts velocity, and so do some fine-tunes of 1 and XL.  In this order:
what the files state, what the source is called, what the weights look like, how large the pictures
are.  The rules by name and by weights are conversion's too.

Standard library only.
"""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from gui.coreml.few_steps import words
from gui.coreml.model import ComponentInfo, Family
from gui.coreml.norms import last_block_shift
from gui.errors import SfumatoError

EPSILON, VELOCITY, SAMPLE = "epsilon", "v_prediction", "sample"

VELOCITY_LATENT = 96
"""Latent side of Stable Diffusion 2's own pictures: trained for velocity at 768 pixels, and for
epsilon at 512."""

VELOCITY_SPREAD = 0.09
"""Standard deviation of the first layer norm's bias in the UNet's last transformer above which
Stable Diffusion 2 predicts velocity.  Learnt from the published models and long in use in ComfyUI;
nothing else in the weights tells the two apart."""

_SPELLINGS = {
    "v": VELOCITY,
    "vprediction": VELOCITY,
    "vpred": VELOCITY,
    "velocity": VELOCITY,
    "epsilon": EPSILON,
    "eps": EPSILON,
    "noise": EPSILON,
    "sample": SAMPLE,
    "x0": SAMPLE,
}
_KEYS = ("predictiontype", "parameterization", "predictkey")
_VELOCITY_WORDS = re.compile(r"\bv ?pred(iction)?\b|\bvelocity\b|\b768 ?v\b|\bv ?2 1? ?768\b")
_EPSILON_WORDS = re.compile(r"\b(base|512|turbo)\b")
_PUBLISHED_SD2 = re.compile(r"\bstable ?diffusion ?v? ?2( [01])?( 768)?\b")
_BESIDE_IT = {
    "coreml", "core", "ml", "stabilityai", "palettized", "original", "split", "einsum", "compiled",
    "packages", "fp", "16", "bit", "bits", "v", "2", "4", "6", "8", "unet", "resources", "version",
}  # fmt: skip
"""Words that a conversion adds to the name of what it was made from."""


class KnownBy(StrEnum):
    """Where the knowledge comes from."""

    STATED = "stated"
    """In a sidecar or in the files' metadata."""
    NAME = "name"
    WEIGHTS = "weights"
    SIZE = "size"
    FAMILY = "family"


_REASONS = {
    KnownBy.STATED: "as its files say",
    KnownBy.NAME: "by its name",
    KnownBy.WEIGHTS: "by its weights",
    KnownBy.SIZE: "by the size of its pictures",
    KnownBy.FAMILY: "as its family does",
}
_TITLES = {EPSILON: "the noise (epsilon)", VELOCITY: "velocity (v-prediction)", SAMPLE: "pictures"}


@dataclass(frozen=True)
class Prediction:
    kind: str
    """As diffusers names it."""
    known_by: KnownBy

    @property
    def reason(self) -> str:
        """How it is known, in a few words."""
        return _REASONS[self.known_by]

    @property
    def note(self) -> str:
        """A sentence, where it is worth one: a wrong guess makes noise of every picture."""
        if self.known_by in (KnownBy.STATED, KnownBy.FAMILY):
            return ""
        return assumed(self.kind, self.reason)


def assumed(kind: str, reason: str) -> str:
    """The sentence on what is assumed, and why."""
    return (
        f"The files do not say what the model predicts; {reason}, {_TITLES.get(kind, kind)} is "
        "assumed."
    )


def spelled(text: str) -> str:
    """diffusers' name for what a file states; empty for what is no such thing."""
    return _SPELLINGS.get(re.sub(r"[^a-z0-9]", "", text.lower()), "")


def stated(metadata: Mapping[str, str]) -> str:
    """What metadata of any spelling state; empty where they do not."""
    for key, value in metadata.items():
        plain = re.sub(r"[^a-z]", "", key.lower())
        if plain.endswith(_KEYS) and (kind := spelled(str(value))):
            return kind
    return ""


def by_name(name: str, family: Family) -> str:
    """What the name of a source tells; empty where it does not.

    "v-pred" tells of every family.  Of Stable Diffusion 2, the published models for 512 pixels are
    called "base", and those for 768 have no further word; somebody's own model has others.
    """
    text = " ".join(words(name))
    if _VELOCITY_WORDS.search(text):
        return VELOCITY
    if family is not Family.SD2:
        return ""
    if _EPSILON_WORDS.search(text):
        return EPSILON
    rest, published = _PUBLISHED_SD2.subn(" ", text, count=1)
    return VELOCITY if published and _BESIDE_IT.issuperset(rest.split()) else ""


def by_weights(values: Sequence[float]) -> str:
    """What the bias that `VELOCITY_SPREAD` speaks of tells; empty for none."""
    if not values or not all(map(math.isfinite, values)):
        return ""
    spread = statistics.pstdev(values)
    if not spread:
        return ""
    return VELOCITY if spread > VELOCITY_SPREAD else EPSILON


def prediction_of(
    unet: ComponentInfo | None,
    others: Iterable[ComponentInfo],
    names: Iterable[str],
    family: Family,
    latent: tuple[int, int],
) -> Prediction:
    """What a finished model predicts.

    Args:
        unet: its denoiser.
        others: further networks, whose metadata may say it.
        names: of the source, the most telling first.
        latent: height and width.
    """
    for component in (*((unet,) if unet else ()), *others):
        if kind := stated(component.metadata):
            return Prediction(kind, KnownBy.STATED)
    for name in names:
        if kind := by_name(name, family):
            return Prediction(kind, KnownBy.NAME)
    if family is not Family.SD2:
        return Prediction(EPSILON, KnownBy.FAMILY)
    if unet is not None and (kind := by_weights(_shift(unet))):
        return Prediction(kind, KnownBy.WEIGHTS)
    square = latent == (VELOCITY_LATENT, VELOCITY_LATENT)
    return Prediction(VELOCITY if square else EPSILON, KnownBy.SIZE)


def _shift(unet: ComponentInfo) -> Sequence[float]:
    try:
        return last_block_shift(unet.files[-1])
    except (SfumatoError, OSError, ValueError, LookupError, ArithmeticError):
        return ()  # the weights do not tell
