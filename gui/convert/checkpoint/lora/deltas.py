"""The numbers of a LoRA: what a layer's weight becomes, computed in float32.

At weight s a layer's weight W becomes W + s · ΔW, with

- LoRA (Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", 2021):
  ΔW = (alpha / r) · up · down, with down [r, in, …], up [out, r] and r the rank; of a convolution
  with a core tensor, ΔW = (alpha / r) · Σ up[o, n] · mid[n, m, …] · down[m, i];
- LoHa (Hyeon-Woo et al., "FedPara", 2022): ΔW = (alpha / r) · (w1a · w1b) ⊙ (w2a · w2b), each
  factor around a core tensor where there is one;
- LoKr (Edalati et al., "KronA", 2022): ΔW = (alpha / r) · w1 ⊗ w2, each as it is or as a product;
- a full difference: ΔW as it is (LyCORIS' ``diff``, and ``w_norm`` of a norm).

Alpha is the file's, and the rank where it states none; a ``scale`` stands for alpha / r, as in
A1111's web UI.  A bias' difference is added at weight s, peft's (``lora_B.bias``) times alpha / r.

DoRA (Liu et al., "DoRA: Weight-Decomposed Low-Rank Adaptation", 2024) sets lengths anew:
W' = m · (W + ΔW) / ‖W + ΔW‖, of every output channel (of every input channel in older LyCORIS).
At weight s the result is W + s · (W' − W), as web UIs have it; peft puts s inside the norm instead,
and at weight 1 both are the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from gui.convert.checkpoint.lora.peft_settings import stated_alpha, stated_rank, uses_root
from gui.library.lora_files.kinds import (
    Change,
    Kind,
    damaged,
    is_by_input,
    rank_of,
    result_shape,
)
from gui.library.safetensors_header import Header


@dataclass(frozen=True)
class Adder:
    """Adds one LoRA's changes to weights; reads one layer at a time.

    Args:
        header: of the LoRA.
        scale: the weight s.
    """

    header: Header
    scale: float

    def weight(self, change: Change, weight: np.ndarray) -> np.ndarray:
        """What a layer's weight becomes; itself where the file has only a bias' difference.

        Args:
            weight: float32; not changed.

        Raises:
            SfumatoError: BAD_MODEL where the file's numbers are none.
            OSError: it cannot be read.
        """
        if not result_shape(self.header, change):
            return weight
        delta = self._delta(change, weight.shape)
        if "magnitude" not in change.tensors:
            delta += weight  # which is fresh, and may be large
            return delta
        full = self._decomposed(change, weight + delta)
        return full if self.scale == 1.0 else weight + np.float32(self.scale) * (full - weight)

    def bias(self, change: Change, bias: np.ndarray) -> np.ndarray:
        """What a layer's bias becomes."""
        for role in ("bias", "lora_bias"):
            if role in change.tensors:
                ratio = self._ratio(change) if role == "lora_bias" else 1.0
                shift = np.float32(self.scale * ratio) * self._read(change, role)
                bias = bias + self._finite(change, shift).reshape(bias.shape)
        return bias

    def _delta(self, change: Change, shape: tuple[int, ...]) -> np.ndarray:
        """s · ΔW, or ΔW where lengths are set anew afterwards."""
        scale = 1.0 if "magnitude" in change.tensors else self.scale
        factor = np.float32(scale * self._ratio(change))
        with np.errstate(over="ignore", invalid="ignore"):
            product = _PRODUCTS[change.kind](lambda role: self._read(change, role), change, factor)
            return self._finite(change, product.reshape(shape))

    def _decomposed(self, change: Change, merged: np.ndarray) -> np.ndarray:
        magnitude = self._read(change, "magnitude")
        by_input = is_by_input(magnitude.shape)
        rows = merged.swapaxes(0, 1) if by_input else merged
        lengths = np.linalg.norm(rows.reshape(rows.shape[0], -1), axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            factors = magnitude.reshape(-1) / lengths
        factors = np.where(lengths > 0, factors, 1.0).astype(np.float32)
        axes = [1] * merged.ndim
        axes[1 if by_input else 0] = -1
        return self._finite(change, merged * factors.reshape(axes))

    def _ratio(self, change: Change) -> float:
        """alpha / rank, or what stands for it."""
        if "scale" in change.tensors:
            return float(self._read(change, "scale").reshape(()))
        if change.kind is Kind.FULL:
            return 1.0
        rank = rank_of(self.header, change)
        if "alpha" in change.tensors:
            return float(self._read(change, "alpha").reshape(())) / rank if rank else 1.0
        alpha = stated_alpha(self.header, change.first)
        rank = rank or stated_rank(self.header, change.first)
        if alpha is None or not rank:
            return 1.0
        return alpha / (rank**0.5 if uses_root(self.header, change.first) else rank)

    def _read(self, change: Change, role: str) -> np.ndarray:
        return self.header.array(change.tensors[role])

    def _finite(self, change: Change, values: np.ndarray) -> np.ndarray:
        if not np.isfinite(values).all():
            raise damaged(self.header, f"{change.first}: not finite")
        return values


_Read = Callable[[str], np.ndarray]


def _lora(read: _Read, change: Change, factor: np.float32) -> np.ndarray:
    down, up = read("down"), read("up")
    rows = factor * up.reshape(up.shape[0], -1)  # the smaller side
    if "mid" in change.tensors:
        columns = down.reshape(down.shape[0], -1)
        return np.einsum("nmkl,in,mj->ijkl", read("mid"), rows, columns, optimize=True)
    return _product(rows, down.reshape(down.shape[0], -1))


def _product(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """torch's: the threads of numpy's wait by spinning, which costs more than they gain where other
    programs want the processors."""
    import torch

    return torch.mm(torch.from_numpy(left), torch.from_numpy(right)).numpy()


def _loha(read: _Read, change: Change, factor: np.float32) -> np.ndarray:
    return factor * (_factor(read, change, "1") * _factor(read, change, "2"))


def _lokr(read: _Read, change: Change, factor: np.float32) -> np.ndarray:
    left, right = factor * _factor(read, change, "1"), _factor(read, change, "2")
    return np.kron(left.reshape(*left.shape, *(1,) * (right.ndim - left.ndim)), right)


def _factor(read: _Read, change: Change, n: str) -> np.ndarray:
    if f"w{n}" in change.tensors:
        return read(f"w{n}")
    a, b = read(f"w{n}_a"), read(f"w{n}_b")
    if f"t{n}" in change.tensors:
        return np.einsum("ijkl,ip,jr->prkl", read(f"t{n}"), a, b, optimize=True)
    return a @ b


_PRODUCTS: dict[Kind, Callable[[_Read, Change, np.float32], np.ndarray]] = {
    Kind.LORA: _lora,
    Kind.LOHA: _loha,
    Kind.LOKR: _lokr,
    Kind.FULL: lambda read, _change, factor: factor * read("diff"),
}
