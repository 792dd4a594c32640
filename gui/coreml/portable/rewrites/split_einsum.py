"""Apple's SPLIT_EINSUM attention, a loop over heads → one multi-head attention.

Per head (and, in version 2, per slice of 512 queries): slices of queries [B, C, 1, S], of keys
transposed to [B, S, 1, C] and of values [B, C, 1, S]; einsum, softmax over axis 1, einsum; the
results joined along positions, then along channels.  The heads' loop costs many small calls and
strided copies here; recognised as a whole it is one call.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch

from gui.coreml.portable.ir import Op, Operand, Ref
from gui.coreml.portable.ops.context import RuleContext, rule
from gui.coreml.portable.ops.linear_algebra import attention
from gui.coreml.portable.rewrites.attention import unscaled
from gui.coreml.portable.rewrites.graph import Graph

MULTI_HEAD = "sfumato.multi_head_attention"


class _Slice(NamedTuple):
    """source[begin:end] along one axis; axis None where it is all of the source."""

    source: str
    axis: int | None
    begin: int
    end: int


class _Part(NamedTuple):
    """One head, or one slice of a head's queries."""

    query: Operand
    key: Operand
    value: Operand
    scale: float


class _Head(NamedTuple):
    query: _Slice
    key: _Slice
    value: _Slice
    scale: float


def _pattern(equation: str, *, swapped: bool) -> str:
    """An einsum equation with letters renamed in order of appearance."""
    operands, result = equation.replace(" ", "").split("->")
    first, second = operands.split(",")
    if swapped:
        first, second = second, first
    names: dict[str, str] = {}
    letters = f"{first},{second}->{result}"
    return "".join(names.setdefault(c, chr(97 + len(names))) if c.isalpha() else c for c in letters)


_SCORES = _pattern("bkhc,bchq->bkhq", swapped=False)
_MIX = _pattern("bkhq,bchk->bchq", swapped=False)


def rewrite_split_einsum(graph: Graph) -> int:
    """Replace every such loop; returns how many."""
    count = 0
    for op in graph.function.ops:
        if op.type != "concat" or _concat_axis(graph, op) != 1:
            continue
        heads = [_head(graph, operand) for operand in op.inputs["values"]]
        first = heads[0] if heads else None
        if first is None or not _covers(graph, op, heads):
            continue
        keys = graph.maker(Ref(first.key.source), "transpose", shared=True)
        perm = graph.argument(keys, "perm") if keys is not None else None
        if keys is None or perm is None or [int(p) % 4 for p in perm] != [0, 3, 2, 1]:
            continue
        inputs = {
            "query": Ref(first.query.source),
            "key": keys.inputs["x"],
            "value": Ref(first.value.source),
        }
        attributes = {"heads": len(heads), "scale": first.scale}
        graph.replace(op, Op(MULTI_HEAD, inputs, op.outputs, attributes))
        count += 1
    return count


def _concat_axis(graph: Graph, op: Op) -> int | None:
    axis = graph.number(op, "axis", 0.0)
    if axis is None or len(op.outputs[0][1].shape) != 4 or graph.number(op, "interleave", 0.0):
        return None
    return int(axis) % 4


def _head(graph: Graph, operand: Operand) -> _Head | None:
    """One head, its query slices put together again."""
    joined = graph.maker(operand, "concat")
    is_sliced = joined is not None and _concat_axis(graph, joined) == 3
    operands = joined.inputs["values"] if joined is not None and is_sliced else [operand]
    parts = [_part(graph, o) for o in operands]
    first = parts[0] if parts else None
    if first is None:
        return None
    query: _Slice | None = None
    position = 0
    for part in parts:
        if part is None or part[1:] != first[1:]:
            return None
        piece = _slice(graph, part.query)
        if piece is not None and len(parts) > 1:
            if piece.axis != 3 or piece.begin != position:
                return None
            position = piece.end
            piece = _slice(graph, Ref(piece.source))
        if piece is None or (query is not None and query != piece):
            return None
        query = piece
    key, value = _slice(graph, first.key), _slice(graph, first.value)
    if query is None or key is None or value is None:
        return None
    if len(parts) > 1 and position != graph.shape(Ref(query.source))[3]:
        return None  # some queries are left out
    return _Head(query, key, value, first.scale)


