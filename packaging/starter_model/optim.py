"""Muon, for the matrices inside a network, with AdamW for everything else.

Muon (Keller Jordan and others, 2024) replaces a matrix's momentum by the nearest
semi-orthogonal matrix, found with a few Newton-Schulz steps; convolutions count as matrices of
shape (out, in·k·k). With few steps on a CPU it learns markedly faster than AdamW alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

import torch
from torch import Tensor, nn

#: Coefficients of the quintic Newton-Schulz iteration, as published with Muon.
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)


def orthogonalize(matrix: Tensor, steps: int = 5) -> Tensor:
    """An approximation of the semi-orthogonal matrix nearest to ``matrix`` [rows, columns]."""
    a, b, c = NEWTON_SCHULZ
    x = matrix.bfloat16()
    wide = x if x.shape[0] <= x.shape[1] else x.T
    wide = wide / (wide.norm() + 1e-7)
    for _ in range(steps):
        gram = wide @ wide.T
        wide = a * wide + (b * gram + c * (gram @ gram)) @ wide
    return (wide if x.shape[0] <= x.shape[1] else wide.T).to(matrix.dtype)


class Muon(torch.optim.Optimizer):
    """Momentum, orthogonalized, with decoupled weight decay. Every parameter has two or more axes.

    ``lr`` is the size of a step in units where a matrix of typical scale is about 1; the step is
    scaled by sqrt(max(1, rows / columns)) so that wide and tall matrices move alike. ``map`` may be
    the ``map`` of a thread pool: matrices are independent of each other.
    """

    def __init__(
        self,
        params: Iterable[nn.Parameter],
        lr: float,
        momentum: float,
        weight_decay: float,
        map: Callable[..., Iterable] = map,
    ) -> None:
        self.map = map
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure=None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Move every parameter that has a gradient."""
        for group in self.param_groups:
            moving = [p for p in group["params"] if p.grad is not None]
            for parameter in moving:
                if "momentum" not in self.state[parameter]:
                    self.state[parameter]["momentum"] = torch.zeros_like(parameter)
            list(self.map(partial(self._move, group), moving))

    @torch.no_grad()
    def _move(self, group: dict, parameter: nn.Parameter) -> None:
        gradient = parameter.grad
        if gradient is None:
            return
        mean = self.state[parameter]["momentum"]
        mean.lerp_(gradient, 1 - group["momentum"])
        flat = gradient.lerp(mean, group["momentum"]).reshape(gradient.shape[0], -1)
        update = orthogonalize(flat).reshape(parameter.shape)
        scale = max(1.0, flat.shape[0] / flat.shape[1]) ** 0.5
        parameter.mul_(1 - group["lr"] * group["weight_decay"])
        parameter.add_(update, alpha=-group["lr"] * scale)


def split_parameters(module: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Matrices for Muon (both sides at least 32, no embeddings), and all other parameters."""
    embeddings = {id(m.weight) for m in module.modules() if isinstance(m, nn.Embedding)}
    matrices, others = [], []
    for parameter in module.parameters():
        if not parameter.requires_grad:
            continue
        inner = parameter.ndim >= 2 and min(parameter.shape[0], parameter[0].numel()) >= 32
        (matrices if inner and id(parameter) not in embeddings else others).append(parameter)
    return matrices, others
