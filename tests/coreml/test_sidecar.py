"""What is read from `sfumato.json`, and what is inferred where it says nothing."""

from __future__ import annotations

import dataclasses
import importlib
import json
from pathlib import Path
from typing import Any

import pytest

from gui.coreml import sidecar
from gui.coreml.inspect import inspect_model, load_sidecar
from gui.coreml.model import Family, ModelInfo
from gui.coreml.sidecar import ModelCard, Preview, Sidecar
from gui.errors import ErrorKind, SfumatoError
from tests.coreml.editing import copy_of, package, replace, set_shapes
from tests.support.compiled_writer import compile_folder
from tests.support.tiny_models import TinyModel, tiny_sidecar

INFERRED = {
    "family",
    "prediction_type",
    "scaling_factor",
    "scheduler_config",
    "pad_token_ids",
    "force_zeros_for_empty_prompt",
}


@pytest.fixture(scope="module")
def sd1_info(tiny_sd1: TinyModel, tmp_path_factory: pytest.TempPathFactory) -> ModelInfo:
    folder = copy_of(tiny_sd1.folder, tmp_path_factory.mktemp("sidecar") / "model")
    (folder / "sfumato.json").unlink()
    return inspect_model(folder)


def inferred(info: ModelInfo, family: Family, height: int = 64, width: int = 64) -> Sidecar:
    return load_sidecar(
        dataclasses.replace(info, family=family, latent_height=height, latent_width=width)
    )


# The values below are those of the published diffusers models' configuration files:
# CompVis/stable-diffusion-v1-4, stabilityai/stable-diffusion-2-1(-base),
# stabilityai/stable-diffusion-xl-base-1.0 and -refiner-1.0.


def test_sd1(sd1_info: ModelInfo) -> None:
    side = inferred(sd1_info, Family.SD1)
    assert (side.prediction_type, side.scaling_factor) == ("epsilon", 0.18215)
    assert side.pad_token_ids == (49407,)
    assert not side.force_zeros_for_empty_prompt
    config = side.scheduler_config
    assert (config["beta_start"], config["beta_end"]) == (0.00085, 0.012)
    assert (config["beta_schedule"], config["num_train_timesteps"]) == ("scaled_linear", 1000)
    assert (config["steps_offset"], config["skip_prk_steps"]) == (1, True)
    assert set(side.inferred) == INFERRED


def test_sd2_predicts_v_at_768_pixels_only(sd1_info: ModelInfo) -> None:
    assert inferred(sd1_info, Family.SD2, 96, 96).prediction_type == "v_prediction"
    assert inferred(sd1_info, Family.SD2, 64, 64).prediction_type == "epsilon"
    assert inferred(sd1_info, Family.SD1, 96, 96).prediction_type == "epsilon"
    side = inferred(sd1_info, Family.SD2)
    assert (side.pad_token_ids, side.scaling_factor) == ((0,), 0.18215)


def test_sdxl(sd1_info: ModelInfo) -> None:
    side = inferred(sd1_info, Family.SDXL, 128, 128)
    assert (side.prediction_type, side.scaling_factor) == ("epsilon", 0.13025)
    assert side.pad_token_ids == (49407, 0)
    assert side.force_zeros_for_empty_prompt
    assert side.scheduler_config["timestep_spacing"] == "leading"
    refiner = inferred(sd1_info, Family.SDXL_REFINER, 128, 128)
    assert not refiner.force_zeros_for_empty_prompt


def test_an_unknown_family_is_taken_for_sd1_and_says_so(sd1_info: ModelInfo) -> None:
    assert sd1_info.family is Family.UNKNOWN  # 32 channels of context are nobody's
    assert sd1_info.usable
    assert any("cannot be told from its files" in note for note in sd1_info.notes)
    side = load_sidecar(sd1_info)
    assert (side.family, side.prediction_type) == (Family.UNKNOWN, "epsilon")
    assert side.preview is None
    assert "family" in side.inferred


def test_diffusers_accepts_the_inferred_schedule(sd1_info: ModelInfo) -> None:
    diffusers: Any = importlib.import_module("diffusers")
    config = inferred(sd1_info, Family.SD1).scheduler_config
    pndm = diffusers.PNDMScheduler.from_config(config)
    # Stable Diffusion's own schedule: ᾱ at the first and last timestep
    assert float(pndm.alphas_cumprod[0]) == pytest.approx(0.99915)
    assert float(pndm.alphas_cumprod[999]) == pytest.approx(0.0047, abs=5e-5)
    config = inferred(sd1_info, Family.SDXL).scheduler_config
    euler = diffusers.EulerDiscreteScheduler.from_config(config)
    euler.set_timesteps(4)
    assert euler.timesteps.tolist() == [751, 501, 251, 1]


