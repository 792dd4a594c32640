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
from collections.abc import Sequence
from pathlib import Path

HOOK = """
import atexit, json, os, sys, threading

def note():
    names = sorted(
        name for name, module in sys.modules.copy().items()
        # Others are built in, or made by code that is imported.
        if getattr(module, "__file__", None) and getattr(module.__spec__, "name", name) == name
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


def trace(commands: Sequence[Sequence[str]]) -> set[str]:
    """Names of all modules that the commands import.

    Raises:
        subprocess.CalledProcessError: a command did not end well.
    """
    with tempfile.TemporaryDirectory() as folder:
        notes = Path(folder) / "notes"
        notes.mkdir()
        (Path(folder) / "sitecustomize.py").write_text(HOOK.format(folder=str(notes)))
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
