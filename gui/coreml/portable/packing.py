"""Convolution weights in oneDNN's own blocked layout.

torch's CPU convolution brings the weight into that layout at every call; for the deep levels of a
UNet, with large weights over few positions, that is a quarter of the time.  The ops used here are
those that torch's own compiler emits for frozen graphs.  They are no public interface, so they are
tried once, against the public convolution, and left alone where absent (Arm builds) or wrong.
"""

from __future__ import annotations

import functools
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812


@functools.cache
def is_available() -> bool:
    """Whether this build of torch packs and computes correctly."""
    if not torch.backends.mkldnn.is_available():
        return False
    values = torch.arange(2 * 3 * 4 * 5, dtype=torch.float32).reshape(2, 3, 4, 5).sin()
    weight = torch.arange(8 * 3 * 3 * 3, dtype=torch.float32).reshape(8, 3, 3, 3).cos()
    bias = torch.ones(8)
    with torch.inference_mode():
        want = F.conv2d(values, weight, bias, (2, 1), (1, 1), (1, 1))
        try:
            packed = _reorder(weight, [2, 1], [1, 1], [1, 1], list(values.shape))
            got = packed_convolution(values, packed, bias, [2, 1], [1, 1], [1, 1])
            return got.shape == want.shape and bool(torch.allclose(got, want, 1e-4, 1e-5))
        except (AttributeError, RuntimeError, TypeError):
            return False


def pack(
    weight: torch.Tensor,
    strides: list[int],
    padding: list[int],
    dilations: list[int],
    input_shape: tuple[int, ...],
) -> torch.Tensor | None:
    """A float32 weight [out, in, h, w] of one group packed for inputs of this shape, or None."""
    if weight.ndim != 4 or weight.dtype != torch.float32 or not is_available():
        return None
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


def packed_convolution(
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    strides: list[int],
    padding: list[int],
    dilations: list[int],
) -> torch.Tensor:
    """`conv2d` with a weight from `pack`."""
    convolve: Any = torch.ops.mkldnn._convolution_pointwise
    return convolve(x, weight, bias, padding, strides, dilations, 1, "none", [], "")
