"""Recurrent layers, step by step.

Tensors are [steps, batch, channels]; the gates of a weight stand one below the other.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812

from gui.coreml.portable.ir import Op
from gui.coreml.portable.ops.context import RuleContext, rule

Activation = Callable[[torch.Tensor], torch.Tensor]
Tensor = torch.Tensor


def _hard_sigmoid(x: Tensor) -> Tensor:
    return torch.clamp(0.2 * x + 0.5, 0.0, 1.0)


_ACTIVATIONS: dict[str, Activation] = {
    "tanh": torch.tanh,
    "scaled_tanh": torch.tanh,  # scaled by its defaults, which are one
    "sigmoid": torch.sigmoid,
    "hard_sigmoid": _hard_sigmoid,
    "sigmoid_hard": _hard_sigmoid,
    "relu": F.relu,
    "linear": lambda x: x,
}


def _activation(ctx: RuleContext, op: Op, name: str, default: str) -> Activation:
    wanted = ctx.text(op, name, default).lower()
    if wanted not in _ACTIVATIONS:
        raise ctx.unsupported(op, f"{name} {wanted}")
    return _ACTIVATIONS[wanted]


def _product(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    return F.linear(x, weight, bias)


class _Layer:
    """A layer of one or two directions as one call: (x, initial states, weights) → (every step or
    the last one, the states after it)."""

    def __init__(self, directions: list[str], every_step: bool) -> None:
        self._directions, self._every_step = directions, every_step

    def __call__(self, x: Tensor, *operands: Any) -> tuple[Tensor, ...]:
        count = len(self._directions)
        states = [s.chunk(count, -1) for s in operands[: self.states]]
        weights = operands[self.states :]
        size = len(weights) // count
        outputs, last = [], []
        for n, direction in enumerate(self._directions):
            own = weights[n * size : (n + 1) * size]
            steps, after = self._run(x, [s[n] for s in states], own, direction == "reverse")
            # A direction of two lines up with time; one that is alone is told as it ran
            outputs.append(steps.flip(0) if count == 2 and n == 1 else steps)
            last.append(after)
        together = torch.cat(outputs, -1)
        after = [torch.cat(parts, -1) for parts in zip(*last, strict=True)]
        if not self._every_step:
            together = after[0][None]
        return (together, *after)

    states = 1

    def _run(
        self, x: Tensor, state: list[Tensor], weights: Any, is_reverse: bool
    ) -> tuple[Tensor, list[Tensor]]:
        steps = []
        for n in reversed(range(x.shape[0])) if is_reverse else range(x.shape[0]):
            state = self.step(x[n], state, *weights)
            steps.append(state[0])
        return torch.stack(steps), state

    def step(self, x: Tensor, state: list[Tensor], *weights: Any) -> list[Tensor]:
        raise NotImplementedError


class _Rnn(_Layer):
    def __init__(self, activation: Activation, *common: Any) -> None:
        super().__init__(*common)
        self._activation = activation

    def step(self, x: Tensor, state: list[Tensor], *weights: Any) -> list[Tensor]:
        of_input, of_state, bias = weights
        return [self._activation(_product(x, of_input, bias) + _product(state[0], of_state))]


class _Gru(_Layer):
    """Gates in the order reset, output, update."""

    def __init__(
        self, gate: Activation, activation: Activation, reset_after: bool, *common: Any
    ) -> None:
        super().__init__(*common)
        self._gate, self._activation, self._reset_after = gate, activation, reset_after

    def step(self, x: Tensor, state: list[Tensor], *weights: Any) -> list[Tensor]:
        of_input, of_state, bias, input_bias = weights
        (hidden,) = state
        reset, new, update = _product(x, of_input, input_bias).chunk(3, -1)
        w_reset, w_new, w_update = of_state.chunk(3)
        b_reset, b_new, b_update = (None,) * 3 if bias is None else bias.chunk(3)
        reset = self._gate(reset + _product(hidden, w_reset, b_reset))
        update = self._gate(update + _product(hidden, w_update, b_update))
        if self._reset_after:
            new = self._activation(new + reset * _product(hidden, w_new, b_new))
        else:
            new = self._activation(new + _product(reset * hidden, w_new, b_new))
        return [(1 - update) * new + update * hidden]


class _Lstm(_Layer):
    """Gates in the order input, forget, output, cell; peepholes input, forget, output."""

    states = 2

    def __init__(
        self,
        gate: Activation,
        cell: Activation,
        activation: Activation,
        clip: float | None,
        *common: Any,
    ) -> None:
        super().__init__(*common)
        self._gate, self._cell, self._activation, self._clip = gate, cell, activation, clip

    def step(self, x: Tensor, state: list[Tensor], *weights: Any) -> list[Tensor]:
        of_input, of_state, bias, peephole = weights
        hidden, cell = state
        gates = _product(x, of_input, bias) + _product(hidden, of_state)
        admit, forget, let_out, new = gates.chunk(4, -1)
        seen = (0.0, 0.0, 0.0) if peephole is None else peephole.chunk(3)
        kept = self._gate(forget + cell * seen[1]) * cell
        cell = kept + self._gate(admit + cell * seen[0]) * self._cell(new)
        if self._clip is not None:
            cell = torch.clamp(cell, -self._clip, self._clip)
        return [self._gate(let_out + cell * seen[2]) * self._activation(cell), cell]


def _layer(ctx: RuleContext, op: Op, layer: _Layer, states: list[str], names: list[str]) -> Any:
    """The layer's results; a second direction has weights of the same names and ``_back``."""
    operands = [ctx.tensor(op, name) for name in ("x", *states)]
    backs = ("", "_back") if _directions(ctx, op) == ["forward", "reverse"] else ("",)
    weights = [ctx.optional_tensor(op, name + back) for back in backs for name in names]
    results = ctx.emit_always(layer, *operands, *weights)
    return tuple(ctx.emit_always(operator.getitem, results, n) for n in range(len(op.outputs)))


def _directions(ctx: RuleContext, op: Op) -> list[str]:
    direction = ctx.text(op, "direction", "forward")
    return ["forward", "reverse"] if direction == "bidirectional" else [direction]


def _common(ctx: RuleContext, op: Op) -> tuple[list[str], bool]:
    return _directions(ctx, op), ctx.flag(op, "output_sequence")


@rule("rnn")
def rnn(ctx: RuleContext, op: Op) -> Any:
    layer = _Rnn(_activation(ctx, op, "activation", "tanh"), *_common(ctx, op))
    return _layer(ctx, op, layer, ["initial_h"], ["weight_ih", "weight_hh", "bias"])


@rule("gru")
def gru(ctx: RuleContext, op: Op) -> Any:
    layer = _Gru(
        _activation(ctx, op, "recurrent_activation", "sigmoid"),
        _activation(ctx, op, "activation", "tanh"),
        ctx.flag(op, "reset_after"),
        *_common(ctx, op),
    )
    names = ["weight_ih", "weight_hh", "bias", "input_bias"]
    return _layer(ctx, op, layer, ["initial_h"], names)


@rule("lstm")
def lstm(ctx: RuleContext, op: Op) -> Any:
    layer = _Lstm(
        _activation(ctx, op, "recurrent_activation", "sigmoid"),
        _activation(ctx, op, "cell_activation", "tanh"),
        _activation(ctx, op, "activation", "tanh"),
        ctx.number(op, "clip") if ctx.has(op, "clip") else None,
        *_common(ctx, op),
    )
    names = ["weight_ih", "weight_hh", "bias", "peephole"]
    return _layer(ctx, op, layer, ["initial_h", "initial_c"], names)
