"""Two threads that each compute on part of a batch.

On a machine that other programs share, one operation spread over all cores waits at every barrier
for the slowest core. Whole half-batches on one core each wait only once per step. PyTorch releases
Python's lock inside its operations, so plain threads are enough.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor, nn


def channels_last(module: nn.Module) -> None:
    """Lay the weights of convolutions out as CPUs like them."""
    module.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]


class Workers:
    """Threads with one core each.

    Args:
        count: Number of threads; each computes with a single core.
    """

    def __init__(self, count: int) -> None:
        torch.set_num_threads(1)
        self.count = count
        self.pool = ThreadPoolExecutor(count, initializer=torch.set_num_threads, initargs=(1,))

    def gradients(
        self,
        loss: Callable[..., Tensor],
        parts: Sequence[tuple],
        parameters: Sequence[nn.Parameter],
    ) -> float:
        """Set every parameter's ``grad`` to the mean over ``parts`` of the gradient of ``loss``.

        Returns:
            The mean loss. Parts are weighted alike, so they should be of one size.
        """

        def one(part: tuple) -> tuple[float, tuple[Tensor | None, ...]]:
            value = loss(*part)
            found = torch.autograd.grad(value, list(parameters), allow_unused=True)
            return value.item(), found

        results = list(self.pool.map(one, parts))
        with torch.no_grad():
            for index, parameter in enumerate(parameters):
                found = [g for g in (grads[index] for _, grads in results) if g is not None]
                parameter.grad = None
                if found:
                    total = found[0]
                    for other in found[1:]:
                        total.add_(other)
                    parameter.grad = total.div_(len(results))
        return sum(value for value, _ in results) / len(results)
