"""The app as a bundle on a Mac: whether it lies where it may stay, and its command in terminals."""

from __future__ import annotations

import sys
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from gui.errors import SfumatoError
from gui.mac import command_line, place
from gui.mac.command_line import Installed
from gui.mac.place import PlaceKind
from gui.state.background import Background

__all__ = ["Bundle", "Installed", "PlaceKind"]


class Bundle(QObject):
    """Args: app: the bundle; default: this program's own; None: it runs from somewhere else."""

    misplaced = Signal(PlaceKind)
    """It runs from a place where it cannot stay."""
    moved = Signal()
    """Its copy runs: this one should end."""
    looked = Signal(Installed)
    """What lies where the command for terminals should."""
    failed = Signal(SfumatoError)

    def __init__(self, parent: QObject | None = None, app: Path | None = None) -> None:
        super().__init__(parent)
        if app is None and getattr(sys, "frozen", None):
            app = place.bundle()
        self.app = app
        self.applications: Path | None = None
        """Where it is moved to; default: the computer's folder."""
        self.commands = command_line.FOLDER
        self._background = Background(self)

    def start(self) -> None:
        """Look where it lies."""
        if self.app is not None:
            app = self.app
            self._background.run(lambda: place.kind_of(app), self._on_place, self.failed.emit)

    def move(self) -> None:
        """To the folder for applications; `moved` or `failed` follows."""
        app, chosen = self.app, self.applications
        if app is not None:
            self._background.run(
                lambda: place.move(app, chosen or place.applications_folder()),
                lambda _target: self.moved.emit(),
                self.failed.emit,
            )

    def look(self) -> None:
        """Whether the command is there; `looked` follows."""
        app = self.app
        if app is not None:
            self._background.run(
                lambda: command_line.look(app, self.commands), self.looked.emit, self.failed.emit
            )

    def install_command(self) -> None:
        """`looked` follows, after `failed` where it did not work."""
        if (app := self.app) is not None:
            self._background.run(
                lambda: command_line.install(app, self.commands), self._again, self._on_failed
            )

    def remove_command(self) -> None:
        """`looked` follows, after `failed` where it did not work."""
        if (app := self.app) is not None:
            self._background.run(
                lambda: command_line.remove(app, self.commands), self._again, self._on_failed
            )

    def close(self) -> None:
        self._background.close()

    def _on_place(self, kind: PlaceKind) -> None:
        if kind is not PlaceKind.SETTLED:
            self.misplaced.emit(kind)

    def _again(self, _done: object) -> None:
        self.look()

    def _on_failed(self, error: SfumatoError) -> None:
        self.failed.emit(error)
        self.look()
