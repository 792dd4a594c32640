"""The service as the window has it: its process beside the window's queue and engine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from gui.errors import SfumatoError
from gui.serve.messages import Listening, ServiceOptions
from gui.state.job_queue import JobQueue
from gui.state.service_thread import ServiceThread
from tests.support.patience import PatientBot

TOKEN = "a-token-of-this-test-alone"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SFUMATO_HOME", str(tmp_path))
    monkeypatch.setenv("SFUMATO_ENGINE_STANDIN", "tests.engine.standins:backend")
    return tmp_path


@pytest.fixture
def service(home: Path, qtbot: PatientBot) -> Iterator[ServiceThread]:
    thread = ServiceThread()
    yield thread
    thread.close()


def heard(service: ServiceThread, qtbot: PatientBot, **options: Any) -> str:
    found: list[Listening] = []
    service.heard.connect(found.append)
    service.listen(ServiceOptions(**{"token": TOKEN, "port": 0, **options}))
    qtbot.waitUntil(lambda: bool(found), timeout=30_000)
    service.heard.disconnect(found.append)
    return found[-1].url


def test_the_windows_engine_makes_what_programs_ask_for(
    service: ServiceThread, qtbot: PatientBot
) -> None:
    queue = JobQueue()
    service.touched.connect(queue.look_elsewhere)
    waiting: list[int] = []
    service.asked.connect(waiting.append)
    listed: list[list[str]] = []
    queue.jobs_reset.connect(lambda: listed.append([job.request.prompt for job in queue.jobs()]))
    queue.start()
    url = heard(service, qtbot)
    answers: list[requests.Response] = []

    def ask() -> None:
        answers.append(
            requests.post(
                f"{url}/sdapi/v1/txt2img", json={"prompt": "asked", "save_images": False},
                headers={"Authorization": f"Bearer {TOKEN}"}, timeout=60,
            )
        )  # fmt: skip

    thread = threading.Thread(target=ask)
    thread.start()
    qtbot.waitUntil(lambda: bool(answers), timeout=30_000)
    thread.join()
    assert answers[0].status_code == 200 and len(answers[0].json()["images"]) == 1
    assert ["asked"] in listed, "it showed in the window's queue"
    qtbot.waitUntil(lambda: waiting == [1, 0])
    qtbot.waitUntil(lambda: not queue.jobs())
    queue.shutdown()


def test_it_ends_with_the_window_and_when_it_dies_it_is_back(
    service: ServiceThread, qtbot: PatientBot
) -> None:
    url = heard(service, qtbot)
    told = {"Authorization": f"Bearer {TOKEN}"}
    assert requests.get(f"{url}/internal/ping", headers=told, timeout=20).ok
    again: list[Listening] = []
    service.heard.connect(again.append)
    assert service.pid is not None
    os.kill(service.pid, signal.SIGKILL)
    qtbot.waitUntil(lambda: bool(again), timeout=30_000)
    assert requests.get(f"{again[0].url}/internal/ping", headers=told, timeout=20).ok
    service.close()
    with pytest.raises(requests.exceptions.ConnectionError):
        requests.get(f"{again[0].url}/internal/ping", headers=told, timeout=20)


def test_another_token_shuts_the_old_one_out(
    service: ServiceThread, qtbot: PatientBot, home: Path
) -> None:
    known: list[str] = []
    service.token_known.connect(known.append)
    url = heard(service, qtbot, token="")
    service.listen(ServiceOptions("", port=0), new_token=True)
    qtbot.waitUntil(lambda: len(known) == 2)
    assert known[0] != known[1] and (home / "data/Service/token").read_text().strip() == known[1]

    def status(token: str) -> int:
        headers = {"Authorization": f"Bearer {token}"}
        return requests.get(f"{url}/internal/ping", headers=headers, timeout=20).status_code

    qtbot.waitUntil(lambda: status(known[1]) == 200, timeout=20_000)
    assert status(known[0]) == 401


def test_what_hinders_it_is_said(service: ServiceThread, qtbot: PatientBot) -> None:
    failed: list[SfumatoError] = []
    service.failed.connect(failed.append)
    service.listen(ServiceOptions(TOKEN, host="192.0.2.1", port=0))
    qtbot.waitUntil(lambda: bool(failed), timeout=30_000)
    assert "no address of this computer" in failed[0].message
    assert heard(service, qtbot).startswith("http://127.0.0.1:")


def test_who_does_not_ask_for_it_loads_nothing_of_it() -> None:
    code = (
        "import gui.state.studio, gui.ui.settings.dialog, sys;"
        "names = ('gui.serve', 'gui.state.service_thread', 'fastapi', 'starlette', 'uvicorn');"
        "print([name for name in sys.modules if name.startswith(names)])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.stdout.strip(), done.returncode) == ("[]", 0), done.stderr
