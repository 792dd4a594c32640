"""Composition of the window: application, state, appearance, main window.

Order matters here.  What the first paint needs is imported at the top; the engine is started, and
everything else loaded, once the window has been painted.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import sys
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import QCoreApplication, QObject, QSocketNotifier, QTimer, Signal
from PySide6.QtWidgets import QApplication

from gui.process.crashes import Watch
from gui.state.settings import Settings
from gui.ui.main_window import MainWindow

if TYPE_CHECKING:
    from PySide6.QtCore import QEvent

    from gui.state.hub.thread import Hub
    from gui.state.studio import Studio
    from gui.ui.widgets.appearance import Appearance
    from gui.ui.workspace import Workspace


class Application(QApplication):
    """Hands files and addresses (``sfumato://…``) that Finder, the Dock or another program pass on
    to the window, also those that come early."""

    def __init__(self, arguments: Sequence[str]) -> None:
        super().__init__(list(arguments))
        self._window: MainWindow | None = None
        self._early: list[str] = []

    def set_window(self, window: MainWindow) -> None:
        self._window = window
        for path in self._early:
            window.open_path(path)
        self._early.clear()

    def hand_over(self, path: str) -> None:
        """A file's path, or an address, for the window."""
        if self._window is not None:
            self._window.open_path(path)
        else:
            self._early.append(path)

    def event(self, event: QEvent) -> bool:
        # By name: the class is loaded only when such an event comes, which on Linux is never.
        if type(event).__name__ == "QFileOpenEvent":
            # An address that is no file's has no path.
            self.hand_over(event.file() or event.url().toString())  # type: ignore[attr-defined]
            return True
        return super().event(event)


def has_screen() -> bool:
    """Whether a window can be seen: always on macOS, on Linux with X11 or Wayland."""
    if not sys.platform.startswith("linux"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def make_application() -> Application:
    """The one QApplication of the process, named and ready for a window."""
    if not has_screen():
        os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    QCoreApplication.setApplicationName("Sfumato")
    QCoreApplication.setOrganizationName("Sfumato")
    app = Application(["Sfumato"])
    app.setApplicationDisplayName("Sfumato")
    app.setQuitOnLastWindowClosed(False)
    if sys.platform == "darwin":
        from gui.ui.widgets.mac_texts import MenuTexts

        app.installTranslator(MenuTexts(app))
    return app


def make_window(app: Application) -> MainWindow:
    """The window before its first paint: not shown, not furnished."""
    window = MainWindow(Settings(app))
    app.set_window(window)
    return window


def furnish(
    app: Application, window: MainWindow, queue: object | None = None, hub: Hub | None = None
) -> Workspace:
    """Everything behind the first paint: appearance, state, controls.

    Args:
        queue: stands in for the real job queue (tests).
        hub: stands in for the Hub process (tests).
    """
    return window.furnish(*_behind_the_window(app, window, queue, hub))


def open_window(app: Application, queue: object | None = None) -> MainWindow:
    """Show the window; after its first paint it is furnished and the engine starts.

    What it takes is loaded on another thread and built part by part, so that from its first moment
    the window can be moved and closed.
    """
    window = make_window(app)
    loaded = _Loaded(app)

    def build() -> None:
        if window.isVisible():
            from gui.state.garbage import GarbageCollector

            studio, appearance = _behind_the_window(app, window, queue, None)
            window.furnished.connect(GarbageCollector.of(app).settle)
            # The zero timer lets the finished window reach the screen before anything else is
            # loaded.
            window.furnished.connect(lambda: QTimer.singleShot(0, studio.start))
            QTimer.singleShot(0, lambda: window.furnish_in_parts(studio, appearance))

    loaded.arrived.connect(build)
    window.first_painted.connect(lambda: QTimer.singleShot(0, loaded.start))
    window.show()
    return window


class _Loaded(QObject):
    """Loads the window's modules on a thread of its own."""

    arrived = Signal()

    def start(self) -> None:
        threading.Thread(target=self._run, name="modules", daemon=True).start()

    def _run(self) -> None:
        try:
            importlib.import_module("gui.state.job_queue")
            importlib.import_module("gui.ui.workspace")
        finally:  # what fails here fails again, and is heard, where it is used
            self.arrived.emit()


def _give_memory_back() -> None:
    """Have the pixels of pictures that are let go given back to the system.  Linux's C library else
    learns from the first ones to keep such blocks, and the gaps between those that stay make the
    process grow with every picture; other systems keep large blocks apart."""
    if sys.platform.startswith("linux"):
        import ctypes  # the first paint needs none

        with contextlib.suppress(AttributeError, OSError):
            ctypes.CDLL(None).mallopt(_MMAP_THRESHOLD, 128 * 1024)


_MMAP_THRESHOLD = -3
"""``M_MMAP_THRESHOLD`` of malloc.h."""


class EndSignals(QObject):
    """Ctrl-C in a terminal and SIGTERM close the window as a person does; a second one ends the
    process at once.

    Python would raise KeyboardInterrupt in whatever of ours Qt calls next: nowhere, as long as
    nobody moves the mouse, or in a paint event, out of which Qt lets no exception.  So the number
    of the signal comes through a pipe, which Qt's loop waits for.

    Args:
        window: what to close.
    """

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        self._window = window
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        os.set_blocking(self._writer, False)
        signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._on_signal)
        self._notifier = QSocketNotifier(self._reader, QSocketNotifier.Type.Read, self)
        self._notifier.activated.connect(self._on_waked)

    @staticmethod
    def _on_signal(number: int, _frame: object) -> None:
        signal.signal(number, signal.SIG_DFL)

    def _on_waked(self) -> None:
        with contextlib.suppress(BlockingIOError):
            numbers = os.read(self._reader, 64)
            if {*numbers} & {signal.SIGINT, signal.SIGTERM}:
                self._window.close()

    def close(self) -> None:
        """Leave signals to whoever comes next."""
        self._notifier.setEnabled(False)
        signal.set_wakeup_fd(-1)
        os.close(self._reader)
        os.close(self._writer)


def _behind_the_window(
    app: Application, window: MainWindow, queue: object | None, hub: Hub | None
) -> tuple[Studio, Appearance]:
    _give_memory_back()
    from gui.state.desktop import services
    from gui.state.desktop_status import Presence
    from gui.state.garbage import GarbageCollector
    from gui.state.studio import Studio
    from gui.ui.widgets.appearance import Appearance

    GarbageCollector.of(app)
    if queue is None:
        from gui.state.job_queue import JobQueue

        queue = JobQueue(app)
    appearance = Appearance(app, window.settings.appearance)
    studio = Studio(window.settings, queue, app, hub)
    Presence(studio, services(), studio.hub.downloads, studio.convert)
    return studio, appearance


def main() -> int:
    """Open the window and stay until it is closed; the process's exit code."""
    watch = Watch("window")
    app = make_application()
    window = open_window(app)
    signals = EndSignals(window)
    code = app.exec()
    signals.close()
    del window
    watch.end()
    return code
