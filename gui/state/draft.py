"""What the prompt panel holds: a picture request in the making.

A draft differs from a `PictureRequest` in two ways: the seed may be unlocked (a fresh one is drawn
for every run), and steps, guidance scale and scheduler remember whether the person chose them or
the model did, so that switching models moves only what was never touched.
"""

from __future__ import annotations

import random
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from gui.errors import SfumatoError
from gui.request import (
    MAX_COUNT,
    MAX_GUIDANCE,
    MAX_SEED,
    MAX_STEPS,
    ComputeUnit,
    PictureRequest,
    RandomSource,
    StartImage,
)


def random_seed() -> int:
    """A fresh seed from the system's randomness, anywhere in 0 … 2**32 - 1."""
    return random.SystemRandom().randint(0, MAX_SEED)


@dataclass(frozen=True)
class Draft:
    """The prompt panel's contents.  Immutable; change it with `dataclasses.replace`."""

    prompt: str = ""
    negative_prompt: str = ""
    steps: int | None = None
    """None: the model's own default."""
    guidance_scale: float | None = None
    """None: the model's own default."""
    scheduler: str | None = None
    """None: the model's own default."""
    seed: int = 0
    seed_locked: bool = False
    count: int = 1
    strength: float = 0.6
    start_image: str = ""
    """Path of the picture to start from; empty: start from noise."""
    random_source: str = RandomSource.NUMPY.value
    compute_unit: str = ComputeUnit.ALL.value
    safety_checker: bool = True

    def request(self, model: str, *, output_dir: str = "", previews: bool = True) -> PictureRequest:
        """The request this draft stands for.

        Args:
            model: folder of the model; empty for the starter model.

        Raises:
            SfumatoError: BAD_REQUEST where a value is out of range.
        """
        start = StartImage(self.start_image, self.strength) if self.start_image else None
        request = PictureRequest(
            prompt=self.prompt.strip(),
            model=model,
            negative_prompt=self.negative_prompt.strip(),
            steps=self.steps,
            guidance_scale=self.guidance_scale,
            scheduler=self.scheduler,
            seed=self.seed,
            count=self.count,
            random_source=RandomSource(self.random_source),
            compute_unit=ComputeUnit(self.compute_unit),
            start_image=start,
            safety_checker=self.safety_checker,
            previews=previews,
            output_dir=output_dir,
        )
        request.validate()
        return request

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Draft:
        """Read a saved draft; anything unknown, mistyped or out of range falls back to default."""
        draft = cls()
        known = {f.name for f in fields(cls)}
        for name, value in data.items():
            if name in known:
                candidate = replace(draft, **{name: value})
                if _is_sound(candidate):
                    draft = candidate
        return draft

    @classmethod
    def from_request(cls, request: PictureRequest) -> Draft:
        """The settings of a finished picture, seed locked so that the same picture comes again."""
        start = request.start_image
        return cls(
            prompt=request.prompt,
            negative_prompt=request.negative_prompt,
            steps=request.steps,
            guidance_scale=request.guidance_scale,
            scheduler=request.scheduler,
            seed=request.seed,
            seed_locked=True,
            count=1,
            strength=start.strength if start else 0.6,
            start_image=start.path if start else "",
            random_source=request.random_source.value,
            compute_unit=request.compute_unit.value,
            safety_checker=request.safety_checker,
        )


def _is_sound(draft: Draft) -> bool:
    texts = (draft.prompt, draft.negative_prompt, draft.start_image)
    flags = (draft.seed_locked, draft.safety_checker)
    if not all(isinstance(t, str) for t in texts) or not all(isinstance(f, bool) for f in flags):
        return False
    if not isinstance(draft.scheduler, (str, type(None))):
        return False
    try:
        draft.request("")
        StartImage("", float(draft.strength))
        return 0.0 <= float(draft.strength) <= 1.0
    except (SfumatoError, ValueError, TypeError):
        return False


__all__ = [
    "MAX_COUNT",
    "MAX_GUIDANCE",
    "MAX_SEED",
    "MAX_STEPS",
    "ComputeUnit",
    "Draft",
    "RandomSource",
    "random_seed",
]
