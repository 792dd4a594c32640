"""Calls that move, cut, join and repeat elements."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

from gui.coreml.portable.openvino.graph import Graph, Node, UntranslatableError, translates


@translates("reshape", "flatten", "unsqueeze", "squeeze")
def reshape(g: Graph, out: torch.Tensor, x: Any, *_: Any, **__: Any) -> Node:
    return g.reshaped(g.node(x), out.shape)


@translates("contiguous")
def same(g: Graph, out: torch.Tensor, x: Any, **_: Any) -> Node:
    return g.node(x)


@translates("permute")
def permute(g: Graph, out: torch.Tensor, x: Any, *order: Any) -> Node:
    axes = order[0] if len(order) == 1 and not isinstance(order[0], int) else order
    return g.ops.transpose(g.node(x), g.integers(axis % out.ndim for axis in axes))


@translates("transpose")
def transpose(g: Graph, out: torch.Tensor, x: Any, first: int, second: int) -> Node:
    order = list(range(out.ndim))
    order[first], order[second] = order[second], order[first]
    return g.ops.transpose(g.node(x), g.integers(order))


@translates("movedim")
def movedim(g: Graph, out: torch.Tensor, x: Any, source: Any, destination: Any) -> Node:
    sources = [source] if isinstance(source, int) else source
    places = [destination] if isinstance(destination, int) else destination
    moved = {p % out.ndim: s % out.ndim for s, p in zip(sources, places, strict=True)}
    rest = iter(axis for axis in range(out.ndim) if axis not in moved.values())
    order = [moved[axis] if axis in moved else next(rest) for axis in range(out.ndim)]
    return g.ops.transpose(g.node(x), g.integers(order))


@translates("expand")
def expand(g: Graph, out: torch.Tensor, x: Any, *_: Any) -> Node:
    return g.ops.broadcast(g.node(x), g.integers(out.shape))


@translates("tile")
def tile(g: Graph, out: torch.Tensor, x: Any, *reps: Any) -> Node:
    counts = list(reps[0] if len(reps) == 1 and not isinstance(reps[0], int) else reps)
    return g.ops.tile(g.node(x), g.integers([1] * (out.ndim - len(counts)) + counts))


@translates("cat")
def cat(g: Graph, out: torch.Tensor, tensors: Any, dim: int = 0) -> Node:
    return g.ops.concat([g.node(t, out.dtype) for t in tensors], dim % out.ndim)


@translates("stack")
def stack(g: Graph, out: torch.Tensor, tensors: Any, dim: int = 0) -> Node:
    dim %= out.ndim
    shape = list(out.shape)
    shape[dim] = 1
    return g.ops.concat([g.reshaped(g.node(t, out.dtype), shape) for t in tensors], dim)


@translates("narrow")
def narrow(g: Graph, out: torch.Tensor, x: Any, dim: int, start: int, length: int) -> Node:
    return _sliced(g, g.node(x), {dim % out.ndim: (start, start + length, 1)})


@translates("select")
def select(g: Graph, out: torch.Tensor, x: Any, dim: int, index: int) -> Node:
    dim, sizes = dim % x.ndim, x.shape
    start = index % sizes[dim]
    return g.reshaped(_sliced(g, g.node(x), {dim: (start, start + 1, 1)}), out.shape)


def _sliced(g: Graph, node: Node, bounds: dict[int, tuple[int, int, int]]) -> Node:
    """Axes cut to (begin, end, step)."""
    if not bounds:
        return node
    begins, ends, steps = (g.integers(part) for part in zip(*bounds.values(), strict=True))
    return g.ops.slice(node, begins, ends, steps, g.integers(bounds)).output(0)


@translates("__getitem__")
def getitem(g: Graph, out: torch.Tensor, x: Any, index: Any) -> Node:
    parts = list(index) if isinstance(index, tuple) else [index]
    if any(part is None or isinstance(part, (bool, list)) for part in parts):
        raise UntranslatableError("an index that makes axes")
    tensors = [part for part in parts if isinstance(part, torch.Tensor)]
    if Ellipsis in [part for part in parts if not isinstance(part, torch.Tensor)]:
        at = next(i for i, part in enumerate(parts) if part is Ellipsis)
        parts[at : at + 1] = [slice(None)] * (x.ndim - len(parts) + 1)
    if tensors:
        return _picked(g, x, parts)
    bounds = {}
    for axis, (part, size) in enumerate(zip(parts, x.shape, strict=False)):
        if isinstance(part, slice):
            begin, end, step = part.indices(size)
            if (begin, end, step) != (0, size, 1):
                bounds[axis] = (begin, max(begin, end), step)
        else:
            bounds[axis] = (int(part) % size, int(part) % size + 1, 1)
    return g.reshaped(_sliced(g, g.node(x), bounds), out.shape)


def _picked(g: Graph, x: Any, parts: list[Any]) -> Node:
    """One tensor of places among whole axes."""
    *before, places = parts
    is_plain = isinstance(places, torch.Tensor) and places.dtype in (torch.int32, torch.int64)
    if not is_plain or any(p != slice(None) for p in before):
        raise UntranslatableError("several tensors as an index")
    return g.ops.gather(g.node(x), g.node(places), g.node(len(before)))


@translates("index_select")
def index_select(g: Graph, out: torch.Tensor, x: Any, dim: int, index: Any) -> Node:
    return g.ops.gather(g.node(x), g.node(index), g.node(dim % out.ndim))


@translates("flip")
def flip(g: Graph, out: torch.Tensor, x: Any, dims: Any) -> Node:
    node = g.node(x)
    for dim in dims:
        places = g.integers(range(out.shape[dim] - 1, -1, -1))
        node = g.ops.gather(node, places, g.node(dim % out.ndim)).output(0)
    return node


_PADDINGS = {"constant": "constant", "reflect": "reflect", "replicate": "edge"}


@translates("pad")
def pad(
    g: Graph, out: torch.Tensor, x: Any, pad: Any, mode: str = "constant", value: Any = None
) -> Node:
    if min(pad, default=0) < 0 or mode not in _PADDINGS:
        raise UntranslatableError(f"padding {pad} of mode {mode}")
    before, after = np.zeros((2, out.ndim), np.int64)
    for n in range(len(pad) // 2):
        before[-1 - n], after[-1 - n] = pad[2 * n], pad[2 * n + 1]
    rest = (g.node(value or 0, out.dtype),) if mode == "constant" else ()
    sides = g.integers(before.tolist()), g.integers(after.tolist())
    return g.ops.pad(g.node(x), *sides, _PADDINGS[mode], *rest)


@translates("pixel_shuffle")
def pixel_shuffle(g: Graph, out: torch.Tensor, x: Any, factor: int) -> Node:
    *batch, channels, height, width = x.shape
    cells = [*batch, channels // factor**2, factor, factor, height, width]
    n = len(batch)
    order = [*range(n), n, n + 3, n + 1, n + 4, n + 2]
    split = g.ops.transpose(g.reshaped(g.node(x), cells), g.integers(order))
    return g.reshaped(split.output(0), out.shape)


@translates("pixel_unshuffle")
def pixel_unshuffle(g: Graph, out: torch.Tensor, x: Any, factor: int) -> Node:
    *batch, channels, height, width = x.shape
    cells = [*batch, channels, height // factor, factor, width // factor, factor]
    n = len(batch)
    order = [*range(n), n, n + 2, n + 4, n + 1, n + 3]
    split = g.ops.transpose(g.reshaped(g.node(x), cells), g.integers(order))
    return g.reshaped(split.output(0), out.shape)


@translates("interpolate")
def interpolate(
    g: Graph,
    out: torch.Tensor,
    x: Any,
    size: Any,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    **_: Any,
) -> Node:
    """Of images [B, C, H, W], to a size."""
    if out.ndim != 4 or mode not in ("nearest", "bilinear") or out.dtype != torch.float32:
        raise UntranslatableError(f"interpolation of mode {mode}")
    node = g.node(x)
    if mode == "nearest":
        return _nearest(g, node, x.shape[2:], out.shape[2:])
    return g.ops.interpolate(
        node,
        g.integers(out.shape[2:]),
        mode="linear_onnx",
        shape_calculation_mode="sizes",
        coordinate_transformation_mode="align_corners" if align_corners else "half_pixel",
        axes=g.integers([2, 3]),
    )


def _nearest(g: Graph, node: Node, old: Any, new: Any) -> Node:
    if all(after % before == 0 for before, after in zip(old, new, strict=True)):
        return g.ops.interpolate(
            node,
            g.integers(new),
            mode="nearest",
            shape_calculation_mode="sizes",
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
            axes=g.integers([2, 3]),
        )
    for axis, (before, after) in enumerate(zip(old, new, strict=True), 2):
        places = torch.arange(before, dtype=torch.float32).reshape(1, 1, -1)
        picked = F.interpolate(places, after, None, "nearest").reshape(-1)  # torch's own rounding
        node = g.ops.gather(node, g.integers(picked.long().tolist()), g.node(axis)).output(0)
    return node
