"""LoRAs fuse to the weights that diffusers and peft fuse to, and ill-fitting ones are refused."""

from __future__ import annotations

import copy
import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from gui.convert.checkpoint import lora
from gui.convert.checkpoint.source import PART_OF, look, open_source
from gui.convert.types import Lora
from gui.coreml.model import ComponentKind
from gui.errors import ErrorKind, SfumatoError
from tests.convert.conftest import refusal
from tests.support.original_names import original_names
from tests.support.tiny_checkpoints import pipeline
from tests.support.tiny_loras import lora_factors, save_lora

K = ComponentKind
Make = Callable[[str], Path]

PARTS = ("unet", "text_encoder", "text_encoder_2")


def fused_by_diffusers(kind: str, files: list[tuple[Path, float]]) -> dict[str, Any]:
    """State of each part of the pipeline after diffusers (peft) has fused the files in."""
    pipe = copy.deepcopy(pipeline(kind))
    for path, scale in files:
        pipe.load_lora_weights(str(path))
        pipe.fuse_lora(lora_scale=scale)
        pipe.unload_lora_weights()
    parts = ((part, getattr(pipe, part, None)) for part in PARTS)
    return {part: dict(network.state_dict()) for part, network in parts if network is not None}


def fused_by_us(source: Path, files: list[tuple[Path, float]]) -> dict[str, Any]:
    opened = open_source(source, [Lora(str(path), scale) for path, scale in files])
    kinds = [k for k in opened.info.components if PART_OF[k] in PARTS]
    networks: Any = {PART_OF[k]: opened.component(k) for k in kinds}
    return {part: dict(network.state_dict()) for part, network in networks.items()}


def assert_fused(kind: str, source: Path, files: list[tuple[Path, float]]) -> None:
    got, wanted = fused_by_us(source, files), fused_by_diffusers(kind, files)
    assert got.keys() == wanted.keys()
    changed = 0
    for part, state in wanted.items():
        before = getattr(pipeline(kind), part).state_dict()
        for name, value in state.items():
            assert torch.allclose(got[part][name], value, atol=1e-6), f"{part}.{name}"
            changed += not torch.equal(value, before[name])
    assert changed > 20


@pytest.mark.parametrize(
    ("kind", "naming", "form"),
    [
        ("sd1", "peft", "folder"),
        ("sd1", "kohya", "single"),
        ("sd2", "kohya", "folder"),
        ("sdxl", "peft", "single"),
        ("sdxl", "kohya", "folder"),
    ],
)
def test_fused_weights_are_diffusers(
    kind: str, naming: str, form: str, tiny_folder: Make, tiny_single: Make, tmp_path: Path
) -> None:
    path = save_lora(kind, tmp_path / "a.safetensors", naming=naming, alpha=2.0)
    source = tiny_folder(kind) if form == "folder" else tiny_single(kind)
    assert lora.check(path, look(source)) == ()
    assert_fused(kind, source, [(path, 0.7)])


def test_without_alpha_the_rank_counts(tiny_folder: Make, tmp_path: Path) -> None:
    for naming in ("peft", "kohya"):
        path = save_lora("sd1", tmp_path / f"{naming}.safetensors", naming=naming)
        assert_fused("sd1", tiny_folder("sd1"), [(path, 1.0)])


def test_several_with_their_scales(tiny_folder: Make, tmp_path: Path) -> None:
    one = save_lora("sd1", tmp_path / "1.safetensors", alpha=3.0)
    other = lora_factors("sd1", rank=2, conv=False, seed=8)
    two = save_lora("sd1", tmp_path / "2.safetensors", naming="kohya", alpha=1.0, factors=other)
    assert_fused("sd1", tiny_folder("sd1"), [(one, 0.5), (two, -1.2)])


def test_a_file_that_diffusers_saved(tiny_folder: Make, tmp_path: Path) -> None:
    """Written by diffusers itself with peft's own configuration: patterns and all."""
    peft: Any = importlib.import_module("peft")
    diffusers: Any = importlib.import_module("diffusers")
    unet = copy.deepcopy(pipeline("sd1").unet)
    config = peft.LoraConfig(
        r=4,
        lora_alpha=6,
        target_modules=["to_q", "to_v", "conv1", "ff.net.0.proj"],
        alpha_pattern={"mid_block.attentions.0.transformer_blocks.0.attn1.to_q": 1},
        init_lora_weights=False,
    )
    unet.add_adapter(config)
    layers = peft.get_peft_model_state_dict(unet)
    diffusers.StableDiffusionPipeline.save_lora_weights(
        tmp_path, unet_lora_layers=layers, unet_lora_adapter_metadata=config.to_dict()
    )
    path = tmp_path / "pytorch_lora_weights.safetensors"
    assert_fused("sd1", tiny_folder("sd1"), [(path, 0.8)])


