"""Checkpoints as other programs write them: read alike, or refused by their name."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from gui.convert.checkpoint.source import look, open_source
from gui.convert.job import run
from gui.convert.networks.components import contract_unet
from gui.convert.types import ConvertRequest, Lora
from gui.coreml import sidecar
from gui.coreml.defaults import fill_defaults
from gui.coreml.model import Attention, ComponentKind, Family
from gui.errors import ErrorKind, SfumatoError
from gui.request import PictureRequest
from tests.convert.conftest import edit_json, refusal
from tests.support.original_names import Tensors, openai_text
from tests.support.tiny_checkpoints import pipeline, save_single
from tests.support.tiny_loras import save_lora
from tests.support.tiny_networks import _library

K = ComponentKind
Make = Callable[[str], Path]
UNET = "model.diffusion_model."
TEXT_2 = "conditioner.embedders.1.model."


def assert_same(network: Any, wanted: Any) -> None:
    got, want = network.state_dict(), wanted.state_dict()
    assert got.keys() == want.keys()
    assert all(torch.equal(got[name], value) for name, value in want.items())


def refused(path: Path) -> SfumatoError:
    with pytest.raises(SfumatoError) as error:
        open_source(path).check()
    refusal(error)
    return error.value


# --- names ----------------------------------------------------------------------------------------


def test_stable_diffusion_2_in_the_layout_of_xl(tmp_path: Path) -> None:
    """SD-Turbo's own file."""

    def edit(tensors: Tensors) -> Tensors:
        old, new = "cond_stage_model.model.", "conditioner.embedders.0.model."
        assert any(name.startswith(old) for name in tensors)
        return {name.replace(old, new): value for name, value in tensors.items()}

    source = open_source(save_single("sd2", tmp_path / "sd_turbo.safetensors", edit=edit))
    source.check()
    assert source.info.family is Family.SD2
    assert source.info.prediction_type == "epsilon"
    assert source.pad_token_ids == (0,)
    assert_same(source.component(K.TEXT_ENCODER), pipeline("sd2").text_encoder)


@pytest.mark.parametrize("wrapper", ["text_model.", ""])
def test_stable_diffusion_2_with_its_text_encoder_by_the_other_names(
    wrapper: str, tmp_path: Path
) -> None:
    """What diffusers' script makes of a folder saved by transformers since 5.6: by its names the
    text encoder could be Stable Diffusion 1's, whose activation is another."""
    prefix = "cond_stage_model.transformer."

    def edit(tensors: Tensors) -> Tensors:
        rest = {k: v for k, v in tensors.items() if not k.startswith("cond_stage_model.")}
        text = openai_text(prefix, pipeline("sd2").text_encoder)
        last = f"{prefix}text_model.encoder.layers.1."
        text |= {k.replace(last, last.replace("1", "2")): v for k, v in text.items() if last in k}
        return {**rest, **{k.replace("text_model.", wrapper): v for k, v in text.items()}}

    source = open_source(save_single("sd2", tmp_path / "a.safetensors", edit=edit))
    source.check()
    network: Any = source.component(K.TEXT_ENCODER)
    assert_same(network, pipeline("sd2").text_encoder)
    ids = torch.tensor([[49406, 320, 1125, 49407, *[0] * 73]])
    with torch.no_grad():
        wanted = pipeline("sd2").text_encoder(ids).last_hidden_state
        assert torch.equal(network(ids).last_hidden_state, wanted)


@pytest.mark.parametrize("kind", ["sdxl", "sdxl-refiner"])
def test_the_texts_projection_as_a_linear_layer(kind: str, tmp_path: Path) -> None:
    """diffusers' own script for single files keeps that weight's name and leaves it unturned."""

    def edit(tensors: Tensors) -> Tensors:
        (old,) = (name for name in tensors if name.endswith("text_projection"))
        return {**{k: v for k, v in tensors.items() if k != old}, f"{old}.weight": tensors[old].T}

    source = open_source(save_single(kind, tmp_path / "a.safetensors", edit=edit))
    source.check()
    assert_same(source.component(K.TEXT_ENCODER_2), pipeline(kind).text_encoder_2)


