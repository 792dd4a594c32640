"""The LoRAs that a picture is made with: each on or off, with its weight."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import (
    QCheckBox,
    QFileDialog,
    QHBoxLayout,
    QMenu,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from gui import words
from gui.errors import SfumatoError
from gui.parameters import Parameter
from gui.request import MAX_LORA_WEIGHT, LoraUse
from gui.state.loras import LoraDetails, LoraLibrary, is_lora_name
from gui.ui.widgets.controls import ElidedLabel, QuietSpinBox, icon_button, without_shortcut
from gui.ui.widgets.icons import icon

_LONGEST = 60


def told(entry: LoraDetails) -> str:
    """What is known of a LoRA's file, for its entry in the menu."""
    parts = [entry.base, words.size(entry.bytes)]
    return "  ·  ".join(part for part in parts if part)


class LoraList(QWidget):
    """A row for each LoRA, and a button to add more; files can be dropped on it."""

    edited = Signal(object)
    """All of them now, a tuple."""
    failed = Signal(SfumatoError)
    words_wanted = Signal(str)
    """Trigger words to put into the prompt."""

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
        self.menu: QMenu | None = None
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
        self.updateGeometry()

    def close_down(self) -> None:
        """Wait for what reads and copies files."""
        self.library.close()

    def _row(self, use: LoraUse) -> LoraRow:
        row = LoraRow(use)
        row.edited.connect(lambda new: self._replace(row, new))
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
            self.menu = self.make_menu()
            self.menu.popup(self.add.mapToGlobal(self.add.rect().bottomLeft()))

    def make_menu(self) -> QMenu:
        """What can be added: every LoRA of the library, and files from elsewhere."""
        menu = QMenu(self)
        menu.setToolTipsVisible(True)
        present = {use.name for use in self._uses}
        for entry in self.library.entries:
            name = without_shortcut(words.shortened(entry.name, _LONGEST))
            action = menu.addAction(f"{name}\t{without_shortcut(told(entry))}")
            action.setEnabled(entry.name not in present)
            if entry.triggers:
                action.setToolTip(words.plain_tip(f"Trigger words: {', '.join(entry.triggers)}"))
            action.triggered.connect(lambda _=False, entry=entry: self._use(entry))
        if not self.library.entries:
            menu.addAction("No LoRAs yet").setEnabled(False)
        menu.addSeparator()
        menu.addAction("Add File…").triggered.connect(lambda *_: self._choose_file())
        menu.addAction("Show LoRAs Folder").triggered.connect(lambda *_: self.library.show_folder())
        return menu

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


class LoraRow(QWidget):
    """One LoRA: on or off, its name, its weight, and a way off the list."""

    edited = Signal(object)
    removed = Signal()

    def __init__(self, use: LoraUse) -> None:
        super().__init__()
        self._use = use
        name = Path(use.name).name.removesuffix(".safetensors")
        self.on = QCheckBox()
        self.on.setAccessibleName(f"Use {name}")
        self.name = ElidedLabel(name)
        self.name.setToolTip(words.plain_tip(use.name))
        self.weight = QuietSpinBox(2)
        self.weight.setRange(-MAX_LORA_WEIGHT, MAX_LORA_WEIGHT)
        self.weight.setSingleStep(0.05)
        self.weight.setKeyboardTracking(False)
        self.weight.setAccessibleName(f"Weight of {name}")
        self.remove = icon_button("close", f"Take {name} off the list")
        self.remove.setIconSize(QSize(14, 14))
        line = QHBoxLayout(self)
        line.setContentsMargins(0, 0, 0, 0)
        line.setSpacing(6)
        for widget, share in ((self.on, 0), (self.name, 1), (self.weight, 0), (self.remove, 0)):
            line.addWidget(widget, share)
        self.show_use(use)
        self.on.toggled.connect(lambda on: self._change(on=on))
        self.weight.valueChanged.connect(lambda value: self._change(weight=round(value, 2)))
        self.remove.clicked.connect(self.removed)

    def show_use(self, use: LoraUse) -> None:
        """Show a value without an `edited` signal."""
        self._use = use
        for widget in (self.on, self.weight):
            widget.blockSignals(True)
        self.on.setChecked(use.on)
        self.weight.setValue(use.weight)
        for widget in (self.on, self.weight):
            widget.blockSignals(False)
        self.name.setEnabled(use.on)
        self.weight.setEnabled(use.on)

    def _change(self, **values: object) -> None:
        self.edited.emit(replace(self._use, **values))  # type: ignore[arg-type]
