"""Names of files and folders, what is kept of the options, and the Swift apps' resources."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

from gui.convert.job import run
from gui.convert.package import swift
from gui.convert.tasks import plain_name, plan
from gui.convert.types import Compression, ConvertRequest, ImageSize, Lora, SourceInfo
from gui.coreml.inspect import inspect_model
from gui.coreml.model import ComponentKind, Family
from gui.errors import ErrorKind, SfumatoError
from tests.support.converted import everything, request
from tests.support.tiny_checkpoints import kept_folder

K = ComponentKind

INFO = SourceInfo(
    path="/somewhere/tiny",
    name="tiny",
    single_file=False,
    family=Family.SD1,
    prediction_type="epsilon",
    components=(K.TEXT_ENCODER, K.UNET, K.VAE_DECODER),
    size=ImageSize(512, 512),
    parameters=1,
    unet_parameters=1,
    bytes=1,
)


def test_the_plan_of_a_model_with_controlnets() -> None:
    asked = ConvertRequest("a", "b", controlnets=("/somewhere/else/sd-controlnet-canny",))
    tasks = plan(asked, INFO)
    assert [t.kind for t in tasks] == [
        K.TEXT_ENCODER,
        K.UNET,
        K.CONTROL_UNET,
        K.CONTROLNET,
        K.VAE_DECODER,
    ]
    assert tasks[3].file_name("x") == "ControlNet_sd-controlnet-canny.mlpackage"
    assert tasks[1].file_name("a_b") == "Stable_Diffusion_version_a_b_unet.mlpackage"
    assert {t.latent for t in tasks} == {(64, 64)}


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("acme/photo model", "acme_photo_model"),
        ("/somewhere/private/photo.safetensors", "photo"),
        ("~/Downloads/acme--photo", "acme_photo"),
        ("../..", "model"),
        ("写" * 200, "写" * 50),
    ],
)
def test_names_for_files(text: str, name: str) -> None:
    assert plain_name(text) == name


def test_options_of_a_conversion_are_kept_without_paths() -> None:
    from gui.convert.package.finish import _options

    asked = ConvertRequest(
        "a", "b", loras=(Lora("/somewhere/private/ink.safetensors", 0.5),),
        compression=Compression.PALETTE_MIXED,
    )  # fmt: skip
    options = _options(asked)
    assert options["loras"] == [{"name": "ink", "scale": 0.5}]
    assert "private" not in json.dumps(options)


# The Swift apps' resources


def test_resources_for_the_swift_apps(tmp_path: Path) -> None:
    """A stand-in for Core ML's compiler, which, like it, nests its result in what exists."""
    folder = tmp_path / "model"
    shutil.copytree(everything().folder, folder)
    vocabulary = tmp_path / "vocab.json"
    vocabulary.write_text("{}")

    def compile_(package: Path, compiled: Path) -> None:
        place = compiled / package.stem if compiled.exists() else compiled
        shutil.copytree(package, place)

    (folder / "Resources" / "Unet.mlmodelc").mkdir(parents=True)  # of an earlier run
    resources = swift.write_resources(folder, [vocabulary], tmp_path / "scratch", compile_)
    names = {p.relative_to(resources).as_posix() for p in resources.rglob("*.mlmodelc")}
    assert names == {
        "TextEncoder.mlmodelc",
        "Unet.mlmodelc",
        "ControlledUnet.mlmodelc",
        "VAEDecoder.mlmodelc",
        "VAEEncoder.mlmodelc",
        "SafetyChecker.mlmodelc",
        "controlnet/TinyEdges.mlmodelc",
    }
    assert (resources / "Unet.mlmodelc" / "Manifest.json").is_file()
    assert (resources / "vocab.json").is_file()
    assert inspect_model(folder).problems == ()


@pytest.mark.parametrize(
    ("package", "name"),
    [
        ("Stable_Diffusion_version_a_b_unet_chunk1.mlpackage", "UnetChunk1.mlmodelc"),
        ("Stable_Diffusion_version_a_refiner_chunk2.mlpackage", "UnetRefinerChunk2.mlmodelc"),
        ("Stable_Diffusion_version_a_text_encoder_2.mlpackage", "TextEncoder2.mlmodelc"),
        ("ControlNet_lllyasviel_sd-controlnet-canny.mlpackage",
         "controlnet/LllyasvielSdControlnetCanny.mlmodelc"),
    ],
)  # fmt: skip
def test_swift_names(package: str, name: str) -> None:
    assert swift.swift_name(Path(package)) == name


def test_compiling_is_refused_where_there_is_no_core_ml(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    source = kept_folder("sd1")
    with pytest.raises(SfumatoError) as caught:
        run(request(source, tmp_path / "model", compiled=True), lambda _: None, lambda: False)
    assert caught.value.kind is ErrorKind.UNSUPPORTED
    assert "Mac" in caught.value.message
