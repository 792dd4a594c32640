"""`python -m gui --offscreen-run [PROMPT] --out DIR`: the real window without a screen.

What a person would do, done on the window's own controls: wait for the engine and the starter
model, type the prompt, press Generate, watch, and keep the picture.  A screenshot half-way and one
at the end show what there was to see.  `make run` does this where there is no screen.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gui.errors import SfumatoError

if TYPE_CHECKING:
    from PySide6.QtGui import QPixmap

    from gui.app import Application
    from gui.state.activity import Activity
    from gui.ui.main_window import MainWindow
    from gui.ui.workspace import Workspace

DEFAULT_PROMPT = "a red apple on a blue background"
WINDOW_SIZE = (1320, 860)
PATIENCE = 300.0
"""Seconds each stage may take; the engine's first imports are the slowest on a cold machine."""


class _RunError(Exception):
    """One sentence for the terminal."""


def main(arguments: Sequence[str]) -> int:
    """Run once.  The paths of picture and screenshots are printed.

    Returns:
        0, or 1 after one sentence on stderr.
    """
    options = _parser().parse_args(arguments)
    out = Path(options.out).absolute()
    os.environ["QT_QPA_PLATFORM"] = "offscreen"
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="sfumato-") as home:
            # Nothing of the person's own settings and queue is used or changed.
            os.environ["SFUMATO_HOME"] = home
            return _run(" ".join(options.prompt) or DEFAULT_PROMPT, options, out)
    except (_RunError, OSError) as error:
        print(f"sfumato: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="sfumato --offscreen-run")
    parser.add_argument("prompt", nargs="*", help=f"default: {DEFAULT_PROMPT}")
    parser.add_argument("--out", default="build/run", metavar="DIR", help="where to write")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--model", default="", metavar="DIR", help="default: the starter model")
    parser.add_argument("--appearance", choices=("light", "dark"), default="light")
    return parser


def _run(prompt: str, options: argparse.Namespace, out: Path) -> int:
    from gui import app as application

    started = time.perf_counter()
    app = application.make_application()
    window = application.open_window(app)
    window.settings.appearance = options.appearance
    window.resize(*WINDOW_SIZE)
    window.settings.pictures_folder = str(out)
    session = _Session(app, window, out)
    try:
        session.use_model(options.model)
        session.wait_until_ready()
        print(f"ready      {time.perf_counter() - started:.1f} s")
        picture = session.make_picture(prompt, options.seed)
        session.keep_screenshots()
    finally:
        window.close()
    print(f"picture    {picture}")
    for shot in session.screenshots:
        print(f"screenshot {shot}")
    return 0


class _Session:
    """One picture's way through the window."""

    def __init__(self, app: Application, window: MainWindow, out: Path) -> None:
        self._app = app
        self._window = window
        self._out = out
        self._error = ""
        self.screenshots: list[Path] = []
        self._grabbed: list[QPixmap] = []
        self._wait(lambda: window.workspace is not None, "The window was not furnished.")
        self._work.studio.error_raised.connect(self._on_error)
        self._work.studio.job_failed.connect(self._on_error)

    @property
    def _work(self) -> Workspace:
        assert self._window.workspace is not None
        return self._window.workspace

    def use_model(self, folder: str) -> None:
        if folder:
            added: list[object] = []
            self._work.studio.models.added.connect(added.append)
            self._work.studio.models.add_folder(folder)
            self._wait(lambda: bool(added), "The model's folder was not looked at.")

    def wait_until_ready(self) -> None:
        studio = self._work.studio
        self._wait(lambda: not studio.model.reading, "The model was not read.")
        if studio.model.problem:
            raise _RunError(studio.model.problem)
        self._wait(lambda: studio.engine_state == "ready", "The engine did not start.")

    def make_picture(self, prompt: str, seed: int) -> str:
        """Type, press, wait; path of the saved picture."""
        from PySide6.QtCore import Qt
        from PySide6.QtTest import QTest

        panel, studio = self._work.prompt_panel, self._work.studio
        made: list[str] = []
        studio.picture_finished.connect(lambda picture: made.append(picture.path))
        studio.activity_changed.connect(self._on_activity)
        panel.prompt.edit.clear()
        QTest.keyClicks(panel.prompt.edit, prompt)
        studio.draft.set("seed", seed)
        QTest.mouseClick(panel.generate, Qt.MouseButton.LeftButton)
        self._wait(lambda: bool(made) and not studio.activity.busy, "No picture was made.")
        shown = self._work.canvas.view
        self._wait(lambda: shown.path() == made[-1], "The picture was not shown.")
        self._wait(lambda: self._work.filmstrip.has_thumbnail(0), "No thumbnail.")
        self._shoot("window.png")
        return made[-1]

    def _on_activity(self, activity: Activity) -> None:
        half = activity.steps and activity.step >= max(1, activity.steps // 2)
        if half and activity.preview is not None and not self.screenshots:
            self._shoot("window-half-way.png")

    def _shoot(self, name: str) -> None:
        path = self._out / name
        self.screenshots.append(path)
        self._grabbed.append(self._window.grab())

    def keep_screenshots(self) -> None:
        """Write them when the window has been looked at: they lie where the pictures do, which it
        would show."""
        for path, pixmap in zip(self.screenshots, self._grabbed, strict=True):
            if not pixmap.save(str(path)):
                raise _RunError(
                    f"The screenshot could not be written: {path}; choose another folder."
                )

    def _on_error(self, error: SfumatoError) -> None:
        self._error = error.message

    def _wait(self, done: Callable[[], bool], complaint: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not done():
            if self._error:
                raise _RunError(self._error)
            if time.monotonic() > deadline:
                raise _RunError(complaint)
            self._app.processEvents()
            time.sleep(0.005)
        self._app.processEvents()
