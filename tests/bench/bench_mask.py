"""A mask stroke on a 2048² picture: from the pointer's event to painted pixels in the window.

What is measured is the window thread's own time per event, painting included, for brushes of usual
and of the largest size, with the picture fitted and at its true size; and once for the whole mask.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

SIDE = 2048
STROKES = 60
SHOWN = (1000, 900)
BUDGET = 16.0


def run() -> list[dict[str, Any]]:
    """Measure in a process of its own for each screen; see `tests.bench`."""
    rows: list[dict[str, Any]] = []
    for ratio in (1, 2):
        figures = [float(text) for text in _child(ratio).split()]
        names = ("brush 64 px, fitted", "brush 64 px, true size", "brush 400 px, fitted")
        for name, usual, worst in zip(names, figures[0:6:2], figures[1:6:2], strict=True):
            note = f"event to pixels, {SIDE}² picture, worst of {STROKES} {worst:.1f} ms"
            rows.append(_row(f"mask stroke, {name}, {ratio}×", usual, BUDGET, note))
        rows.append(_row(f"mask inverted and painted, {ratio}×", figures[6], None, "all of it"))
        rows.append(_row(f"end of a stroke, {ratio}×", figures[7], None, "what undo remembers"))
    return rows


def _row(name: str, value: float, budget: float | None, note: str) -> dict[str, Any]:
    return {"name": name, "value": round(value, 2), "unit": "ms", "budget": budget, "note": note}


def _child(ratio: int) -> str:
    with tempfile.TemporaryDirectory(prefix="sfumato-bench-") as home:
        done = subprocess.run(
            [sys.executable, "-c", "from tests.bench.bench_mask import measure; measure()"],
            cwd=Path(__file__).resolve().parents[2],
            env={
                **os.environ,
                "QT_QPA_PLATFORM": "offscreen",
                "QT_SCALE_FACTOR": str(ratio),
                "SFUMATO_HOME": home,
            },
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout


def measure() -> None:
    """Print the figures, in milliseconds."""
    from PySide6.QtCore import QEvent, QPointF, QRect, QSize
    from PySide6.QtGui import QImage

    from gui import app as application
    from gui.state.canvas.mask import MaskState
    from gui.state.draft import DraftState
    from gui.state.undo import UndoStack
    from gui.ui.canvas.mask_tool import MaskTool
    from gui.ui.canvas.picture_view import PictureView
    from tests.ui.canvas.hands import mouse

    app = application.make_application()
    undo = UndoStack()
    mask = MaskState(DraftState(undo), undo, lambda _path, _then: None)
    tool, view = MaskTool(mask), PictureView()
    view.resize(*SHOWN)
    view.show()
    image = QImage(SIDE, SIDE, QImage.Format.Format_RGB32)
    image.fill(0x336699)
    view.show_image(image, path="picture.png")
    tool.look("picture.png", QSize(SIDE, SIDE))
    tool.take()
    view.set_tool(tool)

    painted: list[object] = []
    paint = tool.paint

    def counted(*what: Any) -> None:
        paint(*what)
        painted.append(None)  # a painter must not outlive its event

    tool.paint = counted  # type: ignore[method-assign]

    def settle() -> None:
        app.processEvents()
        view.surface.repaint(QRect(0, 0, 1, 1))

    def stroke(size: int, scale: float | None) -> tuple[float, float]:
        view.set_scale(scale, view.surface.place().to_surface(QPointF(SIDE / 2, SIDE / 2)))
        tool.set_size(size)
        settle()
        middle = SIDE / 2
        mouse(view, QEvent.Type.MouseButtonPress, (middle - 300, middle))
        settle()
        times = []
        painted.clear()
        for step in range(STROKES):
            at = (middle - 300 + 10 * step, middle + 40 * (step % 3))
            begun = time.thread_time()
            mouse(view, QEvent.Type.MouseMove, at)
            app.processEvents()
            times.append((time.thread_time() - begun) * 1000)
        assert len(painted) >= STROKES, "not every stroke was painted"
        mouse(view, QEvent.Type.MouseButtonRelease, (middle + 300, middle))
        settle()
        times.sort()
        return times[len(times) // 2], times[-1]

    for size, scale in ((64, None), (64, 1.0), (400, None)):
        print(*stroke(size, scale))
    view.set_scale(None)
    settle()
    begun = time.thread_time()
    tool.invert()
    app.processEvents()
    print((time.thread_time() - begun) * 1000)
    mouse(view, QEvent.Type.MouseButtonPress, (100, 100))
    mouse(view, QEvent.Type.MouseMove, (1900, 1900))
    app.processEvents()
    begun = time.thread_time()
    mouse(view, QEvent.Type.MouseButtonRelease, (1900, 1900))
    print((time.thread_time() - begun) * 1000)
    mask.close()
    tool.close()
