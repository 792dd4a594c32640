"""Which modules does real use import?  Runs commands and collects the names from every process.

Usage: ``python packaging/macos/trace.py OUT.json -- COMMAND…``; several commands are parted by
``--``.  Every Python that a command starts, its children's children too, notes what it has imported
once a second and when it ends: children are ended by force at times.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Collection, Sequence
from pathlib import Path

HOOK = """
import atexit, json, os, sys, threading

class Blind:
    def __init__(self, finder):
        self._finder = finder

    def find_spec(self, name, *rest):
        absent = name.partition(".")[0] in {without!r}
        return None if absent else self._finder.find_spec(name, *rest)

    def __getattr__(self, name):
        return getattr(self._finder, name)

sys.meta_path[:] = [Blind(finder) for finder in sys.meta_path]

def note():
    names = sorted(
        name for name, module in sys.modules.copy().items()
        # Others are built in, or made by code that is imported.
        if os.path.isfile(getattr(module, "__file__", None) or "")
        and getattr(module.__spec__, "name", name) == name
    )
    place = os.path.join({folder!r}, str(os.getpid()))
    with open(place + ".new", "w") as file:
        json.dump(names, file)
    os.replace(place + ".new", place + ".json")

def watch():
    note()
    timer = threading.Timer(1, watch)
    timer.daemon = True
    timer.start()

atexit.register(note)
watch()
"""


def trace(commands: Sequence[Sequence[str]], without: Collection[str] = ()) -> set[str]:
    """Names of all modules that the commands import.

    Args:
        without: packages that are not there for them, as they are not in the bundle.

    Raises:
        subprocess.CalledProcessError: a command did not end well.
    """
    with tempfile.TemporaryDirectory() as folder:
        notes = Path(folder) / "notes"
        notes.mkdir()
        (Path(folder) / "sitecustomize.py").write_text(
            HOOK.format(folder=str(notes), without={*without, ""})
        )
        path = os.pathsep.join(filter(None, [folder, os.environ.get("PYTHONPATH")]))
        for command in commands:
            subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": path})
        names: set[str] = set()
        for file in notes.glob("*.json"):
            names.update(json.loads(file.read_text()))
    return {name for name in names if name not in ("__main__", "__mp_main__", "sitecustomize")}


def split(arguments: Sequence[str]) -> list[list[str]]:
    """Commands parted by ``--``."""
    commands: list[list[str]] = [[]]
    for argument in arguments:
        if argument == "--":
            commands.append([])
        else:
            commands[-1].append(argument)
    return [command for command in commands if command]


if __name__ == "__main__":
    found = trace(split(sys.argv[2:]))
    Path(sys.argv[1]).write_text(json.dumps(sorted(found), indent=0) + "\n")
    print(f"{len(found)} modules")
