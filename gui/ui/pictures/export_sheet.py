"""The Export sheet: form, quality, size, name and place of the chosen pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QCloseEvent
from PySide6.QtWidgets import (
    QDialog,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLineEdit,
    QMenu,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from gui import words
from gui.errors import SfumatoError
from gui.state.pictures.export import (
    FIELDS,
    FORMS,
    MAX_LONGEST,
    MAX_SCALE,
    MIN_SCALE,
    ExportOptions,
    PictureExport,
    PictureForm,
    can_sign,
)
from gui.ui.widgets.choice import Choice
from gui.ui.widgets.controls import ElidedLabel, QuietSpinBox, SliderRow, Switch, fit_height, label

WIDTH = 480
_ORIGINAL, _LONGEST, _SCALE = "original", "longest", "scale"
EXAMPLE_PAUSE_MS = 150
"""After a change, before the example of a name is made anew."""
WITH = "Prompt, model and settings go along, so that the picture can be found and drawn again."
WITHOUT = "Nothing in the file then says what made it, nor that a model did."
SIGNED = (
    "A sealed note that a model made it. Its certificate is made on this computer: it shows that "
    "the file was not changed since, not who you are."
)


class ExportSheet(QDialog):
    """Bound to `PictureExport`.  Closing it while pictures are written stops after the one in
    hand.

    Args:
        export: does the work.
        parent: the window it hangs from.
    """

    failed = Signal(SfumatoError)

    def __init__(self, export: PictureExport, parent: QWidget) -> None:
        super().__init__(parent, Qt.WindowType.Sheet)
        self.setWindowModality(Qt.WindowModality.WindowModal)
        self.setWindowTitle("Export")
        self.setMinimumWidth(WIDTH)
        self._export = export
        self._paths: list[str] = []
        self._folder = ""
        self._example_timer = QTimer(self, singleShot=True, interval=EXAMPLE_PAUSE_MS)
        self._asked = 0
        self.title = label("", "sheetTitle")
        self.form = Choice("Format")
        for form, facts in FORMS.items():
            self.form.add(facts.label, form.value, facts.help)
        self.quality = SliderRow("Quality", 1, 100)
        self.quality.label.hide()
        self.size_kind = Choice("Size")
        for text, data in (
            ("As it is", _ORIGINAL), ("Longest edge", _LONGEST), ("Scaled by", _SCALE)
        ):  # fmt: skip
            self.size_kind.addItem(text, data)
        self.longest = self._number("Longest edge in pixels", 0, 1, MAX_LONGEST, 64, " px", 2048)
        self.scale = self._number("Factor", 2, MIN_SCALE, MAX_SCALE, 0.25, " ×", 2.0)
        self.name = QLineEdit()
        self.name.setAccessibleName("Names of the files")
        self.fields = QPushButton("Insert")
        self.fields.setAccessibleName("Insert a field into the name")
        self.fields_menu = self._fields_menu()
        self.example = ElidedLabel("", "small")
        self.problem = ElidedLabel("", "warning")
        self.settings = Switch("Include what made the picture")
        self.settings_note = label(WITH, "small", wrap=True)
        self.credentials = Switch("Sign with Content Credentials")
        self.credentials_note = label(SIGNED, "small", wrap=True)
        for widget in (self.credentials, self.credentials_note):
            widget.setVisible(can_sign())
        self.folder = ElidedLabel()
        self.choose = QPushButton("Choose…")
        self.choose.setAccessibleName("Choose the folder")
        self.progress = QProgressBar()
        self.progress.setTextVisible(False)
        self.status = label("", "small")
        self.cancel = QPushButton("Cancel")
        self.go = QPushButton("Export")
        self.go.setObjectName("sheetPrimary")
        for button in (self.fields, self.choose, self.cancel, self.go):
            button.setAutoDefault(False)
        self._lay_out()
        self._connect()

    @staticmethod
    def _number(
        name: str, decimals: int, low: float, high: float, step: float, unit: str, value: float
    ) -> QuietSpinBox:
        made = QuietSpinBox(decimals)
        made.setRange(low, high)
        made.setSingleStep(step)
        made.setSuffix(unit)
        made.setFixedWidth(86)
        made.setAccessibleName(name)
        made.setValue(value)
        return made

    def _fields_menu(self) -> QMenu:
        menu = QMenu(self)
        for name, text in FIELDS.items():
            action = menu.addAction(words.capital(text))
            action.triggered.connect(lambda _=False, name=name: self.name.insert(f"{{{name}}}"))
        return menu

    def _lay_out(self) -> None:
        form = QFormLayout()
        form.setHorizontalSpacing(14)
        form.setVerticalSpacing(11)
        form.setLabelAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("Format:", self.form)
        self.quality_label = label("Quality:")
        self.quality_label.setBuddy(self.quality.spin)
        form.addRow(self.quality_label, self.quality)
        size = QHBoxLayout()
        size.setSpacing(8)
        size.addWidget(self.size_kind, 1)
        size.addWidget(self.longest)
        size.addWidget(self.scale)
        form.addRow("Size:", size)
        name = QHBoxLayout()
        name.setSpacing(8)
        name.addWidget(self.name, 1)
        name.addWidget(self.fields)
        form.addRow("Name:", name)
        below = QVBoxLayout()
        below.addWidget(self.example)
        below.addWidget(self.problem)
        form.addRow("", below)
        folder = QHBoxLayout()
        folder.setSpacing(8)
        folder.addWidget(self.folder, 1)
        folder.addWidget(self.choose)
        form.addRow("Folder:", folder)
        self._form = form
        told = QVBoxLayout()
        told.setSpacing(4)
        told.addWidget(self.settings)
        told.addWidget(self.settings_note)
        told.addSpacing(6)
        told.addWidget(self.credentials)
        told.addWidget(self.credentials_note)
        foot = QHBoxLayout()
        foot.setSpacing(8)
        foot.addWidget(self.status, 1)
        foot.addWidget(self.cancel)
        foot.addWidget(self.go)
        column = QVBoxLayout(self)
        column.setContentsMargins(24, 20, 24, 18)
        column.setSpacing(16)
        column.addWidget(self.title)
        column.addLayout(form)
        column.addLayout(told)
        column.addWidget(self.progress)
        column.addLayout(foot)

    def _connect(self) -> None:
        export = self._export
        self.form.edited.connect(lambda _: self._show())
        self.size_kind.edited.connect(lambda _: self._show())
        self.settings.toggled.connect(lambda _: self._show())
        self.credentials.toggled.connect(lambda _: self._show())
        for number in (self.longest, self.scale):
            number.valueChanged.connect(lambda _: self._example_timer.start())
        self.name.textChanged.connect(lambda _: self._example_timer.start())
        self._example_timer.timeout.connect(self._ask_for_example)
        self.choose.clicked.connect(self._choose_folder)
        self.fields.clicked.connect(self._show_fields)
        self.cancel.clicked.connect(self.reject)
        self.go.clicked.connect(self._start)
        export.progressed.connect(self._on_progress)
        export.finished.connect(self._on_finished)

    # -- opening ------------------------------------------------------------------------------

    def open_for(self, paths: Sequence[str]) -> None:
        """Offer to export these pictures, as it was done last."""
        if self._export.busy:
            self.show()
            return
        self._paths = list(paths)
        one = len(paths) == 1
        what = f"“{Path(paths[0]).name}”" if one else words.plural(len(paths), "Picture")
        self.title.setText(f"Export {words.shortened(what, 44)}")
        self.go.setText("Export")
        options = self._export.options
        self.form.set_value(options.form.value)
        self.quality.set_value(options.quality)
        kind = _LONGEST if options.longest else _SCALE if options.scale != 1 else _ORIGINAL
        self.size_kind.set_value(kind)
        if options.longest:
            self.longest.setValue(options.longest)
        elif options.scale != 1:
            self.scale.setValue(options.scale)
        self.name.setText(options.name)
        self.settings.setChecked(options.settings)
        self.credentials.setChecked(options.credentials)
        self._set_folder(self._export.folder)
        self._set_busy(False)
        self._show()
        self.open()
        fit_height(self)  # again: only now is it known what shows
        self.form.setFocus()

    def options(self) -> ExportOptions:
        """What is chosen."""
        kind = self.size_kind.currentData()
        return ExportOptions(
            form=PictureForm(self.form.currentData()),
            quality=round(self.quality.value()),
            longest=round(self.longest.value()) if kind == _LONGEST else 0,
            scale=self.scale.value() if kind == _SCALE else 1.0,
            name=self.name.text(),
            settings=self.settings.isChecked(),
            credentials=self.credentials.isEnabled() and self.credentials.isChecked(),
        )

    def _show(self) -> None:
        """Only what the chosen form and size have."""
        lossy = FORMS[PictureForm(self.form.currentData())].lossy
        self._form.setRowVisible(self.quality, lossy)
        kind = self.size_kind.currentData()
        self.longest.setVisible(kind == _LONGEST)
        self.scale.setVisible(kind == _SCALE)
        self.settings_note.setText(WITH if self.settings.isChecked() else WITHOUT)
        self.credentials.setEnabled(can_sign() and self.settings.isChecked())
        self.credentials_note.setVisible(can_sign() and self.credentials.isChecked())
        self._example_timer.start()
        fit_height(self)

    def _ask_for_example(self) -> None:
        if not self._paths:
            return
        self._asked += 1
        asked = self._asked

        def show(name: str) -> None:
            if asked == self._asked:
                self._say(name)

        def fail(error: SfumatoError) -> None:
            if asked == self._asked:
                self._say("", error.message)

        self._export.with_example(self._paths[0], self.options(), show, fail)

    def _say(self, example: str, problem: str = "") -> None:
        """Below the name: what it comes to, or why it comes to nothing."""
        self.example.set_text(example)
        self.problem.set_text(problem)
        self.example.setVisible(not problem)
        self.problem.setVisible(bool(problem))
        self.go.setEnabled(not problem and not self._export.busy)

    def _show_fields(self) -> None:
        self.fields_menu.popup(self.fields.mapToGlobal(self.fields.rect().bottomLeft()))

    def _choose_folder(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Export to Folder", self._folder)
        if folder:
            self._set_folder(folder)

    def _set_folder(self, folder: str) -> None:
        self._folder = folder
        home = str(Path.home())
        self.folder.set_text("~" + folder[len(home) :] if folder.startswith(home + "/") else folder)

    # -- doing it -----------------------------------------------------------------------------

    def _start(self) -> None:
        if self._export.busy:
            return
        try:
            self._export.start(self._paths, self._folder, self.options())
        except SfumatoError as error:
            self._say("", error.message)
            self.name.setFocus()
            return
        self._set_busy(True)
        self._on_progress(0, len(self._paths))

    def _set_busy(self, busy: bool) -> None:
        for widget in (self.form, self.quality, self.size_kind, self.longest, self.scale, self.name,
                       self.fields, self.choose, self.settings):  # fmt: skip
            widget.setEnabled(not busy)
        self.go.setEnabled(not busy)
        self.progress.setVisible(busy)
        self.status.setText("")
        self.cancel.setText("Stop" if busy else "Cancel")
        fit_height(self)

    def _on_progress(self, done: int, count: int) -> None:
        if self.isVisible():
            self.progress.setRange(0, count)
            self.progress.setValue(done)
            self.status.setText(f"{done} of {count}")

    def _on_finished(self, *_: object) -> None:
        if self.isVisible():
            self._set_busy(False)
            self.accept()

    def reject(self) -> None:
        """Cancel; while pictures are written, stop: the one in hand is still finished."""
        if self._export.busy:
            self._export.cancel()
            self.status.setText("Stopping…")
        else:
            super().reject()

    def closeEvent(self, event: QCloseEvent) -> None:
        self._export.cancel()
        super().closeEvent(event)
