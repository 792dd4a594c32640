"""What was read of the models used last: a job that follows another need not read it again.

Reading a model's programs takes a tenth of a second for the starter and much more for a large one,
and would stand between any two jobs of a queue.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gui.errors import SfumatoError, unusable
from gui.files import everything

if TYPE_CHECKING:
    from gui.coreml.model import ModelInfo
    from gui.coreml.sidecar import Sidecar

_KEPT = 4

Stamp = tuple[tuple[str, int, int, int], ...]


@dataclass(frozen=True)
class KnownModel:
    """A model that can be used."""

    info: ModelInfo
    sidecar: Sidecar
    hash: str


class KnownModels:
    """Reads models, and remembers the last for as long as no file of theirs has changed."""

    def __init__(self) -> None:
        self._known: OrderedDict[Path, tuple[Stamp, KnownModel]] = OrderedDict()

    def read(self, folder: Path) -> KnownModel:
        """
        Raises:
            SfumatoError: BAD_MODEL or UNSUPPORTED where it cannot be used.
        """
        stamp = _stamp(folder)
        before = self._known.pop(folder, None)
        if before is not None and stamp is not None and before[0] == stamp:
            self._known[folder] = before
            return before[1]
        found = _read(folder)
        if stamp is not None:
            self._known[folder] = stamp, found
            while len(self._known) > _KEPT:
                self._known.popitem(last=False)
        return found


def _read(folder: Path) -> KnownModel:
    from gui.coreml.inspect import inspect_model, load_sidecar, model_hash

    info = inspect_model(folder)
    if info.problems:
        raise unusable(info.problems[0], "\n".join(info.problems))
    return KnownModel(info, load_sidecar(info), model_hash(info))


def _stamp(folder: Path) -> Stamp | None:
    """Changes with any file below a folder; None where that cannot be told."""
    try:
        found: list[tuple[str, int, int, int]] = []
        for path in everything(folder):
            status = path.stat()
            found.append((str(path), status.st_size, status.st_mtime_ns, status.st_ino))
    except (OSError, SfumatoError):
        return None
    return tuple(sorted(found))
