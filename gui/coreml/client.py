"""The window's end of the process that reads model folders (`gui.coreml.service`).

Nothing heavy: no protobuf here.
"""

from __future__ import annotations

import os
from pathlib import Path

from gui.coreml.messages import READER, Read, Reading
from gui.coreml.sidecar import FILE_NAME as SIDECAR
from gui.errors import SfumatoError
from gui.process.supervisor import Supervisor

MAX_FILES = 5000
"""A folder of more files and folders is no model, and not remembered."""

Stamp = tuple[tuple[str, int, int, int], ...]


class ModelReader(Supervisor):
    """One reading process.  What has been read is remembered as long as the files stay as they are.

    Args:
        command: program and arguments; None: this program's own.
        log: file that takes the child's stderr; None: ``coreml.log`` in the logs folder.
    """

    def __init__(self, command: list[str] | None = None, log: Path | None = None) -> None:
        super().__init__(READER, command, log)
        self._known: dict[Path, tuple[Stamp, Reading]] = {}

    def read(self, folder: Path) -> Reading:
        """What is in a folder; waits for the answer.  Never raises: a process that dies over a
        folder is that folder's problem, and the next question starts another."""
        stamp = stamp_of(folder)
        if stamp and folder in self._known and self._known[folder][0] == stamp:
            return self._known[folder][1]
        try:
            found = self.ask(Read(folder))
        except SfumatoError as error:
            return Reading(problem=error.what)
        self._known[folder] = (stamp, found)
        return found


def stamp_of(folder: Path) -> Stamp:
    """Name, size, place and time of every file that a reading of the folder may depend on, links
    followed; empty where that cannot be told."""
    found = []
    try:
        # A variant's folder may have its sidecar beside it.
        beside = [place / SIDECAR for place in (folder.parent, folder.parent.parent)]
        for file in (file for file in beside if file.is_file()):
            found.append(_mark(str(file)))
        walk = os.walk(folder, followlinks=True)  # links may form a loop, which the limit ends
        for folders, (root, _, names) in enumerate(walk):
            found += [_mark(os.path.join(root, name)) for name in sorted(names)]  # noqa: PTH118
            if len(found) + folders > MAX_FILES:
                return ()
    except OSError:
        return ()
    return tuple(found)


def _mark(file: str) -> tuple[str, int, int, int]:
    status = os.stat(file)  # noqa: PTH116
    return file, status.st_size, status.st_ino, status.st_mtime_ns
