"""The window's heart-beat: how long it is held up, whatever goes on.

A timer ticks every 10 ms in the real window.  The longest time between two ticks is what a person
feels; on a machine that does other things as well it says little, so beside it stands the most
processor time that the window's thread itself took between two ticks.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

TICK_MS = 10
BUDGET_MS = 50.0
MODELS = 2_000
RESULTS = 10_000
PAGE = 100
SLOW_DISK = 0.2
"""Seconds that every look at a person's file takes, on the slow disk."""
PATIENCE = 60.0
"""Seconds after which something has gone wrong."""


def run() -> list[dict[str, Any]]:
    """Measure; figures in milliseconds."""
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    os.environ["SFUMATO_ENGINE_STANDIN"] = "tests.engine.standins:backend"
    os.environ["SFUMATO_CONVERTER_STANDIN"] = "tests.support.fake_converter:backend"
    with tempfile.TemporaryDirectory(prefix="sfumato-bench-") as folder:
        os.environ["SFUMATO_HOME"] = str(Path(folder) / "home")
        os.environ["XDG_DATA_HOME"] = folder
        return Session(Path(folder)).measure()


@dataclasses.dataclass
class Beat:
    """The worst between two ticks, in milliseconds."""

    gap: float = 0.0
    own: float = 0.0


