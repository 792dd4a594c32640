"""The model browser: 10,000 results scrolled, and the window's worst stall during search and
download.

Scrolling moves the real list with the real cards of the Hub's side, half a card at a time, and
times each frame from the move to the painted window.  The stall is the longest time between two
ticks of a 10 ms timer in the real window while its Hub process talks to a loopback Hub in a third
process: everything is real but the network.
"""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

RESULTS = 10_000
FRAMES = 400
FRAME_BUDGET_MS = 33.0
STALL_BUDGET_MS = 50.0
TICK_MS = 10
SIZE = (1320, 860)
REPOS = 300
WEIGHT_MB = 400
PATIENCE = 240.0


def run() -> list[dict[str, Any]]:
    """Measure, each part in a process of its own; figures in milliseconds."""
    os.environ["QT_QPA_PLATFORM"] = "offscreen"
    worst, median, own, filled = map(float, _child("scroll").split())
    search, download, idle, seconds = map(float, _child("stall").split())
    return [
        _row(
            f"slowest frame, {RESULTS} search results scrolled",
            worst,
            FRAME_BUDGET_MS,
            f"{FRAMES} frames over the whole list, median {median:.1f} ms, "
            f"at most {own:.1f} ms of processor time; "
            f"the results themselves took {filled:.0f} ms",
        ),
        _row(
            "worst window stall, searching the Hub",
            search,
            STALL_BUDGET_MS,
            f"first search, three more pages, details and pictures; idle {idle:.1f} ms",
        ),
        _row(
            "worst window stall, downloading a model",
            download,
            STALL_BUDGET_MS,
            f"{WEIGHT_MB} MB in {seconds:.1f} s from a loopback Hub, to the installed model",
        ),
    ]


def _row(name: str, value: float, budget: float, note: str) -> dict[str, Any]:
    return {"name": name, "value": round(value, 1), "unit": "ms", "budget": budget, "note": note}


def _child(part: str) -> str:
    with tempfile.TemporaryDirectory(prefix="sfumato-bench-") as home:
        environment = {**os.environ, "SFUMATO_HOME": home, "HF_HOME": f"{home}/huggingface"}
        source = f"from tests.bench.bench_hub import {part}; {part}()"
        done = subprocess.run(
            [sys.executable, "-c", source],
            capture_output=True,
            text=True,
            timeout=600,
            env=environment,
        )
    if done.returncode:
        raise RuntimeError(done.stdout[-1000:] + done.stderr[-4000:])
    return done.stdout.splitlines()[-1]


# -- scrolling --------------------------------------------------------------------------------


