"""Tiny models whose networks take several sizes, as coremltools converts them: with a range for
each side, or with a list of shapes; under Apple's names and under Guernika's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor

from gui.coreml import sidecar as sidecars
from tests.support.built import built
from tests.support.guernika import IDENTIFIER, _GuernikaWriter, guernika_controlnet, guernika_model
from tests.support.tiny_models import (
    _write_controlnet,
    _write_text_encoders,
    _write_unet,
    _write_vae,
    _Writer,
    tiny_sidecar,
)
from tests.support.tiny_networks import SHAPES, tiny_controlnet, tiny_pipeline

LISTED = ((8, 8), (12, 8), (8, 12), (10, 16))
"""Height and width of latents, the default first."""
RANGE = 8, 16
_NO_PICTURES = ("encoder_hidden_states",)


class _Ranged(_Writer):
    """States a range for each side of what follows the picture's size."""

    def shape(self, name: str, example: Tensor) -> Any:
        import coremltools as ct

        if example.ndim != 4 or name in _NO_PICTURES:
            return example.shape
        sides = []
        for side, whole in zip(example.shape[2:], SHAPES["sd1"].latent, strict=True):
            low, high = (limit * side // whole for limit in RANGE)
            sides.append(ct.RangeDim(low, high, default=side))
        return ct.Shape((*example.shape[:2], *sides))


class _Listed(_GuernikaWriter):
    """States the shapes of every size, in the same order for each input."""

    def shape(self, name: str, example: Tensor) -> Any:
        import coremltools as ct

        if example.ndim != 4 or name in _NO_PICTURES:
            return example.shape
        scale = [side / own for side, own in zip(example.shape[2:], LISTED[0], strict=True)]
        shapes = [
            (*example.shape[:2], *(round(n * by) for n, by in zip(size, scale, strict=True)))
            for size in LISTED
        ]
        return ct.EnumeratedShapes(shapes, default=shapes[0])


def ranged_model() -> Path:
    """Stable Diffusion 1 in Apple's form, 64 to 128 pixels a side, with a ControlNet; only to be
    read."""

    def build(folder: Path) -> None:
        pipe = tiny_pipeline("sd1")
        latent = SHAPES["sd1"].latent
        write = _Ranged(folder, "tiny_sd1", "fp32", "macOS13")
        folder.mkdir()
        _write_text_encoders(write, "sd1", pipe)
        _write_vae(write, pipe, latent, encoder=True)
        _write_unet(write, "sd1", pipe, latent, "original", 2, False)
        net = tiny_controlnet("sd1", pipe)
        _write_controlnet(write, "sd1", pipe, net, latent, "original", 2)
        sidecars.write(folder, tiny_sidecar("sd1"))

    return built("ranged", build, __file__)


def listed_model() -> Path:
    """Stable Diffusion 1 in Guernika's form, for the sizes of `LISTED`; only to be read."""

    def build(folder: Path) -> None:
        guernika_model("sd1", folder, _Listed(folder, IDENTIFIER, "fp32", "macOS15"))
        (folder / "nets").mkdir()
        net = tiny_controlnet("sd1", tiny_pipeline("sd1"))
        write = _Listed(folder / "nets", IDENTIFIER, "fp32", "macOS15")
        guernika_controlnet("sd1", net, folder / "nets" / "ControlNet.mlpackage", write)

    return built("listed", build, __file__)
