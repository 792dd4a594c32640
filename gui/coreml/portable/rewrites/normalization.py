"""Group norm and layer norm, which MIL programs spell out.

MIL has no group norm: coremltools writes reshape → (x − mean) / √(variance + ε) → reshape →
batch norm or multiply-add.  Programs from older converters spell Apple's layer norm over axis 1 out
as well.  Both hang on the same core, `_standardised`.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

from gui.coreml.portable.ir import Op, Operand, Ref
from gui.coreml.portable.ops.context import RuleContext, rule
from gui.coreml.portable.ops.normalization import batch_norm_affine
from gui.coreml.portable.rewrites.graph import Graph, same

GROUP_NORM = "sfumato.group_norm"


class _Standardised(NamedTuple):
    """(x − mean(x)) / √(variance(x) + epsilon) over `axes`."""

    source: Ref
    axes: list[int]
    epsilon: float


class _Affine(NamedTuple):
    """What is done per channel after standardising: x · scale + shift, up to the op `end`."""

    end: Op
    scale: np.ndarray
    shift: np.ndarray


def rewrite_group_norm(graph: Graph) -> int:
    """Replace every group norm, its scale and shift included; returns how many."""
    count = 0
    for op in graph.function.ops:
        core = _standardised(graph, op)
        if core is None:
            continue
        found = _around_groups(graph, op, core)
        if found is None:
            continue
        source, groups, out = found
        channels = graph.shape(source)[1]
        if not isinstance(channels, int):
            continue
        affine = _affine_after(graph, out, channels)
        attributes = {
            "groups": groups,
            "gamma": affine.scale.astype(np.float32),
            "beta": affine.shift.astype(np.float32),
            "epsilon": core.epsilon,
        }
        graph.replace(affine.end, Op(GROUP_NORM, {"x": source}, affine.end.outputs, attributes))
        count += 1
    return count


def rewrite_layer_norm(graph: Graph) -> int:
    """Replace every spelled-out layer norm over axis 1 of four; returns how many."""
    count = 0
    for op in graph.function.ops:
        core = _standardised(graph, op)
        if core is None or core.axes != [1] or id(op) in graph.replacements:
            continue
        shape = graph.shape(core.source)
        if len(shape) != 4 or not isinstance(shape[1], int):
            continue
        affine = _affine_after(graph, op, shape[1])
        inputs: dict[str, Any] = {
            "x": core.source,
            "axes": np.array([1]),
            "gamma": affine.scale.astype(np.float32),
            "beta": affine.shift.astype(np.float32),
            "epsilon": np.array(core.epsilon),
        }
        graph.replace(affine.end, Op("layer_norm", inputs, affine.end.outputs))
        count += 1
    return count


def _standardised(graph: Graph, op: Op) -> _Standardised | None:
    """`op` seen as the last one of the core, a division or a product with a reciprocal root."""
    split = _numerator_and_variance(graph, op)
    if split is None:
        return None
    centred, variance, epsilon = split
    shifted = graph.maker(variance, "add")
    if shifted is not None:
        for constant, rest in (("y", "x"), ("x", "y")):
            value = graph.scalar(shifted.inputs[constant])
            if value is not None:
                epsilon, variance = epsilon + value, shifted.inputs[rest]
                break
        else:
            return None
    mean_square = graph.maker(variance, "reduce_mean")
    difference = graph.maker(centred, "sub", shared=True)
    if mean_square is None or difference is None:
        return None
    if not _is_square_of(graph, mean_square.inputs["x"], centred):
        return None
    source = difference.inputs["x"]
    mean = graph.maker(difference.inputs["y"], "reduce_mean", shared=True)
    if mean is None or not same(mean.inputs["x"], source):
        return None
    rank = len(graph.shape(source))
    axes = graph.axes(mean, "axes", rank)
    if axes is None or axes != graph.axes(mean_square, "axes", rank):
        return None
    if not (_keeps(graph, mean) and _keeps(graph, mean_square)):
        return None
    return _Standardised(source, axes, epsilon)


def _numerator_and_variance(graph: Graph, op: Op) -> tuple[Operand, Operand, float] | None:
    """x / sqrt(v), or x · rsqrt(v): (x, v, rsqrt's own ε)."""
    if op.type == "real_div":
        root = graph.maker(op.inputs["y"], "sqrt")
        return (op.inputs["x"], root.inputs["x"], 0.0) if root else None
    if op.type == "mul":
        for factor, rest in (("y", "x"), ("x", "y")):
            root = graph.maker(op.inputs[factor], "rsqrt")
            if root is not None:
                epsilon = graph.number(root, "epsilon", 1e-12)
                return None if epsilon is None else (op.inputs[rest], root.inputs["x"], epsilon)
    return None


def _is_square_of(graph: Graph, operand: Operand, base: Operand) -> bool:
    square = graph.maker(operand, "square", "mul", "pow")
    if square is None or not same(square.inputs["x"], base):
        return False
    if square.type == "mul":
        return same(square.inputs["y"], base)
    return square.type == "square" or graph.scalar(square.inputs["y"]) == 2.0


def _keeps(graph: Graph, reduction: Op) -> bool:
    return bool(graph.number(reduction, "keep_dims", 0.0))


def _around_groups(graph: Graph, op: Op, core: _Standardised) -> tuple[Ref, int, Op] | None:
    """The reshapes into and out of groups around the core: (source, groups, last reshape)."""
    into = graph.maker(core.source, "reshape", shared=True)
    out = graph.only_reader(op, "reshape")
    if into is None or out is None or not isinstance(into.inputs["x"], Ref):
        return None
    source = into.inputs["x"]
    grouped, whole = graph.shape(core.source), graph.shape(source)
    if None in grouped or None in whole or len(whole) < 2 or len(grouped) < 3:
        return None
    sizes = [int(d) for d in grouped if d is not None]
    plain = [int(d) for d in whole if d is not None]
    after = graph.types[out.name].shape
    groups = sizes[1]
    # Everything behind the group axis must be one group's channels and positions
    fits = (
        core.axes == list(range(2, len(sizes)))
        and sizes[0] == plain[0]
        and groups > 0
        and plain[1] % groups == 0
        and math.prod(sizes[2:]) == math.prod(plain[1:]) // groups
        and after[:2] == whole[:2]  # positions may come out flattened: two reshapes in one
        and None not in after
        and len(after) > 2
    )
    return (source, groups, out) if fits else None


def _affine_after(graph: Graph, op: Op, channels: int) -> _Affine:
    """Follow batch norm, products and sums with per-channel constants behind `op`."""
    end, scale, shift = op, np.ones(channels), np.zeros(channels)
    rank = len(graph.types[op.name].shape)
    while True:
        following = graph.only_reader(end, "mul", "add", "batch_norm")
        if following is None:
            return _Affine(end, scale, shift)
        if following.type == "batch_norm":
            step = _batch_norm(graph, following)
            if step is None or step[0].size != channels:
                return _Affine(end, scale, shift)
            scale, shift = scale * step[0], shift * step[0] + step[1]
        else:
            x, y = following.inputs["x"], following.inputs["y"]
            vector = _per_channel(graph, y if same(x, Ref(end.name)) else x, channels, rank)
            if vector is None:
                return _Affine(end, scale, shift)
            if following.type == "mul":
                scale, shift = scale * vector, shift * vector
            else:
                shift = shift + vector
        end = following


def _batch_norm(graph: Graph, op: Op) -> tuple[np.ndarray, np.ndarray] | None:
    mean, variance = graph.argument(op, "mean"), graph.argument(op, "variance")
    epsilon = graph.number(op, "epsilon", 1e-5)
    gamma, beta = graph.argument(op, "gamma"), graph.argument(op, "beta")
    computed = ("gamma" in op.inputs and gamma is None) or ("beta" in op.inputs and beta is None)
    if mean is None or variance is None or epsilon is None or computed:
        return None
    return batch_norm_affine(mean, variance, gamma, beta, epsilon)


def _per_channel(graph: Graph, operand: Operand, channels: int, rank: int) -> np.ndarray | None:
    """A constant that varies along axis 1 (of `rank`) alone, as a vector."""
    shape = graph.shape(operand)
    aligned = (1,) * (rank - len(shape)) + tuple(shape)
    if (
        len(aligned) != rank
        or aligned[1] != channels
        or math.prod(d or 0 for d in aligned) != channels
    ):
        return None
    values = graph.array(operand)
    return None if values is None else values.reshape(-1).astype(np.float64)


@rule(GROUP_NORM)
def group_norm(ctx: RuleContext, op: Op) -> Any:
    gamma, beta = (torch.from_numpy(op.attributes[name]) for name in ("gamma", "beta"))
    groups, eps = op.attributes["groups"], op.attributes["epsilon"]
    result = ctx.emit(F.group_norm, ctx.tensor(op, "x"), groups, gamma, beta, eps)
    shape = op.outputs[0][1].static_shape
    return result if shape == ctx.shape(op, "x") else ctx.emit(torch.reshape, result, shape)
