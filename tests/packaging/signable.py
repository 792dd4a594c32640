"""Small Mac programs that can really be signed, and a bundle of them.

Their layout is the least that Apple's loader wants: two segments, of which the second is left for
the signature.
"""

from __future__ import annotations

import plistlib
import struct
from pathlib import Path

PAGE = 0x4000
_TEXT, _LINK = 5, 1


def _segment(name: bytes, address: int, offset: int, size: int, rights: int) -> bytes:
    section = b""
    if name == b"__TEXT":
        place = PAGE - 64
        section = struct.pack(
            "<16s16sQQIIIIIIII", b"__text", name, place, 64, place, 2, 0, 0, 0x80000400, 0, 0, 0
        )
    head = struct.pack("<II16sQQQQ", 0x19, 72 + len(section), name, address, PAGE, offset, size)
    return head + struct.pack("<iiII", rights, rights, bool(section), 0) + section


def program(kind: int = 2, payload: bytes = b"code", identifier: str = "") -> bytes:
    """An arm64 Mach-O file of two pages: header and code, and a symbol table's place.

    Args:
        kind: 2 for a program, 6 for a library.
        payload: what stands for code.
        identifier: a library's install name.
    """
    commands = [
        _segment(b"__TEXT", 0, 0, PAGE, _TEXT),
        _segment(b"__LINKEDIT", PAGE, PAGE, 16, _LINK),
        struct.pack("<IIIIII", 2, 24, PAGE, 0, PAGE, 16),  # symbol table
        struct.pack("<IIIIII", 0x32, 24, 1, 14 << 16, 14 << 16, 0),  # built for macOS 14
    ]
    if kind == 2:
        commands.append(struct.pack("<IIQQ", 0x80000028, 24, PAGE - 64, 0))  # entry point
    if identifier:
        text = identifier.encode() + b"\0"
        text += b"\0" * (-(24 + len(text)) % 8)
        commands.append(struct.pack("<IIIIII", 0x0D, 24 + len(text), 24, 0, 0, 0) + text)
    body = b"".join(commands)
    header = struct.pack("<8I", 0xFEEDFACF, 0x0100000C, 0, kind, len(commands), len(body), 0x85, 0)
    code = header + body
    return code.ljust(PAGE - 64, b"\0") + payload.ljust(64, b"\0") + b"\0" * 16


def bundle(app: Path) -> Path:
    """A bundle with programs, a library among the resources and a framework; not signed."""
    contents = app / "Contents"
    files: dict[str, bytes] = {
        "Info.plist": plistlib.dumps(
            {
                "CFBundleExecutable": "Sfumato",
                "CFBundleIdentifier": "app.sfumato.Sfumato",
                "CFBundlePackageType": "APPL",
                "CFBundleShortVersionString": "1.2.0",
                "CFBundleVersion": "1.2.0",
            }
        ),
        "MacOS/Sfumato": program(),
        "MacOS/engine": program(payload=b"other code"),
        "Resources/lib/python3.12/numpy/core.so": program(6),
        "Resources/lib/python3.12/numpy/__init__.py": b"x = 1\n",
        "Resources/resources/a.txt": b"hello",
        "Frameworks/Python.framework/Versions/3.12/Python": program(
            6, identifier="@executable_path/../Frameworks/Python.framework/Versions/3.12/Python"
        ),
        "Frameworks/Python.framework/Versions/3.12/Resources/Info.plist": plistlib.dumps(
            {
                "CFBundleExecutable": "Python",
                "CFBundleIdentifier": "org.python.python",
                "CFBundlePackageType": "FMWK",
                "CFBundleVersion": "3.12",
            }
        ),
    }
    for name, data in files.items():
        path = contents / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        path.chmod(0o755 if "MacOS" in name else 0o644)
    framework = contents / "Frameworks/Python.framework"
    (framework / "Versions/Current").symlink_to("3.12")
    (framework / "Python").symlink_to("Versions/Current/Python")
    (framework / "Resources").symlink_to("Versions/Current/Resources")
    return app
