"""Same weights, prompt, seed and scheduler as diffusers' own pipelines: same latents and picture.

The networks run in float32 on both sides, so only the pipeline itself can make a difference.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from gui.coreml.model import ComponentKind
from gui.pipeline.pipeline import GeneratedPicture, Hooks
from gui.pipeline.schedulers import SCHEDULERS
from gui.request import PictureRequest, RandomSource
from tests.pipeline.reference import (
    DIFFUSERS,
    diffusers_scheduler,
    extra_step_arguments,
    karras,
    sample_dpmpp_sde,
    seeded,
    sigmas_of,
    timestep_of,
)
from tests.support.tiny_networks import SHAPES
from tests.support.torch_runtime import TorchRuntime, torch_pipeline

PROMPT = "a red apple on a blue table, 'studio' light"
NEGATIVE = "blurry, ugly!!"
SEED = 1234
LATENT_TOLERANCE = 1e-5
"""Relative to the largest latent (measured: 0 beside diffusers, 7e-7 beside the
published DPM++ SDE)."""

Pipes = Callable[[str], Any]


def ours(
    kind: str, pipe: Any, request: PictureRequest, **options: Any
) -> tuple[GeneratedPicture, np.ndarray, TorchRuntime]:
    """Our picture, its final latents (in the decoder's scale), and the networks' record."""
    pipeline, runtime = torch_pipeline(kind, pipe, **options)
    (picture,) = pipeline.generate(request, Hooks())
    return picture, runtime.loaded[ComponentKind.VAE_DECODER].last["z"], runtime


def theirs(
    kind: str, pipe: Any, scheduler: Any, seed: int, **arguments: Any
) -> tuple[np.ndarray, np.ndarray]:
    """diffusers' picture, uint8 [H, W, 3], and its final latents in the decoder's scale."""
    height, width = SHAPES[kind].latent
    pipe.scheduler = scheduler
    if "image" not in arguments:
        arguments |= {"height": 8 * height, "width": 8 * width}
    latents = pipe(generator=seeded(seed), output_type="latent", **arguments).images
    latents = latents / pipe.vae.config.scaling_factor
    with torch.no_grad():
        image = pipe.vae.decode(latents).sample
    pixels = pipe.image_processor.postprocess(image, output_type="np")[0]
    return (pixels * 255).round().astype(np.uint8), latents.numpy()


def assert_same(
    picture: GeneratedPicture,
    latents: np.ndarray,
    expected: tuple[np.ndarray, np.ndarray],
) -> None:
    pixels, expected_latents = expected
    assert pixels.std() > 5  # a picture, not a flat field
    difference = np.abs(latents - expected_latents).max()
    assert difference < LATENT_TOLERANCE * np.abs(expected_latents).max()
    assert np.abs(picture.pixels.astype(int) - pixels).max() <= 1


def request(**changes: Any) -> PictureRequest:
    base = {
        "prompt": PROMPT,
        "model": "m",
        "negative_prompt": NEGATIVE,
        "steps": 4,
        "guidance_scale": 5.0,
        "seed": SEED,
        "random_source": RandomSource.TORCH,
        "previews": False,
    }
    return PictureRequest(**{**base, **changes})


def call(asked: PictureRequest) -> dict[str, Any]:
    """The same request as arguments of diffusers' pipelines."""
    return {
        "prompt": asked.prompt,
        "negative_prompt": asked.negative_prompt or None,
        "num_inference_steps": asked.steps,
        "guidance_scale": asked.guidance_scale,
        "guidance_rescale": asked.guidance_rescale,
    }


def settings_of(kind: str) -> dict[str, Any]:
    return {"prediction_type": SHAPES[kind].prediction_type}


def test_the_reference_names_every_scheduler() -> None:
    assert set(DIFFUSERS) | {"DPM++ SDE", "DPM++ SDE Karras"} == set(SCHEDULERS)


def solvers() -> list[str]:
    """Every scheduler once, not again with Karras' levels where it comes both ways: SDXL differs
    from SD1 in its networks, and not in how a scheduler lays out its levels."""
    return [
        name
        for name in DIFFUSERS
        if name.removesuffix(" Karras") not in DIFFUSERS or not name.endswith(" Karras")
    ]


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        *((kind, name) for kind in ("sd1", "sd2v") for name in DIFFUSERS),
        *(("sdxl", name) for name in solvers()),
    ],
)
def test_every_scheduler(diffusers_pipe: Pipes, kind: str, name: str) -> None:
    pipe = diffusers_pipe(kind)
    asked = request(scheduler=name, steps=3 if kind == "sdxl" else 4)
    picture, latents, _ = ours(kind, pipe, asked)
    scheduler = diffusers_scheduler(name, **settings_of(kind))
    arguments = call(asked) | extra_step_arguments(name)
    assert_same(picture, latents, theirs(kind, pipe, scheduler, SEED, **arguments))


