"""Compressed weights: how many values they have, how far they are from the originals, what is left
alone."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gui.convert.package.compress import (
    LARGE,
    SMALL,
    compress,
    compression_of,
    mixed_bits,
    palette_snr,
)
from gui.convert.types import Compression
from gui.coreml.inspect import inspect_component
from gui.coreml.model import ComponentKind
from tests.support.converted import Converted, chunks
from tests.support.tiny_networks import _library

K = ComponentKind
C = Compression

MAX_QUANTISER = {1: 4.40, 2: 9.30, 4: 20.22}
"""Signal-to-noise ratio in decibels of the best scalar quantisers for a normal distribution:
J. Max, "Quantizing for minimum distortion", 1960, table I."""


def normal(*shape: int, seed: int = 5) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32) * 0.05


WEIGHT, SMALL_WEIGHT, WORDS = normal(128, 96, 1, 1), normal(16, 128, 1, 1), normal(200, 96, seed=6)


@cache
def program() -> Any:
    """Words looked up in a table, then a large and a small convolution."""
    ct = _library("coremltools")
    mb = _library("coremltools.converters.mil").Builder

    @mb.program(
        input_specs=[mb.TensorSpec(shape=(8,), dtype=ct.converters.mil.mil.types.int32)],
        opset_version=ct.target.iOS16,
    )
    def build(ids: Any) -> Any:
        words = mb.gather(x=WORDS, indices=ids, axis=0)
        x = mb.reshape(x=words, shape=[8, 96, 1, 1])
        x = mb.conv(x=x, weight=WEIGHT)
        return mb.conv(x=x, weight=SMALL_WEIGHT, name="result")

    return ct.convert(
        build, minimum_deployment_target=ct.target.macOS13, skip_model_load=True,
        compute_precision=ct.precision.FLOAT16,
    )  # fmt: skip


def stored(model: Any) -> dict[tuple[int, ...], np.ndarray]:
    """The weights as coremltools unpacks them, by shape."""
    import coremltools.optimize.coreml as cto

    unpacked: Any = cto.decompress_weights(model)
    found = cto.get_weights_metadata(unpacked, weight_threshold=1000)
    return {tuple(w.val.shape): np.asarray(w.val, np.float32) for w in found.values()}


def snr(original: np.ndarray, changed: np.ndarray) -> float:
    noise = ((original - changed) ** 2).mean()
    return 10 * np.log10((original**2).mean() / noise)


@pytest.mark.parametrize("bits", [1, 2, 4, 6, 8])
def test_palettes_are_as_good_as_can_be(bits: int) -> None:
    weights = stored(compress(program(), C(f"palette-{bits}")))
    changed = weights[WEIGHT.shape]
    assert len(np.unique(changed)) <= 2**bits
    best = MAX_QUANTISER.get(bits, {6: 31.5, 8: 42.0}.get(bits, 0.0))
    assert snr(WEIGHT, changed) > best - 0.2


def test_integers_of_eight_bits() -> None:
    weights = stored(compress(program(), C.LINEAR_8))
    for row, original in zip(weights[WEIGHT.shape], WEIGHT, strict=True):
        assert len(np.unique(row)) <= 256
        # within half a step of 255 steps over the channel's range
        step = 2 * np.abs(original).max() / 255
        assert np.abs(row - original).max() <= 0.6 * step  # float16 scale and values


@pytest.mark.parametrize("form", [C.PALETTE_4, C.LINEAR_8, C.PALETTE_MIXED])
def test_words_and_small_weights_stay_as_they_are(form: Compression) -> None:
    weights = stored(compress(program(), form))
    for original in (WORDS, SMALL_WEIGHT):
        assert np.array_equal(weights[original.shape], original.astype(np.float16))


def test_nothing_asked_nothing_done() -> None:
    assert compress(program(), C.NONE) is program()


@pytest.mark.parametrize(
    ("kind", "asked", "stored_as"),
    [
        (K.UNET, C.PALETTE_4, C.PALETTE_4),
        (K.REFINER, C.PALETTE_MIXED, C.PALETTE_MIXED),
        (K.CONTROL_UNET, C.PALETTE_1, C.PALETTE_1),
        (K.TEXT_ENCODER, C.PALETTE_2, C.PALETTE_8),
        (K.TEXT_ENCODER_2, C.PALETTE_8, C.PALETTE_8),
        (K.TEXT_ENCODER, C.LINEAR_8, C.LINEAR_8),
        (K.CONTROLNET, C.PALETTE_MIXED, C.PALETTE_8),
        (K.TEXT_ENCODER, C.NONE, C.NONE),
        (K.VAE_DECODER, C.PALETTE_4, C.NONE),
        (K.VAE_ENCODER, C.LINEAR_8, C.NONE),
        (K.SAFETY_CHECKER, C.PALETTE_8, C.NONE),
    ],
)
def test_what_is_compressed_how(kind: K, asked: Compression, stored_as: Compression) -> None:
    assert compression_of(kind, asked) is stored_as


@pytest.mark.parametrize(
    ("kind", "stored_as"),
    [
        (K.UNET, Compression.PALETTE_4),
        (K.REFINER, Compression.PALETTE_4),
        (K.CONTROL_UNET, Compression.PALETTE_4),
        (K.TEXT_ENCODER, Compression.PALETTE_4),
        (K.TEXT_ENCODER_2, Compression.PALETTE_4),
        (K.VAE_DECODER, Compression.NONE),
        (K.SAFETY_CHECKER, Compression.NONE),
    ],
)
def test_evenly_means_every_network_that_apple_palettizes(
    kind: ComponentKind, stored_as: Compression
) -> None:
    """`quantize_weights` of Apple's torch2coreml: text encoders and every UNet."""
    assert compression_of(kind, Compression.PALETTE_4, evenly=True) is stored_as


