"""The three forms of attention that Core ML Stable Diffusion models come in.

All work on activations of layout [B, C, 1, S] (batch, channels, 1, positions), with the heads side
by side along the channels.  ORIGINAL is one batched matrix product over all heads and suits the
GPU.  SPLIT_EINSUM computes head by head with einsums over 4-D tensors, which suits the Neural
Engine.  SPLIT_EINSUM_V2 also cuts the queries into slices, so that no intermediate is wider than
the Neural Engine's fast memory; slices are `QUERY_SLICE` wide and the last one is as wide as what
is left, so that no query is lost whatever the picture's size.

The queries come scaled by 1/√(width of a head) already: scaled after the product with the keys,
the scores of some networks (Stable Diffusion 2.1) would leave the range of float16 first.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from gui.coreml.model import Attention
from gui.errors import ErrorKind, SfumatoError

QUERY_SLICE = 512
"""Queries per slice in SPLIT_EINSUM_V2, as in Apple's converter."""

Attend = Callable[[Tensor, Tensor, Tensor, int], Tensor]
"""(scaled queries [B, C, 1, Q], keys and values [B, C, 1, K], heads) → [B, C, 1, Q]."""


def attend(kind: Attention) -> Attend:
    """The function that computes attention of one kind.

    Raises:
        SfumatoError: BAD_REQUEST where there is no such kind to convert to.
    """
    try:
        return _KINDS[kind]
    except KeyError as error:
        raise SfumatoError(
            ErrorKind.BAD_REQUEST,
            "Choose original, split_einsum or split_einsum_v2 as the form of attention.",
            str(kind),
        ) from error


def attend_original(query: Tensor, key: Tensor, value: Tensor, heads: int) -> Tensor:
    """Every head in one batched matrix product."""
    batch, channels, _, _ = query.shape
    width = channels // heads
    q, k, v = (x.reshape(batch, heads, width, x.shape[3]) for x in (query, key, value))
    weights = torch.matmul(q.transpose(2, 3), k).softmax(dim=3)  # [B, heads, Q, K]
    mixed = torch.matmul(v, weights.transpose(2, 3))  # [B, heads, width, Q]
    return mixed.reshape(batch, channels, 1, query.shape[3])


def attend_split(query: Tensor, key: Tensor, value: Tensor, heads: int) -> Tensor:
    """Head by head."""
    return _by_head(query, key, value, heads, _mix)


def attend_split_v2(query: Tensor, key: Tensor, value: Tensor, heads: int) -> Tensor:
    """Head by head, and within a head by slices of the queries."""
    return _by_head(query, key, value, heads, _mix_in_slices)


_KINDS: dict[Attention, Attend] = {
    Attention.ORIGINAL: attend_original,
    Attention.SPLIT_EINSUM: attend_split,
    Attention.SPLIT_EINSUM_V2: attend_split_v2,
}


def _by_head(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    heads: int,
    mix: Callable[[Tensor, Tensor, Tensor], Tensor],
) -> Tensor:
    width = query.shape[1] // heads
    key = key.transpose(1, 3)  # [B, K, 1, C]: the einsum's contraction runs along the last axis
    parts = (slice(head * width, (head + 1) * width) for head in range(heads))
    mixed = [mix(query[:, part], key[:, :, :, part], value[:, part]) for part in parts]
    return mixed[0] if heads == 1 else torch.cat(mixed, dim=1)


def _mix(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """One head: query, value [B, c, 1, S], key [B, K, 1, c]."""
    weights = torch.einsum("bchq,bkhc->bkhq", query, key).softmax(dim=1)
    return torch.einsum("bkhq,bchk->bchq", weights, value)


def _mix_in_slices(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    count = query.shape[3]
    if count <= QUERY_SLICE:
        return _mix(query, key, value)
    starts = range(0, count, QUERY_SLICE)
    slices = [query[:, :, :, s : min(s + QUERY_SLICE, count)] for s in starts]
    return torch.cat([_mix(part, key, value) for part in slices], dim=3)
