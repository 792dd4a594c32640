"""Image-to-image, against diffusers' own pipelines on the same weights."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from gui.coreml.model import ComponentKind
from gui.errors import ErrorKind, SfumatoError
from gui.pipeline.pipeline import Hooks
from gui.request import RandomSource, StartImage
from tests.pipeline.reference import diffusers_scheduler, extra_step_arguments
from tests.pipeline.test_parity import (
    LATENT_TOLERANCE,
    SEED,
    assert_same,
    call,
    ours,
    request,
    settings_of,
    theirs,
)
from tests.support.tiny_networks import SHAPES
from tests.support.torch_runtime import torch_pipeline

Pipes = Callable[[str], Any]

NAMES = [
    "DPM++ 2M Karras",
    "DPM++ 2M SDE",
    "DPM++ 2S",
    "Euler",
    "Euler a",
    "UniPC",
    "DEIS",
    "Heun",
    "DPM2",
    "DPM2 a Karras",
    "LMS",
    "SA-Solver",
    "DDIM",
    "PNDM",
    "DDPM",
    "LCM",
    "TCD",
]


def image_to_image(pipe: Any, kind: str) -> Any:
    module = importlib.import_module("diffusers")
    name = (
        "StableDiffusionXLImg2ImgPipeline" if kind == "sdxl" else "StableDiffusionImg2ImgPipeline"
    )
    extra = {"add_watermarker": False} if kind == "sdxl" else {"requires_safety_checker": False}
    parts = {k: v for k, v in pipe.components.items() if k not in ("image_encoder",)}
    made = getattr(module, name)(**parts, **extra)
    made.set_progress_bar_config(disable=True)
    return made


@pytest.fixture
def photo(tmp_path: Path) -> Callable[[str], Path]:
    """A picture of exactly the model's size, so that nothing is resampled."""

    def make(kind: str) -> Path:
        height, width = (8 * n for n in SHAPES[kind].latent)
        y, x = np.mgrid[0:height, 0:width]
        pixels = np.stack([x * 255 / width, y * 255 / height, (x * y) % 256], -1)
        path = tmp_path / f"{kind}.png"
        Image.fromarray(pixels.astype(np.uint8)).save(path)
        return path

    return make


@pytest.mark.parametrize(
    ("kind", "name"),
    [("sd1", name) for name in NAMES] + [("sd2v", "DDIM"), ("sdxl", "Euler"), ("sdxl", "PNDM")],
)
def test_against_diffusers(
    diffusers_pipe: Pipes, photo: Callable[[str], Path], kind: str, name: str
) -> None:
    path = photo(kind)
    pipe = image_to_image(diffusers_pipe(kind), kind)
    asked = request(scheduler=name, steps=6, start_image=StartImage(str(path), 0.6))
    picture, latents, _ = ours(kind, pipe, asked)
    arguments = call(asked) | extra_step_arguments(name)
    arguments |= {"image": Image.open(path), "strength": 0.6}
    scheduler = diffusers_scheduler(name, **settings_of(kind))
    assert_same(picture, latents, theirs(kind, pipe, scheduler, SEED, **arguments))


@pytest.mark.parametrize("strength", [0.2, 0.99, 1.0])
def test_strengths(diffusers_pipe: Pipes, photo: Callable[[str], Path], strength: float) -> None:
    path = photo("sd1")
    pipe = image_to_image(diffusers_pipe("sd1"), "sd1")
    asked = request(scheduler="DDIM", steps=5, start_image=StartImage(str(path), strength))
    seen: list[tuple[int, int]] = []
    pipeline, runtime = torch_pipeline("sd1", pipe)
    hooks = Hooks(on_step=lambda _, step, steps, __: seen.append((step, steps)))
    (picture,) = pipeline.generate(asked, hooks)
    latents = runtime.loaded[ComponentKind.VAE_DECODER].last["z"]
    arguments = call(asked) | {"image": Image.open(path), "strength": strength}
    assert_same(
        picture, latents, theirs("sd1", pipe, diffusers_scheduler("DDIM"), SEED, **arguments)
    )
    steps = int(5 * strength)
    assert seen == [(n + 1, steps) for n in range(steps)]


