"""Each op against coremltools' own constant folding, or against torch where it has none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from tests.coreml_portable.support import load
from tests.support.mil_programs import inferred_values, save_program

_random = np.random.default_rng(3)


def _floats(*shape: int) -> np.ndarray:
    return _random.standard_normal(shape).astype(np.float32)


def _positive(*shape: int) -> np.ndarray:
    return _random.uniform(0.2, 0.9, shape).astype(np.float32)


def _ints(low: int, high: int, *shape: int) -> np.ndarray:
    return _random.integers(low, high, shape).astype(np.int32)


_UNARY = (
    *("abs", "ceil", "cos", "cosh", "erf", "exp", "exp2", "floor", "round", "sign", "sin", "sinh"),
    *("square", "tan", "tanh", "atan", "relu", "relu6", "sigmoid", "softplus", "softsign"),
    *("gelu", "softmax", "identity"),
)
_REDUCTIONS = (
    *("reduce_mean", "reduce_sum", "reduce_max", "reduce_min", "reduce_log_sum"),
    *("reduce_log_sum_exp", "reduce_sum_square", "reduce_l1_norm", "reduce_l2_norm"),
    "reduce_prod",
)

X = _floats(2, 3, 4)
IMAGE = _floats(1, 4, 5, 6)
P = _positive(2, 3, 4)


@dataclass
class Case:
    name: str
    build: Callable[..., Any]
    arrays: list[np.ndarray]
    torch: Callable[..., Any] | None = None
    """Reference; None: coremltools' own value."""


def _unary(name: str, array: np.ndarray = X, **arguments: Any) -> Case:
    tag = ", ".join(f"{k} {v}" for k, v in arguments.items() if np.size(v) < 5 or np.ndim(v) == 0)
    return Case(f"{name} {tag}".strip(), lambda mb, x: getattr(mb, name)(x=x, **arguments), [array])


def _binary(name: str, x: np.ndarray, y: np.ndarray, tag: str = "") -> Case:
    return Case(name + tag, lambda mb, x, y: getattr(mb, name)(x=x, y=y), [x, y])


def _by_torch(
    name: str, build: Callable[..., Any], arrays: list[np.ndarray], reference: Callable[..., Any]
) -> Case:
    return Case(name, build, arrays, reference)


_KERNEL, _BIAS = _floats(6, 2, 3, 3), _floats(6)
_TRANSPOSED = _floats(4, 3, 2, 2)
_GAMMA, _BETA, _MEAN, _VARIANCE = _positive(4), _floats(4), _floats(4), _positive(4)
_INDICES = np.array([[2, -1], [0, 1]], np.int32)

