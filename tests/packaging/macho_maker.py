"""Makes small Mach-O files by the layouts of Apple's loader.h, for tests."""

from __future__ import annotations

import struct

CPU = {"arm64": 0x0100000C, "x86_64": 0x01000007}


def _padded(command: int, fields: bytes, text: str) -> bytes:
    body = fields + text.encode() + b"\0"
    body += b"\0" * (-(8 + len(body)) % 8)
    return struct.pack("<II", command, 8 + len(body)) + body


def dylib_command(command: int, name: str) -> bytes:
    return _padded(command, struct.pack("<IIII", 24, 0, 0x10000, 0x10000), name)


def macho(
    arch: str = "arm64",
    *,
    dylibs: tuple[str, ...] = (),
    weak: tuple[str, ...] = (),
    rpaths: tuple[str, ...] = (),
    identifier: str = "",
    minimum: tuple[int, int] = (12, 0),
    payload: bytes = b"",
) -> bytes:
    """A one-architecture library with these load commands, and `payload` after them."""
    commands = [struct.pack("<IIIIII", 0x32, 24, 1, minimum[0] << 16 | minimum[1] << 8, 0, 0)]
    if identifier:
        commands.append(dylib_command(0x0D, identifier))
    commands += [dylib_command(0x0C, name) for name in dylibs]
    commands += [dylib_command(0x80000018, name) for name in weak]
    commands += [_padded(0x8000001C, struct.pack("<I", 12), rpath) for rpath in rpaths]
    body = b"".join(commands)
    header = struct.pack("<8I", 0xFEEDFACF, CPU[arch], 0, 6, len(commands), len(body), 0, 0)
    return header + body + payload


def universal(*parts: tuple[str, bytes]) -> bytes:
    """A universal file of these (architecture, Mach-O) parts, each aligned to 16 KiB."""
    head = struct.pack(">II", 0xCAFEBABE, len(parts))
    data = b""
    for arch, part in parts:
        offset = 0x4000 + len(data)
        head += struct.pack(">iiIII", CPU[arch], 0, offset, len(part), 14)
        data += part + b"\0" * (-len(part) % 0x4000)
    return head.ljust(0x4000, b"\0") + data
