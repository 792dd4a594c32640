"""Stable Diffusion XL's refiner for the last steps, against diffusers' two pipelines in a row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import diffusers as _diffusers
import numpy as np
import pytest
import torch

from gui.coreml.model import ComponentKind
from gui.errors import ErrorKind, SfumatoError
from gui.pipeline import pipeline as product
from gui.pipeline.pipeline import Hooks
from gui.request import OWN_REFINER, PictureRequest, RandomSource
from tests.pipeline.reference import diffusers_scheduler, seeded
from tests.pipeline.test_parity import ours
from tests.support.tiny_networks import POOLED_WIDTH, _randomise_norms
from tests.support.torch_runtime import torch_pipeline

diffusers: Any = _diffusers  # whose annotations are narrower than what it takes
K = ComponentKind
Pipes = Callable[[str], Any]
PROMPT, NEGATIVE = "a red (apple:1.0) on a table", "blurry"


@pytest.fixture(scope="module")
def refiner() -> Any:
    """A refiner's UNet: it reads the second text encoder alone, and takes five time ids."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(404)
        unet = diffusers.UNet2DConditionModel(
            sample_size=16, block_out_channels=(32, 64), layers_per_block=1,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"), attention_head_dim=(2, 4),
            norm_num_groups=8, cross_attention_dim=48, use_linear_projection=True,
            addition_embed_type="text_time", addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=POOLED_WIDTH + 5 * 8,
        )  # fmt: skip
        _randomise_norms(unet)
        unet.conv_out.weight.data *= 3.0
    return unet.eval()


def request(**changes: Any) -> PictureRequest:
    values: dict[str, Any] = {
        "negative_prompt": NEGATIVE, "steps": 10, "guidance_scale": 5.0, "scheduler": "Euler",
        "seed": 77, "random_source": RandomSource.TORCH, "previews": False, "refiner": OWN_REFINER,
    }  # fmt: skip
    return PictureRequest(PROMPT, "m", **(values | changes))


def theirs(pipe: Any, unet: Any, name: str, switch_at: float, negative: str) -> np.ndarray:
    """Latents of diffusers' base up to `denoising_end`, and its refiner from there."""
    arguments = {
        "prompt": PROMPT, "negative_prompt": negative or None, "num_inference_steps": 10,
        "guidance_scale": 5.0, "output_type": "latent",
    }  # fmt: skip
    pipe.scheduler = diffusers_scheduler(name)
    half = pipe(
        generator=seeded(77), denoising_end=switch_at, height=128, width=128, **arguments
    ).images
    second = diffusers.StableDiffusionXLImg2ImgPipeline(
        vae=pipe.vae, text_encoder=None, text_encoder_2=pipe.text_encoder_2, tokenizer=None,
        tokenizer_2=pipe.tokenizer_2, unet=unet, scheduler=diffusers_scheduler(name),
        requires_aesthetics_score=True, force_zeros_for_empty_prompt=False, add_watermarker=False,
    )  # fmt: skip
    second.set_progress_bar_config(disable=True)
    latents = second(image=half, denoising_start=switch_at, **arguments).images
    return (latents / pipe.vae.config.scaling_factor).numpy()


@pytest.mark.parametrize(
    ("name", "switch_at", "negative", "calls"),
    [("Euler", 0.8, NEGATIVE, (8, 2)), ("Euler", 0.5, "", (5, 5)), ("DDIM", 0.75, "a", (7, 3))],
)
def test_against_diffusers(
    diffusers_pipe: Pipes, refiner: Any, name: str, switch_at: float, negative: str, calls: Any
) -> None:
    pipe = diffusers_pipe("sdxl")
    asked = request(scheduler=name, refiner_switch_at=switch_at, negative_prompt=negative)
    _, latents, runtime = ours("sdxl", pipe, asked, refiner=refiner)
    expected = theirs(pipe, refiner, name, switch_at, negative)
    assert np.abs(latents - expected).max() < 1e-5 * np.abs(expected).max()
    assert (runtime.loaded[K.UNET].calls, runtime.loaded[K.REFINER].calls) == calls


