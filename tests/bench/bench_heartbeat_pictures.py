"""The window's heart-beat with 100,000 pictures and a long queue: what a person does with them.

Measured as in `bench_heartbeat`: the most processor time that the window's thread takes between two
ticks of a timer, and beside it the longest time between two of them.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from tests.bench.bench_heartbeat import Session

SIDE = 4096
"""Pixels of the picture that is painted on."""
OWN = 8
"""Pictures whose files there are."""
JOBS = 500


def run() -> list[dict[str, Any]]:
    """Measure; figures in milliseconds."""
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    os.environ["SFUMATO_ENGINE_STANDIN"] = "tests.engine.standins:backend"
    with tempfile.TemporaryDirectory(prefix="sfumato-bench-") as folder:
        os.environ["SFUMATO_HOME"] = str(Path(folder) / "home")
        os.environ["XDG_DATA_HOME"] = folder
        return PicturesSession(Path(folder)).measure()


class PicturesSession(Session):
    """A window with a person's pictures."""

    def lines(self) -> None:
        from tests.support.many_pictures import PICTURES

        self._line(f"start with {PICTURES:,} pictures and {JOBS} jobs", self._start)
        self._until(lambda: self.studio.gallery.rowCount() == PICTURES + OWN)
        self._line("nothing goes on beside them", lambda: self._rest(1.0))
        self._line("the gallery opens", self._gallery)
        self._line("the gallery is scrolled from end to end", self._scroll)
        self._line("words are looked for in it", self._search)
        self._line("all pictures are chosen", self._choose_all)
        self._line(f"{OWN} pictures are compared", self._compare)
        self._line(f"a mask is painted on a picture of {SIDE}²", self._paint)
        self._line("the queue opens, a job is edited and left", self._queue)
        self._line("settings open", lambda: self._show(self.workspace.window_desk.show_settings))
        self._line("the picture’s information opens", self._info)
        self._line("a prompt of 20,000 characters is pasted", self._paste)
        # One call of Qt's gives every widget its colours anew: it cannot be made in parts.
        self._line("the window turns dark and light", self._appearance, budget=None)
        self._line("the window changes its size", self._resize)
        self._line("how fast the model is, is shown", self._measure_sheet)

    def _make_files(self) -> None:
        from PIL import Image

        from gui import paths
        from gui.library.queue import JobStore
        from gui.request import PictureRequest
        from tests.support.many_pictures import fill_index

        fill_index()
        paths.pictures_dir().mkdir(parents=True)
        for number in range(OWN):
            side = SIDE if number == 0 else 1024
            picture = Image.effect_noise((side // 8, side // 8), 60).resize((side, side))
            picture.convert("RGB").save(
                paths.pictures_dir() / f"own {number}.png", compress_level=1
            )
        store = JobStore.default()
        store.add_all([PictureRequest(f"waits {number}", "m") for number in range(JOBS)])
        store.set_option("paused", True)
        store.close()

    def _gallery(self) -> None:
        pictures = self.studio.gallery
        self.workspace.actions_.gallery.trigger()
        grid = self._grid()
        self._until(lambda: bool(grid.visible_rows()) and grid.visible_rows()[0] == 0)
        self._until(lambda: pictures.held(pictures.id_at(0)) is not None)

    def _grid(self) -> Any:
        assert self.workspace.gallery is not None
        return self.workspace.gallery.grid

    def _scroll(self) -> None:
        bar = self._grid().verticalScrollBar()
        for part in range(41):
            bar.setValue(bar.maximum() * part // 40)
            self._rest(0.05)

    def _search(self) -> None:
        gallery = self.workspace.gallery
        assert gallery is not None
        everything = self.studio.gallery.rowCount()
        for text in ("fox sailor", "lake", "number"):
            answered: list[bool] = []
            told = self.studio.gallery.refreshed.connect(lambda got=answered: got.append(True))
            gallery.search.setText(text)
            gallery._search_now()
            self._until(lambda got=answered: bool(got))
            self.studio.gallery.refreshed.disconnect(told)
        gallery.clear_filter()
        self._until(lambda: self.studio.gallery.rowCount() == everything)

    def _choose_all(self) -> None:
        self._grid().selectAll()
        self._rest(0.3)
        self._grid().clearFocus()

    def _own_pictures(self) -> list[Any]:
        gallery = self.studio.gallery
        names = {f"own {number}.png" for number in range(OWN)}
        found: list[Any] = []
        for row in range(OWN):  # they are the newest
            self._until(lambda row=row: gallery.picture(row) is not None)
            found.append(gallery.picture(row))
        assert {Path(picture.path).name for picture in found} == names
        return found

    def _compare(self) -> None:
        comparison = self.workspace.middle.comparison
        comparison.show(self._own_pictures())
        self._rest(1.5)
        comparison.leave()

    def _paint(self) -> None:
        from PySide6.QtCore import QEvent

        from tests.ui.canvas.hands import mouse

        own = self._own_pictures()
        large = next(picture for picture in own if picture.path.endswith("own 0.png"))
        self.workspace.actions_.gallery.setChecked(False)
        self.workspace.middle.open_picture(large)
        self._rest(1.5)
        self.workspace.tools_desk.edit_with_mask(large)
        view = self.workspace.canvas.view
        self._until(lambda: view.surface.tool is not None)
        self._rest(0.5)
        mouse(view, QEvent.Type.MouseButtonPress, (500, 500))
        for step in range(60):
            mouse(view, QEvent.Type.MouseMove, (500 + 40 * step, 500 + 30 * (step % 7)))
            self._rest(0.01)
        mouse(view, QEvent.Type.MouseButtonRelease, (2900, 600))
        self._rest(0.5)
        self.workspace.actions_.invert_mask.trigger()
        self._rest(0.5)

    def _queue(self) -> None:
        self.workspace.actions_.queue.setChecked(True)
        self._rest(0.5)
        jobs = self.studio.jobs
        jobs.edit(self.studio.queue.waiting()[100].id)
        self._rest(0.3)
        jobs.cancel_edit()
        self.workspace.actions_.queue.setChecked(False)

    def _show(self, show: Any) -> None:
        show()
        self._rest(0.5)
        for dialog in self.workspace.window_desk.dialogs.values():
            dialog.close()

    def _info(self) -> None:
        self.workspace.actions_.info.trigger()
        self._rest(0.5)

    def _paste(self) -> None:
        self.workspace.prompt_panel.prompt.edit.setPlainText("a fox, (oil:1.2), " * 1100)
        self._rest(1.0)

    def _appearance(self) -> None:
        for name in ("dark", "light"):
            self.studio.settings.appearance = name
            self._rest(0.5)

    def _resize(self) -> None:
        for width in range(1000, 1600, 20):
            self.window.resize(width, 700 + width // 10)
            self._rest(0.02)

    def _measure_sheet(self) -> None:
        self._until(lambda: self.studio.model.usable)
        sheet = self.workspace.measuring_desk.show(self.studio.model)
        assert sheet is not None
        self._rest(0.3)
        sheet.close()


if __name__ == "__main__":
    run()
