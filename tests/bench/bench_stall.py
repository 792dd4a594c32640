"""The window's worst stall while the engine computes, loads and holds its interpreter lock.

A timer in a real window ticks every 10 ms; the longest time between two ticks is the stall.  The
stand-in engine holds its own interpreter lock for half a second at a time, as Core ML's Python
calls do, and streams a 1024 × 1024 preview at every step, which the window draws.
"""

from __future__ import annotations

import itertools
import os
import tempfile
import time
from typing import Any

TICK_MS = 10
HOLD = 0.5
STEPS = 10
SIZE = 1024
BUDGET_MS = 50.0


def run() -> list[dict[str, Any]]:
    """Measure; figures in milliseconds."""
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    os.environ["SFUMATO_ENGINE_STANDIN"] = "tests.engine.standins:backend"
    os.environ["SFUMATO_HOME"] = tempfile.mkdtemp(prefix="sfumato-bench-")
    idle, busy, previews = measure()
    return [
        {
            "name": "worst window stall, engine idle",
            "value": round(idle, 1),
            "unit": "ms",
            "budget": None,
            "note": f"{TICK_MS} ms timer, nothing else going on",
        },
        {
            "name": "worst window stall, engine starts, loads and computes",
            "value": round(busy, 1),
            "unit": "ms",
            "budget": BUDGET_MS,
            "note": f"engine holds its lock {HOLD * 1000:.0f} ms at a time, "
            f"{previews} previews of {SIZE}² drawn; {busy / idle:.1f} × idle",
        },
    ]


def measure() -> tuple[float, float, int]:
    """Worst gap between two ticks with nothing going on, and from the engine's start through
    loading to the finished picture, in milliseconds; and how many previews were drawn."""
    from PySide6.QtCore import Qt, QTimer
    from PySide6.QtGui import QPixmap
    from PySide6.QtWidgets import QApplication, QLabel, QMainWindow

    from gui.request import PictureRequest
    from gui.state.job_queue import Job, JobQueue, StepUpdate

    app = QApplication.instance() or QApplication([])
    window = QMainWindow()
    window.resize(900, 900)
    canvas = QLabel()
    canvas.setScaledContents(True)
    window.setCentralWidget(canvas)
    window.show()
    ticks: list[float] = []
    timer = QTimer()
    timer.setTimerType(Qt.TimerType.PreciseTimer)
    timer.timeout.connect(lambda: ticks.append(time.monotonic()))
    timer.start(TICK_MS)

    def spin(until: Any) -> float:
        deadline = time.monotonic() + 120
        ticks.clear()
        while not until() and time.monotonic() < deadline:
            app.processEvents()
            time.sleep(0.0005)
        return 1000 * max(b - a for a, b in itertools.pairwise(ticks))

    spin_end = time.monotonic() + 1.0
    idle = spin(lambda: time.monotonic() > spin_end)

    drawn = 0

    def draw(update: StepUpdate) -> None:
        nonlocal drawn
        if update.preview is not None:
            canvas.setPixmap(QPixmap.fromImage(update.preview))
            drawn += 1

    queue = JobQueue()
    queue.step_changed.connect(draw)
    jobs: list[Job] = []

    def start() -> None:  # inside the measured time, as after a real first paint
        queue.start()
        jobs.append(queue.submit(PictureRequest(f"steps={STEPS} hold={HOLD} size={SIZE}", "m")))

    QTimer.singleShot(0, start)
    busy = spin(lambda: bool(jobs) and jobs[0].status not in ("queued", "running"))
    queue.shutdown()
    timer.stop()
    window.close()
    if jobs[0].status != "done" or drawn < STEPS // 2:
        raise RuntimeError(f"the measured job went wrong: {jobs[0].status}, {drawn} previews")
    return idle, busy, drawn


if __name__ == "__main__":
    for figure in run():
        print(figure)
