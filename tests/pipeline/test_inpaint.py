"""Painting in and out, against diffusers' own pipelines on the same weights."""

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

from gui.control_use import Control, Preprocessor
from gui.coreml.model import ComponentKind
from gui.errors import ErrorKind, SfumatoError
from gui.pipeline.ground import PREVIEW_SIDE
from gui.pipeline.pipeline import GeneratedPicture, Hooks
from gui.request import RandomSource
from gui.start_image import InpaintArea, MaskedContent, Outpaint, StartImage
from tests.pipeline.reference import diffusers_scheduler, extra_step_arguments, seeded
from tests.pipeline.test_controlnet import networks
from tests.pipeline.test_parity import LATENT_TOLERANCE, SEED, call, ours, request, settings_of
from tests.support.tiny_networks import SHAPES, _randomise_norms
from tests.support.torch_runtime import torch_pipeline

Pipes = Callable[[str], Any]


def pipeline_of(base: Any, name: str, channels: int = 4, **extra: Any) -> Any:
    """A diffusers pipeline of the same networks, the UNet with so many input channels."""
    module = importlib.import_module("diffusers")
    parts = {k: v for k, v in base.components.items() if k not in ("image_encoder",)}
    if channels != 4:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(channels)
            config = {k: v for k, v in base.unet.config.items() if not k.startswith("_")}
            unet = type(base.unet)(**{**config, "in_channels": channels})
            _randomise_norms(unet)
            unet.conv_out.weight.data *= 3.0
            parts["unet"] = unet.eval()
    accepted = set(getattr(module, name).__init__.__annotations__)
    more = {"add_watermarker": False, "requires_safety_checker": False} | extra
    parts = {k: v for k, v in (parts | more).items() if k in accepted or k in extra}
    made = getattr(module, name)(**parts)
    made.set_progress_bar_config(disable=True)
    return made


def size_of(kind: str) -> tuple[int, int]:
    height, width = (8 * n for n in SHAPES[kind].latent)
    return width, height


@pytest.fixture
def photo(tmp_path: Path) -> Callable[..., Path]:
    """A picture of a kind's size, or of another, so that nothing is resampled."""

    def make(kind: str, size: tuple[int, int] | None = None) -> Path:
        width, height = size or size_of(kind)
        y, x = np.mgrid[0:height, 0:width]
        pixels = np.stack([x * 255 / width, y * 255 / height, (x * y) % 256], -1)
        path = tmp_path / f"{kind}-{width}.png"
        Image.fromarray(pixels.astype(np.uint8)).save(path)
        return path

    return make


@pytest.fixture
def mask(tmp_path: Path) -> Callable[..., Path]:
    """A mask white in a box, whose sides lie between latents unless told otherwise."""

    def make(size: tuple[int, int], box: tuple[int, int, int, int], name: str = "mask") -> Path:
        image = Image.new("L", size)
        image.paste(255, box)
        path = tmp_path / f"{name}.png"
        image.save(path)
        return path

    return make


def their_latents(pipe: Any, scheduler: Any, **arguments: Any) -> np.ndarray:
    pipe.scheduler = scheduler
    arguments = {"generator": seeded(SEED), "output_type": "latent"} | arguments
    return (pipe(**arguments).images / pipe.vae.config.scaling_factor).numpy()


def assert_same_latents(got: np.ndarray, expected: np.ndarray) -> None:
    assert np.abs(got - expected).max() < LATENT_TOLERANCE * np.abs(expected).max()


def assert_pasted(picture: GeneratedPicture, pipe: Any, latents: np.ndarray, path: Path) -> None:
    """Within the mask it is what diffusers decodes, up to a grey level; beyond, the very bytes."""
    with torch.no_grad():
        image = pipe.vae.decode(torch.from_numpy(latents)).sample[0]
    decoded = ((image / 2 + 0.5).clamp(0, 1) * 255).round().permute(1, 2, 0).numpy()
    old = np.asarray(Image.open(path))
    inside = np.zeros(old.shape[:2], bool)
    inside[BOX[1] : BOX[3], BOX[0] : BOX[2]] = True
    assert np.abs(picture.pixels[inside] - decoded[inside]).max() <= 1
    assert (picture.pixels[~inside] == old[~inside]).all()
    assert picture.pixels[inside].std() > 5


