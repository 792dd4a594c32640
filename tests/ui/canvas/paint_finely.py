"""Draws a lasso through the points given, at several zooms, on a screen of the scale factor that
the environment says; prints the mask files."""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ["QT_QPA_PLATFORM"] = "offscreen"
sys.path.insert(0, str(Path(__file__).parents[3]))

from PySide6.QtCore import QSize, QTimer
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QApplication

from gui.state.canvas.mask import MaskState
from gui.state.draft import DraftState
from gui.state.undo import UndoStack
from gui.ui.canvas.mask_tool import MaskTool, Mode
from gui.ui.canvas.picture_view import PictureView
from tests.ui.canvas.conftest import SIDE
from tests.ui.canvas.hands import drag

SCALES = (None, 1.0, 3.0, 11.0)

app = QApplication(sys.argv)
app.setQuitOnLastWindowClosed(False)
points = [tuple(map(float, text.split(","))) for text in sys.argv[1:]]
undo = UndoStack()
draft = DraftState(undo)
mask = MaskState(draft, undo, lambda _path, _then: None)
tool = MaskTool(mask)
tool.set_mode(Mode.LASSO)
view = PictureView()
view.resize(501, 433)
view.show()
assert view.devicePixelRatioF() == float(os.environ["QT_SCALE_FACTOR"])
image = QImage(SIDE, SIDE, QImage.Format.Format_RGB32)
image.fill(0)
view.show_image(image, path="picture.png")
tool.look("picture.png", QSize(SIDE, SIDE))
tool.take()
view.set_tool(tool)


def paint(number: int) -> None:
    if number == len(SCALES):
        app.quit()
        return
    view.set_scale(SCALES[number])
    tool.clear()
    drag(view, [*points, points[0]])  # type: ignore[list-item]

    def kept() -> None:
        print(draft.value("start_image.mask"), flush=True)
        QTimer.singleShot(0, lambda: paint(number + 1))

    mask.when_kept(kept)


QTimer.singleShot(0, lambda: paint(0))
QTimer.singleShot(60_000, lambda: os._exit(3))
app.exec()
mask.close()
tool.close()
