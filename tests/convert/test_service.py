"""The converter's process, with a stand-in converter inside: what a person meets when a conversion
is stopped, fails, dies or goes on."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gui.convert import client as client_module
from gui.convert.client import (
    LOCK,
    ConvertClient,
    partial_folder,
    remove_partial,
    unfinished,
)
from gui.convert.types import ConvertRequest, Ended, Family, ImageSize, Progress
from gui.errors import ErrorKind, SfumatoError

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SFUMATO_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("SFUMATO_CONVERTER_STANDIN", "tests.support.fake_converter:backend")
    return tmp_path / "home"


@pytest.fixture
def converter() -> Iterator[ConvertClient]:
    made = ConvertClient()
    yield made
    made.close()


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., ConvertRequest]:
    """A request whose source says what shall happen."""

    def make_(text: str = "", **more: object) -> ConvertRequest:
        source = tmp_path / "source.safetensors"
        source.write_text(text)
        return ConvertRequest(str(source), str(tmp_path / "models" / "Made"), **more)  # type: ignore[arg-type]

    (tmp_path / "models").mkdir()
    return make_


def run(
    converter: ConvertClient, request: ConvertRequest, cancel_at: int = 10**6
) -> tuple[Ended, list[Progress]]:
    seen: list[Progress] = []
    ended = converter.convert(request, seen.append, lambda: len(seen) >= cancel_at)
    return ended, seen


def left(request: ConvertRequest) -> list[str]:
    return sorted(path.name for path in Path(request.output).parent.iterdir())


def test_looking_and_estimating(converter: ConvertClient, make: Callable) -> None:
    request = make()
    info = converter.look(request.source)
    assert info.family is Family.SD1 and info.size == ImageSize(512, 512)
    outlook = converter.outlook(request)
    assert outlook.estimate.memory_bytes == 7_500_000_000 and outlook.refusal is None


def test_a_refusal_comes_with_the_estimate(converter: ConvertClient, make: Callable) -> None:
    outlook = converter.outlook(make(sizes=(ImageSize(500, 512),)))
    assert outlook.estimate.disk_bytes
    assert outlook.refusal is not None and outlook.refusal.message == (
        "500x512 is no multiple of 64."
    )


def test_what_cannot_be_converted_is_said_in_a_sentence(
    converter: ConvertClient, make: Callable
) -> None:
    with pytest.raises(SfumatoError, match="Flux") as refused:
        converter.look(make("foreign").source)
    assert refused.value.kind is ErrorKind.UNSUPPORTED
    # and the process is still there for the next question
    assert converter.look(make().source).name == "source"


def test_a_conversion_reports_every_component(converter: ConvertClient, make: Callable) -> None:
    request = make()
    ended, seen = run(converter, request)
    assert ended.report is not None and ended.error is None
    assert ended.report.folders == (request.output,)
    assert left(request) == ["Made"]
    assert list(dict.fromkeys(p.component for p in seen)) == [
        "Text encoder", "UNet", "VAE decoder", "VAE encoder"
    ]  # fmt: skip
    fractions = [p.fraction for p in seen]
    assert fractions == sorted(fractions) and fractions[-1] == 1.0
    assert converter.pid is None, "its memory is given back"


def test_a_refused_conversion_leaves_nothing(converter: ConvertClient, make: Callable) -> None:
    request = make("refuse=No_room.")
    ended, seen = run(converter, request)
    assert ended.error is not None and ended.error.message == "No room."
    assert not seen and left(request) == []


def test_cancelling_between_two_steps_leaves_nothing(
    converter: ConvertClient, make: Callable
) -> None:
    request = make("sleep=0.6")
    ended, _ = run(converter, request, cancel_at=6)
    assert ended == Ended(cancelled=True)
    assert left(request) == []


def test_cancelling_a_step_that_cannot_be_interrupted(
    converter: ConvertClient, make: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "CANCEL_GRACE", 0.3)
    request = make("hang_at=2")
    began = time.monotonic()
    seen: list[Progress] = []
    pids: list[int | None] = []

    def on_progress(progress: Progress) -> None:
        seen.append(progress)
        pids.append(converter.pid)

    ended = converter.convert(request, on_progress, lambda: len(seen) >= 6)
    assert ended == Ended(cancelled=True)
    assert time.monotonic() - began < 10
    assert left(request) == []
    assert pids[0] is not None and gone(pids[0])


@pytest.mark.parametrize(
    ("text", "kind", "words"),
    [
        ("kill_at=2", ErrorKind.MEMORY, "for want of memory (it needs about 7 GB)"),
        ("crash_at=2", ErrorKind.ENGINE, "stopped unexpectedly"),
    ],
)
def test_a_dead_converter_keeps_what_is_finished_and_the_next_goes_on(
    converter: ConvertClient, make: Callable, text: str, kind: ErrorKind, words: str
) -> None:
    request = make(text)
    estimate = converter.outlook(request).estimate
    ended = converter.convert(request, lambda _: None, lambda: False, estimate)
    assert ended.error is not None and ended.error.kind is kind
    assert words in ended.error.message
    assert "crash" not in text or "SIGABRT" in ended.error.detail
    (waiting,) = unfinished(Path(request.output).parent)
    assert waiting.request == request and waiting.title == "Made"

    make("")  # whatever was wrong is over
    again, seen = run(ConvertClient(), waiting.request)
    assert again.report is not None
    assert [p.component for p in seen if p.resumed] == ["Text encoder"]
    assert left(request) == ["Made"] and unfinished(Path(request.output).parent) == []


def test_cancelling_spares_what_another_process_is_at(make: Callable) -> None:
    request = make()
    work = partial_folder(request.output)
    work.mkdir()
    with (work / LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        remove_partial(request)
        assert work.is_dir()
    remove_partial(request)
    assert not work.exists()


def test_an_error_on_the_way_keeps_its_detail(converter: ConvertClient, make: Callable) -> None:
    ended, _ = run(converter, make("error=storage"))
    assert ended.error is not None
    assert (ended.error.kind, ended.error.detail) == (ErrorKind.STORAGE, "a detail")


def test_damaged_journals_are_no_conversions(tmp_path: Path, make: Callable) -> None:
    root = tmp_path / "models"
    for name, text in (("a", "{"), ("b", "[]"), ("c", '{"request": {"source": 1}}'), ("d", "{}")):
        folder = partial_folder(str(root / name))
        folder.mkdir()
        (folder / "journal.json").write_text(text)
    assert unfinished(root) == []
    assert unfinished(tmp_path / "absent") == []


def test_the_converter_does_not_outlive_the_window(make: Callable, tmp_path: Path) -> None:
    request = make("hang_at=1")
    window = """
