"""Whole networks against the diffusers and transformers modules that they were converted from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers.models.attention_processor import Attention
from diffusers.pipelines.stable_diffusion.safety_checker import cosine_distance
from torch import Tensor, nn

from gui.coreml.portable import Compute, PortableModel, lower, read_stages
from tests.coreml_portable.support import decibels, load
from tests.support.tiny_models import TinyModel, residual_shapes, unet_examples

FP32_WEIGHTS = 110.0
"""Decibels: rounding in another order of operations, nothing else."""
FP16_WEIGHTS = 60.0

by_each_back_end = pytest.mark.usefixtures("back_end")


def package(model: TinyModel, suffix: str) -> Path:
    (path,) = model.folder.glob(f"*_{suffix}.mlpackage")
    return path


def example_inputs(
    model: TinyModel, latent: tuple[int, int], step: float, batch: int = 2
) -> dict[str, Tensor]:
    """Seeded inputs of a UNet, each exact in fp16, so that rounding them plays no part."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        examples = unet_examples(model.kind, latent, batch)
    examples["timestep"] = torch.full((batch,), step)
    return {name: tensor.half().float() for name, tensor in examples.items()}


def by_diffusers(unet: Any, inputs: dict[str, Tensor], **more: Any) -> Any:
    context = inputs["encoder_hidden_states"].squeeze(2).transpose(1, 2)
    if "time_ids" in inputs:
        names = ("time_ids", "text_embeds")
        more["added_cond_kwargs"] = {name: inputs[name] for name in names}
    with torch.no_grad():
        return unet(
            inputs["sample"],
            inputs["timestep"],
            encoder_hidden_states=context,
            return_dict=False,
            **more,
        )


def arrays(inputs: dict[str, Tensor]) -> dict[str, np.ndarray]:
    return {name: tensor.numpy() for name, tensor in inputs.items()}


def modules_of(network: nn.Module, kind: type[nn.Module]) -> int:
    return sum(isinstance(layer, kind) for layer in network.modules())


@pytest.fixture(scope="module")
def split_v2(tiny_models: Callable[..., TinyModel]) -> TinyModel:
    """SPLIT_EINSUM_V2, 1024 positions: two slices of 512 queries per head; fp32."""
    return tiny_models(
        "sd1_split_v2",
        "sd1",
        precision="fp32",
        attention="split_einsum_v2",
        latent=(32, 32),
        encoder=False,
    )


@pytest.fixture(scope="module")
def plain(tiny_models: Callable[..., TinyModel]) -> TinyModel:
    """diffusers' own attention as macOS 15's fused op, with a ControlNet and its UNet; fp32."""
    return tiny_models(
        "sd1_plain_control_macos15",
        "sd1",
        precision="fp32",
        attention="none",
        target="macOS15",
        controlnet=True,
        encoder=False,
    )


@pytest.fixture(scope="module")
def chunked(tiny_models: Callable[..., TinyModel]) -> TinyModel:
    """The UNet as two chunks, for one picture at a time; fp32."""
    return tiny_models("sd1_b1_chunked", "sd1", unet_batch=1, chunked=True, precision="fp32")


@by_each_back_end
@pytest.mark.parametrize("kind", ["tiny_sd1", "tiny_sd2v", "tiny_sdxl"])
@pytest.mark.parametrize("step", [1.0, 981.0])
def test_unet_in_original_layout(kind: str, step: float, request: Any) -> None:
    model: TinyModel = request.getfixturevalue(kind)
    network = load(package(model, "unet"))
    height, width = network.inputs["sample"].shape[2:]
    assert height and width
    inputs = example_inputs(model, (height, width), step)
    got = network(arrays(inputs))["noise_pred"]
    want = by_diffusers(model.pipe.unet, inputs)[0].numpy()
    assert decibels(got, want) >= FP32_WEIGHTS
    assert network.rewrites == {
        "group_norm": modules_of(model.pipe.unet, nn.GroupNorm),
        "attention": modules_of(model.pipe.unet, Attention),
    }


def test_weights_packed_beside_reading(
    tiny_sd1: TinyModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lower, "_LARGE_WEIGHT", 1)
    network = load(package(tiny_sd1, "unet"))
    height, width = network.inputs["sample"].shape[2:]
    assert height and width
    inputs = example_inputs(tiny_sd1, (height, width), 21.0)
    want = by_diffusers(tiny_sd1.pipe.unet, inputs)[0].numpy()
    assert decibels(network(arrays(inputs))["noise_pred"], want) >= FP32_WEIGHTS


