"""UNets and ControlNets of diffusers, rewritten in the layout that Apple's processors like.

Transformer activations become [B, C, 1, S] (batch, channels, 1, positions) instead of [B, S, C],
every linear layer a 1×1 convolution, layer norms act on axis 1, and attention takes one of the
forms in `gui.convert.networks.attention`.  The idea is that of Apple's "Deploying Transformers on
the Apple Neural Engine" (2022).  The rewriting is done in place, layer by layer, and the new layers
look at the old ones' weights: nothing is held twice.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from gui.convert.networks.attention import Attend, attend
from gui.coreml.model import Attention
from gui.errors import ErrorKind, SfumatoError

SMALLEST_GAMMA = 2.0**-24
"""Smallest magnitude that a layer norm's weight keeps: float16's smallest number above zero."""


def use_core_ml_layout(network: nn.Module, attention: Attention) -> None:
    """Rewrite a diffusers UNet or ControlNet in place.

    Afterwards the network takes its encoder_hidden_states as [B, C, 1, S]; everything else about
    calling it, and every result, stays the same.

    Raises:
        SfumatoError: UNSUPPORTED where the network holds a layer that this cannot rewrite;
            BAD_REQUEST for an attention kind that cannot be written.
    """
    from diffusers.models.attention_processor import Attention as DiffusersAttention
    from diffusers.models.transformers.transformer_2d import Transformer2DModel

    form = attend(attention)
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if type(child) is Transformer2DModel:
                setattr(parent, name, SpatialTransformer(child, form))
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, DiffusersAttention):
                raise _unsupported(type(parent).__name__)
            if type(child) is nn.Linear:  # those left are of time and size embeddings
                setattr(parent, name, RowsAsImages(child))


def _unsupported(what: str) -> SfumatoError:
    return SfumatoError(
        ErrorKind.UNSUPPORTED,
        "This network is built of layers that cannot be converted; choose Stable Diffusion 1, 2 or "
        "XL, or a fine-tune of one of them.",
        what,
    )


def _frozen(tensor: Tensor) -> nn.Parameter:
    return nn.Parameter(tensor, requires_grad=False)


class Pointwise(nn.Module):
    """A linear layer (or 1×1 convolution) over the channels of [B, C, H, W].

    Args:
        layer: whose weights to use.
        scale: factor of the result.
    """

    def __init__(self, layer: nn.Module, scale: float = 1.0) -> None:
        super().__init__()
        weight: Tensor = layer.weight  # type: ignore[assignment]
        if weight.dim() == 2:
            weight = weight.detach()[:, :, None, None]
        if weight.shape[2:] != (1, 1):
            raise _unsupported(f"{type(layer).__name__} with a kernel of {tuple(weight.shape)}")
        bias: Tensor | None = layer.bias  # type: ignore[assignment]
        weight, bias = weight.detach(), None if bias is None else bias.detach()
        if scale != 1.0:
            weight, bias = weight * scale, None if bias is None else bias * scale
        self.weight = _frozen(weight)
        self.bias = None if bias is None else _frozen(bias)

    def forward(self, x: Tensor) -> Tensor:
        return functional.conv2d(x, self.weight, self.bias)


class RowsAsImages(nn.Module):
    """A linear layer over rows [B, C], computed as a 1×1 convolution over [B, C, 1, 1]."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.layer = Pointwise(layer)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x[:, :, None, None])[:, :, 0, 0]


class ChannelNorm(nn.Module):
    """Layer norm over axis 1 of [B, C, 1, S].

    Written as (x̂ + β / γ) · γ, the form that coremltools recognises and stores as one
    `layer_norm` with γ and β.  Where γ is (nearly) zero the quotient is not a number: γ is then
    taken as ±`SMALLEST_GAMMA`, whose product with x̂ is below what float16 can hold, so that the
    result is β as it should be.
    """

    def __init__(self, layer: nn.LayerNorm) -> None:
        super().__init__()
        weight = torch.ones(layer.normalized_shape) if layer.weight is None else layer.weight
        bias = torch.zeros(layer.normalized_shape) if layer.bias is None else layer.bias
        gamma = weight.detach().float()
        least = torch.full_like(gamma, SMALLEST_GAMMA).copysign(gamma)
        gamma = torch.where(gamma.abs() < SMALLEST_GAMMA, least, gamma)
        self.gamma = _frozen(gamma.view(1, -1, 1, 1))
        self.quotient = _frozen((bias.detach().float() / gamma).view(1, -1, 1, 1))
        self.epsilon = layer.eps

    def forward(self, x: Tensor) -> Tensor:
        centred = x - x.mean(dim=1, keepdim=True)
        variance = (centred * centred).mean(dim=1, keepdim=True)
        normal = centred * (variance + self.epsilon).rsqrt()
        return (normal + self.quotient) * self.gamma


