"""Prompts composed by AND, against the published sum of directions over diffusers' own networks."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from gui.control_use import Control
from gui.coreml.model import ComponentKind, TensorSpec, UNetKind
from gui.errors import ErrorKind, SfumatoError
from gui.pipeline.pipeline import Hooks
from gui.request import OWN_REFINER, PictureRequest, RandomSource, StartImage
from gui.syntax.types import PromptSyntax
from tests.pipeline.reference import diffusers_scheduler, seeded
from tests.pipeline.test_controlnet import networks
from tests.pipeline.test_parity import ours, settings_of
from tests.pipeline.test_refiner import refiner as refiner
from tests.support.tiny_networks import SHAPES
from tests.support.torch_runtime import torch_pipeline

Pipes = Callable[[str], Any]
SIDES = (("a red apple", 1.0), ("a blue sky", 1.2), ("snow", -0.4))
PROMPT = "a red apple AND a blue sky :1.2 AND snow : -.4"
STEPS = 5


def request(prompt: str = PROMPT, **changes: Any) -> PictureRequest:
    values: dict[str, Any] = {
        "negative_prompt": "blurry", "steps": STEPS, "guidance_scale": 5.0, "scheduler": "Euler",
        "seed": 77, "random_source": RandomSource.TORCH, "previews": False,
        "prompt_syntax": PromptSyntax.WEB_UI,
    }  # fmt: skip
    return PictureRequest(prompt, "m", **(values | changes))


def composed(
    kind: str,
    pipe: Any,
    sides: Sequence[tuple[str, float]] = SIDES,
    scale: float = 5.0,
    net: Any = None,
    hint: torch.Tensor | None = None,
) -> np.ndarray:
    """ε = ε₋ + s·Σ wᵢ·(εᵢ − ε₋): Liu et al., "Compositional visual generation", eq. 11, with the
    negative prompt in the place of none, one row after the other."""
    scheduler = diffusers_scheduler("Euler", **settings_of(kind))
    scheduler.set_timesteps(STEPS)
    height, width = SHAPES[kind].latent
    latents = torch.randn((1, 4, height, width), generator=seeded(77)) * scheduler.init_noise_sigma
    rows = [("blurry", 0.0), *sides]
    with torch.no_grad():
        texts = [pipe.encode_prompt(text, "cpu", 1, False) for text, _ in rows] if (
            kind != "sdxl"
        ) else [
            pipe.encode_prompt(text, device="cpu", do_classifier_free_guidance=False)
            for text, _ in rows
        ]  # fmt: skip
        for timestep in scheduler.timesteps:
            sample = scheduler.scale_model_input(latents, timestep)
            answers = []
            for text in texts:
                more: dict[str, Any] = {"encoder_hidden_states": text[0]}
                if kind == "sdxl":
                    size = [8.0 * height, 8.0 * width]
                    ids = torch.tensor([[*size, 0, 0, *size]])
                    more["added_cond_kwargs"] = {"text_embeds": text[2], "time_ids": ids}
                if net is not None:
                    down, mid = net(
                        sample, timestep, text[0], controlnet_cond=hint, return_dict=False
                    )
                    more |= {
                        "down_block_additional_residuals": down,
                        "mid_block_additional_residual": mid,
                    }
                answers.append(pipe.unet(sample, timestep, **more).sample)
            negative = answers[0]
            total = negative.clone()
            for answer, (_, weight) in zip(answers[1:], sides, strict=True):
                total += (answer - negative) * (weight * scale)
            latents = scheduler.step(total, timestep, latents).prev_sample
    return (latents / pipe.vae.config.scaling_factor).numpy()


def _png() -> bytes:
    data = io.BytesIO()
    Image.new("RGB", (64, 64), (9, 90, 200)).save(data, "PNG")
    return data.getvalue()


def assert_latents(got: np.ndarray, expected: np.ndarray) -> None:
    assert np.abs(got - expected).max() < 1e-4 * max(1.0, np.abs(expected).max())


@pytest.mark.parametrize("kind", ["sd1", "sd2v", "sdxl"])
@pytest.mark.parametrize("unet_batch", [2, 1])
def test_three_sides(diffusers_pipe: Pipes, kind: str, unet_batch: int) -> None:
    pipe = diffusers_pipe(kind)
    _, latents, runtime = ours(kind, pipe, request(), unet_batch=unet_batch)
    assert_latents(latents, composed(kind, pipe))
    assert runtime.loaded[ComponentKind.UNET].calls == STEPS * 4 // unet_batch


def test_two_sides_and_a_negative_in_calls_of_two(diffusers_pipe: Pipes) -> None:
    pipe = diffusers_pipe("sd1")
    _, latents, runtime = ours("sd1", pipe, request("a red apple AND a blue sky :1.2"))
    assert_latents(latents, composed("sd1", pipe, SIDES[:2]))
    assert runtime.loaded[ComponentKind.UNET].calls == STEPS * 2


def test_without_guidance_the_sides_still_lead_as_they_weigh(diffusers_pipe: Pipes) -> None:
    """A guidance scale of 1: ε₋ + Σ wᵢ·(εᵢ − ε₋), as the web UI has it."""
    pipe = diffusers_pipe("sd1")
    picture, latents, _ = ours("sd1", pipe, request(guidance_scale=1.0))
    assert_latents(latents, composed("sd1", pipe, scale=1.0))
    assert not any("had no effect" in note for note in picture.record.notes)


def test_every_side_is_led_by_the_control(diffusers_pipe: Pipes, tmp_path: Path) -> None:
    pipe = diffusers_pipe("sd1")
    (net,) = networks("sd1", pipe, 1)
    height, width = (8 * n for n in SHAPES["sd1"].latent)
    pixels = np.random.default_rng(1).integers(0, 255, (height, width, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "c.png")
    asked = request(controls=(Control("edges", str(tmp_path / "c.png")),))
    _, latents, _ = ours("sd1", pipe, asked, controls={"edges": net})
    hint = torch.from_numpy(pixels.astype(np.float32) / 255).permute(2, 0, 1)[None]
    assert_latents(latents, composed("sd1", pipe, net=net, hint=hint))


def test_sides_have_marks_of_their_own(diffusers_pipe: Pipes) -> None:
    """Words that change in one side leave the other alone; a side that is the same throughout is
    the picture of the plain prompt where it is all there is."""
    pipe = diffusers_pipe("sd1")
    changing = ours("sd1", pipe, request("a [red:blue:2] apple AND snow :0"))[1]
    alone = ours("sd1", pipe, request("a [red:blue:2] apple"))[1]
    assert np.abs(changing - alone).max() < 1e-4
    assert np.abs(changing - ours("sd1", pipe, request("a red apple"))[1]).max() > 1e-2


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"prompt": "a AND " * 20 + "b"}, "The prompt is composed of 21 by AND"),
        (
            {"prompt": "a cat.swap(dog)", "prompt_syntax": PromptSyntax.COMPEL},
            r"“.swap\(\)” reaches into the UNet’s attention",
        ),
    ],
)
def test_what_cannot_be_composed(
    diffusers_pipe: Pipes, changes: dict[str, Any], words: str
) -> None:
    pipeline, runtime = torch_pipeline("sd1", diffusers_pipe("sd1"))
    with pytest.raises(SfumatoError, match=words):
        next(pipeline.generate(replace(request(), **changes), Hooks()))
    assert not runtime.loaded


def test_networks_that_follow_one_prompt_alone(diffusers_pipe: Pipes, tmp_path: Path) -> None:
    pipeline, runtime = torch_pipeline("sd1", diffusers_pipe("sd1"))
    kind = ComponentKind.UNET
    unet = pipeline.model.components[kind]
    told = TensorSpec("timestep_cond", "fp32", (1, 256))
    distilled = replace(unet, inputs=(*unet.inputs, told))
    plain = pipeline.model
    pipeline.model = replace(plain, components={**plain.components, kind: distilled})
    with pytest.raises(SfumatoError, match="is distilled to follow one prompt") as caught:
        next(pipeline.generate(request(), Hooks()))
    assert caught.value.kind is ErrorKind.BAD_REQUEST and not runtime.loaded
    pipeline.model = replace(plain, unet_kind=UNetKind.INSTRUCT)
    (tmp_path / "a.png").write_bytes(_png())
    edited = request(start_image=StartImage(str(tmp_path / "a.png")))
    with pytest.raises(SfumatoError, match="edits a picture as one prompt tells it"):
        next(pipeline.generate(edited, Hooks()))


def test_a_refiner_follows_every_side(diffusers_pipe: Pipes, refiner: Any) -> None:
    """A side of no weight changes nothing in its steps either; another one does."""
    pipe = diffusers_pipe("sdxl")
    asked = {"refiner": OWN_REFINER, "refiner_switch_at": 0.4}
    plain, nothing, snow = (
        ours("sdxl", pipe, request(f"a red apple{more}", **asked), refiner=refiner)
        for more in ("", " AND snow :0", " AND snow :0.5")
    )
    assert plain[2].loaded[ComponentKind.REFINER].calls == 3
    assert np.abs(plain[1] - nothing[1]).max() < 1e-4
    assert np.abs(plain[1] - snow[1]).max() > 1e-2