def test_rank_stabilised(tiny_folder: Make, tmp_path: Path) -> None:
    peft: Any = importlib.import_module("peft")
    diffusers: Any = importlib.import_module("diffusers")
    unet = copy.deepcopy(pipeline("sd1").unet)
    config = peft.LoraConfig(
        r=4, lora_alpha=6, target_modules=["to_q", "to_k", "conv1", "conv2"],
        init_lora_weights=False, use_rslora=True,
    )  # fmt: skip
    unet.add_adapter(config)
    diffusers.StableDiffusionPipeline.save_lora_weights(
        tmp_path,
        unet_lora_layers=peft.get_peft_model_state_dict(unet),
        unet_lora_adapter_metadata=config.to_dict(),
    )
    assert_fused("sd1", tiny_folder("sd1"), [(tmp_path / "pytorch_lora_weights.safetensors", 1.0)])


def test_a_file_that_peft_saved(tiny_folder: Make, tmp_path: Path) -> None:
    """Its settings lie beside it."""
    peft: Any = importlib.import_module("peft")
    unet = copy.deepcopy(pipeline("sd1").unet)
    config = peft.LoraConfig(
        r=4, lora_alpha=10, target_modules=["to_q", "to_v", "conv1"], init_lora_weights=False
    )
    wrapped = peft.get_peft_model(unet, config)
    wrapped.save_pretrained(tmp_path)
    wanted = wrapped.merge_and_unload().state_dict()
    source = tiny_folder("sd1")
    got = fused_by_us(source, [(tmp_path / "adapter_model.safetensors", 1.0)])["unet"]
    assert all(torch.allclose(got[name], value, atol=1e-6) for name, value in wanted.items())
    before = pipeline("sd1").unet.state_dict()
    assert sum(not torch.equal(got[name], value) for name, value in before.items()) > 5


def test_a_text_encoder_in_old_spelling(tiny_folder: Make, tmp_path: Path) -> None:
    """As diffusers' DreamBooth script wrote it before version 0.18; and nothing but that."""
    leaves = {"q_proj": "to_q", "k_proj": "to_k", "v_proj": "to_v", "out_proj": "to_out"}
    old = {}
    for name, (down, up) in lora_factors("sd1").items():
        head, _, leaf = name.rpartition(".")
        if leaf in leaves and head.startswith("text_encoder."):
            if ".text_model." not in head:
                head = head.replace("text_encoder.", "text_encoder.text_model.")
            old[f"{head}.{leaves[leaf]}_lora.down.weight"] = down
            old[f"{head}.{leaves[leaf]}_lora.up.weight"] = up
    assert len(old) == 12
    path = tmp_path / "a.safetensors"
    save_file(old, path)
    source = tiny_folder("sd1")
    assert lora.check(path, look(source)) == ()
    wanted = fused_by_diffusers("sd1", [(path, 0.5)])["text_encoder"]
    got = fused_by_us(source, [(path, 0.5)])["text_encoder"]
    before = pipeline("sd1").text_encoder.state_dict()
    assert all(torch.allclose(got[name], value, atol=1e-6) for name, value in wanted.items())
    assert sum(not torch.equal(wanted[name], value) for name, value in before.items()) == 6


def test_other_spellings(tiny_folder: Make, tmp_path: Path) -> None:
    """Attention processors (diffusers before 0.17) and the original code's dotted names."""
    factors = {k: v for k, v in lora_factors("sd1", conv=False).items() if ".attn" in k}
    factors = {k: v for k, v in factors.items() if k.startswith("unet.") and ".to_" in k}
    plain = save_lora("sd1", tmp_path / "plain.safetensors", factors=factors)
    wanted = fused_by_us(tiny_folder("sd1"), [(plain, 1.0)])["unet"]
    old, dotted = {}, {}
    names = [f"{k.removeprefix('unet.')}.weight" for k in factors]
    originals = original_names(pipeline("sd1").unet.config, names)
    for name, (down, up) in factors.items():
        head, _, leaf = name.replace(".to_out.0", ".to_out").rpartition(".")
        old[f"{head}.processor.{leaf}_lora.down.weight"] = down
        old[f"{head}.processor.{leaf}_lora.up.weight"] = up
        stem = originals[f"{name.removeprefix('unet.')}.weight"].removesuffix(".weight")
        dotted[f"diffusion_model.{stem}.lora_down.weight"] = down
        dotted[f"diffusion_model.{stem}.lora_up.weight"] = up
    for tensors in (old, dotted):
        save_file(tensors, tmp_path / "b.safetensors")
        got = fused_by_us(tiny_folder("sd1"), [(tmp_path / "b.safetensors", 1.0)])["unet"]
        assert all(torch.equal(got[name], value) for name, value in wanted.items())


