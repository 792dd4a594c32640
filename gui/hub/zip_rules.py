"""What an archive from a stranger may hold: the same before it is downloaded and after."""

MAX_ENTRIES = 50_000
MAX_DIRECTORY = 8 << 20
"""Bytes of the archive's directory: room for `MAX_ENTRIES` with long names."""
MAX_BYTES = 200 * 10**9
"""Of all files together: several times the largest published model."""
MAX_RATIO = 200
"""Unpacked size ÷ packed size, beyond `RATIO_FROM`.  Deflate reaches about 1000 on zeros; weights
compress by a few per cent and model text by about ten."""
RATIO_FROM = 16 << 20
"""Less than this, in one entry or in all of them, may compress as it likes."""
NEWEST_VERSION = 63
"""Version of the format that an entry may need, times ten: APPNOTE 6.3, as Python's `zipfile`
knows it."""


def is_absurd(packed: int, size: int) -> bool:
    """Whether so many bytes unpack to far too many: an archive made to fill a disk."""
    return size > MAX_BYTES or (size > RATIO_FROM and size > MAX_RATIO * max(1, packed))
