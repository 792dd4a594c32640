"""What the app asks of the desktop it runs on, and a stand-in for desktops that cannot do it.

Only `gui.mac.cocoa` and `gui.mac.cocoa_vision` import pyobjc, and only on a Mac;
everyone else talks to `MacServices`.  None of these services is needed to make a picture: where one
is absent, nothing happens.
"""

from __future__ import annotations

import html
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from gui.errors import ErrorKind, SfumatoError

MOST_FOLDERS = 3
"""Windows that one command opens."""
MOST_FILES = 10
"""Files that one command opens where each gets a window of its own."""
_NO_FILE_MANAGER = (
    "No file manager could be opened; install one, or go to the folder in a terminal."
)
_NO_VIEWER = "No program could be opened for the picture; install one that shows pictures."
_NOTIFY_SCRIPT = (
    # The texts come as arguments, so nothing in them is ever read as AppleScript.
    "on run argv",
    "display notification (item 2 of argv) with title (item 1 of argv)",
    "end run",
)


@dataclass(frozen=True)
class Program:
    """A program of this computer."""

    name: str
    path: Path


@runtime_checkable
class MacServices(Protocol):
    """The desktop's services.  Call them from the main thread only."""

    def set_progress(self, fraction: float | None) -> None:
        """Show a progress bar on the Dock icon.

        Args:
            fraction: 0 to 1, clamped; None takes the bar away.
        """
        ...

    def set_badge(self, text: str) -> None:
        """Show a short text on the Dock icon; empty takes it away."""
        ...

    def begin_activity(self, reason: str) -> None:
        """Keep the machine awake and the app out of App Nap until `end_activity`.

        A second call while an activity is held changes nothing.
        """
        ...

    def end_activity(self) -> None:
        """Let the machine sleep again; nothing happens when no activity is held."""
        ...

    def on_battery(self) -> bool:
        """Whether the machine lives on its battery now; False where that cannot be known.

        May take a moment; it alone may be called from any thread.
        """
        ...

    def saves_energy(self) -> bool:
        """Whether the system is told to save energy (Low Power Mode); False where that cannot be
        known.

        May take a moment, on any thread.
        """
        ...

    def reveal(self, path: Path, *more: Path) -> None:
        """Show files in Finder, or open their folders in another desktop's file manager.

        Raises:
            SfumatoError: STORAGE when all of them are gone, UNSUPPORTED when there is no file
                manager.
        """
        ...

    def notify(self, title: str, body: str) -> None:
        """Tell a person who is looking elsewhere; silently impossible on some desktops."""
        ...

    def applications(self, path: Path) -> list[Program]:
        """Programs that open such a file, the usual one first; empty where that cannot be told.
        May look at the disk, on any thread."""
        ...

    def open_with(self, paths: Sequence[Path], application: Program | None = None) -> None:
        """Open files in a program, the usual one for None.  On any thread.

        Raises:
            SfumatoError: UNSUPPORTED where there is nothing to open them with.
        """
        ...

    def offer_service(self, make: Callable[[str], None]) -> None:
        """Have the system's Services menu make a picture of a text that is chosen in any program.

        Args:
            make: gets the text, on the main thread.
        """
        ...

    @property
    def can_share(self) -> bool:
        """Whether `share` does anything."""
        ...

    def share(self, paths: Sequence[Path], view: int, at: tuple[int, int]) -> None:
        """Show the system's list of ways to share files.

        Args:
            view: the window's native view, as `QWidget.winId` gives it.
            at: where it points to, in the view's points.
        """
        ...

    @property
    def can_set_wallpaper(self) -> bool:
        """Whether `set_wallpaper` does anything."""
        ...

    def set_wallpaper(self, path: Path) -> None:
        """Put a picture on the desktop of every screen.

        Raises:
            SfumatoError: STORAGE where the system refuses it.
        """
        ...