BOX = (16, 8, 48, 40)
NAMES = ["DPM++ 2M Karras", "DPM++ 2S", "Euler", "Euler a", "UniPC", "Heun", "DPM2 a Karras", "LMS",
         "SA-Solver", "DDIM", "PNDM", "DDPM", "LCM", "TCD"]  # fmt: skip
INPAINT = {
    "sd1": "StableDiffusionInpaintPipeline",
    "sd2v": "StableDiffusionInpaintPipeline",
    "sdxl": "StableDiffusionXLInpaintPipeline",
}
KINDS = [("sd1", name) for name in NAMES] + [("sd2v", "DDIM"), ("sdxl", "Euler"), ("sdxl", "PNDM")]


@pytest.mark.parametrize("strength", [0.6, 1.0])
@pytest.mark.parametrize(("kind", "name"), KINDS)
def test_blending_in_latents(
    diffusers_pipe: Pipes, photo: Any, mask: Any, kind: str, name: str, strength: float
) -> None:
    path, area = photo(kind), mask(size_of(kind), BOX)
    pipe = pipeline_of(diffusers_pipe(kind), INPAINT[kind])
    start = StartImage(str(path), strength, str(area), mask_feather=0)
    asked = request(scheduler=name, steps=5, start_image=start)
    picture, latents, _ = ours(kind, pipe, asked)
    scheduler = diffusers_scheduler(name, **settings_of(kind))
    arguments = {k: v for k, v in call(asked).items() if k != "guidance_rescale"}
    arguments |= extra_step_arguments(name)
    arguments |= {"image": Image.open(path), "mask_image": Image.open(area), "strength": strength}
    width, height = size_of(kind)
    expected = their_latents(pipe, scheduler, height=height, width=width, **arguments)
    assert_same_latents(latents, expected)
    assert_pasted(picture, pipe, expected, path)


@pytest.mark.parametrize("strength", [0.6, 1.0])
@pytest.mark.parametrize(("kind", "name", "batch"), [
    ("sd1", "DDIM", 2), ("sd1", "Euler a", 1), ("sd2v", "UniPC", 2), ("sdxl", "Euler", 2),
])  # fmt: skip
def test_an_inpainting_network(
    diffusers_pipe: Pipes, photo: Any, mask: Any, kind: str, name: str, batch: int, strength: float
) -> None:
    path, area = photo(kind), mask(size_of(kind), BOX)
    pipe = pipeline_of(diffusers_pipe(kind), INPAINT[kind], channels=9)
    start = StartImage(str(path), strength, str(area), mask_feather=0)
    asked = request(scheduler=name, steps=5, start_image=start)
    picture, latents, runtime = ours(kind, pipe, asked, unet_batch=batch)
    scheduler = diffusers_scheduler(name, **settings_of(kind))
    arguments = {k: v for k, v in call(asked).items() if k != "guidance_rescale"}
    arguments |= {"image": Image.open(path), "mask_image": Image.open(area), "strength": strength}
    width, height = size_of(kind)
    expected = their_latents(pipe, scheduler, height=height, width=width, **arguments)
    assert_same_latents(latents, expected)
    assert_pasted(picture, pipe, expected, path)
    shown = runtime.loaded[ComponentKind.UNET].last["sample"]
    assert shown.shape[:2] == (batch, 9)


@pytest.mark.parametrize(("kind", "name", "batch"), [
    ("sd1", "DDIM", 2), ("sd1", "Euler a", 1), ("sd1", "Euler", 3), ("sdxl", "Euler", 2),
])  # fmt: skip
@pytest.mark.parametrize("guidance", [5.0, 1.0])
def test_a_network_that_edits_as_it_is_told(
    diffusers_pipe: Pipes, photo: Any, kind: str, name: str, batch: int, guidance: float
) -> None:
    path, xl = photo(kind), kind == "sdxl"
    named = "StableDiffusionXLInstructPix2PixPipeline" if xl else (
        "StableDiffusionInstructPix2PixPipeline"
    )  # fmt: skip
    pipe = pipeline_of(diffusers_pipe(kind), named, channels=8)
    start = StartImage(str(path), 0.3)  # which has no effect
    asked = request(scheduler=name, steps=4, guidance_scale=guidance, start_image=start,
                    image_guidance_scale=1.7)  # fmt: skip
    picture, latents, _ = ours(kind, pipe, asked, unet_batch=batch)
    scheduler = diffusers_scheduler(name, **settings_of(kind))
    arguments = {k: v for k, v in call(asked).items() if k != "guidance_rescale"}
    width, height = size_of(kind)
    arguments |= {"image": Image.open(path), "image_guidance_scale": 1.7}
    arguments |= {"height": height, "width": width} if xl else {}
    expected = their_latents(pipe, scheduler, **arguments)
    assert_same_latents(latents, expected)
    with torch.no_grad():
        image = pipe.vae.decode(torch.from_numpy(expected)).sample[0]
    decoded = ((image / 2 + 0.5).clamp(0, 1) * 255).round().permute(1, 2, 0).numpy()
    assert np.abs(picture.pixels - decoded).max() <= 1