# --- refusals -------------------------------------------------------------------------------------


def refused(path: Path, source: Path, scale: float = 1.0) -> SfumatoError:
    with pytest.raises(SfumatoError) as error:
        lora.check(path, look(source), scale)
    refusal(error)
    return error.value


@pytest.mark.parametrize("naming", ["peft", "kohya"])
@pytest.mark.parametrize(("made_for", "model"), [("sdxl", "sd1"), ("sd2", "sd1"), ("sd1", "sdxl")])
def test_of_another_family(
    made_for: str, model: str, naming: str, tiny_folder: Make, tmp_path: Path
) -> None:
    path = save_lora(made_for, tmp_path / "a.safetensors", naming=naming)
    error = refused(path, tiny_folder(model))
    assert error.kind is ErrorKind.BAD_MODEL
    ours = {"sd1": "Stable Diffusion 1", "sdxl": "Stable Diffusion XL"}[model]
    assert ours in error.message
    if made_for == "sdxl":
        assert "LoRA for Stable Diffusion XL" in error.message


@pytest.mark.parametrize(
    ("width", "family"),
    [(1024, "Stable Diffusion 2"), (2048, "Stable Diffusion XL")],
)
def test_families_are_told_by_the_width_of_the_text(
    width: int, family: str, tiny_folder: Make, tmp_path: Path
) -> None:
    stem = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k"
    tensors = {
        f"{stem}.lora_down.weight": torch.zeros(4, width),
        f"{stem}.lora_up.weight": torch.zeros(32, 4),
    }
    save_file(tensors, tmp_path / "a.safetensors")
    error = refused(tmp_path / "a.safetensors", tiny_folder("sd1"))
    assert f"a LoRA for {family}, but the model is Stable Diffusion 1" in error.message


@pytest.mark.parametrize(
    "stem",
    [
        "lora_unet_double_blocks_0_img_attn_proj",
        "transformer.single_transformer_blocks.0.attn.to_q",
    ],
)
def test_of_flux(stem: str, tiny_folder: Make, tmp_path: Path) -> None:
    tensors = {
        f"{stem}.lora_down.weight": torch.zeros(4, 3072),
        f"{stem}.lora_up.weight": torch.zeros(3072, 4),
    }
    save_file(tensors, tmp_path / "a.safetensors")
    assert "LoRA for FLUX.1" in refused(tmp_path / "a.safetensors", tiny_folder("sd1")).message


def test_family_stated_in_the_metadata(tiny_folder: Make, tmp_path: Path) -> None:
    first = next(iter(lora_factors("sd1").values()))
    path = save_lora(
        "sd1",
        tmp_path / "a.safetensors",
        factors={"unet.no.such.layer": first},
        metadata={"ss_base_model_version": "sdxl_base_v1-0"},
    )
    assert "LoRA for Stable Diffusion XL" in refused(path, tiny_folder("sd1")).message


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a1.weight", "GLoRA"),
        ("b2.weight", "GLoRA"),
        ("oft_blocks", "OFT"),
        ("on_input", "IA3"),
    ],
)
def test_other_kinds_are_named(name: str, kind: str, tiny_folder: Make, tmp_path: Path) -> None:
    path = save_lora("sd1", tmp_path / "a.safetensors", naming="kohya")
    stem = "lora_unet_mid_block_attentions_0_proj_in"
    tensors = {f"{stem}.{name}": torch.zeros(4, 4), f"{stem}.lora_down.weight": torch.zeros(4, 4)}
    save_file(tensors, path)
    error = refused(path, tiny_folder("sd1"))
    assert error.kind is ErrorKind.UNSUPPORTED
    assert kind in error.message


def test_layers_without_counterpart_are_counted(tiny_folder: Make, tmp_path: Path) -> None:
    factors = lora_factors("sd1")
    factors["unet.down_blocks.9.resnets.0.conv1"] = next(iter(factors.values()))
    path = save_lora("sd1", tmp_path / "a.safetensors", factors=factors)
    (note,) = lora.check(path, look(tiny_folder("sd1")))
    assert f"1 of {len(factors)} layers" in note