import json, sys, threading
from gui.convert.client import ConvertClient
from gui.convert.types import ConvertRequest
request = ConvertRequest.from_json(json.loads(sys.argv[1]))
client = ConvertClient()
client.convert(request, lambda p: print(client.pid, p.step, flush=True), lambda: False)
"""
    import json

    process = subprocess.Popen(
        [sys.executable, "-c", window, json.dumps(request.to_json())],
        stdout=subprocess.PIPE, text=True, cwd=ROOT,
    )  # fmt: skip
    assert process.stdout is not None
    pid = 0
    for line in process.stdout:
        pid = int(line.split()[0])
        if "converting" in line:
            break
    process.kill()
    process.wait()
    process.stdout.close()
    deadline = time.monotonic() + 10
    while not gone(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert gone(pid)
    assert left(request) == ["Made.partial"], "it can go on"


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    # A child of ours that has ended but was not waited for is gone too.
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rsplit(")", 1)[1].split()[0] == "Z"


def test_pictures_come_first(converter: ConvertClient, make: Callable) -> None:
    niceness: list[int] = []

    def on_progress(_: Progress) -> None:
        if converter.pid is not None and not niceness:
            niceness.append(os.getpriority(os.PRIO_PROCESS, converter.pid))

    converter.convert(make("sleep=0.1"), on_progress, lambda: False)
    assert niceness[0] > os.getpriority(os.PRIO_PROCESS, 0) or niceness[0] == 19


def test_a_lost_question_is_asked_of_a_new_process(
    converter: ConvertClient, make: Callable
) -> None:
    request = make()
    converter.look(request.source)
    assert converter.pid is not None
    os.kill(converter.pid, signal.SIGKILL)
    with pytest.raises(SfumatoError):
        converter.look(request.source)
    assert converter.look(request.source).family is Family.SD1
