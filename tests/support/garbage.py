"""Garbage of Qt's objects between tests, on the main thread, and quick."""

from __future__ import annotations

import gc
import itertools

WHOLE_EVERY = 50
"""Tests after which all there is is looked through, and what is still there then is taken to stay:
libraries, models that tests share."""
_tests = itertools.count()


def before_a_test() -> None:
    """No worker's allocation destroys what of Qt nobody holds any more.

    What the test before had made and pytest still held at its end, its windows first of all, goes
    now: it is not older than the second generation.
    """
    gc.disable()
    gc.collect(1)


def after_a_test() -> None:
    """What the test has made goes now, or the tests after it get slower and slower.

    That is young: to look through everything would take ten times as long, and is done seldom.
    """
    if next(_tests) % WHOLE_EVERY == 0:
        gc.collect()
        gc.freeze()
    else:
        gc.collect(0)
    gc.enable()
