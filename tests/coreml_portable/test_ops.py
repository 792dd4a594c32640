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


def _scatter_case(mode: str, axis: int) -> Case:
    """Each index comes twice where the mode says what that means."""
    twice = mode != "update"
    indices = np.array([2, 0, 2] if twice else [2, 0], np.int32)
    updates = _positive(2, len(indices), 4) if axis == 1 else _positive(2, 3, len(indices))

    def reference(data: torch.Tensor, updates: torch.Tensor) -> torch.Tensor:
        combine = {
            "update": lambda a, b: b,
            "add": torch.add,
            "sub": torch.sub,
            "mul": torch.mul,
            "div": torch.div,
            "max": torch.maximum,
            "min": torch.minimum,
        }[mode]
        result = data.clone()
        for n, index in enumerate(indices.tolist()):
            place, row = result.select(axis, index), updates.select(axis, n)
            place.copy_(combine(place.clone(), row))
        return result

    return _by_torch(
        f"scatter {mode} {axis}",
        lambda mb, x, u: mb.scatter(data=x, indices=indices, updates=u, axis=axis, mode=mode),
        [X, updates],
        reference,
    )


def _with(name: str, array: np.ndarray, build: Callable[..., Any], want: Any) -> Case:
    return _by_torch(name, build, [array], want)


def _bilinear(mode: str, size: tuple[int, int]) -> Case:
    """By coremltools' formulas for where samples lie, spelled out in numpy."""

    def points(count: int, whole: int) -> np.ndarray:
        steps = np.arange(count)
        if mode == "DEFAULT":
            at = steps * (whole - whole / count) / max(count - 1, 1)
        elif mode == "OFFSET_CORNERS":
            at = 0.5 * max(1, whole - 1) / count + steps * max(1, whole - 1) / count
        elif mode == "UNALIGN_CORNERS":
            at = steps * whole / count + 0.5 * whole / count - 0.5
        elif count == 1:
            at = np.array([(whole - 1) / 2 if mode == "ALIGN_CORNERS" else 0.0])
        else:
            at = steps * (whole - 1) / (count - 1)
        return np.clip(at, 0, whole - 1)

    def reference(x: torch.Tensor) -> torch.Tensor:
        image = x.double().numpy()
        for axis, count in ((-2, size[0]), (-1, size[1])):
            places = np.arange(image.shape[axis])
            at = points(count, image.shape[axis])
            image = np.apply_along_axis(lambda v: np.interp(at, places, v), axis, image)  # noqa: B023
        return torch.from_numpy(image)

    return _by_torch(
        f"resize_bilinear {mode} {size}",
        lambda mb, x: mb.resize_bilinear(
            x=x, target_size_height=size[0], target_size_width=size[1], sampling_mode=mode
        ),
        [IMAGE],
        reference,
    )


def _padded(shape: tuple[int, ...], pad: list[int], mode: str) -> Case:
    array = _floats(*shape)
    pairs = [tuple(pad[i : i + 2]) for i in range(0, len(pad), 2)]
    pairs = [(0, 0)] * (len(shape) - len(pairs)) + pairs
    numpy_mode: Any = {"reflect": "reflect", "replicate": "edge", "constant": "constant"}[mode]
    return _by_torch(
        f"pad {mode} {shape} {pad}",
        lambda mb, x: mb.pad(x=x, pad=pad, mode=mode),
        [array],
        lambda x: torch.from_numpy(np.pad(x.numpy(), pairs, numpy_mode)),
    )


_BOXES = np.array([[0.5, 1.0, 3.5, 4.0], [2.0, 3.0, 1.0, 0.0], [-1.0, 2.0, 4.0, 7.0]], np.float32)
_LSTM: Any = torch.nn.LSTM(5, 3, bidirectional=True)
_GRU: Any = torch.nn.GRU(5, 3)
_RNN: Any = torch.nn.RNN(5, 3, nonlinearity="relu")
_STEPS = _floats(4, 2, 5)


def _gates(weight: torch.Tensor, order: list[int]) -> np.ndarray:
    parts = weight.detach().chunk(len(order))
    return torch.cat([parts[n] for n in order]).numpy()


