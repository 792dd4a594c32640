"""Which networks Core ML has prepared for the Neural Engine on this machine.

The first load of a network for it takes a minute or two, and is worth a word; the system keeps what
it made, and later loads take seconds.  What is kept here can be lost: the word is then said once
too often.  Standard library only.
"""

from __future__ import annotations

import contextlib

from gui import paths, records
from gui.files import UnreadableFile, parse_json, read_text
from gui.library.temporaries import write_whole
from gui.library.unit_times import Computer
from gui.request import ComputeUnit

FILE_NAME = "prepared.json"
_MOST = 500
"""Networks; those prepared longest ago are forgotten."""
_MAX_BYTES = 1_000_000
_NEURAL = (ComputeUnit.CPU_AND_NE, ComputeUnit.ALL)


def key(model_hash: str, component: str, unit: ComputeUnit, computer: Computer) -> str:
    """What a preparation holds for; empty where there is none to be made."""
    if computer.runtime != "native" or unit not in _NEURAL or not model_hash:
        return ""
    return f"{model_hash} {component} {unit.value} {computer.build}"


def is_new(what: str) -> bool:
    """Whether the next load of a `key` is its first.  Never raises.  Blocking."""
    return bool(what) and what not in _read()


def note(what: str) -> None:
    """It has been loaded.  Never raises.  Blocking."""
    if not what or what in (known := _read()):
        return
    with contextlib.suppress(OSError):
        paths.cache_dir().mkdir(parents=True, exist_ok=True)
        text = records.dumps([*known, what][-_MOST:])
        write_whole(paths.cache_dir(), FILE_NAME, text.encode(), overwrite=True)


def _read() -> list[str]:
    try:
        data = parse_json(read_text(paths.cache_dir() / FILE_NAME, _MAX_BYTES))
    except (OSError, UnreadableFile):
        return []
    return [each for each in data if isinstance(each, str)] if isinstance(data, list) else []
