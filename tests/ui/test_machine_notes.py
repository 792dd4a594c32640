"""What the machine lacks is said in the window."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from gui.hub.types import Machine
from gui.state import studio as studio_module

OLD = Machine("Linux", chip="Xeon E5450", cores=1, memory_bytes=4 * 2**30, lacks=("AVX2",))
ANCIENT = Machine("Linux", chip="Athlon 64", cores=2, lacks=("SSE4.2", "AVX2"))
USUAL = Machine("Linux", chip="EPYC", cores=64, memory_bytes=64 * 2**30)

Told = Callable[[Machine], tuple[list[str], list[str]]]


@pytest.fixture
def told(workspace: Any, qtbot: Any, monkeypatch: pytest.MonkeyPatch) -> Told:
    """Notices and errors at a start on a machine."""
    studio = workspace.studio
    notices: list[str] = []
    errors: list[str] = []
    studio.notice.connect(notices.append)
    studio.error_raised.connect(lambda error: errors.append(error.message))

    def start(machine: Machine) -> tuple[list[str], list[str]]:
        notices.clear()
        errors.clear()
        monkeypatch.setattr(studio_module, "machine", lambda: machine)
        done: list[bool] = []
        studio.look_at_machine()
        studio.background.run(lambda: True, done.append, lambda _error: None)
        qtbot.waitUntil(lambda: bool(done))
        return list(notices), list(errors)

    return start


def test_what_makes_pictures_slow_is_said_once(told: Told, workspace: Any) -> None:
    notices, errors = told(OLD)
    assert errors == []
    assert len(notices) == 1
    for part in ("lacks AVX2", "4 GB of memory", "one processor core"):
        assert part in notices[0]
    assert told(OLD) == ([], [])
    assert told(USUAL) == ([], [])
    assert told(OLD)[0] == notices  # it was another machine meanwhile


def test_what_makes_them_impossible_is_said_at_every_start(told: Told, workspace: Any) -> None:
    for _ in range(2):
        notices, errors = told(ANCIENT)
        assert notices == []
        assert errors == [
            "“Athlon 64” lacks SSE4.2, without which no model can be computed; use a computer made "
            "after 2009 to make pictures."
        ]
    assert "lacks SSE4.2" in workspace.canvas.banner.statement.text()