def test_attention_of_the_vae_by_its_later_names(tmp_path: Path) -> None:
    """As EveryDream's trainer writes it."""
    new = {"q": "to_q", "k": "to_k", "v": "to_v", "proj_out": "to_out.0"}

    def edit(tensors: Tensors) -> Tensors:
        found = {}
        for name, value in tensors.items():
            stem, mark, leaf = name.partition(".mid.attn_1.")
            layer, _, kind = leaf.partition(".")
            if mark and layer in new:
                name = f"{stem}{mark}{new[layer]}.{kind}"
                value = value.flatten(1) if kind == "weight" else value
            found[name] = value
        assert sum("attn_1.to_out.0." in name for name in found) == 4
        return found

    source = open_source(save_single("sd1", tmp_path / "a.safetensors", edit=edit))
    source.check()
    assert_same(source.component(K.VAE_ENCODER), pipeline("sd1").vae)


def test_leftovers_of_another_family_in_an_xl_merge(tmp_path: Path) -> None:
    stray = {
        "cond_stage_model.logit_scale": torch.tensor(4.6),
        "cond_stage_model.transformer.text_model.final_layer_norm.weight": torch.zeros(8),
    }
    source = open_source(
        save_single("sdxl", tmp_path / "a.safetensors", edit=lambda found: {**stray, **found})
    )
    source.check()
    assert source.info.family is Family.SDXL
    assert_same(source.component(K.TEXT_ENCODER), pipeline("sdxl").text_encoder)


def test_cosxl_is_named(tmp_path: Path) -> None:
    """Of XL's shape to the last weight, but sampled in another way."""
    limits = {f"edm_vpred.sigma_{end}": torch.tensor(1.0) for end in ("max", "min")}
    path = save_single("sdxl", tmp_path / "a.safetensors", edit=lambda found: {**found, **limits})
    error = refused(path)
    assert error.kind is ErrorKind.UNSUPPORTED
    assert "CosXL" in error.message


# --- what it predicts -----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["sd1", "sdxl"])
@pytest.mark.parametrize(("stated", "expected"), [("v", "v_prediction"), ("epsilon", "epsilon")])
def test_what_comfyui_states(kind: str, stated: str, expected: str, tmp_path: Path) -> None:
    metadata = {"modelspec.predict_key": stated}
    info = look(save_single(kind, tmp_path / "a.safetensors", metadata=metadata))
    assert info.prediction_type == expected
    assert not info.notes


@pytest.mark.parametrize("name", ["noobaiXLNAIXL_vPred10Version", "NoobAI-XL-Vpred", "my v-pred"])
def test_a_merge_that_only_its_name_tells_to_predict_velocity(name: str, tmp_path: Path) -> None:
    info = look(save_single("sdxl", tmp_path / f"{name}.safetensors"))
    assert info.prediction_type == "v_prediction"
    (note,) = info.notes
    assert "by its name, velocity" in note
    metadata = {"modelspec.prediction_type": "epsilon"}
    info = look(save_single("sdxl", tmp_path / f"{name}.safetensors", metadata=metadata))
    assert info.prediction_type == "epsilon"


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize(
    ("values", "expected", "how"),
    [
        ([-0.12, 0.12], "v_prediction", "by its weights"),
        ([-0.06, 0.06], "epsilon", "by its weights"),
        ([0.5, 0.5], "v_prediction", "as for most"),  # tells nothing
        ([-0.06, float("nan")], "v_prediction", "as for most"),
    ],
)
def test_stable_diffusion_2_by_its_weights(
    values: list[float], expected: str, how: str, dtype: torch.dtype, tmp_path: Path
) -> None:
    """In the published files of Stable Diffusion 2 this layer is wide for velocity only."""
    sign = {
        f"{UNET}output_blocks.11.1.transformer_blocks.0.norm1.bias": torch.tensor(values * 160),
    }
    path = tmp_path / "a.safetensors"
    save_single("sd2", path, dtype=dtype, edit=lambda tensors: {**tensors, **sign})
    info = look(path)
    assert info.prediction_type == expected
    assert info.size.width == (768 if expected == "v_prediction" else 512)
    (note,) = info.notes
    assert how in note
    assert "assumed" in note


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        ("sd1", "model:\n  params:\n    parameterization: 'v'\n    unet_config:\n", "v_prediction"),
        ("sd2", 'model:\n  params:\n    parameterization: "v"\n    unet_config:\n', "v_prediction"),
        ("sd2", "model:\n  params:\n    unet_config:\n      target: x\n", "epsilon"),
    ],
)
def test_the_configuration_that_other_programs_need_beside_the_file(
    kind: str, text: str, expected: str, tmp_path: Path
) -> None:
    path = save_single(kind, tmp_path / "a.safetensors")
    (tmp_path / "a.yaml").write_text(text)
    info = look(path)
    assert info.prediction_type == expected
    assert not info.notes
    (tmp_path / "a.yaml").write_text("title: parameterization: v\n")  # of something else
    assert look(path).notes or kind == "sd1"
    assert look(path).prediction_type == ("epsilon" if kind == "sd1" else "v_prediction")


