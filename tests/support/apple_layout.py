"""diffusers' spatial transformers rewritten in the layout Apple's converter gives a network.

Activations are [B, C, 1, S], every linear layer is a 1×1 convolution, layer norms act on axis 1,
and attention takes one of three forms: one batched product over heads (ORIGINAL), a loop over heads
(SPLIT_EINSUM), or that loop over 512-wide slices of the queries (SPLIT_EINSUM_V2).  Weights are the
diffusers modules' own, so a converted network must agree with the plain one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

QUERY_SLICE = 512
"""Width of a query slice in SPLIT_EINSUM_V2."""

Attend = Callable[[Tensor, Tensor, Tensor, int], Tensor]
"""(queries, keys, values: [B, C, 1, S], heads) → [B, C, 1, S of the queries]"""


def attend_original(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
    batch, channels, _, _ = q.shape
    width = channels // heads
    qh, kh, vh = (x.view(batch, heads, width, -1) for x in (q, k, v))
    weights = torch.einsum("bhcq,bhck->bhqk", qh, kh) * width**-0.5
    mixed = torch.einsum("bhqk,bhck->bhcq", weights.softmax(dim=3), vh)
    return mixed.contiguous().view(batch, channels, 1, -1)


def attend_split(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
    width = q.shape[1] // heads
    keys = k.transpose(1, 3)  # [B, S, 1, C]
    out = []
    for head in range(heads):
        part = slice(head * width, (head + 1) * width)
        weights = torch.einsum("bchq,bkhc->bkhq", q[:, part], keys[..., part]) * width**-0.5
        out.append(torch.einsum("bkhq,bchk->bchq", weights.softmax(dim=1), v[:, part]))
    return torch.cat(out, dim=1)


def attend_split_v2(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
    count = q.shape[3] // QUERY_SLICE
    if count == 0:
        return attend_split(q, k, v, heads)
    if q.shape[3] % QUERY_SLICE:
        raise ValueError("Apple's SPLIT_EINSUM_V2 loses the tail of such a query length")
    width = q.shape[1] // heads
    keys = k.transpose(1, 3)
    out = []
    for head in range(heads):
        part = slice(head * width, (head + 1) * width)
        slices = []
        for n in range(count):
            query = q[:, part, :, n * QUERY_SLICE : (n + 1) * QUERY_SLICE]
            weights = torch.einsum("bchq,bkhc->bkhq", query, keys[..., part]) * width**-0.5
            slices.append(torch.einsum("bkhq,bchk->bchq", weights.softmax(dim=1), v[:, part]))
        out.append(torch.cat(slices, dim=3))
    return torch.cat(out, dim=1)


ATTENTION: dict[str, Attend] = {
    "original": attend_original,
    "split_einsum": attend_split,
    "split_einsum_v2": attend_split_v2,
}


def use_apple_layout(network: nn.Module, attention: str) -> None:
    """Replace, in place, the forward pass of every spatial transformer in `network`.

    Afterwards the network takes its encoder_hidden_states as [B, C, 1, S].
    """
    from diffusers.models.transformers.transformer_2d import Transformer2DModel

    attend = ATTENTION[attention]
    for layer in network.modules():
        if isinstance(layer, Transformer2DModel):
            layer.forward = _transformer(layer, attend)


def _transformer(layer: Any, attend: Attend) -> Callable[..., tuple[Tensor]]:
    def forward(
        hidden_states: Tensor, encoder_hidden_states: Tensor | None = None, **_: Any
    ) -> tuple[Tensor]:
        batch, channels, height, width = hidden_states.shape
        x = _pointwise(layer.proj_in, layer.norm(hidden_states)).reshape(
            batch, -1, 1, height * width
        )
        for block in layer.transformer_blocks:
            n = _layer_norm(block.norm1, x)
            x = x + _attention(block.attn1, n, n, attend)
            n = _layer_norm(block.norm2, x)
            x = x + _attention(block.attn2, n, encoder_hidden_states, attend)
            x = x + _feed_forward(block.ff, _layer_norm(block.norm3, x))
        x = _pointwise(layer.proj_out, x.reshape(batch, -1, height, width))
        return (x.reshape(batch, channels, height, width) + hidden_states,)

    return forward


def _pointwise(layer: Any, x: Tensor) -> Tensor:
    """A linear layer or 1×1 convolution as a 1×1 convolution."""
    weight = layer.weight
    return functional.conv2d(
        x, weight if weight.dim() == 4 else weight[:, :, None, None], layer.bias
    )


def _layer_norm(layer: nn.LayerNorm, x: Tensor) -> Tensor:
    """Layer norm over axis 1, as (x̂ + bias / weight) · weight."""
    centred = x - x.mean(dim=1, keepdim=True)
    scale = (centred.square().mean(dim=1, keepdim=True) + layer.eps).rsqrt()
    weight, bias = (p.view(1, -1, 1, 1) for p in (layer.weight, layer.bias))
    return (centred * scale + bias / weight) * weight


def _attention(layer: Any, x: Tensor, context: Tensor | None, attend: Attend) -> Tensor:
    context = x if context is None else context
    q, k, v = (
        _pointwise(layer.to_q, x),
        _pointwise(layer.to_k, context),
        _pointwise(layer.to_v, context),
    )
    return _pointwise(layer.to_out[0], attend(q, k, v, layer.heads))


def _feed_forward(layer: Any, x: Tensor) -> Tensor:
    hidden, gate = _pointwise(layer.net[0].proj, x).chunk(2, dim=1)
    return _pointwise(layer.net[2], hidden * functional.gelu(gate))
