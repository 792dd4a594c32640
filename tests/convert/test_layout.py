"""The rewritten layout computes what diffusers' own layers compute."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch.nn import functional

from gui.convert.networks.attention import QUERY_SLICE, attend
from gui.convert.networks.layout import use_core_ml_layout
from gui.coreml.model import Attention
from gui.errors import ErrorKind, SfumatoError
from tests.support import tiny_checkpoints
from tests.support.tiny_networks import _library

KINDS = [Attention.ORIGINAL, Attention.SPLIT_EINSUM, Attention.SPLIT_EINSUM_V2]
LATENT = (24, 24)
"""576 positions: one whole slice of queries and a shorter one."""


@pytest.fixture(autouse=True)
def _one_thread() -> Any:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def random(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("queries", [77, QUERY_SLICE, QUERY_SLICE + 1, 48 * 48])
def test_attention_loses_no_query(kind: Attention, queries: int) -> None:
    """Beside torch's own attention, at lengths that are no multiple of a slice."""
    heads, width = 3, 8
    q, k, v = (random(2, heads * width, 1, n, seed=n + i) for i, n in enumerate((queries, 77, 77)))

    def split(x: torch.Tensor) -> torch.Tensor:
        return x.reshape(2, heads, width, -1).transpose(2, 3)

    expected = functional.scaled_dot_product_attention(split(q), split(k), split(v))
    expected = expected.transpose(2, 3).reshape(2, heads * width, 1, queries)
    result = attend(kind)(q * width**-0.5, k, v, heads)
    assert result.shape == expected.shape
    torch.testing.assert_close(result, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_scores_stay_within_float16(kind: Attention) -> None:
    """Queries and keys whose product is beyond 65,504 and whose scaled product is not."""
    heads_width = 64
    q = torch.full((1, 64, 1, 4), 40.0).half()
    k = torch.full((1, 64, 1, 4), 40.0).half()
    assert not torch.isfinite((q.float() * k.float()).sum(1).half()).all()
    result = attend(kind)(q * heads_width**-0.5, k, random(1, 64, 1, 4).half(), 1)
    assert torch.isfinite(result).all()


def test_an_unknown_form_of_attention_is_refused() -> None:
    with pytest.raises(SfumatoError, match="split_einsum") as caught:
        attend(Attention.UNKNOWN)
    assert caught.value.kind is ErrorKind.BAD_REQUEST


def denoiser_inputs(network: Any, batch: int = 2) -> dict[str, Any]:
    config = network.config
    inputs: dict[str, Any] = {
        "sample": random(batch, config.in_channels, *LATENT),
        "timestep": torch.full((batch,), 981.0),
        "encoder_hidden_states": random(batch, 77, config.cross_attention_dim, seed=2),
    }
    if config.addition_embed_type == "text_time":
        ids = 5 if network.config.projection_class_embeddings_input_dim == 48 + 5 * 32 else 6
        inputs["added_cond_kwargs"] = {
            "time_ids": torch.full((batch, ids), 1024.0),
            "text_embeds": random(batch, 48, seed=3),
        }
    return inputs


def in_new_layout(inputs: dict[str, Any]) -> dict[str, Any]:
    states = inputs["encoder_hidden_states"].transpose(1, 2)[:, :, None]
    return {**inputs, "encoder_hidden_states": states}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("family", ["sd1", "sd2", "sdxl", "sdxl-refiner"])
def test_a_rewritten_unet_predicts_the_same(family: str, kind: Attention) -> None:
    unet = copy.deepcopy(tiny_checkpoints.pipeline(family).unet)
    inputs = denoiser_inputs(unet)
    with torch.no_grad():
        expected = unet(**inputs, return_dict=False)[0]
        use_core_ml_layout(unet, kind)
        result = unet(**in_new_layout(inputs), return_dict=False)[0]
    assert expected.std() > 0.1
    assert (result - expected).abs().max() < 1e-4 * expected.abs().max()


@pytest.mark.parametrize("kind", KINDS)
def test_a_rewritten_controlnet_gives_the_same_residuals(kind: Attention) -> None:
    control = copy.deepcopy(tiny_checkpoints.controlnet("sd1"))
    inputs = denoiser_inputs(control)
    inputs["controlnet_cond"] = torch.rand(2, 3, 8 * LATENT[0], 8 * LATENT[1])
    with torch.no_grad():
        down, middle = control(**inputs, return_dict=False)
        use_core_ml_layout(control, kind)
        new_down, new_middle = control(**in_new_layout(inputs), return_dict=False)
    assert len(down) == len(new_down)
    for old, new in zip((*down, middle), (*new_down, new_middle), strict=True):
        assert old.abs().max() > 0
        assert (new - old).abs().max() < 1e-4 * old.abs().max()


def test_norm_weights_of_zero_are_no_trap() -> None:
    """Apple's form of layer norm divides by the weight."""
    unet = copy.deepcopy(tiny_checkpoints.pipeline("sd1").unet)
    norms = [m for m in unet.modules() if isinstance(m, torch.nn.LayerNorm)]
    assert norms
    for norm in norms:
        norm.weight.data[::3] = 0.0
        norm.weight.data[1::3] = -1e-30
    inputs = denoiser_inputs(unet)
    with torch.no_grad():
        expected = unet(**inputs, return_dict=False)[0]
        use_core_ml_layout(unet, Attention.SPLIT_EINSUM)
        result = unet(**in_new_layout(inputs), return_dict=False)[0]
    assert torch.isfinite(result).all()
    assert (result - expected).abs().max() < 1e-4 * expected.abs().max()


def test_weights_are_not_held_twice() -> None:
    """Rewriting a network of billions of weights must not take their memory again."""
    unet = copy.deepcopy(tiny_checkpoints.pipeline("sdxl").unet)
    before = {p.untyped_storage().data_ptr(): p.numel() for p in unet.parameters()}
    use_core_ml_layout(unet, Attention.ORIGINAL)
    after = {p.untyped_storage().data_ptr(): p.numel() for p in unet.parameters()}
    # the queries' scaled weights and the norms' quotients come in place of others
    assert sum(after.values()) <= 1.01 * sum(before.values())
    kept = sum(n for place, n in after.items() if place in before)
    assert kept > 0.85 * sum(before.values())


def test_layers_that_cannot_be_rewritten_are_refused() -> None:
    """A UNet with attention outside of spatial transformers is of another family."""
    unet = _library("diffusers").UNet2DConditionModel(
        block_out_channels=(32, 64),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "SimpleCrossAttnDownBlock2D"),
        mid_block_type="UNetMidBlock2DSimpleCrossAttn",
        up_block_types=("SimpleCrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=32,
        norm_num_groups=8,
    )
    with pytest.raises(SfumatoError, match="cannot be converted") as caught:
        use_core_ml_layout(unet, Attention.ORIGINAL)
    assert caught.value.kind is ErrorKind.UNSUPPORTED
