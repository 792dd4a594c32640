"""What is done with files and folders that are handed over by Finder or dropped on the window."""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal

from gui.addresses import SCHEME
from gui.state.convert.options import is_checkpoint
from gui.state.pictures.images import is_picture_name
from gui.state.prompts.styles import is_style_file
from gui.ui.desks.parts import Parts


class OpeningDesk(QObject):
    """Takes each file to who knows its kind."""

    pictures_wanted = Signal(list)
    """Pictures at these paths."""
    convert_wanted = Signal(str)
    """The checkpoint at this path."""
    address_wanted = Signal(str)
    """Another program asks by this address."""

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts.window)
        self._studio = parts.studio

    def open_paths(self, paths: list[str]) -> None:
        """Several at once: pictures together, the others one by one."""
        self.pictures_wanted.emit([path for path in paths if is_picture_name(path)])
        for path in paths:
            if not is_picture_name(path):
                self.open_path(path)

    def open_path(self, path: str) -> None:
        """A file, a folder, or an address of ours."""
        if path.partition(":")[0].lower() == SCHEME:
            self.address_wanted.emit(path)
            return
        if is_picture_name(path):
            self.pictures_wanted.emit([path])
            return
        studio = self._studio
        if is_style_file(path):
            studio.prompts.import_styles(path)
            return

        def act(convert: bool) -> None:
            if convert:
                self.convert_wanted.emit(path)
            else:
                studio.models.add_folder(path)

        studio.background.run(lambda: is_checkpoint(path), act, studio.error_raised.emit)
