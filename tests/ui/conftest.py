"""The real window, offscreen, on a queue that the test drives."""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QEvent, QObject

from gui.coreml.model import (
    Attention,
    ComponentInfo,
    ComponentKind,
    Family,
    FileFormat,
    ModelInfo,
)
from gui.coreml.sidecar import ModelCard, Sidecar
from gui.state.model_entry import ModelEntry
from tests.support import garbage
from tests.support.patience import PatientBot

if sys.platform.startswith("linux"):
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

X11_TEST = "test_drag_out_x11.py"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The X11 drag is Linux's: macOS has no X server to drag under, so it is left out there."""
    if sys.platform != "darwin":
        return
    here = [item for item in items if item.path.name == X11_TEST]
    if here:
        config.hook.pytest_deselected(items=here)
        items[:] = [item for item in items if item not in here]


def make_info(
    folder: Path,
    *,
    size: tuple[int, int] = (512, 512),
    encoder: bool = True,
    safety: bool = False,
    problems: tuple[str, ...] = (),
) -> ModelInfo:
    """What the inspector would say of an SD1 model."""
    kinds = [ComponentKind.TEXT_ENCODER, ComponentKind.UNET, ComponentKind.VAE_DECODER]
    kinds += [ComponentKind.VAE_ENCODER] if encoder else []
    kinds += [ComponentKind.SAFETY_CHECKER] if safety else []
    parts = {
        k: ComponentInfo(k, (folder / f"{k.value}.mlpackage",), FileFormat.PACKAGE, (), ())
        for k in kinds
    }
    return ModelInfo(
        folder=folder,
        name=folder.name,
        components=parts,
        controlnets=(),
        family=Family.SD1,
        attention=Attention.SPLIT_EINSUM,
        compression="6-bit palette",
        latent_channels=4,
        latent_height=size[1] // 8,
        latent_width=size[0] // 8,
        image_height=size[1],
        image_width=size[0],
        unet_batch=2,
        context_channels=768,
        minimum_macos="13",
        size_bytes=1_234_000_000,
        problems=problems,
    )


STARTER_SIDECAR = Sidecar(
    Family.SD1,
    name="Sfumato Starter",
    default_scheduler="Euler",
    default_steps=18,
    default_guidance_scale=4.0,
    card=ModelCard("Draws one thing on a plain ground.", examples=("a red apple", "a blue boat")),
)
BROKEN = "The UNet is missing."


def read_by_name(entry: ModelEntry, _reader: object = None) -> ModelEntry:
    """Stands where the inspector stands; the folder's name says what kind of model it is."""
    name = "/".join(entry.folder.parts[-2:])
    if entry.starter:
        info = make_info(entry.folder, size=(128, 128))
        return dataclasses.replace(entry, info=info, sidecar=STARTER_SIDECAR)
    if "broken" in name:
        info = make_info(entry.folder, problems=(BROKEN,))
        return dataclasses.replace(entry, info=info, problem=BROKEN)
    info = make_info(
        entry.folder,
        size=(512, 768),
        encoder="no-encoder" not in name,
        safety="safety" in name,
    )
    return dataclasses.replace(entry, info=info, sidecar=Sidecar(Family.SD1, default_steps=30))


@pytest.fixture(scope="session", autouse=True)
def clipboard_ends_empty(qapp):
    """What lies on it is Python's, and Qt would let go of it only after Python has ended."""
    yield
    qapp.clipboard().clear()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh `SFUMATO_HOME`."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("SFUMATO_HOME", str(folder))
    return folder


@pytest.fixture
def qtbot(qapp, request) -> PatientBot:  # type: ignore[no-untyped-def]
    """In the place of pytest-qt's."""
    return PatientBot(request)


@pytest.fixture
def open_workspace(qtbot, qapp, home, monkeypatch) -> Iterator[Callable]:  # type: ignore[no-untyped-def]
    """Opens the window (again) on a fake queue and Hub; every window is closed at the end."""
    from gui import app as application
    from gui.state import models
    from tests.support.fake_hub import FakeHub
    from tests.support.fake_queue import FakeQueue

    monkeypatch.setattr(models, "read_entry", read_by_name)
    windows = []
    parts: list[QObject] = []

    def open_(hub: FakeHub | None = None) -> tuple:
        window = application.MainWindow(application.Settings())
        folder = home / "made"
        folder.mkdir(exist_ok=True)
        queue = FakeQueue(folder)
        with qtbot.waitActive(window):  # only then can anything in it have the focus
            window.show()
            window.activateWindow()
        workspace = application.furnish(qapp, window, queue, hub or FakeHub())
        with qtbot.waitSignal(workspace.studio.models.refreshed):
            workspace.studio.start()
        windows.append(window)
        parts.extend((workspace.studio, workspace.appearance))
        return workspace, queue

    # Closing the last window must not end the application that all tests share.
    monkeypatch.setattr("gui.ui.main_window.QApplication.quit", lambda: None)
    yield open_
    for window in windows:
        if window.isVisible():
            window.close()
        window.deleteLater()
    # The application's, which all tests share: what they heard of would keep every part of every
    # window, and each window's end would take longer than the one's before.
    for part in parts:
        part.deleteLater()
    # Now, not when the application is torn down and the text fields' cursors can no longer blink.
    qapp.sendPostedEvents(None, QEvent.Type.DeferredDelete)


@pytest.fixture
def desk(open_workspace):  # type: ignore[no-untyped-def]
    """A furnished window and the queue that drives it."""
    return open_workspace()


@pytest.fixture
def workspace(desk):  # type: ignore[no-untyped-def]
    return desk[0]


@pytest.fixture
def queue(desk):  # type: ignore[no-untyped-def]
    return desk[1]


@pytest.fixture(autouse=True)
def garbage_on_this_thread(qapp) -> Iterator[None]:  # type: ignore[no-untyped-def]
    """As in the app: what of Qt nobody holds any more is not destroyed on a worker's thread."""
    garbage.before_a_test()
    yield
    garbage.after_a_test()
