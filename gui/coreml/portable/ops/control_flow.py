"""Branches, loops and states.

A body becomes a plan of its own; values that it reads from around it are handed to it, and so are
the states that it reads or overwrites, which it hands back: nothing is ever changed in place.
"""

from __future__ import annotations

import operator
from typing import Any

import torch

from gui.coreml.portable.ir import WRITE_STATE, Op, ProgramError, Ref
from gui.coreml.portable.ops.context import RuleContext, rule
from gui.coreml.portable.plan import ExecutionPlan

CONTROL_FLOW = ("cond", "while_loop")
"""Ops with bodies."""


class _Branch:
    """``cond`` while running: (predicate, states, what each side reads) → results, states."""

    def __init__(self, sides: list[tuple[ExecutionPlan, int]], states: int) -> None:
        self._sides, self._states = sides, states

    def __call__(self, predicate: torch.Tensor, *values: torch.Tensor) -> list[torch.Tensor]:
        states, rest = values[: self._states], values[self._states :]
        (yes, first), (no, _) = self._sides
        if bool(predicate):
            return yes(*states, *rest[:first])
        return no(*states, *rest[first:])


class _Loop:
    """``while_loop`` while running: (loop variables, states, what test and body read)."""

    def __init__(self, parts: list[tuple[ExecutionPlan, int]], carried: int) -> None:
        self._parts, self._carried = parts, carried

    def __call__(self, *values: torch.Tensor) -> list[torch.Tensor]:
        carried, rest = list(values[: self._carried]), values[self._carried :]
        (test, read), (body, _) = self._parts
        while bool(test(*carried, *rest[:read])[0]):
            carried = body(*carried, *rest[read:])
        return carried


def _nested(ctx: RuleContext, op: Op, what: Any, first: list[Any], carried: list[Any]) -> Any:
    """One step for an op with two bodies; its results, the states renewed."""
    if len(op.blocks) != 2:
        raise ProgramError(f"{op.type} at {op.name} has {len(op.blocks)} bodies")
    read = [ref.name for block in op.blocks for ref in block.captured()]
    states = [name for name in ctx.states if name in read]
    parts, around = [], []
    for block in op.blocks:
        plan, values = ctx.block(block, states)
        parts.append((plan, len(values)))
        around += values
    held = [ctx.states[name] for name in states]
    count = len(states) if what is _Branch else len(carried) + len(states)
    done = ctx.emit_always(what(parts, count), *first, *carried, *held, *around)
    results = [
        ctx.emit_always(operator.getitem, done, n) for n in range(len(op.outputs) + len(states))
    ]
    for name, value in zip(states, results[len(op.outputs) :], strict=True):
        ctx.states[name] = value
    return tuple(results[: len(op.outputs)])


@rule("cond")
def cond(ctx: RuleContext, op: Op) -> Any:
    return _nested(ctx, op, _Branch, [ctx.tensor(op, "pred")], [])


@rule("while_loop")
def while_loop(ctx: RuleContext, op: Op) -> Any:
    return _nested(ctx, op, _Loop, [], ctx.tensors(op, "loop_vars"))


def _state(ctx: RuleContext, op: Op) -> str:
    operand = ctx.operand(op, "input")
    if not isinstance(operand, Ref) or operand.name not in ctx.states:
        raise ProgramError(f"{op.type} at {op.name} names no state")
    return operand.name


@rule("read_state")
def read_state(ctx: RuleContext, op: Op) -> Any:
    return ctx.states[_state(ctx, op)]


@rule(WRITE_STATE)
def write_state(ctx: RuleContext, op: Op) -> Any:
    ctx.states[_state(ctx, op)] = ctx.tensor(op, "data" if "data" in op.inputs else "value")
    return ()
