"""What a bundle consists of, and whether what is imported is in it."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from macos import contents, trace


@pytest.fixture
def packed(app: Path) -> Path:
    """The bundle with packages as files, in the zip, as extension modules and as namespaces."""
    library = app / "Contents/Resources/lib/python3.12"
    for name in (
        "numpy/__init__.py",
        "numpy/core.cpython-312-darwin.so",
        "six.py",
        "google/protobuf/x.py",
        "lib-dynload/zlib.cpython-312-darwin.so",
        "lib-dynload/google/_upb/_message.abi3.so",
    ):
        path = library / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * 1000)
    with zipfile.ZipFile(library.with_name("python312.zip"), "a") as archive:
        archive.writestr("json/__init__.pyc", b"code")
        archive.writestr("json/decoder.pyc", b"code")
        archive.writestr("jaraco/context.pyc", b"code")
    return app


@pytest.mark.parametrize(
    "name",
    [
        "numpy", "numpy.core", "six", "google", "google.protobuf.x", "zlib", "google._upb._message",
        "json", "json.decoder", "jaraco", "jaraco.context", "sys",
    ],
)  # fmt: skip
def test_modules_are_found_wherever_py2app_puts_them(packed: Path, name: str) -> None:
    assert contents.missing(packed, [name]) == []


@pytest.mark.parametrize("name", ["pandas", "numpy.gone", "json.gone", "google._upb.gone"])
def test_absent_modules_are_told(packed: Path, name: str) -> None:
    assert contents.missing(packed, ["numpy", name]) == [name]


def test_packages_that_no_run_imports_are_told_with_their_size(packed: Path) -> None:
    never = contents.unused(packed, ["numpy.core", "PySide6", "gui.app", "google.protobuf.x"])
    assert {"torch", "sympy"} <= never.keys() and "numpy" not in never
    assert never["sympy"] > 0


def test_the_table_adds_up_to_the_bundle(packed: Path) -> None:
    everything = sum(p.lstat().st_size for p in packed.rglob("*") if not p.is_dir())
    assert sum(contents.parts(packed).values()) == everything
    assert contents.table(packed).splitlines()[-1].endswith("in all")


def test_a_trace_hears_of_every_process(tmp_path: Path) -> None:
    """Also of a child that is killed before it can say anything at its end."""
    child = "import colorsys, time; time.sleep(60)"
    code = (
        "import subprocess, sys, time, wave\n"
        f"child = subprocess.Popen([sys.executable, '-c', {child!r}])\n"
        "time.sleep(2.5); child.kill(); child.wait()\n"
    )
    imported = trace.trace(
        [[sys.executable, "-c", code], [sys.executable, "-c", "import symtable"]]
    )
    assert {"wave", "colorsys", "symtable"} <= imported


def test_what_is_not_shipped_is_not_there_for_a_trace() -> None:
    code = "try:\n import chunk\nexcept ImportError:\n import wave"
    imported = trace.trace([[sys.executable, "-c", code]], without={"chunk"})
    assert "wave" in imported and "chunk" not in imported


def test_a_command_that_fails_is_no_trace() -> None:
    with pytest.raises(subprocess.CalledProcessError):
        trace.trace([[sys.executable, "-c", "raise SystemExit(3)"]])


def test_commands_are_parted_by_dashes() -> None:
    assert trace.split(["a", "b", "--", "c", "--"]) == [["a", "b"], ["c"]]