def test_the_recipe_of_mixed_palettes() -> None:
    plain = normal(400, 300)
    assert plain.size >= SMALL
    assert mixed_bits("network_conv_out_weight_to_fp16", plain) == 8
    assert mixed_bits("network_time_embedding_linear_2_layer_weight_to_fp16", plain) == 8
    assert mixed_bits("network_down_blocks_1_resnets_0_time_emb_proj_layer_weight", plain) == 8
    assert mixed_bits("network_mid_block_attentions_0_blocks_0_attn1_to_q_weight", plain) == 4
    assert mixed_bits("network_mid_block_attentions_0_blocks_0_ff_proj_in_weight", plain) == 4
    assert mixed_bits("network_mid_block_attentions_0_blocks_0_attn1_to_v_weight", plain) == 6
    assert mixed_bits("network_mid_block_attentions_0_blocks_0_attn1_to_q_weight", plain[:9]) == 8
    assert mixed_bits("network_up_blocks_1_resnets_0_conv1_weight", normal(LARGE + 1)) == 4


def test_weights_with_far_outliers_get_more_bits() -> None:
    """Student's t distribution with four degrees of freedom has heavy tails."""
    spiky = np.random.default_rng(7).standard_t(4, (400, 300)).astype(np.float32)
    name = "network_mid_block_attentions_0_blocks_0_attn1_to_q_weight"
    assert palette_snr(spiky, 4) < palette_snr(normal(400, 300), 4) - 2
    assert mixed_bits(name, spiky) > mixed_bits(name, normal(400, 300))


@pytest.mark.parametrize("bits", MAX_QUANTISER)
def test_the_quick_estimate_of_a_palette(bits: int) -> None:
    assert palette_snr(normal(1000, 300), bits) == pytest.approx(MAX_QUANTISER[bits], abs=0.5)


def test_the_recipe_knows_the_names_in_a_package() -> None:
    """The layers it speaks of are found in a converted network under these names."""
    import coremltools as ct

    unet = _whole_unet()
    spec: Any = ct.utils.load_spec(str(unet))
    (block,) = spec.mlProgram.functions["main"].block_specializations.values()
    names = " ".join(o.name for op in block.operations for o in op.outputs)
    for part in ("attn1_to_q_weight", "attn2_to_k_weight", "ff_proj_in_weight", "conv_in_weight",
                 "conv_out_weight", "time_embedding_linear_1", "time_emb_proj"):  # fmt: skip
        assert part in names


def _whole_unet() -> Path:
    from tests.support.converted import everything

    return next(everything().folder.glob("*_tiny_unet.mlpackage"))


@pytest.fixture(scope="module")
def halves() -> Converted:
    return chunks()


def test_chunks_are_compressed_too(halves: Converted) -> None:
    packages = sorted(halves.folder.glob("*.mlpackage"))
    assert [p.name.rpartition("_unet_")[2] for p in packages] == [
        "chunk1.mlpackage",
        "chunk2.mlpackage",
    ]
    for package in packages:
        assert inspect_component(package).compression == "6-bit palette"