@by_each_back_end
@pytest.mark.parametrize("step", [1.0, 981.0])
def test_fp16_unet_in_split_einsum_layout(step: float, tiny_sd1_fp16: TinyModel) -> None:
    network = load(package(tiny_sd1_fp16, "unet"))
    inputs = example_inputs(tiny_sd1_fp16, (8, 8), step)
    got = network(arrays(inputs))["noise_pred"]
    want = by_diffusers(tiny_sd1_fp16.pipe.unet, inputs)[0].numpy()
    # At large timesteps fp16 storage of the sinusoid's frequencies costs a few decibels
    assert decibels(got, want) >= (FP16_WEIGHTS if step < 500 else FP16_WEIGHTS - 5)
    assert network.rewrites == {
        "group_norm": modules_of(tiny_sd1_fp16.pipe.unet, nn.GroupNorm),
        "split_einsum": modules_of(tiny_sd1_fp16.pipe.unet, Attention),
    }


@by_each_back_end
def test_unet_with_fused_attention_op(plain: TinyModel) -> None:
    network = load(package(plain, "unet"))
    inputs = example_inputs(plain, (8, 8), 21.0)
    got = network(arrays(inputs))["noise_pred"]
    want = by_diffusers(plain.pipe.unet, inputs)[0].numpy()
    assert decibels(got, want) >= FP32_WEIGHTS
    assert network.rewrites == {"group_norm": modules_of(plain.pipe.unet, nn.GroupNorm)}


@by_each_back_end
def test_unet_in_split_einsum_v2_layout(split_v2: TinyModel) -> None:
    network = load(package(split_v2, "unet"))
    inputs = example_inputs(split_v2, (32, 32), 401.0)
    got = network(arrays(inputs))["noise_pred"]
    want = by_diffusers(split_v2.pipe.unet, inputs)[0].numpy()
    assert decibels(got, want) >= FP32_WEIGHTS
    assert network.rewrites["split_einsum"] == modules_of(split_v2.pipe.unet, Attention)


@by_each_back_end
def test_controlnet_and_its_unet(plain: TinyModel) -> None:
    inputs = example_inputs(plain, (8, 8), 401.0)
    condition = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    controlnet = load(plain.folder / "ControlNet_tiny_edges.mlpackage")
    residuals = controlnet({**arrays(inputs), "controlnet_cond": condition.numpy()})
    down, middle = by_diffusers(plain.controlnet, inputs, controlnet_cond=condition)
    names = [f"additional_residual_{n}" for n in range(len(down) + 1)]
    assert list(residuals) == names
    for name, want in zip(names, (*down, middle), strict=True):
        assert decibels(residuals[name], want.numpy()) >= FP32_WEIGHTS

    unet = load(package(plain, "control-unet"))
    assert [residuals[name].shape for name in names] == residual_shapes((8, 8), 2)
    got = unet({**arrays(inputs), **residuals})["noise_pred"]
    want = by_diffusers(
        plain.pipe.unet,
        inputs,
        down_block_additional_residuals=down,
        mid_block_additional_residual=middle,
    )[0]
    assert decibels(got, want.numpy()) >= FP32_WEIGHTS


@by_each_back_end
def test_chunks_run_as_the_whole_unet(chunked: TinyModel) -> None:
    stages = [
        stage
        for part in ("unet_chunk1", "unet_chunk2")
        for stage in read_stages(package(chunked, part))
    ]
    network = PortableModel(stages)
    assert list(network.inputs) == ["sample", "timestep", "encoder_hidden_states"]
    assert list(network.outputs) == ["noise_pred"]
    inputs = example_inputs(chunked, (8, 8), 401.0, batch=1)
    want = by_diffusers(chunked.pipe.unet, inputs)[0].numpy()
    assert decibels(network(arrays(inputs))["noise_pred"], want) >= FP32_WEIGHTS


@by_each_back_end
@pytest.mark.parametrize("kind", ["tiny_sd1", "tiny_sd2v"])
def test_text_encoder(kind: str, request: Any) -> None:
    model: TinyModel = request.getfixturevalue(kind)
    ids = model.pipe.tokenizer(
        "a red fox, asleep", padding="max_length", max_length=77, return_tensors="pt"
    ).input_ids
    got = load(package(model, "text_encoder"))({"input_ids": ids.numpy()})
    with torch.no_grad():
        want = model.pipe.text_encoder(ids)
    assert decibels(got["last_hidden_state"], want.last_hidden_state.numpy()) >= FP32_WEIGHTS
    assert decibels(got["pooled_outputs"], want.pooler_output.numpy()) >= FP32_WEIGHTS


