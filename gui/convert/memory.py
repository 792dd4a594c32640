"""Tell want of memory from other failures."""

from __future__ import annotations

import errno

_WORDS = ("can't allocate memory", "cannot allocate memory", "not enough memory", "bad_alloc")
"""How torch, the system and C++ say it, in errors of no particular kind."""


def ran_out(error: BaseException) -> bool:
    """Whether an error means that there was no memory left."""
    if isinstance(error, MemoryError):
        return True
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno == errno.ENOMEM
    text = str(error).lower()
    return any(words in text for words in _WORDS)
