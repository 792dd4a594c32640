"""Folders that cannot be converted are refused at once, in one sentence that says why."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from gui.convert.checkpoint.source import Source, look, open_source
from gui.coreml.model import ComponentKind
from gui.errors import ErrorKind, SfumatoError
from tests.convert.conftest import edit_json, refusal

K = ComponentKind
Make = Callable[[str], Path]


def refused(path: Path) -> SfumatoError:
    with pytest.raises(SfumatoError) as error:
        look(path)
    refusal(error)
    return error.value


@pytest.mark.parametrize(
    ("pipeline_class", "name"),
    [
        ("FluxPipeline", "FLUX.1"),
        ("StableDiffusion3Pipeline", "Stable Diffusion 3"),
        ("PixArtSigmaPipeline", "PixArt"),
        ("WanPipeline", "Wan"),
        ("HunyuanDiTPipeline", "Hunyuan-DiT"),
        ("StableCascadeCombinedPipeline", "Stable Cascade"),
        ("WuerstchenDecoderPipeline", "Würstchen"),
        ("KandinskyV22Pipeline", "Kandinsky"),
        ("AuraFlowPipeline", "AuraFlow"),
        ("LTXPipeline", "LTX"),
        ("KolorsPipeline", "Kolors"),
        ("StableDiffusionUpscalePipeline", "upscaler"),
        ("StableUnCLIPPipeline", "Stable unCLIP"),
    ],
)
def test_other_families_are_named(tmp_path: Path, pipeline_class: str, name: str) -> None:
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": pipeline_class}))
    error = refused(tmp_path)
    assert error.kind is ErrorKind.UNSUPPORTED
    assert name in error.message
    assert "Stable Diffusion 1, 2 and XL" in error.message


def test_a_transformer_of_an_unknown_pipeline_is_named(tmp_path: Path) -> None:
    index = {"_class_name": "Custom", "transformer": ["diffusers", "FluxTransformer2DModel"]}
    (tmp_path / "model_index.json").write_text(json.dumps(index))
    assert "FLUX.1" in refused(tmp_path).message


@pytest.mark.parametrize(
    ("channels", "name"), [(7, "upscaler"), (6, "6 input channels"), (3, "3 input channels")]
)
def test_networks_with_more_inputs_are_named(
    copied: Callable[[str], Path], channels: int, name: str
) -> None:
    folder = copied("sd1")
    edit_json(folder / "unet" / "config.json", in_channels=channels)
    error = refused(folder)
    assert error.kind is ErrorKind.UNSUPPORTED
    assert name in error.message


@pytest.mark.parametrize(
    ("part", "changes", "words"),
    [
        ("unet", {"addition_embed_type": "image"}, "built differently"),
        ("unet", {"down_block_types": ["AttnDownBlock2D", "DownBlock2D"]}, "built differently"),
        ("unet", {"class_embed_type": "projection"}, "built differently"),
        ("unet", {"block_out_channels": [10**9, 10**9]}, "makes no sense"),
        ("unet", {"block_out_channels": None}, "makes no sense"),
        ("text_encoder", {"num_hidden_layers": 10**6}, "makes no sense"),
        ("text_encoder", {"hidden_size": 96}, "do not belong together"),
        ("text_encoder", {"vocab_size": 30000}, "vocabulary of its own"),
        ("vae", {"latents_mean": [0.0] * 4}, "Playground"),
        ("vae", {"latent_channels": 16}, "16 latent channels"),
        ("vae", {"block_out_channels": [32, 32, 64]}, "scale pictures by 8"),
    ],
)
def test_odd_configurations(
    copied: Callable[[str], Path], part: str, changes: dict[str, Any], words: str
) -> None:
    folder = copied("sd1")
    edit_json(folder / part / "config.json", **changes)
    assert words in refused(folder).message


def test_other_ways_of_sampling(copied: Callable[[str], Path]) -> None:
    folder = copied("sdxl")
    scheduler = folder / "scheduler" / "scheduler_config.json"
    edit_json(scheduler, _class_name="FlowMatchEulerDiscreteScheduler")
    assert "FlowMatchEulerDiscreteScheduler" in refused(folder).message


def test_a_vocabulary_of_its_own(copied: Callable[[str], Path]) -> None:
    folder = copied("sd1")
    vocabulary, _ = open_source(folder).tokenizer_files()
    words = json.loads(vocabulary.read_text())
    target = folder / "tokenizer" / "vocab.json"
    target.write_text(json.dumps({**words, "<my-cat>": 49408}))  # textual inversion's is fine
    look(folder)
    target.write_text(json.dumps({word: (n + 1) % 49408 for word, n in words.items()}))
    assert "vocabulary of its own" in refused(folder).message


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder"])
def test_only_pickles(copied: Callable[[str], Path], part: str) -> None:
    folder = copied("sd1")
    for file in (folder / part).glob("*.safetensors"):
        file.rename(file.with_suffix(".bin"))
    error = refused(folder)
    assert error.kind is ErrorKind.UNSUPPORTED
    assert "hidden programs" in error.message
    assert "safetensors" in error.message


def test_a_pickle_under_a_safe_name(copied: Callable[[str], Path]) -> None:
    folder = copied("sd1")
    torch.save({"a": 1}, folder / "unet" / "diffusion_pytorch_model.safetensors")
    assert "pickle" in refused(folder).message


def test_missing_parts(copied: Callable[[str], Path]) -> None:
    folder = copied("sd1")
    index = json.loads((folder / "model_index.json").read_text())
    for part, name in (("vae", "VAE"), ("text_encoder", "text encoder"), ("unet", "UNet")):
        edit_json(folder / "model_index.json", **{**index, part: [None, None]})
        error = refused(folder)
        assert f"no {name}" in error.message
    (folder / "model_index.json").write_text(json.dumps(index))
    shutil.rmtree(folder / "vae")
    assert "vae/config.json” is missing" in refused(folder).message


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({}, "holds no model"),
        ({"config.json": "{}"}, "choose the folder above it"),
        ({"a.safetensors": "x"}, "choose the “.safetensors” file in it"),
        ({"a.ckpt": "x"}, "pickle"),
        ({"x.mlpackage": ""}, "Core ML files already"),
        ({"model_index.json": "[1]"}, "is no JSON object; download the model again"),
        ({"model_index.json": "{" * 100_000}, "is not JSON"),
        ({"model_index.json": "{}"}, "unknown kind"),
    ],
)
def test_folders_that_are_something_else(tmp_path: Path, files: dict[str, str], words: str) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert words in refused(tmp_path).message


def test_wrong_and_missing_weights_are_found_before_reading(copied: Callable[[str], Path]) -> None:
    folder = copied("sd1")
    file = folder / "unet" / "diffusion_pytorch_model.safetensors"
    whole = load_file(file)

    def problem(tensors: dict[str, torch.Tensor]) -> str:
        save_file(tensors, file)
        with pytest.raises(SfumatoError) as error:
            open_source(folder).check()
        assert error.value.kind is ErrorKind.BAD_MODEL
        refusal(error)
        return f"{error.value.message} {error.value.detail}"

    assert "wrong shape" in problem({**whole, "conv_in.weight": torch.zeros(16, 4, 3, 3)})
    missing = {k: v for k, v in whole.items() if k != "mid_block.resnets.1.conv2.bias"}
    assert "mid_block.resnets.1.conv2.bias is missing" in problem(missing)
    more = {**whole, "down_blocks.7.resnets.0.conv1.weight": torch.zeros(1)}
    assert "more weights" in problem(more)


def test_a_component_that_is_not_there(tiny_single: Make) -> None:
    with pytest.raises(SfumatoError) as error:
        open_source(tiny_single("sd1")).component(K.SAFETY_CHECKER)
    assert "no safety checker" in refusal(error)
    assert isinstance(open_source(tiny_single("sd1")), Source)


def test_nothing_there(tmp_path: Path) -> None:
    error = refused(tmp_path / "gone.safetensors")
    assert error.kind is ErrorKind.NOT_FOUND


def test_a_pipe_and_a_locked_folder(
    tmp_path: Path, copied: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "pipe.safetensors")
    assert "not a safetensors file" in refused(tmp_path / "pipe.safetensors").message

    def locked(_: Path) -> Any:
        raise PermissionError("locked")

    folder = copied("sd1")
    monkeypatch.setattr(Path, "iterdir", locked)
    assert refused(folder).kind is ErrorKind.STORAGE
