"""The bundled starter model: tensors of Apple's converter, a valid sidecar, sane size."""

import hashlib
from pathlib import Path
from typing import Any

import coremltools as ct
import numpy as np
import pytest

from gui.coreml import sidecar
from gui.coreml.inspect import inspect_component, inspect_model
from gui.coreml.model import Family
from gui.coreml.portable import PortableRuntime
from gui.request import ComputeUnit

FOLDER = Path(__file__).parents[2] / "resources" / "starter-model"
FLOAT16, FLOAT32 = 65552, 65568  # codes of MLFeatureTypes' ArrayDataType

# Names, shapes and input types that apps reading Apple's packages expect, at 128 x 128 pixels,
# 8 latent channels and a context 192 wide.
CONTRACT = {
    "text_encoder": ({"input_ids": (1, 77)}, FLOAT32, ["last_hidden_state", "pooled_outputs"]),
    "unet": (
        {
            "sample": (2, 8, 16, 16),
            "timestep": (2,),
            "encoder_hidden_states": (2, 192, 1, 77),
        },
        FLOAT16,
        ["noise_pred"],
    ),
    "vae_decoder": ({"z": (1, 8, 16, 16)}, FLOAT16, ["image"]),
    "vae_encoder": ({"x": (1, 3, 128, 128)}, FLOAT16, ["latent"]),
}


def package(name: str) -> Path:
    return FOLDER / f"Stable_Diffusion_version_sfumato-starter_{name}.mlpackage"


@pytest.fixture(scope="module")
def settings() -> sidecar.Sidecar:
    found = sidecar.read(FOLDER)
    assert found is not None
    return found


@pytest.mark.parametrize("name", CONTRACT)
def test_tensors(name: str) -> None:
    inputs, input_type, outputs = CONTRACT[name]
    spec: Any = ct.utils.load_spec(str(package(name)))
    assert spec.specificationVersion == 7  # macOS 13
    arrays = {i.name: i.type.multiArrayType for i in spec.description.input}
    assert {name: tuple(array.shape) for name, array in arrays.items()} == inputs
    assert {array.dataType for array in arrays.values()} == {input_type}
    assert [o.name for o in spec.description.output] == outputs
    assert {o.type.multiArrayType.dataType for o in spec.description.output} == {FLOAT32}


def test_the_app_finds_it_usable() -> None:
    model = inspect_model(FOLDER)
    assert model.problems == ()
    assert model.family is Family.SD1
    assert (model.image_width, model.image_height, model.latent_channels) == (128, 128, 8)
    assert model.has_image_to_image


def test_it_is_small() -> None:
    assert sum(p.stat().st_size for p in FOLDER.rglob("*") if p.is_file()) < 25e6


def test_hashes_are_those_of_the_files(settings: sidecar.Sidecar) -> None:
    files = {
        p.relative_to(FOLDER).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in FOLDER.glob("*.mlpackage/**/*")
        if p.is_file()
    }
    assert files
    assert settings.hashes == files


def test_defaults_are_complete(settings: sidecar.Sidecar) -> None:
    assert settings.prediction_type == "v_prediction"
    assert 0 < settings.default_steps <= 20
    assert settings.default_guidance_scale > 1
    assert settings.preview is not None
    assert len(settings.preview.matrix) == 8


def test_examples_ask_for_what_the_card_promises(settings: sidecar.Sidecar) -> None:
    card = settings.card
    assert card.examples
    for prompt in card.examples:
        assert any(f" {subject} on " in f" {prompt}" for subject in card.subjects), prompt
        assert any(f" {color} background" in prompt for color in card.backgrounds), prompt


def disc_on_blue() -> np.ndarray:
    """[1, 3, 128, 128] in -1…1: an orange disc on blue."""
    rows, columns = np.mgrid[:128, :128] - 63.5
    inside = (rows**2 + columns**2 < 40**2)[None]
    orange = np.array([0.9, 0.2, -0.7])[:, None, None]
    blue = np.array([-0.5, 0.0, 0.8])[:, None, None]
    return np.where(inside, orange, blue)[None].astype(np.float32)


def test_a_picture_survives_the_autoencoder(settings: sidecar.Sidecar) -> None:
    runtime = PortableRuntime()
    encoder = runtime.load(inspect_component(package("vae_encoder")), ComputeUnit.CPU_ONLY)
    decoder = runtime.load(inspect_component(package("vae_decoder")), ComputeUnit.CPU_ONLY)
    picture = disc_on_blue()
    means = encoder({"x": picture})["latent"][:, :8]
    restored = decoder({"z": means})["image"]
    error = np.square(restored.clip(-1, 1) - picture).mean()
    assert 10 * np.log10(4 / error) > 22  # dB


def test_the_preview_shows_the_picture_in_little(settings: sidecar.Sidecar) -> None:
    assert settings.preview is not None
    runtime = PortableRuntime()
    encoder = runtime.load(inspect_component(package("vae_encoder")), ComputeUnit.CPU_ONLY)
    picture = disc_on_blue()
    means = encoder({"x": picture})["latent"][0, :8]
    latents = (means - settings.shift_factor) * settings.scaling_factor
    colors = np.einsum("chw,cr->rhw", latents, np.array(settings.preview.matrix))
    colors += np.array(settings.preview.bias)[:, None, None]
    small = picture[0].reshape(3, 16, 8, 16, 8).mean((2, 4))
    assert np.abs(colors - small).mean() < 0.25
    assert np.corrcoef(colors.ravel(), small.ravel())[0, 1] > 0.9