def test_what_the_file_states_wins(tiny_sd2v: TinyModel) -> None:
    side = load_sidecar(inspect_model(tiny_sd2v.folder))
    assert side == tiny_sidecar("sd2v")
    assert side.inferred == ()


def test_what_the_file_leaves_out_is_inferred(tiny_sdxl: TinyModel, tmp_path: Path) -> None:
    folder = copy_of(tiny_sdxl.folder, tmp_path / "model")
    stated = {"family": "sdxl", "prediction_type": "v_prediction", "pad_token_ids": []}
    replace(folder / "sfumato.json", json.dumps(stated).encode())
    side = load_sidecar(inspect_model(folder))
    assert side.prediction_type == "v_prediction"
    assert side.scaling_factor == 0.13025  # SDXL's, not the dataclass's default
    assert side.pad_token_ids == (49407, 0)
    assert set(side.inferred) == INFERRED - {"family", "prediction_type"}


def test_a_sidecar_above_variant_folders_counts(tiny_sd1: TinyModel, tmp_path: Path) -> None:
    place = copy_of(tiny_sd1.folder, tmp_path / "model" / "original" / "packages")
    (place / "sfumato.json").rename(tmp_path / "model" / "sfumato.json")
    info = inspect_model(tmp_path / "model")
    assert info.family is Family.SD1
    assert load_sidecar(info) == tiny_sidecar("sd1")


def test_a_compiled_model_infers_alike(tiny_sd1: TinyModel, tmp_path: Path) -> None:
    folder = copy_of(tiny_sd1.folder, tmp_path / "packages")
    (folder / "sfumato.json").unlink()
    set_shapes(package(folder, "unet"), encoder_hidden_states=(2, 768, 1, 77))
    assert load_sidecar(inspect_model(folder)).family is Family.SD1
    compiled = inspect_model(compile_folder(tiny_sd1.folder, tmp_path / "compiled"))
    assert load_sidecar(compiled).scaling_factor == 0.18215


def test_writing_and_reading_back(tmp_path: Path) -> None:
    side = Sidecar(
        family=Family.SDXL,
        prediction_type="v_prediction",
        scaling_factor=0.13025,
        shift_factor=0.5,
        scheduler_config={"beta_end": 0.012},
        default_scheduler="Euler",
        default_steps=30,
        default_guidance_scale=6.5,
        pad_token_ids=(49407, 0),
        force_zeros_for_empty_prompt=True,
        preview=Preview(((1.0, 0.0, 0.5),) * 4, (0.1, 0.2, 0.3)),
        name="Léon",
        source_repo="a/b",
        card=ModelCard("what", ("cat",), ("sky",), ("a cat",), "MIT"),
        hashes={"x": "y"},
        inferred=("family",),
        extra={"tool": {"k": 1}},
    )
    sidecar.write(tmp_path, side)
    assert sidecar.read(tmp_path) == side
    assert [p.name for p in tmp_path.iterdir()] == ["sfumato.json"]
    assert sidecar.read(tmp_path / "nowhere") is None


@pytest.mark.parametrize("value", [5, "x", [1], {"a": 1}, True, -1, 1e400, 10**400, [["x"] * 3]])
def test_every_field_is_of_its_kind_or_a_sentence(
    tiny_sd1: TinyModel, tmp_path: Path, value: object
) -> None:
    """A model from the Hub may say anything of itself; what is taken from it is what it must be."""
    right = Sidecar(Family.SD1, preview=Preview(((0.0, 0.0, 0.0),)))
    folder = copy_of(tiny_sd1.folder, tmp_path / "model")
    for field in dataclasses.fields(Sidecar):
        data = json.dumps({"family": "sd1", field.name: value})
        replace(folder / "sfumato.json", data.encode())
        info = inspect_model(folder)
        try:
            side = sidecar.read(folder)
        except SfumatoError as error:
            assert error.kind is ErrorKind.BAD_MODEL and len(error.message) < 300
            assert info.problems[0] == error.what
            continue
        got = getattr(side, field.name)
        assert isinstance(got, type(getattr(right, field.name))), field.name
        if isinstance(got, tuple):
            assert {type(one) for one in got} <= {int if field.name == "pad_token_ids" else str}


def test_null_is_as_good_as_nothing(tmp_path: Path) -> None:
    data = dict.fromkeys((f.name for f in dataclasses.fields(Sidecar)), None)
    replace(tmp_path / "sfumato.json", json.dumps({**data, "family": "sdxl"}).encode())
    assert sidecar.read(tmp_path) == Sidecar(Family.SDXL)


def test_an_unwritable_folder(tmp_path: Path) -> None:
    with pytest.raises(SfumatoError) as caught:
        sidecar.write(tmp_path / "gone", Sidecar(Family.SD1))
    assert caught.value.kind is ErrorKind.STORAGE
