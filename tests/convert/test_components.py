"""Packages have the names, tensors, shapes and types of Apple's, and agree with their source.

Shapes and types are those of Apple's converter (ml-stable-diffusion, `torch2coreml`).
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gui.convert.networks.components import (
    contract_controlnet,
    contract_text_encoder,
    residual_shapes,
)
from gui.convert.networks.picture_components import contract_safety_checker
from gui.convert.types import Compression
from gui.coreml.inspect import inspect_component
from gui.coreml.model import Attention, ComponentKind, Family
from gui.coreml.portable import PortableRuntime
from gui.request import ComputeUnit
from tests.support import tiny_checkpoints
from tests.support.converted import Converted, converted, everything, xl

FP16, FP32 = 65552, 65568
"""Core ML's codes of array types."""
TEXT = {"input_ids": (FP32, [1, 77])}
LATENTS = {"sample": (FP16, [2, 4, 8, 8]), "timestep": (FP16, [2])}


def residuals(batch: int, code: int) -> dict[str, tuple[int, list[int]]]:
    """Of the tiny UNet: first convolution, one layer and one downsampler, one layer, middle."""
    shapes = [[32, 8, 8], [32, 8, 8], [32, 4, 4], [64, 4, 4], [64, 4, 4]]
    return {f"additional_residual_{n}": (code, [batch, *s]) for n, s in enumerate(shapes)}


SD1: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "text_encoder": (
        TEXT,
        {"last_hidden_state": (FP32, [1, 77, 64]), "pooled_outputs": (FP32, [1, 64])},
    ),
    "unet": (
        {**LATENTS, "encoder_hidden_states": (FP16, [2, 64, 1, 77])},
        {"noise_pred": (FP32, [2, 4, 8, 8])},
    ),
    "control-unet": (
        {**LATENTS, "encoder_hidden_states": (FP16, [2, 64, 1, 77]), **residuals(2, FP16)},
        {"noise_pred": (FP32, [2, 4, 8, 8])},
    ),
    "ControlNet_tiny-edges": (
        {
            **LATENTS,
            "encoder_hidden_states": (FP16, [2, 64, 1, 77]),
            "controlnet_cond": (FP16, [2, 3, 64, 64]),
        },
        residuals(2, FP32),
    ),
    "vae_decoder": ({"z": (FP16, [1, 4, 8, 8])}, {"image": (FP32, [1, 3, 64, 64])}),
    "vae_encoder": ({"x": (FP16, [1, 3, 64, 64])}, {"latent": (FP32, [1, 8, 8, 8])}),
    "safety_checker": (
        {
            "clip_input": (FP16, [1, 3, 224, 224]),
            "images": (FP16, [1, 64, 64, 3]),
            "adjustment": (FP16, [1]),
        },
        {
            "filtered_images": (FP32, [1, 64, 64, 3]),
            "has_nsfw_concepts": (FP32, [1, 1, 1, 1]),
            "concept_scores": (FP32, [1, 17]),
        },
    ),
}
SDXL: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "text_encoder": (
        TEXT,
        {"hidden_embeds": (FP32, [1, 77, 64]), "pooled_outputs": (FP32, [1, 64])},
    ),
    "text_encoder_2": (
        TEXT,
        {"hidden_embeds": (FP32, [1, 77, 128]), "pooled_outputs": (FP32, [1, 48])},
    ),
    "unet": (
        {
            **LATENTS,
            "encoder_hidden_states": (FP16, [2, 192, 1, 77]),
            "time_ids": (FP16, [2, 6]),
            "text_embeds": (FP16, [2, 48]),
        },
        {"noise_pred": (FP32, [2, 4, 8, 8])},
    ),
    # beyond float16's range, so float32 throughout
    "vae_decoder": ({"z": (FP32, [1, 4, 8, 8])}, {"image": (FP32, [1, 3, 64, 64])}),
}
REFINER: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "refiner": (
        {
            "sample": (FP16, [1, 4, 8, 8]),
            "timestep": (FP16, [1]),
            "encoder_hidden_states": (FP16, [1, 128, 1, 77]),
            "time_ids": (FP16, [1, 5]),
            "text_embeds": (FP16, [1, 48]),
        },
        {"noise_pred": (FP32, [1, 4, 8, 8])},
    ),
}


@pytest.fixture(scope="module")
def sd1() -> Converted:
    """Everything a Stable Diffusion 1 model can have."""
    return everything()


