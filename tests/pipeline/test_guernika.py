"""Models in the form of Guernika's converter make the pictures that diffusers makes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gui.coreml.inspect import inspect_model, load_sidecar
from gui.coreml.model import ComponentKind, Family
from gui.coreml.portable import PortableRuntime
from gui.coreml.runtime import LoadedModel
from gui.pipeline.pipeline import GeneratedPicture, Hooks, Pipeline
from gui.request import ComputeUnit, PictureRequest, RandomSource, StartImage
from tests.coreml.editing import copy_of
from tests.pipeline.reference import diffusers_scheduler
from tests.pipeline.test_image_to_image import image_to_image
from tests.pipeline.test_parity import NEGATIVE, PROMPT, SEED, settings_of, theirs
from tests.support.guernika import chunk, guernika_resources, kept_guernika_model
from tests.support.tiny_networks import SHAPES

Pipes = Callable[[str], Any]
K = ComponentKind


@pytest.fixture(scope="module")
def packages() -> Callable[[str], Path]:
    """The packages of a kind, made once; only to be read."""
    return kept_guernika_model


class Recording(PortableRuntime):
    """Remembers what the decoder was given."""

    def __init__(self) -> None:
        super().__init__()
        self.latents = np.zeros(0)

    def load(self, component: Any, compute_unit: ComputeUnit) -> LoadedModel:
        loaded = super().load(component, compute_unit)
        if component.kind is not K.VAE_DECODER:
            return loaded
        runtime = self

        class Decoder:
            inputs, outputs, close = loaded.inputs, loaded.outputs, loaded.close

            def __call__(self, arrays: Any) -> Any:
                runtime.latents = arrays["z"]
                return loaded(arrays)

        return Decoder()


def with_family(folder: Path, kind: str) -> Path:
    """A tiny model's family cannot be told from its width; all else is left to the files."""
    stated: dict[str, Any] = {"family": SHAPES[kind].family.value}
    (folder / "sfumato.json").write_text(json.dumps(stated))
    return folder


def generate(folder: Path, **changes: Any) -> tuple[GeneratedPicture, np.ndarray]:
    info = inspect_model(folder)
    assert info.problems == ()
    runtime = Recording()
    pipeline = Pipeline(info, load_sidecar(info), runtime, ComputeUnit.CPU_ONLY)
    base = {
        "prompt": PROMPT, "model": str(folder), "negative_prompt": NEGATIVE, "steps": 4,
        "guidance_scale": 5.0, "scheduler": "Euler", "seed": SEED,
        "random_source": RandomSource.TORCH,
    }  # fmt: skip
    (picture,) = pipeline.generate(PictureRequest(**{**base, **changes}), Hooks())
    return picture, runtime.latents


def assert_diffusers(
    made: tuple[GeneratedPicture, np.ndarray], expected: tuple[np.ndarray, np.ndarray]
) -> None:
    (picture, latents), (pixels, wanted) = made, expected
    assert pixels.std() > 5
    assert np.abs(latents - wanted).max() <= 1e-4 * np.abs(wanted).max()
    assert np.abs(picture.pixels.astype(int) - pixels).max() <= 1


@pytest.mark.parametrize(
    ("kind", "chunked"), [("sd1", False), ("sd1", True), ("sd2v", False), ("sdxl", False)]
)
def test_text_to_image(
    kind: str,
    chunked: bool,
    packages: Callable[[str], Path],
    diffusers_pipe: Pipes,
    tmp_path: Path,
) -> None:
    folder = with_family(copy_of(packages(kind), tmp_path / "model"), kind)
    if chunked:
        chunk(folder)
    info = inspect_model(folder)
    unet = info.components[K.UNET]
    assert [t.name for t in unet.inputs if t.name.startswith("additional_residual_")] == [
        f"additional_residual_{n}" for n in range(5)
    ]
    assert all(t.optional for t in unet.inputs if "res" in t.name)
    scheduler = diffusers_scheduler("Euler", **settings_of(kind))
    asked = {"prompt": PROMPT, "negative_prompt": NEGATIVE, "num_inference_steps": 4,
             "guidance_scale": 5.0}  # fmt: skip
    expected = theirs(kind, diffusers_pipe(kind), scheduler, SEED, **asked)
    assert_diffusers(generate(folder), expected)
    if not chunked:  # chunks carry no metadata
        assert info.prediction_type == SHAPES[kind].prediction_type
        assert info.prediction_known_by == "stated"
    assert load_sidecar(info).scaling_factor == SHAPES[kind].scaling_factor


def test_compiled_with_its_vocabulary_inside(
    packages: Callable[[str], Path], diffusers_pipe: Pipes, tmp_path: Path
) -> None:
    """From another picture, too: the encoder takes `z`."""
    facts = {"identifier": "acme/tiny", "converter_version": "3", "prediction_type": "epsilon"}
    folder = guernika_resources(packages("sd1"), tmp_path / "model", facts=facts)
    with_family(folder, "sd1")
    info = inspect_model(folder)
    assert info.components[K.VAE_ENCODER].input("x") is not None
    assert info.prediction_known_by == "stated"
    photo = tmp_path / "photo.png"
    y, x = np.mgrid[0:64, 0:64]
    Image.fromarray(np.stack([4 * x, 4 * y, x * y % 256], -1).astype(np.uint8)).save(photo)
    pipe = image_to_image(diffusers_pipe("sd1"), "sd1")
    asked = {"prompt": PROMPT, "negative_prompt": NEGATIVE, "num_inference_steps": 4,
             "guidance_scale": 5.0, "image": Image.open(photo), "strength": 0.5}  # fmt: skip
    scheduler = diffusers_scheduler("Euler", **settings_of("sd1"))
    expected = theirs("sd1", pipe, scheduler, SEED, **asked)
    assert_diffusers(generate(folder, start_image=StartImage(str(photo), 0.5)), expected)


def test_its_own_vocabulary_is_read(packages: Callable[[str], Path], tmp_path: Path) -> None:
    """A damaged one inside the text encoder is noticed, so it is the one that counts."""
    from gui.errors import SfumatoError

    folder = with_family(guernika_resources(packages("sd1"), tmp_path / "model"), "sd1")
    (folder / "TextEncoder.mlmodelc" / "vocab.json").write_text("{}")
    with pytest.raises(SfumatoError, match="tokenizer files"):
        generate(folder)


def test_files_without_telling_names(packages: Callable[[str], Path], tmp_path: Path) -> None:
    """Which network each is, told by its inputs."""
    folder = copy_of(packages("sd1"), tmp_path / "model")
    for part in ("vae_encoder", "vae_decoder", "unet"):
        (found,) = folder.glob(f"*_{part}.mlpackage")
        found.rename(folder / f"{part[::-1]}.mlpackage")
    info = inspect_model(folder)
    assert info.problems == ()
    assert info.family is Family.UNKNOWN
    assert {K.VAE_ENCODER, K.VAE_DECODER, K.UNET} <= set(info.components)
