"""Garbage of Qt's objects between tests, on the main thread, and quick."""

from __future__ import annotations

import gc
import itertools

FREEZE_EVERY = 50
"""Tests after which what is still there is taken to stay: libraries, models that tests share."""
_tests = itertools.count()


def before_a_test() -> None:
    """No worker's allocation destroys what of Qt nobody holds any more."""
    gc.disable()


def after_a_test() -> None:
    """The test's windows go now, or those after it get slower and slower."""
    gc.collect()
    if next(_tests) % FREEZE_EVERY == 0:
        gc.freeze()
    gc.enable()