@pytest.mark.parametrize("name", ["lora_unet_conv_nowhere.w_norm", "bundle_emb.fog", "emb"])
def test_what_else_a_file_holds_is_counted(name: str, tiny_folder: Make, tmp_path: Path) -> None:
    path = save_lora("sd1", tmp_path / "a.safetensors", naming="kohya", alpha=2.0)
    save_file({**load_file(path), name: torch.zeros(32)}, path)
    (note,) = lora.check(path, look(tiny_folder("sd1")))
    assert note.startswith("1 of ") and "left out" in note
    missing = name.startswith("lora_unet_")  # a layer's name that the model could have
    assert ("no counterpart in the model" in note) == missing
    assert ("not understood" in note) != missing


@pytest.mark.parametrize(
    ("naming", "rename"),
    [
        ("peft", lambda name: f"{name.partition('.')[0]}.{name}"),
        ("peft", lambda name: name.replace(".lora_A.", ".lora_A.default_0.").replace(
            ".lora_B.", ".lora_B.default_0.")),
        ("peft", lambda name: name.replace(".lora_A.", ".lora_A.my-style.").replace(
            ".lora_B.", ".lora_B.my-style.")),
        ("peft", lambda name: name.replace("unet.", "unet.base_model.model.")),
        ("peft", lambda name: name.replace(
            "text_encoder.", "text_encoders.clip_l.transformer.")),
    ],
)  # fmt: skip
def test_wrapped_and_named_adapters(
    naming: str, rename: Callable[[str], str], tiny_folder: Make, tmp_path: Path
) -> None:
    """Fused like the same file in the plain spelling, which diffusers reads."""
    plain = save_lora("sd1", tmp_path / "plain.safetensors", naming=naming)
    path = tmp_path / "a.safetensors"
    save_file({rename(name): value for name, value in load_file(plain).items()}, path)
    source = tiny_folder("sd1")
    assert lora.check(path, look(source)) == ()
    got, wanted = fused_by_us(source, [(path, 0.7)]), fused_by_diffusers("sd1", [(plain, 0.7)])
    for part, state in wanted.items():
        for name, value in state.items():
            assert torch.allclose(got[part][name], value, atol=1e-6), f"{part}.{name}"


def test_two_adapters_in_one_file(tiny_folder: Make, tmp_path: Path) -> None:
    tensors = load_file(save_lora("sd1", tmp_path / "plain.safetensors"))
    both = {
        name.replace(".weight", f".{adapter}.weight"): value.clone()
        for adapter in ("one", "two")
        for name, value in tensors.items()
    }
    save_file(both, tmp_path / "a.safetensors")
    error = refused(tmp_path / "a.safetensors", tiny_folder("sd1"))
    assert error.kind is ErrorKind.UNSUPPORTED
    assert "several LoRAs" in error.message


def test_a_stated_scale_stands_for_alpha_over_rank(tiny_folder: Make, tmp_path: Path) -> None:
    """As A1111's web UI reads it: W + s · scale · up · down, whatever alpha says."""
    path = save_lora("sd1", tmp_path / "a.safetensors", naming="kohya", alpha=3.0)
    stem = "lora_unet_mid_block_attentions_0_proj_in"
    tensors = {**load_file(path), f"{stem}.scale": torch.tensor(0.25)}
    save_file(tensors, path)
    assert lora.check(path, look(tiny_folder("sd1"))) == ()
    got = fused_by_us(tiny_folder("sd1"), [(path, 0.5)])["unet"]
    name = "mid_block.attentions.0.proj_in.weight"
    before = pipeline("sd1").unet.state_dict()[name]
    down, up = tensors[f"{stem}.lora_down.weight"], tensors[f"{stem}.lora_up.weight"]
    delta = 0.5 * 0.25 * torch.einsum("or...,ri...->oi...", up, down)
    assert torch.allclose(got[name], before + delta, atol=1e-6)
    assert not torch.allclose(got[name], before, atol=1e-3)


