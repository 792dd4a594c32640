"""Disk images in Apple's form (UDIF, compressed by LZMA as `hdiutil`'s ULMO) without a Mac.

Layout: a data fork of compressed runs of 512-byte sectors, a property list with their table
(``blkx``/``mish``), and a trailer of 512 bytes (``koly``).
"""

from __future__ import annotations

import lzma
import plistlib
import struct
import uuid
import zlib
from collections.abc import Iterator
from pathlib import Path

SECTOR = 512
RUN = 2048 * SECTOR
"""Bytes that are compressed together."""
_LZMA, _ZEROS, _END = 0x80000008, 2, 0xFFFFFFFF
_CRC32 = 2


def pack(raw: Path, image: Path) -> None:
    """Write a volume's bytes as a disk image.

    Args:
        raw: the volume, read in pieces.
        image: the image, overwritten.
    """
    table: list[tuple[int, int, int, int, int]] = []
    offset, sector, whole, packed = 0, 0, 0, 0
    with image.open("wb") as out:
        for run in _runs(raw):
            whole = zlib.crc32(run, whole)
            count = len(run) // SECTOR
            if run.strip(b"\0"):
                data = lzma.compress(run, preset=6)
                table.append((_LZMA, sector, count, offset, len(data)))
                out.write(data)
                packed = zlib.crc32(data, packed)
                offset += len(data)
            else:
                table.append((_ZEROS, sector, count, offset, 0))
            sector += count
        table.append((_END, sector, 0, offset, 0))
        blocks = _blocks(table, sector, whole)
        name = "whole disk (unknown partition : 0)"
        entry = {"Attributes": "0x0050", "CFName": name, "Data": blocks, "ID": "0", "Name": name}
        plist = plistlib.dumps({"resource-fork": {"blkx": [entry]}})
        out.write(plist)
        master = zlib.crc32(struct.pack(">I", whole))
        out.write(_trailer(offset, len(plist), sector, packed, master))


def _runs(raw: Path) -> Iterator[bytes]:
    with raw.open("rb") as file:
        while run := file.read(RUN):
            yield run + b"\0" * (-len(run) % SECTOR)


def _checksum(value: int) -> bytes:
    return struct.pack(">III", _CRC32, 32, value) + b"\0" * 124


def _blocks(table: list[tuple[int, int, int, int, int]], sectors: int, crc: int) -> bytes:
    head = b"mish" + struct.pack(">IQQQII24x", 1, 0, sectors, 0, 0x208, 0)
    runs = (struct.pack(">IIQQQQ", kind, 0, *rest) for kind, *rest in table)
    return head + _checksum(crc) + struct.pack(">I", len(table)) + b"".join(runs)


def _trailer(data: int, plist: int, sectors: int, packed: int, master: int) -> bytes:
    trailer = (
        b"koly"
        + struct.pack(">III", 4, 512, 1)
        + struct.pack(">QQQQQ", 0, 0, data, 0, 0)
        + struct.pack(">II", 1, 1)
        + uuid.uuid4().bytes
        + _checksum(packed)
        + struct.pack(">QQ", data, plist)
        + b"\0" * 120
        + _checksum(master)
        + struct.pack(">IQ", 1, sectors)
        + b"\0" * 12
    )
    assert len(trailer) == 512
    return trailer
