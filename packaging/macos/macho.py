"""Read just enough of Mach-O files to prune, thin and audit a bundle.  No macOS tools needed.

Layouts and constants: Apple's `mach-o/loader.h` and `mach-o/fat.h`.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from pathlib import Path

ARM64 = 0x0100000C
X86_64 = 0x01000007
ARCHITECTURES = {ARM64: "arm64", X86_64: "x86_64"}

_FAT = 0xCAFEBABE  # big-endian; Java class files begin with it too
_FAT_64 = 0xCAFEBABF
_MACHO_64 = 0xFEEDFACF
_MOST_SLICES = 16
"""More "slices" than this is a Java class file, whose version stands where the count would."""

_LOAD_DYLIBS = {0x0C, 0x80000018, 0x8000001F, 0x80000023, 0x20}
"""LC_LOAD_DYLIB, _WEAK_, _REEXPORT_, _UPWARD_ and LC_LAZY_LOAD_DYLIB."""
_WEAK = 0x80000018
_ID_DYLIB = 0x0D
_RPATH = 0x8000001C
_SIGNATURE = 0x1D
_VERSION_MIN_MACOS = 0x24
_BUILD_VERSION = 0x32


@dataclass(frozen=True)
class Slice:
    """One architecture of a file: where it lies, and what its load commands say."""

    cpu: int
    offset: int
    size: int
    dylibs: tuple[str, ...] = ()
    """Libraries it needs, as written (`@rpath/…`, `/usr/lib/…`)."""
    weak: frozenset[str] = field(default_factory=frozenset)
    """Those of `dylibs` it can do without."""
    rpaths: tuple[str, ...] = ()
    identifier: str = ""
    """Its own install name; empty in programs."""
    minimum_macos: tuple[int, int] | None = None
    signed: bool = False

    @property
    def architecture(self) -> str:
        return ARCHITECTURES.get(self.cpu, hex(self.cpu))


def is_macho(head: bytes) -> bool:
    """Whether a file that begins with these (at least 8) bytes is a Mach-O file."""
    if len(head) < 8:
        return False
    magic, count = struct.unpack(">II", head[:8])
    if magic in (_FAT, _FAT_64):
        return 0 < count <= _MOST_SLICES
    return struct.unpack("<I", head[:4])[0] == _MACHO_64


def read(path: Path) -> list[Slice]:
    """Every slice of a file; none when it is no Mach-O file.

    Raises:
        ValueError: it begins like one, but is cut short or contradicts itself.
    """
    with path.open("rb") as file:
        if not is_macho(file.read(8)):
            return []
    data = path.read_bytes()
    try:
        return [_read_slice(data, offset, size) for offset, size in _places(data)]
    except (struct.error, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is a damaged Mach-O file: {error}") from error


def find(root: Path) -> dict[Path, list[Slice]]:
    """Every Mach-O file below a folder, links left aside, in a stable order."""
    found = {}
    for path in sorted(root.rglob("*")):
        if path.is_file() and not path.is_symlink() and (slices := read(path)):
            found[path] = slices
    return found


def thin(path: Path, cpu: int = ARM64) -> bool:
    """Keep one architecture of a universal file, in place.  Returns whether anything changed.

    Raises:
        ValueError: the file has no such slice.
    """
    data = path.read_bytes()
    if not is_macho(data[:8]) or struct.unpack(">I", data[:4])[0] not in (_FAT, _FAT_64):
        return False
    for offset, size in _places(data):
        if struct.unpack_from("<I", data, offset + 4)[0] == cpu:
            mode = path.stat().st_mode
            temporary = path.with_name(path.name + ".thin")
            temporary.write_bytes(data[offset : offset + size])
            temporary.chmod(mode)
            temporary.replace(path)
            return True
    raise ValueError(f"{path} has no {ARCHITECTURES.get(cpu, hex(cpu))} slice")


def _places(data: bytes) -> list[tuple[int, int]]:
    """Offset and size of each slice."""
    magic, count = struct.unpack_from(">II", data)
    if magic not in (_FAT, _FAT_64):
        return [(0, len(data))]
    layout = ">iiIII" if magic == _FAT else ">iiQQII"
    step = struct.calcsize(layout)
    entries = (struct.unpack_from(layout, data, 8 + step * k) for k in range(count))
    return [(entry[2], entry[3]) for entry in entries]


def _read_slice(data: bytes, offset: int, size: int) -> Slice:
    if offset + size > len(data):
        raise ValueError(f"a slice ends at {offset + size} of {len(data)} bytes")
    magic, cpu, _subtype, _kind, count, _length = struct.unpack_from("<6I", data, offset)
    if magic != _MACHO_64:
        raise ValueError("a slice is not 64-bit Mach-O")
    dylibs: list[str] = []
    weak: set[str] = set()
    rpaths: list[str] = []
    identifier, minimum, signed = "", None, False
    position = offset + 32
    for _ in range(count):
        command, length = struct.unpack_from("<II", data, position)
        if length < 8:
            raise ValueError("a load command has no length")
        if command in _LOAD_DYLIBS:
            dylibs.append(_text(data, position, length))
            if command == _WEAK:
                weak.add(dylibs[-1])
        elif command == _ID_DYLIB:
            identifier = _text(data, position, length)
        elif command == _RPATH:
            rpaths.append(_text(data, position, length))
        elif command == _BUILD_VERSION:
            minimum = _version(struct.unpack_from("<I", data, position + 12)[0])
        elif command == _VERSION_MIN_MACOS:
            minimum = _version(struct.unpack_from("<I", data, position + 8)[0])
        elif command == _SIGNATURE:
            signed = True
        position += length
    return Slice(
        cpu,
        offset,
        size,
        tuple(dylibs),
        frozenset(weak),
        tuple(rpaths),
        identifier,
        minimum,
        signed,
    )


def _text(data: bytes, position: int, length: int) -> str:
    """The string of a load command; its offset within the command stands at byte 8."""
    start = struct.unpack_from("<I", data, position + 8)[0]
    return data[position + start : position + length].split(b"\0", 1)[0].decode()


def _version(packed: int) -> tuple[int, int]:
    """A version packed as xxxx.yy.zz in nibbles."""
    return packed >> 16, (packed >> 8) & 0xFF