@pytest.mark.parametrize(
    ("kind", "name"), [("sdxl", "JuggernautXL_Lightning"), ("sd2", "sd_turbo"), ("sd1", "Turbo")]
)
def test_models_of_few_steps_begin_at_pure_noise(kind: str, name: str, tmp_path: Path) -> None:
    """Four steps as SDXL-Lightning's authors lay them out."""
    source = open_source(save_single(kind, tmp_path / f"{name}.safetensors"))
    config = source.scheduler_config()
    scheduler = getattr(_library("diffusers"), config["_class_name"]).from_config(config)
    scheduler.set_timesteps(4)
    assert scheduler.timesteps.tolist() == [999, 749, 499, 249]
    assert any("few steps" in note for note in source.info.notes)


@pytest.mark.parametrize(
    ("kind", "name", "steps", "guidance"),
    [("sdxl", "DreamXL_Turbo", 4, 1.0), ("sdxl", "DreamXL", 25, 5.0), ("sd1", "dream", 25, 7.5)],
)
def test_models_of_few_steps_are_used_with_few(
    kind: str, name: str, steps: int, guidance: float, tmp_path: Path
) -> None:
    source = save_single(kind, tmp_path / f"{name}.safetensors")
    request = ConvertRequest(
        str(source), str(tmp_path / "model"), components=(K.TEXT_ENCODER,), check=False
    )
    run(request, lambda _: None, lambda: False)
    stated = sidecar.read(tmp_path / "model")
    assert stated is not None
    asked = fill_defaults(PictureRequest("a fox", ""), stated)
    assert (asked.steps, asked.guidance_scale) == (steps, guidance)


@pytest.mark.parametrize(
    ("place", "scale", "scheduler", "steps", "guidance"),
    [
        ("lcm-lora-sdv1-5/pytorch_lora_weights", 1.0, "LCM", 4, 1.0),
        ("Hyper-SD15-8steps-lora", 0.8, "DDIM", 8, 1.0),
        ("watercolour", 1.0, "PNDM", 25, 7.5),
        ("lcm-lora-sdv1-5", 0.0, "PNDM", 25, 7.5),
    ],
)
def test_a_fused_lora_of_few_steps_sets_them(
    place: str, scale: float, scheduler: str, steps: int, guidance: float, tmp_path: Path
) -> None:
    path = tmp_path / f"{place}.safetensors"
    path.parent.mkdir(exist_ok=True)
    save_lora("sd1", path)
    request = ConvertRequest(
        str(save_single("sd1", tmp_path / "dream.safetensors")),
        str(tmp_path / "model"),
        components=(K.TEXT_ENCODER,),
        loras=(Lora(str(path), scale),),
        check=False,
    )
    report = run(request, lambda _: None, lambda: False)
    stated = sidecar.read(tmp_path / "model")
    assert stated is not None
    asked = fill_defaults(PictureRequest("a fox", ""), stated)
    assert (asked.scheduler, asked.steps, asked.guidance_scale) == (scheduler, steps, guidance)
    assert any("few steps" in text for text in report.warnings) == (steps < 25)