def test_numpy_draws_in_the_order_of_apples_swift_pipeline(
    diffusers_pipe: Pipes, photo: Callable[[str], Path]
) -> None:
    """All of the noise first, then the encoder's sample; diffusers does it the other way round."""
    path = photo("sd1")
    pipe = diffusers_pipe("sd1")
    asked = request(
        scheduler="DDIM",
        steps=4,
        guidance_scale=1.0,
        random_source=RandomSource.NUMPY,
        start_image=StartImage(str(path), 0.5),
    )
    _, latents, _ = ours("sd1", pipe, asked)
    state = np.random.RandomState(SEED)
    shape = (1, 4, *SHAPES["sd1"].latent)
    noise, sampling = (
        torch.from_numpy(state.standard_normal(shape).astype(np.float32)) for _ in range(2)
    )
    scheduler = diffusers_scheduler("DDIM")
    scheduler.set_timesteps(4)
    with torch.no_grad():
        image = torch.from_numpy(np.asarray(Image.open(path), np.float32) / 127.5 - 1)
        moments = pipe.vae.encode(image.permute(2, 0, 1)[None]).latent_dist
        start = (moments.mean + moments.std * sampling) * SHAPES["sd1"].scaling_factor
        x = scheduler.add_noise(start, noise, scheduler.timesteps[2:3])
        context, _ = pipe.encode_prompt(asked.prompt, "cpu", 1, False)
        for t in scheduler.timesteps[2:]:
            x = scheduler.step(pipe.unet(x, t, context).sample, t, x).prev_sample
    got = torch.from_numpy(latents) * SHAPES["sd1"].scaling_factor
    assert (got - x).abs().max() < LATENT_TOLERANCE * x.abs().max()


def test_strength_zero_keeps_the_picture(
    diffusers_pipe: Pipes, photo: Callable[[str], Path]
) -> None:
    """What comes back is the picture through the autoencoder, whatever the seed."""
    path = photo("sd1")
    pipe = diffusers_pipe("sd1")
    asked = request(start_image=StartImage(str(path), 0.0))
    first, _, runtime = ours("sd1", pipe, asked)
    second, _, _ = ours("sd1", pipe, replace(asked, seed=99))
    np.testing.assert_array_equal(first.pixels, second.pixels)
    assert runtime.loaded[ComponentKind.UNET].calls == 0
    with torch.no_grad():
        image = torch.from_numpy(np.asarray(Image.open(path), np.float32) / 127.5 - 1)
        mean = pipe.vae.encode(image.permute(2, 0, 1)[None]).latent_dist.mean
        expected = pipe.image_processor.postprocess(pipe.vae.decode(mean).sample, "np")[0]
    assert np.abs(first.pixels - expected * 255).max() < 1.01


def test_a_tiny_strength_still_takes_a_step(
    diffusers_pipe: Pipes, photo: Callable[[str], Path]
) -> None:
    asked = request(steps=4, scheduler="DDIM", start_image=StartImage(str(photo("sd1")), 0.1))
    _, _, runtime = ours("sd1", diffusers_pipe("sd1"), asked)
    assert runtime.loaded[ComponentKind.UNET].calls == 1


def test_a_model_without_an_encoder_says_so_before_loading(
    diffusers_pipe: Pipes, photo: Callable[[str], Path]
) -> None:
    pipeline, runtime = torch_pipeline("sd1", diffusers_pipe("sd1"), encoder=False)
    asked = request(start_image=StartImage(str(photo("sd1"))))
    with pytest.raises(SfumatoError, match="cannot start from a picture") as caught:
        next(pipeline.generate(asked, Hooks()))
    assert caught.value.kind is ErrorKind.UNSUPPORTED
    assert runtime.loaded == {}


def test_a_start_that_is_no_picture(diffusers_pipe: Pipes, tmp_path: Path) -> None:
    """One clear error, and the next request works."""
    bad = tmp_path / "notes.png"
    bad.write_text("not a picture")
    pipeline, _ = torch_pipeline("sd1", diffusers_pipe("sd1"))
    with pytest.raises(SfumatoError, match=r"notes\.png.* no picture that") as caught:
        next(pipeline.generate(request(start_image=StartImage(str(bad))), Hooks()))
    assert caught.value.kind is ErrorKind.BAD_IMAGE
    assert next(pipeline.generate(request(), Hooks())).pixels.std() > 5
