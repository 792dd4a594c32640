"""LoRAs of every kind and spelling give the weights that peft gives with the same numbers."""

from __future__ import annotations

import copy
import importlib
import json
import random
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from gui.convert.checkpoint.lora.deltas import Adder
from gui.convert.checkpoint.lora.layers import Target, target_of
from gui.convert.checkpoint.lora.matching import match
from gui.convert.checkpoint.reading import read_checkpoint
from gui.convert.checkpoint.weights import canonical
from gui.errors import ErrorKind, SfumatoError
from gui.library.lora_files.kinds import read_lora
from tests.convert.conftest import refusal
from tests.support.original_names import original_names
from tests.support.tiny_checkpoints import kept_folder, pipeline

PARTS = ("unet", "text_encoder", "text_encoder_2")
peft: Any = importlib.import_module("peft")


def loha(seed: int) -> Any:
    return peft.LoHaConfig(r=3, alpha=5, init_weights=False, use_effective_conv2d=seed % 2 == 0,
                           target_modules=r"layer\d")  # fmt: skip


def lokr(seed: int) -> Any:
    return peft.LoKrConfig(
        r=2 if seed % 3 else 512,  # more than any layer's: two full matrices
        alpha=3 if seed % 3 else 512,
        init_weights=False,
        use_effective_conv2d=seed % 2 == 0,
        decompose_both=seed % 4 == 0,
        target_modules=r"layer\d",
    )


def plain(_seed: int) -> Any:
    return peft.LoraConfig(r=4, lora_alpha=6, init_lora_weights=False, target_modules=r"layer\d")


def biased(_seed: int) -> Any:
    return peft.LoraConfig(
        r=4, lora_alpha=6, init_lora_weights=False, lora_bias=True, target_modules=r"layer\d"
    )


def dora(_seed: int) -> Any:
    return peft.LoraConfig(
        r=4, lora_alpha=6, init_lora_weights=False, use_dora=True, target_modules=r"layer\d"
    )


KINDS: tuple[Callable[[int], Any], ...] = (plain, loha, lokr, dora, biased)
KOHYA = {"lora_A": "lora_down", "lora_B": "lora_up", "lora_magnitude_vector": "dora_scale"}


@cache
def target(kind: str) -> Target:
    return target_of(read_checkpoint(kept_folder(kind)))


def spelled(kind: str, part: str, layer: str, spelling: str) -> str:
    """A layer's name in a file."""
    if part == "unet" and spelling in ("original", "original_flat"):
        layer = original_names(pipeline(kind).unet.config, [f"{layer}.weight"])[f"{layer}.weight"]
        layer = layer.removesuffix(".weight")
    elif part != "unet" and not layer.startswith("text_model."):
        layer = f"text_model.{layer}"
    number = {"unet": "unet", "text_encoder": "te1", "text_encoder_2": "te2"}[part]
    number = number if kind == "sdxl" or part == "unet" else "te"
    if spelling in ("kohya", "original_flat"):
        return f"lora_{number}_{layer}".replace(".", "_")
    return {
        "original": f"diffusion_model.{layer}" if part == "unet" else f"{part}.{layer}",
        "twice": f"{part}.{part}.{layer}",
        "peft": f"base_model.model.{part}.{layer}",
        "diffusers": f"{part}.{layer}",
    }[spelling]


SPELLINGS = ("kohya", "original_flat", "original", "twice", "peft", "diffusers")


def renamed(leaf: str, spelling: str, adapter: str) -> str:
    """A tensor's name in a file, after the layer's."""
    head, dot, tail = leaf.partition(".")
    if spelling in ("kohya", "original_flat"):
        return KOHYA.get(head, head) + ("" if head == "lora_magnitude_vector" else dot + tail)
    return head + (f".{adapter}" if adapter else "") + dot + tail


def chosen_layers(
    kind: str, rng: random.Random, with_bias: bool
) -> dict[tuple[str, str], nn.Module]:
    layers = {}
    for part in PARTS:
        network = getattr(pipeline(kind), part, None)
        names = [
            (part, name)
            for name, layer in (network.named_modules() if network else ())
            if isinstance(layer, nn.Linear | nn.Conv2d)
            and (layer.bias is not None or not with_bias)
        ]
        for key in rng.sample(names, min(3, len(names))):
            layers[key] = network.get_submodule(key[1])  # type: ignore[union-attr]
    return layers


