"""Variation seeds: the starting noise part of the way to another seed's, as web UIs make it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from gui.pipeline.noise import make_noise, slerp
from gui.pipeline.pipeline import Hooks, Pipeline
from gui.request import PictureRequest, RandomSource, StartImage
from tests.support.torch_runtime import TorchRuntime, torch_pipeline

SHAPE = (1, 4, 16, 24)
Pipes = Callable[[str], Any]
SHARES = (0.05, 0.2, 0.5, 0.8, 0.95)


def noises(source: RandomSource = RandomSource.TORCH) -> tuple[torch.Tensor, torch.Tensor]:
    return make_noise(source, 7).normal(SHAPE), make_noise(source, 1234).normal(SHAPE)


def by_hand(low: np.ndarray, high: np.ndarray, share: float) -> np.ndarray:
    """The formula of spherical interpolation (Shoemake 1985), for one column after the other."""
    result = np.empty_like(low)
    _, channels, _, width = low.shape
    for channel in range(channels):
        for column in range(width):
            a, b = low[0, channel, :, column], high[0, channel, :, column]
            angle = math.acos(float(a @ b) / math.sqrt(float(a @ a) * float(b @ b)))
            result[0, channel, :, column] = (
                math.sin((1 - share) * angle) * a + math.sin(share * angle) * b
            ) / math.sin(angle)
    return result


def documented(low: torch.Tensor, high: torch.Tensor, share: float) -> torch.Tensor:
    """In the web UI's terms: noise [channels, height, width], dimension 1, in double precision."""
    a, b = low[0].double(), high[0].double()
    cosine = torch.nn.functional.cosine_similarity(a, b, dim=1)
    angle = cosine.arccos()
    parts = [torch.sin(part * angle) / torch.sin(angle) for part in (1 - share, share)]
    return torch.einsum("cw,chw->chw", parts[0], a) + torch.einsum("cw,chw->chw", parts[1], b)


@pytest.mark.parametrize("source", list(RandomSource))
@pytest.mark.parametrize("share", SHARES)
def test_it_is_the_formula(source: RandomSource, share: float) -> None:
    low, high = noises(source)
    ours = slerp(low, high, share)
    hand = by_hand(low.double().numpy(), high.double().numpy(), share)
    np.testing.assert_allclose(ours.numpy(), hand, atol=5e-6)
    np.testing.assert_allclose(ours[0].numpy(), documented(low, high, share).numpy(), atol=5e-6)


def test_its_ends_are_the_two_noises() -> None:
    low, high = noises()
    assert torch.equal(slerp(low, high, 1.0), high)
    torch.testing.assert_close(slerp(low, high, 0.0), low, rtol=0, atol=1e-6)
    assert torch.equal(slerp(low, low.clone(), 0.5), low), "one seed with itself is that seed"


@pytest.mark.parametrize("share", SHARES)
def test_it_stays_noise(share: float) -> None:
    """A picture of half-hearted noise is flat: the length of a straight line between two noises
    falls to 0.71 of theirs, that of the arc stays."""
    low, high = noises()
    ends = [float(low.norm()), float(high.norm())]
    length = float(slerp(low, high, share).norm())
    assert 0.97 * min(ends) < length < 1.03 * max(ends)
    assert abs(float(slerp(low, high, share).std()) - 1) < 0.05


# -- in pictures ------------------------------------------------------------------------------


@pytest.fixture
def made(diffusers_pipe: Pipes) -> tuple[Pipeline, TorchRuntime]:
    return torch_pipeline("sd1", diffusers_pipe("sd1"))


def asked(**changes: Any) -> PictureRequest:
    base = {"prompt": "a red apple", "model": "m", "steps": 3, "scheduler": "Euler", "seed": 7}
    return PictureRequest(**{**base, **changes})


def pixels_of(pipeline: Pipeline, request: PictureRequest) -> list[np.ndarray]:
    return [picture.pixels for picture in pipeline.generate(request, Hooks())]


@pytest.fixture
def start(tmp_path) -> StartImage:  # type: ignore[no-untyped-def]
    from PIL import Image

    Image.linear_gradient("L").convert("RGB").save(tmp_path / "start.png")
    return StartImage(str(tmp_path / "start.png"), 1.0)


@pytest.mark.parametrize("source", list(RandomSource))
def test_nothing_and_all_of_it_are_the_two_seeds_pictures(
    made: tuple[Pipeline, TorchRuntime], source: RandomSource
) -> None:
    pipeline, _ = made
    one, other = (pixels_of(pipeline, asked(seed=s, random_source=source))[0] for s in (7, 99))
    assert not np.array_equal(one, other)
    varied = asked(variation_seed=99, random_source=source)
    none, whole, half = (
        pixels_of(pipeline, replace(varied, variation_strength=s))[0] for s in (0.0, 1.0, 0.5)
    )
    np.testing.assert_array_equal(none, one)
    np.testing.assert_array_equal(whole, other)
    assert not np.array_equal(half, one) and not np.array_equal(half, other)


def test_a_modest_variation_is_nearer_to_its_picture(made: tuple[Pipeline, TorchRuntime]) -> None:
    pipeline, _ = made
    one, other = (pixels_of(pipeline, asked(seed=s))[0].astype(int) for s in (7, 99))
    near = pixels_of(pipeline, asked(variation_seed=99, variation_strength=0.15))[0].astype(int)
    assert np.abs(near - one).mean() < 0.5 * np.abs(near - other).mean()


@pytest.mark.parametrize("source", list(RandomSource))
def test_a_starting_picture_is_varied_too(
    made: tuple[Pipeline, TorchRuntime], start: StartImage, source: RandomSource
) -> None:
    pipeline, runtime = made
    from gui.coreml.model import ComponentKind

    def first(request: PictureRequest) -> np.ndarray:
        seen: list[np.ndarray] = []
        list(pipeline.generate(request, Hooks()))
        unet = runtime.loaded[ComponentKind.UNET]
        seen.append(unet.last["sample"])
        return seen[0]

    base = asked(start_image=start, random_source=source, steps=1, guidance_scale=1.0)
    plain = first(base)
    varied = first(replace(base, variation_seed=99, variation_strength=0.3))
    assert not np.array_equal(plain, varied)
    assert abs(float(varied.std()) / float(plain.std()) - 1) < 0.1


@pytest.mark.parametrize("number", range(3))
def test_several_are_of_one_seed_and_each_is_reproducible_alone(
    made: tuple[Pipeline, TorchRuntime], number: int
) -> None:
    """As web UIs count: the variation seed goes up, at 2³² it begins again."""
    pipeline, _ = made
    batch = asked(variation_seed=2**32 - 2, variation_strength=0.4, count=3)
    pictures = list(pipeline.generate(batch, Hooks()))
    record = pictures[number].record
    assert record.request.seed == 7 and record.request.count == 1
    assert record.request.variation_seed == (2**32 - 2, 2**32 - 1, 0)[number]
    (alone,) = pixels_of(pipeline, record.request)
    np.testing.assert_array_equal(alone, pictures[number].pixels)
    assert batch.number_of(record.request) == number
