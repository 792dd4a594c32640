"""What a picture says of how it was drawn, compared with diffusers itself; and where two drawings
part."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gui.control_use import Control
from gui.library.latent_sketch import (
    MAX_KEPT,
    Sketch,
    Sketcher,
    first_difference,
    read_sketch,
)
from gui.library.metadata.writing import MADE_BY_MODEL
from gui.library.pictures import png_bytes
from gui.pipeline.pipeline import Hooks, Pipeline
from gui.pipeline.provenance import provenance_of
from gui.pipeline.schedulers import make_scheduler
from gui.request import PictureRecord, PictureRequest, StartImage
from tests.support.torch_runtime import torch_pipeline

Pipes = Callable[[str], Any]


@pytest.fixture
def pipeline(diffusers_pipe: Pipes) -> Pipeline:
    return torch_pipeline("sd1", diffusers_pipe("sd1"))[0]


def drawn(pipeline: Pipeline, **changes: Any) -> PictureRecord:
    base = {"prompt": "a red apple", "model": "m", "steps": 4, "scheduler": "Euler a", "seed": 3}
    (picture,) = pipeline.generate(PictureRequest(**{**base, **changes}), Hooks())
    return picture.record


def sketch(record: PictureRecord) -> Sketch:
    found = read_sketch(record.provenance.sketch)
    assert found is not None
    return found


def test_the_scheduler_that_is_told_is_the_one_that_drew(pipeline: Pipeline) -> None:
    from diffusers.schedulers.scheduling_dpmsolver_multistep import DPMSolverMultistepScheduler

    told = drawn(pipeline, scheduler="DPM++ 2M Karras").provenance.scheduler
    assert told["_class_name"] == "DPMSolverMultistepScheduler"
    again = DPMSolverMultistepScheduler(**{k: v for k, v in told.items() if k[0] != "_"})
    again.set_timesteps(4)
    ours = make_scheduler("DPM++ 2M Karras", pipeline.sidecar)
    ours.set_timesteps(4)
    np.testing.assert_array_equal(np.asarray(again.sigmas), np.asarray(ours.sigmas))  # type: ignore[attr-defined]


def test_model_runtime_and_versions_are_told(pipeline: Pipeline) -> None:
    import torch

    pipeline.sidecar = replace(pipeline.sidecar, source_repo="a/b", source_revision="c0ffee")
    told = drawn(pipeline).provenance
    assert (told.source_repo, told.source_revision) == ("a/b", "c0ffee")
    assert told.runtime == pipeline._runtime.name and told.system
    assert told.scaling_factor == pipeline.sidecar.scaling_factor
    assert told.versions["torch"].split("+")[0] == torch.__version__.split("+")[0]
    assert {"diffusers", "numpy", "sfumato"} <= told.versions.keys()


def test_a_starting_picture_is_known_again_and_whether_a_model_made_it(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    photo, made = tmp_path / "photo.png", tmp_path / "made.png"
    Image.new("RGB", (64, 64), "#aa3311").save(photo)
    pixels = np.full((64, 64, 3), 90, np.uint8)
    made.write_bytes(png_bytes(pixels, PictureRecord(PictureRequest("x", ""), 64, 64, "m")))
    assert MADE_BY_MODEL.encode() in made.read_bytes()
    of_photo, of_made = (
        drawn(pipeline, start_image=StartImage(str(path), 0.5)).provenance for path in (photo, made)
    )
    assert of_photo.start_fingerprint and of_photo.start_fingerprint != of_made.start_fingerprint
    assert (of_photo.start_by_model, of_made.start_by_model) == (False, True)


def test_pictures_that_lead_are_known_again_in_their_order(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    for name, colour in (("a.png", "red"), ("b.png", "blue")):
        Image.new("RGB", (64, 64), colour).save(tmp_path / name)
    led = [Control("n", str(tmp_path / name)) for name in ("b.png", "absent.png", "a.png")]
    request = PictureRequest("x", "m", controls=tuple(led))
    scheduler = make_scheduler("Euler", pipeline.sidecar)
    blue, absent, red = provenance_of(
        pipeline.sidecar, "portable", scheduler, request
    ).control_fingerprints
    assert absent == "" and blue and red and blue != red


@pytest.mark.parametrize("scheduler", ["Euler a", "Heun", "PNDM", "DPM++ 2M"])
def test_drawings_part_where_they_part(pipeline: Pipeline, scheduler: str) -> None:
    one = sketch(drawn(pipeline, scheduler=scheduler))
    assert one.steps == (0, 1, 2, 3, 4)
    assert first_difference(one, sketch(drawn(pipeline, scheduler=scheduler))) is None
    other_seed = sketch(drawn(pipeline, scheduler=scheduler, seed=4))
    assert first_difference(one, other_seed) == 0, "the noise differs already"
    strong = first_difference(
        one, sketch(drawn(pipeline, scheduler=scheduler, guidance_scale=90.0))
    )
    assert strong is not None and strong > 0, "the same noise, and another way from there"


def test_a_sketch_sees_what_matters_and_nothing_else() -> None:
    chance = np.random.default_rng(1)
    latents = [chance.standard_normal((1, 4, 64, 64)).astype(np.float32) for _ in range(11)]

    def taken(change: float, first: int) -> Sketch:
        sketcher = Sketcher(10, 10)
        for step, each in enumerate(latents[:10]):
            moved = chance.standard_normal(each.shape).astype(np.float32) * change
            sketcher.before_call(each + moved * (step >= first))
        found = read_sketch(sketcher.text(latents[10]))
        assert found is not None
        return found

    plain = taken(0, 0)
    for rounding in (1e-7, 1e-4, 1e-3):
        assert first_difference(plain, taken(rounding, 0)) is None
    assert first_difference(plain, taken(0.5, 6)) == 6
    scaled = Sketcher(1, 1)
    scaled.before_call(latents[0] * 14.6)
    assert scaled.text(latents[1]).split(":")[1][:8] == _first(latents[0]), "in any scale"


def _first(latents: np.ndarray) -> str:
    sketcher = Sketcher(1, 1)
    sketcher.before_call(latents)
    return sketcher.text(latents).split(":")[1][:8]


@pytest.mark.parametrize("steps", [1, 25, 40, 41, 150, 1000])
def test_a_sketch_stays_small_whatever_the_steps(steps: int) -> None:
    sketcher = Sketcher(steps, steps)
    for k in range(steps):
        sketcher.before_call(np.full((1, 4, 8, 8), k + 1.0))
    text = sketcher.text(np.ones((1, 4, 8, 8)))
    found = read_sketch(text)
    assert found is not None and found.steps[0] == 0 and found.steps[-1] == steps
    assert len(text) <= 400 and len(found.steps) <= MAX_KEPT + 2


@pytest.mark.parametrize("text", ["", "x", "4:", "-1:AAAA", "99999999:AAAA", "4:!!!!", "4:AAAA"])
def test_what_is_no_sketch_is_none(text: str) -> None:
    assert read_sketch(text) is None
