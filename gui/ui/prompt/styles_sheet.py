"""The styles, to be made, edited, deleted and taken from other programs' files."""

from __future__ import annotations

from PySide6.QtCore import QModelIndex, Qt
from PySide6.QtGui import QDragEnterEvent, QDropEvent, QStandardItem, QStandardItemModel
from PySide6.QtWidgets import (
    QDialog,
    QFileDialog,
    QHBoxLayout,
    QLineEdit,
    QListView,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from gui.errors import SfumatoError
from gui.state.prompts.styles import PLACEHOLDER, SUFFIXES, PromptStyle, StyleLibrary
from gui.ui.widgets.controls import icon_button, label
from gui.ui.widgets.drop_glow import DropGlow
from gui.ui.widgets.dropped import local_files
from gui.ui.widgets.prompt_edit import PromptEdit

LIST_WIDTH = 190
_FILTER = "Styles (" + " ".join(f"*{suffix}" for suffix in SUFFIXES) + ")"
_HELP = (
    f"The prompt goes where {PLACEHOLDER} stands; a text without it is put behind the prompt. "
    "Drop a web UI’s styles.csv or a Fooocus JSON here to import it."
)


class StylesSheet(QDialog):
    """A list at the left, the chosen style at the right.  What is typed is kept when another style
    is chosen or the sheet is closed; undo takes it back.

    Args:
        styles: those there are.
        parent: the window.
    """

    def __init__(self, styles: StyleLibrary, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Styles")
        self.setWindowModality(Qt.WindowModality.WindowModal)
        self.setAcceptDrops(True)
        self.setMinimumSize(560, 400)
        self.resize(660, 460)
        self._styles = styles
        self._shown: PromptStyle | None = None
        self._filling = False
        self._open = True
        self._glow = DropGlow(self)
        self._model = QStandardItemModel(self)
        self.list = QListView()
        self.list.setAccessibleName("Styles")
        self.list.setModel(self._model)
        self.list.setFixedWidth(LIST_WIDTH)
        self.list.setUniformItemSizes(True)
        self.list.setObjectName("sheetList")
        self.name = QLineEdit()
        self.name.setMaxLength(80)
        self.prompt = PromptEdit("Prompt", f"oil painting of {PLACEHOLDER}, rich colours", 4)
        self.negative = PromptEdit("Negative prompt", "photograph, blurry", 3)
        self.problem = label("", "problem", wrap=True)
        self.said = label("", "small", wrap=True)
        self.add = icon_button("plus", "New style")
        self.delete = icon_button("trash", "Delete this style")
        self.import_ = QPushButton("Import…")
        self.finish = QPushButton("Done")
        self.finish.setObjectName("sheetPrimary")
        for button in (self.import_, self.finish):
            button.setAutoDefault(False)
        self._lay_out()
        self._connect()
        self.fill("")

    def _lay_out(self) -> None:
        beside_list = QHBoxLayout()
        beside_list.addWidget(self.add)
        beside_list.addWidget(self.delete)
        beside_list.addStretch(1)
        beside_list.addWidget(self.import_)
        left = QVBoxLayout()
        left.setSpacing(6)
        left.addWidget(self.list, 1)
        left.addLayout(beside_list)
        right = QVBoxLayout()
        right.setSpacing(6)
        for text, widget in (
            ("Name", self.name), ("Prompt", self.prompt), ("Negative prompt", self.negative),
        ):  # fmt: skip
            name = label(text, "secondary")
            name.setBuddy(widget)
            right.addWidget(name)
            right.addWidget(widget)
        right.addWidget(self.problem)
        right.addWidget(label(_HELP, "small", wrap=True))
        right.addStretch(1)
        middle = QHBoxLayout()
        middle.setSpacing(16)
        middle.addLayout(left)
        middle.addLayout(right, 1)
        foot = QHBoxLayout()
        foot.addWidget(self.said, 1)
        foot.addWidget(self.finish)
        column = QVBoxLayout(self)
        column.setContentsMargins(20, 18, 20, 16)
        column.setSpacing(12)
        column.addWidget(label("Styles", "sheetTitle"))
        column.addLayout(middle, 1)
        column.addLayout(foot)

    def _connect(self) -> None:
        self.list.selectionModel().currentChanged.connect(self._on_current)
        self.add.clicked.connect(self.new)
        self.delete.clicked.connect(self._on_delete)
        self.import_.clicked.connect(self._choose_file)
        self.finish.clicked.connect(self.accept)
        self.name.editingFinished.connect(self.commit)
        self._styles.changed.connect(self._on_changed)

    # -- the list -----------------------------------------------------------------------------

    def fill(self, chosen: str) -> None:
        """List the styles, one of them chosen by its name."""
        self._filling = True
        self._model.clear()
        row = 0
        for number, style in enumerate(self._styles.styles()):
            item = QStandardItem(style.name)
            item.setEditable(False)
            item.setData(style, Qt.ItemDataRole.UserRole)
            self._model.appendRow(item)
            row = number if style.name == chosen else row
        index = self._model.index(row, 0)
        self.list.setCurrentIndex(index)
        self._filling = False
        self._show(index.data(Qt.ItemDataRole.UserRole))

    def _on_current(self, index: QModelIndex, _before: QModelIndex) -> None:
        if self._filling:
            return
        wanted = index.data(Qt.ItemDataRole.UserRole)
        if self.commit():
            if wanted is not None:
                self.fill(wanted.name)
        else:
            self.fill_choice()

    def fill_choice(self) -> None:
        """Choose what is being edited again."""
        self._filling = True
        for row in range(self._model.rowCount()):
            if self._model.index(row, 0).data(Qt.ItemDataRole.UserRole) == self._shown:
                self.list.setCurrentIndex(self._model.index(row, 0))
        self._filling = False

    def _on_changed(self) -> None:
        """Here or elsewhere: by an import, by undo, in another window."""
        if not self._filling:
            self.fill(self._shown.name if self._shown is not None else "")

    # -- the chosen one -----------------------------------------------------------------------

    def _show(self, style: PromptStyle | None) -> None:
        self._shown = style
        style = style or PromptStyle("")
        self.name.setText(style.name)
        self.prompt.setPlainText(style.prompt)
        self.negative.setPlainText(style.negative_prompt)
        self.problem.setText("")
        own = self._styles.is_own(style.name)
        self.delete.setEnabled(own)
        self.delete.setToolTip("Delete this style" if own else "This style comes with Sfumato")

    def typed(self) -> PromptStyle:
        """What the fields say."""
        return PromptStyle(
            " ".join(self.name.text().split()),
            self.prompt.toPlainText().strip(),
            self.negative.toPlainText().strip(),
        )

    def commit(self) -> bool:
        """Keep what was typed; False where it cannot be, and `problem` says why."""
        style = self.typed()
        if self._shown is None or style == self._shown:
            return True
        before, self._filling = self._shown, True
        try:
            self._styles.keep(style, before)
        except SfumatoError as error:
            self.problem.setText(error.message)
            return False
        finally:
            self._filling = False
        self.fill(style.name)
        return True

    def new(self) -> None:
        """A style to be filled in."""
        if self.commit():
            name = self._styles.free_name()
            self._styles.keep(PromptStyle(name, f"{PLACEHOLDER}, "), None)
            self.fill(name)
            self.name.setFocus()
            self.name.selectAll()

    def _on_delete(self) -> None:
        if self._shown is not None:
            self._styles.delete(self._shown.name)

    def done(self, result: int) -> None:
        """Close, unless what is typed cannot be kept: then that is said instead."""
        if self._open and self.commit():
            self._open = False
            self._styles.changed.disconnect(self._on_changed)
            super().done(result)

    # -- files --------------------------------------------------------------------------------

    def _choose_file(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Import Styles", "", _FILTER)
        if path:
            self.read([path])

    def read(self, paths: list[str]) -> None:
        """Take the styles of these files."""
        self._styles.read(paths, self._on_imported, self._on_failed)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if local_files(event.mimeData()):
            event.setDropAction(Qt.DropAction.CopyAction)
            event.accept()
            self._glow.light_up()

    def dropEvent(self, event: QDropEvent) -> None:
        event.accept()
        self.read(local_files(event.mimeData()))

    def _on_imported(self, sentence: str) -> None:
        if self._open:  # it may have been closed meanwhile
            self.problem.setText("")
            self.said.setText(sentence)

    def _on_failed(self, error: SfumatoError) -> None:
        if self._open:
            self.said.setText("")
            self.problem.setText(error.message)
