"""The real window with one finished picture, for a drag from outside.

`python -m tests.support.drag_source FOLDER` prints a JSON line with the screen position of the
picture on the canvas and of its thumbnail, and stays until it is ended.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from PySide6.QtCore import QPoint, QTimer
from PySide6.QtWidgets import QWidget

from gui import app as application
from gui.request import PictureRequest
from gui.ui.workspace import Workspace
from tests.support.fake_queue import FakeQueue
from tests.support.pictures import picture


def _place(widget: QWidget, at: QPoint) -> list[int]:
    on_screen = widget.mapToGlobal(at)
    return [on_screen.x(), on_screen.y()]


def _report(workspace: Workspace, path: str) -> None:
    view, strip = workspace.canvas.view, workspace.filmstrip.list
    if view.path() != path:
        QTimer.singleShot(50, lambda: _report(workspace, path))
        return
    rect = strip.visualRect(workspace.studio.pictures.index(0))
    places = {
        "path": path,
        "canvas": _place(view, view.picture_rect().center().toPoint()),
        "thumbnail": _place(strip.viewport(), rect.center()),
    }
    print(json.dumps(places), flush=True)


def main() -> int:
    folder = Path(sys.argv[1])
    os.environ["SFUMATO_HOME"] = str(folder / "home")
    app = application.make_application()
    queue = FakeQueue(folder)
    window = application.open_window(app, queue)
    window.setGeometry(20, 60, 1280, 800)

    def make_picture() -> None:
        assert window.workspace is not None
        workspace = window.workspace
        queue.submit(PictureRequest("a red field", ""))
        queue.run()
        path = queue.picture(picture(256, 192))
        queue.finish()
        QTimer.singleShot(500, lambda: _report(workspace, path))

    window.furnished.connect(lambda: QTimer.singleShot(500, make_picture))
    return app.exec()


if __name__ == "__main__":
    sys.exit(main())