def scroll() -> None:
    """Print the slowest and the median frame, the most processor time that one took, and how long
    the model took to fill."""
    from gui import app as application
    from gui.hub.messages import SearchAnswer
    from gui.hub.types import DownloadState, DownloadStatus, SearchPage
    from tests.support.fake_hub import FakeHub, details, summary
    from tests.support.fake_queue import FakeQueue

    app = application.make_application()
    hub = FakeHub()
    hub.silent |= {"search", "details", "picture"}
    window, workspace = open_window(app, FakeQueue(), hub)
    panel = workspace.models_panel
    panel.show_hub()
    catalogue = workspace.studio.hub.catalogue
    picture = _picture(Path(os.environ["SFUMATO_HOME"]) / "picture.png")
    models = [
        summary(f"author-{k % 97}/stable-diffusion-of-a-rather-long-name-{k}", likes=RESULTS - k)
        for k in range(RESULTS)
    ]
    started = time.perf_counter()
    for start in range(0, RESULTS, 100):
        following = str(start + 100) if start + 100 < RESULTS else ""
        page = SearchPage(tuple(models[start : start + 100]), following)
        hub.answer("search", SearchAnswer(page, (True,) * 100))
        if following and not hub.open_questions("search"):
            catalogue.fetchMore()
    filled = 1000 * (time.perf_counter() - started)
    # As after some minutes of use: details and pictures are there, some are on their way.
    for number, model in enumerate(models):
        catalogue._change(
            model.id,
            details=details(model) if number % 3 else None,
            picture=picture if number % 2 else "",
        )
    moving = DownloadStatus("d", models[4].id, "v", "T", "r", DownloadState.FETCHING, 10**9, 10**8)
    hub.move(moving)
    settle(app, 1.0)
    bar = panel.hub.list.verticalScrollBar()
    if bar.maximum() < 100 * RESULTS / 2:
        raise RuntimeError(f"the list is only {bar.maximum()} pixels long")
    frames, own = _scroll(app, window, bar)
    window.close()
    print(max(frames), sorted(frames)[len(frames) // 2], max(own), filled)


def _scroll(app: Any, window: Any, bar: Any) -> tuple[list[float], list[float]]:
    """Milliseconds of each frame, by the wall's clock and by the process's: short moves as by hand,
    in ten places over the whole list."""
    frames, own = [], []
    place = 0
    for frame in range(FRAMES):
        if frame % (FRAMES // 10) == 0:
            place = bar.maximum() * frame // FRAMES
        place += 44
        started, spent = time.perf_counter(), time.process_time()
        bar.setValue(place)
        app.processEvents()
        window.repaint()
        frames.append(1000 * (time.perf_counter() - started))
        own.append(1000 * (time.process_time() - spent))
    return frames, own


def _picture(path: Path) -> str:
    from PySide6.QtGui import QColor, QImage

    image = QImage(320, 320, QImage.Format.Format_RGB32)
    image.fill(QColor("teal"))
    path.parent.mkdir(parents=True, exist_ok=True)
    if not image.save(str(path)):
        raise RuntimeError("the test picture could not be written")
    return str(path)


# -- stalls -----------------------------------------------------------------------------------


def stall() -> None:
    """Print the worst stalls while searching, downloading and idle, and the download's seconds."""
    with tempfile.TemporaryDirectory(prefix="sfumato-bench-") as folder:
        server = subprocess.Popen(
            [sys.executable, "-c", "from tests.bench.bench_hub import serve; serve()", folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert server.stdout is not None
            endpoint = server.stdout.readline().strip()
            os.environ["HF_ENDPOINT"] = endpoint
            print(*_stalls())
        finally:
            server.terminate()
            server.wait()


def serve() -> None:
    """A Hub of many repositories, of which the first has a model of some size."""
    from tests.support.hub_repo import Repo, files_below
    from tests.support.hub_server import HubServer

    folder = Path(sys.argv[1])
    model = folder / "model"
    shutil.copytree("resources/starter-model", model)
    (model / "sfumato.json").unlink(missing_ok=True)
    weights = max(model.rglob("weight.bin"), key=lambda path: path.stat().st_size)
    with weights.open("ab") as file:  # Core ML reads by offset: what follows is ballast
        for _ in range(WEIGHT_MB):
            file.write(os.urandom(2**20))
    common = {"tags": ("coreml", "text-to-image"), "library": "coreml"}
    common |= {"pipeline_tag": "text-to-image", "licence": "mit"}
    repos = [
        Repo(
            f"author-{k % 17}/model-{k}",
            files_below(model, "split_einsum/packages/") | {"README.md": f"# Model {k}\nText."},
            likes=REPOS - k,
            **common,  # type: ignore[arg-type]
        )
        for k in range(REPOS)
    ]
    with HubServer(repos) as server:
        print(server.endpoint, flush=True)
        sys.stdin.read()


def _stalls() -> tuple[float, float, float, float]:
    from gui import app as application
    from tests.support.fake_queue import FakeQueue

    app = application.make_application()
    window, workspace = open_window(app, FakeQueue(), None)
    panel, hub = workspace.models_panel, workspace.studio.hub
    meter = Meter(app)
    settle(app, 1.0)
    idle = meter.worst(after(1))
    catalogue = hub.catalogue

    def searched() -> bool:
        rows = catalogue.rowCount()
        bar = panel.hub.list.verticalScrollBar()
        bar.setValue(min(bar.maximum(), bar.value() + 20))
        return rows >= 100 and bar.value() >= bar.maximum() * 0.5

    panel.show_hub()
    search = meter.worst(searched)
    search = max(search, meter.worst(after(2)))
    if catalogue.rowCount() < 100:
        raise RuntimeError(f"the search went wrong: {catalogue.state}")
    best = _details(app, hub, "author-0/model-0")
    done: list[Any] = []
    hub.downloads.finished.connect(done.append)
    hub.downloads.failed.connect(done.append)
    hub.downloads.refused.connect(lambda *what: done.append(what))
    started = time.monotonic()
    hub.downloads.start("author-0/model-0", best)
    download = meter.worst(lambda: bool(done))
    seconds = time.monotonic() - started
    download = max(download, meter.worst(after(1)))
    if not done or not getattr(done[0], "folder", ""):
        raise RuntimeError(f"the download went wrong: {done}")
    window.close()
    return search, download, idle, seconds


def after(seconds: float) -> Callable[[], bool]:
    end = time.monotonic() + seconds
    return lambda: time.monotonic() > end


def _details(app: Any, hub: Any, repo: str) -> str:
    hub.want_details(repo)
    deadline = time.monotonic() + PATIENCE
    while (found := hub.details(repo)) is None or not found.probed:
        if time.monotonic() > deadline:
            raise RuntimeError("the details did not come")
        app.processEvents()
        time.sleep(0.001)
    return found.variants[0].id


class Meter:
    """A timer that ticks in the window."""

    def __init__(self, app: Any) -> None:
        from PySide6.QtCore import Qt, QTimer

        self._app = app
        self._ticks: list[tuple[float, float]] = []
        self.own = 0.0
        """Most processor time that this process took between two ticks, in milliseconds: what is
        above it was spent waiting for a processor."""
        self._timer = QTimer()
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(
            lambda: self._ticks.append((time.monotonic(), time.process_time()))
        )
        self._timer.start(TICK_MS)

    def worst(self, until: Callable[[], bool]) -> float:
        """Milliseconds of the longest gap between two ticks until `until` says so."""
        deadline = time.monotonic() + PATIENCE
        self._ticks.clear()
        while not until() and time.monotonic() < deadline:
            self._app.processEvents()
            time.sleep(0.0005)
        pairs = list(itertools.pairwise(self._ticks))
        self.own = max(self.own, 1000 * max(b[1] - a[1] for a, b in pairs))
        return 1000 * max(b[0] - a[0] for a, b in pairs)


def open_window(app: Any, queue: Any, hub: Any) -> tuple[Any, Any]:
    from gui import app as application

    window = application.make_window(app)
    workspace = application.furnish(app, window, queue, hub)
    window.resize(*SIZE)
    window.show()
    settle(app, 0.5)
    workspace.studio.start()  # which reads the models, as the app does after its first paint
    settle(app, 1.0)
    return window, workspace


def settle(app: Any, seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        app.processEvents()
        time.sleep(0.002)
