"""The gallery over 100,000 pictures: how soon it is open, how long each frame's own work takes.

Frames are measured in the window's thread's own processor time, so that what else the machine does
counts for nothing; opening is measured by the clock, from the command to the first picture drawn.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from typing import Any

PICTURES = 100_000
DAYS = 900
FRAMES = 300
FILES = 400
"""Picture files there are; the entries share them."""


def run() -> list[dict[str, Any]]:
    """Measure in a process of its own; see `tests.bench`."""
    with tempfile.TemporaryDirectory(prefix="sfumato-bench-") as home:
        environment = {**os.environ, "SFUMATO_HOME": home, "QT_QPA_PLATFORM": "offscreen"}
        done = subprocess.run(
            [sys.executable, "-c", "from tests.bench.bench_gallery import measure; measure()"],
            capture_output=True, text=True, timeout=300, env=environment,
        )  # fmt: skip
    lines = [line for line in done.stdout.splitlines() if line.startswith("figures ")]
    if not lines:
        raise RuntimeError(done.stderr[-2000:])
    opened, opened_cpu, worst, usual, search, choose_all = map(float, lines[0].split()[1:])
    pictures = f"{PICTURES:,} pictures in {DAYS} days"
    return [
        _row("gallery: command to first frame", opened, 200,
             f"{pictures}; CPU {opened_cpu:.0f} ms"),
        _row("gallery: worst frame while scrolling", worst, 33,
             f"CPU time of the window's thread, {FRAMES} frames, median {usual:.1f} ms"),
        _row("gallery: a word looked for", search, 50, "typed to answered, by the index's thread"),
        _row("gallery: all chosen", choose_all, 33, "CPU time, with the repaint"),
    ]  # fmt: skip


def _row(name: str, value: float, budget: float, note: str) -> dict[str, Any]:
    return {"name": name, "value": round(value, 2), "unit": "ms", "budget": budget, "note": note}


def _fill() -> None:
    """An index of entries whose thumbnails there are; their files are not looked for."""
    from PIL import Image

    from gui import paths
    from gui.library import thumbnails
    from gui.library.picture_index import FILE_NAME, PictureFacts, PictureIndex

    folder = paths.data_dir() / "elsewhere"  # not among the folders that are looked through
    words = ("fog", "fox", "sailor", "apples", "lake", "boat", "oil", "light", "snow", "dawn")
    now = time.time()
    index = PictureIndex(paths.data_dir() / FILE_NAME)
    index.put(
        PictureFacts(
            f"{folder}/{k:06}.png", now - k * DAYS * 86400 / PICTURES, 512, 512,
            f"a {words[k % 10]} and a {words[k // 10 % 10]} number {k}", "", "SD 1.5",
            "Euler a", k, 20, 7.5, bytes=k, modified_ns=k, fingerprint=str(k),
        )
        for k in range(PICTURES)
    )  # fmt: skip
    index.close()
    made = [
        thumbnails.make(
            Image.effect_noise((384, 384), 60).convert("RGB"), folder / f"thumbnail-{k}.jpg"
        )
        for k in range(8)
    ]
    for k in range(FILES):
        target = thumbnails.name_of(f"{folder}/{k:06}.png", k, k)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(made[k % 8])


def measure() -> None:
    """Print the figures, in milliseconds."""
    from PySide6.QtCore import QThread

    from gui import app as application
    from tests.support.fake_hub import FakeHub
    from tests.support.fake_queue import FakeQueue

    _fill()
    app = application.make_application()
    window = application.make_window(app)
    workspace = application.furnish(app, window, FakeQueue(), FakeHub())
    window.resize(1320, 860)
    window.show()
    workspace.studio.start()
    pictures = workspace.studio.gallery

    def until(there: Any) -> None:
        end = time.monotonic() + 60
        while not there():
            app.processEvents()
            QThread.msleep(1)
            if time.monotonic() > end:
                raise RuntimeError("nothing came")

    until(lambda: pictures.rowCount() == PICTURES)
    started, cpu = time.perf_counter(), time.thread_time()
    workspace.actions_.gallery.trigger()
    gallery = workspace.gallery
    assert gallery is not None
    grid = gallery.grid
    until(lambda: bool(grid.visible_rows()) and grid.visible_rows()[0] == 0)
    grid.viewport().repaint()
    until(lambda: pictures.held(pictures.id_at(0)) is not None)
    grid.viewport().repaint()
    opened, opened_cpu = time.perf_counter() - started, time.thread_time() - cpu

    frames = [_frame(app, grid, k * 90) for k in range(FRAMES * 2 // 3)]
    last = grid.verticalScrollBar().maximum()
    frames += [_frame(app, grid, last * k // (FRAMES // 3)) for k in range(FRAMES // 3)]

    started = time.perf_counter()
    pictures.refreshed.connect(lambda: None)
    before = pictures.rowCount()
    gallery.search.setText("fox sailor")
    gallery._search_now()
    until(lambda: pictures.rowCount() != before)
    search = time.perf_counter() - started
    gallery.clear_filter()
    until(lambda: pictures.rowCount() == PICTURES)

    cpu = time.thread_time()
    grid.selectAll()
    grid.viewport().repaint()
    choose_all = time.thread_time() - cpu
    frames.sort()
    figures = (opened, opened_cpu, frames[-1], frames[len(frames) // 2], search, choose_all)
    print("figures", *(f"{1000 * figure:.3f}" for figure in figures), flush=True)
    os._exit(0)


def _frame(app: Any, grid: Any, to: int) -> float:
    """Seconds of the thread's own work for one frame: what came in, the move, the painting."""
    started = time.thread_time()
    grid.verticalScrollBar().setValue(to)
    app.processEvents()
    grid.viewport().repaint()
    spent = time.thread_time() - started
    time.sleep(0.004)  # workers bring thumbnails in between
    return spent
