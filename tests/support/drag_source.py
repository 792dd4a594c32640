"""The real window with finished pictures, for a drag from outside.

`python -m tests.support.drag_source FOLDER NUMBER START` makes so many, prints a JSON line with
their paths, newest first, and where START (canvas, thumbnail or gallery) is on the screen, and
stays until it is ended.  Where there are several, all are chosen, on the strip or in the gallery.
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


def _report(workspace: Workspace, paths: list[str], gallery: bool) -> None:
    """Wait until all is there, then say where."""
    view, strip, pictures = workspace.canvas.view, workspace.filmstrip, workspace.studio.pictures
    held = [pictures.picture(row) for row in range(pictures.rowCount())]
    if view.path() != paths[0] or None in held or len(held) < len(paths):
        QTimer.singleShot(50, lambda: _report(workspace, paths, gallery))
        return
    if not gallery:
        rect = strip.list.visualRect(strip.list.model().index(0, 0))
        places = {
            "canvas": _place(view, view.picture_rect().center().toPoint()),
            "thumbnail": _place(strip.list.viewport(), rect.center()),
        }
        if len(paths) > 1:
            strip.list.selectAll()
    else:
        workspace.middle.show_gallery()
        assert workspace.gallery is not None
        grid = workspace.gallery.grid
        if len(grid.visible_rows()) < len(paths) or len(
            grid.pictures.held_paths(grid.pictures.ids())
        ) < len(paths):
            QTimer.singleShot(50, lambda: _report(workspace, paths, gallery))
            return
        grid.selectAll()
        places = {"gallery": _place(grid.viewport(), grid.rect_on_screen(1).center())}
    print(json.dumps({"paths": paths, **places}), flush=True)


def main() -> int:
    folder, number, gallery = Path(sys.argv[1]), int(sys.argv[2]), "gallery" in sys.argv[3:]
    os.environ["SFUMATO_HOME"] = str(folder / "home")
    app = application.make_application()
    queue = FakeQueue(folder)
    window = application.open_window(app, queue)
    window.setGeometry(20, 60, 1280, 800)

    def make_picture() -> None:
        assert window.workspace is not None
        workspace = window.workspace
        queue.submit(PictureRequest("a red field", "", count=number))
        queue.run()
        colours = ("#b03020", "#20b030", "#3020b0")
        paths = [queue.picture(picture(256, 192, colours[k])) for k in range(number)]
        queue.finish()
        QTimer.singleShot(500, lambda: _report(workspace, paths[::-1], gallery))

    window.furnished.connect(lambda: QTimer.singleShot(500, make_picture))
    return app.exec()


if __name__ == "__main__":
    sys.exit(main())
