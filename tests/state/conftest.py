"""No window is shown here, but some of what is tested needs Qt's application."""

from __future__ import annotations

import os
import sys

import pytest

from tests.support.patience import PatientBot

if sys.platform.startswith("linux"):
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")


@pytest.fixture
def qtbot(qapp, request) -> PatientBot:  # type: ignore[no-untyped-def]
    """In the place of pytest-qt's."""
    return PatientBot(request)
