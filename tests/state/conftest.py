"""No window is shown here, but some of what is tested needs Qt's application."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import pytest

from tests.support import garbage
from tests.support.patience import PatientBot

if sys.platform.startswith("linux"):
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")


@pytest.fixture
def qtbot(qapp, request) -> PatientBot:  # type: ignore[no-untyped-def]
    """In the place of pytest-qt's."""
    return PatientBot(request)


@pytest.fixture(autouse=True)
def garbage_on_this_thread(qapp) -> Iterator[None]:  # type: ignore[no-untyped-def]
    """As in the app: what of Qt nobody holds any more is not destroyed on a worker's thread."""
    garbage.before_a_test()
    yield
    garbage.after_a_test()
