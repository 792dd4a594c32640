"""Layers whose result is only read in pieces become a layer for each piece.

The gated feed-forward layers of a UNet (GEGLU) make twice the channels and cut them in half: a
third of the memory that a level needs, and two copies, for nothing.
"""

from __future__ import annotations

import operator
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812

from gui.coreml.portable.plan import PlanStep, Symbol


def divided(
    steps: Sequence[PlanStep], known: Mapping[int, torch.Tensor], outputs: set[int]
) -> list[PlanStep]:
    """The steps with such layers divided.

    Args:
        known: shapes by register, as meta tensors.
        outputs: registers that are read after the last step.
    """
    readers: dict[int, list[PlanStep]] = defaultdict(list)
    for step in steps:
        for _, register in step.reads:
            readers[register].append(step)
    replaced: dict[int, PlanStep] = {}
    dropped: set[int] = set()
    for step in steps:
        pieces = None if step.output in outputs else _pieces(step, readers[step.output], known)
        if pieces:
            dropped.add(step.output)
            replaced.update((piece.output, piece) for piece in pieces)
    return [replaced.get(step.output, step) for step in steps if step.output not in dropped]


def _pieces(
    step: PlanStep, readers: list[PlanStep], known: Mapping[int, torch.Tensor]
) -> list[PlanStep] | None:
    whole = known.get(step.output)
    if step.keywords or len(readers) < 2 or whole is None or len(step.arguments) < 2:
        return None
    weight, rest = step.arguments[1], step.arguments[2:]
    if not isinstance(weight, torch.Tensor):
        return None
    if step.function is F.linear and weight.ndim == 2:
        axis = whole.ndim - 1
    elif step.function is F.conv2d and rest[-1:] == [1] and len(rest) == 5:  # one group
        axis = 1
    else:
        return None
    bias = rest[0] if rest else None
    if isinstance(bias, Symbol):
        return None
    pieces, total = [], 0
    for reader in readers:
        cut = _cut(reader, axis, whole)
        if cut is None:
            return None
        total += cut.stop - cut.start
        parts: list[Any] = [step.arguments[0], weight[cut]]
        if rest:
            parts += [None if bias is None else bias[cut], *rest[1:]]
        pieces.append(PlanStep(step.function, parts, {}, reader.output, step.place))
    return pieces if total <= whole.shape[axis] else None


def _cut(reader: PlanStep, axis: int, whole: torch.Tensor) -> slice | None:
    """What a step takes of `axis` alone; None where it does something else."""
    if reader.keywords:
        return None
    if reader.function is torch.narrow:
        _, along, start, length = reader.arguments
        return slice(start, start + length) if along % whole.ndim == axis else None
    if reader.function is not operator.getitem:
        return None
    index = reader.arguments[1]
    if not isinstance(index, tuple) or not all(isinstance(part, slice) for part in index):
        return None
    for at, part in enumerate(index):
        if at != axis and part.indices(whole.shape[at]) != (0, whole.shape[at], 1):
            return None
    start, stop, step = index[axis].indices(whole.shape[axis]) if axis < len(index) else (0, 0, 0)
    return slice(start, stop) if step == 1 and stop > start else None