CASES = [
    *[_unary(name) for name in _UNARY],
    *[_unary(name, P) for name in ("acos", "asin", "atanh", "sqrt", "rsqrt", "inverse", "log")],
    _unary("gelu", mode="TANH_APPROXIMATION"),
    _unary("gelu", mode="SIGMOID_APPROXIMATION"),
    _unary("clip", alpha=-0.5, beta=0.7),
    _unary("threshold", alpha=0.3),
    _unary("leaky_relu", alpha=0.2),
    _unary("scaled_tanh", alpha=2.0, beta=0.5),
    _unary("sigmoid_hard", alpha=0.3, beta=0.4),
    _unary("linear_activation", alpha=1.5, beta=-0.25),
    _unary("cast", 3 * X, dtype="int32"),
    _unary("logical_not", X > 0),
    _unary("softmax", axis=1),
    *[
        _binary(name, X, _floats(2, 3, 4))
        for name in ["add", "sub", "mul", "real_div", "maximum", "minimum", "floor_div", "mod"]
    ],
    _binary("pow", P, X),
    _binary("add", X, _floats(4), " broadcast"),
    _binary("real_div", _ints(-9, 9, 3, 4), _ints(1, 5, 3, 4), " int"),
    *[
        _binary(name, _ints(0, 3, 3, 4), _ints(0, 3, 3, 4))
        for name in ["equal", "not_equal", "greater", "greater_equal", "less", "less_equal"]
    ],
    *[
        _binary(name, X > 0, _floats(2, 3, 4) > 0)
        for name in ("logical_and", "logical_or", "logical_xor")
    ],
    Case("mul by a scalar", lambda mb, x: mb.mul(x=np.float32(0.125), y=x), [X]),
    Case("select", lambda mb, c, x, y: mb.select(cond=c, a=x, b=y), [X > 0, X, P]),
    *[
        _unary(name, P, axes=[0, -1], keep_dims=keep)
        for name in _REDUCTIONS
        for keep in (False, True)
    ],
    _unary("reduce_sum"),
    _unary("reduce_argmax", axis=1),
    _unary("reduce_argmin", axis=-1, keep_dims=True),
    _unary("reshape", shape=[4, -1]),
    _unary("transpose", perm=[2, 0, 1]),
    _unary("expand_dims", axes=[0, -1]),
    _unary("squeeze", _floats(1, 3, 1, 4), axes=[0]),
    Case("squeeze all", lambda mb, x: mb.squeeze(x=x), [_floats(1, 3, 1, 4)]),
    _unary("tile", reps=[2, 1, 3]),
    _unary("reverse", axes=[1]),
    _unary("band_part", _floats(4, 4), lower=1, upper=0),
    _unary("cumsum", axis=1),
    _unary("l2_norm", _floats(1, 2, 3, 4)),
    _unary("layer_norm", axes=[-1], gamma=_GAMMA, beta=_BETA, epsilon=1e-3),
    _unary("layer_norm", axes=[1, 2]),
    _unary("pad", pad=[1, 2], mode="reflect"),
    _unary("pad", pad=[0, 1, 1, 2], mode="constant", constant_val=0.5),
    _unary("pad", pad=[2, 1], mode="replicate"),
    _unary("slice_by_index", begin=[0, 1, 3], end=[2, 3, 0], stride=[1, 1, -2]),
    _unary(
        "slice_by_index",
        begin=[1, 0, -3],
        end=[0, 9, 9],
        begin_mask=[False, True, False],
        end_mask=[True, True, True],
        squeeze_mask=[True, False, False],
    ),
    _unary("slice_by_size", begin=[0, 1, 2], size=[2, -1, 1]),
    Case("split", lambda mb, x: mb.split(x=x, split_sizes=[1, 2], axis=1), [X]),
    Case("split evenly", lambda mb, x: mb.split(x=x, num_splits=2, axis=-1), [X]),
    Case("concat", lambda mb, x, y: mb.concat(values=(x, y), axis=-1), [X, P]),
    Case("stack", lambda mb, x, y: mb.stack(values=(x, y), axis=1), [X, P]),
    Case("gather", lambda mb, x: mb.gather(x=x, indices=_INDICES, axis=1), [X]),
    Case("gather rows", lambda mb, x: mb.gather(x=x, indices=_INDICES, axis=0), [_floats(5, 3)]),
    Case(
        "gather along axis",
        lambda mb, x, i: mb.gather_along_axis(x=x, indices=i, axis=1),
        [X, _ints(0, 3, 2, 5, 4)],
    ),
    Case("topk", lambda mb, x: mb.topk(x=x, k=2, axis=1), [X]),
    Case("topk ascending", lambda mb, x: mb.topk(x=x, k=2, axis=-1, ascending=True), [X]),
    _unary("argsort", axis=-1),
    _unary("shape"),
    Case("fill_like", lambda mb, x: mb.add(x=x, y=mb.fill_like(ref_tensor=x, value=2.0)), [X]),
    Case("matmul", lambda mb, x, y: mb.matmul(x=x, y=y), [X, _floats(2, 4, 5)]),
    Case(
        "matmul transposed",
        lambda mb, x, y: mb.matmul(x=x, y=y, transpose_x=True, transpose_y=True),
        [X, _floats(2, 5, 3)],
    ),
    Case(
        "linear",
        lambda mb, x: mb.linear(x=x, weight=_KERNEL.reshape(27, 4), bias=_KERNEL.reshape(-1)[:27]),
        [X],
    ),
]