def _lstm(mb: Any, x: Any) -> Any:
    order = [0, 1, 3, 2]  # torch: input, forget, cell, output; MIL has the cell last
    weights = {}
    for end, back in (("", ""), ("_reverse", "_back")):
        biases = [getattr(_LSTM, f"bias_{n}_l0{end}") for n in ("ih", "hh")]
        weights[f"bias{back}"] = _gates(biases[0] + biases[1], order)
        for n in ("ih", "hh"):
            weights[f"weight_{n}{back}"] = _gates(getattr(_LSTM, f"weight_{n}_l0{end}"), order)
    nought = np.zeros((2, 6), np.float32)
    return mb.lstm(
        x=x,
        initial_h=nought,
        initial_c=nought,
        direction="bidirectional",
        output_sequence=True,
        **weights,
    )


def _gru(mb: Any, x: Any) -> Any:
    order = [0, 2, 1]  # torch: reset, update, new; MIL: reset, new, update
    return mb.gru(
        x=x,
        initial_h=np.zeros((2, 3), np.float32),
        weight_ih=_gates(_GRU.weight_ih_l0, order),
        weight_hh=_gates(_GRU.weight_hh_l0, order),
        input_bias=_gates(_GRU.bias_ih_l0, order),
        bias=_gates(_GRU.bias_hh_l0, order),
        reset_after=True,
        output_sequence=True,
    )


def _rnn(mb: Any, x: Any) -> Any:
    return mb.rnn(
        x=x,
        initial_h=np.zeros((2, 3), np.float32),
        weight_ih=_RNN.weight_ih_l0.detach().numpy(),
        weight_hh=_RNN.weight_hh_l0.detach().numpy(),
        bias=(_RNN.bias_ih_l0 + _RNN.bias_hh_l0).detach().numpy(),
        activation="relu",
        output_sequence=True,
    )


def _resampled(padding: str, mode: str, aligned: bool) -> Case:
    """torch has the paddings by its own names, and coordinates from −1 to 1 only."""
    grid = _random.uniform(-1.3, 1.3, (1, 3, 4, 2)).astype(np.float32)
    given = (grid + 1) / 2 if mode == "normalized_zero_to_one" else grid
    name = {"constant": "zeros", "border": "border"}.get(padding, "reflection")
    return _by_torch(
        f"resample {padding} {mode} {aligned}",
        lambda mb, x: mb.resample(
            x=x,
            coordinates=given,
            sampling_mode="bilinear",
            padding_mode=padding,
            padding_value=np.float32(0),
            coordinates_mode=mode,
            align_corners=aligned,
        ),
        [IMAGE],
        lambda x: F.grid_sample(x, torch.from_numpy(grid), "bilinear", name, aligned),
    )


def _boxes(x: torch.Tensor) -> torch.Tensor:
    """Each box by torch's own sampler, corners aligned; a sample outside the image is 0.5."""
    cut = []
    for top, left, bottom, right in _BOXES.tolist():
        rows, columns = torch.linspace(top, bottom, 3), torch.linspace(left, right, 4)
        y, x_ = torch.meshgrid(2 * rows / 4 - 1, 2 * columns / 5 - 1, indexing="ij")
        grid = torch.stack([x_, y], -1)[None]
        sampled = F.grid_sample(x, grid, "bilinear", "border", True)
        outside = (y.abs() > 1) | (x_.abs() > 1)
        cut.append(torch.where(outside, torch.tensor(0.5), sampled))
    return torch.cat(cut)


