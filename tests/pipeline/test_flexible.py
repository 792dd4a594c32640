"""Models whose networks take several sizes make diffusers' pictures at each of them, without being
made anew: ranges under Apple's names, lists of shapes under Guernika's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from gui.control_use import Control
from gui.coreml.inspect import inspect_model, load_sidecar
from gui.errors import ErrorKind, SfumatoError
from gui.pipeline.pipeline import GeneratedPicture, Hooks, Pipeline
from gui.request import ComputeUnit, PictureRequest, RandomSource, StartImage
from tests.coreml.editing import copy_of
from tests.pipeline.reference import diffusers_scheduler, seeded
from tests.pipeline.test_controlnet import controlled
from tests.pipeline.test_guernika import Recording, with_family
from tests.pipeline.test_image_to_image import image_to_image
from tests.pipeline.test_parity import NEGATIVE, PROMPT, SEED, settings_of
from tests.support.flexible import listed_model, ranged_model
from tests.support.guernika import guernika_resources
from tests.support.tiny_networks import tiny_controlnet

Pipes = Callable[[str], Any]
Made = tuple[GeneratedPicture, np.ndarray]
ASKED = {"prompt": PROMPT, "negative_prompt": NEGATIVE, "num_inference_steps": 3,
         "guidance_scale": 5.0}  # fmt: skip


class Maker:
    """One pipeline, kept from picture to picture."""

    def __init__(self, folder: Path) -> None:
        info = inspect_model(folder)
        assert info.problems == ()
        self.runtime = Recording()
        self.pipeline = Pipeline(info, load_sidecar(info), self.runtime, ComputeUnit.CPU_ONLY)

    def __call__(self, **changes: Any) -> Made:
        base = {
            "prompt": PROMPT, "model": "m", "negative_prompt": NEGATIVE, "steps": 3,
            "guidance_scale": 5.0, "scheduler": "Euler", "seed": SEED,
            "random_source": RandomSource.TORCH, "previews": False,
        }  # fmt: skip
        (picture,) = self.pipeline.generate(PictureRequest(**{**base, **changes}), Hooks())
        return picture, self.runtime.latents


@pytest.fixture(scope="module", params=["ranged", "listed", "listed and compiled"])
def maker(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Any]:
    place = tmp_path_factory.mktemp("flexible") / "model"
    if request.param == "ranged":
        folder = copy_of(ranged_model(), place)
    else:
        folder = copy_of(listed_model(), place)
        if "compiled" in request.param:
            folder = guernika_resources(folder, place.with_name("compiled"))
        with_family(folder, "sd1")
    made = Maker(folder)
    yield made
    made.pipeline.close()


def theirs(pipe: Any, size: tuple[int, int], **arguments: Any) -> tuple[np.ndarray, np.ndarray]:
    """diffusers' picture of a width and height, and its latents in the decoder's scale."""
    pipe.scheduler = diffusers_scheduler("Euler", **settings_of("sd1"))
    if "strength" not in arguments:
        arguments |= {"width": size[0], "height": size[1]}
    latents = pipe(generator=seeded(SEED), output_type="latent", **ASKED, **arguments).images
    latents = latents / pipe.vae.config.scaling_factor
    with torch.no_grad():
        image = pipe.vae.decode(latents).sample
    pixels = pipe.image_processor.postprocess(image, output_type="np")[0]
    return (pixels * 255).round().astype(np.uint8), latents.numpy()


def assert_theirs(made: Made, expected: tuple[np.ndarray, np.ndarray]) -> None:
    (picture, latents), (pixels, wanted) = made, expected
    assert pixels.std() > 5
    assert picture.pixels.shape == pixels.shape
    assert np.abs(latents - wanted).max() <= 1e-4 * np.abs(wanted).max()
    assert np.abs(picture.pixels.astype(int) - pixels).max() <= 1


@pytest.mark.parametrize("size", [(64, 64), (96, 64), (128, 80), (64, 64)])
def test_every_size(maker: Maker, diffusers_pipe: Pipes, size: tuple[int, int]) -> None:
    width, height = size
    made = maker(width=width, height=height)
    assert_theirs(made, theirs(diffusers_pipe("sd1"), size))
    assert (made[0].record.width, made[0].record.height) == size


def test_a_starting_picture_of_another_size(
    maker: Maker, diffusers_pipe: Pipes, tmp_path: Path
) -> None:
    start = tmp_path / "start.png"
    y, x = np.mgrid[0:96, 0:64]
    pixels = np.stack([x * 4, y * 2, (x * y) % 256], -1).astype(np.uint8)
    Image.fromarray(pixels).save(start)
    made = maker(width=64, height=96, start_image=StartImage(str(start), 0.7), steps=4)
    pipe = image_to_image(diffusers_pipe("sd1"), "sd1")
    asked = {"image": Image.open(start), "strength": 0.7, "num_inference_steps": 4}
    pipe.scheduler = diffusers_scheduler("Euler", **settings_of("sd1"))
    latents = pipe(generator=seeded(SEED), output_type="latent", **(ASKED | asked)).images
    wanted = (latents / pipe.vae.config.scaling_factor).numpy()
    assert made[0].pixels.shape == (96, 64, 3)
    assert np.abs(made[1] - wanted).max() <= 1e-4 * np.abs(wanted).max()


def _drawing(place: Path, size: tuple[int, int]) -> Path:
    y, x = np.mgrid[0 : size[1], 0 : size[0]]
    shades = np.stack([(x * 3) % 256, (y * 5) % 256, (x * y) % 256], -1)
    Image.fromarray(shades.astype(np.uint8)).save(place)
    return place


@pytest.mark.parametrize("size", [(64, 64), (128, 80)])
@pytest.mark.parametrize("dialect", ["ranged", "listed"])
def test_a_controlnet_at_another_size(
    diffusers_pipe: Pipes, tmp_path: Path, dialect: str, size: tuple[int, int]
) -> None:
    pipe = diffusers_pipe("sd1")
    if dialect == "ranged":
        folder, name = ranged_model(), "tiny_edges"
    else:
        folder = with_family(copy_of(listed_model(), tmp_path / "model"), "sd1")
        name = str(folder / "nets" / "ControlNet.mlpackage")
    drawing = _drawing(tmp_path / "drawing.png", size)
    made = Maker(folder)(
        width=size[0], height=size[1], controls=(Control(name, str(drawing), weight=0.8),)
    )
    net = tiny_controlnet("sd1", pipe)
    asked = {"image": Image.open(drawing), "controlnet_conditioning_scale": 0.8}
    assert_theirs(made, theirs(controlled(pipe, "sd1", [net]), size, **asked))


def test_a_size_that_is_not_drawn_is_refused_with_the_nearest(maker: Maker) -> None:
    with pytest.raises(SfumatoError) as error:
        maker(width=100, height=64)
    assert error.value.kind is ErrorKind.BAD_REQUEST
    assert "choose 96 × 64, which is nearest" in error.value.message
    assert maker(width=64, height=64)[0].pixels.shape == (64, 64, 3)