@pytest.fixture(scope="module")
def sdxl() -> Converted:
    return xl()


@pytest.fixture(scope="module")
def refiner() -> Converted:
    return converted("refiner", "sdxl-refiner", unet_batch=1, components=(ComponentKind.REFINER,))


def package(model: Converted, suffix: str) -> Path:
    prefix = "" if suffix.startswith("ControlNet") else "Stable_Diffusion_version_acme_tiny_"
    return model.folder / f"{prefix}{suffix}.mlpackage"


def described(features: Any) -> dict[str, tuple[int, list[int]]]:
    return {
        f.name: (f.type.multiArrayType.dataType, list(f.type.multiArrayType.shape))
        for f in features
    }


def assert_contract(path: Path, expected: tuple[dict[str, Any], dict[str, Any]]) -> None:
    """Read by coremltools, not by us."""
    import coremltools as ct

    spec: Any = ct.utils.load_spec(str(path))
    assert described(spec.description.input) == expected[0]
    assert described(spec.description.output) == expected[1]
    assert spec.specificationVersion == 7  # macOS 13


@pytest.mark.parametrize("suffix", SD1)
def test_a_stable_diffusion_1_model(sd1: Converted, suffix: str) -> None:
    assert_contract(package(sd1, suffix), SD1[suffix])


@pytest.mark.parametrize("suffix", SDXL)
def test_an_xl_model(sdxl: Converted, suffix: str) -> None:
    assert_contract(package(sdxl, suffix), SDXL[suffix])


def test_a_refiner_of_batch_one(refiner: Converted) -> None:
    assert_contract(package(refiner, "refiner"), REFINER["refiner"])


def test_nothing_else_is_written(sd1: Converted) -> None:
    files = {p.name for p in sd1.folder.iterdir()}
    expected = {package(sd1, suffix).name for suffix in SD1}
    assert files == expected | {"sfumato.json", "conversion.json"}


@pytest.mark.parametrize("model", ["sd1", "sdxl", "refiner"])
def test_float16_packages_agree_with_their_source(
    model: str, request: pytest.FixtureRequest
) -> None:
    """At timestep 981, where a sinusoid in float16 would cost 10 dB, as at the others."""
    done: Converted = request.getfixturevalue(model)
    assert len(done.report.parities) == len(list(done.folder.glob("*.mlpackage")))
    for name, decibels in done.psnr().items():
        assert decibels >= (100 if done.kind == "sdxl" and "vae" in name else 60), name
    assert not done.report.warnings


def test_sinusoids_are_computed_in_float32(sd1: Converted) -> None:
    import coremltools as ct

    spec: Any = ct.utils.load_spec(str(package(sd1, "unet")))
    (block,) = spec.mlProgram.functions["main"].block_specializations.values()
    kinds = [
        op.outputs[0].type.tensorType.dataType
        for op in block.operations
        if op.type in ("sin", "cos")
    ]
    float32 = 11  # MILSpec.DataType
    assert kinds == [float32, float32]


def test_text_is_sound_in_float16(sd1: Converted) -> None:
    """A causal mask of minus infinity would come out as not-a-number where float16 is real."""
    network = tiny_checkpoints.pipeline("sd1-safety").text_encoder
    ids = torch.tensor([[49406, 320, 1125, 49407, *[49407] * 73]])
    with torch.no_grad():
        expected = network(ids).last_hidden_state.numpy()
    component = inspect_component(package(sd1, "text_encoder"))
    model = PortableRuntime("emulate_fp16").load(component, ComputeUnit.CPU_ONLY)
    result = model({"input_ids": ids.numpy().astype(np.float32)})["last_hidden_state"]
    assert np.abs(result - expected).max() < 0.02 * np.abs(expected).max()


def test_metadata_credit_the_source_and_hold_no_path(sd1: Converted) -> None:
    for path in sd1.folder.glob("*.mlpackage"):
        metadata = inspect_component(path).metadata
        assert metadata["versionString"] == "acme/tiny"
        assert metadata["author"] == "acme"
        assert metadata["shortDescription"]
        text = (path / "Data/com.apple.CoreML/model.mlmodel").read_bytes()
        assert str(sd1.folder.parent).encode() not in text
        assert str(Path.home()).encode() not in text


def test_inputs_and_outputs_are_described(sd1: Converted) -> None:
    import coremltools as ct

    spec: Any = ct.utils.load_spec(str(package(sd1, "unet")))
    for feature in (*spec.description.input, *spec.description.output):
        assert feature.shortDescription