def test_where_memory_is_short_only_one_is_loaded_at_a_time(
    diffusers_pipe: Pipes, refiner: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two pictures: each has base and refiner again, and is the same as with both at hand."""
    pipe = diffusers_pipe("sdxl")
    pipeline, _ = torch_pipeline("sdxl", pipe, refiner=refiner)
    both = [p.pixels for p in pipeline.generate(request(count=2, steps=4), Hooks())]
    monkeypatch.setattr(product, "is_short_of_memory", lambda _: True)
    loaded: list[str] = []
    pipeline, _ = torch_pipeline("sdxl", pipe, refiner=refiner)
    pipeline.load(lambda kind, _index, _total: loaded.append(kind), request())
    loaded.clear()
    one = [p.pixels for p in pipeline.generate(request(count=2, steps=4), Hooks())]
    assert all(np.array_equal(a, b) for a, b in zip(both, one, strict=True))
    switches = [kind for kind in loaded if kind in ("unet", "refiner")]
    assert switches == ["refiner", "unet", "refiner"]


def test_without_a_refiner_none_is_kept(diffusers_pipe: Pipes, refiner: Any) -> None:
    pipeline, runtime = torch_pipeline("sdxl", diffusers_pipe("sdxl"), refiner=refiner)
    list(pipeline.generate(request(steps=2), Hooks()))
    plain = next(pipeline.generate(request(steps=2, refiner=""), Hooks())).pixels
    with pytest.raises(AssertionError, match="after close"):
        runtime.loaded[K.REFINER]._network({})
    fresh, _ = torch_pipeline("sdxl", diffusers_pipe("sdxl"))
    same = next(fresh.generate(request(steps=2, refiner=""), Hooks())).pixels
    assert np.array_equal(plain, same)


@pytest.mark.parametrize(
    ("kind", "name", "words"),
    [
        ("sd1", OWN_REFINER, "A refiner goes on from Stable Diffusion XL alone"),
        ("sdxl", OWN_REFINER, "no refiner of its own"),
        ("sdxl", "/nowhere/at all", "is no Stable Diffusion XL refiner"),
    ],
)
def test_what_is_no_refiner(diffusers_pipe: Pipes, kind: str, name: str, words: str) -> None:
    pipeline, runtime = torch_pipeline(kind, diffusers_pipe(kind))
    with pytest.raises(SfumatoError, match=words) as caught:
        next(pipeline.generate(request(refiner=name), Hooks()))
    assert caught.value.kind in (ErrorKind.BAD_REQUEST, ErrorKind.UNSUPPORTED)
    assert not runtime.loaded


def test_a_refiner_of_its_own_folder(tmp_path: Any) -> None:
    """Converted by itself, found by its folder, and refused where its size is another."""
    from gui.coreml.inspect import inspect_model, load_sidecar
    from gui.coreml.portable.runtime import PortableRuntime
    from gui.pipeline.pipeline import Pipeline
    from gui.request import ComputeUnit
    from tests.support import converted as models

    base = inspect_model(models.xl().folder)
    beside = models.converted("xl-refiner", "sdxl-refiner")
    pipeline = Pipeline(base, load_sidecar(base), PortableRuntime(), ComputeUnit.CPU_ONLY)
    asked = request(steps=4, refiner=str(beside.folder), refiner_switch_at=0.5)
    refined = next(pipeline.generate(asked, Hooks()))
    plain = next(pipeline.generate(request(steps=4, refiner=""), Hooks()))
    assert not np.array_equal(refined.pixels, plain.pixels)
    assert refined.record.request.refiner == str(beside.folder)
    other = models.converted(
        "xl-refiner-wide",
        "sdxl-refiner",
        sizes=(models.ImageSize(128, 64),),
        components=(K.REFINER, K.TEXT_ENCODER_2),
    )
    with pytest.raises(SfumatoError, match="The refiner is made for 128 × 64 pixels"):
        next(pipeline.generate(request(refiner=str(other.folder)), Hooks()))
