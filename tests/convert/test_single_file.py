"""Single-file checkpoints: what their headers tell, and which are refused."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from gui.convert.checkpoint.source import look, open_source
from gui.convert.package.finish import checkpoint_hash
from gui.convert.types import ConvertRequest, Lora
from gui.coreml.model import ComponentKind, Family
from gui.coreml.sidecar import CHECKPOINT_SHA256
from gui.errors import ErrorKind, SfumatoError
from tests.convert.conftest import refusal
from tests.support import published_shapes
from tests.support.original_names import Tensors
from tests.support.tiny_checkpoints import TINY, pipeline, save_single, single_tensors

K = ComponentKind
Make = Callable[[str], Path]


def refused(path: Path) -> SfumatoError:
    with pytest.raises(SfumatoError) as error:
        look(path)
    refusal(error)
    return error.value


# --- the layout -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", list(TINY))
def test_the_test_files_are_in_the_layout_diffusers_reads(kind: str) -> None:
    """The writer of these tests' files against diffusers' reader of that layout."""
    library: Any = importlib.import_module("diffusers.loaders.single_file_utils")
    pipe, tensors = pipeline(kind), single_tensors(kind)
    for part, convert in (
        ("unet", library.convert_ldm_unet_checkpoint),
        ("vae", library.convert_ldm_vae_checkpoint),
    ):
        wanted = getattr(pipe, part).state_dict()
        got = convert(dict(tensors), getattr(pipe, part).config)
        assert got.keys() == wanted.keys()
        assert all(torch.equal(got[name], wanted[name]) for name in wanted)


@pytest.mark.parametrize("kind", ["sdxl", "sdxl-refiner"])
def test_the_test_files_text_encoders_are_what_diffusers_reads(kind: str) -> None:
    library: Any = importlib.import_module("diffusers.loaders.single_file_utils")
    encoder = pipeline(kind).text_encoder_2
    place = 1 if kind == "sdxl" else 0
    got = library.convert_open_clip_checkpoint(
        encoder, single_tensors(kind), prefix=f"conditioner.embedders.{place}.model."
    )
    wanted = encoder.state_dict()
    assert got.keys() == wanted.keys()
    assert all(torch.equal(got[name], wanted[name]) for name in wanted)


@pytest.mark.parametrize("kind", list(published_shapes.UNETS))
def test_published_networks_at_full_size(kind: str, tmp_path: Path) -> None:
    """Configurations told from the shapes alone are those the models were published with."""
    path = published_shapes.save_sparse(kind, tmp_path / f"{kind}.safetensors")
    start = time.perf_counter()
    info = look(path)
    assert time.perf_counter() - start < 1.0
    assert info.family == Family(kind)
    assert info.size.width == {"sd1": 512, "sd2": 768}.get(kind, 1024)
    assert info.bytes > 2_000_000_000 * (3 if kind.startswith("sdxl") else 1)
    source = open_source(path)
    source.check()
    parts = source.checkpoint.parts
    for name, count in published_shapes.PARAMETERS.get(kind, {}).items():
        assert parts[name].parameters == count, name
    wanted = published_shapes.published(kind)
    diffusers: Any = importlib.import_module("diffusers")
    assert_config(diffusers.UNet2DConditionModel, parts["unet"].config, wanted.unet.config)
    assert_config(diffusers.AutoencoderKL, parts["vae"].config, wanted.vae.config)
    for name in ("text_encoder", "text_encoder_2"):
        if encoder := getattr(wanted, name):
            for key in ("num_attention_heads", "num_hidden_layers", "hidden_size"):
                assert parts[name].config[key] == getattr(encoder.config, key), (name, key)


def assert_config(network: Any, got: Any, wanted: Any) -> None:
    """Equal in all that decides the computation (numbers may be spelt out per level)."""
    accelerate: Any = importlib.import_module("accelerate")
    with accelerate.init_empty_weights():
        config = network.from_config(dict(got)).config  # with the library's own defaults
    loose = {"sample_size", "scaling_factor", "transformer_layers_per_block"}
    for key, value in wanted.items():
        if key.startswith("_") or key in loose:
            continue
        mine = config[key]
        assert (list(mine) if isinstance(mine, list | tuple) else mine) == (
            list(value) if isinstance(value, list | tuple) else value
        ), key


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float8_e4m3fn])
def test_precisions(dtype: torch.dtype, tmp_path: Path) -> None:
    source = open_source(save_single("sd1", tmp_path / "a.safetensors", dtype=dtype))
    got: Any = source.component(K.UNET)
    for name, value in pipeline("sd1").unet.state_dict().items():
        assert torch.equal(got.state_dict()[name], value.to(dtype).float()), name


def test_text_layers_without_their_wrapper(tmp_path: Path) -> None:
    """Some merging programs drop `text_model.` from the names."""

    def edit(tensors: Tensors) -> Tensors:
        return {k.replace("transformer.text_model.", "transformer."): v for k, v in tensors.items()}

    source = open_source(save_single("sd1", tmp_path / "a.safetensors", edit=edit))
    got: Any = source.component(K.TEXT_ENCODER)
    wanted = pipeline("sd1").text_encoder.state_dict()
    assert all(torch.equal(got.state_dict()[name], value) for name, value in wanted.items())


def test_averaged_weights_are_left_aside(tmp_path: Path) -> None:
    def edit(tensors: Tensors) -> Tensors:
        start = "model.diffusion_model."
        ema = {
            "model_ema." + k.removeprefix("model.").replace(".", ""): torch.zeros_like(v)
            for k, v in tensors.items()
            if k.startswith(start)
        }
        return {**tensors, **ema}

    source = open_source(save_single("sd1", tmp_path / "a.safetensors", edit=edit))
    assert any("averaged" in note for note in source.info.notes)
    got: Any = source.component(K.UNET)
    wanted = pipeline("sd1").unet.state_dict()
    assert all(torch.equal(got.state_dict()[name], value) for name, value in wanted.items())


def test_a_latent_consistency_model_keeps_its_guidance_input(tmp_path: Path) -> None:
    def edit(tensors: Tensors) -> Tensors:
        return {
            **tensors,
            "model.diffusion_model.time_embed.cond_proj.weight": torch.ones(32, 64),
        }

    source = open_source(save_single("sd1", tmp_path / "a.safetensors", edit=edit))
    network: Any = source.component(K.UNET)
    assert network.config.time_cond_proj_dim == 64
    assert torch.equal(network.time_embedding.cond_proj.weight, torch.ones(32, 64))
    assert source.scheduler_config()["_class_name"] == "LCMScheduler"


# --- what it predicts -----------------------------------------------------------------------------


def add(name: str, value: torch.Tensor) -> Callable[[Tensors], Tensors]:
    return lambda tensors: {**tensors, name: value}


@pytest.mark.parametrize(
    ("kind", "file", "options", "expected", "noted"),
    [
        ("sd1", "a", {}, "epsilon", False),
        ("sdxl", "a", {}, "epsilon", False),
        ("sdxl", "a", {"edit": add("v_pred", torch.tensor([]))}, "v_prediction", False),
        ("sdxl", "a", {"metadata": {"modelspec.prediction_type": "v"}}, "v_prediction", False),
        ("sd2", "a", {"metadata": {"modelspec.prediction_type": "epsilon"}}, "epsilon", False),
        ("sd2", "a", {"edit": add("global_step", torch.tensor(875000))}, "epsilon", False),
        ("sd2", "a", {"edit": add("global_step", torch.tensor(140000))}, "v_prediction", True),
        ("sd2", "a", {}, "v_prediction", True),
        ("sd2", "v2-1_512-base", {}, "epsilon", True),
        ("sd2", "sd_turbo", {}, "epsilon", True),
    ],
)
def test_prediction_type(
    kind: str, file: str, options: Any, expected: str, noted: bool, tmp_path: Path
) -> None:
    source = open_source(save_single(kind, tmp_path / f"{file}.safetensors", **options))
    info = source.info
    assert info.prediction_type == expected
    assert source.scheduler_config()["prediction_type"] == expected
    assert any("assumed" in note for note in info.notes) == noted
    if kind == "sd2":
        assert info.size.width == (768 if expected == "v_prediction" else 512)


def test_a_last_step_of_pure_noise(tmp_path: Path) -> None:
    def edit(tensors: Tensors) -> Tensors:
        return {**tensors, "v_pred": torch.tensor([]), "ztsnr": torch.tensor([])}

    config = open_source(
        save_single("sdxl", tmp_path / "a.safetensors", edit=edit)
    ).scheduler_config()
    assert config["rescale_betas_zero_snr"] is True
    assert config["timestep_spacing"] == "trailing"


def test_the_stated_size(tmp_path: Path) -> None:
    for text, expected in (("832x1216", (832, 1216)), ("100x100", (512, 512)), ("x", (512, 512))):
        path = save_single(
            "sd1", tmp_path / "a.safetensors", metadata={"modelspec.resolution": text}
        )
        assert (look(path).size.width, look(path).size.height) == expected


# --- other families -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "family"),
    [
        (["double_blocks.0.img_attn.qkv.weight", "single_blocks.0.linear1.weight"], "FLUX.1"),
        (["model.diffusion_model.double_blocks.0.img_attn.qkv.weight"], "FLUX.1"),
        (["single_stream_modulation.lin.weight"], "FLUX.2"),
        (["model.diffusion_model.joint_blocks.0.context_block.mlp.fc1.weight"], "Diffusion 3"),
        (["blocks.0.cross_attn.kv_linear.weight"], "PixArt"),
        (["head.modulation", "blocks.0.cross_attn.k.weight"], "Wan"),
        (["clip_txt_mapper.weight"], "Stable Cascade"),
        (["double_layers.0.attn.w2q.weight"], "AuraFlow"),
        (["model.diffusion_model.patchify_proj.weight"], "LTX"),
        (["blocks.0.default_modulation.1.weight"], "Hunyuan-DiT"),
        (["distilled_guidance_layer.in_proj.bias"], "Chroma"),
    ],
)
def test_other_families_are_named(names: list[str], family: str, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_file({name: torch.zeros(2, 2) for name in names}, path)
    error = refused(path)
    assert error.kind is ErrorKind.UNSUPPORTED
    assert family in error.message
    assert "Stable Diffusion 1, 2 and XL" in error.message


@pytest.mark.parametrize(
    ("channels", "name"), [(7, "upscaler"), (6, "6 input channels"), (3, "3 input channels")]
)
def test_networks_with_more_inputs_are_named(channels: int, name: str, tmp_path: Path) -> None:
    edit = add("model.diffusion_model.input_blocks.0.0.weight", torch.zeros(32, channels, 3, 3))
    assert name in refused(save_single("sd1", tmp_path / "a.safetensors", edit=edit)).message


def test_unclip_and_playground_are_named(tmp_path: Path) -> None:
    edit = add("model.diffusion_model.label_emb.0.0.weight", torch.zeros(8, 8))
    assert "unCLIP" in refused(save_single("sd2", tmp_path / "a.safetensors", edit=edit)).message
    edit = add("edm_mean", torch.zeros(4))
    assert (
        "Playground" in refused(save_single("sdxl", tmp_path / "b.safetensors", edit=edit)).message
    )


@pytest.mark.parametrize(
    ("prefix", "words"),
    [
        ("model.diffusion_model.", "no text encoder and no VAE"),
        ("first_stage_model.", "holds a VAE only"),
        ("cond_stage_model.", "holds a text encoder only"),
    ],
)
def test_lone_networks(prefix: str, words: str, tmp_path: Path) -> None:
    path = save_single(
        "sd1",
        tmp_path / "a.safetensors",
        edit=lambda tensors: {k: v for k, v in tensors.items() if k.startswith(prefix)},
    )
    assert words in refused(path).message


def test_lone_networks_in_diffusers_layout(tiny_folder: Make) -> None:
    unet = tiny_folder("sd1") / "unet" / "diffusion_pytorch_model.safetensors"
    assert "holds a UNet only" in refused(unet).message
    vae = tiny_folder("sd1") / "vae" / "diffusion_pytorch_model.safetensors"
    assert "only" in refused(vae).message


@pytest.mark.parametrize(
    ("prefix", "words"),
    [("first_stage_model.", "no VAE"), ("conditioner.embedders.0.", "no text encoder")],
)
def test_missing_parts(prefix: str, words: str, tmp_path: Path) -> None:
    path = save_single(
        "sdxl",
        tmp_path / "a.safetensors",
        edit=lambda tensors: {k: v for k, v in tensors.items() if not k.startswith(prefix)},
    )
    assert words in refused(path).message


def test_a_file_of_something_else(tmp_path: Path) -> None:
    save_file({"layers.0.weight": torch.zeros(2)}, tmp_path / "a.safetensors")
    assert "no model that Sfumato knows" in refused(tmp_path / "a.safetensors").message


# --- wrong weights --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("model.diffusion_model.input_blocks.0.0.weight", torch.zeros(32, 4)),
        ("model.diffusion_model.output_blocks.0.0.in_layers.0.weight", torch.zeros(7)),
        ("model.diffusion_model.middle_block.1.proj_in.weight", torch.zeros(3)),
        ("first_stage_model.decoder.conv_in.weight", torch.zeros(64, 5, 3, 3)),
        (
            "cond_stage_model.transformer.text_model.embeddings.token_embedding.weight",
            torch.zeros(5),
        ),
    ],
)
def test_wrong_shapes(name: str, value: torch.Tensor, tmp_path: Path) -> None:
    path = save_single("sd1", tmp_path / "a.safetensors", edit=add(name, value))
    with pytest.raises(SfumatoError) as error:
        open_source(path).check()
    refusal(error)
    assert error.value.kind in (ErrorKind.BAD_MODEL, ErrorKind.UNSUPPORTED)


@pytest.mark.parametrize(
    "name",
    [
        "model.diffusion_model.input_blocks.1.0.out_layers.3.weight",
        "model.diffusion_model.out.2.bias",
        "model.diffusion_model.middle_block.1.transformer_blocks.0.attn2.to_k.weight",
        "first_stage_model.decoder.up.3.block.0.conv2.weight",
        "first_stage_model.encoder.mid.attn_1.q.weight",
        "conditioner.embedders.1.model.transformer.resblocks.1.attn.in_proj_weight",
        "conditioner.embedders.1.model.text_projection",
        "conditioner.embedders.1.model.positional_embedding",
    ],
)
def test_missing_weights(name: str, tmp_path: Path) -> None:
    def edit(tensors: Tensors) -> Tensors:
        assert name in tensors
        return {k: v for k, v in tensors.items() if k != name}

    path = save_single("sdxl", tmp_path / "a.safetensors", edit=edit)
    with pytest.raises(SfumatoError) as error:
        open_source(path).check()
    refusal(error)


def test_quantised_weights_are_refused(tmp_path: Path) -> None:
    name = "model.diffusion_model.input_blocks.1.0.in_layers.2.weight"
    value = torch.zeros(32, 32, 3, 3, dtype=torch.int8)
    path = save_single("sd1", tmp_path / "a.safetensors", edit=add(name, value))
    with pytest.raises(SfumatoError) as error:
        open_source(path).check()
    assert "float16 or float32" in refusal(error)


def test_weights_that_are_no_numbers(tmp_path: Path) -> None:
    """A merge gone wrong: it would make black pictures."""
    name = "model.diffusion_model.input_blocks.1.0.in_layers.2.bias"
    path = save_single(
        "sd1", tmp_path / "a.safetensors", edit=add(name, torch.full((32,), float("nan")))
    )
    with pytest.raises(SfumatoError) as error:
        open_source(path).component(K.UNET)
    assert "no numbers" in refusal(error)


def test_a_model_knows_the_hash_of_the_file_it_was_made_from(
    tiny_single: Callable[[str], Path], tmp_path: Path
) -> None:
    """Web UIs name their models by it in pictures; a LoRA makes another model of it."""
    path = tiny_single("sd1")
    request = ConvertRequest(str(path), str(tmp_path / "made"))
    whole = hashlib.sha256(path.read_bytes()).hexdigest()
    assert checkpoint_hash(request) == {CHECKPOINT_SHA256: whole}
    fused = dataclasses.replace(request, loras=(Lora("ink.safetensors"),))
    assert checkpoint_hash(fused) == {}
    assert checkpoint_hash(dataclasses.replace(request, source=str(path.parent))) == {}
