"""Models that are shown a picture, a mask or a depth map: from the checkpoint to the picture,
beside diffusers' pipelines of the same weights."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from gui.coreml.inspect import inspect_model, load_sidecar
from gui.coreml.model import Attention, ComponentKind, UNetKind
from gui.coreml.portable import PortableRuntime
from gui.pipeline.pipeline import Hooks, Pipeline
from gui.request import ComputeUnit, PictureRequest, RandomSource
from gui.start_image import StartImage
from gui.state.describe import model_rows
from tests.convert.test_end_to_end import GUIDANCE, NEGATIVE, PROMPT, SEED, STEPS, decibels
from tests.pipeline.reference import diffusers_scheduler
from tests.support import tiny_checkpoints
from tests.support.converted import Converted, converted

BOX = (16, 8, 48, 40)
XL = (ComponentKind.TEXT_ENCODER_2,)
ALL = (ComponentKind.TEXT_ENCODER, ComponentKind.UNET, ComponentKind.VAE_DECODER,
       ComponentKind.VAE_ENCODER)  # fmt: skip


@pytest.fixture(autouse=True)
def _quiet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("SFUMATO_HOME", str(tmp_path / "home"))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    y, x = np.mgrid[0:64, 0:64]
    pixels = np.stack([4 * x, 4 * y, (x * y) % 256], -1).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def model(kind: str, *, single: bool = False, **options: Any) -> Converted:
    source = tiny_checkpoints.kept_single(kind) if single else None
    kinds = (*ALL, *(XL if kind.startswith("sdxl") else ()))
    return converted(kind, kind, source=source, components=kinds, check=False, **options)


def picture(folder: Path, kind: UNetKind, told: str, start: StartImage, **more: Any) -> np.ndarray:
    info = inspect_model(folder)
    assert (info.problems, info.unet_kind, info.latent_channels) == ((), kind, 4)
    assert told in dict(model_rows(info, None))["Good for"]
    pipeline = Pipeline(info, load_sidecar(info), PortableRuntime(), ComputeUnit.CPU_ONLY)
    request = PictureRequest(
        PROMPT, str(folder), NEGATIVE, STEPS, GUIDANCE, "DDIM", SEED, start_image=start,
        random_source=RandomSource.TORCH, previews=False, safety_checker=False, **more,
    )  # fmt: skip
    (made,) = pipeline.generate(request, Hooks())
    pipeline.close()
    return made.pixels


def theirs(kind: str, **arguments: Any) -> np.ndarray:
    pipe = tiny_checkpoints.pipeline(kind)
    before, config = pipe.scheduler, pipe.scheduler.config
    shared = ("beta_start", "beta_end", "beta_schedule", "prediction_type", "steps_offset")
    settings = {name: config[name] for name in shared}
    pipe.scheduler = diffusers_scheduler("DDIM", **settings, timestep_spacing="leading")
    asked = {"num_inference_steps": STEPS, "guidance_scale": GUIDANCE, "output_type": "latent"}
    try:
        generator = torch.Generator("cpu").manual_seed(SEED)
        latents = pipe(
            PROMPT, negative_prompt=NEGATIVE, generator=generator, **(asked | arguments)
        ).images
    finally:
        pipe.scheduler = before
    with torch.no_grad():
        image = pipe.vae.decode(latents / pipe.vae.config.scaling_factor).sample
    pixels = pipe.image_processor.postprocess(image, output_type="np")[0]
    return (pixels * 255).round().astype(np.uint8)


@pytest.mark.parametrize(
    ("kind", "single", "attention"),
    [
        ("sd1-inpaint", True, Attention.SPLIT_EINSUM),
        ("sdxl-inpaint", False, Attention.ORIGINAL),
    ],
)
def test_an_inpainting_model(
    photo: Path, tmp_path: Path, kind: str, single: bool, attention: Attention
) -> None:
    mask = Image.new("L", (64, 64))
    mask.paste(255, BOX)
    mask.save(tmp_path / "mask.png")
    start = StartImage(str(photo), 1.0, str(tmp_path / "mask.png"), mask_feather=0)
    folder = model(kind, single=single, attention=attention).folder
    made = picture(folder, UNetKind.INPAINT, "Painting parts of pictures anew", start)
    expected = theirs(kind, image=Image.open(photo), mask_image=mask, strength=1.0, height=64,
                      width=64)  # fmt: skip
    inside = np.zeros((64, 64), bool)
    inside[BOX[1] : BOX[3], BOX[0] : BOX[2]] = True
    assert decibels(made[inside], expected[inside]) > 40
    assert (made[~inside] == np.asarray(Image.open(photo))[~inside]).all()


@pytest.mark.parametrize(("kind", "single"), [("sd1-instruct", False), ("sdxl-instruct", True)])
def test_a_model_that_edits_as_it_is_told(photo: Path, kind: str, single: bool) -> None:
    folder = model(kind, single=single, attention=Attention.ORIGINAL).folder
    made = picture(
        folder,
        UNetKind.INSTRUCT,
        "Editing a picture",
        StartImage(str(photo)),
        image_guidance_scale=1.6,
    )
    size = {"height": 64, "width": 64} if kind.startswith("sdxl") else {}
    expected = theirs(kind, image=Image.open(photo), image_guidance_scale=1.6, **size)
    assert decibels(made, expected) > 40


def test_a_depth_model(photo: Path, tmp_path: Path) -> None:
    grey = np.asarray(Image.open(photo).convert("L"))
    Image.fromarray(grey).save(tmp_path / "depth.png")
    start = StartImage(str(photo), 0.75)
    folder = model("sd2-depth", single=True, attention=Attention.ORIGINAL).folder
    assert load_sidecar(inspect_model(folder)).prediction_type == "epsilon"
    made = picture(
        folder, UNetKind.DEPTH, "depth map", start, depth_map=str(tmp_path / "depth.png")
    )
    depth = torch.from_numpy(grey.astype(np.float32))[None]
    expected = theirs("sd2-depth", image=Image.open(photo), strength=0.75, depth_map=depth)
    assert decibels(made, expected) > 40


def test_a_model_without_what_shows_it_the_picture(photo: Path, tmp_path: Path) -> None:
    """An inpainting model without its VAE encoder can paint on nothing, and says so."""
    whole = inspect_model(
        model("sd1-inpaint", single=True, attention=Attention.SPLIT_EINSUM).folder
    )
    for kind, component in whole.components.items():
        for file in component.files:
            if kind is not ComponentKind.VAE_ENCODER:
                (tmp_path / file.name).symlink_to(file)
    assert inspect_model(tmp_path).problems == ("The VAE encoder is missing.",)
