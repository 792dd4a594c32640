"""coremltools at work: hear of its progress, be able to stop it, and spare people its remarks."""

from __future__ import annotations

import importlib
import logging
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

Tick = Callable[[float], None]
"""Told the fraction done, 0 to 1, many times; may raise to stop."""

Stages = tuple[tuple[str, float, float], ...]
"""(part of what coremltools calls a stage, where it begins and ends as shares of the time)"""

CONVERTING: Stages = (
    ("PyTorch Frontend", 0.0, 0.25),
    ("frontend_pytorch", 0.25, 0.3),
    ("default", 0.3, 0.9),
    ("backend_mlprogram", 0.9, 1.0),
)
COMPRESSING: Stages = (
    ("weights meta data", 0.0, 0.3),
    ("compression pass", 0.3, 0.95),
    ("pipeline", 0.95, 1.0),
)
_BARS = (
    ("coremltools.converters.mil.frontend.torch.ops", "_tqdm"),
    ("coremltools.converters.mil.mil.passes.pass_pipeline", "tqdm"),
    ("coremltools.optimize.coreml._post_training_quantization", "tqdm"),
    ("coremltools.optimize.coreml._quantization_passes", "tqdm"),
)


@contextmanager
def watched(tick: Tick, stages: Stages) -> Iterator[None]:
    """Call `tick` while coremltools works.

    It has no hook for that but the progress bars it draws in a terminal, which are replaced for
    the time being.  Should a later version draw none, it works on unwatched.
    """
    replaced = []
    for name, attribute in _BARS:
        module = importlib.import_module(name)
        if hasattr(module, attribute):
            replaced.append((module, attribute, getattr(module, attribute)))
            setattr(module, attribute, _bar(tick, stages))
    try:
        yield
    finally:
        for module, attribute, original in replaced:
            setattr(module, attribute, original)


def _bar(tick: Tick, stages: Stages) -> Callable[..., Iterator[Any]]:
    def bar(items: Iterable[Any], desc: str = "", **_: Any) -> Iterator[Any]:
        found = list(items)
        start, end = next(((a, b) for name, a, b in stages if name in desc), (1.0, 1.0))
        for index, item in enumerate(found):
            tick(start + (end - start) * index / len(found))
            yield item

    return bar


@contextmanager
def verified_once() -> Iterator[None]:
    """Have coremltools verify a program when it is done with it.

    It does so after each of about a hundred passes, which helps those who write passes, and takes
    a third of the whole conversion.
    """
    program = importlib.import_module("coremltools.converters.mil.mil.program").Program
    verify = program.validate
    at_work: Any = None

    def note(self: Any, *_: Any, **__: Any) -> None:
        nonlocal at_work
        if at_work is not None and at_work is not self:
            verify(at_work)
        at_work = self

    program.validate = note
    try:
        yield
    finally:
        program.validate = verify
    if at_work is not None:
        at_work.validate()


@contextmanager
def quiet() -> Iterator[None]:
    """coremltools and torch's tracer say a good deal that is of no use to a person."""
    logger = logging.getLogger("coremltools")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
