"""softmax(q · kᵀ · scale + mask) · v in matrix products → one fused attention.

Covers the plain layout and Apple's ORIGINAL layout, whose heads stand as [B, heads, channels,
positions], so that queries come transposed and the result is v · weightsᵀ.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch

from gui.coreml.portable.ir import Op, Operand, Ref
from gui.coreml.portable.ops.context import RuleContext, rule
from gui.coreml.portable.ops.linear_algebra import attention
from gui.coreml.portable.rewrites.graph import Graph, same

ATTENTION = "sfumato.attention"


class _Factor(NamedTuple):
    """An operand of a product; `transposed` relative to attention's [positions, channels]."""

    operand: Operand
    transposed: bool


class _Scores(NamedTuple):
    query: _Factor
    key: _Factor
    scale: float
    mask: Operand | None


def rewrite_attention(graph: Graph) -> int:
    """Replace every attention over matrix products; returns how many."""
    count = 0
    for op in graph.function.ops:
        if op.type != "softmax":
            continue
        rank = len(op.outputs[0][1].shape)
        axis = graph.number(op, "axis", -1.0)
        product = graph.only_reader(op, "matmul")
        if axis is None or product is None or rank < 3 or int(axis) % rank != rank - 1:
            continue
        scores = _scores(graph, op.inputs["x"])
        value = _value(graph, product, op)
        if scores is None or value is None or not _same_rank(graph, scores, value[0], rank):
            continue
        _replace(graph, product, scores, *value)
        count += 1
    return count


def unscaled(graph: Graph, operand: Operand) -> tuple[Operand, float]:
    """Look through a product with (or quotient by) one number: (what is scaled, factor)."""
    op = graph.maker(operand, "mul", "real_div")
    if op is None:
        return operand, 1.0
    factor = graph.scalar(op.inputs["y"])
    if factor is not None:
        if op.type == "mul":
            return op.inputs["x"], factor
        return (op.inputs["x"], 1.0 / factor) if factor != 0.0 else (operand, 1.0)
    factor = graph.scalar(op.inputs["x"]) if op.type == "mul" else None
    return (operand, 1.0) if factor is None else (op.inputs["y"], factor)


def _flag(graph: Graph, op: Op, name: str) -> bool:
    return bool(graph.number(op, name, 0.0))


def _scores(graph: Graph, operand: Operand) -> _Scores | None:
    """What softmax gets, taken apart."""
    below, scale = unscaled(graph, operand)
    mask = None
    product = graph.maker(below, "matmul")
    if product is None:
        added = graph.maker(below, "add")
        if added is None or scale != 1.0:
            return None
        for side, other in (("x", "y"), ("y", "x")):
            below, scale = unscaled(graph, added.inputs[side])
            product = graph.maker(below, "matmul")
            if product is not None:
                mask = added.inputs[other]
                break
    if product is None:
        return None
    query, query_scale = unscaled(graph, product.inputs["x"])
    key, key_scale = unscaled(graph, product.inputs["y"])
    return _Scores(
        _Factor(query, _flag(graph, product, "transpose_x")),
        _Factor(key, not _flag(graph, product, "transpose_y")),
        scale * query_scale * key_scale,
        mask,
    )


def _value(graph: Graph, product: Op, weights: Op) -> tuple[_Factor, bool] | None:
    """(value, whether the result comes out transposed) of the second matrix product."""
    transpose_x, transpose_y = (_flag(graph, product, f"transpose_{side}") for side in "xy")
    if same(product.inputs["x"], Ref(weights.name)):
        return None if transpose_x else (_Factor(product.inputs["y"], transpose_y), False)
    return (_Factor(product.inputs["x"], not transpose_x), True) if transpose_y else None


def _same_rank(graph: Graph, scores: _Scores, value: _Factor, rank: int) -> bool:
    """Fused attention does not broadcast heads or batches."""
    shapes = [graph.shape(f.operand) for f in (scores.query, scores.key, value)]
    return all(len(s) == rank and None not in s and s[:-2] == shapes[0][:-2] for s in shapes)


def _replace(
    graph: Graph, product: Op, scores: _Scores, value: _Factor, transposes_result: bool
) -> None:
    scale, extra, inputs = scores.scale, [], {}
    for name, factor in (("query", scores.query), ("key", scores.key)):
        operand, factor_scale, moved = _scaled_below_transpose(graph, factor.operand, name, product)
        scale *= factor_scale
        extra += moved
        inputs[name] = operand
    inputs["value"] = value.operand
    if scores.mask is not None:
        inputs["mask"] = scores.mask
    attributes = {
        "scale": scale,
        "transposed": (scores.query.transposed, scores.key.transposed, value.transposed),
        "transposes_result": transposes_result,
    }
    graph.replace(product, *extra, Op(ATTENTION, inputs, product.outputs, attributes))


def _scaled_below_transpose(
    graph: Graph, operand: Operand, name: str, product: Op
) -> tuple[Operand, float, list[Op]]:
    """A query scaled before its heads are moved: move the unscaled one instead."""
    moved = graph.maker(operand, "transpose")
    if moved is None:
        return operand, 1.0, []
    source, scale = unscaled(graph, moved.inputs["x"])
    if scale == 1.0:
        return operand, 1.0, []
    fresh = f"{product.name}.{name}"
    stated = moved.outputs[0][1]
    copy = Op("transpose", {**moved.inputs, "x": source}, [(fresh, stated)], moved.attributes)
    return Ref(fresh), scale, [copy]


@rule(ATTENTION)
def fused_attention(ctx: RuleContext, op: Op) -> Any:
    def oriented(tensor: Any, transposed: bool) -> Any:
        return ctx.emit(torch.transpose, tensor, -1, -2) if transposed else tensor

    names = ("query", "key", "value")
    operands = [
        oriented(ctx.tensor(op, name), transposed)
        for name, transposed in zip(names, op.attributes["transposed"], strict=True)
    ]
    mask = ctx.optional_tensor(op, "mask")
    result = ctx.emit(attention, *operands, mask, op.attributes["scale"])
    return oriented(result, op.attributes["transposes_result"])
