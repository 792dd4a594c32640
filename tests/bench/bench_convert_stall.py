"""The window's worst stall while a checkpoint is converted: the real window, the real converter
process and a tiny checkpoint, with the Convert sheet open, which is redrawn at every step."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

STALL_BUDGET_MS = 50.0


def run() -> list[dict[str, Any]]:
    """Measure in a process of its own; milliseconds."""
    with tempfile.TemporaryDirectory(prefix="sfumato-bench-") as home:
        environment = {**os.environ, "SFUMATO_HOME": home, "QT_QPA_PLATFORM": "offscreen"}
        for part in ("checkpoint", "stall"):  # the first leaves torch behind, with its process
            source = f"from tests.bench.bench_convert_stall import {part}; {part}()"
            done = subprocess.run(
                [sys.executable, "-c", source],
                capture_output=True,
                text=True,
                timeout=600,
                env=environment,
            )
            if done.returncode:
                raise RuntimeError(done.stdout[-1000:] + done.stderr[-4000:])
    stall_ms, own, idle, seconds = map(float, done.stdout.splitlines()[-1].split())
    return [
        {
            "name": "worst window stall, converting a model",
            "value": round(stall_ms, 1),
            "unit": "ms",
            "budget": STALL_BUDGET_MS,
            "note": f"a tiny SD 1 checkpoint in {seconds:.1f} s, from looking at it to the model "
            f"in the library; at most {own:.1f} ms of its process's own work, the rest is waiting "
            f"for a processor; idle {idle:.1f} ms",
        }
    ]


def _source() -> Path:
    return Path(os.environ["SFUMATO_HOME"]) / "tiny.safetensors"


def checkpoint() -> None:
    """Write a tiny seeded checkpoint."""
    from tests.support.tiny_checkpoints import save_single

    save_single("sd1", _source())


def stall() -> None:
    """Print the worst stall while converting, the most of the window's own work in one, the worst
    stall while idle, and how long it took."""
    from gui import app as application
    from gui.state.convert.state import ConvertPhase
    from tests.bench.bench_hub import Meter, after, open_window, settle
    from tests.support.fake_hub import FakeHub
    from tests.support.fake_queue import FakeQueue

    app = application.make_application()
    window, workspace = open_window(app, FakeQueue(), FakeHub())
    workspace.convert_desk.show()
    sheet, state = workspace.convert_desk.sheet, workspace.studio.convert
    meter = Meter(app)
    settle(app, 1.0)
    idle = meter.worst(after(1))
    sheet.source.set_path(str(_source()))
    worst = meter.worst(sheet.convert_button.isEnabled)
    sheet.convert_button.click()
    over = (ConvertPhase.DONE, ConvertPhase.FAILED)
    worst = max(worst, meter.worst(lambda: state.status.phase in over))
    worst = max(worst, meter.worst(after(1)))
    if state.status.phase is not ConvertPhase.DONE:
        raise RuntimeError(f"the conversion went wrong: {state.status}")
    print(worst, meter.own, idle, state.status.elapsed)
    window.close()