@pytest.mark.parametrize("name", ["DDIM", "Euler a", "DPM++ 2M"])
def test_a_depth_network(diffusers_pipe: Pipes, photo: Any, tmp_path: Path, name: str) -> None:
    kind, path = "sd2v", photo("sd2v")
    width, height = size_of(kind)
    y, x = np.mgrid[0:height, 0:width]
    grey = (30 + 100 * np.sin(x / 9) ** 2 + y / 2).astype(np.uint8)
    Image.fromarray(grey).save(tmp_path / "depth.png")
    depth = torch.from_numpy(grey.astype(np.float32))[None]
    pipe = pipeline_of(diffusers_pipe(kind), "StableDiffusionDepth2ImgPipeline", channels=5,
                       depth_estimator=None, feature_extractor=None)  # fmt: skip
    asked = request(scheduler=name, steps=5, start_image=StartImage(str(path), 0.8),
                    depth_map=str(tmp_path / "depth.png"))  # fmt: skip
    _, latents, _ = ours(kind, pipe, asked)
    scheduler = diffusers_scheduler(name, **settings_of(kind))
    arguments = {k: v for k, v in call(asked).items() if k != "guidance_rescale"}
    expected = their_latents(
        pipe, scheduler, image=Image.open(path), depth_map=depth, strength=0.8, **arguments
    )
    assert_same_latents(latents, expected)


# What has no counterpart in diffusers


