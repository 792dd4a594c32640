"""Verify the seal of a signed bundle: every byte of it is one that was signed.

Usage: ``python packaging/macos/seal.py dist/Sfumato.app``.  Needs no macOS tools, and is no
substitute for Apple's: whom a certificate belongs to, and whether Apple trusts it, `codesign` and
`spctl` tell.  Here is told whether content and signatures fit together:

- each Mach-O file's pages against the hashes in its code directory,
- the code directory against the signature by a certificate, where there is one (by rcodesign, where
  it is installed),
- the app's and the frameworks' files against `_CodeSignature/CodeResources`, in both directions,
- Info.plist, CodeResources and entitlements against the code directory of the main program.

Layouts: Apple's `cs_blobs.h` (xnu) and Technical Note 2206.
"""

from __future__ import annotations

import dataclasses
import hashlib
import plistlib
import re
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.parsers.expat import ExpatError

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from macos import macho

AD_HOC, HARDENED = 0x2, 0x10000
"""CS_ADHOC, CS_RUNTIME."""
_SUPER_BLOB = 0xFADE0CC0
_CODE_DIRECTORY = 0xFADE0C02
_SHA256 = 2
_INFO, _RESOURCES, _ENTITLEMENTS = 1, 3, 5
"""Special slots of a code directory."""
_BLOB_ENTITLEMENTS = 5
_SIGNATURE_COMMAND = 0x1D
_SEAL = "_CodeSignature"


@dataclass(frozen=True)
class Directory:
    """A file's code directory, the one of SHA-256."""

    identifier: str
    flags: int
    limit: int
    """Bytes of the file that are covered."""
    page: int
    """Bytes of a page."""
    pages: tuple[bytes, ...]
    special: dict[int, bytes]
    blob: bytes
    """All of it as it lies in the file; its hash names the code."""
    entitlements: bytes = b""
    """Their blob; empty where there is none."""


class SealError(ValueError):
    """A sentence about a signature that cannot be read."""


def verify(app: Path) -> list[str]:
    """One line per problem; empty where all fits together."""
    problems: list[str] = []
    files = macho.find(app)
    for path in files:
        name = path.relative_to(app).as_posix()
        problems += [f"{name}: {problem}" for problem in _file_problems(path)]
    frameworks = [
        path.resolve()
        for framework in app.rglob("*.framework")
        for path in [framework / "Versions/Current"]
        if not framework.is_symlink() and path.is_symlink()
    ]
    for root in [app / "Contents", *frameworks]:
        name = root.relative_to(app.resolve() if root in frameworks else app).as_posix()
        problems += [f"{name}: {problem}" for problem in _bundle_problems(root)]
    return problems + _problems_by_rcodesign(app, list(files))


def _problems_by_rcodesign(app: Path, files: list[Path]) -> list[str]:
    """What rcodesign's library says of the files, signatures by certificates included."""
    try:
        import apple_platform  # type: ignore[import-not-found]
    except ImportError:
        return []
    problems: list[str] = []
    for path in files:
        try:
            if directory(path).flags & AD_HOC:
                continue  # it misses the certificate
        except SealError:
            continue  # told already
        name = path.relative_to(app)
        problems += [f"{name}: {one['description']}" for one in apple_platform.verify_macho(path)]
    return problems


def directory(path: Path) -> Directory:
    """The code directory of a Mach-O file of one architecture.

    Raises:
        SealError: it is not signed, or the signature makes no sense.
    """
    data = path.read_bytes()
    try:
        return _directory(_signature(data))
    except (struct.error, IndexError, UnicodeDecodeError) as error:
        raise SealError(f"its signature is damaged ({error})") from error


def _signature(data: bytes) -> bytes:
    count = struct.unpack_from("<I", data, 16)[0]
    position = 32
    for _ in range(count):
        command, length = struct.unpack_from("<II", data, position)
        if command == _SIGNATURE_COMMAND:
            offset, size = struct.unpack_from("<II", data, position + 8)
            return data[offset : offset + size]
        position += length
    raise SealError("is not signed")


def _directory(blob: bytes) -> Directory:
    magic, _length, count = struct.unpack_from(">III", blob)
    if magic != _SUPER_BLOB:
        raise SealError("its signature is none")
    rights = b""
    found: Directory | None = None
    for index in range(count):
        kind, offset = struct.unpack_from(">II", blob, 12 + 8 * index)
        magic, length = struct.unpack_from(">II", blob, offset)
        part = blob[offset : offset + length]
        if kind == _BLOB_ENTITLEMENTS:
            rights = part
        elif magic == _CODE_DIRECTORY and part[37] == _SHA256:
            found = _read_directory(part)
    if found is None:
        raise SealError("has no code directory of SHA-256")
    return dataclasses.replace(found, entitlements=rights)