class FallbackServices:
    """The services without pyobjc: the system's own commands where there are some.

    Args:
        platform: as `sys.platform`; tests choose it.
        supplies: where Linux tells of its power supplies.
        profile: where it tells how much energy is spent.
    """

    def __init__(
        self,
        platform: str = sys.platform,
        supplies: Path = Path("/sys/class/power_supply"),
        profile: Path = Path("/sys/firmware/acpi/platform_profile"),
    ) -> None:
        self._mac = platform == "darwin"
        self._supplies = supplies
        self._profile = profile
        self._awake: subprocess.Popen[bytes] | None = None

    def set_progress(self, fraction: float | None) -> None:
        del fraction  # no command can draw on the Dock icon

    def set_badge(self, text: str) -> None:
        del text

    def begin_activity(self, reason: str) -> None:
        del reason
        if self._awake is None and self._mac and (command := shutil.which("caffeinate")):
            # -w: it ends with us, even if we crash.
            self._awake = subprocess.Popen([command, "-i", "-w", str(os.getpid())])

    def end_activity(self) -> None:
        if self._awake is not None:
            self._awake.terminate()
            self._awake.wait()
            self._awake = None

    def on_battery(self) -> bool:
        return _pmset_says_battery() if self._mac else _sys_says_battery(self._supplies)

    def saves_energy(self) -> bool:
        if self._mac:
            return _pmset("-g").partition("lowpowermode")[2].split()[:1] == ["1"]
        return _first_line(self._profile) == "low-power"

    def reveal(self, path: Path, *more: Path) -> None:
        there = [one for one in (path, *more) if one.exists()]
        if not there:
            raise SfumatoError(
                ErrorKind.STORAGE,
                f"“{path.name}” is no longer where it was saved; look for it in the Trash or "
                "elsewhere.",
                str(path),
            )
        if self._mac:
            _start(["open", "-R", *map(str, there)])
            return
        folders = dict.fromkeys(one if one.is_dir() else one.parent for one in there)
        for folder in list(folders)[:MOST_FOLDERS]:
            _start(["xdg-open", str(folder)])

    def notify(self, title: str, body: str) -> None:
        if self._mac and (command := shutil.which("osascript")):
            script = [argument for line in _NOTIFY_SCRIPT for argument in ("-e", line)]
            _start([command, *script, title, body])
        elif not self._mac and (command := shutil.which("notify-send")):
            _start([command, "--app-name=Sfumato", "--", title, html.escape(body, quote=False)])

    def applications(self, path: Path) -> list[Program]:
        del path
        return []

    def open_with(self, paths: Sequence[Path], application: Program | None = None) -> None:
        names = [str(path) for path in paths]
        if self._mac:
            chosen = ["-a", str(application.path)] if application is not None else []
            _start(["open", *chosen, *names], _NO_VIEWER)
            return
        for name in names[:MOST_FILES]:
            _start(["xdg-open", name], _NO_VIEWER)

    def offer_service(self, make: Callable[[str], None]) -> None:
        del make  # a menu of macOS

    can_share = False
    can_set_wallpaper = False

    def share(self, paths: Sequence[Path], view: int, at: tuple[int, int]) -> None:
        del paths, view, at  # a service of macOS

    def set_wallpaper(self, path: Path) -> None:
        del path  # every desktop has its own way


def _pmset_says_battery() -> bool:
    """By the first line of ``pmset -g batt``: ``Now drawing from 'Battery Power'``."""
    return "'Battery Power'" in _pmset("-g", "batt").partition("\n")[0]


def _pmset(*arguments: str) -> str:
    """What macOS' power settings print; empty where they cannot be asked."""
    command = shutil.which("pmset")
    if command is None:
        return ""
    try:
        told = subprocess.run([command, *arguments], capture_output=True, text=True, timeout=5)
    except (OSError, subprocess.SubprocessError):
        return ""
    return told.stdout


def _sys_says_battery(supplies: Path) -> bool:
    """By the kernel's power supply class: no line is in, and a battery of the machine's own (not
    a mouse's, whose scope is its device) is being emptied."""
    emptied = False
    try:
        found = list(supplies.iterdir())
    except OSError:
        return False
    for supply in found:
        kind, online, scope, status = (
            _first_line(supply / name) for name in ("type", "online", "scope", "status")
        )
        if kind in ("Mains", "USB", "Wireless") and online not in ("", "0"):
            return False
        emptied |= kind == "Battery" and scope != "Device" and status == "Discharging"
    return emptied


def _first_line(file: Path) -> str:
    try:
        return file.read_text("ascii", "replace").partition("\n")[0].strip()
    except OSError:
        return ""


def _start(command: list[str], problem: str = _NO_FILE_MANAGER) -> None:
    """Start a short-lived helper without waiting for it.

    Raises:
        SfumatoError: UNSUPPORTED when the command does not exist here.
    """
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError as error:
        raise SfumatoError(
            ErrorKind.UNSUPPORTED,
            problem,
            str(error),
        ) from error
    # Reap it, or it would stay a zombie until the app quits.
    threading.Thread(target=process.wait, daemon=True).start()
