"""What a picture is known by, wherever its file lies and whatever it is called."""

from __future__ import annotations

import hashlib

FINGERPRINT_BYTES = 64 * 1024
"""A picture's beginning: header, settings and the first pixels tell any two pictures apart."""


def fingerprint(data: bytes, size: int) -> str:
    """Tells a picture from any other, wherever it lies.

    Args:
        data: the file's first `FINGERPRINT_BYTES` bytes.
        size: the whole file's size in bytes.
    """
    return hashlib.blake2b(data + size.to_bytes(8, "big"), digest_size=16).hexdigest()
