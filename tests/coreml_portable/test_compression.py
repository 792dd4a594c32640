"""Decompression to the bit: each storage form against coremltools' own."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gui.coreml.portable.blobs import WeightFileError, unpack_bits
from tests.coreml_portable.support import decibels, load
from tests.support.mil_programs import coremltools, dense_value, save_program

_random = np.random.default_rng(11)
SHAPE = (8, 12)


def _sub_byte(values: np.ndarray, name: str) -> np.ndarray:
    """An array that coremltools knows to be of a type smaller than a byte."""
    coremltools()
    from coremltools.converters.mil.mil import types

    plain = {"int8": np.int8, "uint8": np.uint8}
    return values.astype(plain[name] if name in plain else getattr(types, f"np_{name}_dtype"))


def _packed(indices: np.ndarray, bits: int) -> np.ndarray:
    """Least significant bit first, as the older forms store indices."""
    flat = indices.reshape(-1, 1).astype(np.uint8)
    return np.packbits((flat >> np.arange(bits)) & 1, bitorder="little")


def _half(*shape: int) -> np.ndarray:
    return _random.standard_normal(shape).astype(np.float16)


def _indices(bits: int, *shape: int) -> np.ndarray:
    return _random.integers(0, 1 << bits, shape)


@dataclass
class Form:
    name: str
    build: Callable[[Any], Any]
    """builder → the dense constant."""
    target: str
    shape: tuple[int, ...] = SHAPE
    reference: Callable[[], np.ndarray] | None = None
    """Where coremltools cannot decompress the form in one go."""


def _old_palette(bits: int) -> Form:
    indices, table = _packed(_indices(bits, 96), bits), _half(1 << bits)
    shape = np.array(SHAPE, np.uint32)
    return Form(
        f"palette {bits} bit, macOS 13",
        lambda mb: mb.constexpr_lut_to_dense(indices=indices, lut=table, shape=shape),
        "macOS13",
    )


def _old_linear(kind: str, axis: int, *, scalar: bool = False) -> Form:
    data = _random.integers(*((-128, 128) if kind == "int8" else (0, 256)), SHAPE).astype(kind)
    count = () if scalar else (SHAPE[axis],)
    scale = np.abs(_half(*count)) if count else np.float16(0.0173)
    zero = data.reshape(-1)[: SHAPE[axis]] if count else data.reshape(-1)[0]
    return Form(
        f"linear {kind} along {axis}{' by one scale' if scalar else ''}, macOS 13",
        lambda mb: mb.constexpr_affine_dequantize(
            quantized_data=data, zero_point=zero, scale=scale, axis=np.int32(axis)
        ),
        "macOS13",
    )


def _old_sparse() -> Form:
    mask = _random.random(96) < 0.4
    values, shape = _half(int(mask.sum())), np.array(SHAPE, np.uint32)
    return Form(
        "sparse, macOS 13",
        lambda mb: mb.constexpr_sparse_to_dense(
            nonzero_data=values, mask=_packed(mask, 1), shape=shape
        ),
        "macOS13",
    )


def _palette(bits: int, groups: tuple[int, int] = (1, 1), vector: int = 1, axis: int = 0) -> Form:
    table = _half(*groups, 1 << bits, vector)
    indices = _sub_byte(_indices(bits, *SHAPE), f"uint{bits}")
    arguments = {} if vector == 1 else {"vector_axis": np.int32(axis)}
    dense = tuple(n * vector if i == axis else n for i, n in enumerate(SHAPE))
    tags = [f"palette {bits} bit"]
    tags += [f"groups {groups}"] if groups != (1, 1) else []
    tags += [f"vectors of {vector} along {axis}"] if vector > 1 else []
    return Form(
        ", ".join([*tags, "macOS 15"]),
        lambda mb: mb.constexpr_lut_to_dense(indices=indices, lut=table, **arguments),
        "macOS15",
        dense if vector > 1 else SHAPE,
    )


def _blockwise(kind: str, blocks: tuple[int, int], *, offset: bool) -> Form:
    bits = int(kind.strip("uint"))
    low = -(1 << (bits - 1)) if kind.startswith("i") else 0
    data = _sub_byte(_random.integers(low, low + (1 << bits), SHAPE), kind)
    shift = _sub_byte(_random.integers(low, low + (1 << bits), blocks), kind)
    scale = np.abs(_half(*blocks))
    arguments = {"offset": shift} if offset else {}
    return Form(
        f"blocks {blocks} of {kind}{' with offset' if offset else ''}, macOS 15",
        lambda mb: mb.constexpr_blockwise_shift_scale(data=data, scale=scale, **arguments),
        "macOS15",
    )


def _sparse() -> Form:
    mask = _random.random(SHAPE) < 0.4
    values = _half(int(mask.sum()))
    return Form(
        "sparse, macOS 15",
        lambda mb: mb.constexpr_sparse_to_dense(nonzero_data=values, mask=_sub_byte(mask, "uint1")),
        "macOS15",
    )


def _sparse_palette(groups: tuple[int, int] = (1, 1)) -> Form:
    mask = _random.random(SHAPE) < 0.4
    indices = _sub_byte(_indices(4, int(mask.sum())), "uint4")
    table = _half(*groups, 16, 1)

    def build(mb: Any) -> Any:
        bits, values = mb.constexpr_lut_to_sparse(
            indices_mask=_sub_byte(mask, "uint1"), indices_nonzero_data=indices, lut=table
        )
        return mb.constexpr_sparse_to_dense(nonzero_data=values, mask=bits)

    tag = f", groups {groups}" if groups != (1, 1) else ""
    return Form(f"sparse palette{tag}, macOS 15", build, "macOS15")


def _sparse_linear() -> Form:
    mask = _random.random(SHAPE) < 0.4
    data = _random.integers(-128, 128, int(mask.sum())).astype(np.int8)
    scale, offset = np.abs(_half(8, 1)), _random.integers(-128, 128, (8, 1)).astype(np.int8)

    def build(mb: Any) -> Any:
        bits, values = mb.constexpr_sparse_blockwise_shift_scale(
            data_mask=_sub_byte(mask, "uint1"), nonzero_data=data, scale=scale, offset=offset
        )
        return mb.constexpr_sparse_to_dense(nonzero_data=values, mask=bits)

    return Form("sparse int8, macOS 15", build, "macOS15")


def _quantized_palette() -> Form:
    indices = _sub_byte(_indices(4, *SHAPE), "uint4")
    table = _random.integers(-128, 128, (1, 1, 16, 1)).astype(np.int8)
    scale = np.full((1, 1, 1, 1), 0.0123, np.float16)

    def quantized(mb: Any) -> Any:
        return mb.constexpr_blockwise_shift_scale(data=table, scale=scale)

    def looked_up(mb: Any, values: Any) -> Any:
        return mb.constexpr_lut_to_dense(indices=indices, lut=values)

    def reference() -> np.ndarray:
        plain = dense_value(quantized, "macOS15")
        return dense_value(lambda mb: looked_up(mb, plain), "macOS15")

    return Form(
        "int8 palette, macOS 15",
        lambda mb: looked_up(mb, quantized(mb)),
        "macOS15",
        reference=reference,
    )


FORMS = [
    *[_old_palette(bits) for bits in (1, 2, 4, 6, 8)],
    *[_old_linear(kind, axis) for kind in ("int8", "uint8") for axis in (0, 1)],
    _old_linear("int8", 0, scalar=True),
    _old_sparse(),
    *[_palette(bits) for bits in (1, 2, 3, 4, 6, 8)],
    _palette(4, (4, 1)),
    _palette(3, (1, 3)),
    _palette(6, (2, 1)),
    _palette(4, vector=2, axis=0),
    _palette(2, (1, 2), vector=4, axis=1),
    *[
        _blockwise(kind, blocks, offset=offset)
        for kind in ("int8", "uint8", "int4", "uint4")
        for blocks, offset in (((8, 1), False), ((4, 6), True), ((1, 1), True))
    ],
    _sparse(),
    _sparse_palette(),
    _sparse_palette((2, 1)),
    _sparse_linear(),
    _quantized_palette(),
]


@pytest.mark.parametrize("target", ["macOS13", "macOS15"])
def test_every_form_decompresses_to_the_bit(target: str, tmp_path: Path) -> None:
    forms = [form for form in FORMS if form.target == target]
    inputs = {f"x{i}": np.zeros(form.shape, np.float32) for i, form in enumerate(forms)}

    def build(mb: Any, *variables: Any) -> Any:
        return tuple(
            mb.add(x=x, y=mb.cast(x=form.build(mb), dtype="fp32"))
            for x, form in zip(variables, forms, strict=True)
        )

    path = save_program(tmp_path / "w.mlpackage", build, inputs, target=target)
    results = load(path)(inputs).values()
    different = []
    for form, got in zip(forms, results, strict=True):
        want = form.reference() if form.reference else dense_value(form.build, form.target)
        assert want.dtype == np.float16
        same = got.shape == want.shape and bool(np.array_equal(got, want.astype(np.float32)))
        different += [] if same else [form.name]
    assert different == []


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 6, 8])
@pytest.mark.parametrize("count", [1, 7, 24, 1001])
def test_unpacking_agrees_with_numpy_bit_by_bit(bits: int, count: int) -> None:
    values = _indices(bits, count).astype(np.uint8)
    assert np.array_equal(unpack_bits(_packed(values, bits), bits, count), values)
    signed = unpack_bits(_packed(values, bits), bits, count, signed=True)
    want = np.where(values >= 1 << (bits - 1), values.astype(int) - (1 << bits), values)
    assert np.array_equal(signed, want)


def test_too_few_packed_bytes_are_refused() -> None:
    with pytest.raises(WeightFileError):
        unpack_bits(np.zeros(2, np.uint8), 6, 3)


@pytest.mark.parametrize("method", ["6-bit palette", "8-bit linear", "50 % sparse"])
def test_a_convolution_compressed_by_coremltools_runs(method: str, tmp_path: Path) -> None:
    """The whole way: coremltools' own optimiser, its decompressor as the reference."""
    ct = coremltools()
    from coremltools.optimize import coreml as optimize

    kernel = _half(32, 40, 3, 3).astype(np.float32)
    path = save_program(
        tmp_path / "dense.mlpackage",
        lambda mb, x: mb.conv(x=x, weight=kernel, pad_type="same"),
        {"x": (1, 40, 6, 6)},
        precision="fp16",
        passes=True,
    )
    dense = ct.models.MLModel(str(path), skip_model_load=True)
    small: Any
    if method == "6-bit palette":
        config = optimize.OpPalettizerConfig(mode="uniform", nbits=6)
        small = optimize.palettize_weights(dense, optimize.OptimizationConfig(config))
    elif method == "8-bit linear":
        config = optimize.OpLinearQuantizerConfig(mode="linear_symmetric")
        small = optimize.linear_quantize_weights(dense, optimize.OptimizationConfig(config))
    else:
        config = optimize.OpMagnitudePrunerConfig(target_sparsity=0.5)
        small = optimize.prune_weights(dense, optimize.OptimizationConfig(config))
    small.save(str(tmp_path / "small.mlpackage"))
    again: Any = optimize.decompress_weights(small)
    again.save(str(tmp_path / "again.mlpackage"))
    x = {"x": _random.standard_normal((1, 40, 6, 6)).astype(np.float32)}
    got, want = (
        next(iter(load(tmp_path / f"{name}.mlpackage")(x).values())) for name in ("small", "again")
    )
    assert np.array_equal(got, want)
    original = next(iter(load(path)(x).values()))
    assert 1.0 < decibels(got, original) < 60.0, "nothing was compressed"
    assert math.isfinite(float(got.sum()))
