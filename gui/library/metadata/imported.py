"""What another program's picture was made with, in this program's terms as far as they go."""

from __future__ import annotations

from dataclasses import dataclass, field

from gui.library.metadata.values import as_float
from gui.request import RandomSource

MAX_UNMAPPED = 200
"""Settings without a counterpart that are told: more can only be somebody's joke."""


@dataclass(frozen=True)
class Unmapped:
    """A setting that has no counterpart here."""

    name: str
    value: str
    why: str
    """One sentence for a person."""


@dataclass
class Imported:
    """The settings a picture carries.  None: not stated."""

    program: str
    """Who wrote them, as a person knows it: ``ComfyUI``."""
    prompt: str = ""
    negative_prompt: str = ""
    steps: int | None = None
    guidance_scale: float | None = None
    seed: int | None = None
    sampler: str = ""
    """As the program wrote it, with its schedule: ``DPM++ 2M Karras``."""
    scheduler: str | None = None
    """The same by our name; None where there is none."""
    width: int | None = None
    height: int | None = None
    model: str = ""
    model_hash: str = ""
    strength: float | None = None
    """How much of a starting picture was dreamt anew, 0 to 1."""
    start_picture: str = ""
    """Name of the starting picture, where one is named."""
    random_source: RandomSource | None = None
    clip_skip: int | None = None
    loras: list[tuple[str, float]] = field(default_factory=list)
    """Names and weights."""
    remarks: dict[str, str] = field(default_factory=dict)
    """By the request's field: what a person should know of taking it over, in one sentence."""
    more: dict[str, str] = field(default_factory=dict)
    """Further fields of the request by name, as the program wrote them."""
    unmapped: list[Unmapped] = field(default_factory=list)
    raw: dict[str, str] = field(default_factory=dict)
    """What the reading was made from, for “Show Everything”."""

    @property
    def full(self) -> bool:
        """Whether no more unmapped settings are noted."""
        return len(self.unmapped) >= MAX_UNMAPPED

    def leave(self, name: str, value: object, why: str) -> None:
        """Note a setting that cannot be used here."""
        if not self.full:
            self.unmapped.append(Unmapped(name[:80], str(value)[:500], why))

    def add_lora(self, name: str, weight: object) -> None:
        """Note a LoRA; one without a weight that can be read has 1."""
        number = as_float(weight)
        if name:
            self.loras.append((name, 1.0 if number is None else number))

    @property
    def empty(self) -> bool:
        """Whether nothing that makes a picture was found."""
        return not (self.prompt or self.negative_prompt or self.seed is not None or self.steps)
