"""Macs of a farm: each a folder of its own with the program's real processes on the loopback."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gui.library.job import Job
from gui.library.queue import FILE_NAME, JobStore
from gui.request import PictureRequest
from tests.support.cli_zygote import run_command

ROOT = Path(__file__).parents[2]
STANDIN = "tests.engine.standins:backend"
PATIENCE = 40.0
"""Seconds after which something that should happen counts as not happening."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def until(what: Callable[[], Any], patience: float = PATIENCE) -> Any:
    """What `what` returns as soon as it is something."""
    end = time.monotonic() + patience
    while not (found := what()):
        assert time.monotonic() < end, "it does not happen"
        time.sleep(0.05)
    return found


class Mac:
    """One Mac.

    Args:
        home: its folder.
        name: what the others see.
        standin: the engine's pipeline; empty: the real one.
    """

    def __init__(self, home: Path, name: str, standin: str = STANDIN, **environment: str) -> None:
        self.home, self.name = home, name
        home.mkdir(parents=True, exist_ok=True)
        self.environment = {
            **os.environ,
            "SFUMATO_HOME": str(home),
            "SFUMATO_ENGINE_STANDIN": standin,
            "PYTHONPATH": str(ROOT),
            **environment,
        }
        self.process: subprocess.Popen[bytes] | None = None
        self.log = home / "farm.log"

    # -- the farm ------------------------------------------------------------------------------

    def start(self, port: int, *options: str) -> Path:
        """Start a farm here.  Returns the file of a join code for another."""
        code = self.home / f"code-{time.monotonic_ns()}"
        self._begin(
            "start", "--name", self.name, "--bind", "127.0.0.1", "--port", str(port),
            "--no-bonjour", "--invite", str(code), *options,
        )  # fmt: skip
        until(lambda: "connected." in self.said())
        return code

    def join(self, code: Path | None = None, *options: str) -> None:
        """Join with a code; None: go on where this Mac was."""
        given = ("--file", str(code)) if code else ()
        self._begin("join", "--name", self.name, "--no-bonjour", *given, *options)
        until(lambda: "connected." in self.said())

    def _begin(self, *arguments: str) -> None:
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "gui.cli.main", "farm", *arguments],
                env=self.environment, cwd=self.home, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip

    def said(self) -> str:
        assert self.process is not None
        text = self.log.read_text()
        ended = self.process.poll()
        assert ended is None or "connected." in text, f"ended with {ended}:\n{text}"
        return text

    def kill(self) -> None:
        """End it at once, with its engine."""
        if self.process is not None and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def stop(self) -> None:
        """As Ctrl-C does."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(30)

    def sleep(self, on: bool) -> None:
        """Close the lid, or open it."""
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGSTOP if on else signal.SIGCONT)

    def cli(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return run_command(arguments, self.environment, self.home)

    def status(self) -> dict[str, Any]:
        done = self.cli("farm", "status", "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def seat(self, name: str) -> dict[str, Any]:
        return next(s for s in self.status()["seats"] if s["name"] == name)

    # -- its queue -----------------------------------------------------------------------------

    def ask(self, *requests: PictureRequest) -> list[str]:
        """Put requests in line.  Returns the jobs' ids."""
        store = self._store()
        try:
            return [job.id for job in store.add_all(requests)]
        finally:
            store.close()

    def stop_job(self, job_id: str) -> None:
        """Ask whoever runs it to stop it."""
        store = self._store()
        try:
            store.ask_to_stop(job_id)
        finally:
            store.close()

    def jobs(self) -> list[Job]:
        store = self._store()
        try:
            return store.jobs()
        finally:
            store.close()

    def job(self, job_id: str) -> Job:
        return next(job for job in self.jobs() if job.id == job_id)

    def wait(self, *job_ids: str, status: str = "done", patience: float = PATIENCE) -> list[Job]:
        """Until jobs have a status."""

        def there() -> list[Job]:
            jobs = [self.job(job_id) for job_id in job_ids]
            return jobs if all(job.status == status for job in jobs) else []

        return until(there, patience)

    def _store(self) -> JobStore:
        return JobStore(self.home / "data" / FILE_NAME, own=False)

    def pictures(self) -> list[Path]:
        return sorted((self.home / "Pictures").rglob("*.png"))
