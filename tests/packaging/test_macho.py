"""The Mach-O reader agrees with macholib, py2app's own."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from macholib import mach_o
from macholib.MachO import MachO
from macos import macho

sys.path.insert(0, str(Path(__file__).parent))
import macho_maker as maker


def by_macholib(path: Path) -> list[tuple]:
    """CPU, libraries, rpaths and minimum macOS of each slice, as macholib reads them."""
    loads = (mach_o.LC_LOAD_DYLIB, mach_o.LC_LOAD_WEAK_DYLIB)
    found = []
    for header in MachO(str(path)).headers:
        dylibs, rpaths, minimum = [], [], None
        for load, command, data in header.commands:
            if load.cmd in loads:
                dylibs.append(data.split(b"\0")[0].decode())
            elif load.cmd == mach_o.LC_RPATH:
                rpaths.append(data.split(b"\0")[0].decode())
            elif load.cmd == mach_o.LC_BUILD_VERSION:
                minimum = (command.minos >> 16, command.minos >> 8 & 255)
        found.append((header.header.cputype, dylibs, rpaths, minimum))
    return found


def test_reader_agrees_with_macholib(tmp_path: Path) -> None:
    path = tmp_path / "libx.dylib"
    options = {
        "dylibs": ("@rpath/a.dylib", "/usr/lib/libSystem.B.dylib"),
        "weak": ("@loader_path/b.dylib",),
        "rpaths": ("@loader_path/../lib", "@executable_path"),
        "identifier": "@rpath/libx.dylib",
    }
    path.write_bytes(
        maker.universal(
            ("x86_64", maker.macho("x86_64", minimum=(11, 0), **options)),
            ("arm64", maker.macho("arm64", minimum=(14, 4), **options)),
        )
    )
    ours = macho.read(path)
    assert [
        (part.cpu, list(part.dylibs), list(part.rpaths), part.minimum_macos) for part in ours
    ] == by_macholib(path)
    assert [part.architecture for part in ours] == ["x86_64", "arm64"]
    assert ours[1].weak == {"@loader_path/b.dylib"}
    assert ours[1].identifier == "@rpath/libx.dylib"


def test_thinning_leaves_a_file_that_macholib_reads(tmp_path: Path) -> None:
    path = tmp_path / "libx.dylib"
    arm = maker.macho("arm64", payload=b"code of arm64")
    path.write_bytes(maker.universal(("x86_64", maker.macho("x86_64")), ("arm64", arm)))
    path.chmod(0o755)
    assert macho.thin(path)
    assert path.read_bytes() == arm
    assert path.stat().st_mode & 0o777 == 0o755
    assert [cpu for cpu, *_ in by_macholib(path)] == [macho.ARM64]
    assert not macho.thin(path)


def test_thinning_refuses_a_file_without_the_architecture(tmp_path: Path) -> None:
    path = tmp_path / "libx.dylib"
    before = maker.universal(("x86_64", maker.macho("x86_64")))
    path.write_bytes(before)
    with pytest.raises(ValueError, match="arm64"):
        macho.thin(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"#!/bin/sh\n",
        b"\x7fELF\x02\x01\x01\0\0",
        bytes.fromhex("cafebabe00000041") + bytes(64),
    ],
    ids=["empty", "script", "elf", "java class"],
)
def test_other_files_are_no_macho(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(data)
    assert macho.read(path) == []


def test_a_cut_file_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "libx.dylib"
    path.write_bytes(maker.macho(dylibs=("@rpath/a.dylib",))[:60])
    with pytest.raises(ValueError, match=r"damaged|ends at"):
        macho.read(path)
