"""The desktop is told of a running job, and told when it is over."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from PySide6.QtCore import QObject, Signal

from gui.errors import ErrorKind, SfumatoError
from gui.hub.types import DownloadState, DownloadStatus
from gui.state import desktop_status
from gui.state.activity import Activity, Phase


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

    def on_battery(self) -> bool:
        return False

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
    desktop_status.Presence(studio, desktop)  # type: ignore[arg-type]
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
    monkeypatch.setattr(desktop_status.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(desktop_status, "_is_in_front", lambda: in_front)
    studio.activity_changed.emit(Activity(Phase.DENOISING, step=1, steps=2))

    class Made:
        class record:  # noqa: N801
            class request:  # noqa: N801
                prompt = "a hill"

    studio.picture_finished.emit(Made())
    assert desktop.calls.count(("notify", "a hill")) == told


class FakeDownloads(QObject):
    progress_changed = Signal(object)
    finished = Signal(object)
    failed = Signal(object)


@pytest.fixture
def downloading(qapp):
    studio, desktop, downloads = FakeStudio(), Desktop(), FakeDownloads()
    desktop_status.Presence(studio, desktop, downloads)  # type: ignore[arg-type]
    return studio, desktop, downloads


def test_downloads_have_the_dock_and_keep_the_machine_awake(downloading):
    _, desktop, downloads = downloading
    for fraction in (0.1, 0.9, None):
        downloads.progress_changed.emit(fraction)
    assert desktop.calls == [
        ("begin",),
        ("progress", 0.1),
        ("progress", 0.9),
        ("end",),
        ("progress", None),
    ]


def test_a_picture_has_the_dock_before_downloads_and_hands_it_back(downloading):
    studio, desktop, downloads = downloading
    downloads.progress_changed.emit(0.3)
    studio.activity_changed.emit(Activity(Phase.DENOISING, step=1, steps=2))
    downloads.progress_changed.emit(0.4)
    studio.activity_changed.emit(Activity())
    downloads.progress_changed.emit(None)
    assert desktop.calls == [
        ("begin",),
        ("progress", 0.3),
        ("progress", 0.5),
        ("progress", 0.4),
        ("end",),
        ("progress", None),
    ]


@pytest.mark.parametrize(("in_front", "told"), [(True, 0), (False, 2)])
def test_the_end_of_a_download_is_announced_to_who_looks_elsewhere(
    downloading, monkeypatch, in_front, told
):
    _, desktop, downloads = downloading
    monkeypatch.setattr(desktop_status, "_is_in_front", lambda: in_front)
    status = DownloadStatus("d", "a/b", "v", "Fog", "r", DownloadState.DONE, 10)
    downloads.finished.emit(status)
    full = SfumatoError(ErrorKind.STORAGE, "The disk is full.")
    downloads.failed.emit(replace(status, state=DownloadState.FAILED, error=full))
    notes = [call[1] for call in desktop.calls if call[0] == "notify"]
    assert notes == ["Fog", "The disk is full."][:told]
