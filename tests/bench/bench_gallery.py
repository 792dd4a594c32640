"""The gallery over 100,000 pictures: how soon it is open, how long each frame's own work takes, how
fast files become entries, thumbnails and finished pictures.

What is measured in processor time is so that what else the machine does counts for nothing; opening
is measured by the clock, from the command to the first picture drawn.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.support.many_pictures import DAYS, PICTURES

FRAMES = 300
MADE = 300
FILES = 400
"""Picture files there are; the entries share them."""


def run() -> list[dict[str, Any]]:
    """Measure in a process of its own; see `tests.bench`."""
    opened, opened_cpu, worst, usual, search, search_wall, widest, choose_all, memory, idle = map(
        float, _in_a_process("measure")
    )
    pictures = f"{PICTURES:,} pictures in {DAYS} days"
    files = [float(figure) for figure in _in_a_process("measure_files")]
    return [
        _row("gallery: command to first frame", opened, 200,
             f"{pictures}; CPU {opened_cpu:.0f} ms"),
        _row("gallery: worst frame while scrolling", worst, 33,
             f"CPU time of the window's thread, {FRAMES} frames, median {usual:.1f} ms"),
        _row("gallery: a word looked for", search, 50,
             f"CPU time of the whole process, typed to drawn, {search_wall:.0f} ms by the clock; "
             f"a word that all have {widest:.0f} ms"),
        _row("gallery: all chosen", choose_all, 33, "CPU time, with the repaint"),
        {"name": "gallery: window process", "value": round(memory, 1), "unit": "MiB", "budget": 220,
         "note": f"resident, after all that; {idle:.0f} MiB before the gallery was opened"},
        *_of_files(*files),
    ]  # fmt: skip


def _of_files(scan: float, look: float, small: float, large: float, cached: float,
              saved: float, encoded: float) -> list[dict[str, Any]]:  # fmt: skip
    made = f"512² PNG of ours, {MADE} of them"

    def line(name: str, value: float, unit: str, note: str) -> dict[str, Any]:
        return {"name": name, "value": round(value, 1), "unit": unit, "budget": None, "note": note}

    return [
        line("gallery: index rebuilt", scan, "a second", f"{made}; CPU time"),
        line("gallery: folders looked at again", look, "a second", "nothing new; CPU time"),
        line("gallery: thumbnails made", small, "a second",
             f"512² PNG, one thread, CPU time; 1024²: {large:.0f}; kept ones read: {cached:.0f}"),
        line("gallery: picture done to file safe on disk", saved, "ms",
             f"512², median, by the clock: encoded ({encoded:.0f} ms CPU), synced, named"),
    ]  # fmt: skip


def _in_a_process(function: str) -> list[str]:
    with tempfile.TemporaryDirectory(prefix="sfumato-bench-") as home:
        environment = {**os.environ, "SFUMATO_HOME": home, "QT_QPA_PLATFORM": "offscreen"}
        source = f"from tests.bench import bench_gallery as b; b.{function}()"
        done = subprocess.run(
            [sys.executable, "-c", source],
            capture_output=True, text=True, timeout=300, env=environment,
        )  # fmt: skip
    lines = [line for line in done.stdout.splitlines() if line.startswith("figures ")]
    if not lines:
        raise RuntimeError(done.stderr[-2000:])
    return lines[0].split()[1:]


def _row(name: str, value: float, budget: float, note: str) -> dict[str, Any]:
    return {"name": name, "value": round(value, 2), "unit": "ms", "budget": budget, "note": note}


def _fill() -> None:
    """An index of entries, and thumbnails of the newest."""
    from PIL import Image

    from gui.library import thumbnails
    from tests.support.many_pictures import fill_index, folder

    fill_index()
    made = [
        thumbnails.make(
            Image.effect_noise((384, 384), 60).convert("RGB"), thumbnails.folder() / f"{k}.jpg"
        )
        for k in range(8)
    ]
    for k in range(FILES):
        target = thumbnails.name_of(f"{folder()}/{k:06}.png", k, k)
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
    idle = resident_mib()
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

    def look_for(text: str) -> tuple[float, float]:
        """Processor time of all threads, and the clock's, from the last key to the drawn answer."""
        answered: list[bool] = []
        told = pictures.refreshed.connect(lambda: answered.append(True))
        gallery.search.setText(text)
        started, cpu = time.perf_counter(), time.process_time()
        gallery._search_now()
        until(lambda: answered)
        grid.viewport().repaint()
        spent = time.process_time() - cpu, time.perf_counter() - started
        pictures.refreshed.disconnect(told)
        return spent

    searches = [look_for(text) for text in ("fox sailor", "lake", "fox sailor", "boat", "snow oil")]
    search = sorted(cpu for cpu, _ in searches)[len(searches) // 2]
    wall = min(wall for _, wall in searches)
    widest, _ = look_for("number")
    gallery.clear_filter()
    until(lambda: pictures.rowCount() == PICTURES)

    cpu = time.thread_time()
    grid.selectAll()
    grid.viewport().repaint()
    choose_all = time.thread_time() - cpu
    frames.sort()
    figures = (opened, opened_cpu, frames[-1], frames[len(frames) // 2], search, wall, widest,
               choose_all)  # fmt: skip
    milliseconds = [f"{1000 * figure:.3f}" for figure in figures]
    print("figures", *milliseconds, resident_mib(), idle, flush=True)
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


def resident_mib() -> float:
    """Of this process; 0 where the system does not tell."""
    status = Path("/proc/self/status")
    if not status.exists():
        return 0.0
    line = next(x for x in status.read_text().splitlines() if x.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def measure_files() -> None:
    """Print what files cost: index, thumbnails, saving."""
    import numpy as np

    from gui import paths
    from gui.library import thumbnails
    from gui.library.picture_index import FILE_NAME, PictureIndex
    from gui.library.picture_scan import scan
    from gui.library.pictures import png_bytes, save_picture
    from gui.request import PictureRecord, PictureRequest

    random = np.random.default_rng(1)

    def pixels(side: int) -> Any:
        """As soft as a picture is: noise of a few pixels' size."""
        rough = random.integers(0, 255, (side // 8, side // 8, 3), np.uint8)
        return np.kron(rough, np.ones((8, 8, 1), np.uint8))

    folder, saved = paths.pictures_dir(), []
    for number in range(MADE):
        request = PictureRequest(f"a fox and a sailor, number {number}", "", seed=number,
                                 output_dir=str(folder / str(number % 12)))  # fmt: skip
        record = PictureRecord(request, 512, 512, "SD 1.5")
        picture = pixels(512)
        started = time.perf_counter()
        save_picture(picture, record, request)
        saved.append(time.perf_counter() - started)
    cpu = time.process_time()
    png_bytes(picture, record)
    encoded = time.process_time() - cpu
    index = PictureIndex(paths.data_dir() / FILE_NAME)
    cpu = time.process_time()
    assert scan(index, [folder]).read == MADE
    read = time.process_time() - cpu
    cpu = time.process_time()
    assert not scan(index, [folder]).changed
    look = time.process_time() - cpu
    files = sorted(folder.rglob("*.png"))[:40]
    large = folder / "large.png"
    large.write_bytes(png_bytes(pixels(1024), record))
    rates = []
    for those in (files, [large] * 10):
        cpu = time.process_time()
        for number, file in enumerate(those):
            thumbnails.make_from_file(file, thumbnails.name_of(str(file), number, 0))
        rates.append(len(those) / (time.process_time() - cpu))
    from PySide6.QtGui import QImage

    cpu = time.process_time()
    for number, file in enumerate(files):
        QImage.fromData(thumbnails.name_of(str(file), number, 0).read_bytes())
    rates.append(len(files) / (time.process_time() - cpu))
    figures = (MADE / read, MADE / look, *rates, 1000 * sorted(saved)[MADE // 2], 1000 * encoded)
    print("figures", *figures, flush=True)
