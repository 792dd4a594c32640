"""Composition of the window: application, state, appearance, main window.

Order matters here.  What the first paint needs is imported at the top; the engine is started, and
everything else loaded, once the window has been painted.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from PySide6.QtCore import QCoreApplication, QEvent, QTimer, QTranslator
from PySide6.QtGui import QFileOpenEvent
from PySide6.QtWidgets import QApplication

from gui.state.settings import Settings
from gui.state.studio import Studio
from gui.ui.appearance import Appearance
from gui.ui.main_window import MainWindow


class Application(QApplication):
    """Hands files that Finder or the Dock pass on to the window, also those that come early."""

    def __init__(self, arguments: Sequence[str]) -> None:
        super().__init__(list(arguments))
        self._window: MainWindow | None = None
        self._early: list[str] = []

    def set_window(self, window: MainWindow) -> None:
        self._window = window
        for path in self._early:
            window.open_path(path)
        self._early.clear()

    def event(self, event: QEvent) -> bool:
        if isinstance(event, QFileOpenEvent) and event.file():
            if self._window is not None:
                self._window.open_path(event.file())
            else:
                self._early.append(event.file())
            return True
        return super().event(event)


class _MacMenuTexts(QTranslator):
    """Qt still calls the settings “Preferences…”; macOS has called them Settings since 13."""

    def translate(
        self, context: str, source: str, disambiguation: str | None = None, n: int = -1
    ) -> str:
        if context == "MAC_APPLICATION_MENU" and source == "Preferences…":
            return "Settings…"
        return ""

    def isEmpty(self) -> bool:
        return False


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
        translator = _MacMenuTexts(app)
        app.installTranslator(translator)
    return app


def make_window(app: Application, queue: object | None = None) -> MainWindow:
    """The main window on a real queue, or on the one given (tests).  Not yet shown.

    The engine starts by itself right after the first paint.
    """
    settings = Settings(app)
    appearance = Appearance(app, settings.appearance)
    if queue is None:
        from gui.state.job_queue import JobQueue

        queue = JobQueue(app)
    studio = Studio(settings, queue, app)
    window = MainWindow(studio, appearance)
    # The zero timer lets the painted frame reach the screen before anything else is loaded.
    window.first_painted.connect(lambda: QTimer.singleShot(0, studio.start))
    app.set_window(window)
    return window


def main(arguments: Sequence[str] = ()) -> int:
    """Open the window and stay until it is closed.

    Args:
        arguments: empty, or ``--offscreen-run PROMPT --out DIR`` (see `gui.offscreen`).

    Returns:
        The process's exit code.
    """
    if arguments and arguments[0] == "--offscreen-run":
        from gui.offscreen import run

        return run(list(arguments[1:]))
    app = make_application()
    window = make_window(app)
    window.show()
    return app.exec()