_NEAR = _positive(3, 4)
CASES += [
    *[
        _scatter_case(m, a)
        for m in ("update", "add", "sub", "mul", "div", "max", "min")
        for a in (1,)
    ],
    _scatter_case("add", 2),
    _by_torch(
        "scatter_nd update",
        lambda mb, x, u: mb.scatter_nd(data=x, indices=[[1, 2], [0, 0]], updates=u, mode="update"),
        [X, _floats(2, 4)],
        lambda x, u: x.index_put((torch.tensor([1, 0]), torch.tensor([2, 0])), u),
    ),
    _by_torch(
        "scatter_along_axis add",
        lambda mb, x, i, u: mb.scatter_along_axis(data=x, indices=i, updates=u, axis=1, mode="add"),
        [X, _ints(0, 3, 2, 5, 4), _floats(2, 5, 4)],
        lambda x, i, u: x.scatter_add(1, i.long(), u),
    ),
    Case(
        "slice_update",
        lambda mb, x, u: mb.slice_update(
            x=x, update=u, begin=[1, 2, 0], end=[2, 0, 4], stride=[1, -1, 2]
        ),
        [X, _floats(1, 2, 2)],
    ),
    _by_torch(
        "gather in batches",
        lambda mb, x, i: mb.gather(x=x, indices=i, axis=2, batch_dims=1),
        [X, _ints(0, 4, 2, 3)],
        lambda x, i: torch.stack([x[n][:, i[n].long()] for n in range(2)]),
    ),
    _by_torch(
        "gather_nd in batches",
        lambda mb, x, i: mb.gather_nd(x=x, indices=i, batch_dims=1),
        [X, _ints(0, 3, 2, 5, 2)],
        lambda x, i: torch.stack([x[n][tuple(i[n].long().unbind(-1))] for n in range(2)]),
    ),
    *[_bilinear(mode, (9, 4)) for mode in ("DEFAULT", "OFFSET_CORNERS", "UNALIGN_CORNERS")],
    *[_bilinear(mode, (1, 7)) for mode in ("STRICT_ALIGN_CORNERS", "ALIGN_CORNERS", "DEFAULT")],
    *[
        _by_torch(
            f"upsample_bilinear, rank {len(shape)}",
            lambda mb, x: mb.upsample_bilinear(
                x=x, scale_factor_height=2.0, scale_factor_width=3.0, align_corners=True
            ),
            [_floats(*shape)],
            lambda x: F.interpolate(
                x.reshape(1, -1, *x.shape[-2:]),
                scale_factor=(2, 3),
                mode="bilinear",
                align_corners=True,
            ).reshape(*x.shape[:-2], 2 * x.shape[-2], 3 * x.shape[-1]),
        )
        for shape in ((3, 4, 5), (2, 1, 2, 4, 5))
    ],
    _with(
        "upsample_nearest_neighbor, rank 3",
        X,
        lambda mb, x: mb.upsample_nearest_neighbor(
            x=x, scale_factor_height=2.0, scale_factor_width=1.5
        ),
        lambda x: F.interpolate(x[None], size=(6, 6), mode="nearest")[0],
    ),
    _with(
        "resize, nearest, to sizes of which one stays",
        IMAGE,
        lambda mb, x: mb.resize(
            x=x,
            shape=[7, 0],
            resized_dims=np.uint32(2),
            interpolation_mode="NEAREST_NEIGHBOR",
        ),
        lambda x: x[:, :, [0, 1, 1, 2, 3, 4, 4]],  # rows lie at n · 5 / 7
    ),
    *[
        _padded(shape, pad, mode)
        for mode in ("reflect", "replicate", "constant")
        for shape, pad in (
            ((5,), [2, 1]),
            ((4, 5), [1, 2, 3, 1]),
            ((3, 4, 5), [1, 1, 2, 0, 0, 3]),
            ((2, 3, 4, 5), [0, 2, 1, 1]),
            ((2, 3, 4, 5), [1, 0, 0, 0, 0, 0, 2, 2]),
            ((2, 2, 3, 4, 5), [0, 1, 1, 1, 2, 2]),
        )
    ],
    _by_torch(
        "matmul of int32 with fp32",
        lambda mb, x: mb.matmul(x=x, y=_NEAR),
        [_ints(-5, 5, 2, 3)],
        lambda x: x.float() @ torch.from_numpy(_NEAR),
    ),
    _by_torch(
        "matmul of fp32 with int32, transposed",
        lambda mb, x: mb.matmul(x=x, y=_INDICES, transpose_x=True, transpose_y=True),
        [_floats(2, 3)],
        lambda x: x.T @ torch.from_numpy(_INDICES).float().T,
    ),
    _by_torch(
        "matmul of int32",
        lambda mb, x, y: mb.matmul(x=x, y=y),
        [_ints(-5, 5, 3, 4), _ints(-5, 5, 4, 2)],
        lambda x, y: x @ y,
    ),
    _by_torch(
        "linear of int32 with fp32",
        lambda mb, x: mb.linear(x=x, weight=_NEAR, bias=_NEAR[:, 0].copy()),
        [_ints(-5, 5, 2, 4)],
        lambda x: x.float() @ torch.from_numpy(_NEAR).T + torch.from_numpy(_NEAR[:, 0]),
    ),
    _unary("thresholded_relu", X.copy(), alpha=0.4),  # coremltools folds it in place
    _unary("clamped_relu", alpha=0.3, beta=0.8),
    _unary("softplus_parametric", IMAGE, alpha=_GAMMA, beta=_positive(4)),
    _with(
        "local_response_norm",
        IMAGE,
        lambda mb, x: mb.local_response_norm(x=x, size=3, alpha=0.3, beta=0.6, k=1.5),
        lambda x: F.local_response_norm(x, 3, 0.3, 0.6, 1.5),
    ),
    _with(
        "l2_pool",
        IMAGE,
        lambda mb, x: mb.l2_pool(
            x=x, kernel_sizes=[2, 3], strides=[1, 2], pad_type="custom", pad=[0, 0, 1, 1]
        ),
        lambda x: F.lp_pool2d(F.pad(x, (1, 1)), 2, (2, 3), (1, 2)),
    ),
    _with(
        "avg_pool, uneven padding not counted",
        IMAGE,
        lambda mb, x: mb.avg_pool(
            x=x,
            kernel_sizes=[2, 2],
            strides=[2, 2],
            pad_type="custom",
            pad=[0, 1, 1, 0],
            exclude_padding_from_average=True,
        ),
        lambda x: (
            F.avg_pool2d(F.pad(x, (1, 0, 0, 1)), 2)
            / F.avg_pool2d(F.pad(torch.ones_like(x), (1, 0, 0, 1)), 2)
        ),
    ),
    _with(
        "sliding_windows",
        X,
        lambda mb, x: mb.sliding_windows(x=x, axis=2, size=3, stride=1),
        lambda x: torch.stack([x[..., :3], x[..., 1:]], 2),
    ),
    _with(
        "space_to_batch",
        IMAGE,
        lambda mb, x: mb.space_to_batch(x=x, block_shape=[2, 3], paddings=[[1, 0], [0, 0]]),
        lambda x: torch.cat(
            [F.pad(x, (0, 0, 1, 0))[:, :, i::2, j::3] for i in range(2) for j in range(3)]
        ),
    ),
    _with(
        "batch_to_space",
        _floats(6, 2, 3, 2),
        lambda mb, x: mb.space_to_batch(
            x=mb.batch_to_space(x=x, block_shape=[2, 3], crops=[[0, 0], [0, 0]]),
            block_shape=[2, 3],
            paddings=[[0, 0], [0, 0]],
        ),
        lambda x: x,
    ),
    _by_torch(
        "reverse_sequence",
        lambda mb, x, n: mb.reverse_sequence(x=x, lengths=n, seq_axis=2, batch_axis=0),
        [X, np.array([3, 1], np.int32)],
        lambda x, n: torch.stack([torch.cat([x[0][:, [2, 1, 0]], x[0][:, 3:]], 1), x[1]]),
    ),
    *[
        _resampled(padding, mode, aligned)
        for padding in ("constant", "border")
        for mode in ("normalized_minus_one_to_one", "normalized_zero_to_one")
        for aligned in (True, False)
    ],
    _resampled("reflection", "normalized_minus_one_to_one", True),
    _resampled("symmetric", "normalized_minus_one_to_one", False),
    _by_torch(
        "affine",
        lambda mb, x: mb.affine(
            x=x,
            transform_matrix=np.array([[0.5, 0.2, 0.1, -0.3, 1.2, 0.4]], np.float32),
            output_height=4,
            output_width=3,
            sampling_mode="bilinear",
            padding_mode="constant",
            padding_value=0.0,
            coordinates_mode="normalized_minus_one_to_one",
            align_corners=True,
        ),
        [IMAGE],
        lambda x: F.grid_sample(
            x,
            F.affine_grid(torch.tensor([[[0.5, 0.2, 0.1], [-0.3, 1.2, 0.4]]]), [1, 4, 4, 3], True),
            align_corners=True,
        ),
    ),
    _by_torch(
        "crop_resize",
        lambda mb, x: mb.crop_resize(
            x=x,
            boxes=_BOXES,
            box_indices=[0, 0, 0],
            target_height=3,
            target_width=4,
            sampling_mode="ALIGN_CORNERS",
            pad_value=0.5,
        ),
        [IMAGE],
        _boxes,
    ),
    _by_torch("lstm", lambda mb, x: _lstm(mb, x)[0], [_STEPS], lambda x: _LSTM(x)[0].detach()),
    _by_torch("gru", lambda mb, x: _gru(mb, x)[0], [_STEPS], lambda x: _GRU(x)[0].detach()),
    _by_torch("rnn", lambda mb, x: _rnn(mb, x)[0], [_STEPS], lambda x: _RNN(x)[0].detach()),
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
