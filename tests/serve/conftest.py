"""A service as other programs meet it: `sfumato serve` as a real process, on loopback."""

from __future__ import annotations

import base64
import io
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from PIL import Image

from gui.library.job import Job
from gui.library.queue import JobStore

ROOT = Path(__file__).parents[2]
STANDIN = "tests.engine.standins:backend"


class Served:
    """One running service.

    Args:
        home: folder of everything that it keeps.
        standin: stands in for the pipeline; empty: the real one.
    """

    def __init__(self, home: Path, standin: str = STANDIN, *arguments: str) -> None:
        self.home = home
        self.pictures = home / "Pictures"
        self.certificate = ""
        environment = {**os.environ, "SFUMATO_HOME": str(home), "PYTHONPATH": str(ROOT)}
        if standin:
            environment["SFUMATO_ENGINE_STANDIN"] = standin
        command = [sys.executable, "-m", "gui.cli.main", "serve", "--port", "0", *arguments]
        self.process = subprocess.Popen(
            command, text=True, env=environment, cwd=home,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip()
        if not self.url:
            raise AssertionError(self.process.communicate()[1])
        self.host, _, port = self.url.partition("//")[2].rpartition(":")
        self.port = int(port)
        self.token = (home / "data" / "Service" / "token").read_text().strip()

    def ask(self, method: str, path: str, **more: Any) -> requests.Response:
        """One request, with the token unless other headers are given."""
        more.setdefault("headers", {"Authorization": f"Bearer {self.token}"})
        more.setdefault("timeout", 60)
        more.setdefault("verify", self.certificate or None)
        return requests.request(method, f"{self.url}{path}", **more)

    def get(self, path: str, **more: Any) -> Any:
        answer = self.ask("GET", path, **more)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, path: str, body: Any = None) -> Any:
        answer = self.ask("POST", path, json={} if body is None else body)
        assert answer.status_code in (200, 201), answer.text
        return answer.json()

    def jobs(self) -> list[Job]:
        store = JobStore(self.home / "data" / "queue.sqlite3", own=False)
        try:
            return store.jobs()
        finally:
            store.close()

    def close(self) -> str:
        """End it as Ctrl-C does; what it said."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.communicate(timeout=30)[1]
        finally:
            self.process.kill()


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """On a stand-in pipeline.  Shared: leave queue and options as they were."""
    service = Served(tmp_path_factory.mktemp("served"))
    yield service
    service.close()


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Served]:
    """One of a test's own."""
    service = Served(tmp_path)
    yield service
    service.close()


def picture(width: int = 16, height: int = 16, colour: str = "red") -> Image.Image:
    return Image.new("RGB", (width, height), colour)


def encoded(image: Image.Image, form: str = "PNG") -> str:
    buffer = io.BytesIO()
    image.save(buffer, form)
    return base64.b64encode(buffer.getvalue()).decode()


def opened(text: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(text)))
