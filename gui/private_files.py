"""Files of ours that nobody else may read.  Standard library only: the first paint waits for it."""

from __future__ import annotations

import contextlib
from pathlib import Path


def keep_private(path: Path) -> None:
    """Let nobody else read a file of ours that holds prompts or what was looked for: made empty
    where it is missing.  SQLite gives its companions the mode of their database; older ones get it
    here.  Never raises."""
    with contextlib.suppress(OSError):
        path.touch(mode=0o600)
    for name in (path.name, f"{path.name}-wal", f"{path.name}-shm"):
        with contextlib.suppress(OSError):
            path.with_name(name).chmod(0o600)
