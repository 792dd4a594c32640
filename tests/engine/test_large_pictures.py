"""Pictures too large to be decoded whole, and machines too small for all networks at once."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gui.convert.patch.variant import make_variant
from gui.convert.types import ImageSize
from gui.coreml import tiles
from gui.coreml.inspect import inspect_model
from gui.coreml.model import ComponentInfo, ComponentKind
from gui.coreml.portable import PortableRuntime, room
from gui.engine import backend as backends
from gui.engine.backend import PipelineBackend
from gui.errors import ErrorKind, SfumatoError
from gui.hub.types import Machine
from gui.library import variants
from gui.pipeline.pipeline import Hooks
from gui.request import ComputeUnit, PictureRequest
from gui.start_image import StartImage
from gui.versions import system
from tests.support import patched

K = ComponentKind
VAE = (K.VAE_ENCODER, K.VAE_DECODER)


class Runtime(PortableRuntime):
    """Notes what is loaded, and in which shape; refuses what it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.shapes: dict[ComponentKind, tuple[int | None, ...]] = {}
        self.refused: Callable[[ComponentInfo], bool] = lambda _component: False

    def load(self, component: ComponentInfo, compute_unit: ComputeUnit) -> Any:
        if self.refused(component):
            raise SfumatoError(ErrorKind.BAD_MODEL, "Core ML says no; choose another model.")
        self.shapes[component.kind] = component.inputs[0].shape
        return super().load(component, compute_unit)


@pytest.fixture
def backend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PipelineBackend:
    monkeypatch.setenv("SFUMATO_HOME", str(tmp_path / "home"))
    made = PipelineBackend()
    made.machine_runtime = Runtime()
    return made


@pytest.fixture
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiles as large as the tiny model's own pictures; whatever is larger takes them."""
    monkeypatch.setattr(tiles, "SIDE", 64)
    monkeypatch.setattr(tiles, "LARGEST_WHOLE", 64 * 64)


def asked(**values: Any) -> PictureRequest:
    base: dict[str, Any] = {"steps": 2, "seed": 3, "previews": False, "safety_checker": False}
    return PictureRequest("a fox", str(patched.model("sd1").folder), **(base | values))


def made(backend: PipelineBackend, request: PictureRequest) -> np.ndarray:
    choice = backend.find(request)
    pipeline = choice.build()
    try:
        pipeline.load(lambda *_: None, request)
        (picture,) = pipeline.generate(request, Hooks())
    finally:
        pipeline.close()
    assert picture.pixels.shape == (choice.height, choice.width, 3)
    return picture.pixels


def shapes(backend: PipelineBackend) -> dict[ComponentKind, tuple[int | None, ...]]:
    assert isinstance(backend.machine_runtime, Runtime)
    return backend.machine_runtime.shapes


def alike(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.corrcoef(one.ravel(), other.ravel())[0, 1])


def test_a_large_picture_is_decoded_in_tiles(
    backend: PipelineBackend, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    large = asked(width=192, height=128)
    whole = made(backend, large)
    assert shapes(backend)[K.VAE_DECODER] == (1, 4, 16, 24)
    request.getfixturevalue("small_tiles")
    tiled = made(backend, large)
    assert shapes(backend)[K.VAE_DECODER] == (1, 4, 8, 8)
    assert shapes(backend)[K.UNET] == (2, 4, 16, 24)
    assert not np.array_equal(tiled, whole) and alike(tiled, whole) > 0.8
    assert np.array_equal(made(backend, large), tiled)


@pytest.mark.usefixtures("small_tiles")
def test_a_large_starting_picture_is_encoded_in_tiles(
    backend: PipelineBackend, tmp_path: Path
) -> None:
    y, x = np.mgrid[:128, :192]
    Image.fromarray(np.stack([x, y, 255 - x], -1).astype(np.uint8)).save(tmp_path / "start.png")
    made(backend, asked(width=192, height=128, start_image=StartImage(str(tmp_path / "start.png"))))
    assert shapes(backend)[K.VAE_ENCODER] == (1, 3, 64, 64)


@pytest.mark.usefixtures("small_tiles")
def test_where_core_ml_refuses_the_tiles_it_is_decoded_whole_from_then_on(
    backend: PipelineBackend,
) -> None:
    runtime = backend.machine_runtime
    assert isinstance(runtime, Runtime)
    runtime.refused = lambda c: c.kind is K.VAE_DECODER and c.inputs[0].shape == (1, 4, 8, 8)
    with pytest.raises(SfumatoError, match="decoded whole") as caught:
        made(backend, asked(width=128, height=64))
    assert caught.value.kind is ErrorKind.CHANGED_MODEL
    made(backend, asked(width=128, height=64))
    assert shapes(backend)[K.VAE_DECODER] == (1, 4, 8, 16)
    assert variants.refusal(Path("/nowhere/model"), system()) == ""


def test_a_picture_says_that_another_machine_makes_it_otherwise(
    backend: PipelineBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiles, "SIDE", 64)

    def notes(**values: Any) -> tuple[str, ...]:
        choice = backend.find(asked(**values))
        pipeline = choice.build()
        pipeline.load(lambda *_: None, asked(**values))
        (picture,) = pipeline.generate(asked(**values), Hooks())
        pipeline.close()
        return picture.record.notes

    assert any("in tiles" in note for note in notes(width=128, height=64, reduce_memory=True))
    assert not any("in tiles" in note for note in notes(reduce_memory=True))
    assert not any("in tiles" in note for note in notes(width=128, height=64))


def test_a_model_whose_vae_is_smaller_than_its_unet_decodes_in_tiles(
    backend: PipelineBackend, tmp_path: Path
) -> None:
    model, folder = patched.model("sd1").folder, tmp_path / "mixed"
    make_variant(model, folder, size=ImageSize(128, 64))
    whole = made(backend, replace(asked(), model=str(folder)))
    for path in folder.glob("*vae*"):
        shutil.rmtree(path)
        shutil.copytree(model / path.name, path)
    info = inspect_model(folder)
    assert info.problems == () and (info.image_width, info.image_height) == (128, 64)
    tiled = made(backend, replace(asked(), model=str(folder)))
    assert shapes(backend)[K.VAE_DECODER] == (1, 4, 8, 8)
    assert alike(tiled, whole) > 0.8


@pytest.mark.parametrize(("memory", "sparing"), [(10**8, True), (10**12, False), (0, False)])
def test_on_a_small_machine_networks_are_loaded_one_after_the_other(
    backend: PipelineBackend, monkeypatch: pytest.MonkeyPatch, memory: int, sparing: bool
) -> None:
    """0: it cannot be told."""
    monkeypatch.setattr(backends, "_machine", lambda: Machine("Linux", memory_bytes=memory))
    choice = backend.find(asked())
    assert choice.sparing is sparing
    pipeline = choice.build()
    told: list[str] = []
    pipeline.load(lambda name, _index, _total: told.append(name), asked())
    assert (told == []) is sparing
    pipeline.close()
    assert backend.find(asked(reduce_memory=True)).sparing
    assert (backend.find(asked(reduce_memory=True)).key == choice.key) is sparing


@pytest.mark.parametrize("sparing", [False, True])
def test_a_network_that_the_system_would_end_us_for_is_refused_beforehand(
    sparing: bool, backend: PipelineBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "memory_left", lambda: 10_000)
    with pytest.raises(SfumatoError, match="of memory, and 0 MB are left; close other") as caught:
        made(backend, asked(reduce_memory=sparing))
    assert caught.value.kind is ErrorKind.MEMORY
    assert ("use less memory" in caught.value.message) is not sparing
