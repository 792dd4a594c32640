"""A model of several sizes is not made anew for any of them, and stays loaded between two."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gui import paths
from gui.control_use import Control
from gui.convert.patch.variant import make_variant
from gui.convert.types import ImageSize
from gui.coreml import tiles
from gui.coreml.portable import PortableModel
from gui.engine.backend import PipelineBackend
from gui.errors import ErrorKind, SfumatoError
from gui.pipeline.pipeline import Hooks
from gui.request import LoraUse, PictureRequest
from gui.start_image import Outpaint, StartImage
from tests.support.flexible import ranged_model
from tests.support.tiny_networks import tiny_pipeline


@pytest.fixture(scope="module")
def backend() -> PipelineBackend:
    return PipelineBackend()


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SFUMATO_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def request(**values: object) -> PictureRequest:
    return PictureRequest(
        "a fox", str(ranged_model()), steps=1, seed=3, previews=False, safety_checker=False,
        **values,  # type: ignore[arg-type]
    )  # fmt: skip


def test_one_loaded_model_draws_every_size(backend: PipelineBackend) -> None:
    pipeline = backend.find(request()).build()
    for width, height in ((64, 64), (128, 96), (64, 64)):
        asked = request(width=width, height=height)
        choice = backend.find(asked)
        assert choice.key == backend.find(request()).key
        assert (choice.width, choice.height) == (width, height)
        loading: list[str] = []
        pipeline.load(lambda name, *_: loading.append(name), asked)  # noqa: B023 - used at once
        (made,) = pipeline.generate(asked, Hooks())
        assert made.pixels.shape == (height, width, 3)
        assert not loading or (width, height) == (64, 64)
    pipeline.close()
    assert not list(paths.variants_dir().glob("*/*"))


@pytest.mark.parametrize("sparing", [False, True])
def test_a_large_size_is_decoded_in_tiles_by_the_very_same_network(
    sparing: bool, monkeypatch: pytest.MonkeyPatch, backend: PipelineBackend
) -> None:
    run, given = PortableModel.__call__, []

    def spy(model: PortableModel, arrays: Any, *more: Any) -> Any:
        given.extend(arrays["z"].shape for _ in "z" if "z" in arrays)
        return run(model, arrays, *more)

    def drawn() -> tuple[np.ndarray, set[tuple[int, ...]]]:
        given.clear()
        asked = request(width=128, height=96, reduce_memory=sparing)
        pipeline = backend.find(asked).build()
        pipeline.load(lambda *_: None, asked)
        (made,) = pipeline.generate(asked, Hooks())
        pipeline.close()
        return made.pixels.astype(float), set(given)

    monkeypatch.setattr(PortableModel, "__call__", spy)
    whole, shapes = drawn()
    assert shapes == {(1, 4, 12, 16)}
    monkeypatch.setattr(tiles, "SIDE", 64)
    # more than that many pixels, where memory is short or where it is not
    monkeypatch.setattr(tiles, "LARGEST_WHOLE", 64 * 64 if not sparing else 10**9)
    tiled, shapes = drawn()
    assert shapes == {(1, 4, 8, 8)}
    assert not np.array_equal(tiled, whole)
    assert np.corrcoef(tiled.ravel(), whole.ravel())[0, 1] > 0.8


def test_a_size_beyond_is_refused_before_anything_is_loaded(backend: PipelineBackend) -> None:
    with pytest.raises(SfumatoError) as error:
        backend.find(request(width=1024, height=64))
    assert error.value.kind is ErrorKind.BAD_REQUEST
    assert error.value.message.endswith("choose 128 × 64, which is nearest.")
    assert error.value.detail == "64 to 128 × 64 to 128 pixels, in steps of 16"


def save_lora(path: Path, tensors: dict[str, np.ndarray]) -> None:
    from safetensors.numpy import save_file

    path.parent.mkdir(parents=True)
    save_file(tensors, path)


def test_a_lora_and_another_size(backend: PipelineBackend, home: Path) -> None:
    layer = tiny_pipeline("sd1").unet.mid_block.attentions[0].transformer_blocks[0].attn1.to_q
    out, given = layer.weight.shape
    stem = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_q"
    random = np.random.default_rng(5)
    save_lora(
        home / "data" / "LoRAs" / "Ink.safetensors",
        {
            f"{stem}.lora_down.weight": random.standard_normal((4, given)).astype("f4"),
            f"{stem}.lora_up.weight": random.standard_normal((out, 4)).astype("f4"),
        },
    )
    made = {}
    for weight in (0.0, 0.8):
        asked = request(loras=(LoraUse("Ink", weight),), width=96, height=64)
        pipeline = backend.find(asked).build()
        pipeline.load(lambda *_: None, asked)
        (picture,) = pipeline.generate(asked, Hooks())
        pipeline.close()
        made[weight] = picture.pixels
    assert made[0.8].shape == (64, 96, 3)
    assert not np.array_equal(made[0.0], made[0.8])
    assert len(list(paths.variants_dir().glob("*/*/model"))) == 1


def test_a_frame_moved_outwards_gets_a_size_that_is_drawn(
    backend: PipelineBackend, tmp_path: Path
) -> None:
    start = tmp_path / "start.png"
    Image.new("RGB", (64, 64), "teal").save(start)
    outpaint = Outpaint(right=40)
    asked = request(start_image=StartImage(str(start), 0.5, outpaint=outpaint))
    choice = backend.find(asked)
    pipeline = choice.build()
    pipeline.load(lambda *_: None, asked)
    (made,) = pipeline.generate(asked, Hooks())
    pipeline.close()
    assert made.pixels.shape[:2] == (choice.height, choice.width)


def test_a_controlnet_of_one_size_is_resized_for_it(
    backend: PipelineBackend, tmp_path: Path
) -> None:
    from tests.support.cached_models import cached_tiny_model

    fixed = cached_tiny_model("sd1_controlnet", "sd1", controlnet=True, precision="fp32").folder
    (net,) = fixed.glob("ControlNet*.mlpackage")
    drawing = tmp_path / "drawing.png"
    Image.new("RGB", (128, 64), "white").save(drawing)
    asked = request(width=128, height=64, controls=(Control(str(net), str(drawing)),))
    pipeline = backend.find(asked).build()
    pipeline.load(lambda *_: None, asked)
    (made,) = pipeline.generate(asked, Hooks())
    pipeline.close()
    assert made.pixels.shape == (64, 128, 3)


def test_patching_its_size_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SfumatoError) as error:
        make_variant(ranged_model(), tmp_path / "made", (), ImageSize(128, 64))
    assert "choose the size when you make the picture" in error.value.message
    assert not (tmp_path / "made").exists()