class Session:
    """One window, from its start on.

    Args:
        folder: an empty one; the person's files are made in it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rows: list[dict[str, Any]] = []
        self.beat = Beat()
        self._last = (0.0, 0.0)

    def measure(self) -> list[dict[str, Any]]:
        from PySide6.QtCore import Qt, QTimer

        from gui import app as application

        self._make_files()
        self.app = application.make_application()
        self.timer = QTimer()
        self.timer.setTimerType(Qt.TimerType.PreciseTimer)
        self.timer.timeout.connect(self._tick)
        self.timer.start(TICK_MS)
        self.window = application.open_window(self.app)
        painted: list[bool] = []
        self.window.first_painted.connect(lambda: painted.append(True))
        self._until(lambda: bool(painted))
        self.lines()
        self.window.close()
        self.app.processEvents()
        return self.rows

    def lines(self) -> None:
        """Measure one thing after the other."""
        self._line("start, from the first paint to a running engine", self._start)
        self._line("nothing goes on", lambda: self._rest(1.0))
        self._line(f"{MODELS:,} installed models that look alike", self._models)
        self._make_hub()
        self._line(f"the Hub’s side of the column, {RESULTS:,} results", self._results)
        self._line("the sheet of a model on the Hub", self._sheet)
        self._line("the Convert sheet opens", self._convert)
        self._line("a checkpoint is looked at, its options shown", self._checkpoint)
        self._line("settings, shortcuts, about", self._dialogs)
        for side in (8_000, 12_000):
            self._line(f"a picture of {side}² dropped", lambda side=side: self._drop(side))
        self._line("a pipe named .png dropped", self._pipe)
        self._line("the engine holds its lock, 10 previews of 1024²", self._engine)
        self._thin_out()
        self._line(f"a disk that takes {SLOW_DISK * 1000:.0f} ms a look", self._slow_disk)

    # -- measuring ----------------------------------------------------------------------------

    def _tick(self) -> None:
        now = (time.monotonic(), time.thread_time())
        self.beat.gap = max(self.beat.gap, 1000 * (now[0] - self._last[0]))
        self.beat.own = max(self.beat.own, 1000 * (now[1] - self._last[1]))
        self._last = now

    def _line(self, name: str, act: Callable[[], object], budget: float | None = BUDGET_MS) -> None:
        self._rest(0.1)
        self._last = (time.monotonic(), time.thread_time())
        self.beat = Beat()
        act()
        self._rest(0.3)
        self._tick()
        note = f"longest time between two ticks {self.beat.gap:.0f} ms"
        print(f"{self.beat.own:6.1f} {name}: {note}", flush=True)
        self.rows.append(
            {
                "name": f"window held up: {name}",
                "value": round(self.beat.own, 1),
                "unit": "ms",
                "budget": budget,
                "note": note,
            }
        )

    def _until(self, there: Callable[[], object]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not there():
            if time.monotonic() > deadline:
                raise RuntimeError("what was waited for has not come")
            self.app.processEvents()
            time.sleep(0.0005)

    def _rest(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        self._until(lambda: time.monotonic() > end)

    # -- what goes on -------------------------------------------------------------------------

    def _make_files(self) -> None:
        from PIL import Image

        from gui import paths
        from gui.state import models

        models.read_entry = _read_look_alike  # type: ignore[assignment]
        (self.folder / "own").mkdir()
        Image.MAX_IMAGE_PIXELS = None
        for side in (8_000, 12_000):
            Image.new("RGB", (side, side), "#305080").save(self._own(f"{side}.png"))
        os.mkfifo(self._own("pipe.png"))
        self._own("dreams.safetensors").write_text("")
        self._own("diffusers").mkdir()
        (self._own("diffusers") / "model_index.json").write_text("{}")
        for number in range(MODELS):
            (paths.models_dir() / f"model-{number:04}" / "unet.mlpackage").mkdir(parents=True)

    def _own(self, name: str) -> Path:
        return self.folder / "own" / name

    def _start(self) -> None:
        self._until(lambda: self.window.workspace is not None)
        assert self.window.workspace is not None
        self.workspace = self.window.workspace
        self.studio = self.workspace.studio
        self._until(lambda: self.studio.engine_state == "ready")

    def _models(self) -> None:
        self._until(lambda: self.studio.models.rowCount() > MODELS)
        done: list[bool] = []
        self.studio.models.refreshed.connect(lambda: done.append(True))
        self.studio.models.refresh()
        self._until(lambda: done)

    def _make_hub(self) -> None:
        from tests.support.fake_hub import FakeHub, summary

        self.names = [summary(f"maker/model-{number}") for number in range(RESULTS)]
        self.hub = FakeHub(self.names[:30])

    def _results(self) -> None:
        from gui.hub.messages import SearchAnswer
        from gui.hub.types import SearchPage

        names, hub = self.names, self.hub
        catalogue = self.studio.hub.catalogue
        self.studio.hub.hub.close()
        self.studio.hub.hub = catalogue._hub = hub  # type: ignore[assignment]
        hub.silent = {"search"}
        self.workspace.models_panel.show_hub()
        for first in range(0, RESULTS, PAGE):
            self._until(lambda: hub.open_questions("search"))
            page = names[first : first + PAGE]
            cursor = str(first + PAGE) if first + PAGE < RESULTS else ""
            answer = SearchAnswer(SearchPage(tuple(page), cursor), tuple(True for _ in page))
            hub.answer("search", answer)
            hub.asked.clear()
            self.app.processEvents()
            if cursor:
                catalogue.fetchMore()
        self._until(lambda: catalogue.rowCount() == RESULTS)
        view = self.workspace.models_panel.hub
        assert view is not None
        bar = view.list.verticalScrollBar()
        for part in range(5):
            bar.setValue(bar.maximum() * part // 4)
            self._rest(0.1)

    def _sheet(self) -> None:
        self.workspace.models_desk.show_repo("maker/model-1")
        self._rest(0.3)
        assert self.workspace.models_desk.sheet is not None
        self.workspace.models_desk.sheet.reject()
        self.workspace.models_panel.show_installed()

    def _convert(self) -> None:
        self.workspace.convert_desk.show()
        self._until(lambda: self.workspace.convert_desk.sheet is not None)
        self._rest(0.3)

    def _checkpoint(self) -> None:
        sheet = self.workspace.convert_desk.sheet
        assert sheet is not None
        sheet.source.set_path(str(self._own("dreams.safetensors")))
        self._until(sheet.convert_button.isEnabled)
        sheet.close()

    def _dialogs(self) -> None:
        for show in (
            self.workspace.window_desk.show_settings,
            self.workspace.window_desk.show_shortcuts,
            self.workspace.window_desk.show_about,
        ):
            show()
            self._rest(0.2)
        for dialog in self.workspace.window_desk.dialogs.values():
            dialog.close()

    def _drop(self, side: int) -> None:
        start = self.workspace.prompt_panel.start
        self.workspace.open_path(str(self._own(f"{side}.png")))
        self._until(lambda: not start._thumbnail.isNull() or not start.path())
        start.set_path("")

    def _pipe(self) -> None:
        start = self.workspace.prompt_panel.start
        self.workspace.open_path(str(self._own("pipe.png")))
        self._until(lambda: not start.path())

    def _engine(self) -> None:
        from tests.bench.bench_stall import HOLD, SIZE, STEPS

        panel = self.workspace.prompt_panel
        panel.prompt.edit.setPlainText(f"steps={STEPS} hold={HOLD} size={SIZE}")
        before = self.studio.pictures.rowCount()
        self.workspace.generate()
        self._until(lambda: self.studio.pictures.rowCount() > before)

    def _thin_out(self) -> None:
        """Two thousand models on a slow disk would take all day."""
        for one in self.studio.models.entries()[20:]:
            (one.folder / "unet.mlpackage").rmdir()
            one.folder.rmdir()

    def _slow_disk(self) -> None:
        from gui import paths

        panel, sheet = self.workspace.prompt_panel, self.workspace.convert_desk.sheet
        assert sheet is not None
        with slow_disk(self.folder / "own", paths.models_dir(), paths.pictures_dir()):
            self.workspace.open_path(str(self._own("12000.png")))
            self.workspace.open_path(str(self._own("nothing")))
            self.workspace.open_path(str(self._own("diffusers")))
            self._until(lambda: not panel.start._thumbnail.isNull())
            self._until(lambda: sheet.source.text() == str(self._own("diffusers")))
            self.studio.models.refresh()
            self.studio.library.refresh()
            sheet.close()
            self.workspace.filmstrip.list.setFocus()
            self.workspace.actions_.trash.trigger()
            self._until(lambda: self.studio.pictures.rowCount() == 0)
            self._rest(2.0)


@contextlib.contextmanager
def slow_disk(*roots: Path) -> Iterator[None]:
    """Let every look at what is below these folders take its time, on whatever thread."""
    from tests.support.disk_watch import heard, is_below

    def wait(_what: str, path: Any) -> None:
        if is_below(path, roots):
            time.sleep(SLOW_DISK)

    with heard(wait):
        yield


def _read_look_alike(entry: Any, _reader: object = None) -> Any:
    """Stands where the inspector stands: every model is the same, to look at."""
    from gui.coreml.model import Family
    from gui.coreml.sidecar import Sidecar
    from tests.ui.conftest import make_info

    assert threading.current_thread() is not threading.main_thread()
    info = dataclasses.replace(make_info(entry.folder), name="The same name")
    return dataclasses.replace(entry, info=info, sidecar=Sidecar(Family.SD1))


if __name__ == "__main__":
    run()
