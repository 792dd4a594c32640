"""oneDNN's own operations: convolutions, linear layers and attention on weights in its layout.

torch's CPU convolution brings a weight into oneDNN's blocked layout at every call; for the deep
levels of a UNet, with large weights over few positions, that is a quarter of the time.  Its linear
layers and its attention go to MKL, which on other makers' processors than Intel's leaves half of
each vector unit idle; oneDNN does not.  The ops used here are those that torch's own compiler emits
for frozen graphs.  They are no public interface, so they are tried once, against the public
operations, and left alone where absent (Arm builds) or wrong.
"""

from __future__ import annotations

import functools
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812

from gui.coreml.processor import INTEL, this_processor

_SCORES_PER_THREAD = 1 << 20
"""How many scores of attention stand in memory at once: 4 MB a thread, which a cache holds."""
_FEWEST_QUERIES = 256
"""Below these two, what a call costs by itself outweighs what it wins."""
_FEWEST_CHANNELS = 32


@functools.cache
def is_available() -> bool:
    """Whether this build of torch packs and computes correctly."""
    if not torch.backends.mkldnn.is_available():
        return False
    values = torch.arange(2 * 3 * 4 * 5, dtype=torch.float32).reshape(2, 3, 4, 5).sin()
    kernel = torch.arange(8 * 3 * 3 * 3, dtype=torch.float32).reshape(8, 3, 3, 3).cos()
    matrix, bias = kernel.reshape(8, 27)[:, :5], torch.ones(8)
    with torch.inference_mode():
        want = F.conv2d(values, kernel, bias, (2, 1), (1, 1), (1, 1))
        product = F.linear(values, matrix, bias)
        try:
            packed = _reorder(kernel, [2, 1], [1, 1], [1, 1], list(values.shape))
            got = convolution(values, packed, bias, [2, 1], [1, 1], [1, 1])
            mine = linear(values, _reorder_matrix(matrix, 24), bias)
        except (AttributeError, RuntimeError, TypeError):
            return False
        return all(
            a.shape == b.shape and torch.allclose(a, b, 1e-4, 1e-5)
            for a, b in ((got, want), (mine, product))
        )


@functools.cache
def beats_mkl() -> bool:
    """Whether matrix products are better left to oneDNN on this machine's processor."""
    processor = this_processor()
    return is_available() and processor.is_x86 and processor.maker != INTEL


def packs_convolution(weight: torch.Tensor) -> bool:
    """Whether `pack_convolution` takes this weight: float32 [out, in, h, w], of one group."""
    return weight.ndim == 4 and _packs(weight)


def _packs(weight: torch.Tensor) -> bool:
    return weight.dtype == torch.float32 and weight.numel() > 0 and is_available()


def pack_convolution(
    weight: torch.Tensor,
    strides: list[int],
    padding: list[int],
    dilations: list[int],
    input_shape: tuple[int, ...],
) -> torch.Tensor:
    """A weight packed for inputs of this shape."""
    with torch.inference_mode():
        return _reorder(weight, strides, padding, dilations, list(input_shape))


def _reorder(
    weight: torch.Tensor,
    strides: list[int],
    padding: list[int],
    dilations: list[int],
    input_shape: list[int],
) -> torch.Tensor:
    reorder: Any = torch.ops.mkldnn._reorder_convolution_weight
    return reorder(weight, padding, strides, dilations, 1, input_shape)


def convolution(
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    strides: list[int],
    padding: list[int],
    dilations: list[int],
) -> torch.Tensor:
    """`conv2d` with a weight from `pack_convolution`."""
    convolve: Any = torch.ops.mkldnn._convolution_pointwise.default
    return convolve(x, weight, bias, padding, strides, dilations, 1, "none", [], "")


def packs_linear(weight: torch.Tensor) -> bool:
    """Whether `pack_linear` takes this weight: float32 [out, in]."""
    return weight.ndim == 2 and _packs(weight)


def pack_linear(weight: torch.Tensor, rows: int) -> torch.Tensor:
    """A weight packed for inputs of so many rows."""
    with torch.inference_mode():
        return _reorder_matrix(weight, max(1, rows))


def _reorder_matrix(weight: torch.Tensor, rows: int) -> torch.Tensor:
    reorder: Any = torch.ops.mkldnn._reorder_linear_weight
    return reorder(weight.contiguous(), rows)


def linear(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """`torch.nn.functional.linear` with a weight from `pack_linear`, or a plain one."""
    multiply: Any = torch.ops.mkldnn._linear_pointwise.default
    return multiply(x, weight, bias, "none", [], "")


def takes_attention(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> bool:
    """Whether `attention` is the faster one for these [batch, heads, positions, channels]."""
    return (
        query.ndim == 4
        and query.shape[2] >= _FEWEST_QUERIES
        and query.shape[3] >= _FEWEST_CHANNELS
        and all(t.dtype == torch.float32 and not t.is_meta for t in (query, key, value))
        and query.shape[:2] == key.shape[:2] == value.shape[:2]
        and query.shape[3] == key.shape[3]
        and 0 < key.shape[2] == value.shape[2]
        and value.shape[3] > 0
        and beats_mkl()
    )


def attention(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float
) -> torch.Tensor:
    """softmax(query · keyᵀ · scale) · value, a block of queries of one head at a time.

    Args:
        query: [batch, heads, queries, channels].
        key: [batch, heads, keys, channels].
        value: [batch, heads, keys, channels of the result].
        scale: of the scores.

    Returns:
        [batch, heads, queries, channels], laid out with the heads next to the channels, as it is
        joined next.
    """
    batch, heads, queries, _ = query.shape
    query, key = query * scale, key.contiguous()
    value = value.transpose(2, 3).contiguous()
    result = query.new_empty(batch, queries, heads, value.shape[2])
    block = max(1, _SCORES_PER_THREAD * torch.get_num_threads() // key.shape[2])
    for picture in range(batch):
        for head in range(heads):
            keys, values = key[picture, head], value[picture, head]
            for start in range(0, queries, block):
                end = start + block
                scores = linear(query[picture, head, start:end], keys, None)
                torch.softmax(scores, -1, out=scores)
                result[picture, start:end, head] = linear(scores, values, None)
    return result.transpose(1, 2)