@pytest.mark.parametrize("name", ["DPM++ SDE", "DPM++ SDE Karras"])
@pytest.mark.parametrize("kind", ["sd1", "sd2v"])
def test_dpmpp_sde_against_its_published_form(diffusers_pipe: Pipes, kind: str, name: str) -> None:
    pipe = diffusers_pipe(kind)
    asked = request(scheduler=name, guidance_scale=1.0, negative_prompt="", steps=5)
    _, latents, _ = ours(kind, pipe, asked)
    with torch.no_grad():
        context, _ = pipe.encode_prompt(PROMPT, "cpu", 1, False)
    # leading spacing with offset 1, as in the model's settings
    timesteps = np.arange(0, 5)[::-1] * (1000 // 5) + 1
    sigmas = sigmas_of(timesteps)
    if name.endswith("Karras"):
        sigmas = karras(sigmas[0], sigmas[-1], 5)
    shape = (1, 4, *SHAPES[kind].latent)
    generator = seeded(SEED)

    def draw() -> torch.Tensor:
        return torch.randn(shape, generator=generator).double()

    def denoise(x: torch.Tensor, sigma: float) -> torch.Tensor:
        scaled = x / (sigma**2 + 1) ** 0.5
        with torch.no_grad():
            out = pipe.unet(scaled.float(), timestep_of(sigma), context).sample.double()
        if kind == "sd2v":
            return scaled / (sigma**2 + 1) ** 0.5 - out * sigma / (sigma**2 + 1) ** 0.5
        return x - sigma * out

    # diffusers starts at the model's largest scaled noise: √(σ² + 1) with leading spacing
    start = draw() * (sigmas[0] ** 2 + 1) ** 0.5
    expected = sample_dpmpp_sde(denoise, start, np.append(sigmas, 0.0), draw)
    got = torch.from_numpy(latents) * SHAPES[kind].scaling_factor
    assert (got - expected).abs().max() < LATENT_TOLERANCE * expected.abs().max()


@pytest.mark.parametrize("kind", ["sd1", "sd2v", "sdxl"])
@pytest.mark.parametrize("rescale", [0.35, 1.0])
def test_rescaled_guidance(diffusers_pipe: Pipes, kind: str, rescale: float) -> None:
    pipe = diffusers_pipe(kind)
    asked = request(scheduler="DDIM", guidance_scale=9.0, guidance_rescale=rescale)
    picture, latents, _ = ours(kind, pipe, asked)
    scheduler = diffusers_scheduler("DDIM", **settings_of(kind))
    assert_same(picture, latents, theirs(kind, pipe, scheduler, SEED, **call(asked)))
    _, unscaled, _ = ours(kind, pipe, dataclasses.replace(asked, guidance_rescale=0.0))
    assert np.abs(latents - unscaled).max() > 10 * LATENT_TOLERANCE * np.abs(unscaled).max()


@pytest.mark.parametrize("kind", ["sd1", "sd2v", "sdxl"])
@pytest.mark.parametrize("guidance", [0.0, 1.0])
def test_without_guidance(diffusers_pipe: Pipes, kind: str, guidance: float) -> None:
    """One run of the UNet per step, the negative prompt unread."""
    pipe = diffusers_pipe(kind)
    asked = request(scheduler="Euler", guidance_scale=guidance)
    picture, latents, runtime = ours(kind, pipe, asked)
    scheduler = diffusers_scheduler("Euler", **settings_of(kind))
    assert_same(picture, latents, theirs(kind, pipe, scheduler, SEED, **call(asked)))
    assert runtime.loaded[ComponentKind.UNET].calls == 4
    assert "needs a guidance scale above 1" in picture.record.notes[0]


@pytest.mark.parametrize("kind", ["sd1", "sdxl"])
@pytest.mark.parametrize(("guidance", "calls"), [(5.0, 8), (1.0, 4)])
def test_a_unet_of_batch_one(diffusers_pipe: Pipes, kind: str, guidance: float, calls: int) -> None:
    """Guidance takes two calls per step, and the picture is the same."""
    pipe = diffusers_pipe(kind)
    asked = request(scheduler="DDIM", guidance_scale=guidance)
    picture, latents, runtime = ours(kind, pipe, asked, unet_batch=1)
    scheduler = diffusers_scheduler("DDIM", **settings_of(kind))
    assert_same(picture, latents, theirs(kind, pipe, scheduler, SEED, **call(asked)))
    assert runtime.loaded[ComponentKind.UNET].calls == calls


@pytest.mark.parametrize("zeros", [True, False])
def test_sdxl_without_a_negative_prompt(diffusers_pipe: Pipes, zeros: bool) -> None:
    """SDXL base reads zeros where there is no negative prompt; other checkpoints read ""."""
    pipe = diffusers_pipe("sdxl")
    asked = request(scheduler="Euler", negative_prompt="")
    picture, latents, _ = ours("sdxl", pipe, asked, force_zeros_for_empty_prompt=zeros)
    pipe.register_to_config(force_zeros_for_empty_prompt=zeros)
    try:
        expected = theirs("sdxl", pipe, diffusers_scheduler("Euler"), SEED, **call(asked))
    finally:
        pipe.register_to_config(force_zeros_for_empty_prompt=True)
    assert_same(picture, latents, expected)


def test_time_ids_in_one_row(diffusers_pipe: Pipes) -> None:
    """Older SDXL conversions take `time_ids` as [12]."""
    pipe = diffusers_pipe("sdxl")
    asked = request(scheduler="Euler")
    flat, _, _ = ours("sdxl", pipe, asked, flat_time_ids=True)
    expected = theirs("sdxl", pipe, diffusers_scheduler("Euler"), SEED, **call(asked))[0]
    assert np.abs(flat.pixels.astype(int) - expected).max() <= 1


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("Euler", {"timestep_spacing": "trailing"}),
        ("DDIM", {"timestep_spacing": "trailing", "steps_offset": 0}),
        ("DPM++ 2M", {"timestep_spacing": "linspace"}),
        ("Euler a", {"timestep_spacing": "linspace"}),
        ("Heun", {"timestep_spacing": "trailing"}),
        ("DDIM", {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}),
        ("LCM", {"original_inference_steps": 20}),
        ("DDIM", {"beta_schedule": "linear", "beta_start": 0.0001, "beta_end": 0.02}),
        ("Euler", {"beta_schedule": "linear", "num_train_timesteps": 500}),
    ],
)
@pytest.mark.parametrize("kind", ["sd1", "sd2v"])
def test_the_models_own_scheduler_settings(
    diffusers_pipe: Pipes, kind: str, name: str, settings: dict[str, Any]
) -> None:
    if settings.get("rescale_betas_zero_snr") and kind == "sd1":
        kind = "sd2v"  # zero terminal SNR has no meaning with ε-prediction
    pipe = diffusers_pipe(kind)
    asked = request(scheduler=name)
    config = {"steps_offset": 1, **settings}
    picture, latents, _ = ours(kind, pipe, asked, scheduler_config=config)
    scheduler = diffusers_scheduler(name, **settings_of(kind), **settings)
    assert_same(picture, latents, theirs(kind, pipe, scheduler, SEED, **call(asked)))


