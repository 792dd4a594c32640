"""Dragging the picture out of the real window into another program, under a real X server.

Xvfb is the screen, openbox the window manager, xdotool the hand; offscreen a drag proves nothing.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PySide6.QtGui import QImage

ROOT = Path(__file__).resolve().parents[2]
TARGET = (1590, 450)
"""The middle of the drop target's window."""
PATIENCE = 40.0
"""Seconds to wait for a program's next word."""


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Callable]:
    """Starts programs on an X server of their own; all of them are ended afterwards."""
    read, write = os.pipe()
    started: list[subprocess.Popen] = []
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(write), "-screen", "0", "1920x1000x24", "-nolisten", "tcp"],
        pass_fds=[write],
        stderr=subprocess.DEVNULL,
    )
    os.close(write)
    with os.fdopen(read) as pipe:
        display = f":{pipe.readline().strip()}"
    env = {**os.environ, "DISPLAY": display, "QT_QPA_PLATFORM": "xcb"}
    env.pop("WAYLAND_DISPLAY", None)

    def start(*command: str) -> subprocess.Popen:
        log = (tmp_path / f"{len(started)}.log").open("w")
        process = subprocess.Popen(
            command, env=env, cwd=ROOT, stdout=subprocess.PIPE, stderr=log, text=True
        )
        log.close()
        started.append(process)
        return process

    yield start
    for process in [*reversed(started), server]:
        process.terminate()
    for process in [*started, server]:
        process.wait(timeout=PATIENCE)
        if process.stdout is not None:
            process.stdout.close()


def line_of(process: subprocess.Popen, tmp_path: Path) -> str:
    """The next line a program prints; its own complaints if it ends without one."""
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], PATIENCE)
    line = process.stdout.readline() if ready else ""
    logs = "\n".join(log.read_text() for log in sorted(tmp_path.glob("*.log")))
    assert line, f"{process.args} printed nothing\n{logs}"
    return line.strip()


def drag(
    run: Callable, source: list[int], target: tuple[int, int], arrived: Callable[[], bool]
) -> None:
    """Press, move in small steps as a hand does, and let go once the drag has arrived."""

    def hand(*arguments: object) -> None:
        assert run("xdotool", *map(str, arguments)).wait(timeout=PATIENCE) == 0

    hand("mousemove", *source)
    time.sleep(0.3)
    hand("mousedown", 1)
    steps = 20
    for k in range(1, steps + 1):
        x = source[0] + (target[0] - source[0]) * k // steps
        y = source[1] + (target[1] - source[1]) * k // steps
        hand("mousemove", x, y)
        time.sleep(0.04)
    deadline = time.monotonic() + PATIENCE
    while not arrived() and time.monotonic() < deadline:  # a window may be slow to take notice
        for x in (target[0] + 3, target[0]):
            hand("mousemove", x, target[1])
            time.sleep(0.04)
    hand("mouseup", 1)


def start_window_manager(run: Callable, tmp_path: Path) -> None:
    """Wait until it is there; one that has ended, or hangs at its start, is started again."""
    manager, deadline = run("openbox"), time.monotonic() + PATIENCE
    patience = time.monotonic() + PATIENCE / 4
    while run("xdotool", "get_num_desktops").wait(timeout=PATIENCE) != 0:
        logs = "\n".join(log.read_text() for log in sorted(tmp_path.glob("*.log")))
        assert time.monotonic() < deadline, f"there is no window manager\n{logs}"
        if manager.poll() is not None or time.monotonic() > patience:
            manager.kill()
            manager, patience = run("openbox"), time.monotonic() + PATIENCE / 4
        time.sleep(0.05)


def carried(run: Callable, tmp_path: Path, start: str, number: int) -> tuple[dict, dict]:
    """Drag from a place in the window to the target; what the window and the target said."""
    made = tmp_path / "made"
    made.mkdir()
    start_window_manager(run, tmp_path)
    target = run(sys.executable, "-m", "tests.support.drop_target", str(tmp_path))
    source = ("tests.support.drag_source", str(made), str(number), start)
    window = run(sys.executable, "-m", *source)
    assert line_of(target, tmp_path) == "ready"
    places = json.loads(line_of(window, tmp_path))
    drag(run, places[start], TARGET, lambda: bool(select.select([target.stdout], [], [], 0)[0]))
    assert line_of(target, tmp_path) == "entered"
    return places, json.loads(line_of(target, tmp_path))


@pytest.mark.parametrize("start", ["canvas", "thumbnail"])
def test_a_picture_dragged_into_another_program_arrives_as_a_png(run, tmp_path, start):
    places, report = carried(run, tmp_path, start, 1)
    (path,) = places["paths"]
    assert report["files"] == [path]
    assert report["action"] == "CopyAction"
    landed = tmp_path / "dropped-0.png"
    assert landed.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert landed.read_bytes() == Path(path).read_bytes()
    assert QImage(str(landed)).size().toTuple() == (256, 192)
    form = QImage.Format.Format_RGB888
    pixels = QImage(str(tmp_path / "data.png")).convertToFormat(form)
    assert pixels == QImage(path).convertToFormat(form)
    assert Path(path).exists()


@pytest.mark.parametrize("start", ["thumbnail", "gallery"])
def test_three_chosen_pictures_arrive_each_as_it_is(run, tmp_path, start):
    places, report = carried(run, tmp_path, start, 3)
    assert report["files"] == places["paths"] and len(report["files"]) == 3
    assert report["action"] == "CopyAction" and not report["has_image"]
    contents = [Path(path).read_bytes() for path in places["paths"]]
    assert len(set(contents)) == 3
    landed = [(tmp_path / f"dropped-{number}.png").read_bytes() for number in range(3)]
    assert landed == contents
    assert [Path(path).read_bytes() for path in places["paths"]] == contents, "copied, not moved"
