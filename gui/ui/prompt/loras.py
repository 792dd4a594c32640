"""The LoRAs that a picture is made with, and the way to more of them."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QDragEnterEvent, QDropEvent, QPixmap
from PySide6.QtWidgets import QFileDialog, QPushButton, QVBoxLayout, QWidget

from gui import words
from gui.errors import SfumatoError
from gui.parameters import Parameter
from gui.request import LoraUse
from gui.state.loras import LoraDetails, LoraLibrary, is_lora_name
from gui.ui.prompt.lora_popover import LoraPopover
from gui.ui.prompt.lora_row import COVER, LoraRow
from gui.ui.widgets.card_pictures import CardPictures
from gui.ui.widgets.icons import icon


class LoraList(QWidget):
    """A row for each LoRA, and a button to add more; files can be dropped on it."""

    edited = Signal(object)
    """All of them now, a tuple."""
    failed = Signal(SfumatoError)
    words_wanted = Signal(str)
    """Trigger words to put into the prompt."""
    hub_wanted = Signal()
    """The person looks for more on the Hub."""
    trash_wanted = Signal(str)
    """Path of a file that is to go to the Trash."""

    def __init__(self, field: Parameter) -> None:
        super().__init__()
        self._uses: tuple[LoraUse, ...] = ()
        self._add_when_listed = False
        self._wanted_folder = ""
        self.library = LoraLibrary(self)
        self.library.failed.connect(self.failed)
        self.library.changed.connect(self._on_listed)
        self.add = QPushButton("LoRA")
        self.add.setObjectName("styleAdd")
        self.add.setIcon(icon("plus", tone="secondary"))
        self.add.setIconSize(QSize(12, 12))
        self.add.setToolTip(words.plain_tip(field.help))
        self.add.setAccessibleName("Add a LoRA")
        self.add.clicked.connect(self._on_add)
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(4)
        self._column.addWidget(self.add, 0, Qt.AlignmentFlag.AlignLeft)
        self.rows: list[LoraRow] = []
        self.popover: LoraPopover | None = None
        self.pictures = CardPictures(self, COVER)
        self.pictures.changed.connect(self._show_covers)
        self.setAcceptDrops(True)

    def set_value(self, uses: tuple[LoraUse, ...]) -> None:
        if uses == self._uses:
            return
        same = [use.name for use in uses] == [use.name for use in self._uses]
        self._uses = uses
        if same:
            for row, use in zip(self.rows, uses, strict=True):
                row.show_use(use)
            return
        for row in self.rows:
            row.hide()
            row.deleteLater()
        self.rows = [self._row(use) for use in uses]
        for place, row in enumerate(self.rows):
            self._column.insertWidget(place, row)
        self._show_entries()
        if uses and not self.library.known:
            self.library.refresh()
        self.updateGeometry()

    def close_down(self) -> None:
        """Wait for what reads and copies files."""
        self.pictures.close()
        self.library.close()

    def _row(self, use: LoraUse) -> LoraRow:
        row = LoraRow(use)
        row.edited.connect(lambda new: self._replace(row, new))
        row.words_wanted.connect(self.words_wanted)
        row.reveal_wanted.connect(self.library.reveal)
        row.trash_wanted.connect(self.trash_wanted)
        # queued: the click is over before the row it came from goes away
        row.removed.connect(lambda: self._replace(row, None), Qt.ConnectionType.QueuedConnection)
        return row

    def _replace(self, row: LoraRow, use: LoraUse | None) -> None:
        place = self.rows.index(row)
        new = (use,) if use is not None else ()
        self.edited.emit((*self._uses[:place], *new, *self._uses[place + 1 :]))

    def use_folder(self, folder: str) -> None:
        """Use the LoRA of the library that lies in this folder."""
        self._wanted_folder = folder
        self.library.refresh()

    def library_changed(self) -> None:
        """Files have come or gone."""
        if self.library.known:
            self.library.refresh()

    # -- adding -------------------------------------------------------------------------------

    def _on_add(self) -> None:
        self._add_when_listed = True
        self.library.refresh()

    def _on_listed(self) -> None:
        folder, self._wanted_folder = self._wanted_folder, ""
        if folder:
            names = {use.name for use in self._uses}
            for entry in self.library.entries:
                if Path(folder) in Path(entry.path).parents and entry.name not in names:
                    self._use(entry)
                    break
        if self._add_when_listed:
            self._add_when_listed = False
            self.make_popover().open_below(self.add)
        self._show_entries()

    def _show_entries(self) -> None:
        """What is known of each file, in the rows and in the pop-over."""
        for row in self.rows:
            entry = self.library.find(row.use.name)
            if entry is None and self.library.known:
                row.show_missing()
            else:
                row.show_entry(entry)
        self._show_covers()
        if self.popover is not None:
            used = frozenset(use.name for use in self._uses)
            self.popover.show_entries(self.library.entries, used)

    def _show_covers(self) -> None:
        for row in self.rows:
            row.cover.show_picture(self._cover_of(row.entry) if row.entry is not None else None)

    def make_popover(self) -> LoraPopover:
        """The library, to choose from."""
        if self.popover is None:
            made = self.popover = LoraPopover(self, self._cover_of)
            made.chosen.connect(self._use)
            made.file_wanted.connect(self._choose_file)
            made.hub_wanted.connect(self.hub_wanted)
            made.folder_wanted.connect(self.library.show_folder)
            self.pictures.changed.connect(made.list.viewport().update)
        return self.popover

    def _cover_of(self, entry: LoraDetails) -> QPixmap | None:
        return self.pictures.get(entry.cover) if entry.cover else None

    def _use(self, entry: LoraDetails) -> None:
        self.edited.emit((*self._uses, LoraUse(entry.name)))
        if entry.triggers:
            self.words_wanted.emit(", ".join(entry.triggers))

    def _choose_file(self) -> None:
        paths, _ = QFileDialog.getOpenFileNames(self, "Add LoRAs", "", "LoRAs (*.safetensors)")
        self.take(paths)

    def take(self, paths: list[str]) -> None:
        """Copy files into the library, and use them."""
        if paths:
            self.library.add(paths, self._on_taken)

    def _on_taken(self, names: tuple[str, ...]) -> None:
        present = {use.name for use in self._uses}
        new = tuple(LoraUse(name) for name in names if name not in present)
        if new:
            self.edited.emit((*self._uses, *new))
            self.library.refresh()

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if self._dropped(event):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        if paths := self._dropped(event):
            event.acceptProposedAction()
            self.take(paths)

    def _dropped(self, event: QDropEvent) -> list[str]:
        paths = [url.toLocalFile() for url in event.mimeData().urls()]
        return [path for path in paths if is_lora_name(path)]
