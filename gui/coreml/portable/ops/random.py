"""Random numbers.

A seed gives the same numbers at every run, though not those that Core ML gives for it; without one
(−1) they differ from run to run and from the generator that everything else in the process draws
from.
"""

from __future__ import annotations

from typing import Any

import torch

from gui.coreml.portable.ir import Op
from gui.coreml.portable.ops.context import RuleContext, rule, torch_type


def _generator(seed: int) -> torch.Generator:
    generator = torch.Generator()
    if seed == -1:
        generator.seed()
    else:
        generator.manual_seed(seed)
    return generator


def _normal(
    shape: list[int], seed: int, kind: torch.dtype, mean: float, deviation: float
) -> torch.Tensor:
    return torch.randn(shape, generator=_generator(seed)).mul_(deviation).add_(mean).to(kind)


def _uniform(shape: list[int], seed: int, kind: torch.dtype, low: float, high: float) -> Any:
    return torch.rand(shape, generator=_generator(seed)).mul_(high - low).add_(low).to(kind)


def _bernoulli(shape: list[int], seed: int, kind: torch.dtype, chance: float) -> torch.Tensor:
    return (torch.rand(shape, generator=_generator(seed)) < chance).to(kind)


def _categorical(
    x: torch.Tensor, seed: int, kind: torch.dtype, is_logits: bool, count: int
) -> torch.Tensor:
    chances = (torch.softmax(x, -1) if is_logits else x).reshape(-1, x.shape[-1])
    drawn = torch.multinomial(chances, count, replacement=True, generator=_generator(seed))
    return drawn.reshape(*x.shape[:-1], count).to(kind)


_DISTRIBUTIONS = {
    "random_normal": (_normal, (("mean", 0.0), ("stddev", 1.0))),
    "random_uniform": (_uniform, (("low", 0.0), ("high", 1.0))),
    "random_bernoulli": (_bernoulli, (("prob", 0.5),)),
}


@rule(*_DISTRIBUTIONS)
def distribution(ctx: RuleContext, op: Op) -> Any:
    draw, parameters = _DISTRIBUTIONS[op.type]
    numbers = [ctx.number(op, name, default) for name, default in parameters]
    kind = torch_type(op.outputs[0][1].dtype)
    shape, seed = ctx.integers(op, "shape"), ctx.integer(op, "seed", -1)
    return ctx.emit_always(draw, shape, seed, kind, *numbers)


@rule("random_categorical")
def categorical(ctx: RuleContext, op: Op) -> Any:
    return ctx.emit_always(
        _categorical,
        ctx.tensor(op, "x"),
        ctx.integer(op, "seed", -1),
        torch_type(op.outputs[0][1].dtype),
        ctx.text(op, "mode", "logits") == "logits",
        ctx.integer(op, "size", 1),
    )
