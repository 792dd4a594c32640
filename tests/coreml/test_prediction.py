"""What a UNet predicts: stated, named, told by its weights, or guessed from its size."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from gui.coreml import prediction
from gui.coreml.inspect import inspect_model, load_sidecar
from gui.coreml.model import Family
from gui.coreml.norms import last_block_shift
from gui.coreml.prediction import KnownBy, by_name
from gui.request import ComputeUnit, PictureRequest
from tests.coreml.editing import copy_of, package, replace
from tests.coreml.editing import edited as editing
from tests.support.compiled_writer import compile_package
from tests.support.tiny_models import TinyModel

V, EPSILON = "v_prediction", "epsilon"


@pytest.mark.parametrize(
    ("name", "family", "expected"),
    [
        ("stabilityai/stable-diffusion-2-1", Family.SD2, V),
        ("stabilityai/stable-diffusion-2", Family.SD2, V),
        ("stabilityai_stable-diffusion-2-1-base", Family.SD2, EPSILON),
        ("apple/coreml-stable-diffusion-2-base", Family.SD2, EPSILON),
        ("coreml-stable-diffusion-2-1-palettized", Family.SD2, V),
        ("v2-1_768-ema-pruned", Family.SD2, V),
        ("768-v-ema", Family.SD2, V),
        ("512-base-ema", Family.SD2, EPSILON),
        ("sd_turbo", Family.SD2, EPSILON),
        ("stable-diffusion-2-1-my-anime", Family.SD2, ""),  # somebody's own: its weights tell
        ("sd2", Family.SD2, ""),
        ("stable-diffusion-2-1", Family.SD1, ""),
        ("noobaiXL_vPred10", Family.SDXL, V),
        ("fluffyrock-v-prediction", Family.SD1, V),
        ("dreamshaper", Family.SD1, ""),
    ],
)
def test_names(name: str, family: Family, expected: str) -> None:
    assert by_name(name, family) == expected


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("prediction_type", "v_prediction", V),
        ("prediction_type", "epsilon", EPSILON),
        ("com.example.predictionType", "v-prediction", V),
        ("modelspec.prediction_type", "v", V),
        ("parameterization", "eps", EPSILON),
        ("prediction_type", "who knows", ""),
        ("author", "v", ""),
    ],
)
def test_metadata(key: str, value: str, expected: str) -> None:
    assert prediction.stated({key: value}) == expected


def edited(model: TinyModel, folder: Path, version: str = "", **metadata: str) -> Path:
    """A copy that states its family alone, its UNet with other metadata."""
    place = copy_of(model.folder, folder)
    stated = {"family": "sd2", "scaling_factor": 0.18215, "pad_token_ids": [0]}
    replace(place / "sfumato.json", json.dumps(stated).encode())
    with editing(package(place, "unet")) as spec:
        spec.description.metadata.versionString = version
        spec.description.metadata.userDefined.update(metadata)
    return place


@pytest.mark.parametrize(
    ("version", "metadata", "kind", "known_by"),
    [
        ("stabilityai/stable-diffusion-2-1", {}, V, KnownBy.NAME),
        ("stabilityai/stable-diffusion-2-1-base", {}, EPSILON, KnownBy.NAME),
        ("", {"prediction_type": V}, V, KnownBy.STATED),
        ("a/stable-diffusion-2-1-base", {"prediction_type": V}, V, KnownBy.STATED),
        ("", {}, EPSILON, KnownBy.SIZE),
    ],
)
def test_a_finished_model(
    version: str,
    metadata: dict[str, str],
    kind: str,
    known_by: KnownBy,
    tiny_sd2v: TinyModel,
    tmp_path: Path,
) -> None:
    info = inspect_model(edited(tiny_sd2v, tmp_path / "model", version, **metadata))
    assert (info.family, info.prediction_type) == (Family.SD2, kind)
    assert info.prediction_known_by == known_by
    side = load_sidecar(info)
    assert side.prediction_type == kind
    assert "prediction_type" in side.inferred
    assert any("assumed" in note for note in info.notes) == (known_by is not KnownBy.STATED)


def test_pictures_say_what_was_assumed(tiny_sd2v: TinyModel, tmp_path: Path) -> None:
    """A v-prediction model that states only where it came from makes diffusers' picture."""
    from gui.coreml.portable import PortableRuntime
    from gui.pipeline.pipeline import Hooks, Pipeline

    request = PictureRequest("a fox", "", steps=3, guidance_scale=5.0, scheduler="DDIM", seed=3)

    def picture(folder: Path) -> tuple[np.ndarray, tuple[str, ...]]:
        info = inspect_model(folder)
        pipeline = Pipeline(info, load_sidecar(info), PortableRuntime(), ComputeUnit.CPU_ONLY)
        (made,) = pipeline.generate(request, Hooks())
        return made.pixels, made.record.notes

    stated, none = picture(tiny_sd2v.folder)
    source = "stabilityai/stable-diffusion-2-1"
    named, notes = picture(edited(tiny_sd2v, tmp_path / "model", source))
    assert np.array_equal(stated, named)
    assert not any("predicts" in note for note in none)
    assert any("by its name, velocity" in note for note in notes)


def test_the_last_blocks_first_norm_is_found_in_packages_and_compiled_models(
    tiny_sd2v: TinyModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gui.coreml import norms

    path = package(tiny_sd2v.folder, "unet")
    assert last_block_shift(path) == ()  # not of Stable Diffusion's shape
    monkeypatch.setattr(norms, "_LEAST_NORMS", 3)
    block = tiny_sd2v.pipe.unet.up_blocks[-1].attentions[-1].transformer_blocks[0]
    wanted = block.norm1.bias.detach()
    compile_package(path, tmp_path / "Unet.mlmodelc")
    for file in (path, tmp_path / "Unet.mlmodelc"):
        assert torch.allclose(torch.tensor(last_block_shift(file)), wanted, atol=1e-6)
