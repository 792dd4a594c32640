"""Locks between processes: `flock`, which goes with the process that holds it, even a killed one.

Standard library only.
"""

from __future__ import annotations

import fcntl
import random
import time


def take(descriptor: int) -> bool:
    """Take a file's lock for this process alone, until the descriptor is closed.

    Those that merely look (`is_taken`) are waited for, a moment each.

    Returns:
        False where another process has it.

    Raises:
        OSError: the disk knows no locks.
    """
    while not _flock(descriptor, fcntl.LOCK_EX):
        if is_taken(descriptor):
            return False
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        time.sleep(random.uniform(0, 0.002))
    return True


def is_taken(descriptor: int) -> bool:
    """Whether another process has taken a file's lock.  Asking hinders nobody; close the
    descriptor soon.

    Raises:
        OSError: the disk knows no locks.
    """
    return not _flock(descriptor, fcntl.LOCK_SH)


def _flock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
