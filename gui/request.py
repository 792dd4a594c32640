"""What is asked for and what comes back: the vocabulary every floor shares.

One picture request is one dataclass tree.  The window, the command line, the queue on disk, the
metadata inside a picture and the messages to the engine all carry this same tree as JSON, so a new
parameter is one field here.  Standard library only: the window process imports this before its
first paint.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from gui.errors import ErrorKind, SfumatoError

MAX_SEED = 2**32 - 1
"""Largest seed.  NumPy's and Swift's generators take 32 bits, and torch's CPU one uses no more."""

MAX_STEPS = 1000
MAX_COUNT = 1000
MAX_GUIDANCE = 100.0


class ComputeUnit(StrEnum):
    """Processors Core ML may use, by Apple's names.

    The portable runtime always runs on the CPU and takes every value.
    """

    ALL = "ALL"
    CPU_AND_GPU = "CPU_AND_GPU"
    CPU_AND_NE = "CPU_AND_NE"
    CPU_ONLY = "CPU_ONLY"


class RandomSource(StrEnum):
    """Which program's random numbers the starting noise reproduces."""

    NUMPY = "numpy"
    """Apple's ml-stable-diffusion, the Hugging Face app and Mochi Diffusion."""
    TORCH = "torch"
    """diffusers on the CPU."""
    NVIDIA = "nvidia"
    """Stable Diffusion web UIs on an NVIDIA GPU (Philox)."""


@dataclass(frozen=True)
class StartImage:
    """A picture to start from (image-to-image)."""

    path: str
    strength: float = 0.6
    """How much of the picture is dreamt anew: 0 keeps it, 1 ignores it."""


@dataclass(frozen=True)
class PictureRequest:
    """Everything that decides a picture.  Immutable; change it with `dataclasses.replace`."""

    prompt: str
    model: str
    """Folder of the model; empty for the starter model that ships with the app."""
    negative_prompt: str = ""
    steps: int | None = None
    """None: the model's own default."""
    guidance_scale: float | None = None
    """None: the model's own default.  At 1 or below the UNet runs once per step."""
    scheduler: str | None = None
    """A name from `gui.pipeline.schedulers`; None: the model's own default."""
    seed: int = 0
    count: int = 1
    """Number of pictures.  Picture k is made from seed + k (modulo 2**32), alone reproducible."""
    random_source: RandomSource = RandomSource.NUMPY
    compute_unit: ComputeUnit = ComputeUnit.ALL
    start_image: StartImage | None = None
    safety_checker: bool = True
    """Use the model's safety checker when it has one."""
    previews: bool = True
    output_dir: str = ""
    """Folder for the pictures; empty: the user's picture folder."""
    output_file: str = ""
    """Exact file to write instead (command line `-o FILE`); count > 1 numbers the files."""

    def seeds(self) -> list[int]:
        """Seeds of the pictures, wrapping at 2**32 rather than overflowing."""
        return [(self.seed + k) % (MAX_SEED + 1) for k in range(self.count)]

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> PictureRequest:
        """Read a request; unknown keys (a newer version's) are ignored.

        Raises:
            SfumatoError: BAD_REQUEST where a value has the wrong type or range.
        """
        known = {f.name for f in dataclasses.fields(cls)}
        values = {k: v for k, v in data.items() if k in known}
        try:
            if values.get("start_image") is not None:
                start = values["start_image"]
                values["start_image"] = StartImage(str(start["path"]), float(start["strength"]))
            if "random_source" in values:
                values["random_source"] = RandomSource(values["random_source"])
            if "compute_unit" in values:
                values["compute_unit"] = ComputeUnit(values["compute_unit"])
            request = cls(**values)
        except (TypeError, ValueError, KeyError) as error:
            raise SfumatoError(
                ErrorKind.BAD_REQUEST, "The picture request is not readable.", repr(error)
            ) from error
        request.validate()
        return request

    def validate(self) -> None:
        """Check ranges that do not depend on the model.

        Raises:
            SfumatoError: BAD_REQUEST, naming the parameter and its range.
        """
        _whole("The seed", self.seed, 0, MAX_SEED)
        _whole("The number of pictures", self.count, 1, MAX_COUNT)
        if self.steps is not None:
            _whole("The number of steps", self.steps, 1, MAX_STEPS)
        if self.guidance_scale is not None:
            _real("The guidance scale", self.guidance_scale, 0.0, MAX_GUIDANCE)
        if self.start_image is not None:
            _real("The strength", self.start_image.strength, 0.0, 1.0)
        for name in ("prompt", "negative_prompt", "model", "output_dir", "output_file"):
            if not isinstance(getattr(self, name), str):
                raise SfumatoError(ErrorKind.BAD_REQUEST, f"The {name} must be text.")


def _whole(what: str, value: object, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise SfumatoError(
            ErrorKind.BAD_REQUEST,
            f"{what} must be a whole number from {low} to {high}, not {value!r}.",
        )


def _real(what: str, value: object, low: float, high: float) -> None:
    good = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not good or not math.isfinite(value) or not low <= value <= high:  # type: ignore[arg-type]
        raise SfumatoError(
            ErrorKind.BAD_REQUEST, f"{what} must be from {low:g} to {high:g}, not {value!r}."
        )


@dataclass(frozen=True)
class PictureRecord:
    """What a finished picture says of itself: stored in its PNG and sent with the `image` event."""

    request: PictureRequest
    """The request with every default filled in, count 1 and this picture's own seed."""
    width: int
    height: int
    model_name: str
    model_hash: str = ""
    seconds: float = 0.0
    """Wall time of this picture, loading excluded."""
    notes: tuple[str, ...] = field(default=())
    """Sentences the person should know (prompt cut, safety checker blanked the picture …)."""
    safety: str = "absent"
    """`absent` (model has none), `off` (person's choice), `passed` or `blanked`."""
    program: str = ""
    created: str = ""
    """ISO 8601 local time with offset."""

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> PictureRecord:
        known = {f.name for f in dataclasses.fields(cls)}
        values = {k: v for k, v in data.items() if k in known}
        values["request"] = PictureRequest.from_json(values["request"])
        values["notes"] = tuple(values.get("notes", ()))
        return cls(**values)
