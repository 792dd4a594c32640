"""Steps of a plan whose result may take the place of what they read.

A sum or an activation whose operand was just made, and which nobody else reads, overwrites it: no
new block of memory, and half the traffic.  What is computed stays the same to the last bit.
"""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812

from gui.coreml.portable import onednn
from gui.coreml.portable.plan import PlanStep, Symbol, TorchCall

_FRESH: frozenset[TorchCall] = frozenset(
    (
        F.conv1d,
        F.conv2d,
        F.conv3d,
        F.gelu,
        F.group_norm,
        F.layer_norm,
        F.linear,
        F.silu,
        onednn.convolution,
        onednn.linear,
        operator.add,
        operator.mul,
        operator.sub,
    )
)
"""Calls whose result is a tensor of its own, never a view of what they were given."""

_IN_PLACE: dict[TorchCall, Any] = {
    operator.add: torch.Tensor.add_,
    operator.mul: torch.Tensor.mul_,
    operator.sub: torch.Tensor.sub_,
}


def _fits(x: torch.Tensor, y: Any) -> bool:
    """Whether a sum of both has the shape and type of `x`."""
    if not isinstance(y, torch.Tensor):
        return x.is_floating_point() and isinstance(y, (int, float))
    return (
        x.dtype == y.dtype
        and y.ndim <= x.ndim
        and all(b in (1, a) for a, b in zip(reversed(x.shape), reversed(y.shape), strict=False))
    )


class _Arithmetic:
    """`x` ∘ `y` in the place of whichever may be overwritten and is large enough.

    Args:
        function: of `_IN_PLACE`.
        mine: whether the first and the second operand may be overwritten.
    """

    def __init__(self, function: TorchCall, mine: tuple[bool, bool]) -> None:
        self._function, self._in_place = function, _IN_PLACE[function]
        self._mine = mine
        self.__name__ = f"{function.__name__}_"

    def __call__(self, x: Any, y: Any) -> Any:
        if self._mine[0] and _fits(x, y):
            return self._in_place(x, y)
        if self._mine[1] and self._function is not operator.sub and _fits(y, x):
            return self._in_place(y, x)
        return self._function(x, y)


def _silu_in_place(x: torch.Tensor) -> torch.Tensor:
    return F.silu(x, inplace=True)


def overwrite(steps: Sequence[PlanStep], outputs: Sequence[Any]) -> None:
    """Change, among `steps`, the calls that may work in place.

    Args:
        outputs: of the plan; never overwritten.
    """
    readers = Counter(register for step in steps for _, register in step.reads)
    readers.update(value.register for value in outputs if isinstance(value, Symbol))
    fresh: set[int] = set()
    for step in steps:
        mine = [
            isinstance(value, Symbol) and value.register in fresh and readers[value.register] == 1
            for value in step.arguments
        ]
        if step.function in _FRESH:
            fresh.add(step.output)
        if not any(mine):
            continue
        if step.function in _IN_PLACE and len(mine) == 2 and not step.keywords:
            step.function = _Arithmetic(step.function, (mine[0], mine[1]))
        elif step.function is F.silu and not step.keywords:
            step.function = _silu_in_place
