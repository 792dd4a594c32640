"""A program of its own that takes what is dropped on it: the other end of a drag.

`python -m tests.support.drop_target FOLDER` shows a plain window at the right of the screen, prints
``ready``, when a drag first comes in ``entered``, and at a drop copies the files into FOLDER as
``dropped-0.png`` and so on, writes the image data as ``data.png``, prints one JSON line and ends.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

from PySide6.QtCore import QTimer
from PySide6.QtGui import QDragEnterEvent, QDropEvent, QImage
from PySide6.QtWidgets import QApplication, QWidget


class Target(QWidget):
    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        self._entered = False
        self.setAcceptDrops(True)
        self.setWindowTitle("Drop target")

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        event.acceptProposedAction()
        if not self._entered:
            self._entered = True
            print("entered", flush=True)

    def dropEvent(self, event: QDropEvent) -> None:
        data = event.mimeData()
        files = [url.toLocalFile() for url in data.urls()]
        report = {
            "files": files,
            "has_image": data.hasImage(),
            "action": event.proposedAction().name,
        }
        for number, file in enumerate(files):
            shutil.copyfile(file, self._folder / f"dropped-{number}.png")
        if data.hasImage():
            QImage(data.imageData()).save(str(self._folder / "data.png"))
        event.acceptProposedAction()
        print(json.dumps(report), flush=True)
        QTimer.singleShot(200, QApplication.quit)


def main() -> int:
    app = QApplication(sys.argv)
    target = Target(Path(sys.argv[1]))
    target.setGeometry(1340, 100, 500, 700)
    target.show()
    QTimer.singleShot(300, lambda: print("ready", flush=True))
    return app.exec()


if __name__ == "__main__":
    sys.exit(main())