@pytest.mark.parametrize("seed", range(100))
def test_weights_are_pefts(seed: int, tmp_path: Path) -> None:
    rng = random.Random(seed)
    torch.manual_seed(seed)
    kind = ("sd1", "sd2", "sdxl")[seed % 3]
    spelling = SPELLINGS[seed % len(SPELLINGS)]
    adapter = rng.choice(("", "default", "my-style"))
    make = KINDS[seed % len(KINDS)]
    layers = chosen_layers(kind, rng, with_bias=make is biased)
    before = [copy.deepcopy(layer) for layer in layers.values()]
    held = nn.Module()
    for n, layer in enumerate(before):
        held.add_module(f"layer{n}", layer)
    config = make(rng.randrange(24))
    model = peft.inject_adapter_in_model(config, copy.deepcopy(held))
    tensors: dict[str, torch.Tensor] = {}
    for n, (part, name) in enumerate(layers):
        stem = spelled(kind, part, name, spelling)
        wrapped = model.get_submodule(f"layer{n}")
        for leaf, value in wrapped.state_dict().items():
            if leaf.startswith("base_layer."):
                continue
            leaf = leaf.replace(".default", "", 1)
            if leaf.startswith("lora_magnitude_vector"):
                leaf = "lora_magnitude_vector"
                value = value.reshape(-1, *(1,) * (before[n].weight.dim() - 1))  # type: ignore
            elif "magnitude" not in leaf:
                value.copy_(torch.randn(value.shape) * 0.1)
            tensors[f"{stem}.{renamed(leaf, spelling, adapter)}"] = value.clone().contiguous()
        alpha = getattr(config, "lora_alpha", None) or config.alpha
        tensors[f"{stem}.alpha"] = torch.tensor(float(alpha))
        wrapped.merge()
    path = tmp_path / f"{seed}.safetensors"
    save_file(tensors, path)
    found = match(read_lora(path), target(kind))
    assert found.placed == len(layers)
    assert found.notes() == ()
    adder = Adder(found.file.header, 1.0)
    for n, (part, name) in enumerate(layers):
        change = found.layers[part][canonical(name)]
        wanted = model.get_submodule(f"layer{n}").base_layer
        got = adder.weight(change, before[n].weight.detach().numpy())  # type: ignore[operator]
        np.testing.assert_allclose(got, wanted.weight.detach().numpy(), atol=2e-6)
        assert not np.array_equal(got, before[n].weight.detach().numpy())  # type: ignore
        if wanted.bias is not None:
            bias = adder.bias(change, before[n].bias.detach().numpy())  # type: ignore[operator]
            np.testing.assert_allclose(bias, wanted.bias.detach().numpy(), atol=2e-6)


def one(tmp_path: Path, tensors: dict[str, torch.Tensor], stem: str = "") -> tuple[Any, Any]:
    """The only change of a file, and what adds it at weight ½."""
    stem = stem or "lora_unet_conv_in"
    save_file(
        {f"{stem}.{name}": value for name, value in tensors.items()}, tmp_path / "a.safetensors"
    )
    found = match(read_lora(tmp_path / "a.safetensors"), target("sd1"))
    ((change,),) = [list(part.values()) for part in found.layers.values()]
    return change, Adder(found.file.header, 0.5)


def test_a_convolution_with_a_core_tensor(tmp_path: Path) -> None:
    """LoCon's ``lora_mid`` is a convolution between the two: what it computes is what counts."""
    weight = pipeline("sd1").unet.conv_in.weight.detach()
    down, mid, up = torch.randn(3, 4, 1, 1), torch.randn(3, 3, 3, 3), torch.randn(32, 3, 1, 1)
    tensors = {"lora_down.weight": down, "lora_mid.weight": mid, "lora_up.weight": up}
    change, adder = one(tmp_path, {**tensors, "alpha": torch.tensor(6.0)})
    x = torch.randn(1, 4, 8, 8)
    conv = nn.functional.conv2d
    through = conv(conv(conv(x, down), mid, padding=1), up)
    got = torch.from_numpy(adder.weight(change, weight.numpy())) - weight
    assert torch.allclose(conv(x, got, padding=1), 0.5 * 2.0 * through, atol=1e-4)