def test_full_strength_from_the_colours_around(
    diffusers_pipe: Pipes, photo: Any, mask: Any
) -> None:
    """Filled, even the first step knows them; from the original it begins with noise alone."""
    path, area = photo("sd1"), mask(size_of("sd1"), BOX)

    def first(content: MaskedContent, strength: float = 1.0) -> np.ndarray:
        start = StartImage(str(path), strength, str(area), 0, masked_content=content)
        asked = request(
            scheduler="DDIM", steps=4, start_image=start, random_source=RandomSource.NUMPY
        )
        pipeline, runtime = torch_pipeline("sd1", diffusers_pipe("sd1"))
        seen: list[np.ndarray] = []
        hooks = Hooks(cancelled=lambda: bool(_noted(runtime, seen)))
        list(pipeline.generate(asked, hooks))
        return seen[0][0]

    noise = np.random.RandomState(SEED).standard_normal((4, *SHAPES["sd1"].latent))
    inside = np.zeros(SHAPES["sd1"].latent, bool)
    inside[BOX[1] // 8 : BOX[3] // 8, BOX[0] // 8 : BOX[2] // 8] = True
    assert np.abs(first(MaskedContent.ORIGINAL) - noise).max() < 1e-6
    assert np.abs(first(MaskedContent.FILLED) - noise).max() > 1e-3
    half = first(MaskedContent.NOISE, 0.5)
    # of the variance that the network expects, and of the picture beyond the mask
    assert np.abs(half - noise)[:, inside].max() < 1e-5
    assert np.abs(half - noise)[:, ~inside].max() > 0.1


def _noted(runtime: Any, seen: list[np.ndarray]) -> None:
    unet = runtime.loaded.get(ComponentKind.UNET)
    if unet is not None and unet.calls:
        seen.append(unet.last["sample"])


@pytest.mark.parametrize("scheduler", ["DDIM", "Euler", "DPM++ 2M"])
@pytest.mark.parametrize("seed", [SEED, SEED + 1])
def test_a_branch_keeps_what_its_picture_kept(
    diffusers_pipe: Pipes, photo: Any, mask: Any, scheduler: str, seed: int
) -> None:
    """Whatever scheduler it goes on with, and with whatever noise."""
    path, area = photo("sd1"), mask(size_of("sd1"), BOX)
    start = StartImage(str(path), 1.0, str(area), mask_feather=0)
    asked = request(scheduler="Euler", steps=6, start_image=start)
    branched = replace(asked.branched(3), scheduler=scheduler, seed=seed, prompt="a pear")
    picture, latents, _ = ours("sd1", diffusers_pipe("sd1"), branched)
    same, before, _ = ours("sd1", diffusers_pipe("sd1"), asked)
    kept = np.ones(picture.pixels.shape[:2], bool)
    kept[BOX[1] : BOX[3], BOX[0] : BOX[2]] = False
    assert (picture.pixels[kept] == same.pixels[kept]).all()
    assert (picture.pixels[~kept] != same.pixels[~kept]).any()
    cells = kept[::8, ::8]
    np.testing.assert_allclose(latents[0][:, cells], before[0][:, cells], atol=1e-5)
    unchanged, _, _ = ours("sd1", diffusers_pipe("sd1"), asked.branched(3))
    assert (unchanged.pixels == same.pixels).all()


def test_previews_show_what_stays(diffusers_pipe: Pipes, photo: Any, mask: Any) -> None:
    path, area = photo("sd1"), mask(size_of("sd1"), BOX)
    start = StartImage(str(path), 1.0, str(area), mask_feather=0)
    asked = request(scheduler="DDIM", steps=3, start_image=start, previews=True)
    pipeline, _ = torch_pipeline("sd1", diffusers_pipe("sd1"))
    seen: list[Any] = []
    list(pipeline.generate(asked, Hooks(on_step=lambda *told: seen.append(told[3]))))
    scale = seen[0].shape[0] / size_of("sd1")[1]
    kept = np.ones(seen[0].shape[:2], bool)
    left, top, right, bottom = (int(n * scale) for n in BOX)
    kept[top:bottom, left:right] = False
    assert len(seen) == 3
    assert all((each[kept] == seen[-1][kept]).all() for each in seen)


def test_previews_of_a_part_lie_in_the_whole_picture(diffusers_pipe: Pipes, tmp_path: Path) -> None:
    """Where only the masked part is drawn, too: with all else as it is, as the finished picture."""
    wide, high, box = 500, 320, (300, 60, 380, 140)
    pixels = np.random.default_rng(5).integers(0, 200, (high, wide, 3), np.uint8)
    path, area = tmp_path / "p.png", Image.new("L", (wide, high))
    area.paste(255, box)
    area.save(tmp_path / "m.png")
    Image.fromarray(pixels).save(path)
    start = StartImage(str(path), 1.0, str(tmp_path / "m.png"), 0, inpaint_area=InpaintArea.MASKED)
    asked = request(scheduler="DDIM", steps=2, start_image=start, previews=True)
    pipeline, _ = torch_pipeline("sd1", diffusers_pipe("sd1"))
    seen: list[Any] = []
    (made,) = pipeline.generate(asked, Hooks(on_step=lambda *told: seen.append(told[3])))
    assert made.pixels.shape == (high, wide, 3) and len(seen) == 2
    scale = seen[0].shape[1] / wide
    assert seen[0].shape[1] == PREVIEW_SIDE and abs(seen[0].shape[0] / high - scale) < 0.01
    left, top, right, bottom = (round(n * scale) for n in box)
    whole = Image.fromarray(pixels).resize(seen[0].shape[1::-1], Image.Resampling.BOX)
    kept = np.ones(seen[0].shape[:2], bool)
    kept[top - 1 : bottom + 1, left - 1 : right + 1] = False
    for preview in seen:
        assert (preview[kept] == np.asarray(whole)[kept]).all()
        inner = np.s_[top + 2 : bottom - 2, left + 2 : right - 2]
        assert (preview[inner] != np.asarray(whole)[inner]).any(-1).mean() > 0.9


def test_an_inpainting_network_without_a_picture_paints_all(diffusers_pipe: Pipes) -> None:
    pipe = pipeline_of(diffusers_pipe("sd1"), INPAINT["sd1"], channels=9)
    picture, _, runtime = ours("sd1", pipe, request(scheduler="DDIM"))
    shown = runtime.loaded[ComponentKind.UNET].last["sample"]
    assert picture.pixels.std() > 5 and (shown[:, 4] == 1).all()


@pytest.mark.parametrize(
    ("channels", "changes", "says"),
    [
        (8, {}, "edits pictures as it is told; choose a starting picture"),
        (5, {}, "led by a depth map; choose one"),
    ],
)
def test_what_a_model_needs(
    diffusers_pipe: Pipes, channels: int, changes: dict[str, Any], says: str
) -> None:
    name = "StableDiffusionInstructPix2PixPipeline"
    pipe = pipeline_of(diffusers_pipe("sd1"), name, channels=channels)
    pipeline, runtime = torch_pipeline("sd1", pipe)
    with pytest.raises(SfumatoError, match=says) as caught:
        list(pipeline.generate(request(**changes), Hooks()))
    assert caught.value.kind is ErrorKind.BAD_REQUEST
    assert runtime.loaded == {}  # before anything was loaded


def test_a_flat_depth_map(diffusers_pipe: Pipes, tmp_path: Path) -> None:
    Image.new("L", (64, 64), 90).save(tmp_path / "flat.png")
    pipe = pipeline_of(diffusers_pipe("sd1"), "StableDiffusionInpaintPipeline", channels=5)
    pipeline, _ = torch_pipeline("sd1", pipe)
    with pytest.raises(SfumatoError, match="the same grey all over"):
        list(pipeline.generate(request(depth_map=str(tmp_path / "flat.png")), Hooks()))


def test_what_has_no_effect_is_said(diffusers_pipe: Pipes, photo: Any) -> None:
    asked = request(depth_map=str(photo("sd1")), image_guidance_scale=2.0)
    picture, _, _ = ours("sd1", diffusers_pipe("sd1"), asked)
    assert picture.record.notes[-2:] == (
        "The depth map had no effect: this is no depth model.",
        "The image guidance had no effect: this model does not edit pictures.",
    )


def test_new_ground_is_painted_at_full_strength_and_its_record_says_so(
    diffusers_pipe: Pipes, photo: Any
) -> None:
    path = photo("sd1", (32, 64))
    start = StartImage(str(path), 0.4, mask_feather=0, outpaint=Outpaint(right=32))
    asked = request(scheduler="DDIM", start_image=start)
    picture, _, runtime = ours("sd1", diffusers_pipe("sd1"), asked)
    assert runtime.loaded[ComponentKind.UNET].calls == 4
    assert picture.record.request.start_image == StartImage(
        str(path), 1.0, mask_feather=0, outpaint=Outpaint(right=32)
    )
    assert (picture.pixels[:, :32] == np.asarray(Image.open(path))).all()


def test_only_the_masked_area_at_the_pictures_own_size(
    diffusers_pipe: Pipes, photo: Any, mask: Any
) -> None:
    path = photo("sd1", (300, 200))
    area = mask((300, 200), (100, 80, 140, 110))
    start = StartImage(str(path), 1.0, str(area), 4, inpaint_area=InpaintArea.MASKED)
    picture, _, _ = ours("sd1", diffusers_pipe("sd1"), request(scheduler="DDIM", start_image=start))
    old = np.asarray(Image.open(path))
    assert (picture.record.width, picture.record.height) == (300, 200)
    changed = np.argwhere((picture.pixels != old).any(2))
    assert changed.min(0).tolist() >= [76, 96] and changed.max(0).tolist() <= [113, 143]
    assert len(changed) > 0.9 * 40 * 30


@pytest.mark.parametrize(("name", "strength"), [("DDIM", 1.0), ("Euler a", 0.7)])
def test_an_inpaint_controlnet(
    diffusers_pipe: Pipes, photo: Any, mask: Any, name: str, strength: float
) -> None:
    """It is shown the starting picture with what is masked marked by −1."""
    path, area = photo("sd1"), mask(size_of("sd1"), BOX)
    pipe = diffusers_pipe("sd1")
    (net,) = networks("sd1", pipe, 1)
    start = StartImage(str(path), strength, str(area), mask_feather=0)
    control = Control("inpaint", str(path), Preprocessor.INPAINT)
    asked = request(scheduler=name, steps=5, start_image=start, controls=(control,))
    _, latents, _ = ours("sd1", pipe, asked, controls={"inpaint": net})
    shown = np.asarray(Image.open(path), np.float32).transpose(2, 0, 1)[None] / 255
    shown[:, :, BOX[1] : BOX[3], BOX[0] : BOX[2]] = -1
    reference = pipeline_of(pipe, "StableDiffusionControlNetInpaintPipeline", controlnet=net)
    arguments = {k: v for k, v in call(asked).items() if k != "guidance_rescale"}
    arguments |= {"image": Image.open(path), "mask_image": Image.open(area), "strength": strength}
    arguments |= {"control_image": torch.from_numpy(shown), "controlnet_conditioning_scale": 1.0}
    expected = their_latents(reference, diffusers_scheduler(name), **arguments)
    assert_same_latents(latents, expected)