def _read_directory(part: bytes) -> Directory:
    _version, flags, hashes, name, specials, pages, limit = struct.unpack_from(">7I", part, 8)
    size, page = part[36], 1 << part[39] if part[39] else limit
    slots = {
        -number: part[hashes + number * size : hashes + (number + 1) * size]
        for number in range(-specials, 0)
    }
    return Directory(
        identifier=part[name : part.index(b"\0", name)].decode(),
        flags=flags,
        limit=limit,
        page=page,
        pages=tuple(part[hashes + n * size : hashes + (n + 1) * size] for n in range(pages)),
        special=slots,
        blob=part,
    )


def _file_problems(path: Path) -> Iterator[str]:
    try:
        found = directory(path)
    except SealError as error:
        yield str(error)
        return
    data = path.read_bytes()[: found.limit]
    pages = [data[start : start + found.page] for start in range(0, found.limit, found.page)]
    if len(pages) != len(found.pages) or len(data) != found.limit:
        yield "has another length than was signed"
    elif any(
        hashlib.sha256(page).digest() != hash_
        for page, hash_ in zip(pages, found.pages, strict=True)
    ):
        yield "was changed after it was signed"
    if not found.flags & HARDENED:
        yield "is signed without the hardened runtime"
    if found.entitlements and not _fits(found, _ENTITLEMENTS, found.entitlements):
        yield "has other entitlements than were signed"


def _fits(found: Directory, slot: int, data: bytes) -> bool:
    expected = found.special.get(slot, b"")
    return any(expected) and hashlib.sha256(data).digest() == expected


def _bundle_problems(root: Path) -> Iterator[str]:
    """Problems of an app's `Contents` or a framework's version folder."""
    info = next(
        (p for p in (root / "Info.plist", root / "Resources/Info.plist") if p.exists()), None
    )
    if info is None:
        yield "has no Info.plist"
        return
    sealed = root / _SEAL / "CodeResources"
    try:
        name = plistlib.loads(info.read_bytes())["CFBundleExecutable"]
        entries = plistlib.loads(sealed.read_bytes()) if sealed.is_file() else {}
    except (ExpatError, KeyError, ValueError) as error:
        yield f"{info.name} or its seal was changed after it was signed ({error})"
        return
    program = root / "MacOS" / name if (root / "MacOS").is_dir() else root / name
    if not sealed.is_file():
        yield "has no seal"
        return
    try:
        found = directory(program)
    except (SealError, OSError) as error:
        yield f"{name}: {error}"
        return
    for slot, path in ((_INFO, info), (_RESOURCES, sealed)):
        if not _fits(found, slot, path.read_bytes()):
            yield f"{path.relative_to(root)} was changed after it was signed"
    yield from _sealed_problems(root, program, entries)


def _sealed_problems(root: Path, program: Path, sealed: dict[str, Any]) -> Iterator[str]:
    entries = sealed["files2"]
    for name, entry in entries.items():
        yield from _entry_problems(root / name, name, entry)
    nested = {name for name, entry in entries.items() if "cdhash" in entry}
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        inside = any(name.startswith(f"{one}/") for one in nested)
        left_out = (
            path == program or name.split("/")[0] == _SEAL or _omitted(name, sealed["rules2"])
        )
        if (path.is_symlink() or path.is_file()) and not (inside or left_out or name in entries):
            yield f"{name} was added after it was signed"


def _entry_problems(path: Path, name: str, entry: Any) -> Iterator[str]:
    entry = {"hash2": entry} if isinstance(entry, bytes) else entry
    if "symlink" in entry:
        if not path.is_symlink() or str(path.readlink()) != entry["symlink"]:
            yield f"{name} is another link than was signed"
    elif not path.exists():
        if not entry.get("optional"):
            yield f"{name} is gone"
    elif "hash2" in entry and hashlib.sha256(path.read_bytes()).digest() != entry["hash2"]:
        yield f"{name} was changed after it was signed"
    elif "cdhash" in entry:
        # The nested code is verified by itself; this says that it is the one that was there.
        try:
            found = directory(_program(path))
        except (SealError, OSError) as error:
            yield f"{name}: {error}"
            return
        if hashlib.sha256(found.blob).digest()[:20] != entry["cdhash"]:
            yield f"{name} was replaced after it was signed"


def _program(path: Path) -> Path:
    """The Mach-O file that stands for nested code: itself, or a framework's or an app's own."""
    if path.is_file():
        return path
    if (path / "Contents").is_dir():
        plist = plistlib.loads((path / "Contents/Info.plist").read_bytes())
        return path / "Contents/MacOS" / plist["CFBundleExecutable"]
    return path / "Versions/Current" / path.stem


def _omitted(name: str, rules: dict[str, Any]) -> bool:
    """Whether a rule of the highest weight that matches leaves a file out of the seal."""
    best, left_out = -1.0, True
    for pattern, rule in rules.items():
        options = rule if isinstance(rule, dict) else {}
        weight = float(options.get("weight", 1))
        if re.match(pattern, name) and weight > best:
            best, left_out = weight, bool(options.get("omit")) or rule is False
    return left_out


if __name__ == "__main__":
    found = verify(Path(sys.argv[1]))
    print(*found or ["The seal is whole."], sep="\n")
    sys.exit(bool(found))