def test_full_differences(tmp_path: Path) -> None:
    weight = pipeline("sd1").unet.conv_in.weight.detach()
    bias = pipeline("sd1").unet.conv_in.bias.detach()
    diff, diff_b = torch.randn(weight.shape), torch.randn(bias.shape)
    change, adder = one(tmp_path, {"diff": diff, "diff_b": diff_b})
    assert np.allclose(adder.weight(change, weight.numpy()), weight + 0.5 * diff, atol=1e-6)
    assert np.allclose(adder.bias(change, bias.numpy()), bias + 0.5 * diff_b, atol=1e-6)


def test_half_a_dora_is_half_way(tmp_path: Path) -> None:
    """And of the older kind, whose lengths are those of input channels."""
    weight = pipeline("sd1").unet.conv_in.weight.detach()
    lengths = torch.rand(1, 4, 1, 1) + 0.5
    tensors = {
        "lora_down.weight": torch.randn(2, 4, 3, 3),
        "lora_up.weight": torch.randn(32, 2, 1, 1),
    }
    change, adder = one(tmp_path, {**tensors, "dora_scale": lengths})
    got = torch.from_numpy(adder.weight(change, weight.numpy()))
    whole = weight + 2 * (got - weight)
    norms = whole.transpose(0, 1).reshape(4, -1).norm(dim=1)
    assert torch.allclose(norms, lengths.reshape(-1), atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64,
                                   torch.float8_e4m3fn, torch.float8_e5m2])  # fmt: skip
def test_numbers_of_every_type(dtype: torch.dtype, tmp_path: Path) -> None:
    value = torch.tensor([0.0, -0.0, 1.0, -1.5, 0.0625, 240.0, 2.0**-9, 1e-3]).to(dtype)
    save_file({"a": value}, tmp_path / "a.safetensors")
    from gui.library.safetensors_header import read_header

    got = read_header(tmp_path / "a.safetensors").array("a")
    assert got.dtype == np.float32
    assert np.array_equal(got, value.float().numpy())
    assert np.array_equal(np.signbit(got), np.signbit(value.float().numpy()))


def test_every_eight_bit_float() -> None:
    from gui.library.safetensors_header import _eight_bits

    codes = torch.arange(256, dtype=torch.uint8)
    for dtype, form in ((torch.float8_e4m3fn, (3, 7)), (torch.float8_e5m2, (2, 15))):
        np.testing.assert_array_equal(_eight_bits(*form), codes.view(dtype).float().numpy())


def refused(path: Path) -> SfumatoError:
    with pytest.raises(SfumatoError) as error:
        match(read_lora(path), target("sd1"))
    refusal(error)
    return error.value


def test_a_header_of_a_million_keys_is_not_read(tmp_path: Path) -> None:
    """Nor is memory spent on it."""
    entry = json.dumps({"dtype": "F32", "shape": [0], "data_offsets": [0, 0]})
    names = (f"lora_unet_{n}.lora_down.weight" for n in range(1_000_000))
    text = "{" + ",".join(f'"{name}":{entry}' for name in names) + "}"
    data = text.encode()
    path = tmp_path / "a.safetensors"
    path.write_bytes(len(data).to_bytes(8, "little") + data)
    error = refused(path)
    assert error.kind is ErrorKind.UNSUPPORTED
    assert "more tensors than can be of use" in error.message


def test_parts_that_are_missing_or_do_not_fit(tmp_path: Path) -> None:
    stem = "lora_unet_conv_in"
    for tensors in (
        {"hada_w1_a": (32, 2), "hada_w1_b": (2, 36)},
        {"hada_w1_a": (32, 2), "hada_w1_b": (2, 36), "hada_w2_a": (32, 3), "hada_w2_b": (2, 36)},
        {"lokr_w1": (4, 4)},
        {"lokr_w1": (4,), "lokr_w2": (8, 1, 3, 3)},
        {"lora_down.weight": (2, 4, 3, 3), "lora_mid.weight": (2, 2, 3, 3)},
    ):
        values = {f"{stem}.{name}": torch.zeros(shape) for name, shape in tensors.items()}
        save_file(values, tmp_path / "a.safetensors")
        assert "is damaged" in refused(tmp_path / "a.safetensors").message
    for tensors in ({"lokr_w1": (4, 4), "lokr_w2": (8, 2, 3, 3)}, {"diff": (32, 5, 3, 3)}):
        values = {f"{stem}.{name}": torch.zeros(shape) for name, shape in tensors.items()}
        save_file(values, tmp_path / "a.safetensors")
        assert "another model" in refused(tmp_path / "a.safetensors").message
