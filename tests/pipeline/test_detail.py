"""Detail in pieces: against diffusers' image-to-image, and how the pieces come together."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gui.control_use import Control
from gui.coreml.inspect import inspect_model, load_sidecar
from gui.coreml.runtime import default_runtime
from gui.errors import Cancelled, ErrorKind, SfumatoError
from gui.paths import starter_model
from gui.pipeline.demands import check_detail
from gui.pipeline.detail import OVERLAP, painted, places
from gui.pipeline.pipeline import Hooks, Pipeline
from gui.request import ComputeUnit, Enlargement, PictureRequest
from gui.start_image import StartImage
from tests.pipeline.reference import diffusers_scheduler
from tests.pipeline.test_image_to_image import image_to_image
from tests.pipeline.test_parity import SEED, call, request, settings_of, theirs
from tests.support.tiny_models import TinyModel
from tests.support.tiny_networks import SHAPES
from tests.support.torch_runtime import torch_pipeline

Pipes = Callable[[str], Any]


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.parametrize("size", [(8, 8), (64, 64), (65, 64), (100, 260), (64, 129), (257, 300)])
def test_pieces_that_stay_as_they_are_make_the_same_picture(size: tuple[int, int]) -> None:
    picture = noise(*size)
    seen: list[tuple[int, int]] = []
    made = painted(picture, (64, 64), lambda piece, _: piece, lambda *n: seen.append(n))
    assert (made == picture).all()
    assert seen[-1][0] == seen[-1][1] == len(seen)


def test_neighbours_pass_into_each_other() -> None:
    """No pixel is further from its neighbour than a linear blend over the overlap makes it."""
    made = painted(noise(64, 256), (64, 64), lambda piece, n: np.full_like(piece, 60 * n))
    steps = np.abs(np.diff(made.astype(int), axis=1))
    assert steps.max() <= -(-60 // (64 * OVERLAP)) + 1
    assert made[0, 0, 0] == 0 and made[0, -1, 0] == 60 * (len(places(256, 64)) - 1)


@pytest.mark.parametrize(("length", "side"), [(64, 64), (65, 64), (512, 64), (1000, 512)])
def test_pieces_overlap_and_cover_all(length: int, side: int) -> None:
    begins = places(length, side)
    assert begins[0] == 0 and begins[-1] + side == max(length, side)
    for one, other in pairwise(begins):
        assert one < other <= one + side - round(side * OVERLAP)


def test_cancelled_between_pieces() -> None:
    done: list[int] = []
    with pytest.raises(Cancelled):
        painted(
            noise(64, 256), (64, 64), lambda piece, n: done.append(n) or piece,
            cancelled=lambda: len(done) == 2,
        )  # fmt: skip
    assert done == [0, 1]


def picture_file(folder: Path, height: int, width: int) -> Path:
    y, x = np.mgrid[0:height, 0:width]
    pixels = np.stack([x * 255 / width, y * 255 / height, (x * y) % 256], -1)
    Image.fromarray(pixels.astype(np.uint8)).save(folder / "photo.png")
    return folder / "photo.png"


@pytest.mark.parametrize("kind", ["sd1", "sd2v", "sdxl"])
def test_every_piece_is_what_diffusers_makes_of_it(
    diffusers_pipe: Pipes, tmp_path: Path, kind: str
) -> None:
    """Two pieces beside each other: each is image-to-image with a seed of its own."""
    high, wide = (8 * n for n in SHAPES[kind].latent)
    pipe = image_to_image(diffusers_pipe(kind), kind)
    path = picture_file(tmp_path, high, 2 * wide)
    asked = request(
        scheduler="DDIM", steps=6, start_image=StartImage(str(path), 0.0), detail_strength=0.5
    )
    pipeline, _ = torch_pipeline(kind, pipe)
    (picture,) = pipeline.generate(asked, Hooks())
    source = Image.open(path)
    begins = places(2 * wide, wide)
    pieces = []
    for number, left in enumerate(begins):
        arguments = call(asked) | {
            "image": source.crop((left, 0, left + wide, high)), "strength": 0.5,
        }  # fmt: skip
        scheduler = diffusers_scheduler("DDIM", **settings_of(kind))
        pixels, _ = theirs(kind, pipe, scheduler, SEED + number, **arguments)
        pieces.append(np.asarray(pixels))
    expected = painted(np.asarray(source), (high, wide), lambda _piece, number: pieces[number])
    assert picture.pixels.shape == (high, 2 * wide, 3)
    assert np.abs(picture.pixels.astype(int) - expected.astype(int)).max() <= 1


def test_enlarged_and_refined(tiny_sd1: TinyModel, tmp_path: Path) -> None:
    """Real packages: twice as large, at the picture's own size whatever the model's is."""
    info = inspect_model(tiny_sd1.folder)
    pipeline = Pipeline(info, load_sidecar(info), default_runtime(), ComputeUnit.ALL)
    path = picture_file(tmp_path, 72, 100)
    pieces: list[tuple[int, int]] = []
    asked = PictureRequest(
        "a cat", "", seed=3, steps=4, start_image=StartImage(str(path), 0.0),
        enlargement=Enlargement.X2, detail_strength=0.25,
    )  # fmt: skip
    hooks = Hooks(on_enlarging=lambda _index, *n: pieces.append(n))
    (made,) = pipeline.generate(asked, hooks)
    assert made.pixels.shape == (144, 200, 3)
    across, down = len(places(200, info.image_width)), len(places(144, info.image_height))
    assert pieces[-1] == (across * down, across * down)
    assert made.record.request.detail_strength == 0.25 and made.record.width == 200
    pipeline.close()


def test_what_cannot_be_is_refused() -> None:
    info = inspect_model(starter_model())
    pipeline = Pipeline(info, load_sidecar(info), default_runtime(), ComputeUnit.ALL)
    with pytest.raises(SfumatoError, match="into every piece") as raised:
        next(pipeline.generate(PictureRequest("a cat", "", detail_strength=0.3), Hooks()))
    assert raised.value.kind is ErrorKind.UNSUPPORTED
    pipeline.close()


def test_a_control_that_leads_is_refused(tiny_sd1: TinyModel) -> None:
    info = inspect_model(tiny_sd1.folder)
    asked = PictureRequest("a cat", "", detail_strength=0.3, controls=(Control("edges", "x.png"),))
    with pytest.raises(SfumatoError) as raised:
        check_detail(asked, info, load_sidecar(info))
    assert raised.value.kind is ErrorKind.BAD_REQUEST
