"""The service for other programs: what a request costs beside the engine's own work and beside the
command line, events a second, memory while fifty programs ask at once.

On a stand-in pipeline that takes no time, so that all that is measured is the way there and back.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
from PIL import Image

from tests.serve.conftest import ROOT, STANDIN, Served, encoded

REQUESTS = 40
CLIENTS = 50
STREAMS = 16
SECONDS = 4.0


def run() -> list[dict[str, Any]]:
    """See `tests.bench`."""
    with tempfile.TemporaryDirectory(prefix="sfumato-bench-") as home:
        service = Served(Path(home))
        try:
            rows = [*_requests(service, Path(home)), _events(service), *_memory(service)]
        finally:
            service.close()
    return rows


def _requests(service: Served, home: Path) -> list[dict[str, Any]]:
    body = {"prompt": "steps=1 size=512", "seed": 3, "save_images": False}
    service.post("/sdapi/v1/txt2img", body)
    taken = []
    for _ in range(REQUESTS):
        began = time.perf_counter()
        service.post("/sdapi/v1/txt2img", body)
        taken.append(1000 * (time.perf_counter() - began))
    alone = _engine(home, body["prompt"])
    line = []
    for _ in range(3):
        began = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "gui.cli.main", "generate", body["prompt"], "--quiet"],
            check=True, capture_output=True, cwd=home,
            env={**os.environ, "SFUMATO_HOME": str(home / "cli"), "PYTHONPATH": str(ROOT),
                 "SFUMATO_ENGINE_STANDIN": STANDIN},
        )  # fmt: skip
        line.append(1000 * (time.perf_counter() - began))
    asked, drawn = statistics.median(taken), statistics.median(alone)
    return [
        {"name": "service: a request beside the engine's work", "value": round(asked - drawn, 1),
         "unit": "ms", "budget": None,
         "note": f"{asked:.0f} ms whole, {drawn:.0f} ms by the engine alone, 512² PNG; "
                 f"`sfumato generate` {statistics.median(line):.0f} ms, with its engine's start"},
    ]  # fmt: skip


def _engine(home: Path, prompt: str) -> list[float]:
    """The same pictures by an engine of ours, ms each."""
    from gui.engine.runner import EngineRunner
    from gui.request import PictureRequest

    os.environ["SFUMATO_ENGINE_STANDIN"] = STANDIN
    runner = EngineRunner(log=home / "engine.log")
    request = PictureRequest(prompt, "", seed=3, output_dir=str(home / "alone"))
    taken = []
    try:
        runner.run("first", request)
        for number in range(REQUESTS):
            began = time.perf_counter()
            runner.run(str(number), request)
            taken.append(1000 * (time.perf_counter() - began))
    finally:
        runner.close()
        del os.environ["SFUMATO_ENGINE_STANDIN"]
    return taken


def _events(service: Served) -> dict[str, Any]:
    """Steps with previews, to several programs at once."""
    counts = [0] * STREAMS
    began: list[float] = []
    until = time.monotonic() + 30

    def follow(number: int) -> None:
        with service.ask("GET", "/api/v1/events", stream=True) as answer:
            for line in answer.iter_lines():
                if line == b"event: step":
                    began.append(time.monotonic())
                    counts[number] += 1
                if time.monotonic() > (began[0] + SECONDS if began else until):
                    return

    threads = [threading.Thread(target=follow, args=(k,)) for k in range(STREAMS)]
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    prompt = f"steps={int(SECONDS * 400)} sleep=0.005 size=64"
    job = service.post("/api/v1/queue", {"request": {"prompt": prompt}, "keep": False})
    for thread in threads:
        thread.join()
    service.ask("DELETE", f"/api/v1/queue/{job['id']}")
    each = statistics.median(counts) / SECONDS
    return {"name": "service: steps told a second", "value": round(each, 1), "unit": "a second",
            "budget": None,
            "note": f"with previews of 64², to each of {STREAMS} programs at once"}  # fmt: skip


def _memory(service: Served) -> list[dict[str, Any]]:
    (child,) = [
        process for process in psutil.Process(service.process.pid).children(recursive=True)
        if "gui.serve" in process.cmdline()
    ]  # fmt: skip
    idle = child.memory_info().rss / 2**20
    noise = Image.frombytes("RGB", (1600, 1200), os.urandom(1600 * 1200 * 3))
    picture = encoded(noise)
    most = [0.0]
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.01):
            most[0] = max(most[0], child.memory_info().rss / 2**20)

    def ask(number: int) -> bool:
        body = {"prompt": "steps=1 size=512", "seed": number, "init_images": [picture],
                "save_images": False}  # fmt: skip
        told = service.post("/sdapi/v1/img2img", body)
        return len(told["images"]) == 1 and json.loads(told["info"])["seed"] == number

    watcher = threading.Thread(target=watch)
    watcher.start()
    began = time.monotonic()
    with ThreadPoolExecutor(CLIENTS) as pool:
        assert all(pool.map(ask, range(CLIENTS)))
    seconds = time.monotonic() - began
    done.set()
    watcher.join()
    return [
        {"name": "service: memory while 50 programs ask", "value": round(most[0], 1),
         "unit": "MiB", "budget": None,
         "note": f"resident at most; {idle:.0f} MiB idle; each sends a picture of "
                 f"{len(picture) / 2**20:.1f} MB at once; all answered in {seconds:.1f} s"},
    ]  # fmt: skip
