"""How soon the window is there, how much memory it holds, how soon a preview is on the screen.

Start-up is measured from outside, process start to the first paint, side by side with a bare
PySide6 main window; the two take turns, and the fastest of each counts, since anything slower is
the machine's doing.
"""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROUNDS = 7
SIZE = (1320, 860)
PREVIEW = 512
PREVIEWS = 30

_BARE = f"""
import os, sys, time
from PySide6.QtWidgets import QApplication, QMainWindow
class Window(QMainWindow):
    def paintEvent(self, event):
        super().paintEvent(event)
        print(time.time(), flush=True)
        os._exit(0)
app = QApplication(sys.argv)
window = Window()
window.resize{SIZE}
window.show()
app.exec()
"""

_OURS = """
import os, time
from gui import app as application
app = application.make_application()
window = application.open_window(app)
painted = []
def first():
    painted.append(time.time())
def furnished():
    window.repaint()
    print(painted[0], time.time(), flush=True)
    os._exit(0)
window.first_painted.connect(first)
window.furnished.connect(furnished)
app.exec()
"""

_IDLE = """
import os
from pathlib import Path
from PySide6.QtCore import QTimer
from gui import app as application
app = application.make_application()
window = application.open_window(app)
def report():
    fields = dict(l.split(":", 1) for l in Path("/proc/self/status").read_text().splitlines())
    print(int(fields["VmRSS"].split()[0]) / 1024, flush=True)
    window.close()
window.furnished.connect(lambda: QTimer.singleShot(6000, report))
app.exec()
"""


def run() -> list[dict[str, Any]]:
    """Measure; see `tests.bench`."""
    with tempfile.TemporaryDirectory(prefix="sfumato-bench-") as home:
        os.environ["SFUMATO_HOME"] = home
        os.environ["QT_QPA_PLATFORM"] = "offscreen"
        bare, ours, whole = start_times()
        rows = [
            _row("first paint ÷ a bare main window", ours / bare, "×", 1.25,
                 f"{ours:.0f} ms ÷ {bare:.0f} ms; every control in place after {whole:.0f} ms"),
        ]  # fmt: skip
        if Path("/proc/self/status").exists():
            note = "resident, 6 s after the start, engine running"
            rows.append(_row("window process, idle", resident_mib(), "MiB", 150, note))
            note = "resident, 1,000 pictures made one after the other, the second half"
            rows.append(_row("window process, growth per picture", growth_kib(), "KiB", 8, note))
        for ratio in (1, 2):
            note = f"{PREVIEW}² RGB block to painted window, {ratio}× screen, median of {PREVIEWS}"
            name = f"preview to pixels, {ratio}×"
            rows.append(_row(name, preview_ms(ratio), "ms", 20 if ratio == 1 else None, note))
    return rows


def _row(name: str, value: float, unit: str, budget: float | None, note: str) -> dict[str, Any]:
    return {"name": name, "value": round(value, 2), "unit": unit, "budget": budget, "note": note}


def start_times() -> tuple[float, float, float]:
    """Milliseconds from process start: bare paint, our first paint, our window complete."""
    bare, ours, whole = [], [], []
    for _ in range(ROUNDS):
        started = time.time()
        bare.append(float(_child(_BARE)) - started)
        started = time.time()
        first, complete = map(float, _child(_OURS).split())
        ours.append(first - started)
        whole.append(complete - started)
    return tuple(min(times) * 1000 for times in (bare, ours, whole))  # type: ignore[return-value]


def resident_mib() -> float:
    return float(_child(_IDLE).splitlines()[-1])


def growth_kib() -> float:
    return float(_child("from tests.bench.bench_window import grow; grow()"))


def grow() -> None:
    """Print how much more memory the window holds for each picture of the second 500.

    They are saved as pictures are, each synced to the disk: more of them took minutes.
    """
    from PySide6.QtGui import QColor, QImage

    from gui import app as application
    from tests.support.fake_queue import FakeQueue

    app = application.make_application()
    folder = Path(tempfile.mkdtemp(dir=os.environ["SFUMATO_HOME"]))
    queue = FakeQueue(folder)
    window = application.make_window(app)
    workspace = application.furnish(app, window, queue)
    studio = workspace.studio
    window.resize(*SIZE)
    window.show()
    studio.start()
    made, held = 0, []
    for goal in (500, 1000):
        while made < goal:
            studio.draft.set("prompt", f"picture {made}")
            studio.generate()
            job = queue.run()
            image = QImage(PREVIEW, PREVIEW, QImage.Format.Format_RGB888)
            image.fill(QColor.fromHsv(made % 360, 200, 200))
            queue.picture(image)
            queue.finish()
            queue.remove(job.id)
            made += 1
            while studio.pictures.rowCount() < made:
                app.processEvents()
                time.sleep(0.001)
        end = time.monotonic() + 2
        while time.monotonic() < end:
            app.processEvents()
            time.sleep(0.001)
        gc.collect()
        held.append(_resident_kib())
    print((held[1] - held[0]) / 500, flush=True)
    os._exit(0)


def _resident_kib() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1])


def preview_ms(ratio: int) -> float:
    """Median milliseconds from a raw frame to the painted window, in a process of its own."""
    os.environ["QT_SCALE_FACTOR"] = str(ratio)
    try:
        return float(_child("from tests.bench.bench_window import measure; measure()"))
    finally:
        del os.environ["QT_SCALE_FACTOR"]


def measure() -> None:
    """Print the median time of previews shown by the real window."""
    from gui import app as application
    from tests.support.fake_queue import FakeQueue

    app = application.make_application()
    queue = FakeQueue()
    window = application.make_window(app)
    workspace = application.furnish(app, window, queue)
    window.resize(*SIZE)
    window.show()
    app.processEvents()
    times = _show_previews(app, workspace, queue)
    print(sorted(times)[len(times) // 2] * 1000, flush=True)
    os._exit(0)


def _show_previews(app: Any, workspace: Any, queue: Any) -> list[float]:
    from PySide6.QtGui import QImage

    workspace.prompt_panel.prompt.edit.setPlainText("a bench")
    workspace.studio.generate()
    queue.run()
    app.processEvents()
    times = []
    for k in range(PREVIEWS):
        frame = os.urandom(PREVIEW * 3) * PREVIEW
        started = time.perf_counter()
        image = QImage(frame, PREVIEW, PREVIEW, PREVIEW * 3, QImage.Format.Format_RGB888).copy()
        queue.step(k + 1, PREVIEWS, preview=image)
        app.processEvents()
        times.append(time.perf_counter() - started)
    return times


def _child(source: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", source], capture_output=True, text=True, timeout=600
    )
    if not done.stdout:
        raise RuntimeError(done.stderr[-2000:])
    return done.stdout