class SplitAttention(nn.Module):
    """Self- or cross-attention with the weights of diffusers' `Attention`."""

    def __init__(self, layer: Any, form: Attend) -> None:
        super().__init__()
        extras = ("norm_q", "norm_k", "norm_cross", "group_norm", "spatial_norm", "add_k_proj")
        if any(getattr(layer, name, None) is not None for name in extras):
            raise _unsupported("attention with norms or projections of its own")
        self.heads = int(layer.heads)
        # Scaled here and not in the graph, where coremltools would fold the factor into the weight
        # and forget the weight's name, by which recipes of compression know it.
        width = layer.to_q.weight.shape[0] // self.heads
        self.to_q = Pointwise(layer.to_q, scale=width**-0.5)
        self.to_k = Pointwise(layer.to_k)
        self.to_v = Pointwise(layer.to_v)
        self.to_out = Pointwise(layer.to_out[0])
        self.form = form

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        mixed = self.form(self.to_q(x), self.to_k(context), self.to_v(context), self.heads)
        return self.to_out(mixed)


class GatedFeedForward(nn.Module):
    """The feed-forward part: a projection gated by GELU (GEGLU, Shazeer 2020), and one back."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        from diffusers.models.activations import GEGLU

        if not isinstance(layer.net[0], GEGLU) or len(layer.net) != 3:
            raise _unsupported(f"a feed-forward part of {type(layer.net[0]).__name__}")
        self.proj_in = Pointwise(layer.net[0].proj)
        self.proj_out = Pointwise(layer.net[2])

    def forward(self, x: Tensor) -> Tensor:
        hidden, gate = self.proj_in(x).chunk(2, dim=1)
        return self.proj_out(hidden * functional.gelu(gate))


class TransformerBlock(nn.Module):
    """Self-attention, cross-attention and feed-forward, each behind a norm and added."""

    def __init__(self, block: Any, form: Attend) -> None:
        super().__init__()
        if block.norm_type != "layer_norm" or block.pos_embed is not None:
            raise _unsupported(f"a transformer block with {block.norm_type}")
        if getattr(block, "double_self_attention", False):
            raise _unsupported("a transformer block with self-attention twice")
        self.only_cross = bool(block.only_cross_attention)
        self.norm1 = ChannelNorm(block.norm1)
        self.attn1 = SplitAttention(block.attn1, form)
        self.norm2 = self.attn2 = None
        if block.attn2 is not None:
            self.norm2 = ChannelNorm(block.norm2)
            self.attn2 = SplitAttention(block.attn2, form)
        self.norm3 = ChannelNorm(block.norm3)
        self.ff = GatedFeedForward(block.ff)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        normal = self.norm1(x)
        x = x + self.attn1(normal, context if self.only_cross else normal)
        if self.attn2 is not None and self.norm2 is not None:
            normal = self.norm2(x)
            x = x + self.attn2(normal, context)
        return x + self.ff(self.norm3(x))


class SpatialTransformer(nn.Module):
    """diffusers' `Transformer2DModel` over images [B, C, H, W], with its weights.

    Args:
        layer: of continuous input (pictures), not patches or vector-quantised tokens.
        form: how attention is computed.
    """

    def __init__(self, layer: Any, form: Attend) -> None:
        super().__init__()
        if not layer.is_input_continuous:
            raise _unsupported("a transformer over patches or tokens")
        self.norm = layer.norm
        self.proj_in = Pointwise(layer.proj_in)
        self.blocks = nn.ModuleList(TransformerBlock(b, form) for b in layer.transformer_blocks)
        self.proj_out = Pointwise(layer.proj_out)

    def forward(
        self, hidden_states: Tensor, encoder_hidden_states: Tensor, **_: Any
    ) -> tuple[Tensor]:
        """hidden_states [B, C, H, W], encoder_hidden_states [B, C', 1, S]; a one-tuple as
        diffusers' layer gives with `return_dict=False`."""
        batch, _channels, height, width = hidden_states.shape
        x = self.proj_in(self.norm(hidden_states))
        x = x.reshape(batch, x.shape[1], 1, height * width)
        for block in self.blocks:
            x = block(x, encoder_hidden_states)
        x = self.proj_out(x.reshape(batch, x.shape[1], height, width))
        return (x + hidden_states,)
