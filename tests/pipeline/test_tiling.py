"""Pictures that tile: the seam is no worse than what lies inside."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from gui.coreml.inspect import inspect_model, load_sidecar
from gui.coreml.portable.runtime import PortableRuntime
from gui.errors import ErrorKind, SfumatoError
from gui.paths import starter_model
from gui.pipeline.pipeline import Hooks, Pipeline
from gui.pipeline.tiling import decoded, wrapped
from gui.request import ComputeUnit, Control, Enlargement, PictureRequest, RandomSource, Tiling
from tests.support.torch_runtime import torch_pipeline

Pipes = Callable[[str], Any]


def request(tiling: Tiling, prompt: str = "a red apple", **changes: Any) -> PictureRequest:
    values: dict[str, Any] = {
        "steps": 6, "guidance_scale": 4.0, "scheduler": "Euler", "seed": 5, "previews": False,
        "random_source": RandomSource.TORCH, "enlargement": Enlargement.OFF, "tiling": tiling,
    }  # fmt: skip
    return PictureRequest(prompt, "", **(values | changes))


def seam(pixels: np.ndarray, axis: int) -> tuple[float, float]:
    """Mean difference over the seam, and the largest between two neighbours inside."""
    lines = np.moveaxis(pixels.astype(float), axis, 0)
    steps = np.abs(np.roll(lines, -1, 0) - lines).reshape(len(lines), -1).mean(1)
    return steps[-1], steps[:-1].max()


@pytest.fixture(scope="module")
def starter() -> Pipeline:
    info = inspect_model(starter_model())
    return Pipeline(info, load_sidecar(info), PortableRuntime(), ComputeUnit.CPU_ONLY)


@pytest.mark.parametrize(
    ("tiling", "fits"),
    [(Tiling.BOTH, (True, True)), (Tiling.X, (False, True)), (Tiling.Y, (True, False))],
)
def test_the_seam_of_a_tiny_model(diffusers_pipe: Pipes, tiling: Tiling, fits: Any) -> None:
    pipeline, _ = torch_pipeline("sd1", diffusers_pipe("sd1"))
    pixels = next(pipeline.generate(request(tiling), Hooks())).pixels
    for axis, fit in enumerate(fits):
        over, inside = seam(pixels, axis)
        assert not fit or over <= inside, (axis, over, inside)


@pytest.mark.parametrize("seed", [5, 6])
def test_the_seam_of_the_starter_model(starter: Pipeline, seed: int) -> None:
    """A thing that is cut by the frame goes on at the other side."""
    asked = request(Tiling.BOTH, "grapes on a blue background", seed=seed, steps=None)
    pixels = next(starter.generate(asked, Hooks())).pixels
    assert pixels.std() > 5
    for axis in (0, 1):
        over, inside = seam(pixels, axis)
        assert over <= inside, (axis, over, inside)


def test_a_picture_that_tiles_is_enlarged_so_that_it_still_does() -> None:
    rng = np.random.default_rng(1)
    pixels = rng.integers(0, 255, (40, 48, 3), np.uint8)

    def blurred(part: np.ndarray) -> np.ndarray:
        """Twice the size, each pixel mixed with its neighbours, as far as there are any."""
        large = part.repeat(2, 0).repeat(2, 1).astype(float)
        padded = np.pad(large, ((1, 1), (1, 1), (0, 0)))
        return (padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:]) / 4

    made = wrapped(pixels, Tiling.BOTH, blurred, 2)
    moved = wrapped(np.roll(pixels, (7, 9), (0, 1)), Tiling.BOTH, blurred, 2)
    assert np.array_equal(np.roll(made, (14, 18), (0, 1)), moved)
    assert np.array_equal(wrapped(pixels, Tiling.OFF, blurred, 2), blurred(pixels))


def test_a_decoder_without_edges_is_not_touched() -> None:
    """Where rolling makes no difference, the picture is the decoder's own."""
    latents = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(1))

    def decode(z: torch.Tensor) -> np.ndarray:
        return z[0, :3].numpy().transpose(1, 2, 0).repeat(8, 0).repeat(8, 1)

    for dimensions in ((-1,), (-2,), (-2, -1)):
        assert np.abs(decoded(latents, dimensions, decode) - decode(latents)).max() < 1e-5


def test_off_changes_nothing_and_what_cannot_tile_is_said(diffusers_pipe: Pipes) -> None:
    pipeline, _ = torch_pipeline("sd1", diffusers_pipe("sd1"))
    led = request(Tiling.BOTH, controls=(Control("edges", "/a.png"),))
    with pytest.raises(SfumatoError, match="cannot be led by ControlNets") as caught:
        next(pipeline.generate(led, Hooks()))
    assert caught.value.kind is ErrorKind.BAD_REQUEST
