"""`gui.locks`, with real processes."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from gui import locks

HOLDER = """
import os, sys
from gui import locks
fd = os.open(sys.argv[1], os.O_RDWR)
print(locks.take(fd), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "lock").touch()
    return tmp_path / "lock"


def taken(file: Path) -> bool:
    descriptor = os.open(file, os.O_RDONLY)
    try:
        return locks.is_taken(descriptor)
    finally:
        os.close(descriptor)


def test_one_process_has_it_until_it_is_killed(file: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(file)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert holder.stdout is not None
    assert holder.stdout.readline() == "True\n"
    with file.open("w") as ours:
        assert not locks.take(ours.fileno())
        assert taken(file)
        holder.kill()
        holder.communicate()
        assert not taken(file)
        assert locks.take(ours.fileno())


def test_looking_keeps_nobody_from_taking_it(file: Path) -> None:
    over = threading.Event()

    def look() -> None:
        while not over.is_set():
            taken(file)

    lookers = [threading.Thread(target=look) for _ in range(3)]
    for looker in lookers:
        looker.start()
    try:
        for _ in range(200):
            with file.open("w") as ours:
                assert locks.take(ours.fileno())
    finally:
        over.set()
        for looker in lookers:
            looker.join()