def test_residual_shapes_are_those_of_the_controlnet() -> None:
    control = tiny_checkpoints.controlnet("sdxl")
    with torch.no_grad():
        down, middle = control(
            torch.zeros(1, 4, 12, 8),
            torch.zeros(1),
            torch.zeros(1, 77, 192),
            controlnet_cond=torch.zeros(1, 3, 96, 64),
            added_cond_kwargs={"time_ids": torch.zeros(1, 6), "text_embeds": torch.zeros(1, 48)},
            return_dict=False,
        )
    expected = [tuple(x.shape[1:]) for x in (*down, middle)]
    assert residual_shapes(control.config, (12, 8)) == expected


def test_a_controlnet_of_the_picture_as_a_whole_gives_what_the_unet_takes() -> None:
    """Such a one (control_v11e_sd15_shuffle) gives diffusers one value per channel."""
    control = copy.deepcopy(tiny_checkpoints.controlnet("sd1")).eval()
    control.register_to_config(global_pool_conditions=True)
    shapes = residual_shapes(control.config, (8, 8))
    contract = contract_controlnet(control, Attention.SPLIT_EINSUM, (8, 8), 1, "shuffle")
    arrays = contract.checks[0]
    with torch.no_grad():
        given = {name: torch.from_numpy(array) for name, array in arrays.items()}
        given["encoder_hidden_states"] = given["encoder_hidden_states"][:, :, 0].transpose(1, 2)
        down, middle = control(**given, return_dict=False)
        got = contract.reference(arrays)
        traced = contract.wrap()(*(torch.from_numpy(a) for a in arrays.values()))
    for want, have, written, shape in zip(
        (*down, middle), got.values(), traced, shapes, strict=True
    ):
        assert want.shape[2:] == (1, 1)
        assert have.shape == written.shape == (1, *shape)
        assert np.array_equal(have, np.broadcast_to(want.numpy(), have.shape))
        np.testing.assert_allclose(written.numpy(), have, atol=1e-4)


@pytest.mark.parametrize(
    ("limit", "special", "found"),
    [(0.9, 0.9, False), (-1.0, 0.9, True), ("just above", 0.9, False), ("just above", -1.0, True)],
)
def test_the_safety_checker_objects_as_diffusers_does(
    limit: float | str, special: float, found: bool
) -> None:
    """Also where a special concept makes the others 0.01 stricter."""
    checker = copy.deepcopy(tiny_checkpoints.pipeline("sd1-safety").safety_checker)
    clip_input = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(3))
    checker.special_care_embeds_weights.data.fill_(special)
    with torch.no_grad():
        embedding = checker.visual_projection(checker.vision_model(clip_input)[1])
        near = torch.cosine_similarity(embedding, checker.concept_embeds)
    value = float(near.max()) + 0.006 if isinstance(limit, str) else limit
    checker.concept_embeds_weights.data.fill_(value)
    images = np.random.default_rng(4).random((1, 64, 64, 3), np.float32)
    theirs = checker(clip_input, images.copy())[1]
    module = contract_safety_checker(checker, (64, 64)).wrap()
    with torch.no_grad():
        filtered, flags, _ = module(clip_input, torch.from_numpy(images), torch.zeros(1))
    assert theirs == [found]
    assert bool(flags.item()) == found
    assert np.array_equal(filtered.numpy(), np.zeros_like(images) if found else images)


def test_a_text_encoder_of_xl_gives_the_state_before_the_last_layer() -> None:
    network = tiny_checkpoints.pipeline("sdxl").text_encoder_2
    contract = contract_text_encoder(ComponentKind.TEXT_ENCODER_2, network, Family.SDXL, 0)
    ids = torch.from_numpy(contract.checks[0]["input_ids"])
    with torch.no_grad():
        states, pooled = contract.wrap()(ids)
        theirs = network(ids.long(), output_hidden_states=True)
    assert torch.equal(states, theirs.hidden_states[-2])
    assert torch.equal(pooled, theirs.text_embeds)
    assert states.shape[-1] == 128


def test_the_report_says_what_was_compared(sd1: Converted) -> None:
    unet = next(p for p in sd1.report.parities if p.component is ComponentKind.UNET)
    for words in ("noise_pred", "float32", "PyTorch", "981, 500 and 1", "batch of 2"):
        assert words in unet.compared
    assert unet.threshold == 35.0
    assert 0 < unet.max_error < 0.1
    assert sd1.report.request.compression is Compression.NONE
