"""Clip skip given to finished text encoders: the states that transformers gives, by structure."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gui.convert.patch.clip_skip import with_clip_skip
from gui.convert.patch.variant import make_variant
from gui.coreml.inspect import inspect_component, inspect_model, load_sidecar
from gui.coreml.model import ComponentKind as K
from gui.coreml.model import ModelInfo
from gui.coreml.portable import PortableRuntime
from gui.engine.backend import PipelineBackend
from gui.errors import ErrorKind, SfumatoError
from gui.pipeline.pipeline import Hooks
from gui.request import ComputeUnit, PictureRequest
from tests.coreml.editing import copy_of, edited, package, spec_file, weights_file
from tests.support import patched
from tests.support.compiled_writer import compile_folder
from tests.support.guernika import kept_guernika_model
from tests.support.tiny_models import TinyModel
from tests.support.tiny_networks import tiny_pipeline

IDS = np.full((1, 77), 49407.0, np.float32)
IDS[0, :7] = [49406, 320, 1125, 539, 550, 18376, 49407]


def given(info: ModelInfo, kind: K) -> dict[str, np.ndarray]:
    model = PortableRuntime().load(info.components[kind], ComputeUnit.CPU_ONLY)
    return model({"input_ids": IDS})


def states(encoder: Any, skip: int, normed: bool) -> np.ndarray:
    """transformers' own."""
    with torch.no_grad():
        out = encoder(input_ids=torch.from_numpy(IDS).long(), output_hidden_states=True)
        hidden = out.hidden_states[-skip]
        if normed:
            hidden = getattr(encoder, "text_model", encoder).final_layer_norm(hidden)
    return hidden.numpy()


def assert_close(got: np.ndarray, wanted: np.ndarray) -> None:
    assert np.abs(got - wanted).max() <= 1e-4 * np.abs(wanted).max()


