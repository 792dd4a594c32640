"""The desktop is told of a running job, and told when it is over."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest
from PySide6.QtCore import QObject, Signal

from gui.state import presence
from gui.state.studio import Activity, Phase


@dataclass
class Desktop:
    """Records what it is asked."""

    calls: list[tuple] = field(default_factory=list)

    def set_progress(self, fraction: float | None) -> None:
        self.calls.append(("progress", fraction))

    def set_badge(self, text: str) -> None:
        self.calls.append(("badge", text))

    def begin_activity(self, reason: str) -> None:
        self.calls.append(("begin",))

    def end_activity(self) -> None:
        self.calls.append(("end",))

    def reveal(self, path: Path) -> None:
        self.calls.append(("reveal", path))

    def notify(self, title: str, body: str) -> None:
        self.calls.append(("notify", body))


class FakeStudio(QObject):
    activity_changed = Signal(object)
    picture_finished = Signal(object)


@pytest.fixture
def bound(qapp):
    studio, desktop = FakeStudio(), Desktop()
    presence.Presence(studio, desktop)  # type: ignore[arg-type]
    return studio, desktop


def test_a_job_keeps_the_machine_awake_from_begin_to_end(bound):
    studio, desktop = bound
    studio.activity_changed.emit(Activity(Phase.STARTING))
    studio.activity_changed.emit(Activity(Phase.DENOISING, step=5, steps=10, count=2))
    step = Activity(Phase.DENOISING, step=5, steps=10, count=2, picture_index=1)
    studio.activity_changed.emit(step)
    studio.activity_changed.emit(Activity())
    assert desktop.calls == [
        ("begin",),
        ("progress", 0.25),
        ("progress", 0.75),
        ("end",),
        ("progress", None),
    ]


@pytest.mark.parametrize(
    ("seconds", "in_front", "told"), [(60, False, 1), (60, True, 0), (1, False, 0)]
)
def test_only_a_long_job_in_the_background_is_announced(
    bound, monkeypatch, seconds, in_front, told
):
    studio, desktop = bound
    clock = iter([0.0, float(seconds)])
    monkeypatch.setattr(presence.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(presence, "_is_in_front", lambda: in_front)
    studio.activity_changed.emit(Activity(Phase.DENOISING, step=1, steps=2))

    class Made:
        class record:  # noqa: N801
            class request:  # noqa: N801
                prompt = "a hill"

    studio.picture_finished.emit(Made())
    assert desktop.calls.count(("notify", "a hill")) == told
