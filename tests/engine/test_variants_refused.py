"""What Core ML refuses of what was changed here: said once, remembered, never done in silence."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gui.coreml.native import NativeRuntime
from gui.engine import variant
from gui.engine.backend import PipelineBackend
from gui.errors import ErrorKind, SfumatoError
from gui.pipeline.pipeline import Hooks
from gui.request import LoraUse, PictureRequest
from tests.support import patched
from tests.support.compiled_writer import compile_folder
from tests.support.core_ml import CoreML, put_in_place

LORA = patched.lora_file("sd1-safety")
REFUSED = RuntimeError("Error creating Core ML model: internal inconsistency")


@pytest.fixture
def core_ml(monkeypatch: pytest.MonkeyPatch) -> CoreML:
    return put_in_place(monkeypatch)


@pytest.fixture
def backend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, core_ml: CoreML) -> PipelineBackend:
    monkeypatch.setenv("SFUMATO_HOME", str(tmp_path / "home"))
    folder = tmp_path / "home" / "data" / "LoRAs"
    folder.mkdir(parents=True)
    shutil.copyfile(LORA, folder / "Ink.safetensors")
    made = PipelineBackend()
    made.machine_runtime = NativeRuntime()
    return made


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compiled") / "model"
    compile_folder(patched.model("sd1").folder, folder)
    for text in patched.model("sd1").folder.glob("*.txt"):
        shutil.copyfile(text, folder / text.name)
    for name in ("vocab.json", "merges.txt", "sfumato.json"):
        if (place := patched.model("sd1").folder / name).is_file():
            shutil.copyfile(place, folder / name)
    return folder


def ask(model: Path, **values: Any) -> PictureRequest:
    return PictureRequest(
        "a fox", str(model), steps=1, seed=3, previews=False, safety_checker=False, **values
    )


def draw(backend: PipelineBackend, request: PictureRequest) -> Any:
    pipeline = backend.find(request).build()
    try:
        pipeline.load(lambda *_: None, request)
        (made,) = pipeline.generate(request, Hooks())
    finally:
        pipeline.close()
    return made


def refused(backend: PipelineBackend, request: PictureRequest) -> SfumatoError:
    with pytest.raises(SfumatoError) as error:
        draw(backend, request)
    return error.value


def test_it_is_said_and_not_tried_again(
    backend: PipelineBackend, core_ml: CoreML, compiled: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    asked = ask(compiled, loras=(LoraUse("Ink"),), width=128)
    core_ml.load_errors = [REFUSED]
    error = refused(backend, asked)
    assert error.kind is ErrorKind.CHANGED_MODEL
    assert error.message.startswith("Core ML refuses “")
    assert (
        "with LoRAs in its weights and at 128 × 64 pixels; use the model as it is" in error.message
    )
    assert "internal inconsistency" in error.detail
    loads = len(core_ml.loads)
    assert refused(backend, asked).message == error.message
    assert len(core_ml.loads) == loads
    assert not list((tmp_path / "home" / "cache" / "Variants").glob("*/*/model"))
    # the model as it is can be used, and so can another variant of it
    assert draw(backend, ask(compiled)).record.width == 64
    assert draw(backend, replace(asked, loras=(LoraUse("Ink", 0.5),))).record.width == 128
    # another system may take it
    monkeypatch.setattr(variant, "system", lambda: "macOS 99.0, arm64")
    assert draw(backend, asked).record.width == 128


def test_of_the_model_itself_nothing_is_noted(
    backend: PipelineBackend, core_ml: CoreML, compiled: Path
) -> None:
    core_ml.load_errors = [REFUSED]
    assert refused(backend, ask(compiled)).kind is ErrorKind.BAD_MODEL
    assert draw(backend, ask(compiled)).record.width == 64


def test_other_failures_say_what_they_are(
    backend: PipelineBackend, core_ml: CoreML, compiled: Path
) -> None:
    asked = ask(compiled, loras=(LoraUse("Ink"),))
    core_ml.load_errors = [MemoryError()]
    assert refused(backend, asked).kind is ErrorKind.MEMORY
    assert draw(backend, asked).record.width == 64


def test_packages_are_compiled_once_for_all_variants_but_for_what_changed(
    backend: PipelineBackend, core_ml: CoreML, tmp_path: Path
) -> None:
    """And what was compiled for a variant goes with it."""
    model = patched.model("sd1").folder
    draw(backend, ask(model))
    before = {path.name for path in core_ml.compiled}
    assert any("vae_decoder" in name for name in before)
    core_ml.compiled.clear()
    draw(backend, ask(model, loras=(LoraUse("Ink"),)))
    assert {p.name.rpartition("tiny_")[2] for p in core_ml.compiled} == {
        "text_encoder.mlpackage",
        "unet.mlpackage",
    }
    kept = list((tmp_path / "home" / "cache" / "Variants").glob("*/*/compiled/*.mlmodelc"))
    assert len(kept) == 2