def _covers(graph: Graph, op: Op, heads: list[_Head | None]) -> bool:
    """The heads lie side by side, share their sources and leave no channel out."""
    first, position = heads[0], 0
    for head in heads:
        if head is None or first is None or head.scale != first.scale:
            return False
        for piece, other, axis in (
            (head.query, first.query, 1),
            (head.key, first.key, 3),
            (head.value, first.value, 1),
        ):
            whole = piece.axis is None and len(heads) == 1
            if piece.source != other.source or not (whole or piece.axis == axis):
                return False
            if piece.begin != position or piece.end != head.query.end:
                return False
        if head.query.end - position != (first.query.end - first.query.begin):
            return False
        position = head.query.end
    return position == op.outputs[0][1].shape[1]


def _part(graph: Graph, operand: Operand) -> _Part | None:
    mix = _einsum(graph, operand, _MIX)
    if mix is None:
        return None
    weights, value = mix
    softmax = graph.maker(weights, "softmax")
    axis = graph.number(softmax, "axis", -1.0) if softmax is not None else None
    if softmax is None or axis is None or int(axis) % 4 != 1:
        return None
    below, scale = unscaled(graph, softmax.inputs["x"])
    scores = _einsum(graph, below, _SCORES)
    if scores is None:
        return None
    key, query = scores
    return _Part(query, key, value, scale)


def _einsum(graph: Graph, operand: Operand, pattern: str) -> tuple[Operand, Operand] | None:
    """The operands of an einsum of this pattern, in the pattern's order."""
    op = graph.maker(operand, "einsum")
    equation = graph.constant(op.inputs["equation"]) if op is not None else None
    if op is None or not isinstance(equation, str) or len(op.inputs["values"]) != 2:
        return None
    if equation.count(",") != 1 or equation.count("->") != 1:
        return None
    first, second = op.inputs["values"]
    if _pattern(equation, swapped=False) == pattern:
        return first, second
    return (second, first) if _pattern(equation, swapped=True) == pattern else None


def _slice(graph: Graph, operand: Operand) -> _Slice | None:
    """A slice along at most one axis, by whatever op it is made."""
    if not isinstance(operand, Ref):
        return None
    split = graph.maker(operand, "split", shared=True)
    if split is not None:
        return _piece_of_split(graph, split, operand.name)
    op = graph.maker(operand, "slice_by_index", shared=True)
    if op is None or not isinstance(op.inputs["x"], Ref):
        return None
    source = op.inputs["x"]
    before, after = graph.shape(source), op.outputs[0][1].shape
    stride, begin = graph.argument(op, "stride"), graph.argument(op, "begin")
    if len(before) != len(after) or begin is None:
        return None
    if stride is not None and any(int(s) != 1 for s in stride):
        return None
    cut = [axis for axis, (b, a) in enumerate(zip(before, after, strict=True)) if b != a]
    if len(cut) > 1:
        return None
    if not cut:
        return _Slice(source.name, None, 0, int(before[1] or 0))
    axis, size = cut[0], after[cut[0]]
    mask = graph.argument(op, "begin_mask")
    start = 0 if mask is not None and mask[axis] else int(begin[axis])
    whole = before[axis]
    if size is None or whole is None:
        return None
    start += whole if start < 0 else 0
    return _Slice(source.name, axis, start, start + size)


def _piece_of_split(graph: Graph, op: Op, name: str) -> _Slice | None:
    axis = graph.number(op, "axis", 0.0)
    if axis is None or not isinstance(op.inputs["x"], Ref):
        return None
    along, position = int(axis) % len(op.outputs[0][1].shape), 0
    for output, stated in op.outputs:
        size = stated.shape[along]
        if size is None:
            return None
        if output == name:
            return _Slice(op.inputs["x"].name, along, position, position + size)
        position += size
    return None


def _multi_head(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, heads: int, scale: float
) -> torch.Tensor:
    """Attention over [B, C, 1, S] tensors."""

    def split(x: torch.Tensor) -> torch.Tensor:
        batch, channels, _, positions = x.shape
        return x.reshape(batch, heads, channels // heads, positions).transpose(2, 3)

    mixed = attention(split(query), split(key), split(value), None, scale)
    batch, _, positions, width = mixed.shape
    return mixed.transpose(2, 3).reshape(batch, heads * width, 1, positions)


@rule(MULTI_HEAD)
def multi_head_attention(ctx: RuleContext, op: Op) -> Any:
    operands = [ctx.tensor(op, name) for name in ("query", "key", "value")]
    return ctx.emit(_multi_head, *operands, op.attributes["heads"], op.attributes["scale"])
