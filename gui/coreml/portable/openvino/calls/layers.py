"""Convolutions, matrix products, attention, normalization, pooling."""

from __future__ import annotations

from typing import Any

import torch

from gui.coreml.portable.openvino.calls.arithmetic import common_type
from gui.coreml.portable.openvino.graph import Graph, Node, Traced, UntranslatableError, translates


def _floats(*values: Any) -> None:
    if common_type(*(v for v in values if v is not None)) != torch.float32:
        raise UntranslatableError("a layer over numbers that are no floats")


def _per_axis(value: Any, rank: int) -> list[int]:
    return [value] * rank if isinstance(value, int) else list(value)


def _with_bias(g: Graph, node: Node, bias: Any, rank: int) -> Node:
    """A bias per channel, which is axis 1."""
    if bias is None:
        return node
    vector = g.node(bias, torch.float32)
    return g.ops.add(node, g.reshaped(vector, [1, -1] + [1] * (rank - 2)))


@translates("conv1d", "conv2d", "conv3d")
def conv(
    g: Graph,
    out: torch.Tensor,
    x: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Node:
    _floats(x, weight)
    rank = out.ndim - 2
    if isinstance(padding, str) or x.ndim != out.ndim:
        raise UntranslatableError("a convolution without a batch, or padded by a word")
    strides, pads, dilations = (_per_axis(v, rank) for v in (stride, padding, dilation))
    g.heavy += 1
    if groups == 1:
        node = g.ops.convolution(g.node(x), g.weight(weight), strides, pads, pads, dilations)
        return _with_bias(g, node, bias, out.ndim)
    channels, per_group, *kernel = weight.shape
    grouped = g.reshaped(
        g.node(weight, torch.float32), [groups, channels // groups, per_group, *kernel]
    )
    node = g.ops.group_convolution(g.node(x), grouped, strides, pads, pads, dilations)
    return _with_bias(g, node, bias, out.ndim)


@translates("conv_transpose2d")
def conv_transpose(
    g: Graph,
    out: torch.Tensor,
    x: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Node:
    _floats(x, weight)
    rank = out.ndim - 2
    strides, pads, extra, dilations = (
        _per_axis(v, rank) for v in (stride, padding, output_padding, dilation)
    )
    g.heavy += 1
    filters = g.node(weight, torch.float32)
    layer = g.ops.convolution_backprop_data
    if groups != 1:
        channels, *rest = weight.shape
        filters = g.reshaped(filters, [groups, channels // groups, *rest])
        layer = g.ops.group_convolution_backprop_data
    node = layer(
        g.node(x),
        filters,
        strides,
        pads_begin=pads,
        pads_end=pads,
        dilations=dilations,
        output_padding=extra,
    )
    return _with_bias(g, node, bias, out.ndim)


@translates("linear")
def linear(g: Graph, out: torch.Tensor, x: Any, weight: Any, bias: Any = None) -> Node:
    _floats(x, weight)
    if weight.ndim != 2 or x.ndim < 2:
        raise UntranslatableError("a linear layer over one vector")
    g.heavy += 1
    node = g.ops.matmul(g.node(x), g.weight(weight), False, True)
    return node if bias is None else g.ops.add(node, g.node(bias, torch.float32))


@translates("matmul")
def matmul(g: Graph, out: torch.Tensor, x: Any, y: Any) -> Node:
    _floats(x, y)
    if x.ndim < 2 or y.ndim < 2:
        raise UntranslatableError("a product with one vector")
    g.heavy += 1
    second = g.weight(y) if y.ndim == 2 and isinstance(x, Traced) else g.node(y)
    return g.ops.matmul(g.node(x), second, False, False)


@translates("einsum")
def einsum(g: Graph, out: torch.Tensor, equation: str, *operands: Any) -> Node:
    tensors = operands[0] if isinstance(operands[0], (list, tuple)) else operands
    _floats(*tensors)
    if "..." in equation or "->" not in equation:
        raise UntranslatableError(f"the equation {equation}")
    g.heavy += 1
    return g.ops.einsum([g.node(t) for t in tensors], equation.replace(" ", ""))


@translates("scaled_dot_product_attention")
def attention(
    g: Graph,
    out: torch.Tensor,
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
) -> Node:
    _floats(query, key, value)
    if out.ndim < 3 or is_causal or query.shape[:-2] != key.shape[:-2]:
        raise UntranslatableError("attention of another form")
    g.heavy += 1
    factor = query.shape[-1] ** -0.5 if scale is None else scale
    mask = None
    if attn_mask is not None:
        mask = g.node(attn_mask)
    elif scale is not None:  # a scale is the operand after the mask
        mask = g.node(0.0)
    operands = [g.node(query), g.node(key), g.node(value)]
    return g.ops.scaled_dot_product_attention(
        *operands, mask, None if mask is None else g.node(float(factor))
    )


@translates("group_norm")
def group_norm(
    g: Graph,
    out: torch.Tensor,
    x: Any,
    groups: int,
    weight: Any = None,
    bias: Any = None,
    eps: float = 1e-5,
) -> Node:
    _floats(x)
    channels = out.shape[1]
    scale = torch.ones(channels) if weight is None else weight
    shift = torch.zeros(channels) if bias is None else bias
    return g.ops.group_normalization(
        g.node(x), g.node(scale, torch.float32), g.node(shift, torch.float32), groups, eps
    )


def _standardised(g: Graph, x: Any, axes: Any, eps: float) -> Node:
    return g.ops.mvn(g.node(x), g.integers(axes), True, eps, "INSIDE_SQRT").output(0)


@translates("layer_norm")
def layer_norm(
    g: Graph,
    out: torch.Tensor,
    x: Any,
    shape: Any,
    weight: Any = None,
    bias: Any = None,
    eps: float = 1e-5,
) -> Node:
    _floats(x)
    node = _standardised(g, x, range(out.ndim - len(shape), out.ndim), eps)
    if weight is not None:
        node = g.ops.multiply(node, g.node(weight, torch.float32)).output(0)
    return node if bias is None else g.ops.add(node, g.node(bias, torch.float32))


@translates("instance_norm")
def instance_norm(
    g: Graph,
    out: torch.Tensor,
    x: Any,
    running_mean: Any,
    running_var: Any,
    weight: Any,
    bias: Any,
    use_input_stats: bool,
    momentum: float,
    eps: float,
) -> Node:
    _floats(x)
    if not use_input_stats or out.ndim < 3:
        raise UntranslatableError("instance norm by running statistics")
    node = _standardised(g, x, range(2, out.ndim), eps)
    if weight is not None:
        shape = [1, -1] + [1] * (out.ndim - 2)
        node = g.ops.multiply(node, g.reshaped(g.node(weight, torch.float32), shape)).output(0)
    return _with_bias(g, node, bias, out.ndim)


@translates("avg_pool2d")
def avg_pool(
    g: Graph,
    out: torch.Tensor,
    x: Any,
    kernel: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil: bool = False,
    counts_padding: bool = True,
) -> Node:
    rank = _pooled_rank(out, x, ceil)
    sizes, pads = _per_axis(kernel, rank), _per_axis(padding, rank)
    strides = _per_axis(stride or kernel, rank)
    return g.ops.avg_pool(g.node(x), strides, pads, pads, sizes, not counts_padding)


@translates("max_pool2d")
def max_pool(
    g: Graph,
    out: torch.Tensor,
    x: Any,
    kernel: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil: bool = False,
    **_: Any,
) -> Node:
    rank = _pooled_rank(out, x, ceil)
    sizes, pads = _per_axis(kernel, rank), _per_axis(padding, rank)
    strides, dilations = _per_axis(stride or kernel, rank), _per_axis(dilation, rank)
    return g.ops.max_pool(g.node(x), strides, dilations, pads, pads, sizes).output(0)


def _pooled_rank(out: torch.Tensor, x: Any, ceil: bool) -> int:
    _floats(x)
    if ceil or x.ndim < 3:
        raise UntranslatableError("pooling that rounds up")
    return out.ndim - 2
