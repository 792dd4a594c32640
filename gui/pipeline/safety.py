"""The model's safety checker, run on the finished picture."""

from __future__ import annotations

import numpy as np
from PIL import Image

from gui.coreml.runtime import LoadedModel
from gui.errors import SfumatoError

# CLIP's published image normalisation (mean and deviation of red, green, blue)
CLIP_MEAN = np.array((0.48145466, 0.4578275, 0.40821073), np.float32)
CLIP_DEVIATION = np.array((0.26862954, 0.26130258, 0.27577711), np.float32)
CLIP_SIZE = 224


def finds_unsafe(checker: LoadedModel, pixels: np.ndarray) -> bool:
    """Whether the checker objects to a picture, uint8 [H, W, 3]."""
    images = checker.inputs.get("images")
    seen = checker.inputs["clip_input"].shape[-1] if "clip_input" in checker.inputs else None
    arrays = {"clip_input": clip_input(pixels, seen or CLIP_SIZE)}
    if images is not None:
        # It comes back blanked or not, which we do ourselves.  The network may be fixed at another
        # size than the picture's.
        fallback = (1, *pixels.shape)
        shape = tuple(s or fallback[axis] for axis, s in enumerate(images.shape))
        arrays["images"] = np.zeros(shape, np.float32)
    if "adjustment" in checker.inputs:  # added to every concept's score: 0 is the published rule
        shape = tuple(s or 1 for s in checker.inputs["adjustment"].shape)
        arrays["adjustment"] = np.zeros(shape, np.float32)
    return bool((checker(arrays)["has_nsfw_concepts"] > 0.5).any())


def with_advice(error: SfumatoError) -> SfumatoError:
    """Why the checker cannot be used, and in place of other advice, that the model can without."""
    what = error.what.rstrip(".")
    advice = "switch the safety checker off to make pictures without it"
    return SfumatoError(error.kind, f"{what}; {advice}.", error.detail)


def clip_input(pixels: np.ndarray, side: int = CLIP_SIZE) -> np.ndarray:
    """A picture as CLIP's image encoder takes it: shorter side to `side` (bicubic), centre cropped,
    normalised; float32 [1, 3, side, side]."""
    height, width = pixels.shape[:2]
    short = min(height, width)
    size = (int(side * width / short), int(side * height / short))
    picture = Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC)
    left, top = (size[0] - side) // 2, (size[1] - side) // 2
    picture = picture.crop((left, top, left + side, top + side))
    normal = (np.asarray(picture, np.float32) / 255 - CLIP_MEAN) / CLIP_DEVIATION
    return np.ascontiguousarray(normal.transpose(2, 0, 1)[None], np.float32)


def blanked(pixels: np.ndarray) -> np.ndarray:
    """What is kept of a picture the checker objects to: black, of the same size."""
    return np.zeros_like(pixels)