# --- compressed weights ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "mark",
    [
        f"{UNET}scaled_fp8",
        f"{UNET}middle_block.1.proj_in.scale_weight",
        f"{TEXT_2}transformer.resblocks.0.mlp.c_fc.weight_scale",
        f"{TEXT_2}transformer.resblocks.0.mlp.c_fc.comfy_quant",
        f"{UNET}middle_block.1.proj_in.weight.absmax",
        f"{UNET}middle_block.1.proj_in.weight.quant_state.bitsandbytes__nf4",
        f"{UNET}middle_block.1.proj_in.SCB",
    ],
)
def test_weights_that_are_to_be_scaled_are_refused(mark: str, tmp_path: Path) -> None:
    """Taken as they are, they would be other numbers."""
    path = tmp_path / "a.safetensors"
    save_single("sdxl", path, edit=lambda tensors: {**tensors, mark: torch.ones(1)})
    error = refused(path)
    assert error.kind is ErrorKind.UNSUPPORTED
    assert "compressed numbers" in error.message


@pytest.mark.parametrize("stated", [True, False])
def test_a_folder_of_compressed_weights_is_not_called_damaged(
    stated: bool, copied: Callable[[str], Path]
) -> None:
    folder = copied("sd1")
    file = folder / "unet" / "diffusion_pytorch_model.safetensors"
    tensors = load_file(file)
    name = "mid_block.attentions.0.transformer_blocks.0.attn1.to_q.weight"
    tensors[name] = torch.zeros(tensors[name].numel() // 2, 1, dtype=torch.uint8)
    save_file(tensors, file)
    if stated:
        edit_json(folder / "unet" / "config.json", quantization_config={"load_in_4bit": True})
    error = refused(folder)
    assert error.kind is ErrorKind.UNSUPPORTED
    assert "The UNet is stored in compressed numbers" in error.message


# --- folders --------------------------------------------------------------------------------------


@pytest.mark.parametrize("left", ["nothing", "configuration", "pickle", "resource fork"])
def test_a_safety_checker_that_cannot_be_read_is_left_out(
    left: str, copied: Callable[[str], Path]
) -> None:
    """Many repositories name one without having it, or have it as a pickle only."""
    folder = copied("sd1-safety")
    checker = folder / "safety_checker"
    if left == "nothing":
        shutil.rmtree(checker)
    else:
        (checker / "model.safetensors").unlink()
    if left == "pickle":
        (checker / "pytorch_model.bin").write_bytes(b"PK\x03\x04")
    if left == "resource fork":
        (checker / "._model.safetensors").write_bytes(b"\0\5\x16\7")
    source = open_source(folder)
    source.check()
    assert K.SAFETY_CHECKER not in source.info.components
    (note,) = source.info.notes
    assert "safety checker is left out" in note


def test_a_damaged_safety_checker_is_refused(copied: Callable[[str], Path]) -> None:
    folder = copied("sd1-safety")
    file = folder / "safety_checker" / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1])
    assert "cut short" in refused(folder).message


def test_a_distilled_xl_without_attention_in_the_middle(copied: Callable[[str], Path]) -> None:
    """SSD-1B's structure: levels of uneven depth, other depths on the way up, a bare middle."""
    folder = copied("sdxl")
    config = json.loads((folder / "unet" / "config.json").read_text())
    torch.manual_seed(5)
    unet = _library("diffusers").UNet2DConditionModel.from_config(
        {
            **config,
            "layers_per_block": 2,
            "mid_block_type": "UNetMidBlock2D",
            "transformer_layers_per_block": [1, [2, 1]],
            "reverse_transformer_layers_per_block": [[2, 1, 3], 1],
        }
    )
    shutil.rmtree(folder / "unet")
    unet.eval().save_pretrained(folder / "unet")
    source = open_source(folder)
    source.check()
    network: Any = source.component(K.UNET)
    assert_same(network, unet)
    contract = contract_unet(K.UNET, network, Attention.SPLIT_EINSUM, (8, 8), 1)
    given = {name: torch.from_numpy(array) for name, array in contract.checks[0].items()}
    added = {name: given[name] for name in ("time_ids", "text_embeds")}
    with torch.no_grad():
        want = unet(
            given["sample"],
            given["timestep"],
            given["encoder_hidden_states"][:, :, 0].transpose(1, 2),
            added_cond_kwargs=added,
            return_dict=False,
        )[0]
        have = contract.wrap()(*given.values())
    assert want.std() > 0.1
    assert (have - want).abs().max() < 1e-4 * want.abs().max()