def test_norms_of_lycoris(tiny_folder: Make, tiny_single: Make, tmp_path: Path) -> None:
    """LyCORIS' NormModule: weight + s · w_norm, bias + s · b_norm."""
    unet = pipeline("sd1").unet.state_dict()
    names = [
        "conv_norm_out",
        "mid_block.attentions.0.transformer_blocks.0.norm2",
        "down_blocks.0.resnets.0.norm1",
    ]
    tensors = {}
    for n, name in enumerate(names):
        stem = "lora_unet_" + name.replace(".", "_")
        tensors[f"{stem}.w_norm"] = torch.full_like(unet[f"{name}.weight"], 0.1 + n)
        tensors[f"{stem}.b_norm"] = torch.full_like(unet[f"{name}.bias"], 0.2 + n)
    save_file(tensors, tmp_path / "a.safetensors")
    for source in (tiny_folder("sd1"), tiny_single("sd1")):
        assert lora.check(tmp_path / "a.safetensors", look(source)) == ()
        got = fused_by_us(source, [(tmp_path / "a.safetensors", 0.5)])["unet"]
        for n, name in enumerate(names):
            for leaf, shift in (("weight", 0.1 + n), ("bias", 0.2 + n)):
                wanted = unet[f"{name}.{leaf}"] + 0.5 * shift
                assert torch.allclose(got[f"{name}.{leaf}"], wanted, atol=1e-6)
        changed = [name for name, value in unet.items() if not torch.equal(got[name], value)]
        assert len(changed) == 2 * len(names)


def test_a_foreign_spelling_is_not_understood_rather_than_another_models(
    tiny_folder: Make, tmp_path: Path
) -> None:
    down, up = next(iter(lora_factors("sd1").values()))
    path = save_lora("sd1", tmp_path / "a.safetensors", factors={"net.block7.query": (down, up)})
    error = refused(path, tiny_folder("sd1"))
    assert error.kind is ErrorKind.UNSUPPORTED
    assert "not understood" in error.message


def test_files_that_are_no_loras(tiny_folder: Make, tiny_single: Make, tmp_path: Path) -> None:
    assert "is not a LoRA" in refused(tiny_single("sd1"), tiny_folder("sd1")).message
    (tmp_path / "a.pt").write_bytes(b"PK\x03\x04" + b"\0" * 50)
    assert "pickle" in refused(tmp_path / "a.pt", tiny_folder("sd1")).message
    assert refused(tmp_path / "gone", tiny_folder("sd1")).kind is ErrorKind.NOT_FOUND


@pytest.mark.parametrize(
    ("down", "up"),
    [
        (torch.zeros(4, 64), None),
        (torch.zeros(4, 64), torch.zeros(64, 5)),
        (torch.zeros(4), torch.zeros(64, 4)),
        (torch.zeros(0, 64), torch.zeros(64, 0)),
        (torch.zeros(4, 64, dtype=torch.int8), torch.zeros(64, 4)),
    ],
)
def test_damaged_pairs(down: Any, up: Any, tiny_folder: Make, tmp_path: Path) -> None:
    stem = "text_encoder.text_model.encoder.layers.0.self_attn.q_proj"
    tensors = {f"{stem}.lora_A.weight": down}
    if up is not None:
        tensors[f"{stem}.lora_B.weight"] = up
    save_file(tensors, tmp_path / "a.safetensors")
    assert "is damaged" in refused(tmp_path / "a.safetensors", tiny_folder("sd1")).message


def test_scales_that_make_no_sense(tiny_folder: Make, tmp_path: Path) -> None:
    path = save_lora("sd1", tmp_path / "a.safetensors")
    for scale in (float("nan"), float("inf"), 1000.0):
        assert refused(path, tiny_folder("sd1"), scale).kind is ErrorKind.BAD_REQUEST


def test_metadata_that_makes_no_sense(tiny_folder: Make, tmp_path: Path) -> None:
    for text in ("{", "[1]", json.dumps({"unet.lora_alpha": "x"})):
        path = save_lora(
            "sd1", tmp_path / "a.safetensors", metadata={"lora_adapter_metadata": text}
        )
        source = open_source(tiny_folder("sd1"), [Lora(str(path))])
        if "alpha" in text:
            with pytest.raises(SfumatoError) as error:
                source.component(K.UNET)
            assert "is damaged" in refusal(error)
        else:
            source.component(K.UNET)


def test_numbers_that_are_none(tiny_folder: Make, tmp_path: Path) -> None:
    factors = lora_factors("sd1")
    for down, _ in factors.values():
        down[0] = float("nan")
    path = save_lora("sd1", tmp_path / "a.safetensors", factors=factors)
    with pytest.raises(SfumatoError) as error:
        open_source(tiny_folder("sd1"), [Lora(str(path))]).component(K.UNET)
    assert "is damaged" in refusal(error)