CASES += [
    _by_torch("silu", lambda mb, x: mb.silu(x=x), [X], F.silu),
    _by_torch("elu", lambda mb, x: mb.elu(x=x, alpha=0.7), [X], lambda x: F.elu(x, 0.7)),
    _by_torch(
        "prelu",
        lambda mb, x: mb.prelu(x=x, alpha=_GAMMA),
        [IMAGE],
        lambda x: F.prelu(x, torch.from_numpy(_GAMMA)),
    ),
    _by_torch(
        "crop",
        lambda mb, x: mb.crop(x=x, crop_height=[1, 2], crop_width=[0, 3]),
        [IMAGE],
        lambda x: x[:, :, 1:-2, :-3],
    ),
    _by_torch(
        "gather_nd",
        lambda mb, x, i: mb.gather_nd(x=x, indices=i),
        [X, _ints(0, 2, 3, 2)],
        lambda x, i: torch.stack([x[a, b] for a, b in i.tolist()]),
    ),
    _by_torch(
        "einsum",
        lambda mb, x, y: mb.einsum(values=(x, y), equation="bkhc,bchq->bkhq"),
        [_floats(2, 5, 1, 3), _floats(2, 3, 1, 4)],
        lambda x, y: torch.matmul(x[:, :, 0], y[:, :, 0])[:, :, None],
    ),
    _by_torch(
        "conv",
        lambda mb, x: mb.conv(
            x=x,
            weight=_KERNEL,
            bias=_BIAS,
            strides=[2, 1],
            pad_type="custom",
            pad=[1, 1, 2, 2],
            dilations=[1, 2],
            groups=2,
        ),
        [IMAGE],
        lambda x: F.conv2d(
            x, torch.from_numpy(_KERNEL), torch.from_numpy(_BIAS), (2, 1), (1, 2), (1, 2), 2
        ),
    ),
    _by_torch(
        "conv, uneven padding",
        lambda mb, x: mb.conv(
            x=x, weight=_KERNEL, strides=[2, 2], pad_type="custom", pad=[0, 1, 0, 1], groups=2
        ),
        [IMAGE],
        lambda x: F.conv2d(F.pad(x, (0, 1, 0, 1)), torch.from_numpy(_KERNEL), None, 2, 0, 1, 2),
    ),
    _by_torch(
        "conv, same",
        lambda mb, x: mb.conv(x=x, weight=_KERNEL, strides=[1, 1], pad_type="same", groups=2),
        [IMAGE],
        lambda x: F.conv2d(x, torch.from_numpy(_KERNEL), None, 1, "same", 1, 2),
    ),
    _by_torch(
        "conv1d",
        lambda mb, x: mb.conv(x=x, weight=_floats(5, 3, 2) * 0 + 0.5, pad_type="valid"),
        [X],
        lambda x: F.conv1d(x, torch.full((5, 3, 2), 0.5)),
    ),
    _by_torch(
        "conv_transpose",
        lambda mb, x: mb.conv_transpose(
            x=x, weight=_TRANSPOSED, strides=[2, 2], pad_type="custom", pad=[1, 0, 0, 1]
        ),
        [IMAGE],
        lambda x: F.conv_transpose2d(x, torch.from_numpy(_TRANSPOSED), None, 2)[:, :, 1:, :-1],
    ),
    _by_torch(
        "batch_norm",
        lambda mb, x: mb.batch_norm(
            x=x, mean=_MEAN, variance=_VARIANCE, gamma=_GAMMA, beta=_BETA, epsilon=1e-4
        ),
        [IMAGE],
        lambda x: F.batch_norm(
            x,
            *(torch.from_numpy(v) for v in (_MEAN, _VARIANCE, _GAMMA, _BETA)),
            training=False,
            eps=1e-4,
        ),
    ),
    _by_torch(
        "instance_norm",
        lambda mb, x: mb.instance_norm(x=x, gamma=_GAMMA, beta=_BETA, epsilon=1e-4),
        [IMAGE],
        lambda x: F.instance_norm(
            x, weight=torch.from_numpy(_GAMMA), bias=torch.from_numpy(_BETA), eps=1e-4
        ),
    ),
    _by_torch(
        "layer_norm over channels",
        lambda mb, x: mb.layer_norm(x=x, axes=[1], gamma=_GAMMA, beta=_BETA, epsilon=1e-4),
        [IMAGE],
        lambda x: F.layer_norm(
            x.permute(0, 2, 3, 1), (4,), torch.from_numpy(_GAMMA), torch.from_numpy(_BETA), 1e-4
        ).permute(0, 3, 1, 2),
    ),
    _by_torch(
        "avg_pool",
        lambda mb, x: mb.avg_pool(
            x=x,
            kernel_sizes=[2, 3],
            strides=[2, 1],
            pad_type="custom",
            pad=[1, 1, 1, 1],
            exclude_padding_from_average=True,
        ),
        [IMAGE],
        lambda x: F.avg_pool2d(x, (2, 3), (2, 1), (1, 1), count_include_pad=False),
    ),
    _by_torch(
        "max_pool",
        lambda mb, x: mb.max_pool(x=x, kernel_sizes=[2, 2], strides=[2, 2], pad_type="valid"),
        [IMAGE],
        lambda x: F.max_pool2d(x, 2),
    ),
    _by_torch(
        "upsample_nearest_neighbor",
        lambda mb, x: mb.upsample_nearest_neighbor(
            x=x, scale_factor_height=2.0, scale_factor_width=2.0
        ),
        [IMAGE],
        lambda x: F.interpolate(x, scale_factor=2.0, mode="nearest"),
    ),
    _by_torch(
        "upsample_bilinear",
        lambda mb, x: mb.upsample_bilinear(
            x=x, scale_factor_height=2.0, scale_factor_width=3.0, align_corners=False
        ),
        [IMAGE],
        lambda x: F.interpolate(x, scale_factor=(2.0, 3.0), mode="bilinear"),
    ),
    _by_torch(
        "resize_bilinear",
        lambda mb, x: mb.resize_bilinear(
            x=x, target_size_height=9, target_size_width=4, sampling_mode="ALIGN_CORNERS"
        ),
        [IMAGE],
        lambda x: F.interpolate(x, (9, 4), mode="bilinear", align_corners=True),
    ),
    _by_torch(
        "pixel_shuffle",
        lambda mb, x: mb.pixel_shuffle(x=x, upscale_factor=2),
        [IMAGE],
        lambda x: F.pixel_shuffle(x, 2),
    ),
    _by_torch(
        "pixel_unshuffle",
        lambda mb, x: mb.pixel_unshuffle(x=x, downscale_factor=np.uint32(2)),
        [_floats(1, 3, 4, 6)],
        lambda x: F.pixel_unshuffle(x, 2),
    ),
    _by_torch(
        "depth_to_space",  # as TensorFlow defines it: the block's position varies slowest
        lambda mb, x: mb.depth_to_space(x=x, block_size=2),
        [_floats(1, 8, 2, 3)],
        lambda x: torch.stack(
            [
                torch.stack([x[:, (i * 2 + j) * 2 : (i * 2 + j) * 2 + 2] for j in (0, 1)], -1)
                for i in (0, 1)
            ],
            3,
        ).reshape(1, 2, 4, 6),
    ),
    _by_torch(
        "one_hot",
        lambda mb, i: mb.one_hot(indices=i, one_hot_vector_size=5, on_value=2.0, off_value=-1.0),
        [_ints(0, 5, 3, 2)],
        lambda i: F.one_hot(i.long(), 5).float() * 3 - 1,
    ),
    _by_torch(
        "scaled_dot_product_attention",
        lambda mb, q, k, v: mb.scaled_dot_product_attention(
            query=q, key=k, value=v, attn_mask=np.triu(np.full((4, 5), -1e4, np.float32), 1)
        ),
        [_floats(1, 2, 4, 8), _floats(1, 2, 5, 8), _floats(1, 2, 5, 8)],
        lambda q, k, v: (
            ((q @ k.transpose(-1, -2)) / 8**0.5 + torch.full((4, 5), -1e4).triu(1)).softmax(-1) @ v
        ),
    ),
]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[np.ndarray]]:
    """Every case computed by the portable runtime: one program holds them all."""
    arrays: dict[str, np.ndarray] = {}
    spans: dict[str, slice] = {}
    for number, case in enumerate(CASES):
        start = len(arrays)
        for position, array in enumerate(case.arrays):
            # Core ML has no boolean inputs: they come as floats and are cast
            typed = array.astype(np.float32) if array.dtype == bool else array
            arrays[f"in_{number}_{position}"] = typed
        spans[case.name] = slice(start, len(arrays))
    counts: dict[str, int] = {}

    def build(mb: Any, *variables: Any) -> Any:
        outputs = []
        for case in CASES:
            inputs = [
                mb.cast(x=v, dtype="bool") if a.dtype == bool else v
                for v, a in zip(variables[spans[case.name]], case.arrays, strict=True)
            ]
            made = case.build(mb, *inputs)
            many = made if isinstance(made, (list, tuple)) else [made]
            counts[case.name] = len(many)
            for result in many:  # nor boolean outputs
                is_bool = "bool" in str(result.dtype)
                cast = mb.cast(x=result, dtype="fp32") if is_bool else mb.identity(x=result)
                outputs.append(cast)
        return tuple(outputs)

    path = tmp_path_factory.mktemp("ops") / "ops.mlpackage"
    values = iter(load(save_program(path, build, arrays, target="macOS15"))(arrays).values())
    return {case.name: [next(values) for _ in range(counts[case.name])] for case in CASES}


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_op_computes_what_core_ml_defines(case: Case, results: dict[str, list[np.ndarray]]) -> None:
    got = results[case.name]
    if case.torch is None:
        wanted = inferred_values(case.build, case.arrays, "macOS15")
        assert all(w is not None for w in wanted), "coremltools folds no such op"
    else:
        wanted = [case.torch(*(torch.from_numpy(a) for a in case.arrays)).numpy()]
    assert len(got) == len(wanted)
    for have, want in zip(got, wanted, strict=True):
        assert want is not None
        assert have.shape == want.shape
        np.testing.assert_allclose(have, want.astype(have.dtype), rtol=2e-5, atol=2e-6)
