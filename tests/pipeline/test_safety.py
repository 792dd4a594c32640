"""The safety checker, against diffusers' own checker and CLIP's own image processor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from gui.coreml.model import ComponentKind
from gui.pipeline.pipeline import Hooks
from gui.pipeline.safety import clip_input
from gui.request import PictureRequest
from tests.support.torch_runtime import torch_pipeline

Pipes = Callable[[str], Any]
REQUEST = PictureRequest("a red apple", "m", steps=2, scheduler="DDIM")


@pytest.mark.parametrize("size", [(64, 64), (512, 512), (300, 500), (500, 300), (225, 224)])
def test_the_picture_reaches_clip_as_clip_expects(size: tuple[int, int]) -> None:
    from transformers import CLIPImageProcessorPil

    pixels = np.random.default_rng(1).integers(0, 256, (*size, 3), np.uint8)
    reference = CLIPImageProcessorPil()(Image.fromarray(pixels), return_tensors="np")
    np.testing.assert_allclose(clip_input(pixels), reference["pixel_values"], atol=1e-5)


@pytest.mark.parametrize("objects", [True, False])
def test_verdicts_are_those_of_diffusers(diffusers_pipe: Pipes, objects: bool) -> None:
    pipe = diffusers_pipe("sd1")
    checker = pipe.safety_checker
    limits = checker.concept_embeds_weights.data
    kept = limits.clone()
    limits.fill_(-2.0 if objects else 2.0)  # cosines lie between
    try:
        pipeline, runtime = torch_pipeline("sd1", pipe, safety=True)
        (picture,) = pipeline.generate(REQUEST, Hooks())
        given = runtime.loaded[ComponentKind.SAFETY_CHECKER].last["clip_input"]
        with torch.no_grad():
            _, found = checker(clip_input=torch.from_numpy(given), images=np.zeros((1, 64, 64, 3)))
    finally:
        limits.copy_(kept)
    assert found == [objects]
    assert picture.record.safety == ("blanked" if objects else "passed")
    assert bool(picture.pixels.max() == 0) is objects
    assert bool(picture.record.notes) is objects


def test_the_persons_choice_is_respected_and_stated(diffusers_pipe: Pipes) -> None:
    pipeline, runtime = torch_pipeline("sd1", diffusers_pipe("sd1"), safety=True)
    request = PictureRequest("a red apple", "m", steps=2, safety_checker=False)
    (picture,) = pipeline.generate(request, Hooks())
    assert picture.record.safety == "off"
    assert ComponentKind.SAFETY_CHECKER not in runtime.loaded


def test_a_checker_fixed_at_another_size(diffusers_pipe: Pipes) -> None:
    """Some models carry a checker for 512 × 512 beside networks of another size."""
    from tests.pipeline.test_pipeline import rebuilt, reshaped

    pipeline, _ = torch_pipeline("sd1", diffusers_pipe("sd1"), safety=True)
    checker = ComponentKind.SAFETY_CHECKER
    model = reshaped(pipeline.model, checker, "images", (1, 512, 512, 3))
    (picture,) = rebuilt(pipeline, model).generate(REQUEST, Hooks())
    assert picture.record.safety == "passed"