@pytest.mark.parametrize("steps", [1, 2, 7])
@pytest.mark.parametrize("name", ["DPM++ 2M Karras", "Heun", "PNDM", "LMS", "UniPC", "DPM++ 2S"])
def test_other_numbers_of_steps(diffusers_pipe: Pipes, name: str, steps: int) -> None:
    pipe = diffusers_pipe("sd1")
    asked = request(scheduler=name, steps=steps)
    picture, latents, _ = ours("sd1", pipe, asked)
    expected = theirs("sd1", pipe, diffusers_scheduler(name), SEED, **call(asked))
    assert_same(picture, latents, expected)


def test_a_prompt_of_500_words(diffusers_pipe: Pipes) -> None:
    """Cut where diffusers cuts, and said so."""
    pipe = diffusers_pipe("sd1")
    asked = request(scheduler="Euler", prompt="one two three four five " * 100)
    picture, latents, _ = ours("sd1", pipe, asked)
    expected = theirs("sd1", pipe, diffusers_scheduler("Euler"), SEED, **call(asked))
    assert_same(picture, latents, expected)
    (note,) = picture.record.notes
    assert "500 tokens" in note
    assert "reads 75" in note


@pytest.mark.parametrize("name", ["Euler a", "LCM", "DPM++ 2M SDE"])
def test_noise_within_steps_is_the_pictures_own(diffusers_pipe: Pipes, name: str) -> None:
    """diffusers' loop, with every draw handed in from NumPy's legacy generator."""
    pipe = diffusers_pipe("sd1")
    asked = request(scheduler=name, random_source=RandomSource.NUMPY)
    _, latents, _ = ours("sd1", pipe, asked)
    state = np.random.RandomState(SEED)
    shape = (1, 4, *SHAPES["sd1"].latent)

    def draw() -> torch.Tensor:
        return torch.from_numpy(state.standard_normal(shape).astype(np.float32))

    scheduler = diffusers_scheduler(name)
    scheduler.set_timesteps(asked.steps)
    with torch.no_grad():
        positive, negative = pipe.encode_prompt(PROMPT, "cpu", 1, True, NEGATIVE)
        context = torch.cat([negative, positive])
        x = draw() * scheduler.init_noise_sigma
        with pytest.MonkeyPatch.context() as patch:
            module = __import__(type(scheduler).__module__, fromlist=["randn_tensor"])
            patch.setattr(module, "randn_tensor", lambda *_, **__: draw())
            for t in scheduler.timesteps:
                scaled = scheduler.scale_model_input(torch.cat([x, x]), t)
                without, with_ = pipe.unet(scaled, t, context).sample.chunk(2)
                guided = without + asked.guidance_scale * (with_ - without)
                x = scheduler.step(guided, t, x, return_dict=False)[0]
    got = torch.from_numpy(latents) * SHAPES["sd1"].scaling_factor
    assert (got - x).abs().max() < LATENT_TOLERANCE * x.abs().max()
