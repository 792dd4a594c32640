"""Another copy of Sfumato on the same folders: its pictures without a window.

`python -m tests.support.second_copy` obeys lines of JSON on its stdin, and answers each on its
stdout: ``["see"]`` tells its pictures as ``{name: [favourite, tags]}``; ``["favourite", NAME]``,
``["tag", NAME, TAG]``, ``["trash", NAME]`` and ``["save", PROMPT]`` answer when it is done.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QCoreApplication

from gui import paths
from gui.library.picture_facts import IndexedPicture
from gui.library.pictures import save_picture
from gui.request import PictureRecord, PictureRequest
from gui.state import desktop
from gui.state.pictures.library import PictureLibrary


class Copy:
    def __init__(self) -> None:
        self.app = QCoreApplication(sys.argv)
        self.library = PictureLibrary(lambda: [paths.pictures_dir()])
        self.opened: list[bool] = []
        self.library.opened.connect(lambda: self.opened.append(True))
        self.library.start()
        self.until(lambda: bool(self.opened))

    def until(self, there: Callable[[], bool]) -> None:
        while not there():
            self.app.processEvents()
            time.sleep(0.005)

    def pictures(self) -> dict[str, IndexedPicture]:
        found: list[list[IndexedPicture]] = []
        self.library._index.ask(lambda i: i.rows(i.find().ids), found.append, self.fail)
        self.until(lambda: bool(found))
        return {Path(picture.path).stem: picture for picture in found[0]}

    def fail(self, error: Exception) -> None:
        raise error

    def obey(self, what: str, *words: str) -> object:
        if what == "see":
            return {name: [p.favourite, p.tags] for name, p in self.pictures().items()}
        if what == "save":
            import numpy as np

            request = PictureRequest(words[0], "", output_dir=str(paths.pictures_dir()))
            record = PictureRecord(request, 8, 8, "Tiny")
            path = save_picture(np.zeros((8, 8, 3), np.uint8), record, request)
            self.library.add(str(path), record)
            self.until(lambda: path.stem in self.pictures())
            return path.stem
        picture, done = self.pictures()[words[0]], []
        if what == "favourite":
            self.library.toggle_favourite([picture.id], lambda *_: done.append(1))
        elif what == "tag":
            self.library.tag([picture.id], [words[1]], [], done.append)
        else:
            desktop.move_to_trash(picture.path)
            self.library.forget([picture.path])
            done.append(1)
        self.until(lambda: bool(done))
        return "done"


def main() -> None:
    copy = Copy()
    print("ready", flush=True)
    for line in sys.stdin:
        print(json.dumps(copy.obey(*json.loads(line))), flush=True)
    copy.library.close()


if __name__ == "__main__":
    main()
