"""The seed decides where the subject stands, with the model that ships: it knows one place only."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from PIL import Image

from gui.coreml.inspect import inspect_model, load_sidecar
from gui.coreml.runtime import default_runtime
from gui.paths import starter_model
from gui.pipeline.pipeline import GeneratedPicture, Hooks, Pipeline
from gui.pipeline.placement import Placement
from gui.request import Composition, ComputeUnit, Enlargement, PictureRequest
from gui.start_image import StartImage

PROMPTS = ("a cat on a blue background", "a house on a pink background")


@pytest.fixture(scope="module")
def starter() -> Iterator[Pipeline]:
    info = inspect_model(starter_model())
    made = Pipeline(info, load_sidecar(info), default_runtime(), ComputeUnit.ALL)
    yield made
    made.close()


def asked(prompt: str, **changes: object) -> PictureRequest:
    plain = PictureRequest(prompt, "", seed=41, previews=False, enlargement=Enlargement.OFF)
    return replace(plain, **changes)


def made(pipeline: Pipeline, request: PictureRequest, hooks: Hooks | None = None) -> np.ndarray:
    return next(pictures(pipeline, request, hooks)).pixels


def pictures(
    pipeline: Pipeline, request: PictureRequest, hooks: Hooks | None = None
) -> Iterator[GeneratedPicture]:
    return pipeline.generate(request, hooks or Hooks())


def differing(a: np.ndarray, b: np.ndarray) -> float:
    """The share of pixels that are plainly different."""
    away = np.abs(a.astype(int) - b.astype(int))
    return float((away.max(-1) > 24).mean())


@pytest.mark.parametrize("prompt", PROMPTS)
def test_pictures_of_a_batch_differ_visibly(starter: Pipeline, prompt: str) -> None:
    batch = [each.pixels for each in pictures(starter, asked(prompt, count=4))]
    centred = asked(prompt, count=2, composition=Composition.MODEL)
    first, second = (each.pixels for each in pictures(starter, centred))
    for one, other in pairwise(batch):
        assert differing(one, other) > 0.2
        assert differing(one, other) > differing(first, second), "more than the model's own"


def test_each_is_reproducible_alone_and_says_how_it_was_made(starter: Pipeline) -> None:
    third = list(pictures(starter, asked(PROMPTS[0], count=3)))[2]
    assert third.record.request.composition is Composition.VARIED
    assert (made(starter, third.record.request) == third.pixels).all()


@pytest.mark.parametrize("scheduler", ["Heun", "PNDM", "DPM++ 2M SDE"])
def test_every_kind_of_scheduler_counts_its_steps(starter: Pipeline, scheduler: str) -> None:
    seen: list[int] = []
    hooks = Hooks(on_step=lambda _picture, step, _steps, _preview: seen.append(step))
    picture = made(starter, asked(PROMPTS[0], scheduler=scheduler, steps=6), hooks)
    assert seen == list(range(1, 7))
    edge = np.concatenate([picture[0], picture[-1]]).reshape(-1, 3).mean(0)
    assert edge[2] > edge[0] + 60, "the ground is blue"


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_few_steps(starter: Pipeline, steps: int) -> None:
    assert made(starter, asked(PROMPTS[0], steps=steps)).shape == (128, 128, 3)


def test_the_preview_is_of_the_picture(starter: Pipeline) -> None:
    """In its place and direction: the house's door stands on the side where it will."""
    last: list[np.ndarray | None] = []
    hooks = Hooks(on_step=lambda _picture, _step, _steps, preview: last.append(preview))
    for seed in (42, 43):
        picture = made(starter, asked(PROMPTS[1], previews=True, seed=seed), hooks)
        preview = last[-1]
        assert preview is not None
        height, width = preview.shape[:2]
        small = np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.BOX))
        same, mirrored = (
            np.abs(small.astype(float) - one).mean() for one in (preview, preview[:, ::-1])
        )
        assert same < 0.7 * mirrored


def test_an_unchanged_branch_is_the_same_picture(starter: Pipeline) -> None:
    request = asked(PROMPTS[0], steps=8)
    first = next(pictures(starter, request))
    for step in (1, 2, 5):  # before, at and after the step at which it is resized
        branch = replace(first.record.request.branched(step), previews=False)
        assert (made(starter, branch) == first.pixels).all()


def test_what_something_else_places_stays() -> None:
    start = StartImage("elsewhere.png", 0.5)
    varied = asked(PROMPTS[0], composition=Composition.VARIED)
    assert Placement.of(varied) is not None
    assert Placement.of(replace(varied, start_image=start)) is None
    assert Placement.of(replace(varied, composition=Composition.MODEL)) is None


def test_the_subject_stays_whole() -> None:
    """A square on an uneven ground is moved as far as the edges, and no cell of it is lost."""
    generator = torch.Generator().manual_seed(1)
    ground = 0.2 * torch.randn((1, 4, 16, 16), generator=generator)
    ground[..., 4:11, 3:9] += 3.0
    seen = set()
    for seed in range(64):
        placement = Placement.of(asked("", seed=seed, composition=Composition.VARIED))
        assert placement is not None
        moved = placement.placed(ground)[0].mean(0) > 1.5
        rows, columns = moved.any(1).nonzero().flatten(), moved.any(0).nonzero().flatten()
        assert moved.sum() == 7 * 6 and len(rows) == 7 and len(columns) == 6
        assert rows[0] >= 1 and rows[-1] <= 14 and columns[0] >= 1 and columns[-1] <= 14
        seen.add((int(rows[0]), int(columns[0])))
    assert len(seen) > 20, "every seed has a place of its own"


def test_nothing_but_ground_stays() -> None:
    plain = torch.zeros((1, 4, 16, 16))
    placement = Placement.of(asked("", composition=Composition.VARIED))
    assert placement is not None and torch.equal(placement.placed(plain), plain)