@pytest.mark.parametrize("kind", ["tiny_sd1", "tiny_sd2v"])
def test_the_layer_before_the_last(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    model: TinyModel = request.getfixturevalue(kind)
    report = make_variant(model.folder, tmp_path / "made", clip_skip=2, linked=True)
    info = inspect_model(tmp_path / "made")
    assert info.problems == () and info.clip_skip == 2
    assert load_sidecar(info).extra["patch"]["clip_skip"] == 2
    got = given(info, K.TEXT_ENCODER)
    encoder = model.pipe.text_encoder
    assert_close(got["clip_skip_2"], states(encoder, 2, normed=True))
    assert_close(got["last_hidden_state"], states(encoder, 1, normed=True))
    # the weights are the same file
    mine, theirs = (
        weights_file(package(f, "text_encoder")).stat() for f in (tmp_path / "made", model.folder)
    )
    assert mine.st_ino == theirs.st_ino and report.written_bytes == 0


def test_xl_as_it_counts(tiny_sdxl: TinyModel, tmp_path: Path) -> None:
    """Its own states are those of 2, and none are put through the last normalisation."""
    make_variant(tiny_sdxl.folder, tmp_path / "made", clip_skip=3)
    info = inspect_model(tmp_path / "made")
    assert info.clip_skip == 3
    pipe = tiny_sdxl.pipe
    for kind, encoder in ((K.TEXT_ENCODER, pipe.text_encoder),
                          (K.TEXT_ENCODER_2, pipe.text_encoder_2)):  # fmt: skip
        got = given(info, kind)
        assert_close(got["clip_skip_3"], states(encoder, 3, normed=False))
        assert np.array_equal(got["clip_skip_2"], got["hidden_embeds"])


def test_guernikas_names(tmp_path: Path) -> None:
    folder = copy_of(kept_guernika_model("sdxl"), tmp_path / "model")
    make_variant(folder, tmp_path / "made", clip_skip=3)
    got = given(inspect_model(tmp_path / "made"), K.TEXT_ENCODER_2)
    wanted = states(tiny_pipeline("sdxl").text_encoder_2, 3, normed=False)
    assert_close(got["clip_skip_3"], wanted)


def test_half_precision_and_what_a_conversion_gives(tmp_path: Path) -> None:
    """The same numbers as those of a model that was converted with the layer."""
    plain = patched.model("sd1").folder
    make_variant(plain, tmp_path / "made", clip_skip=2)
    converted = patched.variant_of(
        "patch-sd1-skip", "sd1", components=(K.TEXT_ENCODER,), clip_skip=2
    ).folder
    (theirs,) = converted.glob("*text_encoder.mlpackage")
    model = PortableRuntime().load(inspect_component(theirs), ComputeUnit.CPU_ONLY)
    wanted = model({"input_ids": IDS})["clip_skip_2"]
    assert_close(given(inspect_model(tmp_path / "made"), K.TEXT_ENCODER)["clip_skip_2"], wanted)


def test_what_has_the_layer_stays_as_it_is(tiny_sd1: TinyModel, tmp_path: Path) -> None:
    make_variant(tiny_sd1.folder, tmp_path / "made", clip_skip=2)
    assert with_clip_skip(inspect_model(tmp_path / "made").components[K.TEXT_ENCODER], 2) == {}


# --- refusals -------------------------------------------------------------------------------------


def refused(info: ModelInfo, layers: int = 2) -> SfumatoError:
    with pytest.raises(SfumatoError) as error:
        with_clip_skip(info.components[K.TEXT_ENCODER], layers)
    assert error.value.message.count(". ") == 0
    return error.value


def test_more_layers_than_there_are(tiny_sd1: TinyModel, tmp_path: Path) -> None:
    error = refused(inspect_model(tiny_sd1.folder), 3)
    assert error.kind is ErrorKind.BAD_REQUEST
    assert error.message == "The text encoder has 2 layers; choose a clip skip of 2 at most."
    with pytest.raises(SfumatoError, match="choose 2 to 12, not 13"):
        make_variant(tiny_sd1.folder, tmp_path / "made", clip_skip=13)


def test_a_compiled_model(tiny_sd1: TinyModel, tmp_path: Path) -> None:
    compiled = compile_folder(tiny_sd1.folder, tmp_path / "compiled")
    error = refused(inspect_model(compiled))
    assert error.kind is ErrorKind.UNSUPPORTED
    assert "is no “.mlpackage”; set the clip skip to 1" in error.message


def _no_softmax(spec: Any) -> None:
    for op in _operations(spec):
        if op.type == "softmax":
            op.type = "sigmoid"


def _no_norm(spec: Any) -> None:
    last = [op for op in _operations(spec) if op.type == "layer_norm"][-1]
    last.type = "batch_norm"


def _other_sum(spec: Any) -> None:
    for op in _operations(spec):
        if op.type == "add":
            op.type = "sub"


def _no_states(spec: Any) -> None:
    (function,) = spec.mlProgram.functions.values()
    (block,) = function.block_specializations.values()
    for op in block.operations:
        for output in op.outputs:
            if output.name == "last_hidden_state":
                output.name = "states"
    block.outputs[:] = ["states" if n == "last_hidden_state" else n for n in block.outputs]


def _operations(spec: Any) -> list[Any]:
    (function,) = spec.mlProgram.functions.values()
    (block,) = function.block_specializations.values()
    return list(block.operations)


@pytest.mark.parametrize("change", [_no_softmax, _no_norm, _other_sum, _no_states])
def test_what_is_not_built_as_clip_is(
    change: Callable[[Any], None], tiny_sd1: TinyModel, tmp_path: Path
) -> None:
    folder = copy_of(tiny_sd1.folder, tmp_path / "model")
    info = inspect_model(folder)
    with edited(package(folder, "text_encoder")) as spec:
        change(spec)
    before = spec_file(package(folder, "text_encoder")).read_bytes()
    error = refused(info)
    assert error.kind is ErrorKind.UNSUPPORTED
    assert error.message.startswith("This model cannot be given a clip skip: the text encoder ")
    assert spec_file(package(folder, "text_encoder")).read_bytes() == before


def test_a_file_that_is_cut_short(tiny_sd1: TinyModel, tmp_path: Path) -> None:
    folder = copy_of(tiny_sd1.folder, tmp_path / "model")
    info = inspect_model(folder)
    file = spec_file(package(folder, "text_encoder"))
    data = file.read_bytes()
    for share in (0.1, 0.5, 0.9):
        file.unlink()
        file.write_bytes(data[: int(share * len(data))])
        assert refused(info).kind is ErrorKind.BAD_MODEL


# --- on demand ------------------------------------------------------------------------------------


def test_a_picture_that_asks_for_it_has_it_made(
    tiny_sd1: TinyModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SFUMATO_HOME", str(tmp_path / "home"))
    backend = PipelineBackend()

    def picture(folder: Path, skip: int) -> Any:
        asked = PictureRequest(
            "a fox", str(folder), steps=1, seed=3, clip_skip=skip, previews=False,
            safety_checker=False,
        )  # fmt: skip
        pipeline = backend.find(asked).build()
        pipeline.load(lambda *_: None, asked)
        (made,) = pipeline.generate(asked, Hooks())
        pipeline.close()
        return made

    make_variant(tiny_sd1.folder, tmp_path / "made", clip_skip=2)
    wanted = picture(tmp_path / "made", 2)
    got = picture(tiny_sd1.folder, 2)
    assert np.array_equal(got.pixels, wanted.pixels)
    assert not np.array_equal(got.pixels, picture(tiny_sd1.folder, 1).pixels)
    assert not any("Clip skip" in note for note in got.record.notes)
    # what cannot have it says so, and draws
    compiled = compile_folder(tiny_sd1.folder, tmp_path / "compiled")
    (compiled / "sfumato.json").write_bytes((tiny_sd1.folder / "sfumato.json").read_bytes())
    plain = picture(compiled, 2)
    assert any("Clip skip 2 had no effect" in note for note in plain.record.notes)