@by_each_back_end
def test_both_text_encoders_of_sdxl(tiny_sdxl: TinyModel) -> None:
    for suffix, encoder, pad in (
        ("text_encoder", tiny_sdxl.pipe.text_encoder, 49407),
        ("text_encoder_2", tiny_sdxl.pipe.text_encoder_2, 0),
    ):
        ids = torch.full((1, 77), pad)
        ids[0, :4] = torch.tensor([49406, 736, 3240, 49407])
        got = load(package(tiny_sdxl, suffix))({"input_ids": ids.numpy()})
        with torch.no_grad():
            want = encoder(ids, output_hidden_states=True)
        assert decibels(got["hidden_embeds"], want.hidden_states[-2].numpy()) >= FP32_WEIGHTS
    assert decibels(got["pooled_outputs"], want.text_embeds.numpy()) >= FP32_WEIGHTS


@by_each_back_end
@pytest.mark.parametrize(
    ("kind", "least"), [("tiny_sd2v", FP32_WEIGHTS), ("tiny_sd1_fp16", FP16_WEIGHTS)]
)
def test_autoencoder(kind: str, least: float, request: Any) -> None:
    model: TinyModel = request.getfixturevalue(kind)
    vae, generator = model.pipe.vae, torch.Generator().manual_seed(2)
    decoder, encoder = (load(package(model, f"vae_{side}")) for side in ("decoder", "encoder"))
    shape = [n or 0 for n in decoder.inputs["z"].shape]
    z = torch.randn(shape, generator=generator).half().float()
    x = (
        2 * torch.rand([n or 0 for n in encoder.inputs["x"].shape], generator=generator) - 1
    ).half()
    with torch.no_grad():
        image = vae.decode(z).sample.numpy()
        moments = vae.encode(x.float()).latent_dist.parameters.numpy()
    assert decibels(decoder({"z": z.numpy()})["image"], image) >= least
    assert decibels(encoder({"x": x.numpy()})["latent"], moments) >= least
    for network, reference in ((decoder, vae.decoder), (encoder, vae.encoder)):
        assert network.rewrites == {
            "group_norm": modules_of(reference, nn.GroupNorm),
            "attention": modules_of(reference, Attention),
        }


@by_each_back_end
def test_safety_checker(tiny_sd1: TinyModel) -> None:
    checker, generator = tiny_sd1.pipe.safety_checker, torch.Generator().manual_seed(3)
    network = load(package(tiny_sd1, "safety_checker"))
    clip_input = torch.randn(1, 3, 224, 224, generator=generator)
    images = torch.rand([n or 0 for n in network.inputs["images"].shape], generator=generator)
    for adjustment in (0.0, 2.0):  # the second puts every special concept over its limit
        got = network(
            {
                "clip_input": clip_input.numpy(),
                "images": images.numpy(),
                "adjustment": np.array([adjustment], np.float32),
            }
        )
        with torch.no_grad():
            embeds = checker.visual_projection(checker.vision_model(clip_input)[1])
            scores = cosine_distance(embeds, checker.concept_embeds)
        want = scores - checker.concept_embeds_weights + (0.01 if adjustment else 0.0)
        assert decibels(got["concept_scores"], want.detach().numpy()) >= FP32_WEIGHTS
        assert got["has_nsfw_concepts"].reshape(-1).tolist() == [0.0]
        assert np.array_equal(got["filtered_images"], images.numpy())


@by_each_back_end
@pytest.mark.parametrize("compute", ["bf16", "emulate_fp16"])
def test_other_ways_of_computing_stay_close(compute: str, tiny_sd1_fp16: TinyModel) -> None:
    stages = read_stages(package(tiny_sd1_fp16, "unet"))
    network = PortableModel(stages, Compute(compute))
    inputs = example_inputs(tiny_sd1_fp16, (8, 8), 21.0)
    want = by_diffusers(tiny_sd1_fp16.pipe.unet, inputs)[0].numpy()
    exact = load(package(tiny_sd1_fp16, "unet"))(arrays(inputs))["noise_pred"]
    got = network(arrays(inputs))["noise_pred"]
    assert decibels(got, want) >= {"bf16": 40.0, "emulate_fp16": 50.0}[compute]
    assert decibels(got, want) < decibels(exact, want), "nothing was rounded"


def test_emulation_shows_an_overflow_that_fp32_hides(tmp_path: Path) -> None:
    from tests.support.mil_programs import save_program

    path = save_program(
        tmp_path / "big.mlpackage",
        lambda mb, x: mb.mul(x=mb.mul(x=x, y=np.float32(300.0)), y=np.float32(0.5)),
        {"x": (4,)},
        precision="fp16",
        passes=True,
    )
    x = {"x": np.full(4, 300.0, np.float32)}
    (hidden,) = load(path)(x).values()
    (shown,) = PortableModel(read_stages(path), Compute.EMULATE_FP16)(x).values()
    assert np.allclose(hidden, 45000.0)
    assert np.isinf(shown).all()
