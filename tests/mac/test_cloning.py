"""Copies of weight files: shared bytes where the disk can, the bytes themselves elsewhere."""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from gui.convert.patch import cloning


class CloneFile:
    """`clonefile` of a Mac's C library, on a disk that can or cannot."""

    def __init__(self, error: int) -> None:
        self.error = error
        self.argtypes: Any = None
        self.calls: list[tuple[Any, ...]] = []

    def __call__(self, source: bytes, target: bytes, flags: int) -> int:
        assert self.argtypes == [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_uint32]
        self.calls.append((source, target, flags))
        if self.error:
            ctypes.set_errno(self.error)
            return -1
        shutil.copyfile(os.fsdecode(source), os.fsdecode(target))
        return 0


@pytest.fixture
def mac(monkeypatch: pytest.MonkeyPatch) -> Any:
    def make(error: int) -> CloneFile:
        call = CloneFile(error)
        monkeypatch.setattr(sys, "platform", "darwin")
        monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: type("C", (), {"clonefile": call})())
        return call

    return make


def test_on_a_mac_files_are_cloned(mac: Any, tmp_path: Path) -> None:
    call = mac(0)
    (tmp_path / "a").write_bytes(b"weights")
    (tmp_path / "a").chmod(0o444)
    assert cloning.clone_file(tmp_path / "a", tmp_path / "b")
    assert call.calls == [(os.fsencode(tmp_path / "a"), os.fsencode(tmp_path / "b"), 1)]
    with (tmp_path / "b").open("r+b") as file:  # a copy of what is read-only can be changed
        file.write(b"W")
    assert (tmp_path / "a").read_bytes() == b"weights"


@pytest.mark.parametrize("error", [errno.ENOTSUP, errno.EXDEV])
def test_where_the_disk_cannot_they_are_copied(mac: Any, error: int, tmp_path: Path) -> None:
    mac(error)
    (tmp_path / "a").write_bytes(b"weights" * 10_000)
    assert not cloning.clone_file(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == b"weights" * 10_000


def test_a_full_disk_is_no_reason_to_try_again(mac: Any, tmp_path: Path) -> None:
    mac(errno.ENOSPC)
    (tmp_path / "a").write_bytes(b"weights")
    with pytest.raises(OSError, match="No space"):
        cloning.clone_file(tmp_path / "a", tmp_path / "b")


def test_here(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"weights" * 10_000)
    cloning.clone_file(tmp_path / "a", tmp_path / "b")
    cloning.link_or_clone(tmp_path / "a", tmp_path / "c")
    (tmp_path / "b").write_bytes(b"other")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "c").read_bytes() == b"weights" * 10_000
    with pytest.raises(FileExistsError):
        cloning.clone_file(tmp_path / "a", tmp_path / "b")
