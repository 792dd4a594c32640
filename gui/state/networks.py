"""The networks beside the models, as the window sees them: ControlNets, upscalers, and those that
prepare control pictures."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QObject, Signal

from gui import paths
from gui.coreml.client import ModelReader
from gui.coreml.messages import ListNetworks, NetworkFacts, Networks
from gui.errors import SfumatoError, disk_error
from gui.mac import mac_services
from gui.state.background import Background

__all__ = ["NetworkFacts", "NetworkLibrary", "Networks"]


class NetworkLibrary(QObject):
    """Lists them, in a process of its own that ends afterwards."""

    changed = Signal()
    """`networks` were read again."""
    failed = Signal(SfumatoError)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.networks = Networks()
        self.listed = False
        self._background = Background(self)
        self._asked = False

    def refresh(self) -> None:
        """Read the folders; returns at once."""
        if not self._asked:
            self._asked = True
            self._background.run(_listed, self._on_read, self._on_failed)

    def refresh_if_listed(self) -> None:
        """Read them again where someone has asked for them before."""
        if self.listed:
            self.refresh()

    def show_controls_folder(self) -> None:
        """Show in the file manager where ControlNets are kept."""
        self._show(paths.controlnets_dir())

    def show_preprocessors_folder(self) -> None:
        """Show where networks are kept that prepare control pictures."""
        self._show(paths.preprocessors_dir())

    def show_upscalers_folder(self) -> None:
        """Show where the person's upscalers are kept."""
        self._show(paths.upscalers_dir())

    def close(self) -> None:
        """Wait for what is being read."""
        self._background.close()

    def _show(self, folder: Path) -> None:
        self._background.run(lambda: _revealed(folder), lambda _: None, self.failed.emit)

    def _on_read(self, networks: Networks) -> None:
        self._asked = False
        self.networks = networks
        self.listed = True
        self.changed.emit()

    def _on_failed(self, error: SfumatoError) -> None:
        self._asked = False
        self.failed.emit(error)


def _listed() -> Networks:
    reader = ModelReader()
    try:
        return reader.ask(ListNetworks())
    finally:
        reader.close()


def _revealed(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise disk_error(error, f"The folder “{folder.name}” could not be made") from error
    mac_services().reveal(folder)
