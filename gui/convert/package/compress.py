"""Fewer bits per weight: palettes found by k-means, or 8-bit integers.

A palette stores a tensor as indices into a table of 2ᵇⁱᵗˢ values.  The table is the best there is
(coremltools solves one-dimensional k-means exactly for float16 tensors of 10,000 elements and
more; smaller ones stay as they are).  For normally distributed weights the noise so added lies
4.4, 9.3, 20.2, 31.9 and 43.9 dB below the weights at 1, 2, 4, 6 and 8 bits.

What is compressed: the UNet (or refiner) as asked; text encoders and ControlNets with 8 bits (6
cost a text encoder of CLIP-L's size with random weights all but 33 dB), and not their tables of
words, which are looked up and not multiplied; the autoencoder and the safety checker never: they
are small, and the picture's own quality hangs on them.

The recipe of mixed palettes, `mixed_bits`, gives 8 bits to what every later layer depends on (first
and last convolution, embeddings of time and sizes, all tensors below `SMALL` elements); 4 bits to
queries, keys, the gated projection of the feed-forward parts and convolutions above `LARGE`
elements, which are most of the size and feel it least; 6 bits to all else.  A tensor whose noise
would exceed what a normal distribution's palette gives by more than `MARGIN` dB (weights with far
outliers) gets the next number of bits.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from gui.convert.package.watch import COMPRESSING, Tick, quiet, watched
from gui.convert.types import Compression
from gui.coreml.model import ComponentKind

K = ComponentKind

THRESHOLD = 10_000
"""Elements from which a weight is compressed: below, coremltools lacks its exact solver."""

SMALL = 100_000
LARGE = 5_000_000
MARGIN = 2.0

_BITS = {
    Compression.PALETTE_8: 8,
    Compression.PALETTE_6: 6,
    Compression.PALETTE_4: 4,
    Compression.PALETTE_2: 2,
    Compression.PALETTE_1: 1,
}
_NORMAL_SNR = {4: 20.2, 6: 31.9}
"""Decibels of the best palette for a normal distribution (measured with the exact solver)."""
_SAMPLE = 65_536
_BINS = 1024
_KEPT: dict[str, Any] = {"gather": None}
"""Operations whose weights stay as they are: tables of words."""

_DENOISERS = (K.UNET, K.CONTROL_UNET, K.REFINER)
_GENTLE = (K.TEXT_ENCODER, K.TEXT_ENCODER_2, K.CONTROLNET)

_IMPORTANT = re.compile(r"conv_in_|conv_out_|time_embedding|add_embedding|time_emb_proj")
_FORGIVING = re.compile(r"attn\d_to_[qk]_|ff_proj_in_")


def compression_of(kind: ComponentKind, asked: Compression, evenly: bool = False) -> Compression:
    """The form in which a component is stored when `asked` is asked for the model.

    Args:
        evenly: text encoders as much as the UNet; ControlNets are treated gently all the same.
    """
    if kind in _DENOISERS or (evenly and kind is not K.CONTROLNET and kind in _GENTLE):
        return asked
    if kind not in _GENTLE or asked is Compression.NONE:
        return Compression.NONE
    return asked if asked is Compression.LINEAR_8 else Compression.PALETTE_8


def compress(model: Any, form: Compression, tick: Tick = lambda fraction: None) -> Any:
    """The coremltools MLModel with its weights stored in `form`; float32 models are left alone.

    Args:
        tick: called with the fraction done, 0 to 1, many times; may raise to stop.
    """
    if form is Compression.NONE:
        return model
    import coremltools.optimize.coreml as cto

    with quiet(), watched(tick, COMPRESSING):
        # coremltools declares these arguments more narrowly than it takes them
        options: dict[str, Any] = {"op_type_configs": _KEPT}
        if form is Compression.LINEAR_8:
            options["global_config"] = cto.OpLinearQuantizerConfig(
                mode="linear_symmetric", weight_threshold=THRESHOLD
            )
            return cto.linear_quantize_weights(model, cto.OptimizationConfig(**options))
        if form is Compression.PALETTE_MIXED:
            found = cto.get_weights_metadata(model, weight_threshold=THRESHOLD)
            options["op_name_configs"] = {
                name: _palette(mixed_bits(name, weight.val))
                for name, weight in found.items()
                if not any(op.op_type in _KEPT for op in weight.child_ops)
            }
        options["global_config"] = _palette(_BITS.get(form, 8))
        return cto.palettize_weights(model, cto.OptimizationConfig(**options))


def _palette(bits: int) -> Any:
    import coremltools.optimize.coreml as cto

    return cto.OpPalettizerConfig(mode="kmeans", nbits=bits, weight_threshold=THRESHOLD)


def mixed_bits(name: str, weight: np.ndarray) -> int:
    """Bits for one weight by the recipe of mixed palettes (see the module).

    Args:
        name: of the tensor in the program; carries the path of the layer in the network.
        weight: its values.
    """
    if weight.size < SMALL or _IMPORTANT.search(name):
        return 8
    bits = 4 if _FORGIVING.search(name) or weight.size > LARGE else 6
    while bits < 8 and palette_snr(weight, bits) < _NORMAL_SNR[bits] - MARGIN:
        bits += 2
    return bits


def palette_snr(weight: np.ndarray, bits: int) -> float:
    """Signal-to-noise ratio in decibels of a palette for `weight`.

    Judged on an even sample, with Lloyd's algorithm started where values lie as densely as the
    cube root of the weights' density (the best spacing of many levels: Panter and Dite, 1951):
    within half a decibel of the best palette, at a hundredth of the cost.
    """
    flat = weight.reshape(-1)
    values = np.sort(flat[:: max(1, flat.size // _SAMPLE)].astype(np.float64))
    power = float((values**2).mean())
    if power == 0.0:
        return float("inf")
    sums = np.concatenate([[0.0], np.cumsum(values)])
    density, marks = np.histogram(values, bins=_BINS)
    spacing = np.concatenate([[0.0], np.cumsum(np.cbrt(density))])
    levels = (np.arange(2**bits) + 0.5) / 2**bits * spacing[-1]
    centres = np.interp(levels, spacing, marks)
    edges = np.zeros(0, np.int64)
    for _ in range(60):
        edges = np.searchsorted(values, (centres[1:] + centres[:-1]) / 2)
        bounds = np.concatenate([[0], edges, [values.size]])
        counts = np.diff(bounds)
        means = np.diff(sums[bounds]) / np.maximum(counts, 1)
        centres = np.where(counts > 0, means, centres)
    nearest = np.repeat(centres, np.diff(np.concatenate([[0], edges, [values.size]])))
    noise = float(((values - nearest) ** 2).mean())
    return float("inf") if noise == 0.0 else 10.0 * float(np.log10(power / noise))
